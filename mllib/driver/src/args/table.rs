//! Options of trainers that keep their parameters in a table.

use super::values::{at_least_one, finite};
use clap::Args;
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::linear::TableParams;
use slackwater_paramstore::{Consistency, Snapshots};
use std::path::PathBuf;

/// How fresh what a minibatch reads has to be.
#[derive(Debug, Clone, Args)]
pub struct ConsistencyArgs {
    /// How old the parameters may be that a minibatch reads: bsp, ssp:S, essp:S, async [default: bsp]
    ///
    /// bsp: as of the clock before, the same bits for any number of workers. ssp:S: nothing older than S clocks; who
    /// would read older asks and waits. essp:S: the same, but fresh values are sent at once. S may be a range, as
    /// 0..8: each worker goes up in it when it waits too long. async: as they come. A clock is a minibatch of each partition.
    #[arg(long, value_name = "MODEL", help_heading = "Algorithm")]
    pub consistency: Option<Consistency>,
}

/// How a parameter table is trained.
#[derive(Debug, Clone, Args)]
pub struct TableArgs {
    /// How fresh.
    #[command(flatten)]
    pub consistency: ConsistencyArgs,

    /// Rows of each partition in a minibatch [default: 100]
    ///
    /// Also: --batch-size, --batch_size, --mini_batch_size.
    #[arg(long, value_name = "ROWS", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["batch-size", "batch_size", "mini_batch_size"])]
    pub batch: Option<usize>,

    /// Factor of the step from epoch to epoch [default: 0.95]
    ///
    /// Also: --lr_decay_rate.
    #[arg(long, value_name = "X", value_parser = finite, aliases = ["lr_decay_rate"], help_heading = "Algorithm")]
    pub decay: Option<f64>,
}

/// Snapshots of a training.
#[derive(Debug, Clone, Args)]
pub struct SnapshotArgs {
    /// Keep snapshots of the training in this folder, which all processes see
    ///
    /// The last two are kept. A training that was interrupted or killed goes on from the newest with --resume.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub snapshots: Option<PathBuf>,

    /// Epochs from one snapshot to the next [default: 1]
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "snapshots", help_heading = "Output")]
    pub snapshot_every: Option<usize>,

    /// Go on from the newest whole snapshot; from the start if there is none
    #[arg(long, requires = "snapshots", help_heading = "Output")]
    pub resume: bool,
}

impl SnapshotArgs {
    /// Where snapshots are kept, if they are.
    pub fn spec(&self) -> Option<Snapshots> {
        let dir = self.snapshots.as_ref()?;
        let every = self.snapshot_every.unwrap_or(1) as u64;
        Some(Snapshots::new(dir).every(every).resume(self.resume))
    }
}

impl TableArgs {
    /// The parameters; `used` says whether the solver has a table at all.
    ///
    /// # Errors
    /// Config, for an option that would do nothing.
    pub fn params(&self, used: bool) -> Result<TableParams> {
        let given = [
            ("consistency", self.consistency.consistency.is_some()),
            ("batch", self.batch.is_some()),
            ("decay", self.decay.is_some()),
        ];
        if let Some((name, _)) = given.iter().find(|(_, given)| *given && !used) {
            return Err(Error::config(*name, "is for `--solver minibatch` only"));
        }
        let default = TableParams::default();
        Ok(TableParams {
            batch: self.batch.unwrap_or(default.batch),
            decay: self.decay.unwrap_or(default.decay),
            consistency: self.consistency.consistency.unwrap_or(default.consistency),
        })
    }
}
