//! Parameters of neural networks.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_paramstore::{Consistency, Rule};
use std::str::FromStr;

/// What a hidden unit makes of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// `max(0, z)`.
    Relu,
    /// `1 / (1 + exp(-z))`.
    Sigmoid,
}

impl Activation {
    /// Name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::Sigmoid => "sigmoid",
        }
    }
}

impl FromStr for Activation {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Activation::Relu, Activation::Sigmoid].into_iter().find(|a| a.name() == name);
        found.ok_or_else(|| format!("`{name}` is not one of relu, sigmoid"))
    }
}

/// Hidden layers at most: gradients of more vanish or explode without means that are not here.
const LAYERS_MAX: usize = 64;

/// Parameters of a fully connected network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeuralNetworkParams {
    /// Units of the hidden layers, from the inputs on; none: softmax regression.
    pub hidden: Vec<usize>,
    /// What hidden units make of their input.
    pub activation: Activation,
    /// Passes over the rows at most.
    pub epochs: usize,
    /// Step of the first epoch, along the mean gradient of a clock.
    pub step_size: f64,
    /// Factor of the step from epoch to epoch.
    pub decay: f64,
    /// Share of the last step that is taken again, beside the new one: at least 0, below 1.
    pub momentum: f64,
    /// Weight of half the squares of weights (not of biases), beside the mean loss.
    pub regularization: f64,
    /// Rows of each partition in a clock.
    pub batch: usize,
    /// Puts the rows of each partition into a random order, once, before training.
    pub shuffle: bool,
    /// Shifts and scales columns to mean 0 and deviation 1, also those of rows that are predicted.
    pub standardize: bool,
    /// How old the weights may be that a minibatch reads.
    pub consistency: Consistency,
    /// Ends the training after an epoch in which the loss fell by less than this share.
    pub tolerance: Option<f64>,
    /// Seed of the first weights and of the order of rows.
    pub seed: u64,
}

impl Default for NeuralNetworkParams {
    fn default() -> Self {
        NeuralNetworkParams {
            hidden: vec![100],
            activation: Activation::Relu,
            epochs: 20,
            step_size: 0.1,
            decay: 1.0,
            momentum: 0.0,
            regularization: 0.0,
            batch: 32,
            shuffle: true,
            standardize: false,
            consistency: Consistency::Bsp,
            tolerance: None,
            seed: 42,
        }
    }
}

impl NeuralNetworkParams {
    /// What shards make of the increments of a clock.
    pub(super) fn rule(&self) -> Rule {
        match self.momentum {
            0.0 => Rule::Increment,
            momentum => Rule::Momentum { momentum },
        }
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        require(self.hidden.iter().all(|units| *units >= 1), "hidden", || {
            "a layer has at least 1 unit".into()
        })?;
        require(self.hidden.len() <= LAYERS_MAX, "hidden", || {
            format!("must be at most {LAYERS_MAX} layers, not {}", self.hidden.len())
        })?;
        require(self.epochs >= 1, "epochs", || "must be at least 1".into())?;
        require(self.batch >= 1, "batch", || "must be at least 1".into())?;
        let (step, penalty) = (self.step_size, self.regularization);
        require(step > 0.0 && step.is_finite(), "step_size", || {
            format!("must be a positive number, not {step}")
        })?;
        require(self.decay > 0.0 && self.decay <= 1.0, "decay", || {
            format!("must be above 0 and at most 1, not {}", self.decay)
        })?;
        require((0.0..1.0).contains(&self.momentum), "momentum", || {
            format!("must be at least 0 and below 1, not {}", self.momentum)
        })?;
        require(penalty >= 0.0 && penalty.is_finite(), "regularization", || {
            format!("must be at least 0, not {penalty}")
        })?;
        require(step * penalty < 1.0, "step_size", || {
            format!("must be below {} here, so that the penalty alone does not overshoot", 1.0 / penalty)
        })?;
        require(self.tolerance.is_none_or(|t| t >= 0.0), "tolerance", || "must be at least 0".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = NeuralNetworkParams::default;
        good().check().unwrap();
        NeuralNetworkParams { hidden: vec![], ..good() }.check().unwrap();
        for (bad, name) in [
            (NeuralNetworkParams { hidden: vec![3, 0], ..good() }, "hidden"),
            (NeuralNetworkParams { hidden: vec![1; 65], ..good() }, "hidden"),
            (NeuralNetworkParams { epochs: 0, ..good() }, "epochs"),
            (NeuralNetworkParams { batch: 0, ..good() }, "batch"),
            (NeuralNetworkParams { step_size: f64::NAN, ..good() }, "step_size"),
            (NeuralNetworkParams { step_size: 3.0, regularization: 0.5, ..good() }, "step_size"),
            (NeuralNetworkParams { decay: 0.0, ..good() }, "decay"),
            (NeuralNetworkParams { momentum: 1.0, ..good() }, "momentum"),
            (NeuralNetworkParams { regularization: -1.0, ..good() }, "regularization"),
            (NeuralNetworkParams { tolerance: Some(-1.0), ..good() }, "tolerance"),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for activation in [Activation::Relu, Activation::Sigmoid] {
            assert_eq!(activation.name().parse(), Ok(activation));
        }
        assert!("tanh".parse::<Activation>().is_err());
    }
}
