//! Parameter tables: no increment is lost, no read is older than it may be, BSP has the same bits for any number of
//! workers and processes, and what cannot be is refused.

use slackwater_dataflow::event::Event;
use slackwater_dataflow::{Context, ErrorKind, Result, rng};
use slackwater_paramstore::{
    Consistency, EpochsExt, MapWithExt, Product, Report, Rule, Snapshots, Table, TableExt, TableSpec,
};
use slackwater_tests::{cluster, contexts};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const MODES: [Consistency; 9] = [
    Consistency::Bsp,
    Consistency::Ssp(0),
    Consistency::Ssp(3),
    Consistency::Essp(0),
    Consistency::Essp(1),
    Consistency::Essp(10),
    Consistency::SspWithin(1, 4),
    Consistency::EsspWithin(0, 6),
    Consistency::Async,
];

/// Least squares with snapshots in `dir` after every epoch, each epoch taking a while.
fn descend_with_snapshots(
    cx: &Context,
    dir: &Path,
    resume: bool,
    mode: Consistency,
    pause: Duration,
) -> Result<(Vec<u64>, Report)> {
    let weights = cx.table("kept", TableSpec::<f64>::dense(5, 1).consistency(mode))?;
    let report = rows(cx, 600, 7)
        .epochs(12)
        .batch(10)
        .update(&weights, move |batch, w, clock| {
            std::thread::sleep(pause);
            for (x, y) in batch {
                let error = (0..5).map(|j| w.get(j, 0) * x[j]).sum::<f64>() - y;
                clock.loss(error * error);
                (0..5).for_each(|j| w.inc(j, 0, -0.02 * error * x[j]));
            }
        })
        .snapshots(Snapshots::new(dir).keep(3).resume(resume))
        .run()?;
    Ok((weights.values().iter().map(|v| v.to_bits()).collect(), report))
}

/// Folders of snapshots that are complete, oldest first.
fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
    let named = |p: &PathBuf| p.file_name().unwrap().to_string_lossy().starts_with("clock-");
    let mut all: Vec<_> = entries.filter(|p| named(p) && p.join("manifest.json").exists()).collect();
    all.sort();
    all
}

/// Rows of a small regression problem: (features, label).
fn rows(cx: &Context, n: u64, partitions: usize) -> slackwater_dataflow::Dataset<([f64; 5], f64)> {
    let row = |i: u64| {
        let mut r = rng::stream(5, i);
        let x: [f64; 5] = std::array::from_fn(|_| rng::normal(&mut r));
        (x, x.iter().zip([1.0, -2.0, 0.5, 0.0, 3.0]).map(|(a, b)| a * b).sum::<f64>())
    };
    cx.range(0..n, partitions).map(row).cache()
}

/// Stochastic gradient descent for least squares, with steps of random length if `busy`.
fn descend(
    cx: &Context,
    name: &str,
    mode: Consistency,
    epochs: u64,
    busy: bool,
) -> Result<(Vec<f64>, Report)> {
    let weights = cx.table(name, TableSpec::<f64>::dense(5, 1).consistency(mode))?;
    let report = rows(cx, 600, 7)
        .epochs(epochs)
        .batch(10)
        .seed(3)
        .update(&weights, move |batch, w, clock| {
            for (x, y) in batch {
                let wx: f64 = (0..5).map(|j| w.get(j, 0) * x[j]).sum();
                let error = wx - y;
                clock.loss(error * error);
                (0..5).for_each(|j| w.inc(j, 0, -0.02 * error * x[j]));
            }
            if busy && rng::below(&mut clock.rng(), 20) == 0 {
                std::thread::sleep(Duration::from_micros(300));
            }
        })
        .run()?;
    Ok((weights.values().to_vec(), report))
}

/// Adds ones from every record; the sums are known.
fn count(cx: &Context, name: &str, mode: Consistency) -> Result<(Vec<i64>, Report)> {
    let table = cx.table(name, TableSpec::<i64>::dense(16, 3).consistency(mode))?;
    let report = cx
        .range(0..3000, 5)
        .epochs(3)
        .batch(50)
        .update(&table, |batch, t, clock| {
            for n in batch {
                let row = (n % 16) as usize;
                let before = [t.get(row, 0), t.get(row, 1)];
                t.inc(row, 1, 1);
                // A whole row, and some values of it.
                t.inc_dense(row, 0, &[3, 0, 1]);
                // What a task has written it reads, in every mode.
                assert!(t.get(row, 0) > before[0] - 1 && t.get(row, 1) > before[1] - 1);
                t.inc_dense(row, 1, &[0, 1]);
                assert!(t.row(row)[0] > before[0] - 1 && t.row(row)[1] > before[1] - 1);
            }
            clock.loss(batch.len() as f64);
        })
        .run()?;
    Ok((table.values().to_vec(), report))
}

