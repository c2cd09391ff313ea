//! The engine of one run with what listens to it: Ctrl-C, the event file, progress.

use crate::args::Globals;
use crate::event_file::EventFile;
use crate::output::{Output, count};
use crate::progress;
use slackwater_dataflow::event::{Event, Subscription};
use slackwater_dataflow::{Config, Context, Error, ErrorKind, Result};
use slackwater_mllib::optimization::Progress;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Exit code of a run that was interrupted.
pub const INTERRUPTED: u8 = 130;
/// Exit code of a member whose cluster is gone.
const CLUSTER_LOST: i32 = 5;
/// Set by the launcher of a cluster: its end of this process's standard input closes when it ends.
pub const FOLLOW_LAUNCHER: &str = "SLACKWATER_FOLLOW_LAUNCHER";
/// A job that starts after Ctrl-C was pressed is cancelled after this long.
const CANCEL_AGAIN: Duration = Duration::from_millis(10);

/// Set by whoever starts another program as a member: this process becomes that program.
pub const EXECUTE: &str = "SLACKWATER_EXECUTE";

/// Ends this process when the launcher that started it ends, however that comes about.
pub fn follow_launcher() {
    let other = std::env::var_os(EXECUTE);
    if std::env::var_os(FOLLOW_LAUNCHER).is_none() && other.is_none() {
        return;
    }
    // The kernel ends it, also if it is stuck. Where it cannot, the pipe remains.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    // If it has ended before that, the kernel says nothing.
    if is_left() {
        process::exit(CLUSTER_LOST);
    }
    if let Some(program) = other {
        let mut command = process::Command::new(&program);
        let e = command.args(std::env::args_os().skip(1)).env_remove(EXECUTE).exec();
        let e = Error::io(program, "start", &e);
        eprintln!("error: {e}");
        process::exit(i32::from(e.exit_code()));
    }
    let watch = || {
        // Nothing is ever sent: the read ends when the other end of the pipe is closed.
        let _ = std::io::stdin().read(&mut [0]);
        process::exit(CLUSTER_LOST);
    };
    let _ = std::thread::Builder::new().name("launcher".to_string()).spawn(watch);
}

/// True if the other end of the standard input is closed.
fn is_left() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let stdin = std::io::stdin();
    let mut ends = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let is_told = poll(&mut ends, PollTimeout::ZERO).is_ok_and(|n| n > 0);
    is_told && ends[0].revents().is_some_and(|e| e.contains(PollFlags::POLLHUP))
}

/// What a launcher tells each process.
const PLACE: [&str; 7] = [
    "SLACKWATER_PROCESS",
    "SLACKWATER_PROCESSES",
    "SLACKWATER_RENDEZVOUS",
    "SLACKWATER_SECRET",
    "SLACKWATER_RUN",
    "SLACKWATER_ENCRYPT",
    "SLACKWATER_HOST",
];

/// True in a process that a launcher has started.
pub fn is_member() -> bool {
    std::env::var_os("SLACKWATER_RENDEZVOUS").is_some()
}

/// The settings that the options and the place in a cluster make.
pub fn engine_config(globals: &Globals) -> Result<Config> {
    let mut config = Config::default();
    let g = globals.clone();
    config.workers = g.workers.unwrap_or(config.workers);
    config.default_partitions = g.partitions.unwrap_or(config.default_partitions);
    config.memory_budget_bytes = g.memory.map_or(config.memory_budget_bytes, |m| m.0);
    config.spill_dir = g.spill_dir.unwrap_or(config.spill_dir);
    config.seed = g.seed.unwrap_or(config.seed);
    config.recovery = g.recovery.unwrap_or(config.recovery);
    config.on_bad = g.on_bad.unwrap_or(config.on_bad);
    if let Some(seconds) = g.job_timeout {
        let limit = Duration::try_from_secs_f64(seconds);
        config.job_timeout = Some(limit.map_err(|e| Error::config("job-timeout", e.to_string()))?);
    }
    // Flags and the file have been heard: of the environment only what a launcher says is left.
    config.override_with(|name| PLACE.contains(&name).then(|| std::env::var(name).ok()).flatten())
}

/// Keeps the engine's threads from printing panics: in a cluster they panic when a peer is gone, all of them, and the
/// run's error says it in one line.
fn silence_engine_threads() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !std::thread::current().name().is_some_and(|name| name.starts_with("timely:")) {
            print(panic);
        }
    }));
}

/// What Ctrl-C does at the moment.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<Option<Context>>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, Option<Context>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The engine of one run.
pub struct Session {
    /// The engine.
    pub cx: Context,
    /// Where results go.
    pub output: Output,
    interrupted: Arc<AtomicBool>,
    running: Running,
    // The rest listens; dropping it ends that.
    events: Option<EventFile>,
    _progress: Option<progress::Shown>,
    _warnings: Subscription,
}

