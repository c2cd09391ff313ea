//! Named points at which a test can end, stop, or hold up this very process.
//!
//! # What
//! The engine says [`reach`] where a fault is of interest: the name of the place (its phase) and a count, the number of the
//! job or of the clock. A test [arms](arm) points by their address: process, generation, count, phase. So a fault is
//! where it was meant to be, every time, and its address can be written down.
//!
//! # Phases
//! `before-agree`, `before-stage`, `mid-shuffle` (a map task ships a block), `mid-sink` (a block arrives), `after-commit` (a
//! task has ended), `before-result`, `after-result-before-log`, `after-log` and `in-replay`, by job; `in-catch-up`, `in-leave` and `after-leave`, by the
//! jobs that this process has finished. Parameter tables have phases of their own, by clock.
//!
//! # Cost
//! Two relaxed loads where nothing is armed or simulated. In a [simulation](crate::simulation) they are points at which other
//! threads go on, and processes are killed.

use crate::simulation;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// The process is killed, as by the kernel.
    Kill,
    /// The process ends by itself, with this code.
    Exit(i32),
    /// The thread panics.
    Panic,
    /// The thread sleeps.
    Pause(Duration),
    /// The process is stopped, until somebody continues it.
    Stop,
    /// The process sends a frame to a peer that no honest process sends; the number is that of [`FRAMES`].
    Frame(usize),
}

/// A point, and what happens there. `None` is any.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Point {
    action: Action,
    process: Option<u64>,
    generation: Option<u64>,
    count: Option<u64>,
    phase: String,
    /// How often it must be reached before anything happens.
    passes: u64,
}

/// Stands for the number of the sending process.
const SELF: u64 = u64::MAX;

/// What a dishonest peer with one worker sends to process 0: channel, source, target, end of targets, length, sequence number;
/// then as many bytes. A sum that wraps around, lengths beyond any limit, targets that are nobody, a source that is another,
/// a channel that is not there, noise as a header and as contents of the first channels, and an end that is none.
pub const FRAMES: [(&str, [u64; 6], usize); 12] = [
    ("length-wraps", [0, SELF, 0, 1, u64::MAX - 47, 0], 0),
    ("length-max", [0, SELF, 0, 1, u64::MAX, 0], 0),
    ("length-tera", [0, SELF, 0, 1, 1 << 40, 0], 1 << 20),
    ("target-nobody", [1, SELF, 700, 701, 8, 0], 8),
    ("target-range", [1, SELF, 0, 1 << 63, 8, 0], 8),
    ("source-other", [1, 99, 0, 1, 8, 0], 8),
    ("channel-unknown", [1_000_000_000, SELF, 0, 1, 64, 0], 64),
    ("noise", [0xdead_beef_0bad_cafe; 6], 64),
    ("end-that-is-none", [7, 0, 0, 0, 0, 0], 64),
    ("end-with-data", [0, 0, 0, 0, 0, 0], 64),
    ("contents-of-0", [0, SELF, 0, 1, 64, 0], 64),
    ("contents-of-1", [1, SELF, 0, 1, 64, 0], 64),
];

static ARMED: AtomicBool = AtomicBool::new(false);
static POINTS: Mutex<Vec<Point>> = Mutex::new(Vec::new());
static PROCESS: AtomicU64 = AtomicU64::new(0);
static GENERATION: AtomicU64 = AtomicU64::new(0);

fn points() -> MutexGuard<'static, Vec<Point>> {
    POINTS.lock().unwrap_or_else(|e| e.into_inner())
}

/// Arms points: `ACTION=PROCESS,GENERATION,COUNT,PHASE`, several with `;` between them.
///
/// Actions are `kill`, `exit:CODE`, `panic`, `pause:MS`, `stop` and `frame:N`, whose phase is the
/// receiver, such as `process 0`. A number may be `*` for any. A fifth field says at which
/// time of reaching the point it happens; it happens once. `kill=1,1,12,mid-shuffle` kills process 1 in generation 1 when it
/// ships the first block of job 12.
///
/// # Errors
/// Says what is wrong with the text.
pub fn arm(spec: &str) -> Result<(), String> {
    let parsed: Vec<Point> =
        spec.split(';').filter(|s| !s.is_empty()).map(parse).collect::<Result<_, _>>()?;
    let mut points = points();
    points.extend(parsed);
    ARMED.store(!points.is_empty(), Ordering::Release);
    Ok(())
}

