//! `flat_map`.

use crate::dataset::Dataset;
use crate::dataset::lineage::{Chunk, Cursor, Data, Lineage, Node, NodeInfo, Stop};
use crate::dataset::node::{narrow, one_to_one};
use crate::exec::task::TaskContext;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

pub(super) struct FlatMap<T: Data, U, F> {
    pub info: NodeInfo,
    pub up: Arc<dyn Lineage<T>>,
    pub f: F,
    pub _out: PhantomData<fn() -> U>,
}

struct FlatMapCursor<T: Data, U, F> {
    up: Box<dyn Cursor<T>>,
    node: Arc<FlatMap<T, U, F>>,
    buffer: Vec<U>,
    /// Input not yet expanded, so that one chunk of input cannot grow without bound.
    pending: VecDeque<T>,
    task: Rc<TaskContext>,
}

impl<T: Data, U: Data, I, F> Node for FlatMap<T, U, F>
where
    I: IntoIterator<Item = U>,
    F: Fn(T) -> I + Send + Sync + 'static,
{
    one_to_one!();
}

impl<T: Data, U: Data, I, F> Lineage<U> for FlatMap<T, U, F>
where
    I: IntoIterator<Item = U>,
    F: Fn(T) -> I + Send + Sync + 'static,
{
    fn open(self: Arc<Self>, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<U>>, Stop> {
        let up = self.up.clone().open(partition, task)?;
        Ok(Box::new(FlatMapCursor {
            up,
            node: self,
            buffer: vec![],
            pending: VecDeque::new(),
            task: task.clone(),
        }))
    }
}

/// Expands records until the output is a few chunks long; the rest stays in the iterator.
fn expand<T, U, I: IntoIterator<Item = U>>(
    input: &mut impl Iterator<Item = T>,
    f: impl Fn(T) -> I,
    out: &mut Vec<U>,
) {
    let limit = 4 * TaskContext::chunk_records::<U>();
    for record in input {
        out.extend(f(record));
        if out.len() >= limit {
            break;
        }
    }
}

impl<T: Data, U: Data, I, F> Cursor<U> for FlatMapCursor<T, U, F>
where
    I: IntoIterator<Item = U>,
    F: Fn(T) -> I,
{
    fn next(&mut self) -> Result<Option<Chunk<'_, U>>, Stop> {
        let FlatMapCursor { up, node, buffer, pending, task } = self;
        buffer.clear();
        if pending.is_empty() {
            let Some(chunk) = up.next()? else { return Ok(None) };
            task.enter(node.info.id);
            match chunk {
                Chunk::Owned(v) => {
                    let mut input = v.drain(..);
                    expand(&mut input, &node.f, buffer);
                    pending.extend(input);
                }
                Chunk::Shared(s) => {
                    let mut input = s.iter().cloned();
                    expand(&mut input, &node.f, buffer);
                    pending.extend(input);
                }
            }
        } else {
            task.check()?;
            task.enter(node.info.id);
            let mut input = std::mem::take(pending).into_iter();
            expand(&mut input, &node.f, buffer);
            *pending = input.collect();
        }
        Ok(Some(Chunk::Owned(buffer)))
    }
}

impl<T: Data> Dataset<T> {
    /// Replaces every record by those of `f(record)`.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// assert_eq!(cx.range(1..4, 2).flat_map(|n| 0..n).collect()?, [0, 0, 1, 0, 1, 2]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn flat_map<I, F>(&self, f: F) -> Dataset<I::Item>
    where
        I: IntoIterator + 'static,
        I::Item: Data,
        F: Fn(T) -> I + Send + Sync + 'static,
    {
        self.flat_map_as("flat_map", Location::caller(), false, f)
    }
    pub(crate) fn flat_map_as<I, F>(
        &self,
        operation: &'static str,
        site: &'static Location<'static>,
        keeps_keys: bool,
        f: F,
    ) -> Dataset<I::Item>
    where
        I: IntoIterator + 'static,
        I::Item: Data,
        F: Fn(T) -> I + Send + Sync + 'static,
    {
        let info = narrow::<F>(self.engine(), operation, self.lineage().info(), site, keeps_keys);
        let node = FlatMap { info, up: self.lineage().clone(), f, _out: PhantomData };
        Dataset::from_node(self.context(), Arc::new(node))
    }
}
