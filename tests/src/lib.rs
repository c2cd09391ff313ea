//! What the tests share: contexts, and a naive interpreter of the operations over `Vec<Vec<T>>`.
//!
//! The interpreter says not only which records an operation gives but in which partition and in which order, so tests
//! compare partition by partition.

pub mod cluster;
pub mod inject;
pub mod object_server;
pub mod program;
pub mod small;

use slackwater_dataflow::hash::{hash_of, partition_of};
use slackwater_dataflow::{Config, Context};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::OnceLock;

/// Partitions of records: what a dataset is, without laziness, workers or spilling.
pub type Parts<T> = Vec<Vec<T>>;

/// Contexts with 1, 2 and 4 workers, shared by the tests of a binary.
pub fn contexts() -> &'static [Context] {
    static ALL: OnceLock<Vec<Context>> = OnceLock::new();
    ALL.get_or_init(|| [1, 2, 4].map(|w| Context::local(w).expect("a context")).into())
}

/// Contexts with 1, 2 and 4 workers and the least memory that a context may have, so that everything spills.
pub fn tight_contexts() -> &'static [Context] {
    static ALL: OnceLock<Vec<Context>> = OnceLock::new();
    ALL.get_or_init(|| {
        let make = |workers| {
            Context::new(Config { workers, memory_budget_bytes: 1 << 20, ..Config::default() })
                .expect("a context")
        };
        [1, 2, 4].map(make).into()
    })
}

/// Cuts records as `parallelize` does.
pub fn cut<T: Clone>(records: &[T], partitions: usize) -> Parts<T> {
    let n = records.len();
    (0..partitions).map(|p| records[p * n / partitions..(p + 1) * n / partitions].to_vec()).collect()
}

/// Applies `f` to every record.
pub fn flat_map<T, U, I: IntoIterator<Item = U>>(parts: &Parts<T>, f: impl Fn(&T) -> I) -> Parts<U> {
    parts.iter().map(|p| p.iter().flat_map(&f).collect()).collect()
}

/// Moves pairs by hash of their key.
pub fn shuffle<K: Hash + Clone, V: Clone>(parts: &Parts<(K, V)>, partitions: usize) -> Parts<(K, V)> {
    let mut out = vec![vec![]; partitions];
    for (k, v) in parts.iter().flatten() {
        out[partition_of(hash_of(k), partitions)].push((k.clone(), v.clone()));
    }
    out
}

/// Combines values by key, keys in the order of first appearance.
pub fn combine<K, V, C>(pairs: &[(K, V)], create: impl Fn(V) -> C, merge: impl Fn(&mut C, V)) -> Vec<(K, C)>
where
    K: Hash + Eq + Clone,
    V: Clone,
{
    let mut index: HashMap<K, usize> = HashMap::new();
    let mut out: Vec<(K, C)> = vec![];
    for (k, v) in pairs {
        match index.get(k) {
            Some(i) => merge(&mut out[*i].1, v.clone()),
            None => {
                index.insert(k.clone(), out.len());
                out.push((k.clone(), create(v.clone())));
            }
        }
    }
    out
}

/// Combines by key after a shuffle.
pub fn combine_by_key<K, V, C>(
    parts: &Parts<(K, V)>,
    partitions: usize,
    create: impl Fn(V) -> C,
    merge: impl Fn(&mut C, V),
) -> Parts<(K, C)>
where
    K: Hash + Eq + Clone,
    V: Clone,
{
    shuffle(parts, partitions).iter().map(|p| combine(p, &create, &merge)).collect()
}

/// Both sides' values by key: keys of the left first.
pub fn cogroup<K, V, W>(
    left: &Parts<(K, V)>,
    right: &Parts<(K, W)>,
    partitions: usize,
) -> Parts<(K, (Vec<V>, Vec<W>))>
where
    K: Hash + Eq + Clone,
    V: Clone,
    W: Clone,
{
    let (left, right) = (shuffle(left, partitions), shuffle(right, partitions));
    let sides = left.into_iter().zip(right).map(|(l, r)| {
        let l = l.into_iter().map(|(k, v)| (k, (Some(v), None)));
        let r = r.into_iter().map(|(k, w)| (k, (None, Some(w))));
        let all: Vec<(K, (Option<V>, Option<W>))> = l.chain(r).collect();
        let add = |both: &mut (Vec<V>, Vec<W>), (v, w): (Option<V>, Option<W>)| {
            both.0.extend(v);
            both.1.extend(w);
        };
        combine(
            &all,
            |x| {
                let mut both = (vec![], vec![]);
                add(&mut both, x);
                both
            },
            add,
        )
    });
    sides.collect()
}