fn expected_counts() -> Vec<i64> {
    let ones = |row: i64| 3 * (0..3000).filter(|n| n % 16 == row).count() as i64;
    (0..16).flat_map(|row| [3 * ones(row), ones(row), 2 * ones(row)]).collect()
}

#[test]
fn no_increment_is_lost() {
    for (i, cx) in contexts().iter().enumerate() {
        for mode in MODES {
            let (values, report) = count(cx, "counts", mode).unwrap();
            assert_eq!(values, expected_counts(), "{mode}, context {i}");
            assert_eq!(report.losses, [3000.0; 3]);
            assert_eq!((report.epochs, report.clocks), (3, 36));
        }
    }
}

/// Doubles and halves what it finds: multiplied, not added.
#[test]
fn products_are_multiplied_in_every_mode() {
    for (i, cx) in contexts().iter().enumerate() {
        for mode in MODES {
            let spec = TableSpec::<Product<f64>>::dense(2, 2).consistency(mode);
            let table = cx.table("products", spec).unwrap();
            let training = cx.range(0..40, 5).epochs(2).batch(2).update(&table, |batch, t, _| {
                for n in batch {
                    t.inc((n % 2) as usize, 0, Product(2.0));
                    // As a row, together with what is there of it by value.
                    t.inc_dense((n % 2) as usize, 0, &[0.5, 2.0].map(Product));
                    t.inc(1, 1, Product(0.25));
                }
            });
            training.run().unwrap();
            // Twenty of each kind an epoch; the last value has all of them.
            let want = [1.0, 2f64.powi(40), 1.0, 2f64.powi(40) * 0.25f64.powi(80)].map(Product);
            assert_eq!(*table.values(), want, "{mode}, context {i}");
        }
    }
}

#[test]
fn no_read_is_older_than_it_may_be() {
    for cx in contexts() {
        for mode in MODES {
            let (values, report) = descend(cx, "bounded", mode, 12, true).unwrap();
            let (proven, observed) = (report.proven(0), report.observed(0));
            let bound = mode.staleness() as i64;
            assert!(proven.max().unwrap() <= bound, "{mode}: {proven:?}");
            assert!(observed.max().unwrap() <= bound, "{mode}: {observed:?}");
            // One read a clock and partition; seven of them see seven partitions.
            assert_eq!((proven.reads(), observed.reads()), (7 * 9 * 12, 49 * 9 * 12));
            if mode == Consistency::Bsp {
                assert_eq!(proven.max(), Some(0));
                assert!(observed.iter().eq([(0, 49 * 9 * 12)]));
            }
            let error = (values[4] - 3.0).abs();
            assert!(error < 1e-2, "{mode}: {values:?}");
        }
    }
}

#[test]
fn a_million_reads_in_a_thousand_interleavings() {
    let cx = Context::local(4).unwrap();
    let records = cx.range(0..160, 8).cache();
    let mut reads = 0;
    for seed in 0..1000u64 {
        let mode = MODES[seed as usize % MODES.len()];
        let table = cx.table("interleaved", TableSpec::<i32>::dense(8, 1).consistency(mode)).unwrap();
        let report = records
            .epochs(1)
            .batch(1)
            .seed(seed)
            .update(&table, move |batch, t, clock| {
                // Now and then a partition is slow, another one in every run.
                match rng::below(&mut clock.rng(), 64) {
                    0 => std::thread::sleep(Duration::from_micros(50)),
                    n @ 1..8 => (0..n * 200).for_each(|_| std::hint::spin_loop()),
                    _ => {}
                }
                t.inc(clock.partition(), 0, batch.len() as i32);
            })
            .run()
            .unwrap();
        let bound = mode.staleness() as i64;
        assert!(report.proven(0).max().unwrap() <= bound, "seed {seed}, {mode}: {:?}", report.proven(0));
        assert!(report.observed(0).max().unwrap() <= bound, "seed {seed}, {mode}: {:?}", report.observed(0));
        assert_eq!(*table.values(), [20; 8], "seed {seed}, {mode}");
        reads += report.observed(0).reads();
    }
    assert!(reads >= 1_000_000, "{reads}");
}

