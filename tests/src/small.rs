//! Small programs for simulations: each a part of the engine, short enough for thousands of runs.
//!
//! Each returns all that it has found out, as text, and the last loss of a training.

use crate::program::program;
use slackwater_dataflow::hash::hash_u64;
use slackwater_dataflow::{Context, Error, IntoDataset, Result, StorageLevel};
use slackwater_paramstore::{
    Consistency, EpochsExt, Recovery, RotateExt, Rule, Snapshots, TableExt, TableSpec,
};
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;
use timely::dataflow::operators::Exchange;
use timely::dataflow::operators::vec::Map;

/// What a program has found out, and the last loss.
pub type Found = (String, f64);

/// A program, which may write into a folder.
pub type Program = fn(&Context, &Path) -> Result<Found>;

/// All programs, by name; those that end with other bits every time, and those that may lose states.
pub const PROGRAMS: [(&str, Program); 13] = [
    ("shuffle", shuffle),
    ("loop", iterate),
    ("sort", sort),
    ("raw", raw),
    ("once", once),
    ("all", all),
    ("bsp", bsp),
    ("points by time", by_time),
    ("snapshots", snapshots),
    ("rotation", rotation),
    ("ssp", ssp),
    ("partial", partial),
    ("in place", in_place),
];

/// True if a program need not end with the same bits every time.
pub fn is_loose(name: &str) -> bool {
    ["ssp", "partial"].contains(&name)
}

/// True if the program may fail with this error when processes are lost, as the rules of what it uses say.
pub fn may_fail(name: &str, error: &Error) -> bool {
    let is_training = ["bsp", "snapshots", "ssp", "rotation", "in place"].contains(&name);
    let text = error.to_string();
    let allowed = ["is lost, here and in its copy", "is read between segments of a training"];
    is_training && allowed.iter().any(|a| text.contains(a))
}

fn found(what: impl Debug) -> Result<Found> {
    Ok((format!("{what:?}"), 0.0))
}

/// Cached partitions, shuffles that are used again, two keys on fewer partitions than processes.
fn shuffle(cx: &Context, _: &Path) -> Result<Found> {
    let seen = cx.counter();
    let see = seen.clone();
    let numbers = cx
        .range(0..240, 6)
        .map(move |i| {
            see.add(1);
            (i % 17, hash_u64(i) as f64 / 1e15)
        })
        .cache();
    let n = numbers.count()?;
    let sums = numbers.reduce_by_key_with(4, |a, b| *a += b);
    let first = sums.collect()?;
    let joined =
        sums.join(&numbers.reduce_by_key_with(2, |a, b| *a = a.max(b))).persist(StorageLevel::DiskOnly);
    let second = joined.map(|(k, (a, b))| (k, (a - b).to_bits())).collect()?;
    found((n, first, second, joined.count()?, numbers.count()?, seen.value()))
}

/// A loop in which each job goes by the one before.
fn iterate(cx: &Context, _: &Path) -> Result<Found> {
    let (data, mut weight) = (cx.range(0..120, 5).map(|i| hash_u64(i) as f64 / 1e19).cache(), 1.0);
    let (spent, mut weights) = (cx.accumulator(0.0, |a: &mut f64, b| *a += b), vec![]);
    for round in 0..6 {
        let (w, spend) = (weight, spent.clone());
        let step = data.map(move |x| {
            spend.add(x * w);
            (x * w).sqrt()
        });
        weight = if round % 3 == 2 {
            step.map(|x| ((x * 100.0) as u64 % 3, x)).reduce_by_key_with(2, |a, b| *a += b).values().sum()?
        } else {
            step.sum()?
        };
        weight = weight.fract() + 1.0;
        weights.push((weight.to_bits(), spent.value().to_bits()));
    }
    found(weights)
}

/// Sorting by ranges, samples, distinct values.
fn sort(cx: &Context, _: &Path) -> Result<Found> {
    let words = cx.range(0..200, 4).map(|i| (hash_u64(i) % 1000, format!("w{}", i % 13))).cache();
    let sorted = words.sort_by_key(true)?;
    let all = sorted.collect()?;
    let some = words.sample(false, 0.3, 5).collect()?;
    let kinds = words.values().distinct().collect()?;
    found((all, some, kinds, sorted.take(3)?))
}

