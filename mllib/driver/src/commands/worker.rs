//! `worker`: starts processes of a run on this machine, as the launcher of the run orders.
//!
//! It connects to the launcher, which may be anywhere, and proves that it has the run's secret. What its processes print
//! goes back over that connection. It ends, and its processes with it, when the launcher says so or is gone, when it is
//! told to by a signal, and, if it had the secret from its standard input, when that ends. However it dies its
//! processes do not outlive it: the kernel ends them, and their standard input ends. The exit code is the run's, or 5 if
//! the run was lost.

mod child;

use crate::args::{Globals, WorkerArgs};
use child::Child;
use slackwater_dataflow::cluster::{
    Membership, Offer, Receiver, Secret, Sender, Task, WorkerOrder, WorkerReport, offer, remove_spill_files,
};
use slackwater_dataflow::{Error, ErrorKind, Result};
use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Exit code of a worker that was told to end by a signal.
const INTERRUPTED: u8 = 130;
/// Exit code of a worker whose run is gone.
const LOST: u8 = 5;
/// The secret must come from standard input within this time.
const READING: Duration = Duration::from_secs(30);
/// Longest line with a secret, in bytes.
const SECRET_MAX: usize = 4096;

/// Why this worker should end: an exit code, or 0.
type Stop = Arc<AtomicU8>;

/// Runs `worker`.
pub fn run(globals: &Globals, args: &WorkerArgs) -> Result<u8> {
    let stop = Stop::default();
    let pressed = stop.clone();
    ctrlc::set_handler(move || pressed.store(INTERRUPTED, Ordering::Relaxed))
        .map_err(|e| Error::usage(format!("signals cannot be caught: {e}")))?;
    let secret = secret(args, &stop)?;
    let patience =
        Duration::try_from_secs_f64(args.wait).map_err(|e| Error::config("wait", e.to_string()))?;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let offered = Offer {
        name: args.name.clone().unwrap_or_else(machine),
        slots: args.slots,
        workers: globals.workers.unwrap_or((cores / args.slots).max(1)),
    };
    let is_over = || stop.load(Ordering::Relaxed) != 0;
    let (reports, orders) = offer(&args.supervisor, &secret, &offered, patience, is_over)?;
    let host = args.host.or(orders.local_address());
    let host = host.ok_or_else(|| Error::config("host", "is not known: say --host ADDRESS"))?;
    let worker = Worker { supervisor: args.supervisor.clone(), secret, host, reports, children: vec![] };
    worker.serve(orders, &stop)
}

/// The machine's name.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "worker".to_string() } else { name.trim().to_string() }
}

fn secret(args: &WorkerArgs, stop: &Stop) -> Result<Secret> {
    match &args.secret_file {
        Some(file) if file.as_os_str() == "-" => from_input(stop),
        Some(file) => Secret::read(file),
        None => match std::env::var("SLACKWATER_SECRET") {
            Ok(text) => Secret::from_text(&text),
            Err(_) => Err(Error::usage("the run's secret is missing: say --secret-file FILE")),
        },
    }
}

/// Reads the secret from standard input, of which the end is the end of this worker.
fn from_input(stop: &Stop) -> Result<Secret> {
    let (send, line) = mpsc::channel();
    let stop = stop.clone();
    let read = move || {
        let (mut input, mut line, mut byte) = (std::io::stdin().lock(), vec![], [0]);
        while line.len() < SECRET_MAX && input.read(&mut byte).is_ok_and(|n| n > 0) && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        let _ = send.send(line);
        while input.read(&mut byte).is_ok_and(|n| n > 0) {}
        stop.store(LOST, Ordering::Relaxed);
    };
    let spawned = std::thread::Builder::new().name("launcher".to_string()).spawn(read);
    spawned.map_err(|e| Error::usage(format!("threads: {e}")))?;
    let line = line.recv_timeout(READING).unwrap_or_default();
    Secret::from_text(&String::from_utf8(line).unwrap_or_default())
}

/// A worker that the launcher knows.
struct Worker {
    supervisor: String,
    secret: Secret,
    host: IpAddr,
    reports: Sender<WorkerReport>,
    children: Vec<Child>,
}

impl Worker {
    /// Does what it is told, to the end. Its processes end when this returns.
    fn serve(mut self, mut orders: Receiver<WorkerOrder>, stop: &Stop) -> Result<u8> {
        let mut beaten = Instant::now();
        loop {
            match stop.load(Ordering::Relaxed) {
                0 => {}
                LOST => return Err(gone("standard input has ended")),
                code => return Ok(code),
            }
            match orders.receive() {
                Ok(Some(WorkerOrder::End { code })) => return Ok(code),
                Ok(Some(order)) => self.follow(order)?,
                Ok(None) => {}
                Err(e) => return Err(gone(&e.to_string())),
            }
            if beaten.elapsed() >= Sender::<WorkerReport>::BEAT {
                beaten = Instant::now();
                self.tell(&WorkerReport::Beat)?;
            }
            for i in 0..self.children.len() {
                if let Some(report) = self.children[i].ended_now() {
                    self.tell(&report)?;
                }
            }
            self.children.retain(|c| !c.is_over());
        }
    }
    fn tell(&self, report: &WorkerReport) -> Result<()> {
        self.reports.send(report).map_err(|e| gone(&e.to_string()))
    }
    fn follow(&mut self, order: WorkerOrder) -> Result<()> {
        let child = |children: &[Child], task: u64| children.iter().position(|c| c.task() == task);
        match order {
            WorkerOrder::Beat | WorkerOrder::End { .. } => {}
            WorkerOrder::Start(task) => {
                let (id, membership) = (task.id, self.membership(&task));
                match Child::start(*task, &membership, &self.reports) {
                    Ok(child) => {
                        self.tell(&WorkerReport::Started { task: id, pid: child.pid() })?;
                        self.children.push(child);
                    }
                    Err(e) => self.tell(&WorkerReport::NotStarted { task: id, why: e.to_string() })?,
                }
            }
            WorkerOrder::Signal { task, signal } => {
                if let Some(i) = child(&self.children, task) {
                    self.children[i].signal(signal);
                }
            }
            WorkerOrder::Taken { task, voice, bytes } => {
                if let Some(i) = child(&self.children, task) {
                    self.children[i].taken(voice, bytes);
                }
            }
            WorkerOrder::Unheard { task, voice } => {
                if let Some(i) = child(&self.children, task) {
                    self.children[i].unheard(voice);
                }
            }
            WorkerOrder::Tidy { pid, spill_dir } => {
                let spill_dir = spill_dir.map_or_else(std::env::temp_dir, PathBuf::from);
                remove_spill_files(&spill_dir, pid);
            }
        }
        Ok(())
    }
    fn membership(&self, task: &Task) -> Membership {
        Membership {
            process: task.slot,
            processes: task.processes,
            // The address that has brought this worker to the launcher brings its processes there, too.
            rendezvous: self.supervisor.clone(),
            secret: self.secret.clone(),
            run: task.run.clone(),
            encrypt: task.encrypt,
            host: self.host.to_string(),
        }
    }
}

fn gone(why: &str) -> Error {
    Error::new(ErrorKind::Cluster(format!("the run is lost: {why}")))
}
