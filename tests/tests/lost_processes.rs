//! Scenarios in which processes are lost, by the numbers of the project's list of Spark's own fault tests.
//!
//! Those that one process can show are in `faults.rs`, those that need a stopped process in `inject.rs` (15, 29). Not
//! here: 8, since blocks are not replicated; 12, since what bounds repeated losses is the restart limit of 4. 31 and 32
//! are in `elastic.rs`, 37 is in `mllib/driver/tests/cli/events.rs`.

use slackwater_dataflow::cluster::Happening;
use slackwater_dataflow::event::Event;
use slackwater_dataflow::hash::hash_u64;
use slackwater_dataflow::{Context, ErrorKind, IntoDataset, Result};
use slackwater_tests::cluster::{self, Cluster, Setup};
use slackwater_tests::program::{program, undisturbed, watch};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROWS: u64 = 2000;

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some((task, cx)) = cluster::join() else { return };
    let _watched = watch(&cx);
    let answer = match task.as_str() {
        "program" => program(&cx, &cluster::shared_dir(), ROWS, Duration::ZERO),
        "exit 42" => exits(&cx, 42),
        "exit 0" => exits(&cx, 0),
        "plain" => plain(&cx),
        "chain" => chain(&cx),
        "shared" => shared(&cx),
        "cancel" => cancel(&cx),
        "broadcast" => broadcast(&cx),
        "sticks" => sticks(&cx),
        "unsteady" => unsteady(&cx),
        "together" => together(&cx, "all"),
        "together but one" => together(&cx, "but one"),
        "elsewhere" => elsewhere(&cx),
        "late" => late(&cx),
        other => panic!("unknown task {other}"),
    };
    cluster::answer(&answer.unwrap_or_else(|e| format!("error: {e}")));
}

/// Waits long enough for the test to do something between two jobs.
fn between(name: &str) {
    cluster::note(name);
    std::thread::sleep(Duration::from_millis(150));
}

fn exits(cx: &Context, code: i32) -> Result<String> {
    let hit = move |x: u64| if x == 40 { std::process::exit(code) } else { x };
    Ok(format!("{}", cx.range(0..100, 6).map(hit).count()?))
}

fn plain(cx: &Context) -> Result<String> {
    let squares = cx.range(0..ROWS, 7).map(|x| x * x % 1001);
    let first = squares.reduce(|a, b| a + b)?;
    between("between");
    Ok(format!("{first:?} {:?}", squares.collect()?))
}

fn chain(cx: &Context) -> Result<String> {
    let add = |a: &mut u64, b| *a = a.wrapping_mul(31).wrapping_add(b);
    let one = cx.range(0..ROWS, 6).map(|x| (hash_u64(x) % 301, x)).reduce_by_key_with(6, add);
    let two = one.map(|(k, v)| (k % 101, v)).reduce_by_key_with(6, add);
    let three = two.map(|(k, v)| (k % 31, v)).reduce_by_key_with(6, add);
    let first = three.collect()?;
    between("between");
    let again = three.collect()?;
    assert_eq!(first, again);
    Ok(format!("{again:?}"))
}

fn shared(cx: &Context) -> Result<String> {
    let sums = cx.range(0..ROWS, 6).map(|x| (x % 97, x)).reduce_by_key_with(6, |a, b| *a += b);
    let first = sums.map(|(k, v)| k ^ v).reduce(|a, b| a + b)?;
    between("between");
    Ok(format!("{first:?} {:?}", sums.filter(|(k, _)| k % 2 == 0).collect()?))
}

/// Cancels its first job when a process has been replaced; the second one works.
fn cancel(cx: &Context) -> Result<String> {
    let (cancelled, canceller) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Some(cx.clone()))));
    let (done, who) = (cancelled.clone(), canceller.clone());
    let heard = cx.events().subscribe(move |stamped| {
        if let Event::GenerationFormed { generation: 2, .. } = &stamped.event
            && stamped.process == 0
            && !done.swap(true, Ordering::SeqCst)
            && let Some(cx) = who.lock().unwrap().as_ref()
        {
            cx.cancel();
        }
    });
    let slow = cx.range(0..6000, 6).map(|x| {
        std::thread::sleep(Duration::from_millis(1));
        x
    });
    cluster::note("slow");
    let error = slow.count().unwrap_err();
    drop(heard);
    canceller.lock().unwrap().take();
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error}");
    Ok(format!("{error}; {}", cx.range(0..100, 5).count()?))
}

