//! `fuse`: several operations composed into one loop.

use super::filter::{WINDOW, compact, put};
use super::step::Step;
use crate::dataset::Dataset;
use crate::dataset::lineage::{Chunk, Data, Stop};
use crate::exec::task::TaskContext;
use std::marker::PhantomData;
use std::panic::Location;

/// Operations composed statically: no buffer and no virtual call between them.
pub trait Steps<T>: Send + Sync + Sized + 'static {
    /// What comes out.
    type Out: Data;
    /// Buffers that a running chain keeps from chunk to chunk.
    #[doc(hidden)]
    type Scratch: Default + 'static;
    /// True if every record gives one record.
    #[doc(hidden)]
    const ONE_TO_ONE: bool;
    /// Passes one record through.
    fn apply(&self, record: T, emit: &mut impl FnMut(Self::Out));
    /// What one record becomes; for chains that are `ONE_TO_ONE`.
    #[doc(hidden)]
    fn one(&self, record: T) -> Self::Out;
    /// Passes a chunk through, then each record through `last`, and appends what comes out.
    #[doc(hidden)]
    fn run<V>(
        &self,
        chunk: Chunk<'_, T>,
        _: &mut Self::Scratch,
        last: impl Fn(Self::Out) -> V,
        out: &mut Vec<V>,
    ) where
        T: Data,
    {
        chunk.for_each(|record| self.apply(record, &mut |x| out.push(last(x))));
    }
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
pub struct Start<T>(PhantomData<fn(T)>);
/// A fused `map`.
pub struct MapStep<S, F>(S, F);
/// A fused `filter`.
pub struct FilterStep<S, F>(S, F);
/// A fused `flat_map`.
pub struct FlatMapStep<S, F>(S, F);

impl<T: Data> Steps<T> for Start<T> {
    type Out = T;
    type Scratch = ();
    const ONE_TO_ONE: bool = true;
    #[inline(always)]
    fn apply(&self, record: T, emit: &mut impl FnMut(T)) {
        emit(record)
    }
    #[inline(always)]
    fn one(&self, record: T) -> T {
        record
    }
    #[inline(always)]
    fn run<V>(&self, chunk: Chunk<'_, T>, _: &mut (), last: impl Fn(T) -> V, out: &mut Vec<V>) {
        // `Drain` and `Cloned` know their length: the loop has no capacity check and vectorises.
        match chunk {
            Chunk::Owned(v) => out.extend(v.drain(..).map(last)),
            Chunk::Shared(s) => out.extend(s.iter().cloned().map(last)),
        }
    }
}

impl<T, V: Data, S: Steps<T>, F: Fn(S::Out) -> V + Send + Sync + 'static> Steps<T> for MapStep<S, F> {
    type Out = V;
    type Scratch = S::Scratch;
    const ONE_TO_ONE: bool = S::ONE_TO_ONE;
    #[inline(always)]
    fn apply(&self, record: T, emit: &mut impl FnMut(V)) {
        self.0.apply(record, &mut |x| emit((self.1)(x)))
    }
    #[inline(always)]
    fn one(&self, record: T) -> V {
        (self.1)(self.0.one(record))
    }
    #[inline(always)]
    fn run<W>(&self, chunk: Chunk<'_, T>, scratch: &mut S::Scratch, last: impl Fn(V) -> W, out: &mut Vec<W>)
    where
        T: Data,
    {
        self.0.run(chunk, scratch, |x| last((self.1)(x)), out)
    }
}

impl<T, S: Steps<T>, F: Fn(&S::Out) -> bool + Send + Sync + 'static> Steps<T> for FilterStep<S, F> {
    type Out = S::Out;
    type Scratch = (S::Scratch, Vec<S::Out>);
    const ONE_TO_ONE: bool = false;
    #[inline(always)]
    fn apply(&self, record: T, emit: &mut impl FnMut(S::Out)) {
        self.0.apply(record, &mut |x| {
            if (self.1)(&x) {
                emit(x)
            }
        })
    }
    fn one(&self, _: T) -> S::Out {
        unreachable!("a filter is not one to one")
    }
    /// Two loops without a branch a record: one loop would mispredict wherever the predicate is neither rare nor common.
    #[inline(always)]
    fn run<V>(
        &self,
        chunk: Chunk<'_, T>,
        (scratch, kept): &mut Self::Scratch,
        last: impl Fn(S::Out) -> V,
        out: &mut Vec<V>,
    ) where
        T: Data,
    {
        use std::mem::needs_drop;
        if needs_drop::<S::Out>() || S::ONE_TO_ONE && needs_drop::<T>() {
            chunk.for_each(|record| self.apply(record, &mut |x| out.push(last(x))));
        } else if S::ONE_TO_ONE {
            let n = keep_some(chunk.as_slice(), |x| self.0.one(x), &self.1, kept);
            out.extend(kept[..n].iter().cloned().map(last));
        } else {
            kept.clear();
            self.0.run(chunk, scratch, |x| x, kept);
            compact(kept, &self.1);
            out.extend(kept.drain(..).map(last));
        }
    }
}

impl<T, I, S: Steps<T>, F: Fn(S::Out) -> I + Send + Sync + 'static> Steps<T> for FlatMapStep<S, F>
where
    I: IntoIterator,
    I::Item: Data,
{
    type Out = I::Item;
    type Scratch = ();
    const ONE_TO_ONE: bool = false;
    #[inline(always)]
    fn apply(&self, record: T, emit: &mut impl FnMut(I::Item)) {
        self.0.apply(record, &mut |x| (self.1)(x).into_iter().for_each(&mut *emit))
    }
    fn one(&self, _: T) -> I::Item {
        unreachable!("a flat_map is not one to one")
    }
}

/// Writes `f(record)` of every record to the front of `kept`, and goes on to the next place only if it is to be kept;
/// returns how many were. `kept` stays as long as it ever was, so that it is filled once.
#[inline(always)]
fn keep_some<T: Clone, U: Clone>(
    records: &[T],
    f: impl Fn(T) -> U,
    keep: impl Fn(&U) -> bool,
    kept: &mut Vec<U>,
) -> usize {
    let (mut records, mut n) = (records, 0);
    if kept.len() < records.len() + WINDOW {
        let Some((first, rest)) = records.split_first() else { return 0 };
        let x = f(first.clone());
        n = keep(&x) as usize;
        kept.clear();
        kept.resize(records.len() + WINDOW, x);
        records = rest;
    }
    let (windows, rest) = records.as_chunks::<WINDOW>();
    for window in windows {
        n += put(&mut kept[n..], std::array::from_fn(|i| f(window[i].clone())), &keep);
    }
    for record in rest {
        let x = f(record.clone());
        let keeps = keep(&x);
        kept[n] = x;
        n += keeps as usize;
    }
    n
}

struct Fused<T, S> {
    chain: S,
    _in: PhantomData<fn(T)>,
}

impl<T: Data, S: Steps<T>> Step<T, S::Out> for Fused<T, S> {
    type Scratch = S::Scratch;
    fn run(
        &self,
        chunk: Chunk<'_, T>,
        scratch: &mut S::Scratch,
        out: &mut Vec<S::Out>,
        _: &TaskContext,
    ) -> Result<(), Stop> {
        self.chain.run(chunk, scratch, |x| x, out);
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
            Fused { chain: chain(Start(PhantomData)), _in: PhantomData },
        )
    }
}
