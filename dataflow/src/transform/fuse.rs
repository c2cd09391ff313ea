//! `fuse`: several operations composed into one loop.

use super::step::Step;
use crate::dataset::Dataset;
use crate::dataset::lineage::{Chunk, Data, Stop};
use crate::exec::task::TaskContext;
use std::panic::Location;

/// Operations composed statically: no buffer and no virtual call between them.
pub trait Steps<T>: Send + Sync + Sized + 'static {
    /// What comes out.
    type Out: Data;
    /// Passes one record through.
    fn apply(&self, record: T, emit: &mut impl FnMut(Self::Out));
    /// Applies `f` to every record.
    fn map<V: Data, F: Fn(Self::Out) -> V + Send + Sync + 'static>(self, f: F) -> MapStep<Self, F> {
        MapStep(self, f)
    }
    /// Keeps the records for which `f` is true.
    fn filter<F: Fn(&Self::Out) -> bool + Send + Sync + 'static>(self, f: F) -> FilterStep<Self, F> {
        FilterStep(self, f)
    }
    /// Replaces every record by those of `f(record)`.
    fn flat_map<I: IntoIterator, F: Fn(Self::Out) -> I + Send + Sync + 'static>(
        self,
        f: F,
    ) -> FlatMapStep<Self, F> {
        FlatMapStep(self, f)
    }
}

/// Where a fused chain begins.
pub struct Start<T>(std::marker::PhantomData<fn(T)>);
/// A fused `map`.
pub struct MapStep<S, F>(S, F);
/// A fused `filter`.
pub struct FilterStep<S, F>(S, F);
/// A fused `flat_map`.
pub struct FlatMapStep<S, F>(S, F);

impl<T: Data> Steps<T> for Start<T> {
    type Out = T;
    #[inline(always)]
    fn apply(&self, record: T, emit: &mut impl FnMut(T)) {
        emit(record)
    }
}

impl<T, V: Data, S: Steps<T>, F: Fn(S::Out) -> V + Send + Sync + 'static> Steps<T> for MapStep<S, F> {
    type Out = V;
    #[inline(always)]
    fn apply(&self, record: T, emit: &mut impl FnMut(V)) {
        self.0.apply(record, &mut |x| emit((self.1)(x)))
    }
}

impl<T, S: Steps<T>, F: Fn(&S::Out) -> bool + Send + Sync + 'static> Steps<T> for FilterStep<S, F> {
    type Out = S::Out;
    #[inline(always)]
    fn apply(&self, record: T, emit: &mut impl FnMut(S::Out)) {
        self.0.apply(record, &mut |x| {
            if (self.1)(&x) {
                emit(x)
            }
        })
    }
}

impl<T, I, S: Steps<T>, F: Fn(S::Out) -> I + Send + Sync + 'static> Steps<T> for FlatMapStep<S, F>
where
    I: IntoIterator,
    I::Item: Data,
{
    type Out = I::Item;
    #[inline(always)]
    fn apply(&self, record: T, emit: &mut impl FnMut(I::Item)) {
        self.0.apply(record, &mut |x| (self.1)(x).into_iter().for_each(&mut *emit))
    }
}

struct Fused<S>(S);

impl<T: Data, S: Steps<T>> Step<T, S::Out> for Fused<S> {
    fn run(&self, chunk: Chunk<'_, T>, out: &mut Vec<S::Out>, _: &TaskContext) -> Result<(), Stop> {
        // Most chains keep most records: one growth at most.
        out.reserve(chunk.len());
        let mut put = |x| out.push(x);
        match chunk {
            Chunk::Owned(v) => v.drain(..).for_each(|x| self.0.apply(x, &mut put)),
            Chunk::Shared(s) => s.iter().cloned().for_each(|x| self.0.apply(x, &mut put)),
        }
        Ok(())
    }
}

impl<T: Data> Dataset<T> {
    /// Composes `map`, `filter` and `flat_map` into one loop, for the hottest chains.
    ///
    /// ```
    /// use slackwater_dataflow::Steps;
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// let odd = cx.range(0..6, 2).fuse(|s| s.map(|x| x + 1).filter(|x| x % 2 == 1).map(|x| x * 10));
    /// assert_eq!(odd.collect()?, [10, 30, 50]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn fuse<S: Steps<T>>(&self, chain: impl FnOnce(Start<T>) -> S) -> Dataset<S::Out> {
        self.step::<S::Out, S>(
            "fuse",
            Location::caller(),
            false,
            Fused(chain(Start(std::marker::PhantomData))),
        )
    }
}
