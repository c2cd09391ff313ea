//! Going on from what is left of a run when a process is lost, instead of going back.
//!
//! # What
//! Every process has a copy of every table, and its shards. Of a run that was broken off, those that are left put the
//! values together: of a shard that is left, what it has; of one that is gone, what the lowest process has a copy of.
//! The training goes on from there, from the last epoch that all of their partitions have ended.
//!
//! # Guarantees
//! All processes go on with the same values. Lost are updates that were on their way, and those of the lost process that
//! nobody had seen: under SSP those of a few clocks. What a rule keeps of lost values is as of the last recovery point. Loss
//! of the epochs in between is estimated from the partitions that are left. What was lost is reported ([`Perturbation`]).
//!
//! # Cost
//! Once all tables to each worker, and a copy of them more, when a process is lost; nothing else.
//!
//! Source: Qiao et al., *Fault Tolerance in Iterative-Convergent Machine Learning*, ICML 2019, which takes what is lost from
//! a checkpoint. Here the copies are fresher than one.

use crate::block::take;
use crate::recovery::{read_values, write_values};
use crate::report::{EpochLoss, Perturbation};
use crate::run::{RuleStates, Run, Salvaged};
use crate::server::ShardMap;
use crate::table::Table;
use crate::value::Value;
use crate::values::Values;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::exec::attempts::Others;
use slackwater_dataflow::{Data, Error, ErrorKind, Result, Topology};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What a process has to go on from.
pub(crate) struct Remains<T: Data, V: Value> {
    /// Topology of the last segment, if this process took part: its tables are those at its end.
    pub whole: Option<Topology>,
    /// What rules keep of the shards of this process as of then.
    pub states: RuleStates<V>,
    /// A run that was begun after that, in this generation, and broken off.
    pub run: Option<(u64, Arc<Run<T, V>>)>,
}

/// What a process says of it.
#[derive(Clone, Serialize, Deserialize)]
struct Claim {
    /// The generation of the run, 0 if the tables are whole.
    generation: u64,
    /// The number of this process in it, and the shape of that generation.
    rank: usize,
    processes: usize,
    workers: usize,
    /// Epochs that all of its partitions have ended.
    epoch: u64,
    losses: Vec<(usize, Vec<EpochLoss>)>,
}

impl Claim {
    fn new(generation: u64, topology: &Topology, epoch: u64, losses: Vec<(usize, Vec<EpochLoss>)>) -> Claim {
        let Topology { process: rank, processes, workers, .. } = *topology;
        Claim { generation, rank, processes, workers, epoch, losses }
    }
    /// The shards that its process had.
    fn shards(&self) -> Range<usize> {
        self.rank * self.workers..(self.rank + 1) * self.workers
    }
}

/// What a process claims to have: whole tables, and a run.
type Claims = (Option<Claim>, Option<Claim>);

/// Where a training goes on.
pub(crate) struct Basis<V> {
    pub epoch: u64,
    /// Of the epochs after those that were known, estimated.
    pub losses: Vec<f64>,
    pub values: Vec<Values<V>>,
    /// What rules keep, by table, state and element.
    pub states: Vec<Vec<Vec<V>>>,
    /// What was lost; nothing if the tables were whole.
    pub perturbation: Option<Perturbation>,
}

/// What has come of asking.
pub(crate) enum Answer<V> {
    /// The generation has ended.
    Ended,
    /// Nobody has anything.
    Nothing,
    Basis(Basis<V>),
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Cluster(format!("what is left of a training: {what}")))
}

