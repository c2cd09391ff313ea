//! Values that all tasks read.

use crate::Record;
use std::sync::{Arc, RwLock};

/// A read-only value for all tasks: one copy a process, shared by its workers.
///
/// Every process runs the same program, so each has the value already and nothing is sent; the value is what it was
/// when it was made, whatever happens to the original afterwards. Reading a destroyed value panics, which fails the
/// task that does it with this message.
pub struct Broadcast<T>(Arc<RwLock<Option<Arc<T>>>>);

impl<T> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        Broadcast(self.0.clone())
    }
}

impl<T: Record> Broadcast<T> {
    pub(crate) fn new(value: T) -> Self {
        Broadcast(Arc::new(RwLock::new(Some(Arc::new(value)))))
    }
    /// The value.
    ///
    /// # Panics
    /// If it has been destroyed.
    pub fn value(&self) -> Arc<T> {
        let slot = self.0.read().unwrap_or_else(|e| e.into_inner());
        slot.clone().expect("a broadcast value was read after it was destroyed")
    }
    /// Frees the value as soon as no task reads it. Later reads panic.
    pub fn destroy(&self) {
        *self.0.write().unwrap_or_else(|e| e.into_inner()) = None;
    }
}