#[test]
fn bsp_has_the_same_bits_for_any_number_of_workers() {
    let all: Vec<_> = contexts()
        .iter()
        .map(|cx| {
            let (values, report) = descend(cx, "bits", Consistency::Bsp, 4, true).unwrap();
            (values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), report.losses)
        })
        .collect();
    assert!(all.windows(2).all(|w| w[0] == w[1]), "{all:?}");
    assert!(all[0].1[3] < all[0].1[0] / 10.0, "it learns: {:?}", all[0].1);
}

const RULES: [Rule; 4] = [
    Rule::Momentum { momentum: 0.9 },
    Rule::AdaGrad { step: 0.3, epsilon: 1e-6 },
    Rule::Ftrl { alpha: 0.3, beta: 1.0, l1: 0.01, l2: 0.1 },
    Rule::Proximal { l1: 1e-4, l2: 1e-5 },
];
const GOALS: [f64; 6] = [1.0, -2.0, 0.0, 0.5, 3.0, -0.25];

/// Steps towards the goals from wherever they are, some by row and some by value; returns the bits of the table.
fn approach(
    cx: &Context,
    rule: Rule,
    mode: Consistency,
    epochs: u64,
    snapshots: Option<Snapshots>,
) -> Result<Vec<u64>> {
    let spec = TableSpec::<f64>::dense(2, 3).consistency(mode).rule(rule).init(|r, c| (r + c) as f64 / 10.0);
    let table = cx.table("approaching", spec)?;
    let training = cx.range(0..50, 5).epochs(epochs).batch(2).update(&table, |batch, t, clock| {
        for n in batch {
            let rate = 0.002 * (1 + n % 3) as f64;
            let step = |row: usize, c: usize, value: f64| rate * (GOALS[3 * row + c] - value);
            if n % 4 == 0 {
                (0..3).for_each(|c| t.inc(0, c, step(0, c, t.get(0, c))));
            }
            for row in 0..2 {
                let values = t.row(row);
                let steps: Vec<f64> = (0..3).map(|c| step(row, c, values[c])).collect();
                clock.loss(steps.iter().map(|s| s * s).sum());
                t.inc_dense(row, 0, &steps);
            }
        }
    });
    // A run an epoch: what rules keep goes from one to the next.
    let training = training.until(|_| false);
    match snapshots {
        Some(snapshots) => training.snapshots(snapshots).run()?,
        None => training.run()?,
    };
    Ok(table.values().iter().map(|v| v.to_bits()).collect())
}

/// The same, one after the other, for values of `f64`.
fn approach_alone(rule: Rule, epochs: u64) -> Vec<f64> {
    let mut values: Vec<f64> = (0..6).map(|i| (i / 3 + i % 3) as f64 / 10.0).collect();
    let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    let (mut a, mut b) = ([0.0f64; 6], [0.0f64; 6]);
    if let Rule::Ftrl { alpha, beta, l1, l2 } = rule {
        (0..6).for_each(|i| a[i] = -(values[i] * (beta / alpha + l2) + sign(values[i]) * l1));
    }
    for clock in 0..5 * epochs {
        let mut sums = [0.0; 6];
        for partition in 0..5 {
            let mut own = [0.0; 6];
            for n in (0..2).map(|i| 10 * partition + 2 * (clock % 5) + i) {
                let rate = 0.002 * (1 + n % 3) as f64;
                let by_value = if n % 4 == 0 { 3 } else { 0 };
                for i in (0..by_value).chain(0..6) {
                    own[i] += rate * (GOALS[i] - values[i] - own[i]);
                }
            }
            (0..6).for_each(|i| sums[i] += own[i]);
        }
        for i in 0..6 {
            let (w, d) = (values[i], sums[i]);
            values[i] = match rule {
                Rule::Increment => w + d,
                Rule::Momentum { momentum } => {
                    a[i] = momentum * a[i] + d;
                    w + a[i]
                }
                Rule::AdaGrad { step, epsilon } => {
                    a[i] += d * d;
                    w + step * d / (a[i].sqrt() + epsilon)
                }
                Rule::Ftrl { alpha, beta, l1, l2 } => {
                    let sigma = ((b[i] + d * d).sqrt() - b[i].sqrt()) / alpha;
                    a[i] += -d - sigma * w;
                    b[i] += d * d;
                    match a[i].abs() <= l1 {
                        true => 0.0,
                        false => -(a[i] - sign(a[i]) * l1) / ((beta + b[i].sqrt()) / alpha + l2),
                    }
                }
                Rule::Proximal { l1, l2 } => sign(w + d) * ((w + d).abs() - l1).max(0.0) / (1.0 + l2),
            };
        }
    }
    values
}

