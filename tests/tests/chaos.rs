//! Random faults, by seed: `SLACKWATER_CHAOS=N` for N rounds, `SLACKWATER_CHAOS_SEED=S` to begin with round S.

use nix::sys::signal::Signal;
use slackwater_dataflow::Context;
use slackwater_dataflow::hash::hash_u64;
use slackwater_tests::cluster::{self, Cluster, Setup};
use slackwater_tests::program::{program, undisturbed};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const ROWS: u64 = 2000;
const ROUNDS: u64 = 30;
/// Few enough that the restart limit is not what is tested.
const ACTIONS_MAX: u64 = 4;

/// What a child process runs, if this process is one.
#[test]
fn child() {
    if cluster::task().is_none() {
        return;
    }
    let cx = match Context::from_env() {
        Ok(cx) => cx,
        Err(e) => return cluster::note(&format!("no context: {e}")),
    };
    let answer = program(&cx, &cluster::shared_dir(), ROWS, Duration::from_millis(5));
    cluster::answer(&answer.unwrap_or_else(|e| format!("error: {e}")));
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = hash_u64(self.0.wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.0 % n
    }
}

/// One action, by its weight; returns what it was.
fn act(c: &mut Cluster, dice: &mut Dice) -> String {
    let slot = dice.below(3) as usize;
    match dice.below(100) {
        0..55 => {
            c.kill(slot);
            format!("kill {slot}")
        }
        55..70 => {
            let other = (slot + 1 + dice.below(2) as usize) % 3;
            c.kill(slot);
            c.kill(other);
            format!("kill {slot} and {other}")
        }
        70..90 => {
            let pause = dice.below(400);
            c.signal(slot, Signal::SIGSTOP);
            c.run_for(Duration::from_millis(pause));
            c.signal(slot, Signal::SIGCONT);
            format!("stop {slot} for {pause} ms")
        }
        _ => {
            c.run_for(Duration::from_millis(200));
            "pause".to_string()
        }
    }
}

/// One round; how many processes were replaced.
fn round(seed: u64, want: &str) -> Result<usize, String> {
    let mut dice = Dice(seed);
    // More losses without a finished job than a launcher would allow: they are random.
    let mut c = Setup::new("program", 3, 1 + dice.below(2) as usize).restarts(16).start();
    let mut done = vec![];
    for _ in 0..1 + dice.below(ACTIONS_MAX) {
        let wait = dice.below(250);
        c.run_for(Duration::from_millis(wait));
        done.push(format!("after {wait} ms {}", act(&mut c, &mut dice)));
    }
    let end = c.end();
    // Who has left and is killed before it has ended cannot be replaced, since the others have left too: the launcher says
    // that the run has failed, as it cannot know what was still to come. The answers are there all the same.
    let had_left = |why: &String| why.contains("has failed: signal: 9");
    let good = end.failed.as_ref().is_none_or(had_left);
    let good = good && end.answers.iter().all(|a| a.as_deref() == Some(want));
    if good && c.spill_files().is_empty() {
        return Ok(end.replaced);
    }
    Err(format!("seed {seed}: {done:?}: {:?} {:?}\n{}", end.failed, c.spill_files(), c.logs()))
}

#[test]
fn random_faults_change_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|t| t.parse::<u64>().ok());
    let rounds = number("SLACKWATER_CHAOS").unwrap_or(ROUNDS);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let first = number("SLACKWATER_CHAOS_SEED").unwrap_or(now * 1000);
    println!("seeds {first}..{}", first + rounds);
    let want = undisturbed(ROWS);
    let (next, replaced, wrong) = (AtomicU64::new(0), AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= rounds {
                        return;
                    }
                    match round(first + i, &want) {
                        Ok(n) => drop(replaced.fetch_add(n, Ordering::Relaxed)),
                        Err(e) => wrong.lock().unwrap().push(e),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{rounds} rounds, {} processes replaced", replaced.into_inner());
    assert!(wrong.is_empty(), "{} of {rounds} rounds went wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}