impl<T: Data, V: Value> Remains<T, V> {
    fn claims(&self, known: u64) -> Claims {
        let whole = self.whole.map(|topology| Claim::new(0, &topology, known, vec![]));
        let run = self.run.as_ref().map(|(generation, run)| {
            let losses = run.losses.lock().unwrap_or_else(|e| e.into_inner()).clone();
            let own = (0..run.dataset.num_partitions()).filter(|p| run.topology.owns(*p));
            let ended = own.map(|p| losses.get(&p).map_or(0, Vec::len)).min();
            let ended = ended.map_or(run.clocks / run.clocks_per_epoch, |n| n as u64);
            let epoch = run.epochs_before + ended;
            Claim::new(*generation, &run.topology, epoch, losses.into_iter().collect())
        });
        (whole, run)
    }
    /// What this process has, if it is one of those that are gone by.
    fn parts(&self, chosen: &Chosen<'_>, tables: &[Table<V>]) -> Vec<Part> {
        let (shape, lost) = (chosen.first().1, chosen.lost());
        match (&self.run, &self.whole) {
            (Some((generation, run)), _) if *generation == shape.generation => {
                let own: Vec<usize> = shards_of(&run.topology).collect();
                (0..tables.len()).map(|t| Part::of(run, t, &own, &lost)).collect()
            }
            (_, Some(topology)) if shape.generation == 0 => {
                let own: Vec<usize> = shards_of(topology).collect();
                let of_table = |(t, table): (usize, &Table<V>)| {
                    let map = ShardMap::new(table.rows(), table.columns(), topology.workers_in_all());
                    Part { states: states_of(&self.states, t, &map, &own), ..Part::default() }
                };
                let mut parts: Vec<Part> = tables.iter().enumerate().map(of_table).collect();
                // All that are whole have the same bits: it does not matter who speaks.
                let all: Vec<Values<V>> = tables.iter().map(Table::current).collect();
                parts.push(Part { own: write_values(&all), ..Part::default() });
                parts
            }
            _ => vec![],
        }
    }
}

/// The claims that are gone by.
struct Chosen<'a> {
    /// By process of the new generation, ascending.
    claims: Vec<(usize, &'a Claim)>,
}

impl<'a> Chosen<'a> {
    /// Those of the newest run, if all that are left have begun one: else nothing is lost that was in the tables before.
    fn of(claims: &'a [Claims]) -> Option<Self> {
        let has_waited = |(whole, run): &Claims| whole.is_some() && run.is_none();
        let of = |(whole, run): &'a Claims| match claims.iter().any(has_waited) {
            true => whole.as_ref(),
            false => run.as_ref().or(whole.as_ref()),
        };
        let claims: Vec<(usize, &Claim)> =
            claims.iter().enumerate().filter_map(|(p, c)| Some((p, of(c)?))).collect();
        let newest = claims.iter().map(|(_, c)| c.generation).max()?;
        Some(Chosen { claims: claims.into_iter().filter(|(_, c)| c.generation == newest).collect() })
    }
    fn first(&self) -> (usize, &'a Claim) {
        self.claims[0]
    }
    fn epoch(&self) -> u64 {
        self.claims.iter().map(|(_, c)| c.epoch).min().unwrap_or(0)
    }
    /// Workers of the run that are gone.
    fn lost(&self) -> Vec<usize> {
        let shape = self.first().1;
        let is_left = |rank: usize| self.claims.iter().any(|(_, c)| c.rank == rank);
        let gone = (0..shape.processes).filter(|rank| !is_left(*rank));
        gone.flat_map(|rank| rank * shape.workers..(rank + 1) * shape.workers).collect()
    }
    /// Losses of the epochs from `known` on, as if those that are gone had the mean of the others.
    fn losses(&self, known: u64, partitions: usize) -> Vec<f64> {
        let epochs = self.epoch().saturating_sub(known);
        let (mut sums, mut counts) = (vec![0.0; epochs as usize], vec![0usize; epochs as usize]);
        let by_partition: BTreeMap<usize, &Vec<EpochLoss>> =
            self.claims.iter().flat_map(|(_, c)| &c.losses).map(|(p, l)| (*p, l)).collect();
        for loss in by_partition.into_values().flatten() {
            if let Some(i) = loss.epoch.checked_sub(known).filter(|i| *i < epochs) {
                sums[i as usize] += loss.loss;
                counts[i as usize] += 1;
            }
        }
        sums.iter().zip(counts).map(|(sum, n)| sum * partitions as f64 / n.max(1) as f64).collect()
    }
}