#[test]
fn rules_do_what_they_do_one_after_the_other() {
    for rule in RULES {
        let want = approach_alone(rule, 3);
        let all: Vec<_> =
            contexts().iter().map(|cx| approach(cx, rule, Consistency::Bsp, 3, None).unwrap()).collect();
        assert!(all.windows(2).all(|w| w[0] == w[1]), "{rule:?}: {all:?}");
        for (found, want) in all[0].iter().map(|bits| f64::from_bits(*bits)).zip(want) {
            assert!((found - want).abs() < 1e-9 * want.abs().max(1.0), "{rule:?}: {found}, not {want}");
        }
    }
}

#[test]
fn rules_find_their_way_in_every_mode() {
    let cx = &contexts()[1];
    for mode in MODES {
        // Nothing is lost, nothing counted twice: this rule adds.
        let plain = Rule::Proximal { l1: 0.0, l2: 0.0 };
        let table = cx.table("plain", TableSpec::<f64>::dense(3, 2).consistency(mode).rule(plain)).unwrap();
        let training = cx.range(0..400, 7).epochs(3).batch(5).update(&table, |batch, t, _| {
            t.inc_dense(1, 0, &[batch.len() as f64, 1.0]);
            t.inc(1, 1, 1.0);
            t.inc(2, 0, 1.0);
        });
        let report = training.run().unwrap();
        let calls = (7 * report.clocks) as f64;
        assert_eq!(*table.values(), [0.0, 0.0, 1200.0, 2.0 * calls, calls, 0.0], "{mode}");
        let bits = approach(cx, Rule::Momentum { momentum: 0.5 }, mode, 60, None).unwrap();
        for (found, goal) in bits.iter().map(|bits| f64::from_bits(*bits)).zip(GOALS) {
            assert!((found - goal).abs() < 0.1, "{mode}: {found}, not {goal}");
        }
    }
}

#[test]
fn what_rules_keep_is_in_snapshots() {
    for rule in RULES {
        let dir = tempfile::tempdir().unwrap();
        let (path, cx) = (dir.path(), &contexts()[0]);
        let whole = approach(cx, rule, Consistency::Bsp, 6, None).unwrap();
        approach(cx, rule, Consistency::Bsp, 4, Some(Snapshots::new(path))).unwrap();
        // By another number of workers.
        let resumed = Snapshots::new(path).resume(true);
        let resumed = approach(&contexts()[2], rule, Consistency::Bsp, 6, Some(resumed)).unwrap();
        assert_eq!(whole, resumed, "{rule:?}");
        let other = Snapshots::new(path).resume(true);
        let error = approach(cx, Rule::Increment, Consistency::Bsp, 8, Some(other)).unwrap_err();
        assert!(error.to_string().contains("another training"), "{error}");
    }
}

#[test]
fn until_stops_and_tells() {
    let cx = &contexts()[1];
    let table = cx.table("until", TableSpec::<f32>::dense(1, 1).consistency(Consistency::Essp(2))).unwrap();
    let report = cx
        .range(0..100, 3)
        .epochs(50)
        .update(&table, |batch, t, clock| {
            t.inc(0, 0, batch.len() as f32);
            clock.loss(1000.0 / (clock.epoch() + 1) as f64);
        })
        .until(|p| p.loss_change() < 0.3)
        .run()
        .unwrap();
    // 3000 / k: it falls by 1/2, 1/3, then 1/4.
    assert_eq!((report.epochs, report.stopped, report.losses.len()), (4, true, 4));
    assert_eq!(table.get(0, 0), 400.0);
}

#[test]
fn who_waits_too_long_reads_older_values() {
    let cx = Context::local(4).unwrap();
    let mean = |mode: Consistency, slow: bool| {
        let table = cx.table("patience", TableSpec::<i64>::dense(4, 1).consistency(mode)).unwrap();
        let training = cx.range(0..1600, 4).epochs(1).batch(2).update(&table, move |_, t, clock| {
            // One partition takes twenty times as long as the others.
            let us = if slow && clock.partition() == 2 { 1000 } else { 50 };
            std::thread::sleep(Duration::from_micros(us));
            t.inc(clock.partition(), 0, 1);
        });
        let report = training.run().unwrap();
        assert_eq!(*table.values(), [200; 4], "{mode}");
        assert!(report.proven(0).max().unwrap() <= mode.staleness() as i64, "{mode}");
        report.proven(0).mean()
    };
    for [within, least] in [
        [Consistency::SspWithin(0, 6), Consistency::Ssp(0)],
        [Consistency::EsspWithin(0, 6), Consistency::Essp(0)],
    ] {
        // The others have gone up, so that they were as far ahead as they may for most of the time.
        let (chosen, fixed) = (mean(within, true), mean(least, true));
        assert!(fixed == 0.0 && chosen > 0.5, "{within}: {chosen}");
    }
    // Nothing to choose.
    assert!(mean(Consistency::SspWithin(2, 2), true) <= 2.0);
}

