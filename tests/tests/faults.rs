//! Fault scenarios that one process can show, by the numbers of the project's list of Spark's own fault tests.
//!
//! [`SCENARIOS`] says for each number what is expected and which test shows it; a test checks that the table is whole.

use slackwater_dataflow::event::Event;
use slackwater_dataflow::{
    Config, Context, Dataset, Error, ErrorKind, Partitioner, PartitionerId, Source, Stop, StorageLevel,
    TaskContext,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// (number, scenario, what happens here, tests)
const SCENARIOS: &[(u32, &str, &str, &[&str])] = &[
    (1, "a task of a one-stage job fails once", "retried in place: N + 1 attempts", &["s01_one_failure"]),
    (
        2,
        "a task fails once on either side of a shuffle",
        "only that task runs again",
        &["s02_failure_in_either_stage"],
    ),
    (
        3,
        "a task always fails",
        "the job fails with `failed 4 times` and the cause; the next job works",
        &["s03_always_fails"],
    ),
    (
        5,
        "results, closures or errors that cannot be written or read",
        "the job fails with the cause; workers live",
        &["s05_values_that_cannot_be_written"],
    ),
    (9, "a cached partition is lost", "only that partition is computed again", &["s09_evicted_partitions"]),
    (
        13,
        "a shuffle and the shuffle before it are lost",
        "both are made again, the answer is right",
        &["s13_s16_lost_shuffles"],
    ),
    (
        16,
        "a shuffle file is deleted, cut or has flipped bits",
        "found by checksum, made again",
        &["s13_s16_lost_shuffles"],
    ),
    (17, "the file of a disk-only block is missing", "computed again", &["s17_missing_block_file"]),
    (
        18,
        "cached partitions do not fit in memory",
        "right answers over three passes, within the budget",
        &["s18_cache_larger_than_memory"],
    ),
    (
        19,
        "groups and sorts larger than memory, equal hashes, missing keys, failure while spilling",
        "right answers; spill files are removed in any case",
        &["s19_larger_than_memory"],
    ),
    (
        20,
        "checkpoints of any kind, without partitions, with a failing task",
        "read from the checkpoint; what it was made from is freed",
        &["s20_checkpoint"],
    ),
    (
        21,
        "a block of a local checkpoint is lost",
        "`checkpoint block ... not found`",
        &["s21_lost_local_checkpoint"],
    ),
    (
        22,
        "recomputing something that is not determined by its input",
        "there is no such operation: samples, splits and repartitions are derived from seeds and positions, so what is made again is the same",
        &["s22_recomputed_is_the_same"],
    ),
    (23, "a partition is read in part only", "it is not cached", &["s23_partly_read"]),
    (
        24,
        "accumulators when tasks are retried or computed again",
        "each partition counts once",
        &["s24_accumulators"],
    ),
    (
        25,
        "two attempts at one output",
        "there is no speculation; of several attempts one is committed, under a rename",
        &["s25_one_attempt_is_committed"],
    ),
    (
        30,
        "results larger than the limit",
        "the job fails with the limit in the text",
        &["s30_result_too_large"],
    ),
    (
        33,
        "datasets dropped while jobs use others; unpersist",
        "their blocks are freed at once",
        &["s33_dropped_datasets"],
    ),
    (
        34,
        "broadcast values changed, destroyed, used",
        "the value is the one at creation; a destroyed one is an error",
        &["s34_broadcast"],
    ),
    (
        35,
        "user code fails in a partitioner, a source, at opening",
        "the job fails, the context lives",
        &["s35_user_code_fails_anywhere"],
    ),
    (
        36,
        "no rows, no partitions, more partitions than rows, one huge key",
        "right answers",
        &["s36_extremes"],
    ),
    (38, "many jobs of many threads at once", "each gets its own answer", &["s38_many_threads"]),
];

#[test]
fn the_table_is_whole() {
    let source = include_str!("faults.rs");
    let wanted = [1, 2, 3, 5, 9, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 30, 33, 34, 35, 36, 38];
    assert_eq!(SCENARIOS.iter().map(|s| s.0).collect::<Vec<_>>(), wanted);
    for (number, _, _, tests) in SCENARIOS {
        for test in *tests {
            assert!(source.contains(&format!("\nfn {test}()")), "{number}: there is no test {test}");
        }
    }
}

fn cx(workers: usize) -> Context {
    Context::local(workers).unwrap()
}

/// A context with 1 MiB of memory and its spill files in a folder of its own.
fn tight(workers: usize) -> (Context, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        workers,
        memory_budget_bytes: 1 << 20,
        spill_dir: dir.path().to_path_buf(),
        ..Config::default()
    };
    (Context::new(config).unwrap(), dir)
}

