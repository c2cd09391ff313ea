//! Where the processes of a run are started: here, or on other machines.

use super::fleet::{Fleet, Launch};
use super::hosts;
use super::member::{Local, Member};
use super::relay::Printed;
use crate::args::RunArgs;
use crate::config::{Origin, Resolved, settings};
use crate::session::{EXECUTE, FOLLOW_LAUNCHER};
use nix::ifaddrs::getifaddrs;
use slackwater_dataflow::cluster::{Candidate, Secret, Supervisor, Task};
use slackwater_dataflow::{Error, Result};
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// How long a process waits for a place: on hosts that are started, and on workers that come by themselves.
const WAIT: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];

/// Where processes are started, and what.
pub(super) struct Places {
    /// None: here.
    fleet: Option<Fleet>,
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
    /// The same for a process that takes the place of another.
    again: Vec<OsString>,
    variables: Vec<(String, String)>,
    /// What process 0 has printed.
    printed: Arc<Printed>,
    /// How long a process waits for a place.
    pub patience: Duration,
}

/// The supervisor of a run, and its places.
pub(super) fn open(
    resolved: &Resolved,
    args: &RunArgs,
    arguments: Vec<OsString>,
) -> Result<(Supervisor, Places)> {
    let processes = usize::from(args.processes);
    let here = args.hosts.is_none() && !args.external;
    let mut places = Places {
        fleet: None,
        program: args.program.clone(),
        again: super::again(args, &arguments),
        arguments,
        variables: variables(resolved, here.then_some(processes)),
        printed: Arc::default(),
        patience: WAIT[usize::from(args.external)],
    };
    if here {
        return Ok((Supervisor::start(processes)?, places));
    }
    if let Some(seconds) = args.wait {
        places.patience =
            Duration::try_from_secs_f64(seconds).map_err(|e| Error::config("wait", e.to_string()))?;
    }
    let hosts = args.hosts.as_ref().map(|file| hosts::read(file)).transpose()?;
    let secret = match &args.secret_file {
        Some(file) => Secret::read(file)?,
        None => Secret::random()?,
    };
    let listen = match &args.listen {
        Some(listen) => listen.clone(),
        None => format!("{}:0", own_address()?),
    };
    let supervisor = Supervisor::listen(&listen, processes, secret.clone())?;
    places.fleet = Some(match hosts {
        None => Fleet::external(),
        Some(hosts) => {
            let address = supervisor.membership(0).rendezvous;
            if address.starts_with("0.0.0.0:") || address.starts_with("[::]:") {
                let what = "is what hosts are told: name an address of this machine that they reach";
                return Err(Error::config("listen", what));
            }
            let program = match &args.remote_program {
                Some(program) => program.clone(),
                None => this_program()?,
            };
            let rsh = args.rsh.split_whitespace().map(str::to_string).collect();
            let quiet = resolved.cli.globals.quiet;
            Fleet::on_hosts(hosts, processes, Launch { rsh, program, supervisor: address, secret, quiet })?
        }
    });
    Ok((supervisor, places))
}

