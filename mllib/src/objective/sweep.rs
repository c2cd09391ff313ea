//! Work over partitioned rows: the one thing that objectives ask of an engine.
//!
//! # Guarantees
//! The task sees every partition exactly once and partial results are merged in a fixed tree by partition id
//! ([`merge_tree`]): for a given partitioning the result has the same bits on any number of workers.
//!
//! # Cost
//! One pass over the rows. Partial results are as large as the task makes them: for a gradient, `8 d` bytes a
//! partition.

use serde::{Serialize, de::DeserializeOwned};
use slackwater_dataflow::Result;
use slackwater_dataflow::block::LabeledBlock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a task may return: it may have to travel between processes.
pub trait Partial: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {}
impl<T: Clone + Send + Sync + Serialize + DeserializeOwned + 'static> Partial for T {}

/// Rows in partitions, and a way to run over all of them.
///
/// Tasks are pure up to caches that they can rebuild: a task may run again after a failure, and in another process.
pub trait Sweep {
    /// Number of partitions.
    fn partitions(&self) -> usize;

    /// Runs `task` on every partition (its id and its rows) and merges the results pairwise, lower ids on the left.
    /// `None` only if there is no partition.
    ///
    /// # Errors
    /// The error of the lowest partition that fails, or the engine's.
    fn fold<R, T, M>(&self, task: T, merge: M) -> Result<Option<R>>
    where
        R: Partial,
        T: Fn(usize, &[LabeledBlock]) -> Result<R> + Send + Sync + 'static,
        M: Fn(R, R) -> R + Send + Sync + 'static;
}

/// Element-wise sum, the merge of gradients.
pub fn add_vectors(mut left: Vec<f64>, right: Vec<f64>) -> Vec<f64> {
    crate::linalg::dense::add(&right, &mut left);
    left
}

/// Merges neighbours, then neighbours of those, and so on: a tree fixed by the number of partials.
pub fn merge_tree<R>(mut partials: Vec<R>, merge: impl Fn(R, R) -> R) -> Option<R> {
    while partials.len() > 1 {
        let mut next = Vec::with_capacity(partials.len().div_ceil(2));
        let mut rest = partials.into_iter();
        while let Some(left) = rest.next() {
            next.push(match rest.next() {
                Some(right) => merge(left, right),
                None => left,
            });
        }
        partials = next;
    }
    partials.pop()
}

/// Rows held in this process, with a number of threads.
#[derive(Debug, Clone)]
pub struct LocalRows {
    partitions: Arc<Vec<Vec<LabeledBlock>>>,
    threads: usize,
}

impl LocalRows {
    /// Partitions of blocks; they are worked on by `threads` threads (at least one).
    pub fn new(partitions: Vec<Vec<LabeledBlock>>, threads: usize) -> Self {
        LocalRows { partitions: Arc::new(partitions), threads: threads.max(1) }
    }
    /// The partitions.
    pub fn blocks(&self) -> &[Vec<LabeledBlock>] {
        &self.partitions
    }
}

impl Sweep for LocalRows {
    fn partitions(&self) -> usize {
        self.partitions.len()
    }
    fn fold<R, T, M>(&self, task: T, merge: M) -> Result<Option<R>>
    where
        R: Partial,
        T: Fn(usize, &[LabeledBlock]) -> Result<R> + Send + Sync + 'static,
        M: Fn(R, R) -> R + Send + Sync + 'static,
    {
        let count = self.partitions.len();
        let threads = self.threads.min(count);
        if threads <= 1 {
            let partials = self.partitions.iter().enumerate().map(|(p, rows)| task(p, rows));
            return Ok(merge_tree(partials.collect::<Result<Vec<R>>>()?, merge));
        }
        let results: Vec<Mutex<Option<Result<R>>>> = (0..count).map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let p = next.fetch_add(1, Ordering::Relaxed);
                let Some(rows) = self.partitions.get(p) else { break };
                *results[p].lock().expect("no holder panics") = Some(task(p, rows));
            }
        };
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        let partials = results.into_iter().map(|slot| {
            slot.into_inner().expect("no holder panics").expect("every partition was taken by one thread")
        });
        Ok(merge_tree(partials.collect::<Result<Vec<R>>>()?, merge))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_by_partition_and_not_by_thread() {
        let shape = |partitions: usize, threads: usize| {
            let rows = LocalRows::new(vec![vec![]; partitions], threads);
            rows.fold(|p, _| Ok(p.to_string()), |a, b| format!("({a} {b})")).unwrap()
        };
        assert_eq!(shape(0, 1), None);
        assert_eq!(shape(5, 1).unwrap(), "(((0 1) (2 3)) 4)");
        assert_eq!(shape(5, 3), shape(5, 1));
    }

    #[test]
    fn the_lowest_failing_partition_is_named() {
        let rows = LocalRows::new(vec![vec![]; 4], 2);
        let failed = rows.fold(
            |p, _| if p >= 2 { Err(slackwater_dataflow::Error::usage(p.to_string())) } else { Ok(p) },
            |a, _| a,
        );
        assert_eq!(failed.unwrap_err().to_string(), "2");
    }
}
