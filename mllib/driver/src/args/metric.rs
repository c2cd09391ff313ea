//! Options of `train distance-metric`, and of `evaluate` for its models.

use super::input::{HeldOutArgs, InputArgs};
use super::output::OutputArgs;
use super::table::{ConsistencyArgs, SnapshotArgs};
use super::values::{at_least_one, finite};
use clap::Args;
use slackwater_dataflow::{Error, Result};
use std::path::PathBuf;

/// Shown below the long help.
pub const METRIC_EXAMPLES: &str = "\
Examples:
  slackwater train distance-metric --data wine.svm --standardize --split 0.5,0.5 --model wine.model
  slackwater train distance-metric --data rows.svm --similar alike.txt --dissimilar unlike.txt --rank 20
  slackwater train dml --data mnist.svm --rank 50 --batch 500 --consistency ssp:3 --snapshots kept";

/// `train distance-metric`.
#[derive(Debug, Args)]
pub struct DistanceMetricArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Pairs of rows that are to be close, in files of lines `row row`, instead of pairs drawn from labels
    ///
    /// Rows are numbered from 0, in the order of the data; spaces, tabs or a comma stand between. Labels are of no use then.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "dissimilar", help_heading = "Input")]
    #[arg(conflicts_with_all = ["split", "pairs"])]
    pub similar: Vec<PathBuf>,

    /// Pairs of rows that are not to be close, as --similar
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "similar", help_heading = "Input")]
    pub dissimilar: Vec<PathBuf>,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Rows of the map L: what a row is mapped to has as many numbers [default: as many as columns, at most 64]
    ///
    /// Also: --n-components, --n_components, --dst_feat_dim.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["n-components", "n_components", "dst_feat_dim"])]
    pub rank: Option<usize>,

    /// Pairs of equal labels that are drawn, and as many of different ones [default: five of each a row]
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    pub pairs: Option<usize>,

    /// Squared distance at which rows of different labels are far enough [default: 1]
    ///
    /// Also: --thre.
    #[arg(long, value_name = "X", value_parser = finite, alias = "thre", help_heading = "Algorithm")]
    pub margin: Option<f64>,

    /// Weight of pairs that are not to be close, beside the others [default: 3]
    ///
    /// The larger it is, the more of what tells rows of one label apart remains: good for nearest neighbours. Also: --lambda. (In Petuum's Bosen it stands before a sum, here before a mean.)
    #[arg(long, value_name = "X", value_parser = finite, alias = "lambda", help_heading = "Algorithm")]
    pub dissimilar_weight: Option<f64>,

    /// Passes over the pairs at most [default: 30]
    ///
    /// Also: --iterations, --max-iter, --max_iter, --epoch, --num_epochs.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["iterations", "max-iter", "max_iter", "epoch", "num_epochs"])]
    pub epochs: Option<usize>,

    /// Stop after an epoch in which the loss falls by less than this share [default: never]
    ///
    /// Also: --tol.
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// Step of the first epoch; it means the same for data of any scale [default: 0.5]
    ///
    /// For data whose dissimilar pairs have a mean squared distance of 1. Also: --lr, --learn_rate, --learning-rate (for the
    /// data as it is: as this, divided by that distance).
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["step_size", "lr", "learn_rate", "learning-rate"])]
    pub step_size: Option<f64>,

    /// Factor of the step from epoch to epoch [default: 0.95]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub decay: Option<f64>,

    /// Share of the last step that is taken again, beside the new one [default: 0]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub momentum: Option<f64>,

    /// Pairs of each partition in a minibatch [default: 100]
    ///
    /// All partitions take part in every step: a step learns from this times the number of partitions. Also: --batch-size,
    /// --batch_size, --mini_batch_size.
    #[arg(long, value_name = "PAIRS", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["batch-size", "batch_size", "mini_batch_size"])]
    pub batch: Option<usize>,

    /// Let all columns weigh the same to begin with, whatever their scale
    #[arg(long, help_heading = "Algorithm")]
    pub standardize: bool,

    /// How fresh.
    #[command(flatten)]
    pub consistency: ConsistencyArgs,

    /// Neighbours that tell the label of a row, to measure the metric by [default: 3]
    ///
    /// At most about 1000 rows are asked, evenly taken; evaluate asks all. Also: --neighbors, --n_neighbors.
    #[arg(long, value_name = "K", value_parser = at_least_one, help_heading = "Output")]
    #[arg(aliases = ["neighbors", "n-neighbors", "n_neighbors"])]
    pub neighbours: Option<usize>,

    /// Snapshots of the training.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Neighbours that tell the label of a row, unless said.
pub const NEIGHBOURS: usize = 3;

/// What `evaluate` has for distance metrics only.
#[derive(Debug, Args)]
pub struct NeighbourArgs {
    /// Rows whose labels tell those of the data, for a distance metric [default: the other rows of the data]
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = "Input")]
    pub reference: Vec<PathBuf>,

    /// Neighbours that tell the label of a row, for a distance metric [default: 3]
    ///
    /// Also: --neighbors, --n_neighbors.
    #[arg(long, value_name = "K", value_parser = at_least_one, help_heading = "Output")]
    #[arg(aliases = ["neighbors", "n-neighbors", "n_neighbors"])]
    pub neighbours: Option<usize>,
}

impl NeighbourArgs {
    /// Refuses the options for a model of another kind.
    ///
    /// # Errors
    /// Config, naming the option.
    pub fn refuse(&self) -> Result<()> {
        let given = [("reference", !self.reference.is_empty()), ("neighbours", self.neighbours.is_some())];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Error::config(*name, "is for distance metrics, and the model is none")),
            None => Ok(()),
        }
    }
}