/// What a process has of a table, as bytes: values of its own shards, what their rule keeps (states one after the other,
/// nothing if they have not left it), and copies of the values of lost shards.
#[derive(Default, Serialize, Deserialize)]
struct Part {
    own: Vec<u8>,
    states: Vec<u8>,
    copies: Vec<u8>,
}

impl Part {
    /// Of a run that was broken off.
    fn of<T: Data, V: Value>(run: &Run<T, V>, table: usize, own: &[usize], lost: &[usize]) -> Part {
        let salvaged = run.salvaged.lock().unwrap_or_else(|e| e.into_inner());
        let (map, replica) = (&run.tables[table].map, &run.tables[table].replica);
        let copies = |shards: &[usize]| -> Vec<V> {
            let elements = shards.iter().flat_map(|shard| map.elements_of(*shard));
            elements.map(|e| replica.get(e as usize)).collect()
        };
        let left = own.iter().map(|shard| salvaged.get(shard)?.get(table));
        let left: Option<Vec<&Salvaged<V>>> = left.collect();
        let copies_of_lost = bytes(&copies(lost));
        match left {
            // It had not begun yet.
            None => Part {
                own: bytes(&copies(own)),
                states: states_of(&run.rule_states, table, map, own),
                copies: copies_of_lost,
            },
            Some(left) => {
                let values: Vec<V> = left.iter().flat_map(|s| s.values.iter().copied()).collect();
                let of_state = |i: usize| left.iter().flat_map(move |s| s.states[i].iter().copied());
                let states: Vec<V> = (0..run.tables[table].rule.states()).flat_map(of_state).collect();
                Part { own: bytes(&values), states: bytes(&states), copies: copies_of_lost }
            }
        }
    }
}

fn bytes<V: Value>(values: &[V]) -> Vec<u8> {
    bytemuck::cast_slice(values).to_vec()
}

/// What is kept between runs of some shards of a table.
fn states_of<V: Value>(states: &RuleStates<V>, table: usize, map: &ShardMap, shards: &[usize]) -> Vec<u8> {
    let states = states.lock().unwrap_or_else(|e| e.into_inner());
    let elements = || shards.iter().flat_map(|shard| map.elements_of(*shard));
    let of_table = states.get(table).into_iter().flatten();
    let all: Vec<V> = of_table.flat_map(|state| elements().map(|e| state[e as usize])).collect();
    bytes(&all)
}

/// Asks the others what they have, and puts it together. `known` epochs are known to have ended; `before` are the values
/// and what rules keep as of the last recovery point.
pub(crate) fn agree<T: Data, V: Value>(
    others: &Others<'_>,
    remains: &Remains<T, V>,
    tables: &[Table<V>],
    known: u64,
    partitions: usize,
    before: (&[Values<V>], Vec<Vec<Vec<V>>>),
) -> Result<Answer<V>> {
    let mine = postcard::to_stdvec(&remains.claims(known)).map_err(wrong)?;
    let Some(claims) = others.ask(mine)? else { return Ok(Answer::Ended) };
    let claims = claims.iter().map(|b| postcard::from_bytes(b)).collect::<Result<Vec<Claims>, _>>();
    let claims = claims.map_err(wrong)?;
    let Some(chosen) = Chosen::of(&claims) else { return Ok(Answer::Nothing) };
    let (first, shape) = chosen.first();
    let mine = remains.parts(&chosen, tables);
    let Some(told) = others.ask(postcard::to_stdvec(&mine).map_err(wrong)?)? else {
        return Ok(Answer::Ended);
    };
    let mut told = told.iter().map(|b| postcard::from_bytes::<Vec<Part>>(b).map_err(wrong));
    let told = told.by_ref().collect::<Result<Vec<_>>>()?;
    let (epoch, losses) = (chosen.epoch(), chosen.losses(known, partitions));
    if shape.generation == 0 {
        let values = told[first].last().ok_or_else(|| wrong("nothing was sent"))?;
        let (values, mut states) = (read_values(&values.own, tables)?, before.1);
        states.resize_with(tables.len(), Vec::new);
        for (t, table) in tables.iter().enumerate().filter(|(_, table)| table.rule().states() > 0) {
            let map = ShardMap::new(table.rows(), table.columns(), shape.processes * shape.workers);
            of_rule(&mut states[t], table, &table_values(&values[t]));
            chosen.claims.iter().try_for_each(|c| put_states(&mut states[t], c, &told[c.0], t, &map))?;
        }
        return Ok(Answer::Basis(Basis { epoch, losses, values, states, perturbation: None }));
    }
    let merged = merge(&chosen, &told, tables, before.1)?;
    let kept: f64 = merged.values.iter().zip(before.0).map(|(now, then)| square(now, then)).sum();
    let perturbation = Perturbation {
        epoch,
        values_lost: merged.lost,
        distance: (chosen.claims.len() > 1 && merged.lost > 0).then_some(merged.distance),
        kept: kept.sqrt(),
    };
    let Merged { values, states, .. } = merged;
    Ok(Answer::Basis(Basis { epoch, losses, values, states, perturbation: Some(perturbation) }))
}

