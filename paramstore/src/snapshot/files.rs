//! The files of a snapshot.
//!
//! `DIR/clock-NNNNNNNNNN/part-SSSSS-of-TTTTT.table`: eight bytes `SLWTABL1`, the length of the header (u64), the header
//! (JSON), then for each table the numbers of its elements (u32), their values, and what the table's rule keeps for each
//! of them, state by state, then states of partitions (postcard), all little-endian, and a CRC-32 of everything before.
//! `manifest.json` beside the parts names them; its last line is its own checksum.

use crate::block::take as columns;
use crate::report::EpochLoss;
use crate::rule::Rule;
use crate::value::Value;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(super) const MAGIC: &[u8; 8] = b"SLWTABL1";
pub(super) const MANIFEST: &str = "manifest.json";
const FORMAT: u32 = 1;

/// What a table must be for a snapshot of it to fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableShape {
    pub name: String,
    pub rows: usize,
    pub columns: usize,
    #[serde(default)]
    pub rule: Rule,
    #[serde(default)]
    pub is_sparse: bool,
    pub value: String,
}

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub format: u32,
    /// Clocks and epochs done.
    pub clock: u64,
    pub epoch: u64,
    pub clocks_per_epoch: u64,
    pub partitions: usize,
    pub seed: u64,
    pub shards: usize,
    pub tables: Vec<TableShape>,
    /// Losses of the epochs before the run that took the snapshot.
    pub losses_before: Vec<f64>,
}

impl Manifest {
    pub fn new(
        clocks_per_epoch: u64,
        partitions: usize,
        seed: u64,
        shards: usize,
        tables: Vec<TableShape>,
    ) -> Self {
        Manifest {
            format: FORMAT,
            clock: 0,
            epoch: 0,
            clocks_per_epoch,
            partitions,
            seed,
            shards,
            tables,
            losses_before: vec![],
        }
    }
    /// True if a training of shape `other` can go on from it; shards, clocks and losses do not matter.
    pub fn fits(&self, other: &Manifest) -> bool {
        let shape = |m: &Manifest| (m.format, m.clocks_per_epoch, m.partitions, m.seed, m.tables.clone());
        shape(self) == shape(other)
    }
}

/// The header of a part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PartHeader {
    pub clock: u64,
    pub shard: usize,
    pub shards: usize,
    /// Elements, by table.
    pub elements: Vec<usize>,
    /// Numbers of each state of the rule, by table.
    #[serde(default)]
    pub states: Vec<Vec<usize>>,
    /// Losses of this run's epochs, by partition; each partition is in one part.
    pub losses: Vec<(usize, Vec<EpochLoss>)>,
    /// States of partitions, and their bytes; each partition is in one part.
    pub locals: Vec<(usize, usize)>,
}

/// Elements of a table, their values, and by state what the table's rule keeps for each of them.
pub(crate) type TablePart<V> = (Vec<u32>, Vec<V>, Vec<Vec<V>>);

/// What a part holds.
pub(super) struct PartContent<V> {
    /// Elements, values and states, by table.
    pub tables: Vec<TablePart<V>>,
    /// By partition.
    pub locals: Vec<(usize, Vec<u8>)>,
}

pub(super) fn folder(dir: &Path, clock: u64) -> PathBuf {
    dir.join(format!("clock-{clock:010}"))
}

pub(super) fn part_name(shard: usize, shards: usize) -> String {
    format!("part-{shard:05}-of-{shards:05}.table")
}

/// Writes a file that is either whole or not there: other name, synchronise, rename.
pub(super) fn write_whole(path: &Path, content: &[&[u8]]) -> Result<()> {
    let hidden = path.with_extension("writing");
    let write = || {
        let mut file = File::create(&hidden)?;
        content.iter().try_for_each(|bytes| file.write_all(bytes))?;
        file.sync_all()?;
        std::fs::rename(&hidden, path)?;
        // The rename itself is on disk when the folder is.
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|e| Error::io(path, "write", &e))
}

/// A part as bytes, but for its checksum.
pub(super) fn encode<V: Value>(header: &PartHeader, content: &PartContent<V>) -> Vec<u8> {
    let json = serde_json::to_vec(header).expect("numbers and names");
    let PartContent { tables, locals } = content;
    let of_table = |t: &TablePart<V>| t.0.len() * (4 + (1 + t.2.len()) * size_of::<V>());
    let size = tables.iter().map(of_table).sum::<usize>() + locals.iter().map(|l| l.1.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(16 + json.len() + size);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&json);
    for (elements, values, states) in tables {
        bytes.extend_from_slice(bytemuck::cast_slice(elements));
        for numbers in std::iter::once(values).chain(states) {
            bytes.extend_from_slice(bytemuck::cast_slice(numbers));
        }
    }
    locals.iter().for_each(|(_, local)| bytes.extend_from_slice(local));
    bytes
}

