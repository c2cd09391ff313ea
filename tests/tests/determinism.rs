//! The same program gives the same bytes for 1, 2 and 4 workers and for 1 and 2 processes, with much memory and with
//! little; and processes that do not run the same program are told so.

use slackwater_dataflow::hash::hash_bytes;
use slackwater_dataflow::{
    Config, Context, Dataset, ErrorKind, HashPartitioner, IntoDataset, Record, Result, Steps, StorageLevel,
};
use slackwater_tests::cluster;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// Name of an operation and a digest of the bytes it gave.
type Digests = BTreeMap<String, String>;

struct Program<'a> {
    cx: &'a Context,
    digests: Digests,
}

impl Program<'_> {
    fn value<T: Debug>(&mut self, name: &str, value: T) {
        let text = format!("{value:?}");
        let digest = format!("{:016x} {}", hash_bytes(text.as_bytes()), text.len());
        assert!(self.digests.insert(name.to_string(), digest).is_none(), "{name} twice");
    }
    fn data<T: Record + Debug>(&mut self, name: &str, data: &Dataset<T>) -> Result<()> {
        let partitions = data.collect_partitions()?;
        self.value(name, partitions);
        Ok(())
    }
}

/// Every operation and every action, on numbers whose sums depend on the order of addition.
fn program(cx: &Context, rows: u64) -> Result<Digests> {
    let mut p = Program { cx, digests: Digests::new() };
    let noise = |x: u64| slackwater_dataflow::hash::hash_u64(x);
    let numbers = cx.range(0..rows, 7).map(move |i| (noise(i) % 97, noise(i) as f64 / 1e9));
    let other = cx.range(0..rows / 3, 5).map(move |i| (noise(i) % 131, i));
    let text = numbers.map(|(k, v)| (format!("key {k}"), v));
    p.data("map", &numbers)?;
    p.data(
        "fuse",
        &cx.range(0..rows, 3).fuse(|s| s.map(|x| x * 3).filter(|x| x % 2 == 0).flat_map(|x| [x, x])),
    )?;
    let add = |a: &mut f64, b: f64| *a += b;
    p.data("reduce_by_key", &numbers.reduce_by_key_with(4, add))?;
    p.data("reduce_by_key text", &text.reduce_by_key_with(4, add))?;
    p.data(
        "borrowed",
        &numbers.reduce_by_borrowed_key(3, |(k, v), out| out.emit(&k.to_string(), *v), |a, b| *a += b),
    )?;
    p.data("group_by_key", &text.group_by_key_with(3))?;
    p.data("group_by", &numbers.group_by(|x| x.0 % 5))?;
    p.data(
        "aggregate_by_key",
        &numbers.aggregate_by_key(
            (0.0, 0u64),
            |a, v| {
                a.0 += v;
                a.1 += 1
            },
            |a, b| {
                a.0 += b.0;
                a.1 += b.1
            },
        ),
    )?;
    p.data("combine_by_key", &numbers.combine_by_key(|v| v * 2.0, |c, v| *c += v, |a, b| *a += b))?;
    p.data("fold_by_key", &numbers.fold_by_key(0.5, |a, b| *a += b))?;
    p.data("distinct", &numbers.keys().distinct_with(6))?;
    p.data("partition_by", &numbers.partition_by(5))?;
    p.data("repartition", &numbers.repartition(4))?;
    p.data("coalesce", &numbers.coalesce(2))?;
    p.data("sort_by_key", &numbers.sort_by_key_with(true, 4)?)?;
    p.data("sort descending", &text.sort_by_key_with(false, 3)?)?;
    p.data("sort_by", &other.sort_by(|x| x.1 % 1000, true)?)?;
    p.data("filter_by_range", &numbers.sort_by_key(true)?.filter_by_range(10, 20))?;
    p.data(
        "repartition_and_sort",
        &numbers.repartition_and_sort_within_partitions(Arc::new(HashPartitioner::new(3))),
    )?;
    p.data(
        "join",
        &numbers.map(|(k, v)| (k, v as u32)).sample(false, 0.02, 1).join(&other.sample(false, 0.05, 2)),
    )?;
    p.data(
        "left_outer_join",
        &other.sample(false, 0.01, 3).left_outer_join(&numbers.sample(false, 0.01, 4)),
    )?;
    p.data(
        "full_outer_join",
        &other.sample(false, 0.01, 3).full_outer_join(&numbers.sample(false, 0.01, 4)),
    )?;
    p.data("cogroup", &other.cogroup(&numbers))?;
    p.data("subtract_by_key", &other.subtract_by_key(&numbers))?;
    p.data("intersection", &other.keys().intersection(&numbers.keys()))?;
    p.data("subtract", &other.keys().subtract(&numbers.keys()))?;
    p.data("union", &numbers.keys().union(&other.keys()))?;
    p.data("cartesian", &cx.range(0..20, 2).cartesian(&cx.range(0..10, 3)))?;
    p.data("zip", &numbers.zip(&numbers.map(|x| x.0))?)?;
    p.data("zip_with_index", &numbers.zip_with_index()?)?;
    p.data("zip_with_unique_id", &numbers.zip_with_unique_id())?;
    p.data("sample", &numbers.sample(false, 0.3, 9))?;
    p.data("sample with replacement", &numbers.sample(true, 0.3, 9))?;
    p.data("sample_by_key", &numbers.sample_by_key([(3, 0.5), (4, 0.1)].into(), 9))?;
    for (i, part) in numbers.random_split([0.6, 0.3, 0.1], 11).iter().enumerate() {
        p.data(&format!("random_split {i}"), part)?;
    }
    let values = numbers.values();
    p.value("sum", values.sum()?.to_bits());
    p.value("stats", values.stats()?);
    p.value("histogram", values.histogram_even(10)?);
    p.value("reduce", values.reduce(|a, b| a + b)?.map(f64::to_bits));
    p.value("fold", values.fold(0.1, |a, b| a + b)?.to_bits());
    p.value("aggregate", values.aggregate(0.0, |a, x| *a += x, |a, b| *a += b)?.to_bits());
    p.value("count", (numbers.count()?, numbers.count_partitions()?, numbers.is_empty()?));
    p.value("take", (numbers.take(20)?, numbers.first()?));
    p.value("top", other.top(5)?);
    p.value("take_ordered", other.take_ordered(5)?);
    p.value("min max", (other.min()?, other.max()?));
    p.value("take_sample", (other.take_sample(false, 9, 3)?, other.take_sample(true, 9, 3)?));
    p.value("count_by_key", numbers.count_by_key()?);
    p.value("lookup", (other.lookup(&7)?, other.partition_by(3).lookup(&7)?));
    p.value("count_approx_distinct", other.keys().count_approx_distinct(0.05)?);
    p.value("run_job", numbers.run_job(vec![1, 3], |i, it| (i, it.map(|x| x.1).sum::<f64>().to_bits()))?);
    // A chain of shuffles over cached data, twice.
    let cached = numbers.reduce_by_key_with(5, add).persist(StorageLevel::MemoryAndDisk);
    for round in 0..2 {
        p.data(
            &format!("chain {round}"),
            &cached.map(|(k, v)| (k % 10, v)).reduce_by_key_with(3, add).sort_by_key(true)?,
        )?;
    }
    p.data("local_checkpoint", &cached.local_checkpoint()?)?;
    // Accumulators: the same value in every process, each partition once.
    let sum = cx.accumulator(0.0, |a: &mut f64, b| *a += b);
    let add_to = sum.clone();
    let counted = numbers.map(move |(k, v)| {
        add_to.add(v);
        k
    });
    counted.count()?;
    counted.count()?;
    p.value("accumulator", sum.value().to_bits());
    // Raw timely between datasets.
    let output = cx.output::<(u64, u64)>(4);
    let (input, into) = (other.clone(), output.clone());
    cx.timely(&[&other], move |worker, bridge| {
        use timely::dataflow::operators::vec::Map;
        worker.dataflow::<u64, _, _>(|scope| {
            let stream = input.to_stream(scope, bridge).map(|(k, v)| (v % 11, k));
            stream.into_dataset(&into, |x| x.0);
        });
    })?;
    p.data("timely", &output.dataset(cx))?;
    let _ = p.cx;
    Ok(p.digests)
}

