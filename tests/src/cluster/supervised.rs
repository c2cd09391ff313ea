//! A cluster that loses processes, and gets others in their place.
//!
//! The test is the launcher: [`Cluster`] does in miniature what `slackwater cluster run` does. Nothing happens in a thread of
//! its own: a test that waits for something turns the wheel, and so a lost process is replaced.

use super::child::{Line, Process, after};
use super::{ANSWER, BREAK, DIR, FAULT, NOTE, TASK};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use slackwater_dataflow::cluster::{Happening, Leave, Secret, Supervisor, remove_spill_files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Whatever a cluster is waited for, it is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const POLL: Duration = Duration::from_millis(1);
/// After one has failed the others have this long to end by themselves.
const GRACE: Duration = Duration::from_secs(3);
/// What the others have finished is known this long after one was lost.
const NEWS: Duration = Duration::from_millis(30);
/// Replacements in a row without a job being finished.
const RESTARTS: u32 = 3;

/// How to start a cluster.
pub struct Setup {
    task: String,
    processes: usize,
    workers: usize,
    restarts: u32,
    spares_zombies: bool,
    shrinks: bool,
    address: String,
    variables: Vec<(String, String)>,
    of_slot: BTreeMap<usize, Vec<(String, String)>>,
    of_first: BTreeMap<usize, Vec<(String, String)>>,
    before: BTreeMap<usize, Vec<String>>,
}

impl Setup {
    /// `task` is for the test `child` of the same binary.
    pub fn new(task: &str, processes: usize, workers: usize) -> Self {
        Setup {
            task: task.to_string(),
            processes,
            workers,
            restarts: RESTARTS,
            spares_zombies: false,
            shrinks: false,
            address: "127.0.0.1:0".to_string(),
            variables: vec![],
            of_slot: BTreeMap::new(),
            of_first: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }
    /// Points that are armed in all processes, see [`slackwater_dataflow::fault::arm`].
    pub fn fault(self, spec: &str) -> Self {
        self.variable(FAULT, spec)
    }
    /// A variable for all processes.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_string(), value.to_string()));
        self
    }
    /// A variable for the processes of one slot.
    pub fn variable_of(mut self, slot: usize, name: &str, value: &str) -> Self {
        self.of_slot.entry(slot).or_default().push((name.to_string(), value.to_string()));
        self
    }
    /// A variable for the first process of a slot, not for those that take its place.
    pub fn variable_of_first(mut self, slot: usize, name: &str, value: &str) -> Self {
        self.of_first.entry(slot).or_default().push((name.to_string(), value.to_string()));
        self
    }
    /// A program that runs the first process of a slot, such as `ip netns exec NAME`.
    pub fn run_by(mut self, slot: usize, program: &[&str]) -> Self {
        self.before.insert(slot, program.iter().map(|s| s.to_string()).collect());
        self
    }
    /// Where the supervisor listens.
    pub fn listen(mut self, address: &str) -> Self {
        self.address = address.to_string();
        self
    }
    /// How many replacements in a row may be lost without a job being finished.
    pub fn restarts(mut self, restarts: u32) -> Self {
        self.restarts = restarts;
        self
    }
    /// Processes that are given up are left alone, as those on another machine would be.
    pub fn spare_zombies(mut self) -> Self {
        self.spares_zombies = true;
        self
    }
    /// Nobody takes the place of a process that is lost, unless it is the first.
    pub fn shrink(mut self) -> Self {
        self.shrinks = true;
        self
    }
    /// Starts the processes.
    pub fn start(self) -> Cluster {
        let secret = Secret::random().expect("randomness");
        let supervisor = Supervisor::listen(&self.address, self.processes, secret).expect("a port");
        let dir = tempfile::tempdir().expect("a folder");
        let mut cluster = Cluster {
            supervisor,
            dir,
            slots: vec![],
            gone: vec![],
            zombies: vec![],
            retired: BTreeSet::new(),
            happenings: vec![],
            kills: vec![],
            futile: 0,
            jobs: 0,
            failed: None,
            started: Instant::now(),
            setup: self,
        };
        cluster.slots = (0..cluster.setup.processes).map(|slot| cluster.launch(slot, true)).collect();
        cluster
    }
}

/// A cluster that runs. Its processes are killed and reaped when this is dropped.
pub struct Cluster {
    supervisor: Supervisor,
    setup: Setup,
    dir: TempDir,
    slots: Vec<Process>,
    /// Those that have been replaced, by slot, in their order.
    gone: Vec<(usize, Process)>,
    /// Those that were given up and still run.
    zombies: Vec<(usize, Process)>,
    /// Slots that nobody takes any more; what was in them last is still there.
    retired: BTreeSet<usize>,
    happenings: Vec<(Instant, Happening)>,
    /// When the test has killed which slot.
    kills: Vec<(Instant, u32)>,
    futile: u32,
    jobs: u64,
    failed: Option<(Instant, String)>,
    started: Instant,
}

/// A task, as [`watch`](crate::program::watch) tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNote {
    /// Slot of the process.
    pub slot: usize,
    /// How many processes were in the slot before.
    pub before: usize,
    /// Number of the job.
    pub job: u64,
    /// The partition.
    pub partition: usize,
    /// Bytes that it gave to a shuffle.
    pub bytes: u64,
    /// The operation at the end of its stage.
    pub operation: String,
}

