//! An object, and reading it in order or in pieces.

use super::bucket::Bucket;
use super::fault::{Cause, Fault};
use super::fetch::{fetch, look};
use super::runtime::{Request, begin, stopped};
use crate::codec::HEAD_BYTES;
use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// What is asked for first. A split may be as short as 64 KiB.
const FIRST_BYTES: u64 = 256 << 10;
/// What is asked for at most in one request.
const RANGE_BYTES_MAX: u64 = 8 << 20;
/// What is asked for beyond what is needed for certain.
const BEYOND_BYTES: u64 = 64 << 10;
/// Requests of a reader at a time.
const IN_FLIGHT: usize = 2;
/// Requests for one large piece at a time.
const PIECES_IN_FLIGHT: usize = 4;

/// A file in an object store as it was when it was resolved.
#[derive(Debug)]
pub(crate) struct Object {
    bucket: Arc<Bucket>,
    key: Path,
    meta: ObjectMeta,
}

impl Object {
    /// Looks at an object, with its first bytes.
    pub(super) async fn look(bucket: &Arc<Bucket>, key: Path) -> Result<(Object, Bytes), Fault> {
        let (meta, head) = look(bucket, &key, HEAD_BYTES as u64).await?;
        Ok((Object { bucket: bucket.clone(), key, meta }, head))
    }
    pub(super) fn bucket(&self) -> &Bucket {
        &self.bucket
    }
    pub(super) fn key(&self) -> &Path {
        &self.key
    }
    /// Its length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.meta.size
    }
    /// A request for a range of this version of it.
    pub(super) fn conditions(&self, range: Range<u64>) -> GetOptions {
        let e_tag = self.meta.e_tag.clone();
        // A weak ETag never matches by the rules of HTTP, and is compared with that of the answer.
        let if_match = e_tag.clone().filter(|tag| !tag.starts_with("W/"));
        let has_time = self.meta.last_modified.timestamp() > 0;
        let since = (e_tag.is_none() && has_time).then_some(self.meta.last_modified);
        GetOptions {
            if_match,
            if_unmodified_since: since,
            range: Some(range.into()),
            ..GetOptions::default()
        }
    }
    /// True if an answer is of the same version.
    pub(super) fn is_same(&self, other: &ObjectMeta) -> bool {
        let (ours, theirs) = (&self.meta, other);
        let is_tag = ours.e_tag == theirs.e_tag;
        ours.size == theirs.size
            && is_tag
            && (ours.e_tag.is_some() || ours.last_modified == theirs.last_modified)
    }
    /// `length` bytes from byte `at`. Large pieces are read as several at a time.
    ///
    /// # Errors
    /// I/O.
    pub(crate) fn read_at(self: &Arc<Self>, at: u64, length: usize) -> io::Result<Bytes> {
        let end = at + length as u64;
        if length as u64 <= RANGE_BYTES_MAX {
            return Pending::begin(self, at..end)?.bytes();
        }
        let (mut next, mut ranges, mut bytes) = (at, VecDeque::new(), BytesMut::new());
        while next < end || !ranges.is_empty() {
            while next < end && ranges.len() < PIECES_IN_FLIGHT {
                let until = end.min(next + RANGE_BYTES_MAX);
                ranges.push_back(Pending::begin(self, next..until)?);
                next = until;
            }
            let mut first: Pending = ranges.pop_front().expect("a range was begun");
            while first.left > 0 {
                bytes.extend_from_slice(&first.take()?);
            }
        }
        Ok(bytes.freeze())
    }
}

/// A range that was asked for.
#[derive(Debug)]
pub(crate) struct Pending {
    pieces: Receiver<Result<Bytes, Fault>>,
    /// Bytes that were not taken yet.
    left: u64,
    range: Range<u64>,
    object: Arc<Object>,
    /// Ends the request when the reader does not want it any more.
    _request: Request,
}

impl Pending {
    pub(crate) fn begin(object: &Arc<Object>, range: Range<u64>) -> io::Result<Pending> {
        // It holds no more than the range.
        let (send, pieces) = channel();
        let (of, wanted) = (object.clone(), range.clone());
        let request = begin(async move {
            if let Err(fault) = fetch(of, wanted, |piece| send.send(Ok(piece)).is_ok()).await {
                let _ = send.send(Err(fault));
            }
        })?;
        let left = range.end - range.start;
        Ok(Pending { pieces, left, range, object: object.clone(), _request: request })
    }
    /// All of it.
    pub(crate) fn bytes(mut self) -> io::Result<Bytes> {
        if self.left == 0 {
            return Ok(Bytes::new());
        }
        let first = self.take()?;
        if self.left == 0 {
            return Ok(first);
        }
        let mut bytes = BytesMut::from(first);
        while self.left > 0 {
            bytes.extend_from_slice(&self.take()?);
        }
        Ok(bytes.freeze())
    }
    fn take(&mut self) -> io::Result<Bytes> {
        // The request has deadlines of its own, which are shorter.
        let limit = self.object.bucket.patience() * 3;
        let piece = match self.pieces.recv_timeout(limit) {
            Ok(piece) => piece.map_err(Fault::into_io)?,
            Err(e) => {
                let cause = Cause::Other(stopped(e).to_string());
                return Err(Fault::from(cause).of_range(&self.range).into_io());
            }
        };
        self.left -= piece.len() as u64;
        Ok(piece)
    }
}

/// Reads an object in order, ahead of who reads.
///
/// Ranges of 256 KiB that double up to 8 MiB, two at a time once the first has been read, up to the byte that is needed for
/// certain: at most 16 MiB of memory. Beyond that byte, 64 KiB at a time.
#[derive(Debug)]
pub(crate) struct ObjectReader {
    object: Arc<Object>,
    /// What is needed for certain ends here.
    until: u64,
    next: u64,
    range_bytes: u64,
    /// True once the first range was read to its end.
    is_going: bool,
    pending: VecDeque<Pending>,
    piece: Bytes,
}

impl ObjectReader {
    /// Reads from byte `at`, most likely up to byte `until`.
    pub(crate) fn new(object: &Arc<Object>, at: u64, until: u64) -> ObjectReader {
        ObjectReader {
            object: object.clone(),
            until: until.min(object.bytes()),
            next: at,
            range_bytes: FIRST_BYTES,
            is_going: false,
            pending: VecDeque::new(),
            piece: Bytes::new(),
        }
    }
    fn ask(&mut self) -> io::Result<()> {
        let length = match self.next < self.until {
            true => self.range_bytes.min(self.until - self.next),
            false => BEYOND_BYTES.min(self.object.bytes() - self.next),
        };
        self.pending.push_back(Pending::begin(&self.object, self.next..self.next + length)?);
        self.next += length;
        self.range_bytes = (self.range_bytes * 2).min(RANGE_BYTES_MAX);
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && !into.is_empty() {
            if self.pending.is_empty() {
                if self.next >= self.object.bytes() {
                    return Ok(0);
                }
                self.ask()?;
            }
            if self.is_going && self.pending.len() < IN_FLIGHT && self.next < self.until {
                self.ask()?;
            }
            let first = self.pending.front_mut().expect("a range was asked for");
            self.piece = first.take()?;
            if first.left == 0 {
                self.pending.pop_front();
                self.is_going = true;
            }
        }
        let n = into.len().min(self.piece.len());
        into[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}
