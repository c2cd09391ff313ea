//! A worker on another machine, as the launcher sees it, and the processes that it runs.
//!
//! A thread hears it and notes what it says. When the connection ends, or the worker has been silent for some seconds, all
//! its processes count as lost at once: they may still run, but they will hear from nobody.

use super::pipe::{Pipe, PipeReader, Progress};
use super::relay::{Printed, relay_lines, relay_output};
use slackwater_dataflow::cluster::{Candidate, Receiver, Sender, Task, Voice, WorkerOrder, WorkerReport};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A process that was told to end has this long.
const ENDING: Duration = Duration::from_secs(2);
/// Processes that have ended print nothing any more after this time, even if others have their pipes.
const QUIET: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(2);

/// How a process has ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// By itself.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be started.
    NotStarted,
    /// Its worker is gone.
    Gone,
}

#[derive(Default)]
struct Process {
    pid: u32,
    end: Option<End>,
}

/// A process that was ordered.
#[derive(Default)]
struct Ordered {
    process: Mutex<Process>,
    output: Arc<Pipe>,
    errors: Arc<Pipe>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl Ordered {
    fn pipe(&self, voice: Voice) -> &Arc<Pipe> {
        match voice {
            Voice::Output => &self.output,
            Voice::Errors => &self.errors,
        }
    }
    fn end(&self, end: End) {
        let mut process = lock(&self.process);
        if matches!(end, End::NotStarted | End::Gone) {
            self.output.close();
            self.errors.close();
        }
        process.end.get_or_insert(end);
    }
    fn has_ended(&self) -> bool {
        lock(&self.process).end.is_some()
    }
}

#[derive(Default)]
struct Tasks {
    ordered: BTreeMap<u64, Arc<Ordered>>,
    /// Why the worker is gone.
    gone: Option<String>,
}

/// A worker.
pub(super) struct Agent {
    /// Its name.
    pub name: String,
    /// Where it has come from.
    pub address: String,
    /// Processes that it runs, at most.
    pub slots: usize,
    /// Worker threads that each should have.
    pub workers: usize,
    orders: Sender<WorkerOrder>,
    tasks: Mutex<Tasks>,
}

impl Agent {
    /// Begins to hear a worker.
    pub fn new(candidate: Candidate) -> std::io::Result<Arc<Agent>> {
        let Candidate { offer, address, orders, reports } = candidate;
        let agent = Arc::new(Agent {
            name: printable(&offer.name),
            address,
            slots: offer.slots,
            workers: offer.workers,
            orders,
            tasks: Mutex::default(),
        });
        let hearing = agent.clone();
        std::thread::Builder::new().name("worker".to_string()).spawn(move || hearing.hear(reports))?;
        Ok(agent)
    }
    /// Places that are free.
    pub fn free(&self) -> usize {
        let tasks = lock(&self.tasks);
        let busy = tasks.ordered.values().filter(|t| !t.has_ended()).count();
        if tasks.gone.is_some() { 0 } else { self.slots.saturating_sub(busy) }
    }
    /// Why it is gone, if it is.
    pub fn gone(&self) -> Option<String> {
        lock(&self.tasks).gone.clone()
    }
    /// Numbers of the processes that nobody has seen end.
    pub fn orphans(&self) -> Vec<u32> {
        let tasks = lock(&self.tasks);
        let process = |t: &Arc<Ordered>| {
            let process = lock(&t.process);
            matches!(process.end, None | Some(End::Gone)).then_some(process.pid).filter(|pid| *pid > 0)
        };
        tasks.ordered.values().filter_map(process).collect()
    }
    /// Gives an order; a worker that cannot be told is gone.
    pub fn tell(&self, order: &WorkerOrder) {
        if let Err(e) = self.orders.send(order) {
            self.leave(&e.to_string());
        }
    }
    /// Has it start a process.
    pub fn start(self: &Arc<Self>, task: Task, printed: &Arc<Printed>) -> Remote {
        let ordered = Arc::<Ordered>::default();
        {
            let mut tasks = lock(&self.tasks);
            tasks.ordered.insert(task.id, ordered.clone());
            if tasks.gone.is_some() {
                ordered.end(End::Gone);
            }
        }
        let mut relays = vec![];
        let (slot, id) = (task.slot, task.id);
        let stderr = self.reader(id, Voice::Errors, &ordered);
        relays.push(std::thread::spawn(move || relay_lines(&format!("p{slot}"), stderr)));
        if task.speaks {
            let (stdout, printed) = (self.reader(id, Voice::Output, &ordered), printed.clone());
            relays.push(std::thread::spawn(move || relay_output(stdout, &printed)));
        }
        self.tell(&WorkerOrder::Start(Box::new(task)));
        Remote { agent: self.clone(), id, ordered, relays, is_known: false }
    }
    fn reader(
        &self,
        task: u64,
        voice: Voice,
        ordered: &Ordered,
    ) -> PipeReader<impl Fn(Progress) + Send + use<>> {
        let orders = self.orders.clone();
        PipeReader::new(ordered.pipe(voice), move |progress| {
            // A worker that is gone needs no answer.
            let _ = orders.send(&match progress {
                Progress::Taken(bytes) => WorkerOrder::Taken { task, voice, bytes },
                Progress::Stopped => WorkerOrder::Unheard { task, voice },
            });
        })
    }
    /// It is gone, and all that it runs with it.
    pub fn leave(&self, why: &str) {
        let mut tasks = lock(&self.tasks);
        tasks.gone.get_or_insert(why.to_string());
        tasks.ordered.values().for_each(|t| t.end(End::Gone));
        drop(tasks);
        self.orders.close();
    }
    fn hear(&self, mut reports: Receiver<WorkerReport>) {
        let mut beaten = Instant::now();
        loop {
            match reports.receive() {
                Ok(Some(report)) => {
                    if let Err(why) = self.note(report) {
                        return self.leave(why);
                    }
                }
                Ok(None) => {}
                Err(e) => return self.leave(&e.to_string()),
            }
            if beaten.elapsed() >= Sender::<WorkerOrder>::BEAT {
                beaten = Instant::now();
                if let Err(e) = self.orders.send(&WorkerOrder::Beat) {
                    return self.leave(&e.to_string());
                }
            }
        }
    }
    fn note(&self, report: WorkerReport) -> Result<(), &'static str> {
        let of = |task: u64| lock(&self.tasks).ordered.get(&task).cloned();
        match report {
            WorkerReport::Beat => {}
            WorkerReport::Started { task, pid } => {
                of(task).iter().for_each(|t| lock(&t.process).pid = pid);
            }
            WorkerReport::NotStarted { task, why } => {
                if let Some(ordered) = of(task) {
                    eprintln!("error: {}: {}", self.name, printable(&why));
                    ordered.end(End::NotStarted);
                }
            }
            WorkerReport::Said { task, voice, bytes } => {
                let Some(ordered) = of(task) else { return Ok(()) };
                if bytes.is_empty() {
                    ordered.pipe(voice).close();
                } else if !ordered.pipe(voice).push(bytes) {
                    return Err("it sends more than was agreed on");
                }
            }
            WorkerReport::Ended { task, code, signal } => {
                let end = signal.map(End::Signal).or(code.map(End::Code)).unwrap_or(End::Gone);
                of(task).iter().for_each(|t| t.end(end.clone()));
            }
        }
        Ok(())
    }
}