/// Dataflows of timely's own, and what they give as a dataset.
fn raw(cx: &Context, _: &Path) -> Result<Found> {
    let numbers = cx.range(0..150, 5).map(|i| (i % 11, i)).reduce_by_key_with(3, |a, b| *a += b);
    let output = cx.output::<u64>(4);
    let (into, source) = (output.clone(), numbers.clone());
    cx.timely(&[&numbers], move |worker, bridge| {
        let (into, source, bridge) = (into.clone(), source.clone(), bridge.clone());
        worker.dataflow::<u64, _, _>(|scope| {
            let stream = source.to_stream(scope, &bridge);
            stream.map(|(k, v)| k * 1000 + v).exchange(|x| hash_u64(*x)).into_dataset(&into, |x| *x);
        });
    })?;
    let first = output.dataset(cx);
    found((first.collect()?, first.map(|x| (x % 7) as f64).sum()?))
}

/// What one process does for all.
fn once(cx: &Context, dir: &Path) -> Result<Found> {
    let mut all = vec![];
    for i in 0..3u64 {
        let path = dir.join(format!("once-{i}"));
        let io = path.clone();
        let n = cx.once(move || {
            std::fs::write(&io, i.to_string()).map_err(|e| Error::io(&io, "write", &e))?;
            Ok(i * 7)
        })?;
        let sum = cx.range(0..50, 4).map(move |x| (x * n) as f64).sum()?;
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", &e))?;
        all.push((sum, text));
    }
    found(all)
}

/// The program of the tests of recovery, with fewer rows.
fn all(cx: &Context, dir: &Path) -> Result<Found> {
    Ok((program(cx, dir, 300, Duration::ZERO)?, 0.0))
}

const COLUMNS: usize = 3;

/// A row of a regression without noise.
fn row(i: u64) -> ([f64; COLUMNS], f64) {
    let x: [f64; COLUMNS] = std::array::from_fn(|c| hash_u64(i * 7 + c as u64) as f64 / 1e19 - 0.9);
    (x, x.iter().enumerate().map(|(c, x)| x * (c as f64 - 1.0)).sum::<f64>())
}

/// Least squares: one table that is added to, one with a rule, states that count, a function between epochs that reads.
fn train(cx: &Context, consistency: Consistency, snapshots: Option<&Path>, epochs: u64) -> Result<Found> {
    let data = cx.parallelize((0..72).map(row).collect::<Vec<_>>(), 4);
    let added = cx.table::<f64>("added", TableSpec::dense(1, COLUMNS).consistency(consistency))?;
    let ruled = TableSpec::dense(1, COLUMNS).consistency(consistency).rule(Rule::Momentum { momentum: 0.5 });
    let ruled = cx.table::<f64>("ruled", ruled)?;
    let (mut read, table) = (vec![], added.clone());
    let reads = &mut read;
    let training = data
        .epochs(epochs)
        .batch(9)
        .local(|partition, records: &[([f64; COLUMNS], f64)]| (partition as u64, records.len() as u64))
        .update_all(&[&added, &ruled], |state, batch, views, clock| {
            for (view, step) in views.iter_mut().zip([-0.3, -0.15]) {
                let weights: Vec<f64> = (0..COLUMNS).map(|c| view.get(0, c)).collect();
                for (x, y) in batch {
                    let error: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>() - y;
                    clock.loss(error * error);
                    (0..COLUMNS).for_each(|c| view.inc(0, c, step * error * x[c] / 9.0));
                }
            }
            state.1 += clock.number() * batch.len() as u64;
        })
        .recovery_every(2)
        .until(move |progress| {
            reads.push(table.get(0, 0).to_bits());
            progress.epochs == epochs
        });
    let training = match snapshots {
        Some(dir) => training.snapshots(Snapshots::new(dir.join("snapshots")).every(2).resume(true)),
        None => training,
    };
    let (report, states) = training.run_with_locals()?;
    assert!(report.staleness_max() <= consistency.staleness(), "{report:?}");
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let last = report.losses.last().copied().unwrap_or(f64::NAN);
    let (a, b, losses) = (bits(&added.values()), bits(&ruled.values()), bits(&report.losses));
    if snapshots.is_some() {
        // A run that begins anew, when all processes were lost, goes on from a snapshot.
        read.clear();
    }
    let text = format!("{a:x?} {b:x?} {losses:x?} {:?} {read:x?}", states.collect()?);
    Ok((text, last))
}

fn bsp(cx: &Context, _: &Path) -> Result<Found> {
    train(cx, Consistency::Bsp, None, 6)
}

fn snapshots(cx: &Context, dir: &Path) -> Result<Found> {
    train(cx, Consistency::Bsp, Some(dir), 6)
}

