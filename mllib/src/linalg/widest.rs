//! Loops for the widest vectors that the processor has.

use faer::traits::ComplexField;

/// Runs `f`, compiled for several widths of vectors, as compiled for the widest that this processor has.
///
/// Only what is inlined into `f` is compiled so, and `f` itself only if it is inlined: mark both `#[inline(always)]`. Functions of
/// the library that take closures, such as `array::from_fn`, or `for_each` of two iterators that are zipped, may be called instead:
/// loops are written as loops. Rounding does not depend on the width: the
/// compiler neither reorders sums nor fuses additions with multiplications.
#[inline(always)]
pub(crate) fn widest<R>(f: impl FnOnce() -> R) -> R {
    <f32 as ComplexField>::Arch::default().dispatch(f)
}
