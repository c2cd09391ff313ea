//! `reduce`, `fold`, `aggregate`, `tree_reduce`, `tree_aggregate`.

use crate::dataset::Dataset;
use crate::dataset::lineage::{Data, Record};
use crate::error::Result;

impl<T: Record> Dataset<T> {
    /// Combines all records with an associative `f`: within partitions, then over partitions in their order. `None`
    /// if there are no records.
    pub fn reduce<F: Fn(T, T) -> T + Send + Sync + Clone + 'static>(&self, f: F) -> Result<Option<T>> {
        let g = f.clone();
        let parts = self.run_action("reduce", move |cursor, task| {
            let mut acc: Option<T> = None;
            while let Some(chunk) = cursor.next()? {
                task.enter(task.state.actor);
                chunk.for_each(|x| {
                    acc = Some(match acc.take() {
                        Some(a) => f(a, x),
                        None => x,
                    })
                });
            }
            Ok(acc)
        })?;
        Ok(tree(parts.into_iter().flatten().collect(), g))
    }
    /// As [`Dataset::reduce`], beginning with `zero` in every partition and once more at the end.
    pub fn fold<F: Fn(T, T) -> T + Send + Sync + Clone + 'static>(&self, zero: T, f: F) -> Result<T> {
        let (g, start) = (f.clone(), zero.clone());
        let parts = self.run_action("fold", move |cursor, task| {
            let mut acc = Some(start.clone());
            while let Some(chunk) = cursor.next()? {
                task.enter(task.state.actor);
                chunk.for_each(|x| acc = acc.take().map(|a| f(a, x)));
            }
            Ok(acc.expect("it was there"))
        })?;
        Ok(parts.into_iter().fold(zero, g))
    }
}

impl<T: Data> Dataset<T> {
    /// Combines all records into a value of another type: `add` within a partition, beginning with `zero`, and `merge`
    /// over partitions, in a tree of fixed shape over partition numbers: the same bits for any number of workers.
    pub fn aggregate<A, F, G>(&self, zero: A, add: F, merge: G) -> Result<A>
    where
        A: Record,
        F: Fn(&mut A, &T) + Send + Sync + 'static,
        G: Fn(&mut A, A),
    {
        let start = zero.clone();
        let parts =
            self.run_action("aggregate", move |cursor, task| super::fold(cursor, task, start.clone(), &add))?;
        let merged = tree(parts, |mut a, b| {
            merge(&mut a, b);
            a
        });
        Ok(merged.unwrap_or(zero))
    }
    /// As [`Dataset::aggregate`], which combines partitions in a tree already; Spark's name for it.
    pub fn tree_aggregate<A, F, G>(&self, zero: A, add: F, merge: G) -> Result<A>
    where
        A: Record,
        F: Fn(&mut A, &T) + Send + Sync + 'static,
        G: Fn(&mut A, A),
    {
        self.aggregate(zero, add, merge)
    }
}

impl<T: Record> Dataset<T> {
    /// As [`Dataset::reduce`], which combines partitions in a tree already; Spark's name for it.
    pub fn tree_reduce<F: Fn(T, T) -> T + Send + Sync + Clone + 'static>(&self, f: F) -> Result<Option<T>> {
        self.reduce(f)
    }
}

/// Combines neighbours, then neighbours of those, and so on: the shape depends on the number of parts alone.
pub(crate) fn tree<A>(mut parts: Vec<A>, f: impl Fn(A, A) -> A) -> Option<A> {
    while parts.len() > 1 {
        let mut next = Vec::with_capacity(parts.len().div_ceil(2));
        let mut all = parts.into_iter();
        while let Some(a) = all.next() {
            next.push(match all.next() {
                Some(b) => f(a, b),
                None => a,
            });
        }
        parts = next;
    }
    parts.pop()
}
