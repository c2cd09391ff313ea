//! The replica under a model checker: all interleavings of a few threads, and all values that the memory model lets a
//! load see.
//!
//! These are the crate's own sources, compiled with loom's atomics and locks.

#[path = "../src/replica.rs"]
#[allow(dead_code)]
mod replica;
#[path = "../src/sparse.rs"]
#[allow(dead_code)]
mod sparse;
#[path = "../src/value.rs"]
#[allow(dead_code)]
mod value;

mod sync {
    pub(crate) use loom::sync::{Mutex, atomic};
}

use loom::sync::Arc;
use loom::thread;
use replica::Replica;
use sparse::{Order, SparseRow, SparseRows};
use value::{Product, Value};

fn shared<V: Value>(values: &[V], shards: usize) -> Arc<Replica<V>> {
    Arc::new(Replica::new(values.iter().copied(), 1, shards))
}

fn adds_up<V: Value + 'static>(deltas: [V; 3], wanted: [V; 2]) {
    loom::model(move || {
        let replica = shared(&[V::default(); 2], 1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let replica = replica.clone();
                thread::spawn(move || {
                    replica.add(0, deltas[0]);
                    replica.add_range(0, &deltas[1..]);
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(replica.to_vec(), wanted);
    });
}

#[test]
fn no_increment_is_lost() {
    adds_up([1.0f32, 2.0, 3.0], [6.0, 6.0]);
    adds_up([1.0f64, 2.0, 3.0], [6.0, 6.0]);
    adds_up([1i32, 2, 3], [6, 6]);
    adds_up([1i64, 2, 3], [6, 6]);
    adds_up([2.0f64, 4.0, 0.5].map(Product), [64.0, 0.25].map(Product));
}

#[test]
fn no_increment_of_a_sparse_row_is_lost() {
    for order in [Order::by_column(), Order::by_value()] {
        loom::model(move || {
            let mut table = SparseRows::new(order, 2, 10);
            table.rows[1] = SparseRow::new(order, [(3, 5)]);
            let replica = Arc::new(Replica::<i64>::sparse(&table, 1, 1));
            let threads = [[(13, 1), (19, 2)], [(13, -6), (19, 5)]].map(|deltas| {
                let replica = replica.clone();
                thread::spawn(move || deltas.map(|(element, delta)| replica.add(element, delta)))
            });
            // Half of it may be seen, but never a value that nobody has made.
            assert!([5, 6, -1, 0].contains(&replica.get(13)));
            threads.into_iter().for_each(|t| assert_eq!(t.join().unwrap(), [(); 2]));
            let rows = replica.to_sparse().expect("it is sparse").rows;
            assert_eq!([rows[0].entries(), rows[1].entries()], [&[][..], &[(9, 7)]]);
        });
    }
}

/// What the gate relies on: who has seen a version sees the values that were installed before it was raised.
#[test]
fn a_version_tells_of_values_that_are_there() {
    loom::model(|| {
        let replica = shared(&[0i64; 3], 2);
        let install = |shard: usize, values: [i64; 2]| {
            let replica = replica.clone();
            thread::spawn(move || {
                match shard {
                    0 => replica.set_range(0, &values),
                    _ => replica.add(2, values[0]),
                }
                replica.raise_version(shard, values[0] as u64);
            })
        };
        let threads = [install(0, [5, 6]), install(1, [4, 0])];
        // As of all shards; half an installation may be seen, but never less than the version says.
        let version = replica.version();
        let seen = replica.to_vec();
        assert!(version == 0 || version == 4, "{version}");
        if version == 4 {
            assert_eq!(seen, [5, 6, 4]);
        }
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!((replica.version(), replica.to_vec()), (4, vec![5, 6, 4]));
    });
}

/// Two workers of a process wait for the same version: one of them asks for it, and only one.
#[test]
fn a_version_is_asked_for_once() {
    loom::model(|| {
        let replica = shared(&[0i32], 1);
        let threads: Vec<_> = [[3, 4], [4, 3]]
            .into_iter()
            .map(|versions| {
                let replica = replica.clone();
                thread::spawn(move || versions.map(|version| (version, replica.claim_pull(version, 4))))
            })
            .collect();
        let claims: Vec<(u64, bool)> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        let of = |version: u64| claims.iter().filter(|(v, claimed)| *v == version && *claimed).count();
        // Whoever needs 3 is served by an answer to 4 as well.
        assert_eq!(of(4), 1, "{claims:?}");
        assert!(of(3) <= 1, "{claims:?}");
        // Who is at clock 3 would wait for itself.
        assert!(replica.claim_pull(3, 3));
    });
}
