//! `map_values`, `flat_map_values`, `keys`, `values`.

use crate::dataset::Dataset;
use crate::dataset::lineage::Data;
use std::panic::Location;

impl<K: Data, V: Data> Dataset<(K, V)> {
    /// Applies `f` to every value. Keys stay where they are, so a later operation by key needs no new shuffle.
    #[track_caller]
    pub fn map_values<W: Data, F: Fn(V) -> W + Send + Sync + 'static>(&self, f: F) -> Dataset<(K, W)> {
        self.map_keeping_keys("map_values", Location::caller(), move |(k, v)| (k, f(v)))
    }
    /// Replaces every value by those of `f(value)`, each with the key. Keys stay where they are.
    #[track_caller]
    pub fn flat_map_values<I, F>(&self, f: F) -> Dataset<(K, I::Item)>
    where
        I: IntoIterator + 'static,
        I::Item: Data,
        F: Fn(V) -> I + Send + Sync + 'static,
    {
        self.flat_map_as("flat_map_values", Location::caller(), true, move |(k, v)| {
            f(v).into_iter().map(move |w| (k.clone(), w))
        })
    }
    /// The keys.
    #[track_caller]
    pub fn keys(&self) -> Dataset<K> {
        self.map(|(k, _)| k)
    }
    /// The values.
    #[track_caller]
    pub fn values(&self) -> Dataset<V> {
        self.map(|(_, v)| v)
    }
}
