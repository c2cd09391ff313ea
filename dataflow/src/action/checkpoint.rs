//! `checkpoint`: a dataset on durable files, its lineage cut.
//!
//! # Format
//! `part-NNNNN`: frames of `length: u32, records: u32, crc32: u32, bytes`, little endian, bytes in the engine's column
//! format; `checkpoint.json`: version, number of partitions, name of the record type; `_SUCCESS` last.

use super::save::{Mark, SUCCESS, claim, commit, complete};
use crate::context::Context;
use crate::dataset::lineage::{Chunk, Cursor, Record, Stop};
use crate::dataset::{Dataset, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::codec::{decode, encode};
use crate::exec::task::TaskContext;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const VERSION: u32 = 1;
/// No frame is longer; a larger length is damage.
const FRAME_BYTES_MAX: usize = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Manifest {
    version: u32,
    hash_version: u32,
    partitions: usize,
    record: String,
}

fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::input(format!("{}: not a usable checkpoint: {what}", path.display()), "")
}

impl<T: Record> Dataset<T> {
    /// Computes all partitions now, writes them to `dir` (which must not exist or be empty), and returns a dataset that
    /// reads them there: what it was made from is no longer needed. The partitioner is kept.
    #[track_caller]
    pub fn checkpoint(&self, dir: impl AsRef<Path>) -> Result<Dataset<T>> {
        let dir = dir.as_ref().to_path_buf();
        let mark = Mark::of_next_job(self.context());
        self.context().once(|| claim(&dir, mark.as_ref()))?;
        let target = dir.clone();
        self.run_action("checkpoint", move |cursor, task| {
            std::fs::create_dir_all(&target).map_err(|e| Error::io(&target, "create", &e))?;
            let mut stopped = None;
            let name = format!("part-{:05}", task.partition());
            let written = commit(&target, &name, task.attempt(), |out| {
                let (mut bytes, mut records) = (vec![], vec![]);
                loop {
                    match cursor.next() {
                        Ok(Some(chunk)) => chunk.append_to(&mut records),
                        Ok(None) => return Ok(()),
                        Err(stop) => {
                            stopped = Some(stop);
                            return Err(Error::new(ErrorKind::Cancelled));
                        }
                    }
                    bytes.clear();
                    encode(&records, &mut bytes).map_err(Error::usage)?;
                    let io = |e: std::io::Error| Error::io(&target, "write", &e);
                    out.write_all(frame(&bytes, records.len()).as_flattened()).map_err(io)?;
                    out.write_all(&bytes).map_err(io)?;
                    records.clear();
                }
            });
            match stopped {
                Some(stop) => Err(stop),
                None => Ok(written?),
            }
        })?;
        let manifest = Manifest {
            version: VERSION,
            hash_version: crate::hash::HASH_VERSION,
            partitions: self.num_partitions(),
            record: std::any::type_name::<T>().to_string(),
        };
        let json = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::usage(e.to_string()))?;
        self.context().once(|| {
            let io = |e: std::io::Error| Error::io(&dir, "write", &e);
            commit(&dir, "checkpoint.json", 0, |out| out.write_all(&json).map_err(io))?;
            complete(&dir, mark.as_ref())
        })?;
        let source = Files { dir, partitions: self.num_partitions(), _record: PhantomData };
        Ok(self.context().read_partitioned(source, self.any_partitioner()))
    }
}

