//! The numbers that tables hold.

use crate::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use bytemuck::{Pod, Zeroable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::{Debug, Display, Formatter};

/// What a table can hold: `f32`, `f64`, `i32` and `i64`, which are added up, [`Product`]s, and whatever else has a sum.
///
/// Sums may be taken in any order and grouping: [`plus`](Value::plus) is associative and commutative, and
/// [`Default`] is its neutral element. Whole numbers wrap around.
///
/// A table of the largest measurements, with an atomic word of the standard library:
///
/// ```
/// use slackwater_dataflow::Context;
/// use slackwater_paramstore::{Consistency, EpochsExt, TableExt, TableSpec, Value};
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// #[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
/// #[derive(bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(transparent)]
/// struct Largest(u32);
///
/// impl std::fmt::Display for Largest {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         self.0.fmt(f)
///     }
/// }
/// impl Value for Largest {
///     type Atomic = AtomicU32;
///     fn plus(self, other: Self) -> Self {
///         self.max(other)
///     }
///     fn share(self) -> AtomicU32 {
///         AtomicU32::new(self.0)
///     }
///     fn load(cell: &AtomicU32) -> Self {
///         Largest(cell.load(Relaxed))
///     }
///     fn store(cell: &AtomicU32, value: Self) {
///         cell.store(value.0, Relaxed)
///     }
///     fn add(cell: &AtomicU32, delta: Self) {
///         cell.fetch_max(delta.0, Relaxed);
///     }
/// }
/// # impl Largest {
/// #     fn max(self, other: Self) -> Self {
/// #         Largest(self.0.max(other.0))
/// #     }
/// # }
///
/// let cx = Context::local(2)?;
/// let table = cx.table("largest", TableSpec::<Largest>::dense(3, 1).consistency(Consistency::Async))?;
/// cx.range(0..1000, 4).epochs(1).batch(10).update(&table, |batch, table, _| {
///     batch.iter().for_each(|n| table.inc((n % 3) as usize, 0, Largest(*n as u32)));
/// }).run()?;
/// assert_eq!(*table.values(), [Largest(999), Largest(997), Largest(998)]);
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
pub trait Value:
    Pod + Default + PartialEq + Debug + Display + Send + Sync + Serialize + DeserializeOwned
{
    /// The same value, shared by threads.
    type Atomic: Send + Sync + 'static;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// A shared value.
    fn share(self) -> Self::Atomic;
    /// Reads a shared value. Relaxed: an entry is one word, and the gate orders a clock's reads after what it needs.
    fn load(cell: &Self::Atomic) -> Self;
    /// Overwrites a shared value.
    fn store(cell: &Self::Atomic, value: Self);
    /// Adds to a shared value; no increment is lost.
    fn add(cell: &Self::Atomic, delta: Self);
    /// How large an increment is in proportion to what it is added to: infinite for nothing. By this [`Sending`](crate::Sending)
    /// chooses what goes first.
    fn relative_to(self, value: Self) -> f64 {
        match (self.to_real(), value.to_real()) {
            (Some(delta), Some(value)) => share(delta, value),
            _ => 1.0,
        }
    }
    /// As a number, if update rules can work with it: they take `f32` and `f64`.
    fn to_real(self) -> Option<f64> {
        None
    }
    /// The nearest value of this type, of a number that an update rule has come to.
    fn from_real(_number: f64) -> Self {
        Self::default()
    }
}

fn share(delta: f64, value: f64) -> f64 {
    match delta == 0.0 {
        true => 0.0,
        false => (delta / value).abs(),
    }
}

/// Adds to a number that is kept as bits.
macro_rules! add_bits {
    ($cell:expr, $of_bits:expr, $to_bits:expr, $delta:expr) => {{
        let mut seen = $cell.load(Relaxed);
        loop {
            let sum = $to_bits($of_bits(seen).plus($delta));
            match $cell.compare_exchange_weak(seen, sum, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }};
}

macro_rules! float {
    ($float:ty, $atomic:ty) => {
        impl Value for $float {
            type Atomic = $atomic;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            fn share(self) -> Self::Atomic {
                <$atomic>::new(self.to_bits())
            }
            #[inline(always)]
            fn load(cell: &Self::Atomic) -> Self {
                <$float>::from_bits(cell.load(Relaxed))
            }
            #[inline(always)]
            fn store(cell: &Self::Atomic, value: Self) {
                cell.store(value.to_bits(), Relaxed)
            }
            #[inline(always)]
            fn add(cell: &Self::Atomic, delta: Self) {
                add_bits!(cell, <$float>::from_bits, <$float>::to_bits, delta)
            }
            #[inline(always)]
            fn to_real(self) -> Option<f64> {
                Some(self as f64)
            }
            #[inline(always)]
            fn from_real(number: f64) -> Self {
                number as $float
            }
        }
        impl Value for Product<$float> {
            type Atomic = $atomic;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                Product(self.0 * other.0)
            }
            fn share(self) -> Self::Atomic {
                self.0.share()
            }
            #[inline(always)]
            fn load(cell: &Self::Atomic) -> Self {
                Product(<$float>::load(cell))
            }
            #[inline(always)]
            fn store(cell: &Self::Atomic, value: Self) {
                <$float>::store(cell, value.0)
            }
            #[inline(always)]
            fn add(cell: &Self::Atomic, delta: Self) {
                let of_bits = |bits| Product(<$float>::from_bits(bits));
                add_bits!(cell, of_bits, |product: Self| product.0.to_bits(), delta)
            }
            /// By how much it changes whatever it is multiplied into.
            fn relative_to(self, _: Self) -> f64 {
                f64::from(self.0 - 1.0).abs()
            }
        }
        impl Default for Product<$float> {
            fn default() -> Self {
                Product(1.0)
            }
        }
    };
}

macro_rules! whole {
    ($whole:ty, $atomic:ty) => {
        impl Value for $whole {
            type Atomic = $atomic;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn share(self) -> Self::Atomic {
                <$atomic>::new(self)
            }
            #[inline(always)]
            fn load(cell: &Self::Atomic) -> Self {
                cell.load(Relaxed)
            }
            #[inline(always)]
            fn store(cell: &Self::Atomic, value: Self) {
                cell.store(value, Relaxed)
            }
            #[inline(always)]
            fn add(cell: &Self::Atomic, delta: Self) {
                cell.fetch_add(delta, Relaxed);
            }
            fn relative_to(self, value: Self) -> f64 {
                share(self as f64, value as f64)
            }
        }
    };
}

/// A number that increments are multiplied into: rows of these are multiplicative. They begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Pod, Zeroable)]
#[repr(transparent)]
pub struct Product<F>(pub F);

impl<F: Display> Display for Product<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

float!(f32, AtomicU32);
float!(f64, AtomicU64);
whole!(i32, AtomicI32);
whole!(i64, AtomicI64);