fn spill_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut todo = vec![dir.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() { todo.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    found
}

/// Counts task attempts: (stage's operation, partition) -> (good, bad).
type Attempts = Arc<Mutex<BTreeMap<(String, usize), (u32, u32)>>>;

fn watch(cx: &Context) -> (Attempts, slackwater_dataflow::event::Subscription) {
    let attempts: Attempts = Arc::default();
    let stages: Mutex<BTreeMap<(u64, u32), String>> = Mutex::default();
    let into = attempts.clone();
    let subscription = cx.events().subscribe(move |stamped| match &stamped.event {
        Event::StageStart { job, stage, operation, .. } => {
            stages.lock().unwrap().insert((*job, *stage), operation.clone());
        }
        Event::TaskEnd { job, stage, partition, error, .. } => {
            let operation = stages.lock().unwrap()[&(*job, *stage)].clone();
            let mut all = into.lock().unwrap();
            let entry = all.entry((operation, *partition)).or_default();
            if error.is_some() { entry.1 += 1 } else { entry.0 += 1 }
        }
        _ => {}
    });
    (attempts, subscription)
}

/// Panics the first `times` times it is called.
fn failing(times: u64) -> impl Fn(u64) -> u64 + Send + Sync + Clone + 'static {
    let left = Arc::new(AtomicU64::new(times));
    move |x| {
        if left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok() {
            panic!("injected at {x}");
        }
        x
    }
}

#[test]
fn s01_one_failure() {
    let cx = cx(2);
    let (attempts, _subscription) = watch(&cx);
    assert_eq!(cx.range(0..100, 5).map(failing(1)).count().unwrap(), 100);
    let all = attempts.lock().unwrap();
    assert_eq!(all.values().map(|a| a.0).sum::<u32>(), 5);
    assert_eq!(all.values().map(|a| a.1).sum::<u32>(), 1, "N + 1 attempts");
}

#[test]
fn s02_failure_in_either_stage() {
    let cx = cx(2);
    for in_map in [true, false] {
        let (attempts, subscription) = watch(&cx);
        let fail = failing(1);
        let (before, after) = (fail.clone(), fail);
        let pairs = cx.range(0..100, 4).map(move |x| (x % 10, if in_map { before(x) } else { x }));
        let sums = pairs.reduce_by_key_with(3, |a, b| *a += b);
        let sums = sums.map(move |(k, v)| (k, if in_map { v } else { after(v) }));
        let total: u64 = sums.collect().unwrap().iter().map(|x| x.1).sum();
        assert_eq!(total, 4950);
        let all = attempts.lock().unwrap();
        for ((operation, partition), (good, bad)) in all.iter() {
            assert_eq!(*good, 1, "{operation} {partition}");
            assert!(*bad == 0 || operation.starts_with("reduce_by_key") == in_map, "{operation} {partition}");
        }
        assert_eq!(all.values().map(|a| a.1).sum::<u32>(), 1);
        drop(subscription);
    }
}

