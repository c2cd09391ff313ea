//! Faults of the machine around a cluster: stopped and slow processes, networks, disks.

use nix::sys::signal::Signal;
use slackwater_dataflow::cluster::Happening;
use slackwater_dataflow::hash::{hash_bytes, hash_u64};
use slackwater_dataflow::{Context, Result};
use slackwater_tests::cluster::{self, Cluster, Setup};
use slackwater_tests::inject::{Network, Quota, Tmpfs, absent, shim};
use slackwater_tests::program::{program, undisturbed, watch};
use std::time::{Duration, Instant};

const ROWS: u64 = 2000;
/// After this a silent process is given up, with some time for a busy machine.
const GIVEN_UP: Duration = Duration::from_secs(5);

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    let (task, pace) = task.split_once(' ').unwrap_or((&task, "0"));
    let cx = match Context::from_env() {
        Ok(cx) => cx,
        Err(e) => return cluster::note(&format!("no context: {e}")),
    };
    let _watched = watch(&cx);
    let answer = match task {
        "program" => {
            let pace = Duration::from_millis(pace.parse().unwrap());
            program(&cx, &cluster::shared_dir(), ROWS, pace)
        }
        "spill" => spill(&cx),
        other => panic!("unknown task {other}"),
    };
    cluster::answer(&answer.unwrap_or_else(|e| format!("error: {e}")));
}

/// Sorts more than there is memory for.
fn spill(cx: &Context) -> Result<String> {
    let sorted = cx.range(0..200_000, 6).map(|x| (hash_u64(x), x)).sort_by_key(true)?.collect()?;
    Ok(format!("{:016x}", hash_bytes(format!("{sorted:?}").as_bytes())))
}

fn assert_all(c: &mut Cluster, want: &str) {
    for answer in c.finish() {
        assert_eq!(answer, want, "{}", c.logs());
    }
}

/// 15 and 29, R4: a member that is stopped is given up and replaced; when it goes on, what it does does not count, and it
/// ends by itself and says why.
#[test]
fn s15_s29_a_stopped_process_is_replaced_and_ends_by_itself() {
    let want = undisturbed(ROWS);
    // In the middle of a shuffle, so that it has a task to go on with.
    let mut c = Setup::new("program 20", 3, 2).fault("stop=1,1,5,mid-shuffle").spare_zombies().start();
    c.await_note(0, "step 4");
    let stopped = Instant::now();
    c.await_event("the loss", |h| matches!(h, Happening::Lost { slot: 1, .. }));
    let found = stopped.elapsed();
    assert!(found < GIVEN_UP, "given up after {found:?}");
    assert_all(&mut c, &want);
    c.run_for(Duration::from_secs(5).saturating_sub(stopped.elapsed()));
    c.signal_zombies(Signal::SIGCONT);
    let until = Instant::now() + Duration::from_secs(10);
    while c.ended_zombies().is_empty() && Instant::now() < until {
        c.turn();
    }
    let zombies = c.ended_zombies();
    let [(_, said)] = &zombies[..] else { panic!("it has not ended\n{}", c.logs()) };
    assert!(said.contains("error: the supervisor"), "{said}");
    assert!(!said.contains(&format!("ANSWER {}", &want[..20])), "it has an answer: {said}");
    println!("a stopped process was given up after {found:?}; formed again after {:?}", c.formings());
}

/// A link that goes down and comes back: one of the two that were process 1 goes on, and the answer is right.
#[test]
fn a_link_that_goes_down_and_comes_back() {
    let Some(network) = Network::new() else { return };
    let want = undisturbed(ROWS);
    let mut c = Setup::new("program 40", 3, 1)
        .listen(&format!("{}:0", network.here()))
        .variable_of_first(1, "SLACKWATER_HOST", &network.inside())
        .run_by(1, &network.enter())
        .spare_zombies()
        .start();
    c.await_note(1, "step 2");
    network.set_up(false);
    let down = Instant::now();
    c.await_event("the loss", |h| matches!(h, Happening::Lost { slot: 1, .. }));
    let found = down.elapsed();
    assert!(found < GIVEN_UP, "given up after {found:?}");
    assert_all(&mut c, &want);
    c.run_for(Duration::from_secs(10).saturating_sub(down.elapsed()));
    network.set_up(true);
    let until = Instant::now() + Duration::from_secs(10);
    while c.ended_zombies().is_empty() && Instant::now() < until {
        c.turn();
    }
    let zombies = c.ended_zombies();
    let [(_, said)] = &zombies[..] else { panic!("it has not ended\n{}", c.logs()) };
    assert!(said.contains("error: the supervisor"), "{said}");
    println!("a process behind a link that is down was given up after {found:?}");
}

/// A slow link and a slow processor: the same answer, and nobody is lost.
#[test]
fn slow_is_not_lost() {
    let want = undisturbed(ROWS);
    if let Some(network) = Network::new() {
        let mut c = Setup::new("program", 3, 1)
            .listen(&format!("{}:0", network.here()))
            .variable_of_first(1, "SLACKWATER_HOST", &network.inside())
            .run_by(1, &network.enter());
        if network.limit("8mbit") {
            c = c.restarts(0);
            assert_all(&mut c.start(), &want);
        } else {
            absent("the kernel cannot limit a link");
        }
    }
    if let Some(quota) = Quota::new(20) {
        let mut c = Setup::new("program 10", 3, 1).restarts(0).start();
        quota.hold(c.pids()[1]);
        assert_all(&mut c, &want);
        println!("with a fifth of a processor for one of three: {:?}", c.age());
    }
}

/// The disk of one process is full while it spills: an error that says so, the same in all, or the right answer.
#[test]
fn a_full_disk_is_named_or_survived() {
    let Some(disk) = Tmpfs::new(256) else { return };
    let want = {
        let cx = Context::local(2).unwrap();
        spill(&cx).unwrap()
    };
    let of = |setup: Setup| {
        let answers = setup.variable("SLACKWATER_MEMORY", "1MiB").start().finish();
        assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
        answers[0].clone()
    };
    assert_eq!(of(Setup::new("spill", 3, 1)), want);
    let path = disk.path().display().to_string();
    let answer = of(Setup::new("spill", 3, 1).variable_of(1, "SLACKWATER_SPILL_DIR", &path));
    println!("a full disk: {answer}");
    assert!(answer == want || answer.contains("No space left"), "{answer}");
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = shim(dir.path()) else { return };
    let full = Setup::new("spill", 3, 1)
        .variable_of(1, "LD_PRELOAD", &library.display().to_string())
        .variable_of(1, "SHIM_BYTES", "100000");
    let answer = of(full);
    assert!(answer == want || answer.contains("No space left"), "{answer}");
}

/// Making a file durable fails: the checkpoint is not there, and all are told.
#[test]
fn a_checkpoint_that_is_not_durable_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let Some(library) = shim(dir.path()) else { return };
    for slot in [0, 1] {
        let mut c = Setup::new("program", 3, 1)
            .variable_of(slot, "LD_PRELOAD", &library.display().to_string())
            .variable_of(slot, "SHIM_FSYNC", "1")
            .start();
        let answers = c.finish();
        let told = answers.iter().all(|a| a.starts_with("error: ") && a.contains("nput/output error"));
        assert!(told, "{answers:?}\n{}", c.logs());
        let folder = c.dir().join("checkpoint");
        assert!(!folder.join("_SUCCESS").exists() && !folder.join("checkpoint.json").exists());
    }
}
