//! `cogroup`, the joins, and the set operations made of them.

use super::exchange::{ByHash, Site, feed_cursor, plain};
use super::partitioner::{Partitioner, Partitioning};
use super::repartition::by_partitioner;
use crate::context::Engine;
use crate::dataset::Dataset;
use crate::dataset::lineage::{
    AnyPartitioner, Cursor, Dependency, Input, Lineage, Node, NodeInfo, Record, Stop,
};
use crate::dataset::node::NewNode;
use crate::exec::aggregate::{Aggregation, Combine};
use crate::exec::parcel::Pairs;
use crate::exec::shuffle::{Shuffle, ShuffleStage};
use crate::exec::task::TaskContext;
use serde::{Deserialize, Serialize};
use std::hash::Hash;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// A value of the left or of the right side.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Side<V, W> {
    Left(V),
    Right(W),
}

/// Both sides' values of a key.
pub(crate) struct BothSides;
impl<V: 'static, W: 'static> Combine<Side<V, W>, (Vec<V>, Vec<W>)> for BothSides {
    const GROWS: bool = true;
    fn create(&self, side: Side<V, W>) -> (Vec<V>, Vec<W>) {
        let mut both = (vec![], vec![]);
        self.merge(&mut both, side);
        both
    }
    fn merge(&self, both: &mut (Vec<V>, Vec<W>), side: Side<V, W>) {
        match side {
            Side::Left(v) => both.0.push(v),
            Side::Right(w) => both.1.push(w),
        }
    }
}

/// One input of a cogroup: partitioned as needed already, or through a shuffle.
enum Feed<K: Record, V: Record> {
    Narrow(Arc<dyn Lineage<(K, V)>>),
    Shuffled(Arc<Shuffle<Pairs<K, V>>>),
}

impl<K: Record + Hash + Eq, V: Record> Feed<K, V> {
    fn new(data: &Dataset<(K, V)>, site: Site, partitioner: &Arc<dyn Partitioner<K>>) -> Self {
        let id = partitioner.id();
        if data.any_partitioner().is_some_and(|p| p.id == id) {
            return Feed::Narrow(data.lineage().clone());
        }
        if id.kind == "hash" {
            let n = id.partitions;
            return Feed::Shuffled(plain(data.engine(), site, data.lineage(), n, move |_| ByHash(n)));
        }
        Feed::Shuffled(by_partitioner(data, site, partitioner))
    }
    fn digest(&self) -> u64 {
        match self {
            Feed::Narrow(n) => n.info().digest,
            Feed::Shuffled(s) => s.info().digest,
        }
    }
    fn dependency(&self) -> Dependency {
        match self {
            Feed::Narrow(n) => Dependency::Narrow(n.clone()),
            Feed::Shuffled(s) => Dependency::Shuffle(s.clone()),
        }
    }
    fn input(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>)) {
        match self {
            Feed::Narrow(n) => {
                let node: Arc<dyn Node> = n.clone();
                visit(Input::Narrow(&node, partition));
            }
            Feed::Shuffled(s) => {
                let stage: Arc<dyn ShuffleStage> = s.clone();
                visit(Input::Shuffle(&stage, partition));
            }
        }
    }
    /// Combines all pairs of a partition, each wrapped by `wrap`.
    fn pour<X: Record, C: Record, A: Combine<X, C>>(
        &self,
        partition: usize,
        task: &Rc<TaskContext>,
        aggregation: &mut Aggregation<K, X, C, A>,
        wrap: impl Fn(V) -> X,
    ) -> Result<(), Stop> {
        match self {
            Feed::Narrow(n) => {
                let mut cursor = n.clone().open(partition, task)?;
                feed_cursor(&mut *cursor, aggregation, |(k, v)| (k, wrap(v)))
            }
            Feed::Shuffled(s) => {
                let mut reader = s.read(partition, task)?;
                while let Some(block) = reader.next()? {
                    let pairs = block.get();
                    let values: Vec<X> = pairs.values.iter().cloned().map(&wrap).collect();
                    aggregation.add_ref(&pairs.keys, &values)?;
                }
                Ok(())
            }
        }
    }
}

struct Cogrouped<K: Record, V: Record, W: Record> {
    info: NodeInfo,
    left: Feed<K, V>,
    right: Feed<K, W>,
}

