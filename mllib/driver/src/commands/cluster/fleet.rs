//! The workers of a run on other machines: how they are started, who they are, and which process goes where.
//!
//! With a file of hosts each host has one worker, which a remote shell starts and which lives as long as that. A host
//! that is lost is tried again, at first at once, then after longer and longer times; so long its processes wait for it
//! if it was lost just now, and else go where there is room. Without such a file workers come by themselves.
//!
//! It costs a look at each host every few milliseconds. It fails only in that there is no place; for how long that is
//! borne, the launcher decides.

use super::agent::{Agent, Remote};
use super::hosts::{Host, homes};
use super::relay::{Printed, relay_lines};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use slackwater_dataflow::cluster::{Secret, Supervisor, Task, WorkerOrder};
use slackwater_dataflow::{Error, Result};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A remote shell has this long to bring a worker up.
const REACH: Duration = Duration::from_secs(20);
/// A host that was lost is waited for so long by those that were on it, if there is room elsewhere.
const HOPE: Duration = Duration::from_secs(4);
/// Between attempts to reach a host: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A host that could not be reached so many times in a row is not tried again.
const ATTEMPTS: u32 = 10;
/// Workers have this long to end when the run has.
const PARTING: Duration = Duration::from_secs(2);

/// How workers are started.
pub(super) struct Launch {
    /// The remote shell and its arguments.
    pub rsh: Vec<String>,
    /// Path of this program there.
    pub program: PathBuf,
    /// Address of the supervisor.
    pub supervisor: String,
    pub secret: Secret,
    pub quiet: bool,
}

/// A host of the file.
struct Site {
    host: Host,
    /// The remote shell, since when it runs.
    line: Option<(Child, Instant)>,
    agent: Option<Arc<Agent>>,
    /// When its worker was lost, if it was.
    lost: Option<Instant>,
    /// Attempts in a row that have failed.
    failures: u32,
    /// When the next one may be made.
    next: Instant,
}

/// The workers of a run.
pub(super) struct Fleet {
    sites: Vec<Site>,
    launch: Option<Launch>,
    /// By slot: its host.
    homes: Vec<usize>,
    /// Workers that are there, in the order in which they came.
    agents: Vec<Arc<Agent>>,
    tasks: u64,
    /// Processes that went down with their worker, by its name: their files are to be removed.
    orphans: Vec<(String, u32)>,
}

impl Fleet {
    /// A fleet on these hosts.
    ///
    /// # Errors
    /// Input, if they have fewer slots than there are processes.
    pub fn on_hosts(hosts: Vec<Host>, processes: usize, launch: Launch) -> Result<Fleet> {
        let homes = homes(&hosts, processes);
        if homes.len() < processes {
            let what = format!("the hosts have {} slots for {processes} processes", homes.len());
            return Err(Error::input(what, "add hosts, or slots=K to their lines, or lower -n"));
        }
        let now = Instant::now();
        let site = |host| Site { host, line: None, agent: None, lost: None, failures: 0, next: now };
        let sites = hosts.into_iter().map(site).collect();
        Ok(Fleet { sites, launch: Some(launch), homes, agents: vec![], tasks: 0, orphans: vec![] })
    }
    /// A fleet of workers that come by themselves.
    pub fn external() -> Fleet {
        let (sites, homes, agents) = (vec![], vec![], vec![]);
        Fleet { sites, launch: None, homes, agents, tasks: 0, orphans: vec![] }
    }
    /// Looks what has happened; returns what there is to say about it.
    pub fn step(&mut self, supervisor: &Supervisor, spill_dir: Option<&str>) -> Vec<String> {
        let mut notes = vec![];
        self.welcome(supervisor, spill_dir, &mut notes);
        for agent in &self.agents {
            if let Some(why) = agent.gone() {
                notes.push(format!("worker {} ({}) is lost: {why}", agent.name, agent.address));
                self.orphans.extend(agent.orphans().into_iter().map(|pid| (agent.name.clone(), pid)));
            }
        }
        self.agents.retain(|a| a.gone().is_none());
        for site in &mut self.sites {
            if let Err(why) = site.step(self.launch.as_ref()) {
                notes.push(format!("host {}: {why}", site.host.name));
            }
        }
        notes
    }
    fn welcome(&mut self, supervisor: &Supervisor, spill_dir: Option<&str>, notes: &mut Vec<String>) {
        for candidate in supervisor.candidates() {
            let name = candidate.offer.name.clone();
            let site = self.sites.iter_mut().find(|s| s.host.name == name);
            let is_expected = site.as_ref().is_some_and(|s| s.line.is_some() && s.agent.is_none());
            let Ok(agent) = Agent::new(candidate) else { continue };
            if self.launch.is_some() && !is_expected {
                notes.push(format!("worker {name} ({}) is not expected", agent.address));
                agent.tell(&WorkerOrder::End { code: super::LOST });
                agent.leave("it is not expected");
                continue;
            }
            self.orphans.retain(|(of, pid)| {
                if *of == name {
                    let spill_dir = spill_dir.map(str::to_string);
                    agent.tell(&WorkerOrder::Tidy { pid: *pid, spill_dir });
                }
                *of != name
            });
            if let Some(site) = site {
                (site.agent, site.failures) = (Some(agent.clone()), 0);
            }
            self.agents.push(agent);
        }
    }
    /// Places for these slots, as far as there are any.
    fn assign(&self, slots: &[usize]) -> Vec<(usize, Arc<Agent>)> {
        let mut free: Vec<usize> = self.agents.iter().map(|a| a.free()).collect();
        let mut assigned = vec![];
        for slot in slots {
            let home = self.homes.get(*slot).map(|h| &self.sites[*h]);
            let at_home = home.and_then(|h| h.agent.as_ref());
            let at_home = at_home.and_then(|a| self.agents.iter().position(|b| Arc::ptr_eq(a, b)));
            let at_home = at_home.filter(|i| free[*i] > 0);
            // A host that may be back in a moment is waited for.
            if at_home.is_none() && home.is_some_and(|h| h.agent.is_none() && h.may_come()) {
                continue;
            }
            let emptiest = || {
                let busy = |i: usize| self.agents[i].slots - free[i];
                (0..free.len()).filter(|i| free[*i] > 0).min_by_key(|i| (busy(*i), *i))
            };
            if let Some(i) = at_home.or_else(emptiest) {
                free[i] -= 1;
                assigned.push((*slot, self.agents[i].clone()));
            }
        }
        assigned
    }
    /// Worker threads that each process of a run can have, if there is a place for every one of these slots.
    pub fn workers(&self, slots: &[usize]) -> Option<usize> {
        let assigned = self.assign(slots);
        if assigned.len() < slots.len() { None } else { assigned.iter().map(|(_, a)| a.workers).min() }
    }
    /// Starts the processes of these slots, as far as there are places. `task` is what all have in common.
    pub fn start(&mut self, slots: &[usize], task: &Task, printed: &Arc<Printed>) -> Vec<(usize, Remote)> {
        let assigned = self.assign(slots);
        let start = |(slot, agent): (usize, Arc<Agent>)| {
            self.tasks += 1;
            let task = Task { id: self.tasks, slot, speaks: slot == 0, ..task.clone() };
            (slot, agent.start(task, printed))
        };
        assigned.into_iter().map(start).collect()
    }
    /// The run has ended: so do its workers.
    pub fn finish(&mut self, code: u8) {
        for agent in self.agents.drain(..) {
            agent.tell(&WorkerOrder::End { code });
        }
        let until = Instant::now() + PARTING;
        let mut lines: Vec<Child> =
            self.sites.iter_mut().filter_map(|s| s.line.take()).map(|(child, _)| child).collect();
        // Their standard input ends: what has not connected yet ends by that.
        lines.iter_mut().for_each(|l| drop(l.stdin.take()));
        while lines.iter_mut().any(|l| matches!(l.try_wait(), Ok(None))) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        lines.iter_mut().for_each(end);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.finish(super::LOST);
    }
}

