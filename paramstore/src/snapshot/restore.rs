//! Reading the newest snapshot that is whole.

use super::files::{MANIFEST, Manifest, TableShape, decode, folder, part_name};
use crate::report::EpochLoss;
use crate::value::Value;
use crate::values::Values;
use slackwater_dataflow::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a training goes on from.
pub(crate) struct Restored<V> {
    pub clock: u64,
    pub epoch: u64,
    pub losses: Vec<f64>,
    /// By table.
    pub values: Vec<Values<V>>,
    /// What rules keep, by table and state.
    pub states: Vec<Vec<Vec<V>>>,
    /// States, by partition.
    pub locals: BTreeMap<usize, Vec<u8>>,
    /// Newer snapshots that could not be used, and why.
    pub refused: Vec<String>,
}

/// Snapshots that have a manifest, by clock, ascending.
pub(super) fn listed(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(Error::io(dir, "read", &e)),
    };
    let clock = |name: &str| name.strip_prefix("clock-").and_then(|n| n.parse::<u64>().ok());
    let mut all: Vec<_> = entries
        .flatten()
        .filter_map(|e| Some((clock(e.file_name().to_str()?)?, e.path())))
        .filter(|(_, path)| path.join(MANIFEST).exists())
        .collect();
    all.sort();
    Ok(all)
}

/// The newest whole snapshot of a training of this shape, whose tables are as `empty` is; `None` if there is none at all.
///
/// With `set_aside`, which one process says, damaged ones that are newer are renamed, so that they are not in the way. With
/// `only`, no other than that of this clock.
///
/// # Errors
/// Input, if a snapshot is of another training, or if there are some and all are damaged, by name.
pub(crate) fn restore<V: Value>(
    dir: &Path,
    shape: &Manifest,
    empty: Vec<Values<V>>,
    set_aside: bool,
    only: Option<u64>,
) -> Result<Option<Restored<V>>> {
    let mut all = listed(dir)?;
    all.retain(|(clock, _)| only.is_none_or(|only| only == *clock));
    let (mut refused, mut damaged, some) = (vec![], vec![], !all.is_empty());
    for (clock, path) in all.into_iter().rev() {
        match read(&path, dir, clock, shape, empty.clone())? {
            Ok(restored) => {
                for path in damaged.into_iter().filter(|_| set_aside) {
                    let path: PathBuf = path;
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    std::fs::rename(&path, dir.join(format!("damaged-{name}")))
                        .map_err(|e| Error::io(&path, "rename", &e))?;
                }
                return Ok(Some(Restored { refused, ..restored }));
            }
            Err(why) => {
                refused.push(why);
                damaged.push(path);
            }
        }
    }
    match some {
        false => Ok(None),
        true => Err(Error::input(
            format!("no snapshot in {} is whole:\n  {}", dir.display(), refused.join("\n  ")),
            "start anew in another folder",
        )),
    }
}

fn manifest(path: &Path) -> Result<Manifest, String> {
    let file = path.join(MANIFEST);
    let damaged = |why: &str| format!("{}: {why}", file.display());
    let text = std::fs::read_to_string(&file).map_err(|e| damaged(&e.to_string()))?;
    let (json, crc) = text.trim_end_matches('\n').rsplit_once('\n').ok_or_else(|| damaged("is cut short"))?;
    if format!("{:08x}", crc32fast::hash(format!("{json}\n").as_bytes())) != crc {
        return Err(damaged("has a wrong checksum"));
    }
    serde_json::from_str(json).map_err(|e| damaged(&e.to_string()))
}

/// Reads one snapshot; the inner error says what is damaged.
fn read<V: Value>(
    path: &Path,
    dir: &Path,
    clock: u64,
    shape: &Manifest,
    mut values: Vec<Values<V>>,
) -> Result<Result<Restored<V>, String>> {
    let manifest = match manifest(path) {
        Ok(manifest) => manifest,
        Err(why) => return Ok(Err(why)),
    };
    if !manifest.fits(shape) {
        return Err(Error::input(
            format!(
                "the snapshots in {} are of another training: {manifest:?}, not {shape:?}",
                dir.display()
            ),
            "resume with the data, partitions, seed, batch and tables that it began with",
        ));
    }
    let of_state = |t: &TableShape| vec![V::default(); t.rows * t.columns];
    let of_states = |t: &TableShape| (0..t.rule.states()).map(|_| of_state(t)).collect();
    let mut states: Vec<Vec<Vec<V>>> = manifest.tables.iter().map(of_states).collect();
    let mut losses: BTreeMap<usize, Vec<EpochLoss>> = BTreeMap::new();
    let mut locals: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for shard in 0..manifest.shards {
        let file = folder(dir, clock).join(part_name(shard, manifest.shards));
        let part = std::fs::read(&file).map_err(|e| e.to_string());
        let part = part.and_then(|bytes| {
            let (header, content) = decode::<V>(&bytes)?;
            let tables = manifest.tables.len();
            match (header.clock, header.shard, content.tables.len()) == (clock, shard, tables) {
                true => Ok((header, content)),
                false => Err("belongs to another snapshot".to_string()),
            }
        });
        let (header, content) = match part {
            Ok(part) => part,
            Err(why) => return Ok(Err(format!("{}: {why}", file.display()))),
        };
        for (i, (elements, of_part, states_of_part)) in content.tables.into_iter().enumerate() {
            let shape = &manifest.tables[i];
            for (element, value) in elements.iter().zip(of_part) {
                if (*element as usize) < shape.rows * shape.columns {
                    values[i].set(*element as usize, value);
                }
            }
            for (whole, part) in states[i].iter_mut().zip(states_of_part) {
                for (element, value) in elements.iter().zip(part) {
                    if let Some(place) = whole.get_mut(*element as usize) {
                        *place = value;
                    }
                }
            }
        }
        losses.extend(header.losses);
        locals.extend(content.locals);
    }
    let mut sums = manifest.losses_before.clone();
    sums.resize(manifest.epoch as usize, 0.0);
    // By partition, as in a run that was not interrupted.
    for loss in losses.values().flatten() {
        if let Some(sum) = sums.get_mut(loss.epoch as usize) {
            *sum += loss.loss;
        }
    }
    let Manifest { clock, epoch, .. } = manifest;
    Ok(Ok(Restored { clock, epoch, losses: sums, values, states, locals, refused: vec![] }))
}
