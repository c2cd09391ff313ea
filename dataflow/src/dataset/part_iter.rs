//! A cursor as an `Iterator`, for closures that want to see a whole partition.

use super::lineage::{Chunk, Cursor, Data, NodeId, Stop};
use crate::exec::task::TaskContext;
use std::cell::RefCell;
use std::rc::Rc;

/// The records of one partition, by value.
///
/// An early stop of the task cannot pass through `Iterator::next`: the iterator then simply ends, and the engine
/// raises the stop when the closure's own iterator has ended.
pub struct PartitionIter<T> {
    up: Box<dyn Cursor<T>>,
    now: std::vec::IntoIter<T>,
    stop: Rc<RefCell<Option<Stop>>>,
    task: Rc<TaskContext>,
    node: NodeId,
    ended: bool,
}

impl<T: Data> PartitionIter<T> {
    pub(crate) fn new(up: Box<dyn Cursor<T>>, task: &Rc<TaskContext>, node: NodeId) -> Self {
        PartitionIter {
            up,
            now: vec![].into_iter(),
            stop: Rc::default(),
            task: task.clone(),
            node,
            ended: false,
        }
    }
    /// Where an early stop is left.
    pub(crate) fn stop(&self) -> Rc<RefCell<Option<Stop>>> {
        self.stop.clone()
    }
    #[cold]
    #[inline(never)]
    fn refill(&mut self) -> Option<T> {
        loop {
            // Adaptors may ask again after the end; a cursor must not be.
            if self.ended {
                return None;
            }
            let chunk = self.up.next();
            self.task.enter(self.node);
            match chunk {
                Ok(None) => self.ended = true,
                Ok(Some(Chunk::Owned(v))) => self.now = std::mem::take(v).into_iter(),
                Ok(Some(Chunk::Shared(s))) => self.now = Vec::from(s).into_iter(),
                Err(stop) => {
                    *self.stop.borrow_mut() = Some(stop);
                    self.ended = true;
                }
            }
            if let Some(record) = self.now.next() {
                return Some(record);
            }
        }
    }
}

impl<T: Data> Iterator for PartitionIter<T> {
    type Item = T;
    #[inline]
    fn next(&mut self) -> Option<T> {
        match self.now.next() {
            Some(record) => Some(record),
            None => self.refill(),
        }
    }
    /// `sum`, `for_each` and the like run chunk by chunk.
    fn fold<B, G: FnMut(B, T) -> B>(mut self, init: B, mut g: G) -> B {
        let mut acc = std::mem::take(&mut self.now).fold(init, &mut g);
        while let Some(record) = self.refill() {
            acc = g(acc, record);
            acc = std::mem::take(&mut self.now).fold(acc, &mut g);
        }
        acc
    }
}
