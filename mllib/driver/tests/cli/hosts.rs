//! Several machines: network namespaces stand for them. The same bytes, whatever dies, and nothing left behind.

use crate::cluster::{children, rows, runs};
use crate::common::{Place, Ran, files};
use crate::interrupt::{DEADLINE, signal, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A training that takes some seconds in three processes, and of which every iteration is a job.
const LONG: [&str; 8] = [
    "train",
    "svm",
    "--solver=sgd",
    "--tolerance=0",
    "--iterations=1000",
    "--data=rows.svm",
    "--partitions=5",
    "--quiet",
];

fn ip(words: &[&str]) -> bool {
    let done = Command::new("ip").args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|s| s.success())
}

/// Two namespaces with a cable between them. They go, with all that runs in them, when this is dropped.
pub struct Net(pub [String; 2]);

impl Net {
    /// None, with a note, where namespaces cannot be made.
    pub fn new() -> Option<Net> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let own = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let net = Net(["a", "b"].map(|end| format!("slackwater-{own}-{end}")));
        let [a, b] = &net.0;
        let cable = ["link", "add", "near", "netns", a, "type", "veth", "peer", "name", "far", "netns", b];
        if !ip(&["netns", "add", a]) || !ip(&["netns", "add", b]) || !ip(&cable) {
            eprintln!("skipped: network namespaces need root, the command `ip` and a kernel that has veth");
            return None;
        }
        for (name, device, address) in [(a, "near", "10.77.0.1/24"), (b, "far", "10.77.0.2/24")] {
            let done = ip(&["-n", name, "addr", "add", address, "dev", device])
                && ip(&["-n", name, "link", "set", device, "up"])
                && ip(&["-n", name, "link", "set", "lo", "up"]);
            assert!(done, "{name} cannot be set up");
        }
        Some(net)
    }
    /// The program, in the first namespace.
    fn command(&self, place: &Place, arguments: &[&str]) -> Command {
        let program = command(place, arguments);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0[0]]).arg(program.get_program()).args(program.get_args());
        command.current_dir(place.path(".")).stdin(Stdio::null());
        for (name, value) in program.get_envs() {
            value.map(|v| command.env(name, v));
            if value.is_none() {
                command.env_remove(name);
            }
        }
        command
    }
    /// A run of three processes on both.
    pub fn start(&self, place: &Place, rsh: &str, slots: [usize; 2], words: &[&str]) -> Running {
        let [a, b] = &self.0;
        place.write("hosts", format!("{a} slots={}\n{b} slots={} # the other\n", slots[0], slots[1]));
        let run = ["cluster", "run", "-n", "3", "--hosts", "hosts", "--rsh", rsh, "--"];
        Running::start(self.command(place, &[&run, words].concat()))
    }
    /// What the run says of itself, when it can.
    fn status(&self, place: &Place) -> Option<Value> {
        let done = Running::start(self.command(place, &["cluster", "status", "--json"])).end();
        let document: Value = serde_json::from_str(&done.stdout).ok()?;
        let runs = document["runs"].as_array()?;
        assert!(runs.len() < 2, "{document}");
        runs.first().cloned()
    }
    /// Waits until all processes work, and have done some jobs; what the run says then.
    fn await_work(&self, place: &Place) -> Value {
        let mut last = None;
        until("all processes work", || {
            last = self.status(place).filter(|s| {
                let slots = s["slots"].as_array().unwrap();
                slots.iter().all(|s| s["state"] == "works" && s["jobs"].as_u64() > Some(20))
            });
            last.is_some()
        });
        last.unwrap()
    }
    /// Takes the cable out of the second, or puts it in again.
    pub fn connect(&self, up: bool) {
        assert!(ip(&["-n", &self.0[1], "link", "set", "far", if up { "up" } else { "down" }]));
    }
    /// Numbers of all processes in one of them.
    pub fn pids_in(&self, end: usize) -> Vec<i32> {
        let done = Command::new("ip").args(["netns", "pids", &self.0[end]]).output().unwrap();
        let pids = String::from_utf8(done.stdout).unwrap();
        pids.lines().filter_map(|l| l.trim().parse().ok()).collect()
    }
    /// Numbers of all processes in both.
    fn pids(&self) -> Vec<i32> {
        [0, 1].into_iter().flat_map(|end| self.pids_in(end)).collect()
    }
    /// Nobody is left.
    pub fn assert_empty(&self) {
        until("all processes end", || self.pids().into_iter().all(|pid| !runs(pid)));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for pid in self.pids() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.0.iter().for_each(|name| {
            ip(&["netns", "del", name]);
        });
    }
}