struct Merged<V> {
    values: Vec<Values<V>>,
    states: Vec<Vec<Vec<V>>>,
    lost: u64,
    distance: f64,
}

/// Puts the values of the shards together.
fn merge<V: Value>(
    chosen: &Chosen<'_>,
    told: &[Vec<Part>],
    tables: &[Table<V>],
    mut states: Vec<Vec<Vec<V>>>,
) -> Result<Merged<V>> {
    states.resize_with(tables.len(), Vec::new);
    let (shape, lost) = (chosen.first().1, chosen.lost());
    let shards = shape.processes * shape.workers;
    // By process but the first: the squared distance of its copies of what is lost to those of the first.
    let mut squares: BTreeMap<usize, f64> = BTreeMap::new();
    let mut merged = Merged { values: vec![], states: vec![], lost: 0, distance: 0.0 };
    for (t, table) in tables.iter().enumerate() {
        let map = ShardMap::new(table.rows(), table.columns(), shards);
        let mut all = vec![V::default(); table.rows() * table.columns()];
        let gone: Vec<u32> = lost.iter().flat_map(|w| map.elements_of(*w)).collect();
        let mut of_first: Vec<V> = vec![];
        for (process, claim) in &chosen.claims {
            let part = told[*process].get(t).ok_or_else(|| wrong("a table is missing"))?;
            let own: Vec<u32> = claim.shards().flat_map(|w| map.elements_of(w)).collect();
            for (element, value) in own.iter().zip(numbers::<V>(&part.own, own.len())?) {
                all[*element as usize] = value;
            }
            let copies: Vec<V> = numbers(&part.copies, gone.len())?;
            if *process == chosen.first().0 {
                gone.iter().zip(&copies).for_each(|(element, value)| all[*element as usize] = *value);
                of_first = copies;
            } else {
                *squares.entry(*process).or_default() +=
                    copies.iter().zip(&of_first).map(|(a, b)| difference(*a, *b).powi(2)).sum::<f64>();
            }
        }
        if table.rule().states() > 0 {
            of_rule(&mut states[t], table, &all);
            chosen.claims.iter().try_for_each(|c| put_states(&mut states[t], c, &told[c.0], t, &map))?;
        }
        merged.lost += gone.len() as u64;
        merged.values.push(Values::Dense(Arc::new(all)));
    }
    merged.states = states;
    merged.distance = squares.into_values().fold(0.0, f64::max).sqrt();
    Ok(merged)
}

fn numbers<V: Value>(bytes: &[u8], n: usize) -> Result<Vec<V>> {
    if bytes.len() != n * size_of::<V>() {
        return Err(wrong("a part of a table has another size"));
    }
    Ok(take(&mut &bytes[..], n))
}

