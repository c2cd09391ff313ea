//! What travels between workers: a block of (element, value) pairs and of whole rows, deltas on their way to a shard or
//! fresh values on their way to a replica.
//!
//! The columns are written and read as they lie in memory. A block goes as a whole to the worker that it names.

use crate::mail::Mail;
use crate::value::Value;
use bytemuck::Pod;
use slackwater_dataflow::{Error, ErrorKind};
use std::io::Write;
use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

/// `version` of deltas that ask for nothing.
pub(crate) const NO_PULL: u64 = u64::MAX;

/// Values of a refresh are added to those of the replica.
pub(crate) const ADD: u32 = 0;
/// Values of a refresh take the place of those of the replica.
pub(crate) const OVERWRITE: u32 = 1;
/// Values are all that the shard has: rows that it does not name are empty. Of sparse tables.
pub(crate) const WHOLE: u32 = 3;
/// The run has failed in the process that sends this; `elements` spell the error, a byte each.
pub(crate) const ABORT: u32 = 2;
/// Letters for partitions of the receiving worker; `version` is the clock of the training that they are for.
pub(crate) const MAIL: u32 = 4;

#[derive(Debug, Default)]
pub(crate) struct Block<V> {
    /// The worker that receives it.
    pub dest: u32,
    /// The worker that sent it.
    pub source: u32,
    /// The table's place in the run.
    pub table: u32,
    /// Of refreshes: [`ADD`], [`OVERWRITE`] or [`WHOLE`]; of what goes to a shard: [`ADD`], [`ABORT`] or [`MAIL`].
    pub how: u32,
    /// Deltas: the version that the sender waits for, or [`NO_PULL`]. Refreshes: the version of the shard.
    pub version: u64,
    /// Whose deltas follow: (partition, number of elements, of rows), so that the shard can apply them by partition.
    pub segments: Vec<[u32; 3]>,
    pub elements: Vec<u32>,
    /// One an element.
    pub values: Vec<V>,
    pub rows: Vec<u32>,
    /// As many a row as the table has columns.
    pub row_values: Vec<V>,
    /// Clocks of partitions whose deltas the block completes: (partition, clocks); of refreshes, as many as the replica
    /// has not heard of yet.
    pub witnesses: Vec<[u64; 2]>,
    pub mail: Option<Box<Mail>>,
}

impl<V: Value> Block<V> {
    /// Tells worker `dest` that the run has failed.
    pub fn abort(dest: u32, source: u32, error: &Error) -> Self {
        let bytes = postcard::to_stdvec(error.kind()).unwrap_or_default();
        // As many values as elements: that is how a block is read.
        let values = vec![V::default(); bytes.len()];
        let elements = bytes.into_iter().map(u32::from).collect();
        Block { dest, source, how: ABORT, version: NO_PULL, elements, values, ..Block::default() }
    }
    /// An empty block with room for as much as this one has; but rows of one partition need none, they are moved.
    pub fn like(&self) -> Self {
        let of_rows = usize::from(self.segments.len() > 1);
        Block {
            elements: Vec::with_capacity(self.elements.len()),
            values: Vec::with_capacity(self.values.len()),
            rows: Vec::with_capacity(of_rows * self.rows.len()),
            row_values: Vec::with_capacity(of_rows * self.row_values.len()),
            ..Block::default()
        }
    }
    /// Elements and rows.
    pub fn lengths(&self) -> [usize; 2] {
        [self.elements.len(), self.rows.len()]
    }
    /// What came after these lengths is of `partition`.
    pub fn end_segment(&mut self, partition: usize, before: [usize; 2]) {
        let added = [self.elements.len() - before[0], self.rows.len() - before[1]];
        if added != [0, 0] {
            self.segments.push([partition as u32, added[0] as u32, added[1] as u32]);
        }
    }
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty() && self.rows.is_empty() && self.witnesses.is_empty()
    }
    /// The error of a block that tells one.
    pub fn error(&self) -> Error {
        let bytes: Vec<u8> = self.elements.iter().map(|b| *b as u8).collect();
        let unknown = |_| ErrorKind::Cluster("the run has failed in another process".to_string());
        Error::new(postcard::from_bytes(&bytes).unwrap_or_else(unknown))
    }
}

impl<V: Value> Accountable for Block<V> {
    /// A block counts as one record also when it is empty: timely does not track what counts nothing, and the frontier
    /// could overtake a request.
    fn record_count(&self) -> i64 {
        1
    }
}

const HEAD_WORDS: usize = 8;

/// Letters as bytes; those that are live do not leave their process.
fn written(mail: &Option<Box<Mail>>) -> &[u8] {
    match mail.as_deref() {
        Some(Mail::Written(bytes)) => bytes,
        _ => &[],
    }
}

