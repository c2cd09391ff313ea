//! What minibatches work with, kept from one to the next.

use std::sync::{Mutex, PoisonError};

/// Buffers, as many as there are threads that use them at once.
#[derive(Debug, Default)]
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

impl<T: Default> Pool<T> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Calls `f` with buffers that nobody else has. What is in them is what the last one left.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let mut buffers = self.lock().pop().unwrap_or_default();
        let result = f(&mut buffers);
        self.lock().push(buffers);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_kept_and_not_shared() {
        let pool = Pool::<Vec<u8>>::default();
        pool.with(|outer| {
            outer.push(1);
            pool.with(|inner| assert!(inner.is_empty()));
        });
        pool.with(|kept| assert_eq!(kept[..], [1]));
    }
}
