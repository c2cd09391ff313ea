//! The node and cursor that `map`, `map_ref`, `try_map`, `expand` and `fuse` share: one buffer, one loop over a chunk.

use crate::context::Engine;
use crate::dataset::Dataset;
use crate::dataset::lineage::{Chunk, Cursor, Data, Lineage, Node, NodeInfo, Stop};
use crate::dataset::node::{narrow, one_to_one};
use crate::exec::task::TaskContext;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

/// What an operation does with a chunk.
pub(crate) trait Step<T, U>: Send + Sync + 'static {
    /// What a cursor keeps from chunk to chunk.
    type Scratch: Default + 'static;
    /// Appends the outcome of `chunk` to `out`, which is empty.
    fn run(
        &self,
        chunk: Chunk<'_, T>,
        scratch: &mut Self::Scratch,
        out: &mut Vec<U>,
        task: &TaskContext,
    ) -> Result<(), Stop>;
}

pub(crate) struct StepNode<T: Data, U, S> {
    info: NodeInfo,
    up: Arc<dyn Lineage<T>>,
    step: S,
    _out: PhantomData<fn() -> U>,
}

struct StepCursor<T: Data, U, S: Step<T, U>> {
    up: Box<dyn Cursor<T>>,
    node: Arc<StepNode<T, U, S>>,
    scratch: S::Scratch,
    buffer: Vec<U>,
    task: Rc<TaskContext>,
}

impl<T: Data, U: Data, S: Step<T, U>> Node for StepNode<T, U, S> {
    one_to_one!();
}

impl<T: Data, U: Data, S: Step<T, U>> Lineage<U> for StepNode<T, U, S> {
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<U>>, Stop> {
        let up = self.up.clone().open(partition, task)?;
        Ok(Box::new(StepCursor {
            up,
            node: self,
            scratch: S::Scratch::default(),
            buffer: vec![],
            task: task.clone(),
        }))
    }
}

impl<T: Data, U: Data, S: Step<T, U>> Cursor<U> for StepCursor<T, U, S> {
    fn next(&mut self) -> Result<Option<Chunk<'_, U>>, Stop> {
        self.buffer.clear();
        let Some(chunk) = self.up.next()? else { return Ok(None) };
        self.task.enter(self.node.info.id);
        self.node.step.run(chunk, &mut self.scratch, &mut self.buffer, &self.task)?;
        Ok(Some(Chunk::Owned(&mut self.buffer)))
    }
}

impl<T: Data> Dataset<T> {
    /// A narrow operation; `F` is the user's closure type, for the fingerprint.
    pub(crate) fn step<U: Data, F>(
        &self,
        operation: &'static str,
        site: &'static Location<'static>,
        keeps_keys: bool,
        step: impl Step<T, U>,
    ) -> Dataset<U> {
        let engine: &Engine = self.engine();
        let info = narrow::<F>(engine, operation, self.lineage().info(), site, keeps_keys);
        let node = StepNode { info, up: self.lineage().clone(), step, _out: PhantomData };
        Dataset::from_node(self.context(), Arc::new(node))
    }
}
