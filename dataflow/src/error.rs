//! Errors of the whole workspace: what failed, where, and what to do about it.
//!
//! Three kinds of failure have three mechanisms. Bad *data* is a value ([`BadRecord`]) that travels on the error
//! stream until a policy decides; a bad *environment* is an [`Error`] whose kind says whether trying again can help;
//! a bad *program* panics, and inside a task that panic becomes [`ErrorKind::Task`] after the last attempt.
//!
//! An [`Error`] is one pointer wide. It never becomes a string below the driver: [`Error::exit_code`] is what a
//! command line program should return for it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, behind one pointer so that `Result` stays small.
#[derive(Debug, Clone)]
pub struct Error(Box<ErrorKind>);

/// The kinds of failure.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Input that cannot be used, with its position.
    Data(BadRecord),
    /// Input that cannot be used as a whole (an empty file, a schema that does not fit).
    Input {
        /// What is wrong.
        message: String,
        /// What to do about it; may be empty.
        hint: String,
    },
    /// A file or folder that cannot be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done ("open", "read", "write").
        action: String,
        /// The operating system's words.
        cause: String,
        /// True if the file does not exist or is of the wrong kind, so that the caller named the wrong thing.
        input: bool,
    },
    /// A task failed as often as it may. The context stays usable.
    Task {
        /// Number of the job.
        job: u64,
        /// The operation whose partition failed.
        operation: String,
        /// The partition.
        partition: usize,
        /// How often it was tried.
        attempts: u32,
        /// The last attempt's panic message or error.
        cause: String,
    },
    /// A configuration value that cannot be used.
    Config {
        /// Name of the setting.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A call that the program should not have made (for example: reading a destroyed broadcast value).
    Usage(String),
    /// The processes do not agree on the job: nothing was built.
    PlanMismatch {
        /// Number of the job.
        job: u64,
        /// One line a process: what it wanted to run.
        plans: Vec<String>,
    },
    /// The job was cancelled (Ctrl-C, [`crate::Context::cancel`]).
    Cancelled,
    /// The job took longer than `job_timeout`.
    Timeout {
        /// Number of the job.
        job: u64,
        /// The limit.
        limit: std::time::Duration,
    },
    /// A partition was computed again after a loss, and is not what it was.
    NotDeterministic {
        /// The operation that computes it.
        operation: String,
        /// Where the program calls it.
        place: String,
        /// The partition.
        partition: usize,
    },
    /// A block that nothing can recompute is gone (a local checkpoint whose block was lost).
    Lost(String),
    /// Results larger than `max_result_bytes`.
    ResultTooLarge {
        /// Size of the result, in bytes.
        bytes: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A peer process is gone, or did not come up in time.
    Cluster(String),
    /// A simulation has found what must not be; see [`simulation`](crate::simulation).
    Simulation {
        /// The seed that shows it again.
        seed: u64,
        /// How many steps it took.
        step: u64,
        /// What it is.
        message: String,
    },
    /// A numerical routine cannot go on (not positive definite, NaN in the objective).
    Numerical(String),
}

impl Error {
    /// Wraps a kind.
    pub fn new(kind: ErrorKind) -> Self {
        Error(Box::new(kind))
    }
    /// The kind of failure.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }
    /// An operating system error on `path` while doing `action`.
    pub fn io(path: impl AsRef<Path>, action: &str, e: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let input =
            matches!(e.kind(), K::NotFound | K::PermissionDenied | K::IsADirectory | K::NotADirectory);
        Error::new(ErrorKind::Io {
            path: path.as_ref().to_path_buf(),
            action: action.to_string(),
            cause: e.to_string(),
            input,
        })
    }
    /// Unusable input as a whole.
    pub fn input(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::new(ErrorKind::Input { message: message.into(), hint: hint.into() })
    }
    /// A configuration value that cannot be used.
    pub fn config(name: impl Into<String>, message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Config { name: name.into(), message: message.into() })
    }
    /// A call that the program should not have made.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Usage(message.into()))
    }
    /// True if the same call may succeed later without a change by the caller.
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::Io { input, .. } => !input,
            ErrorKind::Cluster(_) | ErrorKind::Lost(_) => true,
            _ => false,
        }
    }
    /// The exit code of a command line program: 2 usage, 3 data, 4 environment, 5 cluster lost, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self.kind() {
            ErrorKind::Config { .. } | ErrorKind::Usage(_) => 2,
            ErrorKind::Data(_) | ErrorKind::Input { .. } | ErrorKind::Io { input: true, .. } => 3,
            ErrorKind::Cluster(_) => 5,
            ErrorKind::Cancelled => 130,
            _ => 4,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error::new(kind)
    }
}

