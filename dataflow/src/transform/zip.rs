//! `zip`, `zip_partitions`, `zip_with_index`, `zip_with_unique_id`, `cartesian`.

use super::map_partitions::IterCursor;
use super::repartition::iterate;
use crate::dataset::lineage::{Cursor, Data, Dependency, Input, Lineage, Node, NodeInfo, Stop};
use crate::dataset::node::NewNode;
use crate::dataset::{Dataset, PartitionIter};
use crate::error::{Error, Result};
use crate::exec::task::TaskContext;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// Partition p reads partitions p of two parents.
struct Zipped<A: Data, B: Data, U, F> {
    info: NodeInfo,
    left: Arc<dyn Lineage<A>>,
    right: Arc<dyn Lineage<B>>,
    f: F,
    _out: PhantomData<fn() -> U>,
}

impl<A, B, U, I, F> Node for Zipped<A, B, U, F>
where
    A: Data,
    B: Data,
    U: Data,
    I: Iterator<Item = U> + 'static,
    F: Fn(PartitionIter<A>, PartitionIter<B>) -> I + Send + Sync + 'static,
{
    fn info(&self) -> &NodeInfo {
        &self.info
    }
    fn dependencies(&self) -> Vec<Dependency> {
        vec![Dependency::Narrow(self.left.clone()), Dependency::Narrow(self.right.clone())]
    }
    fn inputs(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>)) {
        let (left, right): (Arc<dyn Node>, Arc<dyn Node>) = (self.left.clone(), self.right.clone());
        visit(Input::Narrow(&left, partition));
        visit(Input::Narrow(&right, partition));
    }
}

impl<A, B, U, I, F> Lineage<U> for Zipped<A, B, U, F>
where
    A: Data,
    B: Data,
    U: Data,
    I: Iterator<Item = U> + 'static,
    F: Fn(PartitionIter<A>, PartitionIter<B>) -> I + Send + Sync + 'static,
{
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<U>>, Stop> {
        let left = iterate(&self.left, partition, task, self.info.id)?;
        let right = iterate(&self.right, partition, task, self.info.id)?;
        let stops = vec![left.stop(), right.stop()];
        task.enter(self.info.id);
        Ok(Box::new(IterCursor::new((self.f)(left, right), stops, task, self.info.id)))
    }
}

/// Two iterators in step, which must end together.
struct InStep<A, B>(A, B);

impl<A: Iterator, B: Iterator> Iterator for InStep<A, B> {
    type Item = (A::Item, B::Item);
    fn next(&mut self) -> Option<Self::Item> {
        match (self.0.next(), self.1.next()) {
            (Some(a), Some(b)) => Some((a, b)),
            (None, None) => None,
            _ => panic!("zip: the partitions do not have the same number of records"),
        }
    }
}

