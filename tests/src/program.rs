//! The program that the tests of recovery disturb: cached datasets, shuffles, a join, accumulators, a checkpoint, a loop.
//!
//! Its answer depends on every record and on the order of additions of floating-point numbers. What it does is noted for
//! the test: jobs that have ended, tasks, and partitions that were stored, by the names that the program gives its datasets.

use crate::cluster::{is_child, note};
use slackwater_dataflow::event::{Event, Subscription};
use slackwater_dataflow::hash::{hash_bytes, hash_u64};
use slackwater_dataflow::{Context, Dataset, Result, StorageLevel};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

/// Partitions of the first dataset, which is cached.
pub const PARTS: usize = 9;
/// Reduce partitions of the shuffles.
pub const REDUCES: usize = 6;
/// Rounds of the loop.
pub const ROUNDS: u64 = 6;
/// Jobs of the whole program.
pub const JOBS: u64 = 19;

/// Phases that a job reaches, by number.
pub const PHASES: [&str; 8] = [
    "before-agree",
    "before-stage",
    "mid-shuffle",
    "mid-sink",
    "after-commit",
    "before-result",
    "after-result-before-log",
    "after-log",
];

/// Tells the test of every task and every stored partition.
pub fn watch(cx: &Context) -> Subscription {
    let stages: Mutex<BTreeMap<(u64, u32), String>> = Mutex::default();
    cx.events().subscribe(move |stamped| match &stamped.event {
        Event::StageStart { job, stage, operation, .. } => {
            stages.lock().unwrap_or_else(|e| e.into_inner()).insert((*job, *stage), operation.clone());
        }
        Event::TaskEnd { job, stage, partition, error: None, metrics, .. } => {
            let stages = stages.lock().unwrap_or_else(|e| e.into_inner());
            let operation = stages.get(&(*job, *stage)).map_or("", String::as_str);
            note(&format!("task {job} {partition} {} {operation}", metrics.bytes_out));
        }
        Event::BlockStored { node, partition, .. } => note(&format!("stored {node} {partition}")),
        Event::BlockEvicted { node, partition, .. } => note(&format!("evicted {node} {partition}")),
        Event::GenerationFormed { generation, .. } => note(&format!("generation {generation}")),
        _ => {}
    })
}

struct Digests {
    text: String,
    jobs: u64,
    pace: Duration,
}

impl Digests {
    fn add(&mut self, name: &str, value: impl Debug) {
        let all = format!("{value:?}");
        let short = if all.len() > 100 { format!("{} bytes", all.len()) } else { all.clone() };
        self.text.push_str(&format!("{name}: {:016x} {short}\n", hash_bytes(all.as_bytes())));
        self.jobs += 1;
        if is_child() {
            note(&format!("step {}", self.jobs));
        }
        std::thread::sleep(self.pace);
    }
}

/// Runs the program. `rows` of the first dataset; after every step it sleeps for `pace`.
///
/// # Errors
/// Those of its jobs.
pub fn program(cx: &Context, dir: &Path, rows: u64, pace: Duration) -> Result<String> {
    let mut digests = Digests { text: String::new(), jobs: 0, pace };
    let (seen, sums) = (cx.counter(), cx.accumulator(0.0, |a: &mut f64, b| *a += b));
    let (see, add) = (seen.clone(), sums.clone());
    let numbers = cx
        .range(0..rows, PARTS)
        .map(move |i| {
            see.add(1);
            (hash_u64(i) % 997, hash_u64(i) as f64 / 1e15)
        })
        .cache();
    digests.add("count", (numbers.count()?, seen.value()));
    let by_key = numbers.reduce_by_key_with(REDUCES, |a, b| *a += b);
    digests.add("by key", by_key.collect()?);
    // Fewer reduce partitions than processes, and an accumulator on the map side.
    let counted = numbers
        .map(move |(k, v)| {
            add.add(v);
            (k % 2, v)
        })
        .reduce_by_key_with(2, |a, b| *a += b);
    digests.add("counted", (counted.collect()?, sums.value()));
    digests.add("counted again", (counted.count()?, sums.value()));
    let names = cx.range(0..3000, 4).map(|i| (i % 997, format!("{i}"))).group_by_key_with(REDUCES);
    let joined = by_key.join(&names).persist(StorageLevel::MemoryAndDisk);
    digests.add("joined", joined.count()?);
    let kept = joined.checkpoint(dir.join("checkpoint"))?;
    digests.add("checkpoint", kept.collect()?);
    let lengths = cx.accumulator(0, |a: &mut u64, b| *a += b);
    let length = lengths.clone();
    joined.map(|(_, (_, names))| names.len() as u64).foreach(move |n| length.add(*n))?;
    digests.add("foreach", lengths.value());
    let mut weight = 1.0;
    for round in 0..ROUNDS {
        weight = step(&numbers, &joined, round, weight)?;
        digests.add("weight", weight.to_bits());
    }
    let sorted = joined.map(|(k, (v, _))| (v.to_bits(), k)).sort_by_key(true)?;
    digests.add("sorted", sorted.collect()?);
    digests.add("kept", kept.map(|(k, (v, n))| (k, v, n.len())).collect()?);
    digests.add("accumulators", (seen.value(), sums.value().to_bits(), lengths.value()));
    Ok(digests.text)
}

/// One round of the loop: every third has a shuffle of its own.
fn step(
    numbers: &Dataset<(u64, f64)>,
    joined: &Dataset<(u64, (f64, Vec<String>))>,
    round: u64,
    weight: f64,
) -> Result<f64> {
    if round % 3 == 2 {
        let halves = numbers.map(move |(k, v)| (k % 7, v * weight)).reduce_by_key_with(4, |a, b| *a += b);
        return Ok(1.0 + halves.values().sum()?.sqrt().fract());
    }
    Ok(1.0 + joined.map(move |(k, (v, _))| (v + k as f64 * weight).sqrt()).sum()?.fract())
}

/// What the program answers when nothing happens: computed in this process alone.
pub fn undisturbed(rows: u64) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let cx = Context::local(2).expect("a context");
    program(&cx, dir.path(), rows, Duration::ZERO).expect("an undisturbed run")
}