/// The first process of slot 1 never comes out of a function.
fn sticks(cx: &Context) -> Result<String> {
    let sticks = std::env::var_os("STICKS").is_some();
    let through = move |x: u64| {
        if sticks && x == 1 {
            cluster::note("stuck");
            std::thread::sleep(Duration::from_secs(3600));
        }
        x
    };
    Ok(format!("{:?}", cx.range(0..6, 6).map(through).collect()?))
}

/// Keeps what depends on the process that computes it.
fn unsteady(cx: &Context) -> Result<String> {
    let kept = cx.range(0..ROWS, 6).map(|x| x ^ u64::from(std::process::id())).cache();
    let first = kept.count()?;
    let second = kept.map(|x| x & 1).reduce(|a, b| a + b)?;
    Ok(format!("{first} {second:?}"))
}

/// A dataflow that is one to all workers: all exchange numbers with all. In `how` it goes wrong in one partition.
fn together(cx: &Context, how: &'static str) -> Result<String> {
    use slackwater_dataflow::timely::dataflow::operators::{Exchange, vec::Map};
    let numbers = cx.range(0..ROWS, 6).map(move |x| {
        // Long enough to be killed in.
        std::thread::sleep(Duration::from_micros(300));
        assert!(how != "but one" || x != ROWS / 2, "on purpose");
        x
    });
    let (input, output) = (numbers.clone(), cx.output::<u64>(6));
    let into = output.clone();
    let result = cx.timely(&[&numbers], move |worker, bridge| {
        cluster::note(&format!("begins {}", worker.index()));
        worker.dataflow::<u64, _, _>(|scope| {
            let numbers = input.to_stream(scope, bridge).exchange(|x| hash_u64(*x)).map(|x| x ^ 1);
            numbers.into_dataset(&into, |x| *x);
        });
    });
    let told = result.map_or_else(|e| format!("error: {e}"), |()| "well".to_string());
    if how == "without one" {
        return Ok(told);
    }
    // What each has to say, as all of them hear it.
    let said = cx.range(0..6, 6).map(move |p| (p, told.clone())).collect()?;
    Ok(format!("{said:?} {:?}", output.dataset(cx).collect()?))
}

/// One process does not come to what the others do together, but to something else.
fn elsewhere(cx: &Context) -> Result<String> {
    if cx.topology().process == 1 {
        return Ok(cx.range(0..7, 6).count().map_or_else(|e| format!("error: {e}"), |n| n.to_string()));
    }
    together(cx, "without one")
}

/// One process comes late: after the time that a job may take.
fn late(cx: &Context) -> Result<String> {
    if cx.topology().process == 1 {
        cluster::note("sleeps");
        std::thread::sleep(Duration::from_secs(3));
    }
    Ok(format!("{}", cx.range(0..7, 6).count()?))
}

fn broadcast(cx: &Context) -> Result<String> {
    let mut table: Vec<u64> = (0..100).map(hash_u64).collect();
    let shared = cx.broadcast(table.clone());
    table[3] = 0;
    let use_it = |shared: slackwater_dataflow::Broadcast<Vec<u64>>| {
        cx.range(0..ROWS, 6).map(move |x| shared.value()[(x % 100) as usize] ^ x).collect()
    };
    let first = use_it(shared.clone())?;
    between("between");
    assert_eq!(first, use_it(shared.clone())?);
    shared.destroy();
    let error = use_it(shared).unwrap_err().to_string();
    assert!(error.contains("destroyed"), "{error}");
    Ok(format!("{first:?}"))
}

/// What a task answers when nothing happens.
fn alone(task: &str) -> String {
    let cx = Context::local(2).unwrap();
    let answer = match task {
        "plain" => plain(&cx),
        "chain" => chain(&cx),
        "shared" => shared(&cx),
        "broadcast" => broadcast(&cx),
        "together" => together(&cx, "all"),
        other => panic!("unknown task {other}"),
    };
    answer.unwrap()
}

/// Kills a process between the first job and the second.
fn kill_between(task: &str, slot: usize) -> Cluster {
    let want = alone(task);
    let mut c = Cluster::start(task, 3, 2);
    c.await_note(slot, "between");
    c.kill(slot);
    for answer in c.finish() {
        assert_eq!(answer, want, "{}", c.logs());
    }
    assert_eq!(c.replaced(), 1);
    c
}

