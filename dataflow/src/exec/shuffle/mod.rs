//! Shuffles: map tasks scatter records into blocks by reduce partition, blocks move as a whole, and the reduce side
//! reads them back in an order that does not depend on arrival.
//!
//! # What it guarantees
//! The records of reduce partition r are those of map partition 0 in their order, then of map partition 1, and so on,
//! whatever the number of workers and processes, and whether blocks were spilled or not. Output is retained, so a
//! second job that needs the same shuffle does not run its map side again.
//!
//! # Cost
//! A record is copied twice (into its block, out of its block); 60-100 M pairs of integers a second and worker.
//! Blocks of [`BLOCK_BYTES`]; what does not fit the budget is written to spill files.

mod map;
mod output;

pub(crate) use map::{Adaptive, MapTarget, MapTask, Scatter};
pub(crate) use output::{BlockRef, ShuffleOutput, ShuffleReader};

use super::parcel::{Kind, Payload};
use super::stage::{StageState, run_stage};
use super::task::TaskContext;
use crate::context::Engine;
use crate::dataset::lineage::{Node, NodeInfo, Stop};
use std::rc::Rc;
use std::sync::Arc;
use timely::worker::Worker;

/// Size of an open block if memory allows: large enough that the cost per block vanishes.
const BLOCK_BYTES: u64 = 256 << 10;
/// The least size of an open block.
const BLOCK_BYTES_MIN: u64 = 4 << 10;

/// A shuffle with its record type erased.
pub trait ShuffleStage: Send + Sync + 'static {
    /// What every node has; `partitions` counts the reduce side.
    fn info(&self) -> &NodeInfo;
    /// What the map side reads.
    fn parent(&self) -> &Arc<dyn Node>;
    /// True if the output of reduce partition `reduce` is there.
    fn is_ready(&self, reduce: usize) -> bool;
    /// Runs the map side for the partitions `missing`; collective. False if the generation has ended meanwhile.
    #[doc(hidden)]
    fn run(self: Arc<Self>, worker: &mut Worker, run: &ShuffleRun) -> bool;
}

/// One run of the map side, shared by the workers of a process.
#[doc(hidden)]
pub struct ShuffleRun {
    pub(crate) state: Arc<StageState>,
    /// Reduce partitions to make.
    pub(crate) missing: Arc<Vec<bool>>,
}

type StartMap<P> =
    Box<dyn Fn(usize, &Rc<TaskContext>, MapTarget) -> Result<Box<dyn MapTask<P>>, Stop> + Send + Sync>;

/// A shuffle of blocks of type `P`.
pub(crate) struct Shuffle<P: Payload> {
    info: NodeInfo,
    parent: Arc<dyn Node>,
    engine: Arc<Engine>,
    output: Arc<ShuffleOutput<P>>,
    start: StartMap<P>,
}

impl<P: Payload> Shuffle<P> {
    pub fn new(info: NodeInfo, parent: Arc<dyn Node>, engine: &Arc<Engine>, start: StartMap<P>) -> Arc<Self> {
        let output = ShuffleOutput::new(engine, info.id, info.partitions);
        Arc::new(Shuffle { info, parent, engine: engine.clone(), output, start })
    }
    /// Reads one reduce partition.
    pub fn read(&self, reduce: usize, task: &Rc<TaskContext>) -> Result<ShuffleReader<P>, Stop> {
        self.output.read(reduce, task)
    }
}

impl<P: Payload> ShuffleStage for Shuffle<P> {
    fn info(&self) -> &NodeInfo {
        &self.info
    }
    fn parent(&self) -> &Arc<dyn Node> {
        &self.parent
    }
    fn is_ready(&self, reduce: usize) -> bool {
        self.output.is_ready(reduce)
    }
    fn run(self: Arc<Self>, worker: &mut Worker, run: &ShuffleRun) -> bool {
        let state = run.state.clone();
        let round = self.output.begin(&state, &run.missing);
        let config = &self.engine.config;
        let share = config.memory_budget_bytes / 8 / (config.workers * self.info.partitions) as u64;
        let block_bytes = share.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES);
        let (this, missing, memory) = (self.clone(), run.missing.clone(), self.engine.memory.clone());
        let start = Box::new(move |map: usize, task: &Rc<TaskContext>| {
            let target = MapTarget {
                map,
                attempt: task.attempt(),
                missing: missing.clone(),
                block_bytes,
                memory: memory.clone(),
                budget_records: None,
            };
            let task = (this.start)(map, task, target)?;
            Ok(Box::new(map::AsTask(task)) as Box<dyn super::stage::Task<P>>)
        });
        let mut sink = self.output.sink(round);
        let ended = run_stage(worker, &state, start, move |parcel| {
            let result = match parcel.head.kind {
                Kind::Commit => {
                    sink.commit(parcel.head);
                    Ok(())
                }
                _ => sink.push(parcel),
            };
            if let Err(e) = result {
                // Not the stage: only this process knows, and all must go on alike.
                sink.fail(&e);
            }
        });
        self.output.finish(round, ended && state.failure().is_none(), &run.missing);
        ended
    }
}