impl Site {
    /// True if a worker there can be expected in a moment.
    fn may_come(&self) -> bool {
        let has_hope = self.lost.is_none_or(|since| since.elapsed() < HOPE);
        has_hope && (self.failures == 0 || (self.failures == 1 && self.line.is_some()))
    }
    /// Looks after the remote shell; the error is what has become of it.
    fn step(&mut self, launch: Option<&Launch>) -> Result<(), String> {
        let Some(launch) = launch else { return Ok(()) };
        let is_gone = self.agent.as_ref().is_some_and(|a| a.gone().is_some());
        if let Some((child, since)) = &mut self.line {
            let ended = child.try_wait().map_err(|e| e.to_string())?;
            let is_late = self.agent.is_none() && since.elapsed() > REACH;
            if ended.is_none() && !is_late && !is_gone {
                return Ok(());
            }
            end(child);
            self.line = None;
            let agent = self.agent.take();
            let why = match ended {
                Some(status) => format!("`{}` has ended ({status})", launch.rsh.join(" ")),
                None if is_late => format!("no worker has come within {REACH:?}"),
                None => "its worker is gone".to_string(),
            };
            if let Some(agent) = &agent {
                agent.leave(&why);
                self.lost = Some(Instant::now());
            }
            // What has worked for some time is tried again at once.
            self.failures = if agent.is_some() { 0 } else { self.failures + 1 };
            let pause = (RETRY.0 * 2u32.pow(self.failures.min(8))).min(RETRY.1);
            self.next = Instant::now() + pause;
            return Err(why);
        }
        if Instant::now() < self.next || self.failures >= ATTEMPTS {
            return Ok(());
        }
        match launch.start(&self.host) {
            Ok(child) => self.line = Some((child, Instant::now())),
            Err(e) => {
                (self.failures, self.next) = (self.failures + 1, Instant::now() + RETRY.1);
                return Err(format!("`{}` cannot be started: {e}", launch.rsh.join(" ")));
            }
        }
        Ok(())
    }
}

impl Launch {
    /// Starts a worker on a host. The secret goes to its standard input, which stays open as long as the worker should
    /// live.
    fn start(&self, host: &Host) -> std::io::Result<Child> {
        let mut words = self.rsh.iter();
        let mut command = Command::new(words.next().map_or("ssh", |w| w.as_str()));
        command.args(words).arg(&host.name).arg(&self.program);
        let slots = host.slots.to_string();
        let mut arguments: Vec<OsString> = [
            "worker",
            "--supervisor",
            &self.supervisor,
            "--secret-file=-",
            "--name",
            &host.name,
            "--slots",
            &slots,
        ]
        .map(OsString::from)
        .to_vec();
        arguments.extend(host.address.map(|a| format!("--host={a}").into()));
        arguments.extend(self.quiet.then(|| "--quiet".into()));
        // A group of its own: Ctrl-C on the terminal is for the launcher.
        command.args(arguments).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(stderr) = child.stderr.take() {
            let name = host.name.clone();
            std::thread::spawn(move || relay_lines(&name, stderr));
        }
        if let Some(stdin) = &mut child.stdin {
            // One that has ended already is noticed as such.
            let _ = writeln!(stdin, "{}", self.secret.to_text());
        }
        Ok(child)
    }
}

/// Ends a remote shell with all that it has started here.
fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(None)) {
        if let Ok(pid) = i32::try_from(child.id()) {
            let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
        }
        let _ = child.kill();
    }
    let _ = child.wait();
}
