//! Where a training can go back to when a process is lost.
//!
//! # What
//! After some epochs a training is at rest: every process has all tables, with the same bits, and each has the states of
//! its own partitions and what the update rules of its own shards keep. That is a recovery point
//! ([`Point`]): the tables are shared without a copy, states go to the next process as well, what rules keep to all.
//!
//! # Guarantees
//! A training that goes back to a point and on from there under BSP ends with the bytes of one that was not disturbed.
//! Under the other models no read is older than it may be, and the training ends where some undisturbed run could.
//!
//! # Cost
//! The states once more, in bytes, in two processes; the tables as of the last point as long as training changes others.

use crate::block::take as columns;
use crate::run::Run;
use crate::snapshot::Restored;
use crate::table::Table;
use crate::value::Value;
use crate::values::Values;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::exec::keep::{Point, Shared};
use slackwater_dataflow::{Data, Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What all processes have of a point.
#[derive(Clone)]
pub(crate) struct Standing<V> {
    pub place: Place,
    /// By table.
    pub values: Vec<Values<V>>,
}

/// Where a training stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    pub clock: u64,
    pub epoch: u64,
    /// By epoch.
    pub losses: Vec<f64>,
    /// Where it began in this program; later than the start if it was resumed.
    pub first_clock: u64,
    pub first_epoch: u64,
    /// Partitions have states; else they are made of the records.
    pub has_locals: bool,
}

impl Place {
    /// Where a training begins that goes on from a snapshot.
    pub fn of<V>(restored: &Restored<V>) -> Self {
        Place {
            clock: restored.clock,
            epoch: restored.epoch,
            losses: restored.losses.clone(),
            first_clock: restored.clock,
            first_epoch: restored.epoch,
            has_locals: true,
        }
    }
}

fn lost(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Lost(format!("a recovery point of a training: {what}")))
}

/// All values of some tables.
pub(crate) fn write_values<V: Value>(tables: &[Values<V>]) -> Vec<u8> {
    let mut bytes = vec![];
    for table in tables {
        let (elements, values): (Option<Vec<u32>>, Vec<V>) = match table {
            Values::Dense(values) => (None, values.to_vec()),
            Values::Sparse(rows) => {
                let all: Vec<u32> = (0..rows.rows.len() as u32).collect();
                let (elements, values) = rows.elements(&all);
                (Some(elements), values)
            }
        };
        bytes.extend_from_slice(&(values.len() as u64).to_le_bytes());
        bytes.extend_from_slice(bytemuck::cast_slice(elements.as_deref().unwrap_or(&[])));
        bytes.extend_from_slice(bytemuck::cast_slice(&values));
    }
    bytes
}

/// Reads what [`write_values`] has written of tables of the same shapes.
pub(crate) fn read_values<V: Value>(mut bytes: &[u8], tables: &[Table<V>]) -> Result<Vec<Values<V>>> {
    let mut take = |n: usize| bytes.split_off(..n).ok_or_else(|| lost("is cut short"));
    let mut all = vec![];
    for table in tables {
        let n = u64::from_le_bytes(take(8)?.try_into().expect("eight bytes")) as usize;
        let order = table.current().order();
        let elements: Vec<u32> = if order.is_some() { columns(&mut take(n * 4)?, n) } else { vec![] };
        let numbers: Vec<V> = columns(&mut take(n * size_of::<V>())?, n);
        let elements_max = table.rows() * table.columns();
        all.push(match order {
            None if n == elements_max => Values::Dense(Arc::new(numbers)),
            None => return Err(lost("has another number of values")),
            Some(_) => {
                let mut values = Values::empty(order, table.rows(), table.columns());
                for (element, value) in elements.into_iter().zip(numbers) {
                    if element as usize >= elements_max {
                        return Err(lost("has a value that the table does not"));
                    }
                    values.set(element as usize, value);
                }
                values
            }
        });
    }
    Ok(all)
}