#[test]
fn tables_of_one_training_have_consistencies_of_their_own() {
    for cx in contexts() {
        let make =
            |name: &str, mode| cx.table(name, TableSpec::<i32>::dense(4, 2).consistency(mode)).unwrap();
        let (a, b, c) =
            (make("a", Consistency::Ssp(5)), make("b", Consistency::Bsp), make("c", Consistency::Async));
        let report = cx
            .range(0..400, 6)
            .epochs(2)
            .batch(5)
            .update_all(&[&a, &b, &c], |batch, tables, _| {
                for (i, table) in tables.iter_mut().enumerate() {
                    table.inc_batch(3, [(0, batch.len() as i32), (1, i as i32)]);
                }
            })
            .run()
            .unwrap();
        let clocks = 6 * report.clocks as i32;
        for (i, table) in [&a, &b, &c].into_iter().enumerate() {
            assert_eq!(table.row(3), [800, clocks * i as i32]);
            assert!(report.proven(i).max().unwrap() <= table.consistency().staleness() as i64);
        }
        assert_eq!(report.proven(1).max(), Some(0));
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let cx = &contexts()[0];
    let rule = Rule::Momentum { momentum: 0.9 };
    let e = cx.table("whole", TableSpec::<i32>::dense(1, 1).rule(rule)).err().unwrap();
    assert!(e.to_string().contains("f32 and f64") && e.exit_code() == 2, "{e}");
    let rule = Rule::Momentum { momentum: 1.5 };
    let e = cx.table("fast", TableSpec::<f32>::dense(1, 1).rule(rule)).err().unwrap();
    assert!(e.to_string().contains("momentum") && e.exit_code() == 2, "{e}");

    let cx = &contexts()[1];
    let table: Table<f64> =
        cx.table("refused", TableSpec::dense(2, 2).init(|r, c| (r * 2 + c) as f64)).unwrap();
    let again = cx.table::<f32>("refused", TableSpec::dense(1, 1)).map(drop).unwrap_err();
    assert!(again.to_string().contains("`table refused` is in use"), "{again}");
    assert!(cx.table::<f32>("huge", TableSpec::dense(1 << 20, 1 << 20)).is_err());
    let wrong = table.put(vec![1.0; 3]).unwrap_err();
    assert!(wrong.to_string().contains("2 x 2 values, not 3"), "{wrong}");
    let numbers = cx.range(0..100, 4);
    let twice = numbers.epochs(1).update_all(&[&table, &table], |_, _, _| ()).run().unwrap_err();
    assert!(twice.to_string().contains("given twice"), "{twice}");
    let nothing = cx.range(0..0, 4).epochs(1).update(&table, |_, _, _| ()).run().unwrap_err();
    assert!(nothing.to_string().contains("no records"), "{nothing}");
    // A step that diverges, a panic, an index outside: an error, and the values stay.
    let nan = numbers.epochs(2).batch(5).update(&table, |_, t, clock| {
        t.inc(0, 0, 1.0);
        clock.loss(if clock.epoch() == 1 { f64::NAN } else { 1.0 });
    });
    let error = nan.run().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Numerical(_)), "{error}");
    assert!(error.to_string().contains("loss of epoch 2 is NaN"), "{error}");
    let panics = numbers.epochs(1).batch(5).update(&table, |batch, t, _| {
        t.inc(0, 0, 1.0);
        assert!(!batch.contains(&77), "77 is too many");
    });
    let error = panics.run().unwrap_err();
    assert!(error.to_string().contains("77 is too many"), "{error}");
    let outside = numbers.epochs(1).update(&table, |_, t, _| t.inc(0, 2, 1.0)).run().unwrap_err();
    assert!(outside.to_string().contains("has no (0, 2)"), "{outside}");
    assert_eq!(*table.values(), [0.0, 1.0, 2.0, 3.0]);
    // The context and the table are usable, and a name is free when its table is gone.
    numbers.epochs(1).update(&table, |batch, t, _| t.inc(1, 1, batch.len() as f64)).run().unwrap();
    assert_eq!(table.get(1, 1), 103.0);
    drop(table);
    cx.table::<f64>("refused", TableSpec::dense(1, 1)).unwrap();
}