/// A task ends its process every time: the run ends, with the job in the error, after as many losses as are allowed.
#[test]
fn s04_a_task_ends_its_process_every_time() {
    for (task, code) in [("exit 42", 42), ("exit 0", 0)] {
        let start = Instant::now();
        let mut c = Cluster::start(task, 3, 2);
        let end = c.end();
        let why = end.failed.unwrap_or_else(|| panic!("code {code} went unnoticed\n{}", c.logs()));
        assert!(why.contains("lost 4 times in a row in job 1"), "{why}");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        let told = end.answers.iter().flatten().filter(|a| a.contains("it has lost a process too often"));
        assert_eq!(told.count(), 2, "the others are told why\n{}", c.logs());
        assert!(c.spill_files().is_empty());
    }
}

/// A process dies between jobs, nothing is cached: the next job gives what it would have given.
#[test]
fn s06_a_process_is_lost_between_jobs() {
    for slot in 0..3 {
        kill_between("plain", slot);
    }
}

/// Processes die three times on the map side, and three times on the reduce side.
#[test]
fn s07_repeated_losses_in_a_shuffle() {
    let want = undisturbed(ROWS);
    let thrice = |phase: &str| {
        let kill = |(generation, process)| format!("kill={process},{generation},2,{phase}");
        [(1, 1), (2, 0), (3, 2)].map(kill).join(";")
    };
    for phase in ["mid-shuffle", "mid-sink", "before-result", "after-commit"] {
        let mut c = Setup::new("program", 3, 2).fault(&thrice(phase)).start();
        assert!(c.finish().iter().all(|a| *a == want), "{phase}\n{}", c.logs());
        assert_eq!(c.replaced(), 3, "{phase}\n{}", c.logs());
    }
}

/// Cached partitions are lost in an iterative job: only they are computed again.
#[test]
fn s09_cached_partitions_of_a_lost_process() {
    let want = undisturbed(ROWS);
    let mut c = Setup::new("program", 3, 1).fault("kill=2,1,13,before-result").start();
    assert!(c.finish().iter().all(|a| *a == want), "{}", c.logs());
    let of = |before: usize| c.stored().iter().filter(|s| (s.0, s.1) == (2, before)).count();
    assert_eq!((of(0), of(1)), (5, 5), "{}", c.logs());
    assert_eq!(c.stored().len(), 20);
}

/// A part of a shuffle's output is lost: the map side runs again for that part, and the reduce side reads the rest from
/// where it is.
#[test]
fn s10_a_part_of_a_shuffle_is_lost() {
    let c = kill_between("shared", 1);
    let bytes = |job| c.tasks().iter().filter(|t| t.job == job).map(|t| t.bytes).sum::<u64>();
    let share = bytes(2) as f64 / bytes(1) as f64;
    assert!((0.2..0.5).contains(&share), "{share} of the shuffle was made again\n{}", c.logs());
}

/// All that a process had is lost at once: one generation, one more attempt at the job.
#[test]
fn s11_one_loss_is_one_more_attempt() {
    let want = undisturbed(ROWS);
    let mut c = Setup::new("program", 3, 2).fault("kill=1,1,11,before-result").start();
    assert!(c.finish().iter().all(|a| *a == want));
    let formed = c.happenings().iter().filter(|(_, h)| matches!(h, Happening::Formed { .. })).count();
    assert_eq!((formed, c.replaced()), (2, 1), "{}", c.logs());
    // Each part of the job ends at most twice, once an attempt.
    let of_job = c.tasks().into_iter().filter(|t| t.job == 11 && t.operation.starts_with("aggregate"));
    let of_survivors = of_job.filter(|t| t.slot == 0 && t.partition == 0).count();
    assert!((1..=2).contains(&of_survivors), "{of_survivors} attempts\n{}", c.logs());
}

/// Outputs of a shuffle and of all before it are lost: all are made again, in the part that is missing.
#[test]
fn s13_a_chain_of_shuffles_is_lost() {
    let c = kill_between("chain", 1);
    let stages: Vec<_> = c.tasks().into_iter().filter(|t| t.job == 2 && t.slot == 1).collect();
    let maps = stages.iter().filter(|t| t.operation == "reduce_by_key").count();
    assert_eq!(maps, 3 * 2, "three shuffles, two map partitions each\n{}", c.logs());
}

/// Output of a shuffle is lost that a job has made which is over: another that shares it makes it again.
#[test]
fn s14_a_shared_shuffle_is_lost() {
    for slot in [0, 2] {
        kill_between("shared", slot);
    }
}

