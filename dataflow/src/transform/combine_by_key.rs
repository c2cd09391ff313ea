//! Operations that bring the values of a key together: `combine_by_key`, `aggregate_by_key`, `fold_by_key`,
//! `reduce_by_key`, `group_by_key`, `group_by`, `distinct`.

use super::exchange::{
    ByHash, ByPartitioner, CombinedNode, LocalCombinedNode, Site, combining, plain, reading_info,
};
use super::partitioner::{Partitioner, Partitioning};
use crate::dataset::Dataset;
use crate::dataset::lineage::{AnyPartitioner, Lineage, Record};
use crate::dataset::node::narrow;
use crate::exec::aggregate::Combine;
use std::hash::Hash;
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

/// `combine_by_key` on the map side.
pub(crate) struct Create<F, G>(F, G);
impl<V, C, F, G> Combine<V, C> for Create<F, G>
where
    F: Fn(V) -> C + Send + Sync + 'static,
    G: Fn(&mut C, V) + Send + Sync + 'static,
{
    const GROWS: bool = false;
    #[inline]
    fn create(&self, v: V) -> C {
        (self.0)(v)
    }
    #[inline]
    fn merge(&self, c: &mut C, v: V) {
        (self.1)(c, v)
    }
}

/// Merging of combined values.
pub(crate) struct Reduce<G>(pub G);
impl<C, G: Fn(&mut C, C) + Send + Sync + 'static> Combine<C, C> for Reduce<G> {
    const GROWS: bool = false;
    #[inline]
    fn create(&self, c: C) -> C {
        c
    }
    #[inline]
    fn merge(&self, c: &mut C, other: C) {
        (self.0)(c, other)
    }
}

/// Lists of values.
pub(crate) struct Collect;
impl<V: 'static> Combine<V, Vec<V>> for Collect {
    const GROWS: bool = true;
    #[inline]
    fn create(&self, v: V) -> Vec<V> {
        vec![v]
    }
    #[inline]
    fn merge(&self, c: &mut Vec<V>, v: V) {
        c.push(v)
    }
}

impl<K: Record + Hash + Eq, V: Record> Dataset<(K, V)> {
    /// The partitioner that an operation by key uses when it is not given one: the one the data has already, or hashing
    /// over as many partitions as the data has.
    pub(crate) fn default_partitioner(&self) -> Arc<dyn Partitioner<K>> {
        self.partitioner().unwrap_or_else(|| Partitioning::Hash(self.num_partitions()).resolve())
    }

    /// How the keys are partitioned, if that is known.
    pub fn partitioner(&self) -> Option<Arc<dyn Partitioner<K>>> {
        self.any_partitioner()?.typed::<K>()
    }

    fn is_partitioned_by(&self, partitioner: &Arc<dyn Partitioner<K>>) -> bool {
        self.any_partitioner().is_some_and(|p| p.id == partitioner.id())
    }

    /// Values that are only moved, then combined.
    fn combine_after<C: Record, A: Combine<V, C>>(
        &self,
        site: Site,
        partitioner: Arc<dyn Partitioner<K>>,
        combine: A,
    ) -> Dataset<(K, C)> {
        let (engine, up, combine) = (self.engine(), self.lineage(), Arc::new(combine));
        if self.is_partitioned_by(&partitioner) {
            return self.combine_locally(site, combine);
        }
        let any = AnyPartitioner::new(partitioner.clone());
        let shuffle = match any.id.kind.as_str() {
            "hash" => {
                let n = any.id.partitions;
                plain(engine, site, up, n, move |_| ByHash(n))
            }
            _ => plain(engine, site, up, any.id.partitions, move |_| ByPartitioner(partitioner.clone())),
        };
        let info = reading_info(engine, site, crate::exec::shuffle::ShuffleStage::info(&*shuffle), Some(any));
        let node: Arc<dyn Lineage<_>> = Arc::new(CombinedNode { info, shuffle, combine, _c: PhantomData });
        Dataset::from_node(self.context(), node)
    }