#[test]
fn tables_and_datasets_are_made_of_each_other() {
    for cx in contexts() {
        let table = cx.table("filled", TableSpec::<f64>::dense(10, 2).init(|_, c| c as f64)).unwrap();
        let sums = cx.range(0..90, 4).map(|n| (n % 9, n as f64)).reduce_by_key(|a, b| *a += b);
        table.fill(&sums.map(|(key, sum)| (key, vec![sum, -sum]))).unwrap();
        let sum = |n: u64| 405.0 + 10.0 * n as f64;
        assert_eq!((table.row(3), table.row(9)), (vec![sum(3), -sum(3)], vec![0.0, 1.0]));
        let read = cx.range(0..9, 3).map_with(&table, |n, t| t.get(n as usize, 1));
        assert_eq!(read.collect().unwrap(), (0..9).map(|n| -sum(n)).collect::<Vec<_>>());
        let rows = table.to_dataset(cx, 3).filter(|(n, _)| n % 2 == 1).collect().unwrap();
        assert_eq!(rows.iter().map(|r| r.0).collect::<Vec<_>>(), [1, 3, 5, 7, 9]);
        // A dataset keeps what it was made of.
        table.put(vec![7.0; 20]).unwrap();
        assert_eq!(read.reduce(|a, b| a + b).unwrap(), Some(-(0..9).map(sum).sum::<f64>()));
        for (row, length) in [(10, 2), (1 << 40, 2), (1, 3)] {
            let wrong = cx.parallelize(vec![(0, vec![1.0; 2]), (row, vec![1.0; length])], 2);
            let error = table.fill(&wrong).unwrap_err();
            assert!(error.exit_code() == 3 && error.to_string().contains("does not fit"), "{error}");
        }
        assert_eq!(*table.values(), [7.0; 20]);
    }
}

