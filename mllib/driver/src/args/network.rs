//! Options of `train neural-network`.

use super::input::{HeldOutArgs, InputArgs};
use super::output::OutputArgs;
use super::table::{ConsistencyArgs, SnapshotArgs};
use super::values::{at_least_one, finite};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slackwater_mllib::classification::Activation;
use std::str::FromStr;

/// Shown below the long help.
pub const NETWORK_EXAMPLES: &str = "\
Examples:
  slackwater train neural-network --data mnist.svm --hidden 256,128 --step-size 0.2 --epochs 10 --test mnist.t
  slackwater generate classification --samples 10000 --features 440 --classes 1993 --partitions 3 --out datasets
  slackwater train neural-network --data datasets --hidden 512,512,512,512 --partitions 4 --consistency ssp:5";

/// Units of the hidden layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden(pub Vec<usize>);

impl FromStr for Hidden {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Hidden(vec![]));
        }
        let units = text.split(',').map(|n| at_least_one(n).map_err(|e| format!("`{n}`: {e}")));
        units.collect::<Result<_, _>>().map(Hidden)
    }
}

fn activation() -> impl TypedValueParser<Value = Activation> {
    PossibleValuesParser::new(["relu", "sigmoid"]).try_map(|name| name.parse::<Activation>())
}

/// `train neural-network`.
#[derive(Debug, Args)]
pub struct NeuralNetworkArgs {
    /// The data.
    #[command(flatten)]
    pub input: InputArgs,

    /// Which rows to measure on.
    #[command(flatten)]
    pub held_out: HeldOutArgs,

    /// Units of the hidden layers, as 256,128, or none [default: 100]
    ///
    /// Also: --hidden-layer-sizes, --hidden_layer_sizes.
    #[arg(long, value_name = "N,N", help_heading = "Algorithm")]
    #[arg(aliases = ["hidden-layer-sizes", "hidden_layer_sizes"])]
    pub hidden: Option<Hidden>,

    /// What hidden units make of their input: relu, sigmoid [default: relu]
    #[arg(long, value_name = "NAME", value_parser = activation(), hide_possible_values = true)]
    #[arg(help_heading = "Algorithm")]
    pub activation: Option<Activation>,

    /// Passes over the rows at most [default: 20]
    ///
    /// Also: --iterations, --max-iter, --max_iter, --maxIter, --num_epochs.
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["iterations", "max-iter", "max_iter", "maxIter", "num_epochs"])]
    pub epochs: Option<usize>,

    /// Stop after an epoch in which the loss falls by less than this share [default: never]
    ///
    /// Also: --tol.
    #[arg(long, value_name = "X", value_parser = finite, alias = "tol", help_heading = "Algorithm")]
    pub tolerance: Option<f64>,

    /// Step of the first epoch, along the mean gradient of a minibatch of all partitions [default: 0.1]
    ///
    /// Also: --lr, --stepSize, --learning-rate-init, --learning_rate_init.
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["step_size", "stepSize", "lr", "learning-rate-init", "learning_rate_init"])]
    pub step_size: Option<f64>,

    /// Factor of the step from epoch to epoch [default: 1]
    ///
    /// Also: --lr_decay_rate.
    #[arg(long, value_name = "X", value_parser = finite, alias = "lr_decay_rate", help_heading = "Algorithm")]
    pub decay: Option<f64>,

    /// Share of the last step that is taken again, beside the new one [default: 0]
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    pub momentum: Option<f64>,

    /// Weight of half the squares of weights, beside the mean loss [default: 0]
    ///
    /// Also: --reg, --regParam, --weight-decay, --weight_decay. (scikit-learn divides its alpha by the rows of a minibatch.)
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Algorithm")]
    #[arg(aliases = ["reg", "regParam", "weight-decay", "weight_decay"])]
    pub regularization: Option<f64>,

    /// Rows of each partition in a minibatch [default: 32]
    ///
    /// All partitions take part in every step: a step learns from this times the number of partitions. Each of them reads
    /// and sends all weights, so for large networks as many --partitions as workers are the cheapest. Also: --batch-size,
    /// --batch_size, --mini_batch_size.
    #[arg(long, value_name = "ROWS", value_parser = at_least_one, help_heading = "Algorithm")]
    #[arg(aliases = ["batch-size", "batch_size", "mini_batch_size"])]
    pub batch: Option<usize>,

    /// Shift and scale columns to mean 0 and deviation 1; the model does it too
    #[arg(long, help_heading = "Algorithm")]
    pub standardize: bool,

    /// Take the rows of each partition in the order of the files, instead of a random one
    #[arg(long, help_heading = "Algorithm")]
    pub no_shuffle: bool,

    /// How fresh.
    #[command(flatten)]
    pub consistency: ConsistencyArgs,

    /// Snapshots of the training.
    #[command(flatten)]
    pub snapshots: SnapshotArgs,

    /// The model.
    #[command(flatten)]
    pub output: OutputArgs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read() {
        assert_eq!("256,128".parse(), Ok(Hidden(vec![256, 128])));
        assert_eq!("none".parse(), Ok(Hidden(vec![])));
        for wrong in ["", "0", "3,", "3,0", "3,x", "-1"] {
            assert!(wrong.parse::<Hidden>().is_err(), "{wrong}");
        }
    }
}