impl<K: Record + Hash + Eq, V: Record, W: Record> Node for Cogrouped<K, V, W> {
    fn info(&self) -> &NodeInfo {
        &self.info
    }
    fn dependencies(&self) -> Vec<Dependency> {
        vec![self.left.dependency(), self.right.dependency()]
    }
    fn inputs(&self, partition: usize, visit: &mut dyn FnMut(Input<'_>)) {
        self.left.input(partition, visit);
        self.right.input(partition, visit);
    }
}

type Both<V, W> = (Vec<V>, Vec<W>);

impl<K: Record + Hash + Eq, V: Record, W: Record> Lineage<(K, Both<V, W>)> for Cogrouped<K, V, W> {
    fn open(
        self: Arc<Self>,
        partition: usize,
        task: &Rc<TaskContext>,
    ) -> Result<Box<dyn Cursor<(K, Both<V, W>)>>, Stop> {
        let mut all = Aggregation::new(Arc::new(BothSides), task);
        self.left.pour(partition, task, &mut all, Side::Left)?;
        self.right.pour(partition, task, &mut all, Side::Right)?;
        Ok(Box::new(all.finish()?))
    }
}

fn cogroup_info(
    engine: &Engine,
    site: Site,
    digests: &[u64],
    partitions: usize,
    partitioner: Option<AnyPartitioner>,
) -> NodeInfo {
    NewNode { parents: digests, partitioner, ..NewNode::of(site.operation, partitions, site.location) }
        .finish(engine)
}

impl<K: Record + Hash + Eq, V: Record> Dataset<(K, V)> {
    /// The partitioner for an operation on two datasets: one of theirs if it has one, else hashing over as many
    /// partitions as the larger has.
    fn common_partitioner<W: Record>(&self, other: &Dataset<(K, W)>) -> Arc<dyn Partitioner<K>> {
        let (a, b) = (self.partitioner(), other.partitioner());
        let most = self.num_partitions().max(other.num_partitions());
        match (a, b) {
            (Some(a), Some(b)) => {
                if b.partitions() > a.partitions() {
                    b
                } else {
                    a
                }
            }
            (Some(p), None) | (None, Some(p)) => p,
            (None, None) => Partitioning::Hash(most).resolve(),
        }
    }
    fn cogroup_at<W: Record>(
        &self,
        other: &Dataset<(K, W)>,
        partitioner: Arc<dyn Partitioner<K>>,
        operation: &'static str,
        location: &'static Location<'static>,
    ) -> Dataset<(K, Both<V, W>)> {
        let site = Site { operation, location, closure: "" };
        let (left, right) = (Feed::new(self, site, &partitioner), Feed::new(other, site, &partitioner));
        let partitions = partitioner.partitions();
        let any = AnyPartitioner::new(partitioner);
        let info = cogroup_info(self.engine(), site, &[left.digest(), right.digest()], partitions, Some(any));
        Dataset::from_node(self.context(), Arc::new(Cogrouped { info, left, right }))
    }
    /// For each key of either dataset, its values in both. Keys come in the order of first appearance, those of this
    /// dataset first. The values of one key must fit in memory.
    #[track_caller]
    pub fn cogroup<W: Record>(&self, other: &Dataset<(K, W)>) -> Dataset<(K, (Vec<V>, Vec<W>))> {
        self.cogroup_at(other, self.common_partitioner(other), "cogroup", Location::caller())
    }
    /// As [`Dataset::cogroup`], partitioned as asked.
    #[track_caller]
    pub fn cogroup_with<W: Record>(
        &self,
        other: &Dataset<(K, W)>,
        partitioning: impl Into<Partitioning<K>>,
    ) -> Dataset<(K, (Vec<V>, Vec<W>))> {
        self.cogroup_at(other, partitioning.into().resolve(), "cogroup", Location::caller())
    }
    /// As [`Dataset::cogroup`] with two others.
    #[track_caller]
    pub fn cogroup3<W: Record, X: Record>(
        &self,
        second: &Dataset<(K, W)>,
        third: &Dataset<(K, X)>,
    ) -> Dataset<(K, (Vec<V>, Vec<W>, Vec<X>))> {
        self.cogroup(second).cogroup(third).map_values(|(ab, c)| {
            // A key has one entry here at most: `cogroup` made keys distinct.
            let (a, b) = ab.into_iter().next().unwrap_or_default();
            (a, b, c)
        })
    }
    /// As [`Dataset::cogroup`] with three others.
    #[track_caller]
    pub fn cogroup4<W: Record, X: Record, Y: Record>(
        &self,
        second: &Dataset<(K, W)>,
        third: &Dataset<(K, X)>,
        fourth: &Dataset<(K, Y)>,
    ) -> Dataset<(K, (Vec<V>, Vec<W>, Vec<X>, Vec<Y>))> {
        self.cogroup3(second, third).cogroup(fourth).map_values(|(abc, d)| {
            let (a, b, c) = abc.into_iter().next().unwrap_or_default();
            (a, b, c, d)
        })
    }
    /// All pairs of values of the keys that both datasets have. If both are partitioned in the same way nothing is
    /// moved.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(2)?;
    /// let ages = cx.parallelize([("ann", 31), ("bob", 27)].map(|(k, v)| (k.to_string(), v)), 2);
    /// let towns = cx.parallelize([("bob".to_string(), 'B')], 1);
    /// assert_eq!(ages.join(&towns).collect()?, [("bob".to_string(), (27, 'B'))]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn join<W: Record>(&self, other: &Dataset<(K, W)>) -> Dataset<(K, (V, W))> {
        self.join_with(other, self.common_partitioner(other))
    }
    /// As [`Dataset::join`], partitioned as asked.
    #[track_caller]
    pub fn join_with<W: Record>(
        &self,
        other: &Dataset<(K, W)>,
        partitioning: impl Into<Partitioning<K>>,
    ) -> Dataset<(K, (V, W))> {
        let both = self.cogroup_at(other, partitioning.into().resolve(), "join", Location::caller());
        both.flat_map_values(|(left, right)| cross(left, right))
    }
    /// As [`Dataset::join`], and the keys that only this dataset has, with `None`.
    #[track_caller]
    pub fn left_outer_join<W: Record>(&self, other: &Dataset<(K, W)>) -> Dataset<(K, (V, Option<W>))> {
        let both =
            self.cogroup_at(other, self.common_partitioner(other), "left_outer_join", Location::caller());
        both.flat_map_values(|(left, right)| cross(left, or_none(right)))
    }
    /// As [`Dataset::join`], and the keys that only `other` has, with `None`.
    #[track_caller]
    pub fn right_outer_join<W: Record>(&self, other: &Dataset<(K, W)>) -> Dataset<(K, (Option<V>, W))> {
        let both =
            self.cogroup_at(other, self.common_partitioner(other), "right_outer_join", Location::caller());
        both.flat_map_values(|(left, right)| cross(or_none(left), right))
    }
    /// As [`Dataset::join`], and the keys that only one of the datasets has, with `None` for the other.
    #[track_caller]
    pub fn full_outer_join<W: Record>(
        &self,
        other: &Dataset<(K, W)>,
    ) -> Dataset<(K, (Option<V>, Option<W>))> {
        let both =
            self.cogroup_at(other, self.common_partitioner(other), "full_outer_join", Location::caller());
        both.flat_map_values(|(left, right)| cross(or_none(left), or_none(right)))
    }
    /// The pairs whose key `other` does not have.
    #[track_caller]
    pub fn subtract_by_key<W: Record>(&self, other: &Dataset<(K, W)>) -> Dataset<(K, V)> {
        let partitioner = self.common_partitioner(other);
        // Values of the other side are not needed; dropping them before they are moved saves the way.
        let keys = other.map_values(|_| ());
        let both = self.cogroup_at(&keys, partitioner, "subtract_by_key", Location::caller());
        both.flat_map_values(|(left, right)| if right.is_empty() { left } else { vec![] })
    }
}

/// All pairs, left-major.
fn cross<V: Clone, W: Clone>(left: Vec<V>, right: Vec<W>) -> impl Iterator<Item = (V, W)> {
    left.into_iter().flat_map(move |v| right.clone().into_iter().map(move |w| (v.clone(), w)))
}

fn or_none<V>(values: Vec<V>) -> Vec<Option<V>> {
    if values.is_empty() { vec![None] } else { values.into_iter().map(Some).collect() }
}

impl<T: Record + Hash + Eq> Dataset<T> {
    /// The records that both datasets have, each once.
    #[track_caller]
    pub fn intersection(&self, other: &Dataset<T>) -> Dataset<T> {
        let (left, right) = (self.map(|x| (x, ())), other.map(|x| (x, ())));
        let both =
            left.cogroup_at(&right, left.common_partitioner(&right), "intersection", Location::caller());
        both.filter(|(_, (l, r))| !l.is_empty() && !r.is_empty()).keys()
    }
    /// The records that `other` does not have; those that occur several times here stay so.
    #[track_caller]
    pub fn subtract(&self, other: &Dataset<T>) -> Dataset<T> {
        self.map(|x| (x, ())).subtract_by_key(&other.map(|x| (x, ()))).keys()
    }
}