#[test]
fn a_killed_training_resumes_with_the_same_bytes() {
    let cx = &contexts()[1];
    let undisturbed = tempfile::tempdir().unwrap();
    let (want, report) =
        descend_with_snapshots(cx, undisturbed.path(), false, Consistency::Bsp, Duration::ZERO).unwrap();
    assert_eq!(snapshots(undisturbed.path()).len(), 3, "the last three are kept");
    // The child is killed in the middle, between snapshots.
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(cluster::TASK, format!("to be killed:{}", dir.path().display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while snapshots(dir.path()).len() < 2 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it takes snapshots");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let refused =
        descend_with_snapshots(cx, dir.path(), false, Consistency::Bsp, Duration::ZERO).unwrap_err();
    assert!(refused.to_string().contains("has snapshots already"), "{refused}");
    // With other numbers of workers, too; each goes on from a copy.
    for cx in contexts() {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        let (got, resumed) =
            descend_with_snapshots(cx, copy.path(), true, Consistency::Bsp, Duration::ZERO).unwrap();
        assert_eq!(got, want);
        assert_eq!(
            (resumed.epochs, resumed.losses, resumed.clocks),
            (12, report.losses.clone(), report.clocks)
        );
        assert!(resumed.workers[0].clocks < report.clocks, "it did not begin anew");
    }
    // And in two processes, which write the snapshots that follow together.
    let answers = cluster::run(&format!("snapshots:{}", dir.path().display()), 2, 2);
    assert_eq!(answers, vec![format!("{want:?} {:?}\n", report.losses); 2]);
    let newest = snapshots(dir.path()).pop().unwrap();
    assert!(newest.join("part-00003-of-00004.table").exists());
    let last = descend_with_snapshots(cx, dir.path(), true, Consistency::Bsp, Duration::ZERO).unwrap();
    assert_eq!((last.0, last.1.losses), (want, report.losses));
}

/// A training whose partitions keep what they have read; snapshots in `dir` if there is one.
fn remember(cx: &Context, epochs: u64, dir: Option<&Path>, until: bool) -> Result<(Vec<i64>, Vec<Vec<u64>>)> {
    let table = cx.table("remembered", TableSpec::<i64>::dense(1, 1))?;
    let training = cx
        .range(0..100, 5)
        .epochs(epochs)
        .batch(7)
        .local(|partition, records: &[u64]| vec![partition as u64, records.len() as u64])
        .update_all(&[&table], |state: &mut Vec<u64>, batch, tables, _| {
            state.push(tables[0].get(0, 0) as u64 + batch.iter().sum::<u64>());
            tables[0].inc(0, 0, state.len() as i64);
        });
    let training = match dir {
        Some(dir) => training.snapshots(Snapshots::new(dir).resume(true)),
        None => training,
    };
    let (report, states) = match until {
        true => training.until(|_| false).run_with_locals()?,
        false => training.run_with_locals()?,
    };
    assert_eq!(report.epochs, epochs);
    Ok((table.values().to_vec(), states.collect()?))
}

#[test]
fn partitions_keep_states_of_their_own() {
    let mut all = vec![];
    for workers in [1, 2, 3] {
        let cx = Context::local(workers).unwrap();
        all.push(remember(&cx, 4, None, false).unwrap());
        all.push(remember(&cx, 4, None, true).unwrap());
        // In two pieces, the second after a restart with another number of workers.
        let dir = tempfile::tempdir().unwrap();
        remember(&cx, 2, Some(dir.path()), false).unwrap();
        let cx = Context::local(4 - workers).unwrap();
        all.push(remember(&cx, 4, Some(dir.path()), false).unwrap());
    }
    let (values, states) = &all[0];
    assert!(all.iter().all(|a| a == &all[0]), "{all:?}");
    assert_eq!(states.len(), 5);
    assert!(
        states.iter().enumerate().all(|(p, s)| s.len() == 2 + 12 && s[..2] == [p as u64, 20]),
        "{states:?}"
    );
    assert_eq!(values[0], 5 * (3..=14).sum::<i64>());
    let answers = cluster::run("remember", 2, 2);
    assert_eq!(answers, vec![format!("{:?}\n", all[0]); 2]);
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|e| e.unwrap()) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn damaged_snapshots_are_refused_by_name() {
    // Of its own: snapshots know their tables by name, and others use that name.
    let cx = &Context::local(2).unwrap();
    let whole = tempfile::tempdir().unwrap();
    let run = |dir: &Path| descend_with_snapshots(cx, dir, true, Consistency::Ssp(2), Duration::ZERO);
    let (values, _) = run(whole.path()).unwrap();
    // Nothing is left to do: the values are those of the snapshot.
    let (again, report) = run(whole.path()).unwrap();
    assert_eq!((again, report.workers.len()), (values, 0));
    let damage: [(&str, fn(&mut Vec<u8>)); 4] = [
        ("part-00001-of-00002.table", |bytes| bytes.truncate(bytes.len() / 2)),
        ("part-00000-of-00002.table", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }),
        ("part-00000-of-00002.table", Vec::clear),
        ("manifest.json", |bytes| bytes[10] ^= 1),
    ];
    for (file, damage) in damage {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(whole.path(), dir.path());
        let newest = snapshots(dir.path()).pop().unwrap();
        let mut bytes = std::fs::read(newest.join(file)).unwrap();
        damage(&mut bytes);
        std::fs::write(newest.join(file), bytes).unwrap();
        let warnings = Arc::new(Mutex::new(vec![]));
        let heard = warnings.clone();
        let listening = cx.events().subscribe(move |e| {
            if let Event::Warning { message } = &e.event {
                heard.lock().unwrap().push(message.clone());
            }
        });
        let (_, report) = run(dir.path()).unwrap();
        drop(listening);
        let warnings = warnings.lock().unwrap();
        assert!(warnings.len() == 1 && warnings[0].contains(file), "{warnings:?}");
        // One epoch again, from the one before; what was damaged has made room for a new one.
        assert_eq!((report.epochs, report.workers[0].clocks), (12, 9));
        assert_eq!(snapshots(dir.path()).len(), 3);
        assert_eq!(run(dir.path()).unwrap().1.workers.len(), 0);
        // When all are damaged it does not begin anew in silence.
        for snapshot in snapshots(dir.path()) {
            std::fs::remove_file(snapshot.join("part-00001-of-00002.table")).unwrap();
        }
        let error = run(dir.path()).unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().matches("part-00001").count() == 3, "{error}");
    }
    // Those of another training are refused.
    let other = cx.table("kept", TableSpec::<f64>::dense(6, 1)).unwrap();
    let training = rows(cx, 600, 7).epochs(1).batch(10).update(&other, |_, _, _| ());
    let error = training.snapshots(Snapshots::new(whole.path()).resume(true)).run().unwrap_err();
    assert!(error.to_string().contains("another training"), "{error}");
}

