//! An allocator that counts by thread, so that a test can say how much memory a call took.
#![allow(unsafe_code)] // an allocator cannot be written without

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and how much of it each thread has.
pub struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

#[derive(Clone, Copy)]
struct Counts {
    live: i64,
    peak: i64,
    largest: usize,
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { live: 0, peak: 0, largest: 0 }) };
}

/// Nothing that is tested here may have as much at once. It is refused, and the program ends, before the machine has no memory
/// left.
const REFUSED_BYTES: usize = 4 << 30;

fn add(bytes: usize) {
    // A thread that ends has no counts any more.
    let _ = COUNTS.try_with(|counts| {
        let mut c = counts.get();
        c.live += bytes as i64;
        c.peak = c.peak.max(c.live);
        c.largest = c.largest.max(bytes);
        counts.set(c);
    });
}

fn remove(bytes: usize) {
    let _ = COUNTS.try_with(|counts| {
        let c = counts.get();
        counts.set(Counts { live: c.live - bytes as i64, ..c });
    });
}

// SAFETY: all memory comes from the system's allocator and goes back to it, with the layouts that were asked for; the counts
// are plain numbers of the thread, which need no memory of their own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        if layout.size() > REFUSED_BYTES {
            return std::ptr::null_mut();
        }
        // SAFETY: as asked by the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        if layout.size() > REFUSED_BYTES {
            return std::ptr::null_mut();
        }
        // SAFETY: as asked by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > REFUSED_BYTES {
            add(size);
            return std::ptr::null_mut();
        }
        remove(layout.size());
        add(size);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What a call took of this thread's memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Most at once, over what there was before.
    pub peak: usize,
    /// The largest piece.
    pub largest: usize,
}

/// Calls `f`, and says how much memory it took on this thread.
pub fn measured<T>(f: impl FnOnce() -> T) -> (T, Taken) {
    let before = COUNTS.with(|counts| {
        let c = counts.get();
        counts.set(Counts { peak: c.live, largest: 0, ..c });
        c.live
    });
    let result = f();
    let after = COUNTS.with(Cell::get);
    let peak = usize::try_from(after.peak - before).unwrap_or(0);
    (result, Taken { peak, largest: after.largest })
}
