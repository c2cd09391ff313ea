//! Values that threads add to.

use slackwater_paramstore::{Product, Value};

const THREADS: i32 = 4;

/// Adds to one value in several threads, and alone.
fn shared_and_alone<V: Value>(deltas: &[V]) -> [V; 2] {
    let cell = V::default().share();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..5000).for_each(|_| deltas.iter().for_each(|d| V::add(&cell, *d))));
        }
    });
    let all = (0..THREADS * 5000).flat_map(|_| deltas);
    [V::load(&cell), all.fold(V::default(), |sum, delta| sum.plus(*delta))]
}

#[test]
fn increments_of_threads_add_up() {
    assert_eq!(shared_and_alone(&[1.0f32]), [20_000.0; 2]);
    assert_eq!(shared_and_alone(&[1.0f64, 2.0]), [60_000.0; 2]);
    assert_eq!(shared_and_alone(&[1i32, -3]), [-40_000; 2]);
    assert_eq!(shared_and_alone(&[i64::MAX, 1]), [i64::MIN.wrapping_mul(20_000); 2]);
}

#[test]
fn products_of_threads_are_multiplied() {
    // Powers of two: exact in any order.
    assert_eq!(shared_and_alone(&[Product(2.0f32), Product(0.5)]), [Product(1.0); 2]);
    let [shared, alone] = shared_and_alone(&[Product(1.0f64 + 1e-5)]);
    assert!((shared.0 / alone.0 - 1.0).abs() < 1e-9 && (shared.0.ln() - 0.2).abs() < 1e-5, "{shared}");
}