#[test]
fn s03_always_fails() {
    let cx = cx(2);
    let error =
        cx.range(0..100, 5).map(|x| if x == 42 { panic!("row {x} is bad") } else { x }).count().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("failed 4 times") && text.contains("row 42 is bad") && text.contains("faults.rs:"),
        "{text}"
    );
    assert!(matches!(error.kind(), ErrorKind::Task { partition: 2, attempts: 4, .. }), "{error:?}");
    assert_eq!(cx.range(0..10, 2).count().unwrap(), 10);
    // Of several bad partitions the lowest is told, every time.
    for _ in 0..20 {
        let error =
            cx.range(0..100, 10).map(|x| if x % 10 == 9 && x > 30 { panic!("{x}") } else { x }).count();
        assert!(matches!(error.unwrap_err().kind(), ErrorKind::Task { partition: 3, .. }));
    }
}

#[derive(Clone, Debug)]
struct Unwritable;
impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("this cannot be written"))
    }
}
impl<'de> serde::Deserialize<'de> for Unwritable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this cannot be read"))
    }
}

#[test]
fn s05_values_that_cannot_be_written() {
    #[derive(Clone, Debug, serde::Serialize)]
    struct Unreadable(u64);
    impl<'de> serde::Deserialize<'de> for Unreadable {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(serde::de::Error::custom("this cannot be read"))
        }
    }
    let cx = cx(2);
    #[derive(Clone, serde::Serialize, serde::Deserialize)]
    struct Wrapped(u64, Unwritable);
    let data = cx.range(0..10, 2).map(|x| Wrapped(x, Unwritable));
    let error = data.persist(StorageLevel::DiskOnly).count().unwrap_err();
    assert!(error.to_string().contains("cannot be written"), "{error}");
    // Written, but not readable: the block is lost each time it is read, and computed again.
    let data = cx.range(0..10, 2).map(Unreadable).persist(StorageLevel::DiskOnly);
    assert_eq!((data.count().unwrap(), data.count().unwrap()), (10, 10));
    // An error value of any type.
    let error =
        cx.range(0..4, 2).map(|x| if x == 3 { std::panic::panic_any(17u8) } else { x }).count().unwrap_err();
    assert!(error.to_string().contains("failed 4 times"), "{error}");
    assert_eq!(cx.range(0..10, 2).count().unwrap(), 10);
}

/// Counts how often each row is computed.
fn counted(data: &Dataset<u64>) -> (Dataset<u64>, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let add = count.clone();
    let data = data.map(move |x| {
        add.fetch_add(1, SeqCst);
        x
    });
    (data, count)
}

#[test]
fn s09_evicted_partitions() {
    let (cx, _dir) = tight(2);
    // Ten partitions of 64 KB fit; a second dataset of the same size pushes some of the first out.
    let (first, computed) = counted(&cx.range(0..80_000, 10));
    let first = first.cache();
    assert_eq!(first.count().unwrap(), 80_000);
    assert_eq!(first.count().unwrap(), 80_000);
    assert_eq!(computed.load(SeqCst), 80_000, "cached");
    let second = cx.range(0..80_000, 10).map(|x| x + 1).cache();
    assert_eq!(second.count().unwrap(), 80_000);
    let kept = first.storage().unwrap();
    let kept: u64 = kept.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(kept < 10, "{:?}", first.storage());
    drop(second);
    assert_eq!(first.count().unwrap(), 80_000);
    assert_eq!(computed.load(SeqCst), 80_000 + (10 - kept) * 8000, "only what was lost");
}

/// Damages every spill file in one of three ways.
fn damage(dir: &Path, way: usize) -> usize {
    let files = spill_files(dir);
    for file in &files {
        match way {
            0 => std::fs::remove_file(file).and_then(|()| std::fs::write(file, b"")).unwrap(),
            1 => std::fs::File::options().write(true).open(file).unwrap().set_len(10).unwrap(),
            _ => {
                let mut bytes = std::fs::read(file).unwrap();
                bytes.iter_mut().step_by(100).for_each(|b| *b ^= 1);
                // In place, so that the open file sees it.
                use std::os::unix::fs::FileExt;
                std::fs::File::options().write(true).open(file).unwrap().write_all_at(&bytes, 0).unwrap();
            }
        }
    }
    files.len()
}

