//! `flat_map_ref`: what lies in records, without a copy.

use crate::dataset::lineage::{Chunk, Cursor, Data, Lineage, Node, NodeInfo, Stop};
use crate::dataset::node::{narrow, one_to_one};
use crate::dataset::{Dataset, Ramp};
use crate::exec::task::TaskContext;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

struct FlatMapRef<T: Data, U, F> {
    info: NodeInfo,
    up: Arc<dyn Lineage<T>>,
    parts: F,
    _out: PhantomData<fn() -> U>,
}

struct FlatMapRefCursor<T: Data, U, F> {
    up: Box<dyn Cursor<T>>,
    node: Arc<FlatMapRef<T, U, F>>,
    /// Records whose parts are lent, and how many of these parts have been.
    records: std::vec::IntoIter<T>,
    lent: usize,
    ramp: Ramp,
    task: Rc<TaskContext>,
}

impl<T: Data, U: Data, F: Fn(&T) -> &[U] + Send + Sync + 'static> Node for FlatMapRef<T, U, F> {
    one_to_one!();
}

impl<T: Data, U: Data, F: Fn(&T) -> &[U] + Send + Sync + 'static> Lineage<U> for FlatMapRef<T, U, F> {
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<U>>, Stop> {
        let up = self.up.clone().open(partition, task)?;
        Ok(Box::new(FlatMapRefCursor {
            up,
            node: self,
            records: vec![].into_iter(),
            lent: 0,
            ramp: Ramp::new::<U>(),
            task: task.clone(),
        }))
    }
}

impl<T: Data, U: Data, F: Fn(&T) -> &[U] + Send + Sync + 'static> Cursor<U> for FlatMapRefCursor<T, U, F> {
    fn next(&mut self) -> Result<Option<Chunk<'_, U>>, Stop> {
        self.task.check()?;
        let parts = &self.node.parts;
        loop {
            match self.records.as_slice().first() {
                Some(record) if self.lent < parts(record).len() => break,
                // A record is dropped before the next ones come.
                Some(_) => {
                    self.records.next();
                    self.lent = 0;
                }
                None => {
                    let mut records = vec![];
                    match self.up.next()? {
                        Some(chunk) => chunk.append_to(&mut records),
                        None => return Ok(None),
                    }
                    self.task.enter(self.node.info.id);
                    self.records = records.into_iter();
                }
            }
        }
        let from = self.lent;
        let all = parts(&self.records.as_slice()[0]);
        self.lent = from.saturating_add(self.ramp.next()).min(all.len());
        Ok(Some(Chunk::Shared(&all[from..self.lent])))
    }
}

impl<T: Data> Dataset<T> {
    /// The parts of each record that `parts` points at. They are lent some at a time where they lie: who only looks at them
    /// copies none, however many are in one record. The records themselves are moved, or cloned if they are cached.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// let some = cx.parallelize([vec![1, 2], vec![], vec![3]], 1);
    /// assert_eq!(some.flat_map_ref(|numbers| numbers).collect()?, [1, 2, 3]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map_ref<U: Data, F>(&self, parts: F) -> Dataset<U>
    where
        F: Fn(&T) -> &[U] + Send + Sync + 'static,
    {
        let info =
            narrow::<F>(self.engine(), "flat_map_ref", self.lineage().info(), Location::caller(), false);
        let node = FlatMapRef { info, up: self.lineage().clone(), parts, _out: PhantomData };
        Dataset::from_node(self.context(), Arc::new(node))
    }
}

#[cfg(test)]
mod tests {
    use crate::Context;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts its copies.
    #[derive(Default)]
    struct Part(usize, Arc<AtomicUsize>);

    impl Clone for Part {
        fn clone(&self) -> Self {
            self.1.fetch_add(1, Ordering::Relaxed);
            Part(self.0, self.1.clone())
        }
    }

    #[test]
    fn parts_are_lent_in_order_and_not_copied() {
        let cx = Context::local(2).unwrap();
        let copies = Arc::new(AtomicUsize::new(0));
        let numbers: Vec<usize> = (0..5000).collect();
        let sizes = [0, 1, 700, 0, 2000, 2299, 0];
        let mut left = numbers.as_slice();
        let mut records = vec![];
        for size in sizes {
            let (some, rest) = left.split_at(size);
            records.push(Arc::new(some.iter().map(|n| Part(*n, copies.clone())).collect::<Vec<_>>()));
            left = rest;
        }
        for partitions in [1, 3] {
            let parts = cx.parallelize(records.clone(), partitions).flat_map_ref(|record| record);
            let seen = parts.map_ref(|part| part.0).collect().unwrap();
            assert_eq!(seen, numbers);
            let sum = parts.aggregate(0, |sum, part| *sum += part.0, |left, right| *left += right).unwrap();
            assert_eq!(sum, numbers.iter().sum::<usize>());
        }
        assert_eq!(copies.load(Ordering::Relaxed), 0);
    }
}