/// Text of another machine, without what would move the cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A process on another machine. It is ended when this is dropped.
pub(super) struct Remote {
    agent: Arc<Agent>,
    id: u64,
    ordered: Arc<Ordered>,
    relays: Vec<JoinHandle<()>>,
    /// Its end was noticed.
    is_known: bool,
}

impl Remote {
    /// Its number on its machine; 0 before that is known.
    pub fn pid(&self) -> u32 {
        lock(&self.ordered.process).pid
    }
    /// True if it is not known to have ended.
    pub fn runs(&self) -> bool {
        !self.is_known
    }
    /// Asks whether it has ended; true the first time that it has.
    pub fn has_ended_now(&mut self) -> bool {
        let was_known = std::mem::replace(&mut self.is_known, self.ordered.has_ended());
        self.is_known && !was_known
    }
    pub fn signal(&self, signal: i32) {
        if !self.ordered.has_ended() {
            self.agent.tell(&WorkerOrder::Signal { task: self.id, signal });
        }
    }
    /// How it has ended.
    pub fn end(&self) -> Option<End> {
        lock(&self.ordered.process).end.clone()
    }
    /// The machine that it is on.
    pub fn host(&self) -> &str {
        &self.agent.name
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL as i32);
        let until = Instant::now() + ENDING;
        while !self.ordered.has_ended() && Instant::now() < until {
            std::thread::sleep(POLL);
        }
        // What it has said comes out; a reader may take its time.
        let mut quiet = Instant::now();
        while !self.relays.iter().all(|r| r.is_finished()) {
            if !self.ordered.output.is_empty() || !self.ordered.errors.is_empty() {
                quiet = Instant::now();
            } else if quiet.elapsed() > QUIET {
                self.ordered.output.close();
                self.ordered.errors.close();
            }
            std::thread::sleep(POLL);
        }
        self.relays.drain(..).for_each(|r| {
            let _ = r.join();
        });
        if self.agent.gone().is_none() {
            lock(&self.agent.tasks).ordered.remove(&self.id);
        }
    }
}