#[test]
fn s13_s16_lost_shuffles() {
    for way in [1, 2] {
        let (cx, dir) = tight(2);
        let (numbers, computed) = counted(&cx.range(0..200_000, 4));
        let first = numbers.map(|x| (x, 1u64)).partition_by(4);
        let second = first.map(|(k, v)| (k / 2, v)).partition_by(5);
        let counts = second.map_values(|v| v * 2);
        let want: u64 = counts.values().reduce(|a, b| a + b).unwrap().unwrap();
        assert_eq!(want, 400_000);
        assert_eq!(computed.load(SeqCst), 200_000);
        assert_eq!(counts.count().unwrap(), 200_000);
        assert_eq!(computed.load(SeqCst), 200_000, "both shuffles are retained");
        assert!(damage(dir.path(), way) > 0, "something was on disk");
        assert_eq!(counts.values().reduce(|a, b| a + b).unwrap(), Some(want));
        assert!(computed.load(SeqCst) > 200_000, "the first shuffle was made again, from its source");
    }
}

#[test]
fn s17_missing_block_file() {
    for way in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { workers: 2, spill_dir: dir.path().to_path_buf(), ..Config::default() };
        let cx = Context::new(config).unwrap();
        let (data, computed) = counted(&cx.range(0..50_000, 4));
        let data = data.persist(StorageLevel::DiskOnly);
        assert_eq!((data.count().unwrap(), data.count().unwrap()), (50_000, 50_000));
        assert_eq!(computed.load(SeqCst), 50_000);
        assert_eq!(damage(dir.path(), way), 4);
        assert_eq!(data.reduce(|a, b| a ^ b).unwrap(), (0..50_000).reduce(|a, b| a ^ b));
        assert!(computed.load(SeqCst) >= 100_000);
    }
}

#[test]
fn s18_cache_larger_than_memory() {
    for rows in [100_000u64, 1_000_000] {
        for level in
            [StorageLevel::MemoryOnly, StorageLevel::MemoryAndDisk, StorageLevel::MemoryAndDiskSerialized]
        {
            let (cx, dir) = tight(2);
            let (data, computed) = counted(&cx.range(0..rows, 20));
            let data = data.persist(level);
            for _ in 0..3 {
                assert_eq!(data.reduce(|a, b| a ^ b).unwrap(), (0..rows).reduce(|a, b| a ^ b));
            }
            assert!(cx.memory().peak() <= 1 << 20);
            if level == StorageLevel::MemoryOnly {
                assert!(rows < 200_000 || computed.load(SeqCst) > rows, "some of it is computed again");
            } else {
                assert_eq!(computed.load(SeqCst), rows, "what does not fit is on disk");
                assert!(rows < 200_000 || !spill_files(dir.path()).is_empty());
            }
        }
    }
}

/// A key whose hash is always the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
struct Collides(u64);
impl std::hash::Hash for Collides {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(7);
    }
}