fn compare(name: &str, want: &Digests, got: &Digests) {
    let differ: Vec<_> = want.iter().filter(|(k, v)| got.get(*k) != Some(v)).map(|(k, _)| k).collect();
    assert!(differ.is_empty() && want.len() == got.len(), "{name}: {differ:?} differ");
}

const ROWS: u64 = 6000;

#[test]
fn same_bytes_for_any_number_of_workers_and_any_memory() {
    let want = program(&Context::local(1).unwrap(), ROWS).unwrap();
    assert!(want.len() > 50, "{} results", want.len());
    for workers in [2, 4] {
        let got = program(&Context::local(workers).unwrap(), ROWS).unwrap();
        compare(&format!("{workers} workers"), &want, &got);
    }
    // So many rows that a budget of 1 MiB spills.
    let many = 60_000;
    let want = program(&Context::local(1).unwrap(), many).unwrap();
    for workers in [1, 2] {
        let cx = Context::new(Config { workers, memory_budget_bytes: 1 << 20, ..Config::default() }).unwrap();
        let got = program(&cx, many).unwrap();
        compare(&format!("1 MiB, {workers} workers"), &want, &got);
        assert!(cx.bytes_spilled() > 1 << 20, "it spilled {} bytes", cx.bytes_spilled());
        assert!(cx.memory().peak() <= 1 << 20);
    }
}