/// The program, with its run file in the place.
fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    command.env("XDG_RUNTIME_DIR", place.path("runtime"));
    command
}

/// A process that has a deadline, and does not outlive the test.
pub struct Running {
    child: Child,
    said: [Option<JoinHandle<String>>; 2],
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        fn reader(mut from: impl Read + Send + 'static) -> Option<JoinHandle<String>> {
            Some(std::thread::spawn(move || {
                let mut text = String::new();
                let _ = from.read_to_string(&mut text);
                text
            }))
        }
        let said = [reader(child.stdout.take().unwrap()), reader(child.stderr.take().unwrap())];
        Running { child, said }
    }
    fn pid(&self) -> u32 {
        self.child.id()
    }
    /// Waits for its end.
    #[track_caller]
    pub fn end(self) -> Ran {
        self.end_within(2 * DEADLINE)
    }
    /// The same, of one that may take longer.
    #[track_caller]
    pub fn end_within(mut self, limit: Duration) -> Ran {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > limit {
                self.child.kill().unwrap();
                let said = self.said[1].take().unwrap().join().unwrap();
                panic!("it does not end\n{said}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let [stdout, stderr] = [0, 1].map(|i| self.said[i].take().unwrap().join().unwrap());
        Ran { code: status.code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A place with rows, and the bytes that a process alone makes of them by `words`.
fn alone(words: &[&str]) -> (Place, Vec<(std::path::PathBuf, Vec<u8>)>) {
    let place = Place::new();
    place.write("rows.svm", rows());
    place.ok(&[words, &["--model=alone"]].concat());
    let bytes = files(&place.path("alone"));
    (place, bytes)
}

/// Nothing but what was asked for is left.
fn assert_tidy(place: &Place) {
    let known = ["alone", "hosts", "many", "rows.svm", "rsh", "runtime", "secret", "other", "down"];
    assert!(place.names().iter().all(|n| known.contains(&n.as_str())), "{:?}", place.names());
    if place.path("runtime").exists() {
        assert_eq!(std::fs::read_dir(place.path("runtime")).unwrap().count(), 0);
    }
}

fn parent(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|l| l.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

fn slot(status: &Value, slot: usize) -> (i32, String) {
    let slot = &status["slots"][slot];
    (slot["pid"].as_i64().unwrap() as i32, slot["host"].as_str().unwrap().to_string())
}

#[test]
fn hosts_give_the_same_bytes() {
    let Some(net) = Net::new() else { return };
    let words = ["train", "svm", "--loss=hinge", "--data=rows.svm", "--partitions=5"];
    let (place, bytes) = alone(&words);
    let done = net.start(&place, "ip netns exec", [2, 2], &[&words[..], &["--model=many"]].concat()).end();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("model      many") && done.stderr.is_empty(), "{}", done.stderr);
    assert!(files(&place.path("many")) == bytes);
    net.assert_empty();
    assert_tidy(&place);
}

#[test]
fn a_killed_member_is_replaced_where_it_was() {
    let Some(net) = Net::new() else { return };
    let (place, bytes) = alone(&LONG);
    let run = net.start(&place, "ip netns exec", [2, 2], &[&LONG[..], &["--model=many"]].concat());
    let status = net.await_work(&place);
    let ((pid, host), (first, _)) = (slot(&status, 1), slot(&status, 0));
    assert_eq!(host, net.0[1]);
    assert!(status["slots"][1]["address"].as_str().unwrap().starts_with("10.77.0.2:"), "{status}");
    assert_eq!((status["generation"].as_u64(), slot(&status, 2).1), (Some(1), net.0[0].clone()));
    // What the process was told does not show the secret to other users.
    for pid in [pid, first, parent(pid), parent(first)] {
        let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(!arguments.split(['\0', '=']).any(|w| w.len() == 64), "{arguments}");
    }
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let done = run.end();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains(&format!("process 1 begins again on {host}")), "{}", done.stderr);
    assert_eq!(done.stderr.matches("another takes its place").count(), 1, "{}", done.stderr);
    assert!(files(&place.path("many")) == bytes);
    net.assert_empty();
    assert_tidy(&place);
}

#[test]
fn the_processes_of_a_killed_worker_come_back() {
    let Some(net) = Net::new() else { return };
    let (place, bytes) = alone(&LONG);
    // Two on the first host, one of them process 0, whose output must not come twice.
    let run = net.start(&place, "ip netns exec", [2, 2], &[&LONG[..], &["--model=many"]].concat());
    let status = net.await_work(&place);
    let (pid, other) = (slot(&status, 0).0, slot(&status, 2).0);
    assert_eq!(parent(pid), parent(other));
    kill(Pid::from_raw(parent(pid)), Signal::SIGKILL).unwrap();
    until("its processes end", || !runs(pid) && !runs(other));
    let done = run.end();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for process in [0, 2] {
        let again = format!("process {process} begins again on {}", net.0[0]);
        assert!(done.stderr.contains(&again), "{}", done.stderr);
    }
    assert_eq!(done.stdout.matches("model      many").count(), 1, "{}", done.stdout);
    assert!(files(&place.path("many")) == bytes);
    net.assert_empty();
    assert_tidy(&place);
}

#[test]
fn they_go_elsewhere_if_the_host_is_lost() {
    let Some(net) = Net::new() else { return };
    let (place, bytes) = alone(&LONG);
    place.write(
        "rsh",
        "#!/bin/sh\n[ -e down ] && [ $1 = $(cat down) ] && exit 255\nexec ip netns exec \"$@\"\n",
    );
    std::fs::set_permissions(place.path("rsh"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let run = net.start(&place, "./rsh", [3, 1], &[&LONG[..], &["--model=many"]].concat());
    let (pid, host) = slot(&net.await_work(&place), 1);
    assert_eq!(host, net.0[1]);
    place.write("down", &host);
    kill(Pid::from_raw(parent(pid)), Signal::SIGKILL).unwrap();
    let done = run.end();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains(&format!("process 1 begins again on {}", net.0[0])), "{}", done.stderr);
    assert!(files(&place.path("many")) == bytes);
    net.assert_empty();
    assert_tidy(&place);
}

#[test]
fn a_killed_launcher_leaves_nobody_on_hosts() {
    let Some(net) = Net::new() else { return };
    let (place, _) = alone(&LONG);
    let run = net.start(&place, "ip netns exec", [2, 2], &[&LONG[..], &["--model=many"]].concat());
    net.await_work(&place);
    assert!(net.pids().len() >= 6, "a launcher, two workers, three processes");
    signal(&run.child, Signal::SIGKILL);
    assert_eq!(run.end().code, None);
    net.assert_empty();
    // Its file is removed by who looks next.
    assert!(net.status(&place).is_none());
    assert_eq!(std::fs::read_dir(place.path("runtime/slackwater")).unwrap().count(), 0);
}

/// A port that is free now.
fn port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn external(place: &Place, address: &str, words: &[&str]) -> Running {
    place.ok(&["cluster", "secret", "secret"]);
    let run = ["cluster", "run", "-n", "2", "--external", "--listen", address, "--secret-file=secret", "--"];
    Running::start(command(place, &[&run, words].concat()))
}

fn worker(place: &Place, address: &str, more: &[&str]) -> Running {
    Running::start(command(place, &[&["worker", "--supervisor", address], more].concat()))
}

#[test]
fn workers_come_by_themselves() {
    let (place, bytes) = alone(&LONG);
    let address = port();
    let run = external(&place, &address, &[&LONG[..], &["--model=many"]].concat());
    let one = worker(&place, &address, &["--secret-file=secret", "--name=one", "--workers=1"]);
    let text = place.read("secret");
    let mut other = command(&place, &["worker", "--supervisor", &address, "--name=two", "--workers=1"]);
    other.env("SLACKWATER_SECRET", text.trim());
    let two = Running::start(other);
    let status = || {
        let ask = ["cluster", "status", "--supervisor", &address, "--secret-file=secret", "--json"];
        serde_json::from_str::<Value>(&Running::start(command(&place, &ask)).end().stdout).ok()
    };
    let mut last = Value::Null;
    until("they work", || {
        last = status().map_or(Value::Null, |s| s["runs"][0].clone());
        last["slots"].as_array().is_some_and(|s| s.iter().all(|s| s["jobs"].as_u64() > Some(5)))
    });
    let mut hosts = [slot(&last, 0).1, slot(&last, 1).1];
    hosts.sort();
    assert_eq!(hosts, ["one", "two"]);
    let members = [slot(&last, 0).0, slot(&last, 1).0];
    // As text it is a table, with the same.
    let table = Running::start(command(&place, &["cluster", "status"])).end();
    assert!(table.code == Some(0) && table.stdout.contains("two  127.0.0.1:"), "{}", table.stdout);
    let done = run.end();
    assert_eq!((done.code, one.end().code, two.end().code), (Some(0), Some(0), Some(0)), "{}", done.stderr);
    assert!(files(&place.path("many")) == bytes);
    assert!(members.iter().all(|m| !runs(*m)));
    assert_tidy(&place);
}

#[test]
fn a_spare_worker_takes_the_place_of_a_lost_one() {
    let (place, bytes) = alone(&LONG);
    let address = port();
    let run = external(&place, &address, &[&LONG[..], &["--model=many"]].concat());
    let start = |name| worker(&place, &address, &["--secret-file=secret", "--workers=1", "--name", name]);
    let workers = ["one", "two"].map(start);
    until("they work", || workers.iter().all(|w| children(w.pid()).len() == 1));
    std::thread::sleep(Duration::from_millis(300));
    let spare = start("three");
    let [one, two] = workers;
    signal(&two.child, Signal::SIGKILL);
    assert_eq!(two.end().code, None);
    let done = run.end();
    assert_eq!((done.code, one.end().code, spare.end().code), (Some(0), Some(0), Some(0)), "{}", done.stderr);
    assert!(done.stderr.contains("begins again on three"), "{}", done.stderr);
    assert!(files(&place.path("many")) == bytes);
}

#[test]
fn a_lost_launcher_ends_its_workers() {
    let (place, _) = alone(&LONG);
    let address = port();
    let run = external(&place, &address, &[&LONG[..], &["--model=many"]].concat());
    let workers = [(); 2].map(|()| worker(&place, &address, &["--secret-file=secret", "--workers=1"]));
    until("they work", || workers.iter().all(|w| children(w.pid()).len() == 1));
    let members: Vec<i32> = workers.iter().flat_map(|w| children(w.pid())).collect();
    signal(&run.child, Signal::SIGKILL);
    assert_eq!(run.end().code, None);
    for worker in workers {
        let done = worker.end();
        assert_eq!(done.code, Some(5), "{}", done.stderr);
        assert!(done.stderr.contains("the run is lost"), "{}", done.stderr);
    }
    assert!(members.iter().all(|m| !runs(*m)));
}

#[test]
fn who_does_not_belong_to_the_run_is_told_so_at_once() {
    let (place, _) = alone(&LONG);
    let address = port();
    let run = external(&place, &address, &LONG);
    place.ok(&["cluster", "secret", "other"]);
    until("it listens", || std::net::TcpStream::connect(&address).is_ok());
    let start = Instant::now();
    let done = worker(&place, &address, &["--secret-file=other"]).end();
    assert!(done.code == Some(5) && done.stderr.contains("the shared secret may differ"), "{}", done.stderr);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let ask = ["cluster", "status", "--supervisor", &address, "--secret-file=other"];
    assert!(place.fails(5, &ask).contains("secret"));
    // Another build of the same program.
    std::fs::copy(env!("CARGO_BIN_EXE_slackwater"), place.path("program")).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(place.path("program")).unwrap();
    std::io::Write::write_all(&mut file, b"another").unwrap();
    drop(file);
    let mut other = Command::new(place.path("program"));
    other.args(["worker", "--supervisor", &address, "--secret-file", "secret"]).current_dir(place.path("."));
    let done = Running::start(other).end();
    assert_eq!(done.code, Some(5), "{}", done.stderr);
    let builds = done.stderr.split("build: ").nth(1).unwrap_or_default();
    assert!(builds.contains(" here, ") && builds.contains(" there"), "{}", done.stderr);
    // A run that waits for workers can be interrupted.
    signal(&run.child, Signal::SIGINT);
    let done = run.end();
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    let refused = done.stderr.matches("a process may not come in").count();
    assert!(refused >= 3 && done.stderr.contains("build: "), "{}", done.stderr);
}

#[test]
fn a_reader_that_is_slow_or_gone_harms_nobody() {
    let place = Place::new();
    place.write("rows.svm", rows().repeat(2)).ok(&["train", "svm", "--data=rows.svm", "--model=m"]);
    let predict = ["predict", "--model=m", "--data=rows.svm", "--raw"];
    let expected = place.ok(&predict);
    assert!(expected.len() > 1 << 20, "more than pipes and windows hold");
    place.ok(&["cluster", "secret", "secret"]);
    for reads in [true, false] {
        let address = port();
        let run = ["cluster", "run", "-n2", "--external", "--listen", &address, "--secret-file=secret", "--"];
        let mut launcher = command(&place, &[&run[..], &predict].concat());
        let mut launcher = launcher.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let slots = ["--secret-file=secret", "--slots=2", "--workers=1"];
        let one = worker(&place, &address, &slots);
        let mut stdout = launcher.stdout.take().unwrap();
        let mut first = [0; 100];
        stdout.read_exact(&mut first).unwrap();
        assert!(expected.as_bytes().starts_with(&first));
        if reads {
            // Longer than a connection may be silent.
            std::thread::sleep(Duration::from_secs(5));
            let mut rest = vec![];
            stdout.read_to_end(&mut rest).unwrap();
            assert!([&first[..], &rest].concat() == expected.as_bytes());
        }
        drop(stdout);
        until("it ends", || launcher.try_wait().unwrap().is_some());
        let done = crate::common::ran(launcher.wait_with_output().unwrap());
        assert_eq!((done.code, one.end().code, done.stderr.as_str()), (Some(0), Some(0), ""));
    }
}

/// A program of its own does not look after its launcher: the kernel does.
#[test]
fn another_program_ends_with_who_started_it() {
    let (place, bytes) = alone(&LONG);
    let program = env!("CARGO_BIN_EXE_slackwater");
    let run = ["cluster", "run", "-n", "2", "--program", program, "--"];
    place.ok(&[&run[..], &LONG[..4], &["--iterations=20", "--data=rows.svm", "--model=other"]].concat());
    let said = place.fails(3, &["cluster", "run", "-n", "1", "--program", "./none", "--", "x"]);
    assert!(said.contains("cannot start ./none"), "{said}");
    let launcher = Running::start(command(&place, &[&run[..], &LONG[..], &["--model=many"]].concat()));
    until("they are there", || children(launcher.pid()).len() == 2);
    let members = children(launcher.pid());
    signal(&launcher.child, Signal::SIGKILL);
    assert_eq!(launcher.end().code, None);
    until("they end", || members.iter().all(|m| !runs(*m)));
    // The same from a worker, whose path the program's is.
    let address = port();
    place.ok(&["cluster", "secret", "secret"]);
    let run = ["cluster", "run", "-n", "1", "--external", "--listen", &address, "--secret-file=secret"];
    let words =
        [&run[..], &["--program", program, "--"], &LONG[..], &["--model=many", "--overwrite"]].concat();
    let run = Running::start(command(&place, &words));
    let one = worker(&place, &address, &["--secret-file=secret"]);
    let done = run.end();
    assert_eq!((done.code, one.end().code), (Some(0), Some(0)), "{}", done.stderr);
    assert!(files(&place.path("many")) == bytes);
}

/// Whoever has started it may be gone before it has come to its first line.
#[test]
fn another_program_is_not_begun_for_nobody() {
    let place = Place::new();
    let (theirs, ours) = std::io::pipe().unwrap();
    drop(ours);
    let mut command = command(&place, &["60"]);
    command.env("SLACKWATER_EXECUTE", "sleep").stdin(theirs);
    let start = Instant::now();
    assert_eq!(Running::start(command).end().code, Some(5));
    assert!(start.elapsed() < Duration::from_secs(30), "it slept");
}

#[test]
fn waiting_for_a_place_has_an_end() {
    let place = Place::new();
    place.ok(&["cluster", "secret", "secret"]);
    let run = ["cluster", "run", "-n2", "--external", "--listen=127.0.0.1:0", "--secret-file=secret"];
    let said = place.fails(5, &[&run[..], &["--wait=0.2", "--", "train", "svm"]].concat());
    assert!(said.contains("there was no place for process 0 within 200ms"), "{said}");
    // A host that cannot be reached, with what its shell says.
    place.write("hosts", "nowhere\n").write("rsh", "echo it is off >&2\nexit 255\n");
    let run =
        ["cluster", "run", "-n1", "--hosts=hosts", "--rsh=sh ./rsh", "--listen=127.0.0.1:0", "--wait=1"];
    let said = place.fails(5, &[&run[..], &["--", "train", "svm"]].concat());
    assert!(said.contains("[nowhere] it is off") && said.contains("host nowhere: "), "{said}");
}

#[test]
fn files_of_hosts_that_are_wrong() {
    let place = Place::new();
    let run = ["cluster", "run", "-n", "3", "--hosts", "hosts", "--", "train", "svm"];
    for (text, said) in [
        ("a\nb slots=many\n", "hosts:2:3: `many` is no number of slots"),
        ("a\n  --option\n", "hosts:2:3: `--option` is no name of a host"),
        ("a address=here\n", "hosts:1:3: `here` is no IP address"),
        ("# nobody\n", "hosts:1:1: there is no host"),
        ("a slots=2\n", "the hosts have 2 slots for 3 processes"),
    ] {
        place.write("hosts", text);
        let ran = place.fails(3, &[&run[..2], &["--listen=127.0.0.1:0"], &run[2..]].concat());
        assert!(ran.contains(said) && ran.contains("hint: "), "{ran}");
    }
    std::fs::remove_file(place.path("hosts")).unwrap();
    assert!(place.fails(3, &run).contains("cannot read hosts"));
    let listen = ["cluster", "run", "-n1", "--listen=127.0.0.1:0", "--", "train", "svm"];
    assert!(place.fails(2, &listen).contains("--hosts"));
    let external = ["cluster", "run", "-n1", "--external", "--", "train", "svm"];
    assert!(place.fails(2, &external).contains("--secret-file"));
}

#[test]
fn secrets_are_files_that_nobody_else_reads() {
    let place = Place::new();
    place.ok(&["cluster", "secret", "secret"]);
    let mode = std::fs::metadata(place.path("secret")).unwrap().permissions().mode();
    assert_eq!((mode & 0o777, place.read("secret").trim().len()), (0o600, 64));
    assert!(place.fails(4, &["cluster", "secret", "secret"]).contains("cannot create secret"));
    std::fs::set_permissions(place.path("secret"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let worker = ["worker", "--supervisor=127.0.0.1:1", "--secret-file=secret"];
    assert!(place.fails(3, &worker).contains("chmod 600 secret"));
    assert!(place.fails(2, &worker[..2]).contains("--secret-file FILE"));
}

#[test]
fn no_run_is_a_negative_answer() {
    let place = Place::new();
    let none = Running::start(command(&place, &["cluster", "status", "--json"])).end();
    assert_eq!(none.code, Some(1), "{}", none.stderr);
    assert_eq!(serde_json::from_str::<Value>(&none.stdout).unwrap()["runs"], Value::Array(vec![]));
}
