//! Numbers that threads add to.

use slackwater_paramstore::Value;

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
