//! Every operation against a naive interpreter, partition by partition, for 1, 2 and 4 workers.

use proptest::prelude::*;
use slackwater_dataflow::{Context, Dataset, Record, Steps, StorageLevel};
use slackwater_tests::*;
use std::collections::BTreeMap;
use std::fmt::Debug;

type Pairs = Vec<(u8, i64)>;

fn pairs() -> impl Strategy<Value = Pairs> {
    // Few keys, many keys, one key, none.
    prop_oneof![
        prop::collection::vec((0..5u8, any::<i64>()), 0..200),
        prop::collection::vec((any::<u8>(), any::<i64>()), 0..400),
        prop::collection::vec((Just(7u8), any::<i64>()), 0..50),
    ]
}

fn add(a: &mut i64, b: i64) {
    *a = a.wrapping_add(b);
}

fn parts() -> impl Strategy<Value = usize> {
    1..7usize
}

/// Compares a dataset's partitions with the interpreter's, in every context.
fn agrees<T: Record + PartialEq + Debug>(make: impl Fn(&Context) -> Dataset<T>, want: &Parts<T>) {
    for cx in contexts() {
        let got = make(cx).collect_partitions().expect("the job runs");
        assert_eq!(&got, want, "{} workers", cx.config().workers);
    }
}

fn all<T: PartialEq + Debug>(what: impl Fn(&Context) -> T, want: &T) {
    for cx in contexts() {
        assert_eq!(&what(cx), want, "{} workers", cx.config().workers);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn narrow_operations(x in pairs(), n in parts()) {
        let p = cut(&x, n);
        let ds = |cx: &Context| cx.parallelize(x.clone(), n);
        agrees(|cx| ds(cx).map(|(k, v)| v ^ k as i64), &flat_map(&p, |(k, v)| [v ^ *k as i64]));
        agrees(|cx| ds(cx).map_ref(|(k, v)| v ^ *k as i64), &flat_map(&p, |(k, v)| [v ^ *k as i64]));
        agrees(|cx| ds(cx).filter(|(k, _)| k % 2 == 0), &flat_map(&p, |x| (x.0 % 2 == 0).then_some(*x)));
        agrees(|cx| ds(cx).flat_map(|(k, v)| vec![v; k as usize % 4]), &flat_map(&p, |(k, v)| vec![*v; *k as usize % 4]));
        agrees(|cx| ds(cx).expand(|(k, v), out| out.extend(vec![*v; *k as usize % 4])), &flat_map(&p, |(k, v)| vec![*v; *k as usize % 4]));
        agrees(
            |cx| ds(cx).fuse(|s| s.map(|x| x.1).filter(|v| v % 3 != 0).flat_map(|v| [v, v / 2])),
            &flat_map(&p, |(_, v)| if v % 3 != 0 { vec![*v, v / 2] } else { vec![] }),
        );
        agrees(|cx| ds(cx).key_by(|x| x.1), &flat_map(&p, |x| [(x.1, *x)]));
        agrees(|cx| ds(cx).keys(), &flat_map(&p, |x| [x.0]));
        agrees(|cx| ds(cx).values(), &flat_map(&p, |x| [x.1]));
        agrees(|cx| ds(cx).map_values(|v| v / 2), &flat_map(&p, |x| [(x.0, x.1 / 2)]));
        agrees(|cx| ds(cx).flat_map_values(|v| [v, 1]), &flat_map(&p, |x| [(x.0, x.1), (x.0, 1)]));
        agrees(|cx| ds(cx).glom(), &p.iter().map(|p| vec![p.clone()]).collect());
        agrees(
            |cx| ds(cx).map_partitions_with_index(|i, it| std::iter::once((i, it.map(|x| x.1 as i128).sum::<i128>()))),
            &p.iter().enumerate().map(|(i, p)| vec![(i, p.iter().map(|x| x.1 as i128).sum::<i128>())]).collect(),
        );
        agrees(
            |cx| ds(cx).map_partitions(|it| it.skip(1).step_by(2)),
            &p.iter().map(|p| p.iter().skip(1).step_by(2).copied().collect()).collect(),
        );
    }

    #[test]
    fn several_datasets(x in pairs(), y in pairs(), n in parts(), m in parts()) {
        let (p, q) = (cut(&x, n), cut(&y, m));
        let ds = |cx: &Context| (cx.parallelize(x.clone(), n), cx.parallelize(y.clone(), m));
        agrees(|cx| { let (a, b) = ds(cx); a.union(&b) }, &p.iter().chain(&q).cloned().collect());
        let product = p.iter().flat_map(|a| q.iter().map(move |b| {
            a.iter().flat_map(|x| b.iter().map(move |y| (*x, *y))).collect()
        }));
        agrees(|cx| { let (a, b) = ds(cx); a.cartesian(&b) }, &product.collect());
        let z = flat_map(&p, |x| [(*x, x.1 / 3)]);
        agrees(|cx| { let a = ds(cx).0; a.zip(&a.map(|x| x.1 / 3)).unwrap() }, &z);
        agrees(|cx| {
            let (a, b) = (cx.parallelize(x.clone(), n), cx.parallelize(y.clone(), n));
            a.zip_partitions(&b, |l, r| std::iter::once((l.count(), r.count()))).unwrap()
        }, &p.iter().zip(cut(&y, n)).map(|(a, b)| vec![(a.len(), b.len())]).collect());
        let numbers = x.iter().copied().zip(0u64..).collect::<Vec<_>>();
        agrees(|cx| ds(cx).0.zip_with_index().unwrap(), &cut(&numbers, n));
        let unique = p.iter().enumerate().map(|(i, p)| {
            p.iter().enumerate().map(|(j, x)| (*x, (j * n + i) as u64)).collect()
        });
        agrees(|cx| ds(cx).0.zip_with_unique_id(), &unique.collect());
        let coalesced = (0..n.min(m)).map(|i| p[i * n / n.min(m)..(i + 1) * n / n.min(m)].concat());
        agrees(|cx| ds(cx).0.coalesce(m), &coalesced.collect());
    }

    #[test]
    fn by_key(x in pairs(), n in parts(), m in parts()) {
        let p = cut(&x, n);
        let ds = |cx: &Context| cx.parallelize(x.clone(), n);
        agrees(|cx| ds(cx).partition_by(m), &shuffle(&p, m));
        agrees(|cx| ds(cx).reduce_by_key_with(m, add), &combine_by_key(&p, m, |v| v, add));
        agrees(|cx| ds(cx).reduce_by_key(add), &combine_by_key(&p, n, |v| v, add));
        agrees(|cx| ds(cx).group_by_key_with(m), &combine_by_key(&p, m, |v| vec![v], |l, v| l.push(v)));
        agrees(
            |cx| ds(cx).combine_by_key_with(m, |v| (v, 1u32), |c, v| { add(&mut c.0, v); c.1 += 1 }, |a, b| { add(&mut a.0, b.0); a.1 += b.1 }),
            &combine_by_key(&p, m, |v| (v, 1u32), |c, v| { add(&mut c.0, v); c.1 += 1 }),
        );
        agrees(
            |cx| ds(cx).aggregate_by_key_with(m, 0i64, |a, v| *a = (*a).max(v), |a, b| *a = (*a).max(b)),
            &combine_by_key(&p, m, |v| v.max(0), |a, v| *a = (*a).max(v)),
        );
        agrees(|cx| ds(cx).fold_by_key(0, |a, b| *a ^= b), &combine_by_key(&p, n, |v| v, |a, b| *a ^= b));
        // Already partitioned: nothing moves, and the answer is the same.
        agrees(|cx| ds(cx).partition_by(m).map_values(|v| v / 2).reduce_by_key(add), &combine_by_key(&flat_map(&p, |x| [(x.0, x.1 / 2)]), m, |v| v, add));
        let keyed = flat_map(&p, |x| [(x.1 % 5, *x)]);
        agrees(|cx| ds(cx).group_by(|x| x.1 % 5), &combine_by_key(&keyed, n, |v| vec![v], |l, v| l.push(v)));
        let d = combine_by_key(&flat_map(&p, |x| [(x.0, ())]), m, |_| (), |_, _| ());
        agrees(|cx| ds(cx).keys().distinct_with(m), &flat_map(&d, |x| [x.0]));
        // Text keys, also borrowed ones.
        let text = flat_map(&p, |x| [(x.0.to_string(), x.1)]);
        let want = combine_by_key(&text, m, |v| v, add);
        agrees(|cx| ds(cx).map(|(k, v)| (k.to_string(), v)).reduce_by_key_with(m, add), &want);
        agrees(|cx| ds(cx).reduce_by_borrowed_key(m, |x, out| out.emit(&x.0.to_string(), x.1), add), &want);
    }

    #[test]
    fn joins(x in pairs(), y in pairs(), n in parts(), m in parts()) {
        let (p, q) = (cut(&x, n), cut(&y, m));
        let most = n.max(m);
        let ds = |cx: &Context| (cx.parallelize(x.clone(), n), cx.parallelize(y.clone(), m));
        let both = cogroup(&p, &q, most);
        agrees(|cx| { let (a, b) = ds(cx); a.cogroup(&b) }, &both);
        fn cross<V: Clone, W: Clone>(l: &[V], r: &[W]) -> Vec<(V, W)> {
            l.iter().flat_map(|v| r.iter().map(move |w| (v.clone(), w.clone()))).collect()
        }
        fn or_none(l: &[i64]) -> Vec<Option<i64>> {
            if l.is_empty() { vec![None] } else { l.iter().map(|v| Some(*v)).collect() }
        }
        let inner = flat_map(&both, |(k, (l, r))| cross(l, r).into_iter().map(|vw| (*k, vw)).collect::<Vec<_>>());
        agrees(|cx| { let (a, b) = ds(cx); a.join(&b) }, &inner);
        // Co-partitioned: no shuffle, the same answer.
        agrees(|cx| { let (a, b) = ds(cx); a.partition_by(most).join(&b.partition_by(most)) }, &inner);
        let left = flat_map(&both, |(k, (l, r))| cross(l, &or_none(r)).into_iter().map(|vw| (*k, vw)).collect::<Vec<_>>());
        agrees(|cx| { let (a, b) = ds(cx); a.left_outer_join(&b) }, &left);
        let right = flat_map(&both, |(k, (l, r))| cross(&or_none(l), r).into_iter().map(|vw| (*k, vw)).collect::<Vec<_>>());
        agrees(|cx| { let (a, b) = ds(cx); a.right_outer_join(&b) }, &right);
        let full = flat_map(&both, |(k, (l, r))| cross(&or_none(l), &or_none(r)).into_iter().map(|vw| (*k, vw)).collect::<Vec<_>>());
        agrees(|cx| { let (a, b) = ds(cx); a.full_outer_join(&b) }, &full);
        let minus = flat_map(&both, |(k, (l, r))| if r.is_empty() { l.iter().map(|v| (*k, *v)).collect() } else { vec![] });
        agrees(|cx| { let (a, b) = ds(cx); a.subtract_by_key(&b) }, &minus);
        let (u, v) = (flat_map(&p, |x| [(x.0, ())]), flat_map(&q, |x| [(x.0, ())]));
        let sets = cogroup(&u, &v, most);
        agrees(|cx| { let (a, b) = ds(cx); a.keys().intersection(&b.keys()) }, &flat_map(&sets, |(k, (l, r))| (!l.is_empty() && !r.is_empty()).then_some(*k)));
        agrees(|cx| { let (a, b) = ds(cx); a.keys().subtract(&b.keys()) }, &flat_map(&sets, |(k, (l, r))| if r.is_empty() { vec![*k; l.len()] } else { vec![] }));
        for cx in contexts() {
            let (a, b) = ds(cx);
            let three: BTreeMap<_, _> = a.cogroup3(&b, &a).collect().unwrap().into_iter().collect();
            let four: BTreeMap<_, _> = a.cogroup4(&b, &a, &b).collect().unwrap().into_iter().collect();
            for (k, (l, r)) in both.iter().flatten() {
                assert_eq!(three[k], (l.clone(), r.clone(), l.clone()));
                assert_eq!(four[k], (l.clone(), r.clone(), l.clone(), r.clone()));
            }
        }
    }

    #[test]
    fn sorting(x in pairs(), n in parts(), m in parts(), ascending in any::<bool>()) {
        let mut want = x.clone();
        if ascending { want.sort_by_key(|x| x.0) } else { want.sort_by_key(|x| std::cmp::Reverse(x.0)) }
        all(|cx| cx.parallelize(x.clone(), n).sort_by_key_with(ascending, m).unwrap().collect().unwrap(), &want);
        let by_value = { let mut w = x.clone(); w.sort_by_key(|x| x.1); w };
        all(|cx| cx.parallelize(x.clone(), n).sort_by(|x| x.1, true).unwrap().collect().unwrap(), &by_value);
        let range: Pairs = want.iter().copied().filter(|x| (50..=150).contains(&x.0)).collect();
        all(|cx| cx.parallelize(x.clone(), n).sort_by_key_with(ascending, m).unwrap().filter_by_range(50, 150).collect().unwrap(), &range);
        let sorted = shuffle(&cut(&x, n), m).into_iter().map(|mut p| { p.sort_by_key(|x| x.0); p }).collect();
        agrees(|cx| cx.parallelize(x.clone(), n).repartition_and_sort_within_partitions(std::sync::Arc::new(slackwater_dataflow::HashPartitioner::new(m))), &sorted);
    }

    #[test]
    fn moving(x in pairs(), n in parts(), m in parts(), seed in any::<u64>()) {
        let p = cut(&x, n);
        for cx in contexts() {
            let ds = cx.parallelize(x.clone(), n);
            let got = ds.repartition(m).collect_partitions().unwrap();
            assert_eq!(got.len(), m);
            let (least, most) = (got.iter().map(Vec::len).min().unwrap(), got.iter().map(Vec::len).max().unwrap());
            assert!(most - least <= n, "{least}..{most}");
            let mut flat = got.concat();
            let mut want = x.clone();
            flat.sort();
            want.sort();
            assert_eq!(flat, want);
            // A split is a partition of the records, in order.
            let [a, b, c] = ds.random_split([0.5, 0.3, 0.2], seed);
            let split = [a, b, c].map(|d| d.collect_partitions().unwrap());
            for i in 0..n {
                let mut again: Pairs = split.iter().flat_map(|s| s[i].clone()).collect();
                let mut part = p[i].clone();
                again.sort();
                part.sort();
                assert_eq!(again, part);
            }
        }
        let sampled = contexts()[0].parallelize(x.clone(), n).sample(true, 0.7, seed).collect_partitions().unwrap();
        // The seed decides together with the dataset's number, which differs between contexts: compare within one.
        let again = contexts()[0].parallelize(x.clone(), n).sample(false, 0.3, seed).collect_partitions().unwrap();
        agrees(|cx| cx.parallelize(x.clone(), n).sample(false, 0.3, seed), &again);
        assert!(sampled.iter().zip(&p).all(|(s, p)| s.iter().all(|x| p.contains(x))));
    }

    #[test]
    fn actions(x in pairs(), n in parts(), k in 0..20usize) {
        let p = cut(&x, n);
        let ds = |cx: &Context| cx.parallelize(x.clone(), n);
        all(|cx| ds(cx).collect().unwrap(), &x);
        all(|cx| ds(cx).count().unwrap(), &(x.len() as u64));
        all(|cx| ds(cx).count_partitions().unwrap(), &p.iter().map(|p| p.len() as u64).collect());
        all(|cx| ds(cx).is_empty().unwrap(), &x.is_empty());
        all(|cx| ds(cx).take(k).unwrap(), &x.iter().take(k).copied().collect());
        all(|cx| ds(cx).first().unwrap(), &x.first().copied());
        let sorted = { let mut s = x.clone(); s.sort(); s };
        all(|cx| ds(cx).take_ordered(k).unwrap(), &sorted.iter().take(k).copied().collect());
        all(|cx| ds(cx).top(k).unwrap(), &sorted.iter().rev().take(k).copied().collect());
        all(|cx| ds(cx).min().unwrap(), &sorted.first().copied());
        all(|cx| ds(cx).max().unwrap(), &sorted.last().copied());
        let sum = |a: i64, b: i64| a.wrapping_add(b);
        all(|cx| ds(cx).values().reduce(sum).unwrap(), &x.iter().map(|x| x.1).reduce(sum));
        all(|cx| ds(cx).values().tree_reduce(sum).unwrap(), &x.iter().map(|x| x.1).reduce(sum));
        all(|cx| ds(cx).values().fold(0, sum).unwrap(), &x.iter().map(|x| x.1).fold(0, sum));
        all(|cx| ds(cx).aggregate(0i64, |a, x| *a ^= x.1, |a, b| *a ^= b).unwrap(), &x.iter().fold(0, |a, x| a ^ x.1));
        all(|cx| ds(cx).tree_aggregate(vec![], |a, x| a.push(*x), |a, b| a.extend(b)).unwrap(), &x);
        let mut by_key: BTreeMap<u8, u64> = BTreeMap::new();
        x.iter().for_each(|x| *by_key.entry(x.0).or_default() += 1);
        all(|cx| ds(cx).count_by_key().unwrap(), &by_key);
        all(|cx| ds(cx).keys().count_by_value().unwrap(), &by_key);
        let map: BTreeMap<u8, i64> = x.iter().copied().collect();
        all(|cx| ds(cx).collect_as_map().unwrap(), &map);
        all(|cx| ds(cx).lookup(&3).unwrap(), &x.iter().filter(|x| x.0 == 3).map(|x| x.1).collect());
        all(|cx| ds(cx).partition_by(3).lookup(&3).unwrap(), &x.iter().filter(|x| x.0 == 3).map(|x| x.1).collect());
        all(|cx| ds(cx).to_local_iterator().map(|x| x.unwrap()).collect::<Pairs>(), &x);
        all(|cx| ds(cx).run_job(vec![0, n - 1], |i, it| (i, it.count())).unwrap(), &{
            let mut w = vec![(0, p[0].len())];
            if n > 1 { w.push((n - 1, p[n - 1].len())) }
            w
        });
        for cx in contexts() {
            let counter = cx.counter();
            let seen = counter.clone();
            ds(cx).foreach(move |_| seen.add(1)).unwrap();
            let seen = counter.clone();
            ds(cx).foreach_partition(move |_, it| seen.add(it.count() as u64)).unwrap();
            assert_eq!(counter.value(), 2 * x.len() as u64);
            let taken = ds(cx).take_sample(false, k, 5).unwrap();
            assert_eq!(taken.len(), k.min(x.len()));
            assert!(taken.iter().all(|t| x.contains(t)));
            assert_eq!(ds(cx).take_sample(true, k, 5).unwrap().len(), if x.is_empty() { 0 } else { k });
        }
    }

    #[test]
    fn numbers(x in prop::collection::vec(-1e6..1e6f64, 1..300), n in parts()) {
        let count = x.len() as f64;
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        let bits: Vec<u64> = contexts().iter().map(|cx| {
            let s = cx.parallelize(x.clone(), n).stats().unwrap();
            assert!((s.mean - mean).abs() <= 1e-9 * mean.abs().max(1.0));
            assert!((s.variance() - variance).abs() <= 1e-9 * variance.max(1.0));
            assert_eq!(s.count, x.len() as u64);
            assert_eq!((s.min, s.max), (x.iter().copied().fold(f64::INFINITY, f64::min), x.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
            let sum = cx.parallelize(x.clone(), n).sum().unwrap();
            assert!((sum - mean * count).abs() <= 1e-9 * (mean * count).abs().max(1.0));
            sum.to_bits()
        }).collect();
        assert!(bits.windows(2).all(|w| w[0] == w[1]), "the same bits for any number of workers");
        let bounds = [-1e6, -5e5, 0.0, 1.0, 1e6];
        let want: Vec<u64> = bounds.windows(2).map(|w| {
            x.iter().filter(|v| **v >= w[0] && (**v < w[1] || w[1] == 1e6 && **v == 1e6)).count() as u64
        }).collect();
        all(|cx| cx.parallelize(x.clone(), n).histogram(&bounds).unwrap(), &want);
        let (b, c) = contexts()[0].parallelize(x.clone(), n).histogram_even(5).unwrap();
        assert_eq!(c.iter().sum::<u64>(), x.len() as u64);
        assert_eq!(b.len(), c.len() + 1);
    }

    #[test]
    fn kept_partitions(x in pairs(), n in parts()) {
        use StorageLevel::*;
        let want = flat_map(&cut(&x, n), |x| [x.1 / 2]);
        for level in [MemoryOnly, MemoryAndDisk, MemoryOnlySerialized, MemoryAndDiskSerialized, DiskOnly] {
            for cx in contexts() {
                let computed = cx.counter();
                let count = computed.clone();
                let ds = cx.parallelize(x.clone(), n).map(move |x| { count.add(1); x.1 / 2 }).persist(level);
                for _ in 0..3 {
                    assert_eq!(ds.collect_partitions().unwrap(), want);
                }
                assert_eq!(computed.value(), x.len() as u64);
                assert!(ds.storage().unwrap().contains(&format!("{n} of {n} partitions")), "{:?}", ds.storage());
                ds.unpersist();
                assert_eq!(ds.storage(), None);
                assert_eq!(ds.collect_partitions().unwrap(), want);
            }
        }
    }
}
