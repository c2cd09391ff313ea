//! `map` and `map_ref`.

use super::step::Step;
use crate::dataset::Dataset;
use crate::dataset::lineage::{Chunk, Data, Stop};
use crate::exec::task::TaskContext;
use std::panic::Location;

struct Map<F>(F);

impl<T: Data, U: Data, F: Fn(T) -> U + Send + Sync + 'static> Step<T, U> for Map<F> {
    type Scratch = ();
    fn run(&self, chunk: Chunk<'_, T>, _: &mut (), out: &mut Vec<U>, _: &TaskContext) -> Result<(), Stop> {
        // `Drain` and `Cloned` know their length: no capacity check a record, and the loop vectorises.
        match chunk {
            Chunk::Owned(v) => out.extend(v.drain(..).map(&self.0)),
            Chunk::Shared(s) => out.extend(s.iter().cloned().map(&self.0)),
        }
        Ok(())
    }
}

struct MapRef<F>(F);

impl<T: Data, U: Data, F: Fn(&T) -> U + Send + Sync + 'static> Step<T, U> for MapRef<F> {
    type Scratch = ();
    fn run(&self, chunk: Chunk<'_, T>, _: &mut (), out: &mut Vec<U>, _: &TaskContext) -> Result<(), Stop> {
        out.extend(chunk.as_slice().iter().map(&self.0));
        Ok(())
    }
}

impl<T: Data> Dataset<T> {
    /// Applies `f` to every record.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// assert_eq!(cx.range(0..3, 2).map(|x| x + 1).collect()?, [1, 2, 3]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn map<U: Data, F: Fn(T) -> U + Send + Sync + 'static>(&self, f: F) -> Dataset<U> {
        self.step::<U, F>("map", Location::caller(), false, Map(f))
    }
    /// As `map`, but looks at the record where it lies: cached records are not cloned.
    #[track_caller]
    pub fn map_ref<U: Data, F: Fn(&T) -> U + Send + Sync + 'static>(&self, f: F) -> Dataset<U> {
        self.step::<U, F>("map_ref", Location::caller(), false, MapRef(f))
    }
    /// Pairs every record with its key `f(record)`.
    #[track_caller]
    pub fn key_by<K: Data, F: Fn(&T) -> K + Send + Sync + 'static>(&self, f: F) -> Dataset<(K, T)> {
        self.step::<(K, T), F>("key_by", Location::caller(), false, Map(move |x: T| (f(&x), x)))
    }
    pub(crate) fn map_keeping_keys<U: Data, F: Fn(T) -> U + Send + Sync + 'static>(
        &self,
        operation: &'static str,
        site: &'static Location<'static>,
        f: F,
    ) -> Dataset<U> {
        self.step::<U, F>(operation, site, true, Map(f))
    }
}