impl Session {
    /// Starts the engine. In a cluster this waits for the other processes.
    fn start(globals: &Globals) -> Result<Self> {
        let config = engine_config(globals)?;
        let speaks = config.membership.as_ref().is_none_or(|m| m.process == 0);
        let output = Output { json: globals.json, quiet: globals.quiet, speaks };
        let (interrupted, running) = (Arc::<AtomicBool>::default(), Running::default());
        catch_interrupts(&interrupted, &running, output)?;
        if config.membership.is_some() {
            silence_engine_threads();
        }
        let cx = Context::new(config)?;
        *running.lock() = Some(cx.clone());
        let events = match &globals.events {
            Some(path) if speaks => Some(EventFile::open(&cx, path)?),
            _ => None,
        };
        let progress =
            if speaks && !globals.quiet { progress::Shown::start(&cx, globals.progress) } else { None };
        let warnings = cx.events().subscribe(move |event| match &event.event {
            Event::Warning { message } => output.note(&format!("warning: {message}")),
            Event::WentOn { epoch, values_lost, distance, .. } => {
                let of = distance.map_or(String::new(), |d| format!(", which differ by {d:.3e}"));
                output.note(&format!(
                    "the training goes on from epoch {epoch}, with {values_lost} values from copies{of}"
                ));
            }
            _ => {}
        });
        Ok(Session { cx, output, interrupted, running, events, _progress: progress, _warnings: warnings })
    }
    /// Fails if Ctrl-C was pressed.
    ///
    /// Not in a cluster: the processes hear of it at different moments, and one that left by itself would be waited for
    /// by the others. There a job is cancelled, which all of them learn together.
    pub fn check(&self) -> Result<()> {
        if !self.cx.is_member() && self.interrupted.load(Ordering::Relaxed) {
            Err(ErrorKind::Cancelled.into())
        } else {
            Ok(())
        }
    }
    /// Tells of an iteration; `Break` after Ctrl-C.
    pub fn iteration(
        &self,
        algorithm: &str,
        iterations_max: usize,
        progress: &Progress<'_>,
    ) -> ControlFlow<()> {
        let values = [("objective", progress.objective), ("gradient_norm", progress.gradient_norm)];
        // A solver that does not know the gradient's norm says so by NaN, which JSON cannot.
        let values = values.into_iter().filter(|(_, v)| v.is_finite()).map(|(name, v)| (name.to_string(), v));
        self.cx.emit(|| Event::Iteration {
            algorithm: algorithm.to_string(),
            iteration: progress.iteration as u64,
            iterations_max: iterations_max as u64,
            values: values.collect(),
        });
        if self.check().is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
    /// Says how many rows were left out; returns their number.
    pub fn note_bad_rows(&self) -> u64 {
        let (bad, examples) = self.cx.bad_records();
        if let Some(first) = examples.first() {
            self.output.note(&format!("{} left out, the first: {first}", count(bad, "row")));
        }
        bad
    }
    /// Starts the engine and works with it. In a cluster the processes end together: one that fails by itself tells the
    /// others why, and what all of them fail with, all of them hear.
    pub fn run(globals: &Globals, work: impl FnOnce(&Session) -> Result<u8>) -> Result<u8> {
        let mut session = Session::start(globals)?;
        let result = work(&session);
        let events = session.events.take();
        let written = events.map_or(Ok(()), |file| file.close(&session.cx, result.as_ref().err()));
        let result = result.and_then(|code| written.map(|()| code));
        let failure = result.as_ref().err().map(|e| e.to_string());
        session.cx.leave(failure.as_deref());
        result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The handler lives as long as the process, and must not keep the engine's threads and files.
        *self.running.lock() = None;
    }
}

fn catch_interrupts(interrupted: &Arc<AtomicBool>, running: &Running, output: Output) -> Result<()> {
    let (interrupted, running) = (interrupted.clone(), running.clone());
    let handler = move || {
        let again = interrupted.swap(true, Ordering::Relaxed);
        if again || running.lock().is_none() {
            process::exit(i32::from(INTERRUPTED));
        }
        output.note("interrupted: stopping (once more to abort)");
        let running = running.clone();
        std::thread::spawn(move || {
            while let Some(cx) = running.lock().as_ref().cloned() {
                cx.cancel();
                drop(cx);
                std::thread::sleep(CANCEL_AGAIN);
            }
        });
    };
    ctrlc::set_handler(handler).map_err(|e| Error::usage(format!("signals cannot be caught: {e}")))
}