fn ssp(cx: &Context, _: &Path) -> Result<Found> {
    train(cx, Consistency::Ssp(2), None, 12)
}

/// A training that goes on from what is left.
fn partial(cx: &Context, _: &Path) -> Result<Found> {
    let data = cx.parallelize((0..72).map(row).collect::<Vec<_>>(), 4);
    let table = cx.table::<f64>("weights", TableSpec::dense(1, COLUMNS).consistency(Consistency::Ssp(1)))?;
    let training = data.epochs(14).batch(9).update(&table, |batch, view, clock| {
        let weights: Vec<f64> = (0..COLUMNS).map(|c| view.get(0, c)).collect();
        for (x, y) in batch {
            let error: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>() - y;
            clock.loss(error * error);
            (0..COLUMNS).for_each(|c| view.inc(0, c, -0.3 * error * x[c] / 9.0));
        }
    });
    let report = training.recovery(Recovery::Partial).recovery_every(3).run()?;
    let values: Vec<u64> = table.values().iter().map(|v| v.to_bits()).collect();
    let losses: Vec<u64> = report.losses.iter().map(|l| l.to_bits()).collect();
    let last = report.losses.last().copied().unwrap_or(f64::NAN);
    Ok((format!("{values:x?} {losses:x?}"), last))
}

/// Blocks of a model that go from partition to partition, piece by piece.
fn rotation(cx: &Context, _: &Path) -> Result<Found> {
    let data = cx.range(0..100, 4).map(|i| ((hash_u64(i) % 4) as u32, i as f64 / 100.0));
    let rotation =
        data.rotate(|block| block as f64).epochs(5).piece(3).state(|partition, _| partition as f64);
    let training = rotation.work(|state, block, records, turn| {
        for x in records {
            (*state, *block) = (0.5 * *state + x * *block, 0.75 * *block + x - 0.25 * *state);
            turn.loss(*state);
        }
    });
    let (report, seats) = training.recovery_every(2).run_with_locals()?;
    let seats: Vec<_> = seats.map(|seat| (seat.state().to_bits(), seat.into_block())).collect()?;
    let losses: Vec<u64> = report.losses.iter().map(|l| l.to_bits()).collect();
    Ok((format!("{seats:?} {losses:?}"), report.losses.last().copied().unwrap_or(f64::NAN)))
}

/// States that stay where they are after a training, read by some jobs.
fn in_place(cx: &Context, _: &Path) -> Result<Found> {
    let data = cx.range(0..90, 5);
    let training = data.epochs(3).clocks(2).mail::<f64>().local(|partition, _| partition as f64);
    let training = training.update_all::<f64>(&[], |state, records, _, clock| {
        let letters: f64 = clock.mail::<f64>().into_iter().map(|(from, x)| x * (from + 1) as f64).sum();
        *state = records.iter().fold(0.5 * *state + letters, |s, x| 0.9 * s + *x as f64);
        clock.loss(*state);
        clock.send((clock.partition() + 2) % 5, *state * 0.1);
    });
    let (report, states) = training.recovery_every(2).run_with_locals_in_place()?;
    let all: Vec<u64> = states.map(|s| s.to_bits()).collect()?;
    let sums = states.map(|s| (s.to_bits() % 3, s)).reduce_by_key_with(2, |a, b| *a += b).collect()?;
    let losses: Vec<u64> = report.losses.iter().map(|l| l.to_bits()).collect();
    drop(states);
    found((all, sums, cx.range(0..7, 3).count()?, losses))
}

/// Recovery points by time, which is the simulation's; sparse rows, no states.
fn by_time(cx: &Context, _: &Path) -> Result<Found> {
    let data = cx.range(0..120, 4);
    let table = cx.table::<f64>("counts", TableSpec::sparse(8, 40))?;
    let training = data.epochs(8).batch(10).update(&table, |batch, view, clock| {
        for x in batch {
            let (row, column) = ((x % 8) as usize, (hash_u64(*x) % 40) as usize);
            clock.loss(1.0 / (1.0 + view.get(row, column)));
            view.inc(row, column, 0.1 + (*x as f64).sqrt());
        }
    });
    let report = training.run()?;
    let values: Vec<u64> = table.values().iter().map(|v| v.to_bits()).collect();
    let losses: Vec<u64> = report.losses.iter().map(|v| v.to_bits()).collect();
    found((hash_u64(values.iter().fold(0, |a, b| hash_u64(a ^ b))), losses))
}
