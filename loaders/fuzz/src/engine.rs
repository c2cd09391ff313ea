//! Runs a target on changed inputs, and watches it.

use crate::memory::measured;
use crate::mutate::{Random, mutate};
use crate::{Seen, Target};
use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long an execution may take.
pub const SLOW: Duration = Duration::from_secs(10);
/// How much memory an execution of most targets may take.
pub const MEMORY_BYTES: usize = 64 << 20;
/// And how much more for each byte of input: packed data may expand by 500.
pub const MEMORY_RATIO: usize = 600;
/// Most inputs that are kept.
const KEPT_MAX: usize = 2000;
/// How long an input becomes when it is repeated: several pieces.
const REPEATED_BYTES: usize = 200 << 10;
/// How often it is.
const REPEATED_ONE_IN: usize = 4000;

/// How much memory an execution may take at once, in bytes, with `input` bytes of input.
pub fn memory_max(target: &Target, input: usize) -> usize {
    target.memory + MEMORY_RATIO * input
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many executions.
    Executions(u64),
    /// After this time.
    Time(Duration),
}

/// What came of a target.
#[derive(Debug)]
pub struct Report {
    /// Its name.
    pub name: &'static str,
    /// How often it was executed.
    pub executions: u64,
    /// How long it took.
    pub took: Duration,
    /// Inputs that led to something new.
    pub kept: usize,
    /// Most memory that an execution took, in bytes.
    pub peak: usize,
    /// The slowest execution.
    pub slowest: Duration,
    /// What went wrong, by kind.
    pub findings: Vec<String>,
}

/// What a thread does now, for who watches.
#[derive(Default)]
pub struct Now(Mutex<Option<(Instant, &'static str, Vec<u8>, u64)>>);

impl Now {
    fn begin(&self, name: &'static str, input: &[u8], choice: u64) {
        let mut now = self.0.lock().expect("nobody panics with it");
        let mut bytes = now.take().map_or(vec![], |n| n.2);
        bytes.clear();
        bytes.extend_from_slice(input);
        *now = Some((Instant::now(), name, bytes, choice));
    }
    /// If an execution has gone on for longer than `limit`: what it is, and where its input was written to.
    pub fn stuck(&self, limit: Duration) -> Option<String> {
        let now = self.0.lock().expect("nobody panics with it");
        let (since, name, bytes, choice) = now.as_ref()?;
        (since.elapsed() > limit).then(|| {
            let file = keep(name, "stuck", *choice, bytes);
            format!("{name}: an execution does not end; its input is {}", file.display())
        })
    }
    /// Nothing is done.
    pub fn end(&self) {
        *self.0.lock().expect("nobody panics with it") = None;
    }
}

/// Where findings are written to.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fuzz")
}

fn keep(name: &str, what: &str, choice: u64, input: &[u8]) -> PathBuf {
    let _ = fs::create_dir_all(folder());
    let hash = crc32fast::hash(input);
    let file = folder().join(format!("{name}-{what}-{hash:08x}-{choice:x}.input"));
    // If it cannot be written, the message still says what happened.
    let _ = fs::write(&file, input);
    file
}

/// Reads one input and watches: the finding, if there is one, with how much memory it took.
pub fn execute(target: &Target, input: &[u8], choice: u64) -> (Result<Seen, String>, usize) {
    let (result, taken) = measured(|| catch_unwind(AssertUnwindSafe(|| (target.run)(input, choice))));
    let most = memory_max(target, input.len());
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    let result = match result {
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(format!("panics: {text}"))
        }
        Ok(_) if taken > most => Err(format!("takes too much memory: {taken} bytes")),
        Ok(seen) => Ok(seen),
    };
    (result, taken)
}

/// Fuzzes a target.
pub fn fuzz(target: &Target, seed: u64, until: Until, now: &Now) -> Report {
    let trace = std::env::var_os("SLACKWATER_FUZZ_TRACE").is_some();
    let mut random = Random::new(seed);
    let mut kept = target.corpus.clone();
    let mut known = HashSet::new();
    let mut kinds = HashSet::new();
    let began = Instant::now();
    let mut report = Report {
        name: target.name,
        executions: 0,
        took: Duration::ZERO,
        kept: 0,
        peak: 0,
        slowest: Duration::ZERO,
        findings: vec![],
    };
    let (mut input, mut traced) = (vec![], PathBuf::new());
    loop {
        let done = match until {
            Until::Executions(n) => report.executions >= n.max(target.corpus.len() as u64),
            Until::Time(time) => report.executions >= target.corpus.len() as u64 && began.elapsed() >= time,
        };
        if done {
            break;
        }
        // First the corpus as it is.
        let index = report.executions as usize;
        let choice = if index < target.corpus.len() { 0 } else { random.any() >> 40 };
        input.clear();
        match target.corpus.get(index) {
            Some(good) => input.extend_from_slice(good),
            None => {
                // The newest more often than others: they lead on.
                let newest = random.one_in(3);
                let from = if newest { kept.len() - kept.len().min(32) } else { 0 };
                let first = from + random.below(kept.len() - from);
                let other = random.below(kept.len());
                input.extend_from_slice(&kept[first]);
                mutate(&mut input, &kept[other], target.words, &mut random);
                if target.repeats && !input.is_empty() && random.one_in(REPEATED_ONE_IN) {
                    input = input.repeat(REPEATED_BYTES.div_ceil(input.len()));
                }
            }
        }
        if trace {
            let _ = fs::remove_file(&traced);
            traced = keep(target.name, "last", choice, &input);
        }
        now.begin(target.name, &input, choice);
        let at = Instant::now();
        let (result, peak) = execute(target, &input, choice);
        let took = at.elapsed();
        report.executions += 1;
        report.peak = report.peak.max(peak);
        report.slowest = report.slowest.max(took);
        let result = match result {
            Ok(_) if took > SLOW => Err(format!("is slow: {took:?}")),
            result => result,
        };
        match result {
            Ok(mut seen) => {
                let fits = input.len() <= crate::mutate::INPUT_BYTES_MAX && kept.len() < KEPT_MAX;
                if known.insert(seen.signature()) && fits && index >= target.corpus.len() {
                    kept.push(input.clone());
                }
            }
            Err(what) => {
                if kinds.insert(crate::kind(&what)) {
                    let file = keep(target.name, "finding", choice, &input);
                    report.findings.push(format!("{}: {what}\n    input: {}", target.name, file.display()));
                }
            }
        }
    }
    now.end();
    report.took = began.elapsed();
    report.kept = kept.len() - target.corpus.len();
    report
}
