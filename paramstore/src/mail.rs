//! Mail between partitions: what a partition sends in one clock, another finds in the next.
//!
//! # What
//! [`Clock::send`](crate::Clock::send) hands in a letter; it leaves when its clock ends, in a block of its own, through the
//! exchange to the shards, to the worker of the partition that it is for. There it waits in a map of the process until that
//! partition's next clock begins, which [`Clock::mail`](crate::Clock::mail) reads.
//!
//! # Guarantees
//! Trainings with mail begin a clock when all clocks before it are applied, whatever the consistency of their tables; so all
//! letters of the clock before are there, and none of a later one is given out. They come in the order of their senders, and
//! of one sender as they were sent. Letters under way belong to the state of the partition that they are for: between runs,
//! in recovery points, and in snapshots.
//!
//! # Cost
//! Within a process a letter is moved and never written; to another process it is encoded once and copied once.

use slackwater_dataflow::Record;
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

/// What a letter says, its type erased.
pub(crate) type Body = Box<dyn Any + Send>;

/// Something that one partition sends to another.
pub(crate) struct Letter {
    pub from: u32,
    pub to: u32,
    pub body: Body,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

/// Letters in a block.
#[derive(Debug)]
pub(crate) enum Mail {
    /// Within a process.
    Live(Vec<Letter>),
    /// To another one.
    Written(Vec<u8>),
}

/// How letters of a training are written and read.
#[derive(Clone, Copy)]
pub(crate) struct MailKind {
    pub of: TypeId,
    encode: fn(&dyn Any) -> Vec<u8>,
    decode: fn(&[u8]) -> Result<Body, String>,
}

impl MailKind {
    pub fn new<M: Record>() -> Self {
        MailKind {
            of: TypeId::of::<M>(),
            encode: |body| {
                let body = body.downcast_ref::<M>().expect("letters of a training have one type");
                postcard::to_stdvec(body).expect("a letter can be written")
            },
            decode: |bytes| {
                let body: M = postcard::from_bytes(bytes).map_err(|e| e.to_string())?;
                Ok(Box::new(body))
            },
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn cut_short<T>(part: Option<T>) -> Result<T, String> {
    part.ok_or_else(|| "letters are cut short".to_string())
}

fn number(bytes: &mut &[u8]) -> Result<u32, String> {
    let part = cut_short(bytes.split_off(..4))?;
    Ok(u32::from_le_bytes(part.try_into().expect("four bytes")))
}

fn part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let length = cut_short(bytes.split_off(..8))?;
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes"));
    cut_short(usize::try_from(length).ok().and_then(|length| bytes.split_off(..length)))
}

/// The letters of a training that wait in this process.
pub(crate) struct Mailbox {
    pub kind: MailKind,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// By the clock of the training that they are for, and partition.
    letters: BTreeMap<(u64, usize), Vec<Letter>>,
    /// Letters that were given out before the snapshot of their clock was taken.
    written: BTreeMap<(u64, usize), Vec<u8>>,
    /// Snapshots that were taken before.
    taken: BTreeSet<(u64, usize)>,
}

impl Mailbox {
    pub fn new(kind: MailKind) -> Self {
        Mailbox { kind, waiting: Mutex::default() }
    }
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Puts letters that have arrived where the clock that they are for finds them.
    pub fn deliver(&self, clock: u64, mail: Mail) -> Result<(), String> {
        let letters = match mail {
            Mail::Live(letters) => letters,
            Mail::Written(bytes) => self.read(&bytes)?,
        };
        let mut waiting = self.lock();
        for letter in letters {
            waiting.letters.entry((clock, letter.to as usize)).or_default().push(letter);
        }
        Ok(())
    }
    /// The letters of a partition for a clock, in the order of their senders. If a snapshot is taken at its beginning, it gets
    /// them, too.
    pub fn open(&self, clock: u64, partition: usize, is_cut: bool) -> Vec<Letter> {
        let mut waiting = self.lock();
        let at = (clock, partition);
        let mut letters = waiting.letters.remove(&at).unwrap_or_default();
        letters.sort_by_key(|letter| letter.from);
        if !waiting.taken.remove(&at) && is_cut {
            let written = self.write_bodies(&letters);
            waiting.written.insert(at, written);
        }
        letters
    }
    /// What the snapshot at the beginning of a clock has of a partition: its state, and the letters that wait for it.
    pub fn cut(&self, clock: u64, partition: usize, state: &[u8]) -> Vec<u8> {
        let mut waiting = self.lock();
        let at = (clock, partition);
        let letters = match waiting.written.remove(&at) {
            Some(written) => written,
            None => {
                waiting.taken.insert(at);
                self.waiting_for(&waiting, at)
            }
        };
        with_letters(state, &letters)
    }
    /// As [`cut`](Self::cut), between two runs.
    pub fn keep(&self, clock: u64, partition: usize, state: &[u8]) -> Vec<u8> {
        with_letters(state, &self.waiting_for(&self.lock(), (clock, partition)))
    }
    fn waiting_for(&self, waiting: &Waiting, at: (u64, usize)) -> Vec<u8> {
        let mut letters: Vec<&Letter> = waiting.letters.get(&at).into_iter().flatten().collect();
        letters.sort_by_key(|letter| letter.from);
        self.write_bodies(letters)
    }
    /// Reads what [`keep`](Self::keep) has written: gives the state back, and puts the letters where the clock finds them.
    pub fn unpack<'a>(&self, clock: u64, partition: usize, mut bytes: &'a [u8]) -> Result<&'a [u8], String> {
        let state = part(&mut bytes)?;
        let mut letters = vec![];
        while !bytes.is_empty() {
            let from = number(&mut bytes)?;
            let body = (self.kind.decode)(part(&mut bytes)?)?;
            letters.push(Letter { from, to: partition as u32, body });
        }
        self.lock().letters.insert((clock, partition), letters);
        Ok(state)
    }
    /// Forgets everything: what waits is of another course of things.
    pub fn clear(&self) {
        *self.lock() = Waiting::default();
    }
    fn write_bodies<'a>(&self, letters: impl IntoIterator<Item = &'a Letter>) -> Vec<u8> {
        let mut out = vec![];
        for letter in letters {
            out.extend_from_slice(&letter.from.to_le_bytes());
            put(&mut out, &(self.kind.encode)(&*letter.body));
        }
        out
    }
    /// Letters as they travel to another process.
    pub fn write(&self, letters: &[Letter]) -> Vec<u8> {
        let mut out = vec![];
        for letter in letters {
            out.extend_from_slice(&letter.from.to_le_bytes());
            out.extend_from_slice(&letter.to.to_le_bytes());
            put(&mut out, &(self.kind.encode)(&*letter.body));
        }
        out
    }
    fn read(&self, mut bytes: &[u8]) -> Result<Vec<Letter>, String> {
        let mut letters = vec![];
        while !bytes.is_empty() {
            let (from, to) = (number(&mut bytes)?, number(&mut bytes)?);
            letters.push(Letter { from, to, body: (self.kind.decode)(part(&mut bytes)?)? });
        }
        Ok(letters)
    }
}