/// What a child process runs, if this process is one: see [`cluster::run`].
#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    let cx = Context::from_env().unwrap();
    let (task, dir) = task.split_once(':').unwrap_or((&task, ""));
    let answer = match task {
        "train" => {
            let mut text = String::new();
            for mode in MODES {
                let (counts, report) = count(&cx, "counts", mode).unwrap();
                assert_eq!(counts, expected_counts(), "{mode}");
                assert_eq!(report.workers.len(), cx.topology().workers_in_all());
                let (values, report) = descend(&cx, "bits", mode, 4, true).unwrap();
                assert!(report.proven(0).max().unwrap() <= mode.staleness() as i64, "{mode}");
                assert!(report.observed(0).max().unwrap() <= mode.staleness() as i64, "{mode}");
                text += &format!("{mode} {values:?} {:?}\n", report.losses);
            }
            text
        }
        // A panic in one process is an error in both; then all goes on.
        "fail" => {
            let table =
                cx.table("fails", TableSpec::<f64>::dense(1, 1).consistency(Consistency::Ssp(2))).unwrap();
            let training = cx.range(0..1000, 4).epochs(3).batch(10).update(&table, |batch, t, _| {
                t.inc(0, 0, 1.0);
                assert!(!batch.contains(&777), "777 is too many");
            });
            let error = training.run().unwrap_err();
            assert_eq!(*table.values(), [0.0]);
            cx.range(0..8, 4).epochs(1).update(&table, |_, t, _| t.inc(0, 0, 1.0)).run().unwrap();
            format!("{} {error}\n", table.get(0, 0))
        }
        "rules" => {
            let bits = RULES.map(|rule| approach(&cx, rule, Consistency::Bsp, 3, None).unwrap());
            format!("{bits:?}\n")
        }
        "snapshots" => {
            let dir = Path::new(dir);
            let (values, report) =
                descend_with_snapshots(&cx, dir, true, Consistency::Bsp, Duration::ZERO).unwrap();
            format!("{values:?} {:?}\n", report.losses)
        }
        // Cancelled in one process, it is cancelled in both; then all goes on.
        "cancel" => {
            let table = cx
                .table("cancelled", TableSpec::<f64>::dense(1, 1).consistency(Consistency::Ssp(2)))
                .unwrap();
            let (started, cancels) = (Arc::new(AtomicBool::new(false)), cx.topology().process == 1);
            let (starts, begun, cancelling) = (started.clone(), started.clone(), cx.clone());
            let thread = std::thread::spawn(move || {
                while !begun.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if cancels {
                    cancelling.cancel();
                }
            });
            let training = cx.range(0..1000, 4).epochs(1_000_000).batch(10).update(&table, move |_, t, _| {
                starts.store(true, Ordering::Relaxed);
                t.inc(0, 0, 1.0);
            });
            let error = training.run().unwrap_err();
            // The other process may have cancelled it before this one began.
            started.store(true, Ordering::Relaxed);
            thread.join().unwrap();
            assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error}");
            cx.range(0..8, 4).epochs(1).update(&table, |_, t, _| t.inc(0, 0, 1.0)).run().unwrap();
            format!("{}\n", table.get(0, 0))
        }
        "remember" => format!("{:?}\n", remember(&cx, 4, None, true).unwrap()),
        "to be killed" => {
            descend_with_snapshots(&cx, Path::new(dir), false, Consistency::Bsp, Duration::from_millis(2))
                .unwrap();
            String::new()
        }
        other => panic!("unknown task {other}"),
    };
    cluster::answer(&answer);
}

#[test]
fn processes_train_together() {
    let (values, report) = descend(&contexts()[0], "alone", Consistency::Bsp, 4, true).unwrap();
    let want = format!("bsp {values:?} {:?}", report.losses);
    for workers in [1, 2] {
        let answers = cluster::run("train", 2, workers);
        // In every mode both processes end with the same bits; under BSP with those of one process.
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].lines().next(), Some(want.as_str()));
    }
}

#[test]
fn processes_apply_rules_together() {
    let cx = &contexts()[0];
    let alone = RULES.map(|rule| approach(cx, rule, Consistency::Bsp, 3, None).unwrap());
    let want = format!("{alone:?}\n");
    assert_eq!(cluster::run("rules", 2, 2), [want.clone(), want]);
}

#[test]
fn what_one_process_cancels_is_cancelled_in_all() {
    assert_eq!(cluster::run("cancel", 2, 2), ["4\n", "4\n"]);
    assert_eq!(cluster::run("cancel", 2, 1), ["4\n", "4\n"]);
}

#[test]
fn a_panic_in_one_process_is_an_error_in_all() {
    let answers = cluster::run("fail", 2, 2);
    for answer in answers {
        assert!(answer.starts_with("4 ") && answer.contains("777 is too many"), "{answer}");
    }
}
