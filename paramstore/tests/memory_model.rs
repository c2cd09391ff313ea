//! The replica under a model checker: all interleavings of a few threads, and all values that the memory model lets a
//! load see.
//!
//! These are the crate's own sources, compiled with loom's atomics and locks.

#[path = "../src/replica.rs"]
#[allow(dead_code)]
mod replica;
#[path = "../src/value.rs"]
#[allow(dead_code)]
mod value;

mod sync {
    pub(crate) use loom::sync::{Mutex, atomic};
}

use loom::sync::Arc;
use loom::thread;
use replica::Replica;
use value::Value;

fn shared<V: Value>(values: &[V], shards: usize) -> Arc<Replica<V>> {
    Arc::new(Replica::new(values.iter().copied(), shards))
}

fn adds_up<V: Value + 'static>() {
    loom::model(|| {
        let replica = shared(&[V::default(); 2], 1);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let replica = replica.clone();
                thread::spawn(move || {
                    replica.add(0, V::ONE);
                    replica.add_range(0, &[V::ONE, V::ONE]);
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        let sums: Vec<f64> = replica.to_vec(2).into_iter().map(V::to_f64).collect();
        assert_eq!(sums, [4.0, 2.0]);
    });
}

#[test]
fn no_increment_is_lost() {
    adds_up::<f32>();
    adds_up::<f64>();
    adds_up::<i32>();
    adds_up::<i64>();
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
        let seen = replica.to_vec(3);
        assert!(version == 0 || version == 4, "{version}");
        if version == 4 {
            assert_eq!(seen, [5, 6, 4]);
        }
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!((replica.version(), replica.to_vec(3)), (4, vec![5, 6, 4]));
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
