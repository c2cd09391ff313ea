//! The numbers that tables hold.

use bytemuck::Pod;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::{Debug, Display};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

/// A number that a table can hold: `f32`, `f64`, `i32` or `i64`. Whole numbers wrap around.
pub trait Value:
    Pod + Default + PartialEq + Debug + Display + Send + Sync + Serialize + DeserializeOwned
{
    /// The same number, shared by threads.
    type Atomic: Send + Sync + 'static;
    /// One.
    const ONE: Self;
    /// True for `f32` and `f64`.
    const IS_FLOAT: bool;
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The nearest `f64`.
    fn to_f64(self) -> f64;
    /// The nearest number of this type.
    fn from_f64(value: f64) -> Self;
    /// A shared number.
    fn share(self) -> Self::Atomic;
    /// Reads a shared number. Relaxed: an entry is one word, and the gate orders a clock's reads after what it needs.
    fn load(cell: &Self::Atomic) -> Self;
    /// Overwrites a shared number.
    fn store(cell: &Self::Atomic, value: Self);
    /// Adds to a shared number; no increment is lost.
    fn add(cell: &Self::Atomic, delta: Self);
}

macro_rules! float {
    ($float:ty, $atomic:ty) => {
        impl Value for $float {
            type Atomic = $atomic;
            const ONE: Self = 1.0;
            const IS_FLOAT: bool = true;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $float
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
                let mut seen = cell.load(Relaxed);
                loop {
                    let sum = (<$float>::from_bits(seen) + delta).to_bits();
                    match cell.compare_exchange_weak(seen, sum, Relaxed, Relaxed) {
                        Ok(_) => return,
                        Err(now) => seen = now,
                    }
                }
            }
        }
    };
}

macro_rules! whole {
    ($whole:ty, $atomic:ty) => {
        impl Value for $whole {
            type Atomic = $atomic;
            const ONE: Self = 1;
            const IS_FLOAT: bool = false;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn from_f64(value: f64) -> Self {
                value.round() as $whole
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
        }
    };
}

float!(f32, AtomicU32);
float!(f64, AtomicU64);
whole!(i32, AtomicI32);
whole!(i64, AtomicI64);

#[cfg(test)]
mod tests {
    use super::*;

    fn no_increment_is_lost<V: Value>() {
        let cell = V::default().share();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| V::add(&cell, V::ONE)));
            }
        });
        assert_eq!(V::load(&cell).to_f64(), 40_000.0);
    }

    #[test]
    fn increments_of_threads_add_up() {
        no_increment_is_lost::<f32>();
        no_increment_is_lost::<f64>();
        no_increment_is_lost::<i32>();
        no_increment_is_lost::<i64>();
    }
}
