//! Processes of a cluster are lost, and its answers are those of a run in which nothing happened.

use slackwater_tests::cluster::{self, Cluster, Setup};
use slackwater_tests::program::{JOBS, PARTS, PHASES, REDUCES, program, undisturbed, watch};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROWS: u64 = 3000;

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some((task, cx)) = cluster::join() else { return };
    let answer = match task.split_once(' ').unwrap_or((&task, "0")) {
        ("program", pace) => {
            let _watched = watch(&cx);
            let pace = Duration::from_millis(pace.parse().unwrap());
            program(&cx, &cluster::shared_dir(), ROWS, pace).unwrap_or_else(|e| format!("error: {e}"))
        }
        _ => panic!("unknown task {task}"),
    };
    cluster::answer(&answer);
}

/// Runs the program with these faults. Nothing if they were not reached; else how its answers differ from `want`.
fn disturb(faults: &str, want: &str) -> Option<Result<Cluster, String>> {
    let mut c = Setup::new("program", 3, 2).fault(faults).start();
    let end = c.end();
    if end.replaced == 0 && end.failed.is_none() {
        return None;
    }
    let differs = end.answers.iter().any(|a| a.as_deref() != Some(want));
    if differs || end.failed.is_some() {
        let answers: Vec<_> =
            end.answers.iter().map(|a| a.as_deref().map(|a| first_difference(a, want))).collect();
        return Some(Err(format!("{faults}: {:?}, {answers:?}\n{}", end.failed, c.logs())));
    }
    Some(Ok(c))
}

fn first_difference(got: &str, want: &str) -> String {
    let pair = got.lines().zip(want.lines()).find(|(g, w)| g != w);
    pair.map_or("the same".to_string(), |(g, w)| format!("{g} instead of {w}"))
}

/// Runs with each of these faults, two at a time; how many were reached. Panics with all that went wrong.
fn disturb_all(faults: Vec<String>, check: impl Fn(&Cluster) -> Result<(), String> + Sync) -> usize {
    let want = undisturbed(ROWS);
    let (next, reached, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = match disturb(fault, &want) {
                        None => continue,
                        Some(Ok(c)) => check(&c).map_err(|e| format!("{fault}: {e}\n{}", c.logs())),
                        Some(Err(e)) => Err(e),
                    };
                    reached.fetch_add(1, Ordering::Relaxed);
                    if let Err(e) = outcome {
                        wrong.lock().unwrap().push(e)
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {} went wrong:\n{}",
        wrong.len(),
        reached.into_inner(),
        wrong.join("\n\n")
    );
    reached.into_inner()
}

#[test]
fn a_kill_at_every_point_changes_nothing() {
    let jobs: Vec<u64> = match std::env::var("SLACKWATER_KILLS") {
        Ok(_) => (1..=JOBS).collect(),
        Err(_) => vec![1, 3, 5, 6, 7, 8, 13, 18],
    };
    let points = PHASES.iter().flat_map(|phase| jobs.iter().map(move |job| (phase, job)));
    let faults: Vec<String> =
        points.flat_map(|(phase, job)| (0..3).map(move |p| format!("kill={p},1,{job},{phase}"))).collect();
    let n = faults.len();
    let reached = disturb_all(faults, stored_once);
    println!("{reached} kills of {n} points were reached and survived");
    // Not every job has a shuffle.
    assert!(reached > n * 2 / 3);
}

/// Nobody keeps a partition twice or one that is another's: survivors keep what they have, and a process in another's
/// place computes what that one has lost.
fn stored_once(c: &Cluster) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for stored in c.stored() {
        let (slot, _, _, partition) = stored;
        if partition % 3 != slot {
            return Err(format!("{stored:?}: process {slot} keeps what is not its own"));
        }
        if !seen.insert(stored) {
            return Err(format!("{stored:?}: kept twice"));
        }
    }
    Ok(())
}

