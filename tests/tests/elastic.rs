//! Runs that grow and shrink while their program goes on.

use nix::sys::signal::Signal;
use slackwater_dataflow::cluster::Happening;
use slackwater_tests::cluster::{self, Cluster, Setup};
use slackwater_tests::program::{PARTS, program, undisturbed, watch};
use std::collections::BTreeSet;
use std::time::Duration;

const ROWS: u64 = 2000;
const PACE: Duration = Duration::from_millis(60);

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some((_, cx)) = cluster::join() else { return };
    let _watched = watch(&cx);
    let answer = program(&cx, &cluster::shared_dir(), ROWS, PACE);
    cluster::answer(&answer.unwrap_or_else(|e| format!("error: {e}")));
}

/// Partitions of the first cached dataset that a slot has kept, ascending, each as often as it was computed.
fn kept(c: &Cluster, slot: usize) -> Vec<usize> {
    let stored = c.stored();
    let first = stored.iter().map(|(_, _, node, _)| *node).min().expect("something is cached");
    let of_slot = stored.iter().filter(|(s, _, node, _)| *s == slot && *node == first);
    let mut kept: Vec<usize> = of_slot.map(|(_, _, _, p)| *p).collect();
    kept.sort_unstable();
    kept
}

fn of(slot: usize, slots: usize) -> Vec<usize> {
    (0..PARTS).filter(|p| p % slots == slot).collect()
}

/// Spark's scenario 31, on command: a process that is added takes its share, and nothing else moves.
#[test]
fn s31_processes_are_added() {
    let mut c = Cluster::start("program", 2, 2);
    c.await_note(0, "step 2");
    assert_eq!(c.grow(), 2);
    assert_eq!(c.grow(), 3);
    c.await_size(4);
    assert_eq!(c.finish(), vec![undisturbed(ROWS); 4]);
    // Those that were there keep what they had, and make none of it again.
    assert_eq!((kept(&c, 0), kept(&c, 1)), (of(0, 2), of(1, 2)), "{}", c.logs());
    // Which of the new ones came first decides who took what from whom on the way.
    let (two, three): (BTreeSet<_>, BTreeSet<_>) =
        (kept(&c, 2).into_iter().collect(), kept(&c, 3).into_iter().collect());
    let at_home: BTreeSet<usize> = of(3, 4).into_iter().collect();
    assert!(at_home.is_subset(&three) && three.is_subset(&at_home), "{three:?}");
    let thirds: BTreeSet<usize> = of(2, 3).into_iter().collect();
    assert!(!two.is_empty() && two.is_subset(&thirds), "{two:?}");
}

/// Spark's scenario 32, but for what a process that goes has kept: it is computed again, and only that.
#[test]
fn s32_processes_go() {
    let mut c = Cluster::start("program", 3, 2);
    c.await_note(0, "step 4");
    c.retire(2);
    c.await_size(2);
    c.await_note(0, "step 9");
    c.retire(1);
    c.await_size(1);
    assert_eq!(c.finish(), vec![undisturbed(ROWS)]);
    let all: BTreeSet<usize> = kept(&c, 0).into_iter().collect();
    assert_eq!(all, (0..PARTS).collect(), "the last one has all");
    let again = kept(&c, 1).into_iter().filter(|p| p % 3 != 1).collect::<Vec<_>>();
    assert!(again.iter().all(|p| p % 3 == 2), "{again:?} moved without need\n{}", c.logs());
}

#[test]
fn nobody_takes_the_place_of_a_lost_process_if_none_is_to() {
    let mut c = Setup::new("program", 3, 1).shrink().start();
    c.await_note(0, "step 3");
    c.kill(2);
    c.await_size(2);
    c.await_note(0, "step 6");
    // The first speaks for the run, so it is replaced.
    c.kill(0);
    c.await_event("generation 3", |h| matches!(h, Happening::Formed { generation, .. } if *generation >= 3));
    c.await_note(1, "step 12");
    c.kill(1);
    assert_eq!(c.finish(), vec![undisturbed(ROWS)]);
    assert_eq!(c.replaced(), 1);
}

#[test]
fn processes_are_lost_while_others_come() {
    let mut c = Cluster::start("program", 2, 1);
    c.await_note(0, "step 2");
    let slot = c.grow();
    c.run_for(Duration::from_millis(20));
    // Whether it is a member already is a matter of chance.
    c.kill(slot);
    c.kill(1);
    c.await_size(3);
    c.retire(slot);
    c.kill(0);
    c.await_size(2);
    let want = undisturbed(ROWS);
    assert_eq!(c.finish(), vec![want.clone(), want]);
}

/// One that wakes after it was retired finds the door closed.
#[test]
fn who_was_retired_does_not_come_back() {
    let mut c = Setup::new("program", 3, 1).start();
    c.await_note(0, "step 2");
    c.signal(2, Signal::SIGSTOP);
    c.leave_out(2);
    c.await_generation(2);
    c.signal(2, Signal::SIGCONT);
    c.await_that("the end of the retired one", |c| !c.is_running(2));
    assert!(c.answered(2).is_some_and(|a| a.starts_with("error")), "{}", c.logs());
    let want = undisturbed(ROWS);
    assert_eq!(c.finish(), vec![want.clone(), want]);
}

/// One that comes while the others leave, or when they have left.
#[test]
fn a_new_process_that_comes_too_late_changes_nothing() {
    let want = Some(undisturbed(ROWS));
    for delay in [20, 35, 45, 55, 70] {
        let mut c = Cluster::start("program", 2, 1);
        c.await_note(0, "step 16");
        c.run_for(Duration::from_millis(delay));
        c.grow();
        let end = c.end();
        assert_eq!(end.failed, None, "{delay} ms\n{}", c.logs());
        assert_eq!(end.answers[..2], [want.clone(), want.clone()]);
    }
}
