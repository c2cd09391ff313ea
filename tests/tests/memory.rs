//! R10: what is sent to a process that does not take it does not pile up in memory.
//!
//! Each test holds one process back for [`held`] seconds, 6 by default; `SLACKWATER_HELD=60` is what the promise is about.

use nix::sys::signal::Signal;
use slackwater_dataflow::hash::hash_u64;
use slackwater_dataflow::{Context, IntoDataset, Result};
use slackwater_paramstore::{Consistency, EpochsExt, TableExt, TableSpec};
use slackwater_tests::cluster::ports::resident_bytes;
use slackwater_tests::cluster::{self, Setup};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Growth that is allowed, in bytes.
const GROWTH_MAX: u64 = 64 << 20;
/// The process that is held back.
const HELD: usize = 1;

/// How long it is held back.
fn held() -> Duration {
    let seconds = std::env::var("SLACKWATER_HELD").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some((task, cx)) = cluster::join() else { return };
    let answer = match task.as_str() {
        "endless" => endless(&cx),
        "shuffle" => shuffle(&cx),
        "bsp" => train(&cx, Consistency::Bsp),
        "ssp" => train(&cx, Consistency::Ssp(40)),
        "essp" => train(&cx, Consistency::Essp(40)),
        "async" => train(&cx, Consistency::Async),
        "raw" => raw(&cx),
        other => panic!("unknown task {other}"),
    };
    cluster::answer(&answer.unwrap_or_else(|e| format!("error: {e}")));
}

/// User code that is stuck, in one process.
fn stuck() {
    cluster::note("stuck");
    std::thread::sleep(held());
    cluster::note("free");
}

/// Shuffles of 32 MB for as long as two processes may be held back.
fn endless(cx: &Context) -> Result<String> {
    let (start, mut round) = (Instant::now(), 0);
    // How often is the same in all: they agree by a job.
    while cx.range(0..1, 1).map(move |_| start.elapsed() < held() + Duration::from_secs(4)).collect()?[0] {
        let pairs = cx.range(0..2_000_000, 6).map(move |x| (hash_u64(x ^ round), x));
        pairs.partition_by(6).map(|(k, v)| k ^ v).reduce(|a, b| a ^ b)?;
        round += 1;
        cluster::note(&format!("round {round}"));
    }
    Ok(format!("{}", round > 0))
}

/// A shuffle of 1 GB, of which the process that is held back has a third to take.
fn shuffle(cx: &Context) -> Result<String> {
    let process = cx.topology().process;
    let pairs = cx.range(0..60_000_000, 6).map(move |x| {
        if x == 10_500_000 && process == HELD {
            stuck();
        }
        (hash_u64(x), x)
    });
    Ok(format!("{:?}", pairs.partition_by(6).map(|(k, v)| k ^ v).reduce(|a, b| a ^ b)?))
}

/// 70 clocks of three partitions, each of which changes all of 8 MB.
fn train(cx: &Context, consistency: Consistency) -> Result<String> {
    const ROWS: usize = 1 << 17;
    let process = cx.topology().process;
    let data = cx.range(0..3 * 70, 3);
    let table = cx.table::<f64>("large", TableSpec::dense(ROWS, 8).consistency(consistency))?;
    let ones = vec![1.0; ROWS * 8];
    data.epochs(1)
        .batch(1)
        .update(&table, move |_, view, clock| {
            if clock.number() == 20 && process == HELD {
                stuck();
            }
            view.inc_rows(0, &ones);
        })
        .run()?;
    let values = table.values();
    Ok(format!("{} {}", values[0], values.iter().all(|v| *v == values[0])))
}