    fn combine_locally<C: Record, A: Combine<V, C>>(&self, site: Site, combine: Arc<A>) -> Dataset<(K, C)> {
        let info = narrow::<A>(self.engine(), site.operation, self.lineage().info(), site.location, true);
        let node = LocalCombinedNode { info, up: self.lineage().clone(), combine, _c: PhantomData };
        Dataset::from_node(self.context(), Arc::new(node))
    }

    /// Values that are combined, moved, and combined again.
    fn combine_both<C: Record, A: Combine<V, C>, B: Combine<C, C>>(
        &self,
        site: Site,
        partitioner: Arc<dyn Partitioner<K>>,
        first: A,
        second: B,
    ) -> Dataset<(K, C)> {
        let (engine, up, first) = (self.engine(), self.lineage(), Arc::new(first));
        if self.is_partitioned_by(&partitioner) {
            return self.combine_locally(site, first);
        }
        let any = AnyPartitioner::new(partitioner.clone());
        let shuffle = match any.id.kind.as_str() {
            "hash" => {
                let n = any.id.partitions;
                combining(engine, site, up, n, &first, move |_| ByHash(n))
            }
            _ => combining(engine, site, up, any.id.partitions, &first, move |_| {
                ByPartitioner(partitioner.clone())
            }),
        };
        let info = reading_info(engine, site, crate::exec::shuffle::ShuffleStage::info(&*shuffle), Some(any));
        let combine = Arc::new(second);
        let node: Arc<dyn Lineage<_>> = Arc::new(CombinedNode { info, shuffle, combine, _c: PhantomData });
        Dataset::from_node(self.context(), node)
    }