impl<T: Data> Dataset<T> {
    /// Applies `f` to the partitions of two datasets, pair by pair. They must have equally many.
    #[track_caller]
    pub fn zip_partitions<B, U, I, F>(&self, other: &Dataset<B>, f: F) -> Result<Dataset<U>>
    where
        B: Data,
        U: Data,
        I: Iterator<Item = U> + 'static,
        F: Fn(PartitionIter<T>, PartitionIter<B>) -> I + Send + Sync + 'static,
    {
        let site = Location::caller();
        if self.num_partitions() != other.num_partitions() {
            return Err(Error::usage(format!(
                "zip needs equally many partitions, but there are {} and {}",
                self.num_partitions(),
                other.num_partitions()
            )));
        }
        let (left, right) = (self.lineage().clone(), other.lineage().clone());
        let info = NewNode {
            closure: std::any::type_name::<F>(),
            parents: &[left.info().digest, right.info().digest],
            ..NewNode::of("zip", self.num_partitions(), site)
        }
        .finish(self.engine());
        Ok(Dataset::from_node(self.context(), Arc::new(Zipped { info, left, right, f, _out: PhantomData })))
    }
    /// Pairs the n-th records of two datasets, which must have equally many partitions and equally many records in
    /// each: typically one was made from the other by `map`.
    #[track_caller]
    pub fn zip<B: Data>(&self, other: &Dataset<B>) -> Result<Dataset<(T, B)>> {
        self.zip_partitions(other, InStep)
    }
    /// Pairs every record with its number in the order of the partitions, from 0. Runs a job that counts, unless there
    /// is one partition.
    #[track_caller]
    pub fn zip_with_index(&self) -> Result<Dataset<(T, u64)>> {
        let site = Location::caller();
        let mut starts = vec![0u64];
        if self.num_partitions() > 1 {
            let last = self.num_partitions() - 1;
            let count =
                |cursor: &mut dyn Cursor<T>, _: &Rc<TaskContext>| crate::action::count_records(cursor);
            let counts = self.run_action_on("count", (0..last).collect(), count)?;
            for n in counts {
                starts.push(starts[starts.len() - 1] + n);
            }
        }
        Ok(self.map_partitions_as("zip_with_index", site, false, move |p, records| records.zip(starts[p]..)))
    }
    /// Pairs every record with a number of its own: record i of partition p gets i * n + p, with n partitions. Runs no
    /// job.
    #[track_caller]
    pub fn zip_with_unique_id(&self) -> Dataset<(T, u64)> {
        let n = self.num_partitions() as u64;
        self.map_partitions_as("zip_with_unique_id", Location::caller(), false, move |p, records| {
            records.zip((p as u64..).step_by(n as usize))
        })
    }
    /// All pairs of a record here and a record of `other`. Costs a pass over a partition of `other`, kept in memory,
    /// for each partition here.
    #[track_caller]
    pub fn cartesian<B: Data>(&self, other: &Dataset<B>) -> Dataset<(T, B)> {
        let (left, right) = (self.lineage().clone(), other.lineage().clone());
        let info = NewNode {
            parents: &[left.info().digest, right.info().digest],
            ..NewNode::of("cartesian", self.num_partitions() * other.num_partitions(), Location::caller())
        }
        .finish(self.engine());
        Dataset::from_node(self.context(), Arc::new(Cartesian { info, left, right }))
    }
}

/// Partition i * m + j pairs partition i of the left with partition j of m of the right.
struct Cartesian<A: Data, B: Data> {
    info: NodeInfo,
    left: Arc<dyn Lineage<A>>,
    right: Arc<dyn Lineage<B>>,
}

impl<A: Data, B: Data> Cartesian<A, B> {
    fn parents(&self, partition: usize) -> (usize, usize) {
        let m = self.right.info().partitions;
        (partition / m, partition % m)
    }
}

impl<A: Data, B: Data> Node for Cartesian<A, B> {
    fn info(&self) -> &NodeInfo {
        &self.info
    }
    fn dependencies(&self) -> Vec<Dependency> {
        vec![Dependency::Narrow(self.left.clone()), Dependency::Narrow(self.right.clone())]
    }
    fn inputs(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>)) {
        let (i, j) = self.parents(partition);
        let (left, right): (Arc<dyn Node>, Arc<dyn Node>) = (self.left.clone(), self.right.clone());
        visit(Input::Narrow(&left, i));
        visit(Input::Narrow(&right, j));
    }
}

impl<A: Data, B: Data> Lineage<(A, B)> for Cartesian<A, B> {
    fn open(
        self: Arc<Self>,
        partition: usize,
        task: &Rc<TaskContext>,
    ) -> Result<Box<dyn Cursor<(A, B)>>, Stop> {
        let (i, j) = self.parents(partition);
        let left = iterate(&self.left, i, task, self.info.id)?;
        let mut cursor = self.right.clone().open(j, task)?;
        let mut right = vec![];
        while let Some(chunk) = cursor.next()? {
            chunk.append_to(&mut right);
        }
        let stop = left.stop();
        let right: Rc<Vec<B>> = Rc::new(right);
        let pairs = left.flat_map(move |a| {
            let right = right.clone();
            (0..right.len()).map(move |k| (a.clone(), right[k].clone()))
        });
        Ok(Box::new(IterCursor::new(pairs, vec![stop], task, self.info.id)))
    }
}
