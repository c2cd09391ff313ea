//! How much memory a call takes, by an allocator that counts by thread.

use allocation_counter::measure;

/// Calls `f`, and says how many bytes it took of this thread's memory at most at once, over what there was before.
pub fn measured<T>(f: impl FnOnce() -> T) -> (T, u64) {
    let mut result = None;
    let taken = measure(|| result = Some(f()));
    (result.expect("it was called"), taken.bytes_max)
}