#[test]
fn s19_larger_than_memory() {
    let (cx, dir) = tight(2);
    let rows = 150_000u64;
    let numbers = cx.range(0..rows, 6);
    let groups = numbers.map(|x| (x % 5000, x)).group_by_key_with(3);
    let sizes = groups.map(|(k, v)| (k, v.len(), v.windows(2).all(|w| w[0] < w[1]))).collect().unwrap();
    assert_eq!(sizes.len(), 5000);
    assert!(sizes.iter().all(|(_, n, ordered)| *n == 30 && *ordered));
    let sorted =
        numbers.map(|x| (x.wrapping_mul(0x9e37_79b9_7f4a_7c15), x)).sort_by_key_with(true, 2).unwrap();
    let keys = sorted.keys().collect().unwrap();
    assert_eq!(keys.len() as u64, rows);
    assert!(keys.is_sorted());
    // Keys that may be missing.
    let optional =
        numbers.map(|x| ((x % 3 != 0).then_some(x % 1000), 1u64)).reduce_by_key_with(3, |a, b| *a += b);
    let counts: BTreeMap<_, _> = optional.collect().unwrap().into_iter().collect();
    assert_eq!((counts.len(), counts[&None]), (1001, 50_000));
    // All keys in one bucket: correct, if slow.
    let few = cx.range(0..2000, 4).map(|x| (Collides(x % 300), x)).group_by_key_with(2);
    assert_eq!(few.map(|(_, v)| v.len() as u64).reduce(|a, b| a + b).unwrap(), Some(2000));
    let written = cx.bytes_spilled();
    assert!(written > 4 << 20, "{written} bytes were spilled");
    assert!(cx.memory().peak() <= 1 << 20);
    // A failure while spilling.
    let fail = cx
        .range(0..rows, 6)
        .map(|x| (x % 5000, if x == 149_999 { panic!("late") } else { x }))
        .group_by_key();
    assert!(fail.count().unwrap_err().to_string().contains("late"));
    drop((groups, sorted, optional, few, fail, numbers));
    let left: u64 = spill_files(dir.path()).iter().map(|f| f.metadata().unwrap().len()).sum();
    assert_eq!(left, 0, "spill files of dropped datasets are gone: {:?}", spill_files(dir.path()));
    drop(cx);
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "and so is their folder");
}

#[test]
fn s20_checkpoint() {
    let cx = cx(2);
    let dir = tempfile::tempdir().unwrap();
    let alive = Arc::new(());
    let inside = alive.clone();
    let failed = AtomicUsize::new(0);
    let base = cx.range(0..1000, 4).map(move |x| {
        let _ = &inside;
        // The checkpoint's own task fails once, half-way.
        if x == 700 && failed.fetch_add(1, SeqCst) == 0 {
            panic!("once");
        }
        (x % 10, x)
    });
    let data = base.reduce_by_key_with(3, |a, b| *a += b);
    let want = data.collect_partitions().unwrap();
    let kept = data.checkpoint(dir.path().join("a")).unwrap();
    assert_eq!(kept.collect_partitions().unwrap(), want);
    drop((base, data));
    // The workers may hold the last job for a moment.
    let deadline = Instant::now() + Duration::from_secs(5);
    while Arc::strong_count(&alive) > 1 && Instant::now() < deadline {
        cx.range(0..1, 1).count().unwrap();
    }
    assert_eq!(Arc::strong_count(&alive), 1, "what the checkpoint was made from is freed");
    assert!(kept.explain().nodes.len() == 1);
    // The partitioner is kept: no shuffle.
    assert_eq!(kept.reduce_by_key_with(3, |a, b| *a += b).explain().stages.len(), 1);
    // Another program reads it; and nothing else does.
    assert_eq!(
        cx.read_checkpoint::<(u64, u64)>(dir.path().join("a")).unwrap().collect_partitions().unwrap(),
        want
    );
    assert!(cx.read_checkpoint::<u64>(dir.path().join("a")).unwrap_err().to_string().contains("type"));
    assert_eq!(cx.range(0..5, 1).checkpoint(dir.path().join("a")).unwrap_err().exit_code(), 3);
    let none = cx.empty::<u64>().checkpoint(dir.path().join("b")).unwrap();
    assert_eq!((none.count().unwrap(), none.num_partitions()), (0, 0));
    // Unfinished and damaged ones are refused.
    std::fs::remove_file(dir.path().join("b/_SUCCESS")).unwrap();
    assert!(
        cx.read_checkpoint::<u64>(dir.path().join("b")).unwrap_err().to_string().contains("not finished")
    );
    let part = dir.path().join("a/part-00001");
    let mut bytes = std::fs::read(&part).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&part, &bytes).unwrap();
    let error = kept.count().unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    std::fs::write(&part, &bytes[..last]).unwrap();
    assert!(kept.count().unwrap_err().to_string().contains("middle of a frame"));
}