#[test]
fn more_than_one_is_killed() {
    let mut faults = vec![
        // The process in the lost one's place, while it hears what has been, while it replays, and when it computes.
        "kill=1,1,9,before-agree;kill=1,2,0,in-catch-up".to_string(),
        "kill=1,1,9,before-agree;kill=1,2,5,in-replay".to_string(),
        "kill=0,1,9,before-agree;kill=0,2,6,in-replay;kill=0,3,7,in-replay".to_string(),
        "kill=1,1,9,before-agree;kill=1,2,9,before-stage".to_string(),
        // Those that have survived, while the other catches up.
        "kill=1,1,9,before-agree;kill=0,2,*,in-catch-up".to_string(),
        "kill=1,1,9,before-agree;kill=0,2,*,in-catch-up;kill=2,2,*,in-catch-up".to_string(),
        // One after the other, until none is left of those that have begun.
        "kill=0,1,4,before-agree;kill=1,2,8,before-agree;kill=2,3,12,before-agree".to_string(),
    ];
    for job in [1, 5, 7, 8, 12, 19] {
        faults.push(format!("kill=0,1,{job},before-result;kill=1,1,{job},before-result"));
        faults.push(format!("kill=1,1,{job},before-result;kill=2,1,{job},after-log"));
        // All at once: nothing is left, and all begins again.
        faults.push(format!("kill=*,1,{job},before-result"));
    }
    let n = faults.len();
    assert_eq!(disturb_all(faults, stored_once), n);
}

#[test]
fn a_kill_while_all_leave() {
    let faults = ["in-leave", "after-leave"].into_iter();
    let mut faults: Vec<String> =
        faults.flat_map(|phase| (0..3).map(move |p| format!("kill={p},1,*,{phase}"))).collect();
    faults.extend((0..3).map(|p| format!("kill={p},1,*,in-leave;kill={},2,*,in-leave", (p + 1) % 3)));
    for _ in 0..3 {
        // Who is killed after all have left need not be replaced.
        disturb_all(faults.clone(), stored_once);
    }
}

#[test]
fn what_is_lost_is_computed_and_nothing_else() {
    let want = undisturbed(ROWS);
    let lost_slot = 1;
    let mut c = Setup::new("program", 3, 2).fault("kill=1,1,11,before-result").start();
    assert!(c.finish().iter().all(|a| *a == want));
    let of = |before: usize| -> BTreeSet<_> {
        let stored = c.stored().into_iter().filter(|s| (s.0, s.1) == (lost_slot, before));
        stored.map(|(_, _, node, partition)| (node, partition)).collect()
    };
    let (lost, computed) = (of(0), of(1));
    assert_eq!(lost, computed, "{}", c.logs());
    assert_eq!(lost.len(), PARTS / 3 + REDUCES / 3);
    assert_eq!(c.stored().len(), PARTS + REDUCES + lost.len());
    stored_once(&c).unwrap();
    // The shuffle of job 2 is made again for the partitions that are lost, a third of them.
    let bytes = |job: u64| -> u64 {
        let tasks = c.tasks().into_iter().filter(|t| t.job == job && t.operation == "reduce_by_key");
        tasks.map(|t| t.bytes).sum()
    };
    let (first, again) = (bytes(2), bytes(11));
    let share = again as f64 / first as f64;
    assert!((0.25..0.42).contains(&share), "{again} of {first} bytes were sent again");
    println!(
        "{} partitions lost, {} computed again; {share:.3} of the shuffle sent again",
        lost.len(),
        computed.len()
    );
}

#[test]
fn a_kill_is_found_at_once() {
    // Milliseconds, but two busy cores are shared with whatever else runs: the best of some is what is promised.
    let (mut found, mut formed) = (vec![], vec![]);
    for slot in [1, 0, 2] {
        let mut c = Cluster::start("program 10", 3, 2);
        c.await_note(0, "step 4");
        c.kill(slot);
        c.finish();
        found.extend(c.detections());
        formed.extend(c.formings());
    }
    println!("found after {found:?}, formed again after {formed:?}");
    assert_eq!((found.len(), formed.len()), (3, 3));
    assert!(found.iter().min().unwrap() < &Duration::from_millis(100));
    assert!(formed.iter().min().unwrap() < &Duration::from_secs(1));
}

#[test]
fn a_worker_that_panics_ends_the_generation_and_not_the_run() {
    let phases = PHASES.into_iter().filter(|p| !["mid-shuffle", "after-commit"].contains(p));
    let mut faults: Vec<String> =
        phases.flat_map(|phase| [0, 2].map(|p| format!("panic={p},1,5,{phase}"))).collect();
    faults.extend((0..3).map(|p| format!("panic={p},1,*,in-catch-up")));
    faults.extend((0..3).map(|p| format!("panic={p},1,*,in-leave")));
    faults.push("kill=1,1,9,before-agree;panic=0,2,*,in-catch-up".to_string());
    let want = undisturbed(ROWS);
    for fault in faults {
        let mut c = Setup::new("program", 3, 2).fault(&fault).start();
        let answers = c.finish();
        assert!(answers.iter().all(|a| *a == want), "{fault}: {}", c.logs());
        let reached = c.logs().matches("fault: ").count();
        assert_eq!(reached, fault.matches('=').count(), "{fault}: not reached\n{}", c.logs());
    }
}