    /// Combines the values of each key: `create` makes a combined value of the first, `merge_value` adds one more,
    /// `merge_combined` joins two. Values are combined before they are moved, as far as that makes them fewer.
    ///
    /// Keys come out in a fixed order; values are combined in the order of the input within a map partition, and of
    /// map partitions after that.
    #[track_caller]
    pub fn combine_by_key<C, F, G, H>(&self, create: F, merge_value: G, merge_combined: H) -> Dataset<(K, C)>
    where
        C: Record,
        F: Fn(V) -> C + Send + Sync + 'static,
        G: Fn(&mut C, V) + Send + Sync + 'static,
        H: Fn(&mut C, C) + Send + Sync + 'static,
    {
        self.combine_by_key_with(self.default_partitioner(), create, merge_value, merge_combined)
    }
    /// As [`Dataset::combine_by_key`], partitioned as asked.
    #[track_caller]
    pub fn combine_by_key_with<C, F, G, H>(
        &self,
        partitioning: impl Into<Partitioning<K>>,
        create: F,
        merge_value: G,
        merge_combined: H,
    ) -> Dataset<(K, C)>
    where
        C: Record,
        F: Fn(V) -> C + Send + Sync + 'static,
        G: Fn(&mut C, V) + Send + Sync + 'static,
        H: Fn(&mut C, C) + Send + Sync + 'static,
    {
        let closure = std::any::type_name::<(F, G, H)>();
        let site = Site { operation: "combine_by_key", location: Location::caller(), closure };
        let partitioner = partitioning.into().resolve();
        self.combine_both(site, partitioner, Create(create, merge_value), Reduce(merge_combined))
    }
    /// Combines the values of each key into a value of another type, beginning with `zero`.
    #[track_caller]
    pub fn aggregate_by_key<C, G, H>(&self, zero: C, add: G, merge: H) -> Dataset<(K, C)>
    where
        C: Record,
        G: Fn(&mut C, V) + Send + Sync + 'static,
        H: Fn(&mut C, C) + Send + Sync + 'static,
    {
        self.aggregate_by_key_with(self.default_partitioner(), zero, add, merge)
    }
    /// As [`Dataset::aggregate_by_key`], partitioned as asked.
    #[track_caller]
    pub fn aggregate_by_key_with<C, G, H>(
        &self,
        partitioning: impl Into<Partitioning<K>>,
        zero: C,
        add: G,
        merge: H,
    ) -> Dataset<(K, C)>
    where
        C: Record,
        G: Fn(&mut C, V) + Send + Sync + 'static,
        H: Fn(&mut C, C) + Send + Sync + 'static,
    {
        let closure = std::any::type_name::<(G, H)>();
        let site = Site { operation: "aggregate_by_key", location: Location::caller(), closure };
        let add = Arc::new(add);
        let first = add.clone();
        let create = move |v: V| {
            let mut c = zero.clone();
            first(&mut c, v);
            c
        };
        let partitioner = partitioning.into().resolve();
        self.combine_both(site, partitioner, Create(create, move |c: &mut C, v| add(c, v)), Reduce(merge))
    }
    /// Folds the values of each key, beginning with `zero` once in every map partition that has the key.
    #[track_caller]
    pub fn fold_by_key<G: Fn(&mut V, V) + Send + Sync + Clone + 'static>(
        &self,
        zero: V,
        f: G,
    ) -> Dataset<(K, V)> {
        let g = f.clone();
        self.aggregate_by_key(zero, f, g)
    }
    /// Combines the values of each key with an associative `f`, before and after they are moved.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(2)?;
    /// let pairs = cx.parallelize([("a".to_string(), 1), ("b".to_string(), 2), ("a".to_string(), 3)], 2);
    /// let mut sums = pairs.reduce_by_key(|a, b| *a += b).collect()?;
    /// sums.sort();
    /// assert_eq!(sums, [("a".to_string(), 4), ("b".to_string(), 2)]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn reduce_by_key<G>(&self, f: G) -> Dataset<(K, V)>
    where
        G: Fn(&mut V, V) + Send + Sync + 'static,
    {
        self.reduce_by_key_with(self.default_partitioner(), f)
    }
    /// As [`Dataset::reduce_by_key`], partitioned as asked.
    #[track_caller]
    pub fn reduce_by_key_with<G>(&self, partitioning: impl Into<Partitioning<K>>, f: G) -> Dataset<(K, V)>
    where
        G: Fn(&mut V, V) + Send + Sync + 'static,
    {
        let site = Site {
            operation: "reduce_by_key",
            location: Location::caller(),
            closure: std::any::type_name::<G>(),
        };
        let f = Arc::new(f);
        let (first, second) = (f.clone(), f);
        self.combine_both(
            site,
            partitioning.into().resolve(),
            Reduce(move |a: &mut V, b| first(a, b)),
            Reduce(move |a: &mut V, b| second(a, b)),
        )
    }
    /// All values of each key as a list, in the order of the input. Every value is moved: prefer
    /// [`Dataset::reduce_by_key`] or [`Dataset::aggregate_by_key`] where they do. The values of one key must fit in
    /// memory.
    #[track_caller]
    pub fn group_by_key(&self) -> Dataset<(K, Vec<V>)> {
        self.group_by_key_with(self.default_partitioner())
    }
    /// As [`Dataset::group_by_key`], partitioned as asked.
    #[track_caller]
    pub fn group_by_key_with(&self, partitioning: impl Into<Partitioning<K>>) -> Dataset<(K, Vec<V>)> {
        let site = Site { operation: "group_by_key", location: Location::caller(), closure: "" };
        self.combine_after(site, partitioning.into().resolve(), Collect)
    }
}

impl<T: Record> Dataset<T> {
    /// Groups records by `f(record)`.
    #[track_caller]
    pub fn group_by<K, F>(&self, f: F) -> Dataset<(K, Vec<T>)>
    where
        K: Record + Hash + Eq,
        F: Fn(&T) -> K + Send + Sync + 'static,
    {
        self.key_by(f).group_by_key()
    }
}

impl<T: Record + Hash + Eq> Dataset<T> {
    /// Each record once, in the order of first appearance within its new partition.
    #[track_caller]
    pub fn distinct(&self) -> Dataset<T> {
        self.distinct_with(self.num_partitions().max(1))
    }
    /// As [`Dataset::distinct`], over `partitions` partitions.
    #[track_caller]
    pub fn distinct_with(&self, partitions: usize) -> Dataset<T> {
        self.map(|x| (x, ())).reduce_by_key_with(partitions, |_, _| ()).keys()
    }
}