/// A dataflow of the user's own, which has no windows: 1 GB goes through it.
fn raw(cx: &Context) -> Result<String> {
    use slackwater_dataflow::timely::dataflow::operators::vec::Map;
    use slackwater_dataflow::timely::dataflow::operators::{Exchange, vec::Filter};
    let process = cx.topology().process;
    let numbers = cx.range(0..60_000_000, 6);
    let (input, output) = (numbers.clone(), cx.output::<u64>(6));
    let into = output.clone();
    static HAS_BEEN: AtomicBool = AtomicBool::new(false);
    cx.timely(&[&numbers], move |worker, bridge| {
        worker.dataflow::<u64, _, _>(|scope| {
            let numbers = input.to_stream(scope, bridge).map(|x| (hash_u64(x), x));
            let arrived = numbers.exchange(|(k, _)| *k).map(move |(k, x)| {
                if x > 5_000_000 && process == HELD && !HAS_BEEN.swap(true, Ordering::Relaxed) {
                    stuck();
                }
                k ^ x
            });
            arrived.filter(|x| x % 100_003 == 0).into_dataset(&into, |x| *x);
        });
    })?;
    Ok(format!("{:?}", output.dataset(cx).reduce(|a, b| a ^ b)?))
}

/// The most that the others have in use, and the process that is held back.
fn peaks(c: &mut cluster::Cluster, until: impl Fn(&cluster::Cluster) -> bool) -> [u64; 2] {
    let (since, pids, mut most) = (Instant::now(), c.pids(), [0, 0]);
    let of = |slots: &[usize]| slots.iter().map(|s| resident_bytes(pids[*s])).max().unwrap_or(0);
    loop {
        most = [most[0].max(of(&[0, 2])), most[1].max(of(&[HELD]))];
        if until(c) {
            return most;
        }
        c.run_for(Duration::from_millis(5));
        assert!(since.elapsed() < held() + Duration::from_secs(60), "{}", c.logs());
    }
}

/// True if the process that is held back has noted this.
fn noted(c: &cluster::Cluster, text: &str) -> bool {
    c.notes().iter().any(|(slot, _, _, note)| *slot == HELD && note == text)
}

/// Workers of one process are stuck in user code, while its control thread says that it lives.
fn stuck_process(task: &str) {
    let mut c = Setup::new(task, 3, 1).variable("SLACKWATER_MEMORY", "256MiB").start();
    let before = peaks(&mut c, |c| noted(c, "stuck"));
    let after = peaks(&mut c, |c| noted(c, "free"));
    let [others, own] = [0, 1].map(|i| after[i].saturating_sub(before[i]));
    println!("{task}: {} and {} MiB before", before[0] >> 20, before[1] >> 20);
    println!("{task}: the others grew by {} MiB, the stuck one by {} MiB", others >> 20, own >> 20);
    let answers = c.finish();
    assert!(answers.iter().all(|a| *a == answers[0] && !a.contains("error")), "{answers:?}\n{}", c.logs());
    assert_eq!(c.replaced(), 0, "{}", c.logs());
    assert!(others < GROWTH_MAX && own < GROWTH_MAX, "{task}: {others} {own}");
}

#[test]
fn a_shuffle_to_a_stuck_process() {
    stuck_process("shuffle");
}

#[test]
fn tables_and_a_stuck_process() {
    ["bsp", "ssp", "essp", "async"].into_iter().for_each(stuck_process);
}

#[test]
fn a_raw_dataflow_and_a_stuck_process() {
    stuck_process("raw");
}

/// A process that is stopped is given up, and replaced; the others do not grow while it is stopped, nor after. The budget
/// is small, since a job that runs again makes use of it.
#[test]
fn a_stopped_process() {
    let mut c = Setup::new("endless", 3, 1).variable("SLACKWATER_MEMORY", "64MiB").spare_zombies().start();
    let [before, _] = peaks(&mut c, |c| noted(c, "round 10"));
    c.signal(HELD, Signal::SIGSTOP);
    let stopped = Instant::now();
    let [after, _] = peaks(&mut c, |_| stopped.elapsed() > held());
    let others = after.saturating_sub(before);
    println!("stopped: {} MiB before, the others grew by {} MiB", before >> 20, others >> 20);
    c.signal_zombies(Signal::SIGKILL);
    let answers = c.finish();
    assert!(answers.iter().all(|a| a == "true"), "{answers:?}\n{}", c.logs());
    assert_eq!(c.replaced(), 1, "{}", c.logs());
    assert!(others < GROWTH_MAX, "{others}");
}