impl<V: Value> Standing<V> {
    /// As a part of a point.
    pub fn share(self) -> Shared {
        let standing = Arc::new(self);
        let written = standing.clone();
        let write = move || {
            let mut bytes = postcard::to_stdvec(&written.place).unwrap_or_default();
            let mut all = (bytes.len() as u64).to_le_bytes().to_vec();
            all.append(&mut bytes);
            all.extend(write_values(&written.values));
            all
        };
        Shared::Live(standing, Arc::new(write))
    }
    /// Of a point of a training with these tables.
    pub fn of(point: &Point, tables: &[Table<V>]) -> Result<Standing<V>> {
        match &point.shared {
            Shared::Live(standing, _) => {
                let standing = standing.downcast_ref::<Standing<V>>();
                standing.cloned().ok_or_else(|| lost("is of another training"))
            }
            Shared::Written(bytes) => {
                let (head, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| lost("is empty"))?;
                let n = u64::from_le_bytes(*head) as usize;
                let place = rest.get(..n).ok_or_else(|| lost("is cut short"))?;
                let place: Place = postcard::from_bytes(place).map_err(lost)?;
                Ok(Standing { place, values: read_values(&rest[n..], tables)? })
            }
        }
    }
}

/// What rules keep for some elements of a table: by state.
#[derive(Serialize, Deserialize)]
struct KeptStates {
    table: usize,
    elements: Vec<u32>,
    /// By state, as bytes.
    states: Vec<Vec<u8>>,
}

/// What the update rules of this process's shards keep.
pub(crate) fn write_states<T: Data, V: Value>(run: &Run<T, V>) -> Vec<u8> {
    let states = run.rule_states.lock().unwrap_or_else(|e| e.into_inner());
    let mut all = vec![];
    for (table, of_table) in states.iter().enumerate().filter(|(_, s)| !s.is_empty()) {
        let (first, workers) = (run.topology.process * run.topology.workers, run.topology.workers);
        let own = (first..first + workers).flat_map(|w| run.tables[table].map.elements_of(w));
        let elements: Vec<u32> = own.collect();
        let of_state = |state: &Vec<V>| {
            let values: Vec<V> = elements.iter().map(|e| state[*e as usize]).collect();
            bytemuck::cast_slice(&values).to_vec()
        };
        let states = of_table.iter().map(of_state).collect();
        all.push(KeptStates { table, elements, states });
    }
    postcard::to_stdvec(&all).unwrap_or_default()
}

/// What update rules keep, by table, state and element, of what processes have written.
pub(crate) fn read_states<V: Value>(common: &[Vec<u8>], tables: &[Table<V>]) -> Result<Vec<Vec<Vec<V>>>> {
    let mut all: Vec<Vec<Vec<V>>> = tables.iter().map(|_| vec![]).collect();
    for bytes in common.iter().filter(|b| !b.is_empty()) {
        let kept: Vec<KeptStates> = postcard::from_bytes(bytes).map_err(lost)?;
        for KeptStates { table, elements, states } in kept {
            let shape = tables.get(table).ok_or_else(|| lost("has another number of tables"))?;
            let n = shape.rows() * shape.columns();
            all[table].resize_with(states.len(), || vec![V::default(); n]);
            for (of_state, bytes) in all[table].iter_mut().zip(states) {
                let values: Vec<V> = columns(&mut &bytes[..], elements.len());
                for (element, value) in elements.iter().zip(values) {
                    *of_state.get_mut(*element as usize).ok_or_else(|| lost("has an element too many"))? =
                        value;
                }
            }
        }
    }
    Ok(all)
}

/// States of all elements, as one process would write them that has all shards.
pub(crate) fn write_all_states<V: Value>(states: &[Vec<Vec<V>>]) -> Vec<u8> {
    let of_table = |(table, states): (usize, &Vec<Vec<V>>)| {
        let n = states.first().map_or(0, Vec::len) as u32;
        let bytes = states.iter().map(|s| bytemuck::cast_slice(s).to_vec()).collect();
        KeptStates { table, elements: (0..n).collect(), states: bytes }
    };
    let all: Vec<KeptStates> =
        states.iter().enumerate().filter(|(_, s)| !s.is_empty()).map(of_table).collect();
    postcard::to_stdvec(&all).unwrap_or_default()
}

/// States of the partitions of this process after a run, in bytes.
pub(crate) fn write_locals<T: Data, V: Value>(run: &Run<T, V>) -> BTreeMap<usize, Arc<Vec<u8>>> {
    let locals = run.locals.lock().unwrap_or_else(|e| e.into_inner());
    let own = locals.iter().filter(|(partition, _)| run.topology.owns(**partition));
    own.map(|(partition, local)| (*partition, Arc::new(run.write_local(*partition, &**local)))).collect()
}