fn with_letters(state: &[u8], letters: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(8 + state.len() + letters.len());
    put(&mut all, state);
    all.extend_from_slice(letters);
    all
}

/// What a partition has sent in this clock, and what it has got.
pub(crate) struct Post {
    pub of: TypeId,
    pub sent: Vec<Letter>,
    /// (sender, letter).
    pub arrived: Vec<(usize, Body)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(from: u32, to: u32, body: &str) -> Letter {
        Letter { from, to, body: Box::new(body.to_string()) }
    }

    fn opened(mailbox: &Mailbox, clock: u64, partition: usize, is_cut: bool) -> Vec<(u32, String)> {
        let letters = mailbox.open(clock, partition, is_cut).into_iter();
        letters.map(|l| (l.from, *l.body.downcast::<String>().unwrap())).collect()
    }

    #[test]
    fn letters_come_by_sender_and_to_their_clock_alone() {
        let mailbox = Mailbox::new(MailKind::new::<String>());
        let live = vec![letter(4, 1, "d"), letter(4, 1, "e"), letter(4, 2, "x")];
        mailbox.deliver(7, Mail::Live(live)).unwrap();
        let written = mailbox.write(&[letter(0, 1, "a"), letter(0, 1, "b")]);
        mailbox.deliver(7, Mail::Written(written)).unwrap();
        mailbox.deliver(8, Mail::Live(vec![letter(0, 1, "later")])).unwrap();
        let expected = [(0, "a"), (0, "b"), (4, "d"), (4, "e")].map(|(p, s)| (p, s.to_string()));
        assert_eq!(opened(&mailbox, 7, 1, false), expected);
        assert_eq!(opened(&mailbox, 7, 1, false), []);
        assert_eq!(opened(&mailbox, 8, 1, false), [(0, "later".to_string())]);
    }

    /// Whether the snapshot or the clock comes first, both have the letters.
    #[test]
    fn snapshots_have_the_letters_that_their_clock_gets() {
        for snapshot_first in [true, false] {
            let mailbox = Mailbox::new(MailKind::new::<String>());
            mailbox.deliver(3, Mail::Live(vec![letter(5, 0, "e"), letter(2, 0, "b")])).unwrap();
            let expected = [(2, "b".to_string()), (5, "e".to_string())];
            let early = snapshot_first.then(|| mailbox.cut(3, 0, b"state"));
            assert_eq!(opened(&mailbox, 3, 0, true), expected);
            let bytes = early.unwrap_or_else(|| mailbox.cut(3, 0, b"state"));
            let other = Mailbox::new(MailKind::new::<String>());
            assert_eq!(other.unpack(3, 0, &bytes).unwrap(), b"state");
            assert_eq!(opened(&other, 3, 0, false), expected);
            assert!(mailbox.lock().taken.is_empty() && mailbox.lock().written.is_empty());
        }
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let mailbox = Mailbox::new(MailKind::new::<String>());
        mailbox.deliver(0, Mail::Live(vec![letter(5, 0, "abc")])).unwrap();
        let bytes = mailbox.keep(0, 0, b"state");
        let whole = 8 + b"state".len();
        for n in (0..bytes.len()).filter(|n| *n != whole) {
            assert!(mailbox.unpack(0, 0, &bytes[..n]).is_err(), "{n}");
        }
        assert!(mailbox.unpack(0, 0, &bytes).is_ok());
    }
}