/// Copies `count` values from the front of `bytes`, which need not be aligned.
pub(crate) fn take<T: Pod>(bytes: &mut &[u8], count: usize) -> Vec<T> {
    let (front, rest) = bytes.split_at(count * size_of::<T>());
    *bytes = rest;
    let mut values = vec![T::zeroed(); count];
    bytemuck::cast_slice_mut::<T, u8>(&mut values).copy_from_slice(front);
    values
}

impl<V: Value> ContainerBytes for Block<V> {
    fn from_bytes(bytes: Bytes) -> Self {
        let mut rest = &bytes[..];
        let head: Vec<u64> = take(&mut rest, HEAD_WORDS);
        let (low, high) = (|w: u64| w as u32, |w: u64| (w >> 32) as u32);
        let [segments, elements, rows, row_values, witnesses] = [3, 4, 5, 6, 7].map(|i| head[i] as usize);
        // Blocks of letters have nothing else.
        let (elements, mail) = if high(head[1]) == MAIL { (0, elements) } else { (elements, 0) };
        Block {
            dest: low(head[0]),
            source: high(head[0]),
            table: low(head[1]),
            how: high(head[1]),
            version: head[2],
            segments: take(&mut rest, segments),
            elements: take(&mut rest, elements),
            values: take(&mut rest, elements),
            rows: take(&mut rest, rows),
            row_values: take(&mut rest, row_values),
            witnesses: take(&mut rest, witnesses),
            mail: (mail > 0).then(|| Box::new(Mail::Written(take(&mut rest, mail)))),
        }
    }
    fn length_in_bytes(&self) -> usize {
        8 * HEAD_WORDS
            + 12 * self.segments.len()
            + 16 * self.witnesses.len()
            + 4 * (self.elements.len() + self.rows.len())
            + size_of::<V>() * (self.values.len() + self.row_values.len())
            + written(&self.mail).len()
    }
    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let two = |low: u32, high: u32| low as u64 | (high as u64) << 32;
        let head = [
            two(self.dest, self.source),
            two(self.table, self.how),
            self.version,
            self.segments.len() as u64,
            (self.elements.len() + written(&self.mail).len()) as u64,
            self.rows.len() as u64,
            self.row_values.len() as u64,
            self.witnesses.len() as u64,
        ];
        for part in [
            bytemuck::cast_slice::<_, u8>(&head),
            bytemuck::cast_slice(&self.segments),
            bytemuck::cast_slice(&self.elements),
            bytemuck::cast_slice(&self.values),
            bytemuck::cast_slice(&self.rows),
            bytemuck::cast_slice(&self.row_values),
            bytemuck::cast_slice(&self.witnesses),
            written(&self.mail),
        ] {
            writer.write_all(part).expect("timely lends a buffer of the asked length");
        }
    }
}

/// Sends each block to the worker that it names.
pub(crate) struct ByDest;

impl<V: Value> Distributor<Block<V>> for ByDest {
    fn partition<T: Clone, P: Push<Message<T, Block<V>>>>(
        &mut self,
        block: &mut Block<V>,
        stamp: &Stamp<T>,
        to: &mut [P],
    ) {
        let block = std::mem::take(block);
        let dest = block.dest as usize;
        to[dest].push(&mut Some(Message::new(stamp.clone(), block)));
    }
    fn flush<T: Clone, P: Push<Message<T, Block<V>>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
    fn relax(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use timely::bytes::arc::BytesMut;

    #[test]
    fn blocks_survive_the_wire() {
        let block = Block {
            dest: 3,
            source: 1,
            table: 2,
            how: OVERWRITE,
            version: NO_PULL,
            segments: vec![[7, 2, 0], [9, 1, 2]],
            elements: vec![1, 5, 6],
            values: vec![0.5f64, -1.0, f64::MAX],
            rows: vec![4, 2],
            row_values: vec![1.0, 2.0, 3.0, 4.0],
            witnesses: vec![[7, 1 << 40]],
            mail: None,
        };
        let mail = Some(Box::new(Mail::Written(vec![3, 1, 4])));
        let letters = Block { dest: 3, how: MAIL, version: 8, mail, ..Block::default() };
        [block, letters].iter().for_each(survives);
    }

    fn survives(block: &Block<f64>) {
        let mut bytes = vec![0u8; 3];
        block.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), 3 + block.length_in_bytes());
        let mut bytes = BytesMut::from(bytes);
        let _ = bytes.extract_to(3);
        let length = bytes.len();
        let back = Block::<f64>::from_bytes(bytes.extract_to(length));
        assert_eq!(format!("{block:?}"), format!("{back:?}"));
    }
}
