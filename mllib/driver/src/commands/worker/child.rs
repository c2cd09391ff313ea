//! A process that a worker has started.
//!
//! Two threads pass on what it prints. No more than [`WINDOW`] bytes of a stream are under way, so one whose reader is slow
//! waits here, and the connection stays free for everything else.

use crate::session::{EXECUTE, FOLLOW_LAUNCHER};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use slackwater_dataflow::cluster::{
    Membership, Sender, Task, Voice, WINDOW, WorkerReport, remove_spill_files,
};
use slackwater_dataflow::{Error, Result};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that are sent at once.
const PIECE: usize = 16 << 10;

/// How much of a stream is under way.
#[derive(Default)]
struct Window {
    /// Bytes under way, and whether nobody waits for more.
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Window {
    fn lock(&self) -> MutexGuard<'_, (usize, bool)> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Waits for room; false if there will be none.
    fn take(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        while !state.1 && state.0 + bytes > WINDOW {
            // The worker closes the window when it ends.
            state =
                self.changed.wait_timeout(state, Duration::from_secs(1)).unwrap_or_else(|e| e.into_inner()).0;
        }
        state.0 += bytes;
        !state.1
    }
    fn give(&self, bytes: usize) {
        let mut state = self.lock();
        state.0 = state.0.saturating_sub(bytes);
        self.changed.notify_all();
    }
    fn close(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }
}

/// A process, ended when this is dropped.
pub(super) struct Child {
    task: u64,
    child: process::Child,
    has_ended: bool,
    spill_dir: PathBuf,
    output: Arc<Window>,
    errors: Arc<Window>,
    pumps: Vec<JoinHandle<()>>,
}

impl Child {
    /// Starts the process of a task.
    pub fn start(task: Task, membership: &Membership, reports: &Sender<WorkerReport>) -> Result<Child> {
        let own = std::env::current_exe().map_err(|e| Error::io("<this program>", "find", &e))?;
        let mut command = Command::new(&own);
        command.args(task.arguments.into_iter().map(OsString::from_vec));
        command.envs(membership.variables()).envs(task.variables.iter().map(|(k, v)| (k, v)));
        match task.program {
            Some(program) => command.env(EXECUTE, OsString::from_vec(program)),
            None => command.env(FOLLOW_LAUNCHER, "1"),
        };
        let directory = PathBuf::from(OsString::from_vec(task.directory));
        if directory.is_dir() {
            command.current_dir(directory);
        }
        // A group of its own, so that it can be ended with all that it has started.
        command.process_group(0).stdin(Stdio::piped()).stderr(Stdio::piped());
        command.stdout(if task.speaks { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().map_err(|e| Error::io(&own, "start", &e))?;
        let (output, errors) = (Arc::<Window>::default(), Arc::<Window>::default());
        let mut pumps = vec![];
        if let Some(stdout) = child.stdout.take() {
            pumps.push(pump(task.id, Voice::Output, stdout, &output, reports));
        }
        if let Some(stderr) = child.stderr.take() {
            pumps.push(pump(task.id, Voice::Errors, stderr, &errors, reports));
        }
        let spill_dir = task.variables.into_iter().find(|(name, _)| name == "SLACKWATER_SPILL_DIR");
        let spill_dir = spill_dir.map_or_else(std::env::temp_dir, |(_, dir)| PathBuf::from(dir));
        Ok(Child { task: task.id, child, has_ended: false, spill_dir, output, errors, pumps })
    }
    /// Its task.
    pub fn task(&self) -> u64 {
        self.task
    }
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// What there is to say if it is found to have ended, the first time.
    pub fn ended_now(&mut self) -> Option<WorkerReport> {
        if self.has_ended {
            return None;
        }
        let status = self.child.try_wait().ok().flatten()?;
        self.has_ended = true;
        if status.signal().is_some() {
            remove_spill_files(&self.spill_dir, self.child.id());
        }
        Some(WorkerReport::Ended { task: self.task, code: status.code(), signal: status.signal() })
    }
    /// True if it has ended, and all that it has printed is sent.
    pub fn is_over(&self) -> bool {
        self.has_ended && self.pumps.iter().all(|p| p.is_finished())
    }
    pub fn signal(&self, signal: i32) {
        let signal = Signal::try_from(signal).ok().filter(|_| !self.has_ended);
        if let Some((signal, pid)) = signal.zip(i32::try_from(self.child.id()).ok()) {
            // It may have ended in between, which is what is wanted.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
    fn window(&self, voice: Voice) -> &Window {
        match voice {
            Voice::Output => &self.output,
            Voice::Errors => &self.errors,
        }
    }
    /// So much of what it has printed is out.
    pub fn taken(&self, voice: Voice, bytes: usize) {
        self.window(voice).give(bytes);
    }
    /// Nobody reads what it prints there: the pipe is closed when it prints again.
    pub fn unheard(&self, voice: Voice) {
        self.window(voice).close();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.has_ended {
            if let Ok(pid) = i32::try_from(self.child.id()) {
                let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
            remove_spill_files(&self.spill_dir, self.child.id());
        }
        // Who passes on what it prints ends by itself.
        self.output.close();
        self.errors.close();
    }
}

/// Sends what a process prints, to its end.
fn pump(
    task: u64,
    voice: Voice,
    mut from: impl Read + Send + 'static,
    window: &Arc<Window>,
    reports: &Sender<WorkerReport>,
) -> JoinHandle<()> {
    let (window, reports) = (window.clone(), reports.clone());
    std::thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(n) = from.read(&mut buffer)
            && n > 0
            && window.take(n)
        {
            if reports.send(&WorkerReport::Said { task, voice, bytes: buffer[..n].to_vec() }).is_err() {
                return;
            }
        }
        // A launcher that is gone needs not know.
        let _ = reports.send(&WorkerReport::Said { task, voice, bytes: vec![] });
    })
}
