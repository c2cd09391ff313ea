//! Every target for half a second, or for as many executions as `SLACKWATER_FUZZ` says in all.
//!
//! | variable | means |
//! |---|---|
//! | `SLACKWATER_FUZZ=10000000` | so many executions over all targets, by their shares |
//! | `SLACKWATER_FUZZ_SEED=7` | the random numbers of a run before |
//! | `SLACKWATER_FUZZ_TRACE=1` | each input is written to `target/fuzz` before it is read |
//! | `SLACKWATER_FUZZ_INPUT=file` | this input alone, which a finding names |
//!
//! Arguments choose targets by a part of their names. A usual run begins with the same random numbers each time, and gets as
//! far as its time reaches: what it finds was there before. New inputs are for the runs that count executions, whose seed
//! is the clock's.

use slackwater_fuzz::engine::{Now, Report, SLOW, Until, execute, fuzz};
use slackwater_fuzz::{Target, targets};
use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::process::exit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

/// How long a target runs in a usual test run.
const TIME: Duration = Duration::from_millis(500);
/// Threads of a usual size, so that a stack that is too deep here is too deep elsewhere.
const STACK_BYTES: usize = 2 << 20;
/// The seed of a usual run.
const SEED: u64 = 1;

static PANICS: AtomicU64 = AtomicU64::new(0);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name} is a whole number, not `{text}`")))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let chosen = |t: &Target| names.is_empty() || names.iter().any(|n| t.name.contains(n.as_str()));
    let targets: Vec<Target> = targets::all().into_iter().filter(chosen).collect();
    if arguments.iter().any(|a| a == "--list") {
        targets.iter().for_each(|t| println!("{}: test", t.name));
        return;
    }
    let loud =
        std::env::var_os("RUST_BACKTRACE").is_some() && std::env::var_os("SLACKWATER_FUZZ_INPUT").is_some();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |about| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        // Targets catch what libraries panic on; what comes through is in the report.
        if loud || std::thread::current().name().is_none_or(|n| !n.starts_with("fuzz ")) {
            usual(about);
        }
    }));
    if let Some(file) = std::env::var_os("SLACKWATER_FUZZ_INPUT") {
        again(&targets, Path::new(&file));
        return;
    }
    let total = number("SLACKWATER_FUZZ");
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
    let seed = match number("SLACKWATER_FUZZ_SEED") {
        Some(seed) => seed,
        None if total.is_some() => clock,
        None => SEED,
    };
    println!("fuzzing {} targets with seed {seed}", targets.len());
    let shares: u64 = targets.iter().map(|t| u64::from(t.share)).sum();
    let mut work = VecDeque::new();
    for target in &targets {
        let until = match total {
            Some(n) => Until::Executions(n * u64::from(target.share) / shares),
            None => Until::Time(TIME),
        };
        work.push_back((target, seed, until));
    }
    let reports = run(work);
    let failed = reports.iter().any(|r| !r.findings.is_empty());
    let sum: u64 = reports.iter().map(|r| r.executions).sum();
    println!(
        "{sum} executions; {} panics of libraries became errors or findings",
        PANICS.load(Ordering::Relaxed)
    );
    if failed {
        println!(
            "\nfindings (again: SLACKWATER_FUZZ_INPUT=FILE cargo test -p slackwater-fuzz --test fuzz -- TARGET):"
        );
        reports.iter().flat_map(|r| &r.findings).for_each(|f| println!("  {f}"));
        exit(1);
    }
}

/// All work on two threads, with an eye on each execution.
fn run(work: VecDeque<(&Target, u64, Until)>) -> Vec<Report> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(work.len().max(1));
    let work = Mutex::new(work);
    let nows: Vec<Now> = (0..threads).map(|_| Now::default()).collect();
    let (out, reports) = mpsc::channel();
    let mut all = vec![];
    println!(
        "{:16} {:>10} {:>9} {:>6} {:>9} {:>9}",
        "target", "executions", "1/s", "kept", "peak MiB", "slowest"
    );
    std::thread::scope(|scope| {
        for now in &nows {
            let (out, work) = (out.clone(), &work);
            let body = move || {
                loop {
                    let next = work.lock().expect("nobody panics with it").pop_front();
                    let Some((target, seed, until)) = next else { return };
                    let named = std::thread::Builder::new()
                        .name(format!("fuzz {}", target.name))
                        .stack_size(STACK_BYTES);
                    // A thread a target, so that a stack that overflows says which.
                    let report = std::thread::scope(|s| {
                        let thread =
                            named.spawn_scoped(s, || fuzz(target, seed, until, now)).expect("a thread");
                        thread.join().expect("panics are caught")
                    });
                    let _ = out.send(report);
                }
            };
            std::thread::Builder::new().spawn_scoped(scope, body).expect("a thread");
        }
        drop(out);
        loop {
            match reports.recv_timeout(Duration::from_secs(1)) {
                Ok(report) => {
                    print(&report);
                    all.push(report);
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if let Some(stuck) = nows.iter().find_map(|now| now.stuck(6 * SLOW)) {
                        println!("{stuck}");
                        exit(1);
                    }
                }
            }
        }
    });
    all
}

fn print(report: &Report) {
    let rate = report.executions as f64 / report.took.as_secs_f64().max(1e-9);
    println!(
        "{:16} {:>10} {rate:>9.0} {:>6} {:>9.1} {:>9.1?}{}",
        report.name,
        report.executions,
        report.kept,
        report.peak as f64 / f64::from(1 << 20),
        report.slowest,
        if report.findings.is_empty() {
            String::new()
        } else {
            format!("  {} FINDINGS", report.findings.len())
        }
    );
    let _ = std::io::stdout().flush();
}

/// One input again. Its name ends with the way in which it was read.
fn again(targets: &[Target], file: &Path) {
    let input = std::fs::read(file).expect("the input can be read");
    let name = file.file_stem().and_then(|n| n.to_str()).unwrap_or_default();
    let choice = name.rsplit('-').next().and_then(|c| u64::from_str_radix(c, 16).ok()).unwrap_or(0);
    for target in targets.iter().filter(|t| name.starts_with(&format!("{}-", t.name))) {
        let (result, peak) = execute(target, &input, choice);
        println!("{}: {result:?}, at most {peak} bytes at once", target.name);
        if result.is_err() {
            exit(1);
        }
    }
}