impl From<BadRecord> for Error {
    fn from(bad: BadRecord) -> Self {
        Error::new(ErrorKind::Data(bad))
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            ErrorKind::Data(bad) => bad.fmt(f),
            ErrorKind::Input { message, hint } => {
                f.write_str(message)?;
                if hint.is_empty() { Ok(()) } else { write!(f, "\n  hint: {hint}") }
            }
            ErrorKind::Io { path, action, cause, .. } => {
                write!(f, "cannot {action} {}: {cause}", path.display())
            }
            ErrorKind::Task { job, operation, partition, attempts, cause } => write!(
                f,
                "job {job}: partition {partition} of {operation} failed {attempts} times; the last cause was: {cause}"
            ),
            ErrorKind::Config { name, message } => write!(f, "setting `{name}`: {message}"),
            ErrorKind::Usage(message) => f.write_str(message),
            ErrorKind::PlanMismatch { job, plans } => {
                write!(f, "job {job}: the processes do not run the same program, so nothing was started")?;
                plans.iter().try_for_each(|p| write!(f, "\n  {p}"))
            }
            ErrorKind::NotDeterministic { operation, place, partition } => write!(
                f,
                "partition {partition} of {operation} at {place} was computed again and is not what it was\n  hint: what \
                 its function gives may depend on its input alone: not on the time, nor on random numbers without a seed \
                 (see `rng`), nor on the order of a hash map"
            ),
            ErrorKind::Simulation { seed, step, message } => write!(
                f,
                "simulation of seed {seed}, step {step}: {message}\n  hint: the same seed, program and settings show it again"
            ),
            ErrorKind::Cancelled => f.write_str("cancelled"),
            ErrorKind::Timeout { job, limit } => {
                write!(f, "job {job} took longer than {} s", limit.as_secs_f64())
            }
            ErrorKind::Lost(what) => f.write_str(what),
            ErrorKind::ResultTooLarge { bytes, limit } => write!(
                f,
                "the result has {bytes} bytes, more than max_result_bytes = {limit}\n  hint: write it to files, or raise the limit"
            ),
            ErrorKind::Cluster(what) | ErrorKind::Numerical(what) => f.write_str(what),
        }
    }
}

/// What to do with a record that cannot be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnBad {
    /// The job fails and names the first bad record of the lowest partition.
    #[default]
    Fail,
    /// Bad records are left out and counted.
    Skip,
    /// Bad records are left out, counted, and written to `DIR/part-NNNNN.jsonl` with their positions.
    Quarantine(PathBuf),
}

/// A record that cannot be used: where it is, what its bytes are, what is wrong, what to do.
///
/// ```
/// use slackwater_dataflow::BadRecord;
/// let bad = BadRecord::at("a.svm", 3, 7, "index 0: indices start at 1").bytes(b"0:1.5").hint("subtract the base");
/// assert_eq!(bad.to_string(), "a.svm:3:7: index 0: indices start at 1\n  | 0:1.5\n  hint: subtract the base");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRecord {
    /// File name, or the name of the operation that refused the record.
    pub source: String,
    /// 1-based; 0 if lines mean nothing here.
    pub line: u64,
    /// 1-based column in bytes; 0 if unknown.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// The offending bytes, at most [`BadRecord::BYTES_MAX`] of them, not printable ones escaped.
    pub bytes: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl BadRecord {
    /// How many offending bytes are kept.
    pub const BYTES_MAX: usize = 80;

    /// A bad record at a position in a file.
    pub fn at(source: impl Into<String>, line: u64, column: u64, message: impl Into<String>) -> Self {
        BadRecord { source: source.into(), line, column, message: message.into(), ..Default::default() }
    }
    /// A bad record without a position: `message` only.
    pub fn new(message: impl Into<String>) -> Self {
        BadRecord { message: message.into(), ..Default::default() }
    }
    /// Adds the offending bytes.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let cut = &bytes[..bytes.len().min(Self::BYTES_MAX)];
        self.bytes = cut.escape_ascii().to_string();
        if bytes.len() > Self::BYTES_MAX {
            self.bytes.push('…');
        }
        self
    }
    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.source.is_empty() {
            f.write_str(&self.source)?;
            if self.line > 0 {
                write!(f, ":{}", self.line)?;
                if self.column > 0 {
                    write!(f, ":{}", self.column)?;
                }
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)?;
        if !self.bytes.is_empty() {
            write!(f, "\n  | {}", self.bytes)?;
        }
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}