#[test]
fn s21_lost_local_checkpoint() {
    let (cx, dir) = tight(2);
    let data = cx.range(0..400_000, 4).map(|x| x + 1).local_checkpoint().unwrap();
    assert_eq!(data.explain().nodes.len(), 1, "the lineage is cut");
    assert_eq!(data.count().unwrap(), 400_000);
    assert!(damage(dir.path(), 1) > 0);
    let error = data.count().unwrap_err();
    assert!(
        error.to_string().contains("not found") && error.to_string().contains("checkpoint block"),
        "{error}"
    );
    assert_eq!(cx.range(0..10, 2).count().unwrap(), 10);
}

#[test]
fn s22_recomputed_is_the_same() {
    let (cx, dir) = tight(2);
    let data = cx.range(0..120_000, 4).repartition(3).sample(false, 0.7, 5);
    let [left, right] = data.random_split([0.5, 0.5], 3);
    let zipped = left.zip(&left.map(|x| x * 2)).unwrap().persist(StorageLevel::DiskOnly);
    let want = (zipped.collect_partitions().unwrap(), right.collect_partitions().unwrap());
    assert!(damage(dir.path(), 2) > 0);
    assert_eq!((zipped.collect_partitions().unwrap(), right.collect_partitions().unwrap()), want);
}

#[test]
fn s23_partly_read() {
    let cx = cx(1);
    let (data, computed) = counted(&cx.range(0..10_000, 2));
    let data = data.cache();
    assert_eq!(data.take(3).unwrap(), [0, 1, 2]);
    assert!(computed.load(SeqCst) < 100, "take computes a small chunk: {}", computed.load(SeqCst));
    assert!(data.storage().unwrap().contains("0 of 2"), "{:?}", data.storage());
    assert_eq!(data.count().unwrap(), 10_000);
    assert!(data.storage().unwrap().contains("2 of 2"));
    // A task that fails half-way leaves nothing in the cache either.
    let failing = cx.range(0..10_000, 2).map(|x| if x == 9000 { panic!("late") } else { x }).cache();
    failing.count().unwrap_err();
    assert!(failing.storage().unwrap().contains("1 of 2"), "{:?}", failing.storage());
}

#[test]
fn s24_accumulators() {
    let cx = cx(2);
    let (sum, seen) = (cx.counter(), cx.accumulator(vec![], |a: &mut Vec<u64>, b| a.extend(b)));
    let (add, note, fail) = (sum.clone(), seen.clone(), failing(2));
    let data = cx.range(0..1000, 4).map(move |x| {
        add.add(1);
        if x % 250 == 249 {
            note.add(vec![x]);
        }
        if x % 250 == 100 { fail(x) } else { x }
    });
    assert_eq!(data.count().unwrap(), 1000);
    assert_eq!((sum.value(), seen.value()), (1000, vec![249, 499, 749, 999]), "retries do not count twice");
    assert_eq!(data.count().unwrap(), 1000);
    assert_eq!(sum.value(), 1000, "nor do later jobs");
    let total = cx.counter();
    for _ in 0..2 {
        let add = total.clone();
        data.foreach(move |_| add.add(1)).unwrap();
    }
    assert_eq!(total.value(), 2000, "but an action that is called twice does");
    total.add(5);
    assert_eq!(total.value(), 2005);
    total.reset();
    assert_eq!(total.value(), 0);
    // One that panics fails its task and nothing else.
    let bad = cx.accumulator(0u64, |_: &mut u64, _| panic!("misbehaves"));
    assert!(cx.range(0..4, 2).foreach(move |_| bad.add(1)).unwrap_err().to_string().contains("misbehaves"));
    assert_eq!(cx.range(0..10, 2).count().unwrap(), 10);
}

