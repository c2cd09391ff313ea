//! Buffers for timely's allocators, which take some for each dataflow and would clear them every time.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use timely::communication::allocator::zero_copy::bytes_slab::BytesRefill;

/// The size that allocators ask for first.
const USUAL: usize = 1 << 20;
/// Buffers that are kept.
const KEPT_MAX: usize = 64;

type Pool = Arc<Mutex<Vec<Box<[u8]>>>>;

/// A pool of buffers.
#[derive(Default)]
pub(super) struct Slabs(Pool);

struct Slab {
    bytes: Box<[u8]>,
    pool: Pool,
}

impl Deref for Slab {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Slab {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(|e| e.into_inner());
        if self.bytes.len() == USUAL && pool.len() < KEPT_MAX {
            pool.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl Slabs {
    /// For an allocator.
    pub fn refill(&self) -> BytesRefill {
        let pool = self.0.clone();
        let take = move |size: usize| {
            let kept = match size {
                USUAL => pool.lock().unwrap_or_else(|e| e.into_inner()).pop(),
                _ => None,
            };
            let bytes = kept.unwrap_or_else(|| vec![0; size].into_boxed_slice());
            Box::new(Slab { bytes, pool: pool.clone() }) as Box<dyn DerefMut<Target = [u8]> + Send>
        };
        BytesRefill { logic: Arc::new(take), limit: Some(1) }
    }
}
