//! Strangers at the ports of a cluster, processes that do not fit, and a member that turns bad.

use slackwater_dataflow::cluster::{Happening, Membership, Secret};
use slackwater_dataflow::fault::FRAMES;
use slackwater_dataflow::{Config, Context};
use slackwater_tests::cluster::ports::{listening, resident_bytes};
use slackwater_tests::cluster::{self, Cluster, Setup};
use slackwater_tests::program::{program, undisturbed, watch};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROWS: u64 = 2000;
/// Silent connections that are held open at every port.
const SILENT: usize = 20;

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    let (task, pace) = task.split_once(' ').unwrap_or((&task, "0"));
    if let Ok(delay) = std::env::var("SLACKWATER_TEST_DELAY") {
        std::thread::sleep(Duration::from_millis(delay.parse().unwrap()));
    }
    let cx = match Context::from_env() {
        Ok(cx) => cx,
        Err(e) => return cluster::note(&format!("no context: {e}")),
    };
    let _watched = watch(&cx);
    let pace = Duration::from_millis(pace.parse().unwrap());
    let answer = match task {
        "program" => program(&cx, &cluster::shared_dir(), ROWS, pace),
        other => panic!("unknown task {other}"),
    };
    cluster::answer(&answer.unwrap_or_else(|e| format!("error: {e}")));
}

fn connect(port: u16) -> Option<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_write_timeout(Some(Duration::from_secs(1))).ok()?;
    Some(socket)
}

/// Everything that a stranger may try at a port; what it holds open it gives back.
fn attack(port: u16, recorded: &[u8]) -> Vec<TcpStream> {
    let noise: Vec<u8> = (0..1 << 16).map(|i: u64| slackwater_dataflow::hash::hash_u64(i) as u8).collect();
    // As timely says who it is.
    let index = 1u64.to_be_bytes();
    let mut forged = recorded[..recorded.len().min(8)].to_vec();
    forged.extend_from_slice(&noise[..200]);
    let inputs: [&[u8]; 9] = [
        &noise[..8],
        &noise,
        &[0; 8],
        &[0; 4096],
        &[0xff; 4096],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &index,
        &forged,
        recorded,
    ];
    for input in inputs {
        // What the other side does not want to read cannot be written.
        let _ = connect(port).map(|mut socket| socket.write_all(input));
    }
    // One byte, and then nothing; the beginning of a handshake, and then nothing; nothing.
    let mut held = vec![];
    for beginning in [&noise[..1], &recorded[..recorded.len() / 2]] {
        held.extend(connect(port).map(|mut socket| {
            let _ = socket.write_all(beginning);
            socket
        }));
    }
    held.extend((0..SILENT).filter_map(|_| connect(port)));
    (0..20).for_each(|_| drop(connect(port)));
    held
}

/// Passes a connection on to an address that it is told, and keeps what the side that connects says.
fn recording_proxy() -> (String, Sender<String>, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, recorded) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<Vec<u8>>>::default());
    let into = recorded.clone();
    let (told, to) = channel::<String>();
    // Both threads end with the connection.
    std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut far = TcpStream::connect(to.recv().unwrap()).unwrap();
        let (mut back_from, mut back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(std::net::Shutdown::Both);
        });
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = near.read(&mut buffer) {
            into.lock().unwrap().extend_from_slice(&buffer[..n]);
            if far.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = far.shutdown(std::net::Shutdown::Both);
    });
    (address, told, recorded)
}

/// What a member says to a supervisor when it joins, recorded in a run of its own.
fn recording() -> Vec<u8> {
    let supervisor = slackwater_dataflow::cluster::Supervisor::start(1).unwrap();
    let member = supervisor.membership(0);
    let (address, told, recorded) = recording_proxy();
    told.send(member.rendezvous.clone()).unwrap();
    let membership = Some(Membership { rendezvous: address, ..member });
    drop(Context::new(Config { membership, ..Config::local(1) }).unwrap());
    let recorded = recorded.lock().unwrap().clone();
    assert!(recorded.len() > 100, "{} bytes", recorded.len());
    recorded
}

fn supervisor_port(c: &Cluster) -> u16 {
    c.supervisor().membership(0).rendezvous.rsplit(':').next().unwrap().parse().unwrap()
}

fn unharmed(c: &mut Cluster, want: &str) {
    for answer in c.finish() {
        assert_eq!(answer, want, "{}", c.logs());
    }
    assert_eq!(c.replaced(), 0, "{}", c.logs());
    assert!(!c.happenings().iter().any(|(_, h)| matches!(h, Happening::Lost { .. })), "{}", c.logs());
    assert!(!c.logs().contains("panicked"), "{}", c.logs());
}

/// R11: no input of a stranger has any effect on a cluster that is forming or running.
#[test]
fn strangers_change_nothing() {
    let want = undisturbed(ROWS);
    let mut quiet = Setup::new("program 30", 3, 1).variable_of(2, "SLACKWATER_TEST_DELAY", "600").start();
    unharmed(&mut quiet, &want);
    let undisturbed_time = quiet.age();
    let foreign = recording();
    let mut c = Setup::new("program 30", 3, 1).variable_of(2, "SLACKWATER_TEST_DELAY", "600").start();
    // Process 2 is not there yet: the cluster forms.
    let supervisor = supervisor_port(&c);
    let mut held = attack(supervisor, &foreign);
    let members: Vec<u32> = c.pids()[..2].to_vec();
    c.await_that("two members that listen", |_| members.iter().all(|pid| !listening(*pid).is_empty()));
    for port in members.iter().flat_map(|pid| listening(*pid)) {
        held.extend(attack(port, &foreign));
    }
    let is_refusal = |h: &Happening| matches!(h, Happening::Refused { .. });
    assert!(c.happenings().iter().all(|(_, h)| is_refusal(h)), "it still forms\n{}", c.logs());
    c.await_note(0, "step 2");
    let ports: Vec<u16> = c.pids().iter().flat_map(|pid| listening(*pid)).collect();
    assert_eq!(ports.len(), 3, "each member listens on one port");
    for port in ports.into_iter().chain([supervisor]) {
        held.extend(attack(port, &foreign));
    }
    unharmed(&mut c, &want);
    println!("{:?} undisturbed, {:?} with {} connections held open", undisturbed_time, c.age(), held.len());
    assert!(c.age() < undisturbed_time + Duration::from_secs(2));
}