#[test]
fn s25_one_attempt_is_committed() {
    let cx = cx(2);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    cx.range(0..10_000, 3)
        .map({
            let f = failing(1);
            move |x| if x == 5000 { f(x) } else { x }
        })
        .save_as_text_file(&out)
        .unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["_SUCCESS", "part-00000", "part-00001", "part-00002"]);
    let lines: usize = (0..3)
        .map(|p| std::fs::read_to_string(out.join(format!("part-{p:05}"))).unwrap().lines().count())
        .sum();
    assert_eq!(lines, 10_000);
    // A job that fails leaves no marker and no half-written file; an output that exists is not overwritten.
    let failed = dir.path().join("failed");
    cx.range(0..100, 2)
        .map(|x| if x == 99 { panic!("no") } else { x })
        .save_as_text_file(&failed)
        .unwrap_err();
    assert!(
        spill_files(&failed).iter().all(|f| f.file_name().unwrap() == "part-00000"),
        "{:?}",
        spill_files(&failed)
    );
    assert_eq!(cx.range(0..5, 1).save_as_text_file(&out).unwrap_err().exit_code(), 3);
}

#[test]
fn s30_result_too_large() {
    let cx = Context::new(Config { workers: 2, max_result_bytes: 10_000, ..Config::default() }).unwrap();
    let error = cx.range(0..100_000, 4).collect().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ResultTooLarge { limit: 10_000, .. }), "{error:?}");
    assert!(error.to_string().contains("max_result_bytes = 10000"));
    assert_eq!(cx.range(0..1000, 4).collect().unwrap().len(), 1000);
    let error = cx.range(0..1300, 4).collect().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::ResultTooLarge { .. }),
        "parts that fit, but not together: {error:?}"
    );
}

#[test]
fn s33_dropped_datasets() {
    let cx = cx(2);
    let keep = cx.range(0..50_000, 4).cache();
    keep.count().unwrap();
    let with_one = cx.memory().used();
    let other = cx.range(0..50_000, 4).map(|x| (x % 100, x)).cache();
    let sums = other.reduce_by_key(|a, b| *a += b);
    sums.count().unwrap();
    assert!(cx.memory().used() > with_one);
    // Dropped while a job over another dataset runs.
    let running = keep.map(|x| {
        std::thread::sleep(Duration::from_nanos(100));
        x
    });
    let job = std::thread::spawn(move || running.count().unwrap());
    drop((other, sums));
    assert_eq!(job.join().unwrap(), 50_000);
    let deadline = Instant::now() + Duration::from_secs(3);
    while cx.memory().used() > with_one && Instant::now() < deadline {
        cx.range(0..1, 1).count().unwrap();
    }
    assert_eq!(cx.memory().used(), with_one);
    keep.unpersist();
    assert_eq!(cx.memory().used(), 0);
    assert_eq!(keep.count().unwrap(), 50_000);
}

#[test]
fn s34_broadcast() {
    let cx = cx(2);
    let mut table = vec![1u64, 2, 3];
    let shared = cx.broadcast(table.clone());
    table[0] = 99;
    let inside = shared.clone();
    let data = cx.range(0..6, 3).map(move |x| inside.value()[x as usize % 3]);
    assert_eq!(data.collect().unwrap(), [1, 2, 3, 1, 2, 3]);
    shared.destroy();
    let error = data.collect().unwrap_err();
    assert!(error.to_string().contains("after it was destroyed"), "{error}");
}

