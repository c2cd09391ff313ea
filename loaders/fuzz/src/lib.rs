//! Fuzzing of everything that reads bytes that somebody else wrote.
//!
//! # What it is
//! [`targets`] has one [`Target`] for each parser, codec and reader of models and checkpoints: good inputs that the project's
//! own writers make, words of the format, and a function that reads bytes as far as they can be read. [`engine`] changes
//! inputs ([`mutate`]), keeps those on which a target says something new, and watches.
//!
//! # Guarantees
//! An execution fails if it panics, if it takes more memory than [`engine::memory_max`] at once, or longer than
//! [`engine::SLOW`]. Targets look at what they have read as well: whether pieces have as many rows as the whole, for one.
//! A seed and a number of executions give the same inputs again.
//!
//! # Cost
//! Ten thousands of executions a second of a parser of text, some thousands of others.
//!
//! # How it fails
//! A finding is written to `target/fuzz/`, and the test says where and how to run it again. Where the process itself dies
//! (the stack is full, memory is refused), nothing can be written any more: `SLACKWATER_FUZZ_TRACE=1` with the same seed and
//! target writes each input before it is read.

pub mod engine;
pub mod memory;
pub mod mutate;
pub mod targets;

/// What an execution came to, so that inputs that lead to something new can be told.
#[derive(Debug, Default)]
pub struct Seen {
    /// Rows, or whatever there is several of.
    pub rows: u64,
    /// Bad records.
    pub bad: u64,
    /// Kinds of what was wrong with them.
    pub kinds: Vec<u64>,
}

impl Seen {
    /// Notes what was wrong.
    pub fn note(&mut self, message: &str) {
        let kind = kind(message);
        if self.kinds.len() < KINDS_MAX && !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
    }
    /// Notes the error, if there is one.
    pub fn note_error<T, E: std::fmt::Display>(&mut self, result: &Result<T, E>) {
        if let Err(e) = result {
            self.note(&e.to_string());
        }
    }
    /// A number that is another for what is of another kind.
    pub fn signature(&mut self) -> u64 {
        self.kinds.sort_unstable();
        let counts = [self.rows, self.bad].map(|n| u64::from(n.min(64).checked_ilog2().map_or(0, |l| l + 1)));
        self.kinds.iter().chain(&counts).fold(0xcbf2_9ce4_8422_2325, |h, n| mixed(h ^ n))
    }
}

/// More than these do not make an execution more interesting.
const KINDS_MAX: usize = 6;
/// How much of a message tells its kind.
const KIND_BYTES: usize = 90;

/// A hash of a message without what it quotes: numbers, and what is in backticks or quotes.
fn kind(message: &str) -> u64 {
    let (mut hash, mut quoted) = (0u64, false);
    for b in message.bytes().take(KIND_BYTES) {
        match b {
            b'`' | b'"' | b'\'' => quoted = !quoted,
            b'0'..=b'9' => {}
            b'\n' => break,
            _ if quoted => {}
            _ => hash = (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3),
        }
    }
    mixed(hash)
}

fn mixed(x: u64) -> u64 {
    let x = (x ^ (x >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^ (x >> 29)
}

/// Something that reads bytes.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Inputs to begin with.
    pub corpus: Vec<Vec<u8>>,
    /// Words that matter to it.
    pub words: &'static [&'static [u8]],
    /// Reads an input, in one of several ways.
    pub run: fn(&[u8], u64) -> Seen,
    /// How many executions it gets, where text parsers get 100: others are slower.
    pub share: u32,
    /// Whether an input is sometimes repeated until it is so long that it is read in pieces.
    pub repeats: bool,
    /// How many bytes of memory it may take with any input.
    pub memory: usize,
}