/// 27: one of those that compute together is lost: all begin again, and all have the same. One that fails fails all.
#[test]
fn s27_together_or_not_at_all() {
    let want = alone("together");
    let mut c = Cluster::start("together", 3, 1);
    c.await_note(2, "begins 2");
    c.run_for(Duration::from_millis(50));
    c.kill(1);
    for answer in c.finish() {
        assert!(answer == want, "{answer}\n{}", c.logs());
    }
    // Slot and how many processes were in it before: how often it has begun.
    for (slot, before, times) in [(0, 0, 2), (1, 0, 1), (1, 1, 1), (2, 0, 2)] {
        let notes = c.notes().into_iter().filter(|n| (n.0, n.1) == (slot, before));
        assert_eq!(notes.filter(|n| n.3.starts_with("begins")).count(), times, "{slot}\n{}", c.logs());
    }
    let mut c = Cluster::start("together but one", 3, 1);
    let answers = c.finish();
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
    assert_eq!(answers[0].matches("on purpose").count(), 6, "each has the error of the one: {}", answers[0]);
}

/// 27: who does not come to what the others do together is an error in all, in time.
#[test]
fn s27_not_all_come() {
    let mut c = Setup::new("elsewhere", 3, 1).restarts(0).start();
    for answer in c.end().answers {
        let answer = answer.expect("an answer of each");
        assert!(
            answer.contains("error: ") && answer.contains("count of") && answer.contains("timely"),
            "{answer}"
        );
    }
    assert!(c.age() < Duration::from_secs(5), "{:?}", c.age());
    let mut c = Setup::new("late", 3, 1).restarts(0).variable("SLACKWATER_JOB_TIMEOUT", "1").start();
    // The limit is that of all: who comes late finds the job cancelled.
    let answers: Vec<String> = c.end().answers.into_iter().map(|a| a.expect("an answer of each")).collect();
    let limit = "error: job 1 took longer than 1 s";
    assert_eq!(answers, [limit, "error: cancelled", limit], "{}", c.logs());
    assert!(c.age() < Duration::from_secs(12), "{:?}", c.age());
}

/// A job is cancelled while a lost process is being replaced: it is cancelled in all, and the next one works.
#[test]
fn s28_cancelled_during_recovery() {
    let mut c = Cluster::start("cancel", 3, 1);
    c.await_note(1, "slow");
    c.run_for(Duration::from_millis(100));
    c.kill(1);
    let killed = Instant::now();
    let answers = c.finish();
    assert!(answers.iter().all(|a| a.ends_with("; 100") && *a == answers[0]), "{answers:?}");
    // A slow job would take a second.
    assert!(killed.elapsed() < Duration::from_secs(5));
}

/// A process dies that has read a broadcast value: its replacement has the value of the beginning.
#[test]
fn s34_broadcast_values_of_a_lost_process() {
    kill_between("broadcast", 1);
    kill_between("broadcast", 0);
}

/// 22, R7: a closure that gives something else when it runs again is named, and nobody goes on with a mixture.
#[test]
fn s22_what_is_computed_again_must_be_the_same() {
    let mut c = Setup::new("unsteady", 3, 1).fault("kill=1,1,2,before-result").start();
    let end = c.end();
    assert_eq!((end.replaced, &end.failed), (1, &None), "{}", c.logs());
    for answer in end.answers {
        let answer = answer.expect("an answer of each");
        for what in ["partition 1 of map at", "lost_processes.rs:", "is not what it was", "hint"] {
            assert!(answer.contains(what), "{answer}");
        }
    }
}

/// It is alive and says so, but one of its workers does not come round.
#[test]
fn a_process_whose_worker_is_stuck_is_given_up() {
    let mut c = Setup::new("sticks", 3, 1).variable_of_first(1, "STICKS", "1").start();
    c.await_note(1, "stuck");
    c.run_for(Duration::from_millis(2500));
    let status = c.supervisor().status();
    assert!(status.slots[1].still_seconds > 1.5, "{status:?}");
    assert!(status.slots[0].still_seconds < 1.5 && status.generation == 1, "{status:?}");
    c.supervisor().give_up_stuck(Duration::from_secs(3));
    assert_eq!(c.finish(), vec!["[0, 1, 2, 3, 4, 5]"; 3]);
    let lost = c.happenings().iter().filter_map(|(_, h)| match h {
        Happening::Lost { slot, why, .. } => Some((*slot, why.clone())),
        _ => None,
    });
    let lost: Vec<(usize, String)> = lost.collect();
    assert!(matches!(&lost[..], [(1, why)] if why.contains("in one step")), "{lost:?}");
}