/// What a rule keeps at first, if nothing is known yet.
fn of_rule<V: Value>(states: &mut Vec<Vec<V>>, table: &Table<V>, values: &[V]) {
    if states.is_empty() {
        let first = |i: usize| values.iter().map(|v| table.rule().first(*v)[i]).collect();
        *states = (0..table.rule().states()).map(first).collect();
    }
}

/// Puts what the rule keeps of a process's shards in its place.
fn put_states<V: Value>(
    states: &mut [Vec<V>],
    (_, claim): &(usize, &Claim),
    parts: &[Part],
    table: usize,
    map: &ShardMap,
) -> Result<()> {
    let part = parts.get(table).ok_or_else(|| wrong("a table is missing"))?;
    let own: Vec<u32> = claim.shards().flat_map(|w| map.elements_of(w)).collect();
    if part.states.is_empty() {
        return Ok(());
    }
    let left: Vec<V> = numbers(&part.states, states.len() * own.len())?;
    for (state, left) in states.iter_mut().zip(left.chunks_exact(own.len().max(1))) {
        own.iter().zip(left).for_each(|(element, value)| state[*element as usize] = *value);
    }
    Ok(())
}

fn table_values<V: Value>(values: &Values<V>) -> Vec<V> {
    match values {
        Values::Dense(values) => values.to_vec(),
        Values::Sparse(_) => vec![],
    }
}

fn shards_of(topology: &Topology) -> Range<usize> {
    topology.process * topology.workers..(topology.process + 1) * topology.workers
}

/// Of two numbers; of values that are none, whether they differ.
fn difference<V: Value>(a: V, b: V) -> f64 {
    match (a.to_real(), b.to_real()) {
        (Some(a), Some(b)) => a - b,
        _ => f64::from(a != b),
    }
}

fn square<V: Value>(a: &Values<V>, b: &Values<V>) -> f64 {
    match (a, b) {
        (Values::Dense(a), Values::Dense(b)) => {
            a.iter().zip(b.iter()).map(|(a, b)| difference(*a, *b).powi(2)).sum()
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(
        generation: u64,
        rank: usize,
        epoch: u64,
        losses: Vec<(usize, Vec<EpochLoss>)>,
    ) -> Option<Claim> {
        Some(Claim { generation, rank, processes: 4, workers: 2, epoch, losses })
    }

    #[test]
    fn the_newest_run_counts_and_what_nobody_claims_is_lost() {
        let whole = |rank| claim(0, rank, 4, vec![]);
        let mut claims = [
            (whole(0), claim(2, 0, 7, vec![])),
            (None, None),
            (whole(2), claim(3, 2, 6, vec![])),
            (None, claim(3, 3, 5, vec![])),
        ];
        let chosen = Chosen::of(&claims).unwrap();
        assert_eq!((chosen.first().0, chosen.epoch(), chosen.lost()), (2, 5, vec![0, 1, 2, 3]));
        // One that has not begun yet: the others have what was before, too.
        claims[0].1 = None;
        let chosen = Chosen::of(&claims).unwrap();
        assert_eq!((chosen.first().0, chosen.epoch(), chosen.lost()), (0, 4, vec![2, 3, 6, 7]));
        assert!(Chosen::of(&[(None, None), (None, None)]).is_none());
    }

    #[test]
    fn losses_of_who_is_gone_are_the_mean_of_the_others() {
        let of = |losses: [f64; 2]| {
            losses.iter().enumerate().map(|(i, l)| EpochLoss { epoch: 3 + i as u64, loss: *l }).collect()
        };
        let one = claim(3, 0, 5, vec![(0, of([4.0, 2.0])), (3, of([2.0, 1.0]))]);
        let claims = [(None, one), (None, claim(3, 1, 5, vec![]))];
        let chosen = Chosen::of(&claims).unwrap();
        assert_eq!(chosen.losses(3, 6), [18.0, 9.0]);
        assert_eq!(chosen.losses(4, 6), [9.0]);
        assert_eq!(chosen.losses(5, 6), [0.0; 0]);
    }
}
