//! `take`, `first`, `top`, `take_ordered`, `take_sample`, `min`, `max`.

use crate::dataset::Dataset;
use crate::dataset::lineage::Record;
use crate::error::Result;
use crate::rng::{below, partition_stream};
use std::cmp::Ordering;

/// `take` looks at four times as many partitions each time it has not found enough.
const SCALE_UP: usize = 4;

impl<T: Record> Dataset<T> {
    /// The first `n` records. Computes partitions as they are needed: one, then four times as many, and so on.
    pub fn take(&self, n: usize) -> Result<Vec<T>> {
        let (mut taken, mut next, mut step) = (Vec::new(), 0, 1);
        while taken.len() < n && next < self.num_partitions() {
            let want = n - taken.len();
            let to = (next + step).min(self.num_partitions());
            let parts = self.run_action_on("take", (next..to).collect(), move |cursor, _| {
                let mut found: Vec<T> = vec![];
                while found.len() < want {
                    let Some(chunk) = cursor.next()? else { break };
                    found.extend(chunk.as_slice().iter().take(want - found.len()).cloned());
                }
                Ok(found)
            })?;
            taken.extend(parts.into_iter().flatten().take(want));
            next = to;
            step *= SCALE_UP;
        }
        Ok(taken)
    }
    /// The first record, if there is one.
    pub fn first(&self) -> Result<Option<T>> {
        Ok(self.take(1)?.pop())
    }
    /// The `n` least records by `compare`, in order. Of equal ones those that come first. Memory: 2n records a task.
    pub fn take_ordered_by<F>(&self, n: usize, compare: F) -> Result<Vec<T>>
    where
        F: Fn(&T, &T) -> Ordering + Send + Sync + Clone + 'static,
    {
        let by = compare.clone();
        let parts = self.run_action("take_ordered", move |cursor, task| {
            let mut best: Vec<T> = vec![];
            while let Some(chunk) = cursor.next()? {
                task.enter(task.state.actor);
                best.extend(chunk.as_slice().iter().cloned());
                if best.len() >= 2 * n.max(512) {
                    best.sort_by(&by);
                    best.truncate(n);
                }
            }
            best.sort_by(&by);
            best.truncate(n);
            Ok(best)
        })?;
        let mut all: Vec<T> = parts.into_iter().flatten().collect();
        all.sort_by(&compare);
        all.truncate(n);
        Ok(all)
    }
    /// `n` records drawn at random, in random order: without replacement as many as there are, with replacement `n` if
    /// there are any. Two passes with replacement, one without; memory 2n records a task.
    pub fn take_sample(&self, with_replacement: bool, n: usize, seed: u64) -> Result<Vec<T>> {
        if with_replacement {
            let total = self.count()?;
            if total == 0 {
                return Ok(vec![]);
            }
            let mut rng = partition_stream(seed, self.id(), usize::MAX);
            let wanted: Vec<u64> = (0..n).map(|_| below(&mut rng, total)).collect();
            let mut sorted = wanted.clone();
            sorted.sort_unstable();
            sorted.dedup();
            let keep = std::sync::Arc::new(sorted.clone());
            let found =
                self.zip_with_index()?.filter(move |(_, i)| keep.binary_search(i).is_ok()).collect()?;
            let at = |i: &u64| found[sorted.binary_search(i).expect("drawn from the same numbers")].0.clone();
            return Ok(wanted.iter().map(at).collect());
        }
        // Each record draws a number; the n least are a uniform sample in random order.
        let id = self.id();
        let keyed = self.map_partitions_with_index(move |p, records| {
            use rand_core::Rng;
            let mut rng = partition_stream(seed, id, p);
            records.map(move |x| (rng.next_u64(), x))
        });
        Ok(keyed.take_ordered_by(n, |a, b| a.0.cmp(&b.0))?.into_iter().map(|(_, x)| x).collect())
    }
}

impl<T: Record + Ord> Dataset<T> {
    /// The `n` least records, ascending.
    pub fn take_ordered(&self, n: usize) -> Result<Vec<T>> {
        self.take_ordered_by(n, T::cmp)
    }
    /// The `n` greatest records, descending.
    pub fn top(&self, n: usize) -> Result<Vec<T>> {
        self.take_ordered_by(n, |a, b| b.cmp(a))
    }
    /// The least record.
    pub fn min(&self) -> Result<Option<T>> {
        self.reduce(std::cmp::min)
    }
    /// The greatest record.
    pub fn max(&self) -> Result<Option<T>> {
        self.reduce(std::cmp::max)
    }
}