/// How a cluster has ended.
#[derive(Debug)]
pub struct End {
    /// What the last process of each slot has answered.
    pub answers: Vec<Option<String>>,
    /// Why the run failed, if it did.
    pub failed: Option<String>,
    /// Processes that were replaced.
    pub replaced: usize,
}

impl Cluster {
    /// A cluster with the usual settings.
    pub fn start(task: &str, processes: usize, workers: usize) -> Self {
        Setup::new(task, processes, workers).start()
    }
    fn launch(&self, slot: usize, is_first: bool) -> Process {
        let own = std::env::current_exe().expect("this program").into_os_string();
        let before = self.setup.before.get(&slot).filter(|_| is_first);
        let before = before.into_iter().flatten().map(|s| s.into());
        let mut words = before.chain([own]);
        let mut command = Command::new(words.next().expect("a program"));
        command
            .args(words)
            .args(["--exact", "child", "--nocapture"])
            .envs(self.supervisor.membership(slot).variables())
            .env("SLACKWATER_WORKERS", self.setup.workers.to_string())
            .env("SLACKWATER_SPILL_DIR", self.dir.path())
            .env(TASK, &self.setup.task)
            .env(DIR, self.dir.path());
        let own = self.setup.of_slot.get(&slot).into_iter().flatten();
        let first = self.setup.of_first.get(&slot).into_iter().flatten().filter(|_| is_first);
        command.envs(self.setup.variables.iter().chain(own).chain(first).map(|(k, v)| (k, v)));
        Process::start(command)
    }
    /// A folder that all processes see. What they spill is there, too.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
    /// The supervisor.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }
    /// Numbers of the processes, by slot.
    pub fn pids(&self) -> Vec<u32> {
        self.slots.iter().map(Process::pid).collect()
    }
    /// Processes that have been replaced so far.
    pub fn replaced(&self) -> usize {
        self.gone.len() + self.zombies.len()
    }
    /// What has happened, and when it was heard.
    pub fn happenings(&self) -> &[(Instant, Happening)] {
        &self.happenings
    }
    /// Time since the start.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }
    /// Sends a signal to the process of a slot.
    pub fn signal(&mut self, slot: usize, signal: Signal) {
        let pid = self.slots[slot].pid();
        if self.slots[slot].status.is_none() {
            self.kills.push((Instant::now(), pid));
            let pid = Pid::from_raw(i32::try_from(pid).expect("a process number"));
            // It may have ended in between.
            let _ = kill(pid, signal);
        }
    }
    /// One process more; its slot.
    pub fn grow(&mut self) -> usize {
        let slot = self.supervisor.add().expect("room for another process");
        let fresh = self.launch(slot, false);
        if slot == self.slots.len() {
            self.slots.push(fresh);
        } else {
            let old = std::mem::replace(&mut self.slots[slot], fresh);
            self.gone.push((slot, old));
        }
        self.retired.remove(&slot);
        slot
    }
    /// The others go on without the process of a slot.
    pub fn retire(&mut self, slot: usize) {
        self.leave_out(slot);
        self.slots[slot].kill();
    }
    /// As [`retire`](Self::retire), but what becomes of the process is its own affair.
    pub fn leave_out(&mut self, slot: usize) {
        self.supervisor.retire(slot);
        self.retired.insert(slot);
    }
    /// Waits until this many processes work.
    pub fn await_size(&mut self, processes: usize) {
        self.await_that(&format!("a generation of {processes}"), |cluster| {
            let there = cluster.slots.len() - cluster.retired.len();
            there == processes && cluster.supervisor.is_settled() && cluster.all_have_worked()
        });
    }
    fn all_have_worked(&self) -> bool {
        (0..self.slots.len()).all(|s| self.retired.contains(&s) || self.supervisor.has_worked(s))
    }
    /// Kills the process of a slot.
    pub fn kill(&mut self, slot: usize) {
        self.signal(slot, Signal::SIGKILL);
    }
    /// Sends a signal to those that were given up and are still there.
    pub fn signal_zombies(&self, signal: Signal) {
        for (_, zombie) in self.zombies.iter().filter(|(_, z)| z.status.is_none()) {
            let _ = kill(Pid::from_raw(i32::try_from(zombie.pid()).expect("a process number")), signal);
        }
    }
    /// Those that were given up, if they have ended: exit code and what they have said.
    pub fn ended_zombies(&self) -> Vec<(Option<i32>, String)> {
        let ended = self.zombies.iter().filter_map(|(_, z)| Some((z.status?, z)));
        ended
            .map(|(status, z)| {
                let out: String = z.out().into_iter().map(|(_, l)| l + "\n").collect();
                (status.code(), out + &z.err())
            })
            .collect()
    }
    /// From each signal of the test to the time that the process it went to was found to be lost.
    pub fn detections(&self) -> Vec<Duration> {
        let lost = |pid: u32| {
            let mut all = self.happenings.iter();
            all.find(|(_, h)| matches!(h, Happening::Lost { pid: p, .. } if *p == pid)).map(|(at, _)| *at)
        };
        let all = self.kills.iter().filter_map(|(at, pid)| Some(lost(*pid)?.saturating_duration_since(*at)));
        all.collect()
    }
    /// How long each generation took to form, the first left out: it waits for programs to start.
    pub fn formings(&self) -> Vec<Duration> {
        let formed = |h: &Happening| match h {
            Happening::Formed { generation, took } if *generation > 1 => Some(*took),
            _ => None,
        };
        self.happenings.iter().filter_map(|(_, h)| formed(h)).collect()
    }
    /// Lines of all processes that begin with `NOTE`: slot, how many were in the slot before, time, text.
    pub fn notes(&self) -> Vec<(usize, usize, Instant, String)> {
        let mut of_slot = vec![0; self.slots.len()];
        let mut notes = vec![];
        let here = self.slots.iter().enumerate();
        let mut before: Vec<(usize, &Process)> =
            self.gone.iter().chain(&self.zombies).map(|(slot, p)| (*slot, p)).collect();
        before.extend(here);
        for (slot, process) in before {
            let lines = process.out();
            let said = |(at, line): Line| Some((slot, of_slot[slot], at, after(&line, NOTE)?));
            notes.extend(lines.into_iter().filter_map(said));
            of_slot[slot] += 1;
        }
        notes
    }
    /// What has been kept, as [`watch`](crate::program::watch) tells: slot, how many were in it before, dataset, partition.
    pub fn stored(&self) -> Vec<(usize, usize, u64, usize)> {
        let notes = self.notes().into_iter().filter_map(|(slot, before, _, note)| {
            let (node, partition) = note.strip_prefix("stored ")?.split_once(' ')?;
            Some((slot, before, node.parse().ok()?, partition.parse().ok()?))
        });
        notes.collect()
    }
    /// Tasks that have ended well.
    pub fn tasks(&self) -> Vec<TaskNote> {
        let notes = self.notes().into_iter().filter_map(|(slot, before, _, note)| {
            let mut words = note.strip_prefix("task ")?.splitn(4, ' ');
            let mut number = || words.next()?.parse::<u64>().ok();
            let (job, partition, bytes) = (number()?, number()? as usize, number()?);
            let operation = words.next().unwrap_or_default().to_string();
            Some(TaskNote { slot, before, job, partition, bytes, operation })
        });
        notes.collect()
    }
    /// Waits until the present process of a slot has noted this.
    pub fn await_note(&mut self, slot: usize, text: &str) {
        self.await_that(&format!("`{text}` of process {slot}"), |cluster| {
            let out = cluster.slots[slot].out();
            out.iter().any(|(_, line)| after(line, NOTE).is_some_and(|note| note == text))
        });
    }
    /// Waits until this generation works.
    pub fn await_generation(&mut self, wanted: u64) {
        self.await_event(
            &format!("generation {wanted}"),
            |h| matches!(h, Happening::Formed { generation, .. } if *generation >= wanted),
        );
    }
    /// Waits until something has happened.
    pub fn await_event(&mut self, what: &str, is: impl Fn(&Happening) -> bool) {
        self.await_that(what, |cluster| cluster.happenings.iter().any(|(_, h)| is(h)));
    }
    /// Waits until something is so.
    pub fn await_that(&mut self, what: &str, is: impl Fn(&Cluster) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is(self) {
            assert!(Instant::now() < until && self.runs(), "{what} did not happen\n{}", self.logs());
            self.turn();
        }
    }
    /// Lets the cluster go on for a while, or until it ends.
    pub fn run_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && self.runs() {
            self.turn();
        }
    }
    fn runs(&self) -> bool {
        self.slots.iter().any(|s| s.status.is_none())
    }
    /// Looks at everything once.
    pub fn turn(&mut self) {
        for happening in self.supervisor.poll() {
            self.hear(happening);
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].has_ended_now() {
                self.ended(slot);
            }
        }
        for (_, zombie) in &mut self.zombies {
            zombie.has_ended_now();
        }
        if self.failed.as_ref().is_some_and(|(since, _)| since.elapsed() > GRACE) {
            self.slots.iter_mut().for_each(Process::kill);
        }
        std::thread::sleep(POLL);
    }
    fn hear(&mut self, happening: Happening) {
        self.happenings.push((Instant::now(), happening.clone()));
        match happening {
            Happening::Lost { slot, pid, .. } if self.slots[slot].pid() == pid => {
                if !self.setup.spares_zombies {
                    self.slots[slot].kill();
                } else if !self.slots[slot].has_ended_now() {
                    let fresh = self.launch(slot, false);
                    let zombie = std::mem::replace(&mut self.slots[slot], fresh);
                    self.zombies.push((slot, zombie));
                } else {
                    self.ended(slot);
                }
            }
            Happening::Ended { why } => self.fail(why),
            Happening::Formed { .. } | Happening::Lost { .. } | Happening::Refused { .. } => {}
            Happening::Asked { .. } => {}
        }
    }
    fn fail(&mut self, why: String) {
        self.failed.get_or_insert((Instant::now(), why));
    }
    /// As the launcher of the driver decides.
    fn ended(&mut self, slot: usize) {
        if self.retired.contains(&slot) {
            return;
        }
        let (status, pid) = (self.slots[slot].status.expect("it has ended"), self.slots[slot].pid());
        let leave = self.supervisor.leave(slot);
        let is_loss = match leave {
            Leave::Done | Leave::Failed => false,
            Leave::NeverCame => status.code().is_none(),
            Leave::Lost => (0..self.slots.len()).all(|s| s == slot || self.supervisor.left(s) != Leave::Done),
        };
        if !is_loss {
            if leave != Leave::Lost && !status.success() {
                self.fail(format!("process {slot} has failed: {status}"));
            }
            return;
        }
        remove_spill_files(self.dir.path(), pid);
        if self.failed.is_some() {
            return;
        }
        std::thread::sleep(NEWS);
        let jobs = self.supervisor.jobs();
        self.futile = if jobs > self.jobs { 1 } else { self.futile + 1 };
        self.jobs = jobs;
        if self.futile > self.setup.restarts {
            self.supervisor.end("the run was given up: it has lost a process too often");
            let times = self.futile;
            return self.fail(format!("processes were lost {times} times in a row in job {}", jobs + 1));
        }
        if self.setup.shrinks && slot > 0 {
            return self.retire(slot);
        }
        let fresh = self.launch(slot, false);
        let lost = std::mem::replace(&mut self.slots[slot], fresh);
        self.gone.push((slot, lost));
    }
    /// Waits until all have ended, however they do.
    pub fn end(&mut self) -> End {
        let until = Instant::now() + PATIENCE;
        while self.runs() {
            if Instant::now() > until {
                let logs = self.logs();
                panic!("{:?}: the processes have not ended after {PATIENCE:?}\n{logs}", self.setup.task);
            }
            self.turn();
        }
        let answers = (0..self.slots.len()).map(|slot| self.answer(slot)).collect();
        let failed = self.failed.as_ref().map(|(_, why)| why.clone());
        End { answers, failed, replaced: self.replaced() }
    }
    /// The answer of a slot: one that was lost after its answer may have been replaced in vain.
    fn answer(&self, slot: usize) -> Option<String> {
        let before = self.gone.iter().chain(&self.zombies).rev().filter(|(s, _)| *s == slot).map(|(_, p)| p);
        let mut all = std::iter::once(&self.slots[slot]).chain(before);
        all.find_map(|p| Some(p.said(ANSWER)?.replace(BREAK, "\n")))
    }
    /// Waits until all have ended, and well; the answers of all slots that are not retired.
    pub fn finish(&mut self) -> Vec<String> {
        let end = self.end();
        let answers = end.answers.into_iter().enumerate().filter(|(slot, _)| !self.retired.contains(slot));
        let whole: Option<Vec<String>> = answers.map(|(_, answer)| answer).collect();
        match whole {
            Some(answers) if end.failed.is_none() => answers,
            _ => panic!("the cluster has failed: {:?}\n{}", end.failed, self.logs()),
        }
    }
    /// True if the process of a slot has not ended yet.
    pub fn is_running(&self, slot: usize) -> bool {
        self.slots[slot].status.is_none()
    }
    /// What the process of a slot has answered.
    pub fn answered(&self, slot: usize) -> Option<String> {
        self.slots[slot].said(ANSWER)
    }
    /// Spill files that are there.
    pub fn spill_files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten();
        entries.map(|e| e.path()).filter(|p| p.to_string_lossy().contains("slackwater-")).collect()
    }
    /// All that is known, for a test that fails.
    pub fn logs(&self) -> String {
        let since = |at: &Instant| at.saturating_duration_since(self.started).as_millis();
        let mut text = String::new();
        for (at, happening) in &self.happenings {
            text.push_str(&format!("{:>6} ms {happening:?}\n", since(at)));
        }
        let gone = self.gone.iter().chain(&self.zombies).map(|(slot, p)| (*slot, p));
        for (slot, process) in gone.chain(self.slots.iter().enumerate()) {
            text.push_str(&format!("process {slot}, {}: {:?}\n", process.pid(), process.status));
            let out = process.out();
            for (at, line) in &out[out.len().saturating_sub(12)..] {
                text.push_str(&format!("{:>6} ms | {:.300}\n", since(at), line));
            }
            text.push_str(&process.err());
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All at once, before each is waited for.
        let all = self.slots.iter_mut().chain(self.gone.iter_mut().map(|(_, p)| p));
        all.chain(self.zombies.iter_mut().map(|(_, p)| p)).for_each(Process::kill);
    }
}