/// A recording of what a member of this very run has said opens nothing.
#[test]
fn a_recording_opens_nothing() {
    let want = undisturbed(ROWS);
    let (address, told, recorded) = recording_proxy();
    let mut c = Setup::new("program 30", 3, 1).variable_of(2, "SLACKWATER_RENDEZVOUS", &address).start();
    told.send(c.supervisor().membership(2).rendezvous).unwrap();
    c.await_note(0, "step 1");
    let recorded = recorded.lock().unwrap().clone();
    assert!(recorded.len() > 100, "{} bytes", recorded.len());
    let ports: Vec<u16> = c.pids().iter().flat_map(|pid| listening(*pid)).collect();
    for port in ports.into_iter().chain([supervisor_port(&c)]) {
        for _ in 0..3 {
            let _ = connect(port).map(|mut socket| socket.write_all(&recorded));
        }
    }
    unharmed(&mut c, &want);
}

/// R12: a process that does not fit is told why, with both values, at once; the others do not notice.
#[test]
fn who_does_not_fit_is_told_why() {
    let want = undisturbed(ROWS);
    let mut c = Cluster::start("program 40", 3, 1);
    c.await_note(0, "step 1");
    let right = c.supervisor().membership(1);
    let local = Config { membership: Some(right.clone()), ..Config::local(1) };
    let partitions = local.default_partitions;
    let other_run = Membership { run: "another".to_string(), ..right.clone() };
    let other_count = Membership { processes: 4, ..right.clone() };
    let no_secret = Membership { secret: Secret::random().unwrap(), ..right.clone() };
    let skews = [
        (Config { workers: 2, ..local.clone() }, vec!["workers: 2 here, 1 there".to_string()]),
        (Config { seed: 99, ..local.clone() }, vec!["seed: 99 here".to_string()]),
        (
            Config { default_partitions: partitions + 1, ..local.clone() },
            vec![format!("partitions: {} here, {partitions} there", partitions + 1)],
        ),
        (
            Config { membership: Some(other_run), ..local.clone() },
            vec!["run: another here".to_string(), right.run.clone()],
        ),
        (Config { membership: Some(other_count), ..local.clone() }, vec!["4 here, 3 there".to_string()]),
        (Config { membership: Some(no_secret), ..local.clone() }, vec!["secret".to_string()]),
    ];
    for (config, says) in skews {
        let start = Instant::now();
        let error = Context::new(config).err().expect("it does not fit").to_string();
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}: {error}", start.elapsed());
        assert!(says.iter().all(|s| error.contains(s)), "{says:?}: {error}");
        c.turn();
    }
    another_build(&mut c);
    unharmed(&mut c, &want);
}

/// The same program with one byte more is another.
fn another_build(c: &mut Cluster) {
    let path = c.dir().join("another-build");
    let mut program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    program.push(0);
    std::fs::write(&path, program).unwrap();
    std::os::unix::fs::PermissionsExt::set_mode(&mut path.metadata().unwrap().permissions(), 0o700);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let start = Instant::now();
    let out = std::process::Command::new(&path)
        .args(["--exact", "child", "--nocapture"])
        .envs(c.supervisor().membership(1).variables())
        .env("SLACKWATER_WORKERS", "1")
        .env(cluster::TASK, "program")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}: {said}", start.elapsed());
    assert!(said.contains("build: ") && said.contains(" here, ") && said.contains(" there"), "{said}");
}

/// A member that sends what it may not ends the generation, with the reason, and nothing else.
#[test]
fn frames_that_no_honest_process_sends() {
    let want = undisturbed(ROWS);
    for (number, (name, _, _)) in FRAMES.iter().enumerate() {
        // At the beginning, and in the middle of a job.
        for write in [1, 20] {
            let fault = format!("frame:{number}=2,1,*,process 0,{write}");
            let mut c = Setup::new("program", 3, 1).fault(&fault).start();
            let mut most = 0;
            let mut answers = None;
            while answers.is_none() {
                c.run_for(Duration::from_millis(10));
                most = most.max(resident_bytes(c.pids()[0]));
                answers = (!c.pids().iter().any(|pid| resident_bytes(*pid) > 0)).then(|| c.finish());
                assert!(c.age() < Duration::from_secs(30), "{name}: {}", c.logs());
            }
            assert!(answers.unwrap().iter().all(|a| *a == want), "{name}: {}", c.logs());
            // What has the form of a message and no meaning may end the generation or be of no consequence.
            let ended = !c.formings().is_empty() || name.starts_with("contents");
            assert!(ended, "{name}, {write}: the frame was taken\n{}", c.logs());
            assert!(c.logs().contains("fault: Frame"), "{name}, {write}: not reached\n{}", c.logs());
            assert!(most < 256 << 20, "{name}: {most} bytes");
        }
    }
}