/// Header and content of a part. What is wrong with it, if it is damaged.
pub(super) fn decode<V: Value>(bytes: &[u8]) -> Result<(PartHeader, PartContent<V>), String> {
    let (content, crc) = bytes.split_last_chunk::<4>().ok_or("is empty")?;
    if crc32fast::hash(content) != u32::from_le_bytes(*crc) {
        return Err("has a wrong checksum".to_string());
    }
    let short = || "is cut short".to_string();
    let mut rest = content.strip_prefix(MAGIC).ok_or("is no part of a snapshot")?;
    let mut take = |n: usize| rest.split_off(..n).ok_or_else(short);
    let length = u64::from_le_bytes(take(8)?.try_into().expect("eight bytes"));
    let header: PartHeader =
        serde_json::from_slice(take(length as usize)?).map_err(|e| format!("has a wrong header: {e}"))?;
    let mut tables = vec![];
    for (i, n) in header.elements.iter().enumerate() {
        let elements = columns(&mut take(n.checked_mul(4).ok_or_else(short)?)?, *n);
        let mut numbers = |n: usize| {
            Ok::<_, String>(columns(&mut take(n.checked_mul(size_of::<V>()).ok_or_else(short)?)?, n))
        };
        let values = numbers(*n)?;
        let states = header.states.get(i).into_iter().flatten();
        let states = states.map(|n| numbers(*n)).collect::<Result<_, _>>()?;
        tables.push((elements, values, states));
    }
    let mut locals = vec![];
    for (partition, n) in &header.locals {
        locals.push((*partition, take(*n)?.to_vec()));
    }
    if rest.is_empty() {
        Ok((header, PartContent { tables, locals }))
    } else {
        Err("is too long".to_string())
    }
}

/// How many numbers a part holds, or what is wrong with it.
///
/// # Errors
/// What is wrong with it.
#[doc(hidden)]
pub fn fuzzed_part<V: Value>(bytes: &[u8]) -> Result<usize, String> {
    let (_, content) = decode::<V>(bytes)?;
    let of_table = |t: &TablePart<V>| t.1.len() + t.2.iter().map(Vec::len).sum::<usize>();
    Ok(content.tables.iter().map(of_table).sum())
}

/// Good parts: of tables with and without what rules keep, and states of partitions.
#[doc(hidden)]
pub fn fuzzed_parts() -> Vec<Vec<u8>> {
    let header = PartHeader {
        clock: 4,
        shard: 0,
        shards: 1,
        elements: vec![3, 0, 2],
        states: vec![vec![3, 3], vec![], vec![]],
        losses: vec![(0, vec![])],
        locals: vec![(0, 3), (1, 0)],
    };
    let first = (vec![0, 2, 5], vec![1.0, -2.0, f64::NAN], vec![vec![0.5; 3], vec![0.0; 3]]);
    let tables = vec![first, (vec![], vec![], vec![]), (vec![7, 8], vec![1e300, 0.0], vec![])];
    let content = PartContent { tables, locals: vec![(0, vec![1, 2, 3]), (1, vec![])] };
    let mut whole = encode(&header, &content);
    whole.extend(crc32fast::hash(&whole).to_le_bytes());
    vec![whole]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header and content that are whole, but for what the header says of elements.
    #[test]
    fn sizes_that_cannot_be_are_damage() {
        let whole = fuzzed_parts().remove(0);
        assert_eq!(fuzzed_part::<f64>(&whole), Ok(3 + 6 + 2));
        let header = usize::from_le_bytes(*whole[8..].first_chunk().expect("a length"));
        let json = std::str::from_utf8(&whole[16..16 + header]).expect("JSON");
        for n in
            ["4611686018427387904", "4611686018427387905", "18446744073709551615", "2305843009213693952", "9"]
        {
            for (from, to) in [("[3,0,2]", format!("[{n},0,2]")), ("[3,3]", format!("[3,{n}]"))] {
                let json = json.replacen(from, &to, 1);
                let length = (json.len() as u64).to_le_bytes();
                let end = whole.len() - 4;
                let mut bytes = [&MAGIC[..], &length[..], json.as_bytes(), &whole[16 + header..end]].concat();
                bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
                assert_eq!(fuzzed_part::<f64>(&bytes), Err("is cut short".to_string()), "{json}");
            }
        }
    }
}