/// What a child process runs, if this process is one: see [`cluster::run`].
#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    let cx = Context::from_env().unwrap();
    let process = cx.topology().process;
    let answer = match task.as_str() {
        "program" => {
            let digests = program(&cx, ROWS).unwrap();
            digests.into_iter().map(|(k, v)| format!("{k}: {v}\n")).collect::<String>()
        }
        // Processes that disagree: another operation in the second process.
        "differ" => {
            let data = cx.range(0..100, 4);
            let data = if process == 0 { data.map(|x| x + 1) } else { data.filter(|x| *x > 1) };
            let error = data.count().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::PlanMismatch { .. }), "{error}");
            // Nothing was built, and the next job works in both.
            assert_eq!(cx.range(0..10, 3).count().unwrap(), 10);
            format!("{error}\n")
        }
        // A task that fails in one process fails the job in both, with the same error; the next job works.
        "fail" => {
            let error =
                cx.range(0..100, 4).map(|x| if x == 77 { panic!("row {x}") } else { x }).count().unwrap_err();
            assert_eq!(cx.range(0..10, 3).count().unwrap(), 10);
            format!("{error}\n")
        }
        // One leaves by itself while the others are in a job; then they have no cluster any more.
        "leave" if process == 1 => {
            cx.leave(Some("its disk is full"));
            format!("{}\n", cx.range(0..10, 3).count().unwrap_err())
        }
        "leave" => {
            let error = cx.range(0..10, 3).count().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Cluster(_)), "{error}");
            format!("{error}\n")
        }
        other => panic!("unknown task {other}"),
    };
    cluster::answer(&answer);
}

#[test]
fn same_bytes_in_two_processes() {
    let want = program(&Context::local(2).unwrap(), ROWS).unwrap();
    for workers in [1, 2] {
        for answer in cluster::run("program", 2, workers) {
            let got = answer.lines().map(|l| l.split_once(": ").unwrap());
            let got: Digests = got.map(|(k, v)| (k.to_string(), v.to_string())).collect();
            compare(&format!("2 processes x {workers} workers"), &want, &got);
        }
    }
}

#[test]
fn processes_that_disagree_are_told_so() {
    let answers = cluster::run("differ", 2, 1);
    assert_eq!(answers[0], answers[1]);
    let text = &answers[0];
    assert!(
        text.contains("process 0: job 1, count of map") && text.contains("process 1: job 1, count of filter"),
        "{text}"
    );
}

#[test]
fn who_leaves_is_heard() {
    let answers = cluster::run("leave", 3, 2);
    for process in [0, 2] {
        assert!(answers[process].contains("process 1 has left the cluster: its disk is full"), "{answers:?}");
    }
    assert!(answers[1].contains("the context is closed"), "{answers:?}");
}

#[test]
fn an_error_is_the_same_in_all_processes() {
    let answers = cluster::run("fail", 2, 1);
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].contains("failed 4 times") && answers[0].contains("row 77"), "{}", answers[0]);
}