struct Broken(&'static str);
impl Partitioner<u64> for Broken {
    fn partitions(&self) -> usize {
        3
    }
    fn partition(&self, key: &u64) -> usize {
        if self.0 == "panics" {
            panic!("no partition for {key}")
        }
        7
    }
    fn id(&self) -> PartitionerId {
        PartitionerId { kind: self.0.to_string(), partitions: 3, digest: 0 }
    }
}

struct BrokenSource;
impl Source<u64> for BrokenSource {
    fn partitions(&self) -> usize {
        2
    }
    fn describe(&self) -> String {
        "broken".to_string()
    }
    fn open(&self, _: usize, _: &Rc<TaskContext>) -> Result<Box<dyn slackwater_dataflow::Cursor<u64>>, Stop> {
        Err(Stop::from(Error::input("there is nothing here", "look elsewhere")))
    }
}

#[test]
fn s35_user_code_fails_anywhere() {
    let cx = cx(2);
    let pairs = cx.range(0..10, 2).map(|x| (x, x));
    for (kind, text) in [("panics", "no partition for"), ("lies", "7 of 3 partitions")] {
        let broken: Arc<dyn Partitioner<u64>> = Arc::new(Broken(kind));
        let error = pairs.partition_by(broken).count().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = cx.read(BrokenSource).count().unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.exit_code()),
        ("there is nothing here\n  hint: look elsewhere", 3)
    );
    let fails_at_opening =
        cx.range(0..4, 2).map_partitions(|_| -> std::vec::IntoIter<u64> { panic!("at opening") });
    assert!(fails_at_opening.count().unwrap_err().to_string().contains("at opening"));
    assert!(cx.range(0..4, 2).aggregate(0, |_, _| panic!("in the fold"), |_, _| ()).is_err());
    // An action inside a task would wait for itself.
    let inner = cx.range(0..3, 1);
    let nested = cx.range(0..2, 1).map(move |_| inner.count().map_err(|e| e.to_string()));
    assert!(nested.collect().unwrap()[0].as_ref().unwrap_err().contains("inside a task"));
    assert_eq!(cx.range(0..10, 2).count().unwrap(), 10);
}

#[test]
fn s36_extremes() {
    let cx = cx(3);
    let none = cx.empty::<(u64, u64)>();
    assert_eq!(none.num_partitions(), 0);
    assert_eq!((none.count().unwrap(), none.collect().unwrap(), none.first().unwrap()), (0, vec![], None));
    assert_eq!(none.reduce(|a, _| a).unwrap(), None);
    assert_eq!(none.reduce_by_key_with(4, |a, b| *a += b).collect().unwrap(), []);
    assert_eq!(none.sort_by_key(true).unwrap().collect().unwrap(), []);
    assert_eq!(none.join(&cx.range(0..5, 2).map(|x| (x, x))).collect().unwrap(), []);
    assert_eq!(none.union(&none).zip_with_index().unwrap().count().unwrap(), 0);
    assert_eq!(cx.range(0..3, 50).map(|x| (x, x)).reduce_by_key_with(40, |a, b| *a += b).count().unwrap(), 3);
    assert_eq!(
        cx.range(0..3, 50).sort_by(|x| std::cmp::Reverse(*x), true).unwrap().collect().unwrap(),
        [2, 1, 0]
    );
    let one_key = cx.range(0..200_000, 8).map(|x| (7u8, x)).group_by_key_with(16).collect().unwrap();
    assert_eq!((one_key.len(), one_key[0].1.len()), (1, 200_000));
    assert!(one_key[0].1.is_sorted(), "in the order of the input");
    let units = cx.range(0..1000, 3).map(|_| ()).repartition(2);
    assert_eq!(units.count().unwrap(), 1000, "records without a size");
}

#[test]
fn s38_many_threads() {
    let cx = cx(2);
    let shared = cx.range(0..1000, 4).map(|x| (x % 10, x)).reduce_by_key(|a, b| *a += b).cache();
    std::thread::scope(|scope| {
        for t in 0..8u64 {
            let (cx, shared) = (&cx, &shared);
            scope.spawn(move || {
                for i in 0..20u64 {
                    let n = 100 + t * 31 + i;
                    assert_eq!(
                        cx.range(0..n, 3).map(move |x| x * t).reduce(|a, b| a + b).unwrap(),
                        Some(t * n * (n - 1) / 2)
                    );
                    assert_eq!(shared.values().reduce(|a, b| a + b).unwrap(), Some(499_500));
                }
            });
        }
    });
}
