//! `union` and `prune`.

use super::repartition::ChainCursor;
use crate::context::Context;
use crate::dataset::Dataset;
use crate::dataset::lineage::{
    AnyPartitioner, Cursor, Data, Dependency, Input, Lineage, Node, NodeInfo, Stop,
};
use crate::dataset::node::NewNode;
use crate::error::{Error, Result};
use crate::exec::task::TaskContext;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// Each partition reads listed partitions of listed parents, one after another.
struct Gathered<T: Data> {
    info: NodeInfo,
    parents: Vec<Arc<dyn Lineage<T>>>,
    /// For each partition: (parent, its partition).
    reads: Vec<Vec<(usize, usize)>>,
}

impl<T: Data> Node for Gathered<T> {
    fn info(&self) -> &NodeInfo {
        &self.info
    }
    fn dependencies(&self) -> Vec<Dependency> {
        self.parents.iter().map(|p| Dependency::Narrow(p.clone())).collect()
    }
    fn inputs(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>)) {
        for (parent, p) in &self.reads[partition] {
            let node: Arc<dyn Node> = self.parents[*parent].clone();
            visit(Input::Narrow(&node, *p));
        }
    }
}

impl<T: Data> Lineage<T> for Gathered<T> {
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        let parts = self.reads[partition].iter().map(|(i, p)| (self.parents[*i].clone(), *p)).collect();
        Ok(Box::new(ChainCursor::new(parts, task)))
    }
}

fn gathered<T: Data>(
    cx: &Context,
    operation: &'static str,
    site: &'static Location<'static>,
    parents: Vec<Arc<dyn Lineage<T>>>,
    reads: Vec<Vec<(usize, usize)>>,
    partitioner: Option<AnyPartitioner>,
) -> Dataset<T> {
    let digests: Vec<u64> = parents.iter().map(|p| p.info().digest).collect();
    let info = NewNode {
        detail: if operation == "prune" { format!("{reads:?}") } else { String::new() },
        parents: &digests,
        partitioner,
        ..NewNode::of(operation, reads.len(), site)
    }
    .finish(cx.engine());
    Dataset::from_node(cx, Arc::new(Gathered { info, parents, reads }))
}

impl Context {
    /// The records of all datasets, one after another. Datasets that are partitioned in the same way stay so.
    #[track_caller]
    pub fn union<T: Data>(&self, datasets: &[Dataset<T>]) -> Dataset<T> {
        let parents: Vec<_> = datasets.iter().map(|d| d.lineage().clone()).collect();
        let first = datasets.first().and_then(|d| d.any_partitioner());
        let same =
            first.filter(|f| datasets.iter().all(|d| d.any_partitioner().is_some_and(|p| p.id == f.id)));
        let reads = match &same {
            Some(p) => (0..p.id.partitions).map(|i| (0..parents.len()).map(|d| (d, i)).collect()).collect(),
            None => {
                let all = datasets.iter().enumerate();
                all.flat_map(|(d, ds)| (0..ds.num_partitions()).map(move |p| vec![(d, p)])).collect()
            }
        };
        gathered(self, "union", Location::caller(), parents, reads, same)
    }
}

impl<T: Data> Dataset<T> {
    /// The records of this dataset, then those of `other`. Nothing is moved and duplicates stay.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// assert_eq!(cx.range(0..2, 1).union(&cx.range(1..3, 2)).collect()?, [0, 1, 1, 2]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn union(&self, other: &Dataset<T>) -> Dataset<T> {
        self.context().union(&[self.clone(), other.clone()])
    }
    /// Only the partitions listed, in that order; the others are not computed.
    #[track_caller]
    pub fn partitions(&self, which: &[usize]) -> Result<Dataset<T>> {
        if let Some(p) = which.iter().find(|p| **p >= self.num_partitions()) {
            return Err(Error::usage(format!("partition {p} of {} was asked for", self.num_partitions())));
        }
        Ok(self.prune(which.to_vec()))
    }
    #[track_caller]
    pub(crate) fn prune(&self, which: Vec<usize>) -> Dataset<T> {
        let reads = which.into_iter().map(|p| vec![(0, p)]).collect();
        gathered(self.context(), "prune", Location::caller(), vec![self.lineage().clone()], reads, None)
    }
}