fn parse(text: &str) -> Result<Point, String> {
    let wrong = |what: &str| format!("`{text}`: {what}");
    let (action, place) = text.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
    let (action, argument) = action.split_once(':').unwrap_or((action, "0"));
    let number = |t: &str| t.parse::<u64>().map_err(|_| wrong(&format!("`{t}` is not a number")));
    let action = match action {
        "kill" => Action::Kill,
        "exit" => Action::Exit(argument.parse().map_err(|_| wrong("the exit code is not a number"))?),
        "panic" => Action::Panic,
        "pause" => Action::Pause(Duration::from_millis(number(argument)?)),
        "stop" => Action::Stop,
        "frame" => Action::Frame(number(argument)? as usize % FRAMES.len()),
        _ => return Err(wrong("there is no such action")),
    };
    let fields: Vec<&str> = place.split(',').collect();
    let (&[process, generation, count, phase], passes) = match fields.as_chunks::<4>() {
        ([address], []) => (address, 0),
        ([address], [time]) => (address, number(time)?.saturating_sub(1)),
        _ => return Err(wrong("a point is PROCESS,GENERATION,COUNT,PHASE")),
    };
    let any = |t: &str| if t == "*" { Ok(None) } else { number(t).map(Some) };
    let (process, generation, count) = (any(process)?, any(generation)?, any(count)?);
    Ok(Point { action, process, generation, count, phase: phase.to_string(), passes })
}

/// Says which process this is, and which generation it works in from now on.
pub(crate) fn enter(process: usize, generation: u64) {
    PROCESS.store(process as u64, Ordering::Relaxed);
    GENERATION.store(generation, Ordering::Relaxed);
}

/// A point in the program: what is armed for it happens.
#[inline]
pub fn reach(phase: &'static str, count: u64) {
    simulation::reach(phase);
    if ARMED.load(Ordering::Relaxed) {
        reached(phase, count);
    }
}

/// As [`reach`], in a task: the count is the number of its job.
#[inline]
pub(crate) fn reach_in_task(phase: &'static str) {
    simulation::reach(phase);
    if ARMED.load(Ordering::Relaxed)
        && let Some(task) = crate::exec::task::current()
    {
        reached(phase, task.job());
    }
}

/// What this process is to send to a peer before what it sends next.
#[inline]
pub(crate) fn frame(peer: &str) -> Option<Vec<u8>> {
    if !ARMED.load(Ordering::Relaxed) {
        return None;
    }
    let Some(Action::Frame(number)) = due(peer, 0) else { return None };
    let ((_, head, length), process) = (FRAMES[number], PROCESS.load(Ordering::Relaxed));
    let mut frame: Vec<u8> =
        head.iter().flat_map(|w| if *w == SELF { process } else { *w }.to_be_bytes()).collect();
    frame.resize(frame.len() + length, 0xff);
    Some(frame)
}

/// The action that is armed for a point and due, which it is once.
#[cold]
fn due(phase: &str, count: u64) -> Option<Action> {
    let at = [&PROCESS, &GENERATION].map(|n| n.load(Ordering::Relaxed));
    let is = |wanted: Option<u64>, value: u64| wanted.is_none_or(|w| w == value);
    let mut points = points();
    let here = points.iter().position(|p| {
        p.phase == phase && is(p.process, at[0]) && is(p.generation, at[1]) && is(p.count, count)
    })?;
    if points[here].passes > 0 {
        points[here].passes -= 1;
        return None;
    }
    let action = points.swap_remove(here).action;
    // Whoever looks for the end of this process in its output finds why.
    eprintln!("fault: {action:?} at process {}, generation {}, count {count}, {phase}", at[0], at[1]);
    Some(action)
}

#[cold]
fn reached(phase: &str, count: u64) {
    let Some(action) = due(phase, count) else { return };
    let signal = |signal| {
        // To oneself it cannot fail.
        let _ = kill(Pid::this(), signal);
    };
    match action {
        Action::Kill => signal(Signal::SIGKILL),
        Action::Exit(code) => std::process::exit(code),
        Action::Panic => panic!("injected at {phase}, {count}"),
        Action::Pause(time) => std::thread::sleep(time),
        Action::Stop => signal(Signal::SIGSTOP),
        // Armed for a place where nothing is sent.
        Action::Frame(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let point = |action, passes| Point {
            action,
            process: Some(1),
            generation: None,
            count: Some(12),
            phase: "mid-shuffle".to_string(),
            passes,
        };
        assert_eq!(parse("kill=1,*,12,mid-shuffle"), Ok(point(Action::Kill, 0)));
        assert_eq!(parse("exit:42=1,*,12,mid-shuffle,3"), Ok(point(Action::Exit(42), 2)));
        assert_eq!(
            parse("pause:20=1,*,12,mid-shuffle"),
            Ok(point(Action::Pause(Duration::from_millis(20)), 0))
        );
        for wrong in [
            "kill",
            "kill=1,1,mid-shuffle",
            "fly=1,1,1,x",
            "kill=a,1,1,x",
            "exit:x=1,1,1,x",
            "kill=1,1,1,x,2,3",
        ] {
            assert!(parse(wrong).is_err_and(|e| e.contains(wrong)), "{wrong}");
        }
    }

    #[test]
    fn a_point_is_reached_once_where_it_was_armed() {
        // No other test of this crate names this phase.
        arm("panic=*,*,7,only-here,2").unwrap();
        reach("only-here", 6);
        reach("only-here", 7);
        let caught = std::panic::catch_unwind(|| reach("only-here", 7)).unwrap_err();
        assert_eq!(caught.downcast_ref::<String>().unwrap(), "injected at only-here, 7");
        reach("only-here", 7);
    }
}
