//! States of partitions after a training, where they are.
//!
//! # What
//! The last recovery point of the training stays: each process has the states of its partitions as bytes, and those of the process
//! before it. A dataset reads them there. So no process ever has all of them, and one that is lost takes none with it.
//!
//! # Cost
//! The states of a process, twice, as bytes; a partition is decoded each time it is computed.
//!
//! # How it fails
//! Of two neighbours that are lost at once, states may be gone; and a process that is asked for a partition that another one
//! computes has no state for it. Both are errors that name the partition.

use crate::epochs::AtEnd;
use crate::local::Local;
use crate::mail::{MailKind, Mailbox};
use slackwater_dataflow::exec::task::TaskContext;
use slackwater_dataflow::{Chunk, Cursor, Source, Stop};
use slackwater_dataflow::{Context, Error, ErrorKind, Record, Result};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

/// The states that a training has left in place.
pub(crate) struct InPlace<S> {
    pub context: Context,
    /// Number of the training.
    pub key: u64,
    pub partitions: usize,
    pub clocks: u64,
    pub decode: fn(&[u8]) -> Result<Local, String>,
    pub mail: Option<MailKind>,
    pub at_end: Option<Arc<AtEnd>>,
    pub state: PhantomData<fn() -> S>,
}

impl<S> Drop for InPlace<S> {
    fn drop(&mut self) {
        self.context.stop_keeping(self.key);
    }
}

impl<S: Record> InPlace<S> {
    fn state(&self, partition: usize) -> Result<S> {
        let lost = |what: &str| {
            let message = format!("the state of partition {partition} after a training {what}");
            Error::new(ErrorKind::Lost(message))
        };
        let part = self.context.kept(self.key).and_then(|mut point| point.parts.remove(&partition));
        let part = part.ok_or_else(|| match self.context.topology().owns(partition) {
            true => lost("is lost, here and in its copy"),
            false => lost("is in another process: a partition reads another one of the dataset"),
        })?;
        let damaged = |e: String| lost(&format!("cannot be read: {e}"));
        let mailbox = self.mail.map(Mailbox::new);
        let state = match &mailbox {
            Some(mailbox) => mailbox.unpack(self.clocks, partition, &part).map_err(damaged)?,
            None => &part,
        };
        let mut local = (self.decode)(state).map_err(damaged)?;
        if let (Some(at_end), Some(mailbox)) = (&self.at_end, &mailbox) {
            let letters = mailbox.open(self.clocks, partition, false).into_iter();
            at_end(&mut *local, letters.map(|l| (l.from as usize, l.body)).collect());
        }
        local.downcast().map(|state| *state).map_err(|_| lost("is of another type"))
    }
}

impl<S: Record> Source<S> for InPlace<S> {
    fn partitions(&self) -> usize {
        self.partitions
    }
    fn describe(&self) -> String {
        format!("states after training {}", self.key)
    }
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<S>>, Stop> {
        Ok(Box::new(One { state: vec![self.state(partition)?], is_read: false, task: task.clone() }))
    }
}

struct One<S> {
    state: Vec<S>,
    is_read: bool,
    task: Rc<TaskContext>,
}

impl<S: Record> Cursor<S> for One<S> {
    fn next(&mut self) -> Result<Option<Chunk<'_, S>>, Stop> {
        self.task.check()?;
        if std::mem::replace(&mut self.is_read, true) {
            return Ok(None);
        }
        self.task.count_in(1);
        Ok(Some(Chunk::Owned(&mut self.state)))
    }
}