impl Context {
    /// The dataset that [`Dataset::checkpoint`] wrote to `dir`. An error if it is incomplete or of another type.
    #[track_caller]
    pub fn read_checkpoint<T: Record>(&self, dir: impl AsRef<Path>) -> Result<Dataset<T>> {
        let dir = dir.as_ref().to_path_buf();
        let path = dir.join("checkpoint.json");
        let json = std::fs::read(&path).map_err(|e| Error::io(&path, "read", &e))?;
        let manifest: Manifest = serde_json::from_slice(&json).map_err(|e| damaged(&path, e))?;
        if manifest.version != VERSION || manifest.hash_version != crate::hash::HASH_VERSION {
            return Err(damaged(&path, "it was written by another version"));
        }
        if manifest.record != std::any::type_name::<T>() {
            let (is, wanted) = (manifest.record, std::any::type_name::<T>());
            return Err(damaged(&path, format!("it holds records of type {is}, not {wanted}")));
        }
        if !dir.join(SUCCESS).exists() {
            return Err(damaged(&dir, "it was not finished (there is no _SUCCESS)"));
        }
        Ok(self.read(Files { dir, partitions: manifest.partitions, _record: PhantomData }))
    }
}

struct Files<T> {
    dir: PathBuf,
    partitions: usize,
    _record: PhantomData<fn() -> T>,
}

struct FileCursor<T> {
    path: PathBuf,
    file: BufReader<File>,
    bytes: Vec<u8>,
    records: Vec<T>,
    task: Rc<TaskContext>,
}

impl<T: Record> Source<T> for Files<T> {
    fn partitions(&self) -> usize {
        self.partitions
    }
    fn describe(&self) -> String {
        self.dir.display().to_string()
    }
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        let path = self.dir.join(format!("part-{partition:05}"));
        let file = File::open(&path).map_err(|e| Error::io(&path, "read", &e))?;
        let file = BufReader::with_capacity(1 << 18, file);
        Ok(Box::new(FileCursor { path, file, bytes: vec![], records: vec![], task: task.clone() }))
    }
}

/// What stands before the bytes of a frame: their length and checksum, and how many records they are.
pub(crate) struct Frame {
    records: usize,
}

/// The words before the bytes of a frame, little endian.
pub(crate) fn frame(bytes: &[u8], records: usize) -> [[u8; 4]; 3] {
    [bytes.len() as u32, records as u32, crc32fast::hash(bytes)].map(u32::to_le_bytes)
}

impl Frame {
    /// Reads the next frame's bytes into `bytes`, which grows with what is there, not with what the frame says.
    pub(crate) fn read(file: &mut impl Read, bytes: &mut Vec<u8>, path: &Path) -> Result<Option<Frame>> {
        let mut head = [0u8; 12];
        let mut filled = 0;
        while filled < head.len() {
            match file.read(&mut head[filled..]).map_err(|e| Error::io(path, "read", &e))? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(damaged(path, "it ends in the middle of a frame")),
                n => filled += n,
            }
        }
        let word = |i: usize| u32::from_le_bytes(head[4 * i..4 * i + 4].try_into().expect("four bytes"));
        let length = word(0) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(damaged(path, "a frame is longer than any that is written"));
        }
        bytes.clear();
        file.take(length as u64).read_to_end(bytes).map_err(|e| Error::io(path, "read", &e))?;
        if bytes.len() < length {
            return Err(damaged(path, "it ends in the middle of a frame"));
        }
        if crc32fast::hash(bytes) != word(2) {
            return Err(damaged(path, "a checksum does not fit"));
        }
        Ok(Some(Frame { records: word(1) as usize }))
    }
    /// Its records.
    pub(crate) fn decode<T: Record>(&self, bytes: &[u8], path: &Path) -> Result<Vec<T>> {
        decode(&mut &bytes[..], self.records).map_err(|e| damaged(path, e))
    }
}

impl<T: Record> FileCursor<T> {
    fn frame(&mut self) -> Result<bool> {
        let Some(frame) = Frame::read(&mut self.file, &mut self.bytes, &self.path)? else { return Ok(false) };
        self.records = frame.decode(&self.bytes, &self.path)?;
        Ok(true)
    }
}

impl<T: Record> Cursor<T> for FileCursor<T> {
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop> {
        self.task.check()?;
        if !self.frame()? {
            return Ok(None);
        }
        self.task.count_in(self.records.len());
        Ok(Some(Chunk::Owned(&mut self.records)))
    }
}