impl Places {
    /// Looks after the machines; returns what there is to say about them.
    pub fn step(&mut self, supervisor: &Supervisor) -> Vec<String> {
        let Some(fleet) = &mut self.fleet else {
            // Here is no work for them: their connection ends.
            let note = |c: Candidate| format!("worker {} is not expected", c.offer.name);
            return supervisor.candidates().into_iter().map(note).collect();
        };
        let spill_dir = self.variables.iter().find(|(name, _)| name == "SLACKWATER_SPILL_DIR");
        fleet.step(supervisor, spill_dir.map(|(_, dir)| dir.as_str()))
    }
    /// Starts the processes of these slots, as far as there are places; at first all or none.
    pub fn start(
        &mut self,
        supervisor: &Supervisor,
        slots: &[usize],
        is_first: bool,
    ) -> Result<Vec<(usize, Member)>> {
        let arguments = self.arguments(supervisor).to_vec();
        let Some(fleet) = &mut self.fleet else {
            let start = |slot: &usize| Ok((*slot, Member::Local(self.start_here(supervisor, *slot)?)));
            return slots.iter().map(start).collect();
        };
        if is_first {
            let Some(workers) = fleet.workers(slots) else { return Ok(vec![]) };
            const WORKERS: &str = "SLACKWATER_WORKERS";
            if !self.variables.iter().any(|(name, _)| name == WORKERS) {
                // All must have the same number.
                self.variables.push((WORKERS.to_string(), workers.to_string()));
            }
        }
        let membership = supervisor.membership(0);
        let bytes = |word: &OsString| word.clone().into_vec();
        let task = Task {
            id: 0,
            slot: 0,
            processes: membership.processes,
            run: membership.run,
            encrypt: membership.encrypt,
            program: self.program.clone().map(|p| p.into_os_string().into_vec()),
            arguments: arguments.iter().map(bytes).collect(),
            variables: self.variables.clone(),
            directory: std::env::current_dir().map(|d| d.into_os_string().into_vec()).unwrap_or_default(),
            speaks: false,
        };
        let started = fleet.start(slots, &task, &self.printed);
        Ok(started.into_iter().map(|(slot, remote)| (slot, Member::Remote(remote))).collect())
    }
    fn arguments(&self, supervisor: &Supervisor) -> &[OsString] {
        if supervisor.generation() == 0 { &self.arguments } else { &self.again }
    }
    fn start_here(&self, supervisor: &Supervisor, slot: usize) -> Result<Local> {
        let mut command = Command::new(this_program()?);
        command.args(self.arguments(supervisor)).envs(supervisor.membership(slot).variables());
        command.envs(self.variables.iter().map(|(k, v)| (k, v)));
        match &self.program {
            Some(program) => command.env(EXECUTE, program),
            None => command.env(FOLLOW_LAUNCHER, "1"),
        };
        Local::start(command, slot, &self.printed)
    }
    /// The run has ended, with this exit code.
    pub fn finish(&mut self, code: u8) {
        self.fleet.iter_mut().for_each(|f| f.finish(code));
    }
}

fn this_program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|e| Error::io("<this program>", "find", &e))
}

/// The first address of this machine that others may reach.
fn own_address() -> Result<Ipv4Addr> {
    let all = getifaddrs().map_err(|e| Error::io("<network>", "read", &e.into()))?;
    let address = |i: nix::ifaddrs::InterfaceAddress| Some(i.address?.as_sockaddr_in()?.ip());
    all.filter_map(address).find(|a| !a.is_loopback()).ok_or_else(|| {
        Error::config("listen", "this machine has no address but loopback ones: say --listen ADDRESS:PORT")
    })
}

/// Settings for the processes: those of the launcher, and their share of the cores if they run `here`, so many of them,
/// and nobody says how many workers.
fn variables(resolved: &Resolved, here: Option<usize>) -> Vec<(String, String)> {
    let variable = |name: &str| {
        let arg = resolved.command.get_arguments().find(|a| a.get_long() == Some(name))?;
        Some(arg.get_env()?.to_string_lossy().into_owned())
    };
    let given = settings(resolved, true).into_iter().filter(|s| s.origin != Origin::Default);
    let mut variables: Vec<(String, String)> =
        given.filter_map(|s| Some((variable(&s.name)?, s.value?))).collect();
    if let Some(processes) = here
        && resolved.cli.globals.workers.is_none()
    {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        variables.push(("SLACKWATER_WORKERS".to_string(), (cores / processes).max(1).to_string()));
    }
    let config = std::env::var("SLACKWATER_CONFIG").ok().filter(|_| here.is_none());
    variables.extend(config.map(|c| ("SLACKWATER_CONFIG".to_string(), c)));
    variables
}
