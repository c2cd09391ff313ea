//! Layers: their shapes, their first weights, and the passes through them.
//!
//! A layer of `m` inputs and `n` outputs has `m + 1` rows of `n` weights, the last of them the biases; the weights of a
//! network are those of its layers, one after the other. A pass takes some rows at once: all products are of matrices.

use super::Activation;
use crate::linalg::gemm::{Matrix, Write, gemm};
use crate::linear::Features;
use crate::random::unit_of;

/// Shape of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Numbers that come in.
    pub inputs: usize,
    /// Units.
    pub outputs: usize,
}

impl Layer {
    /// Rows of its table: one an input, and the biases.
    pub fn rows(&self) -> usize {
        self.inputs + 1
    }
    /// Weights and biases.
    pub fn parameters(&self) -> usize {
        self.rows() * self.outputs
    }
    /// Weights and biases apart.
    pub fn split<'w>(&self, parameters: &'w [f32]) -> (&'w [f32], &'w [f32]) {
        parameters.split_at(self.inputs * self.outputs)
    }
}

/// The shape of a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    layers: Vec<Layer>,
    activation: Activation,
}

/// What a pass needs beside the weights; kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Pass {
    rows: usize,
    /// By layer its inputs, row by row, and at the end the outputs of the last.
    values: Vec<Vec<f32>>,
    /// Of the layer at hand.
    gradient: Vec<f32>,
    spare: Vec<f32>,
}

impl Pass {
    /// Places for the inputs of `rows` rows.
    pub fn inputs(&mut self, network: &Network, rows: usize) -> impl Iterator<Item = &mut [f32]> {
        self.rows = rows;
        self.values.resize_with(network.layers.len() + 1, Vec::new);
        let columns = network.layers[0].inputs;
        self.values[0].resize(rows * columns, 0.0);
        // Without columns there are no chunks to be had, but every row gets its place.
        let mut rest = &mut self.values[0][..];
        (0..rows).map(move |_| {
            let (row, after) = std::mem::take(&mut rest).split_at_mut(columns);
            rest = after;
            row
        })
    }
    /// The outputs of every row, before the softmax.
    pub fn outputs(&self, network: &Network) -> impl Iterator<Item = &[f32]> {
        self.values.last().into_iter().flat_map(|values| values.chunks_exact(network.outputs()))
    }
}

impl Network {
    /// From `columns` inputs through the hidden layers to one output a class.
    pub fn new(columns: usize, hidden: &[usize], classes: usize, activation: Activation) -> Self {
        let widths: Vec<usize> = [&[columns], hidden, &[classes]].concat();
        let layers = widths.windows(2).map(|w| Layer { inputs: w[0], outputs: w[1] }).collect();
        Network { layers, activation }
    }
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.outputs)
    }
    /// Weights and biases of all layers.
    pub fn parameters(&self) -> usize {
        self.layers.iter().map(Layer::parameters).sum()
    }
    /// The layers with their parts of the weights.
    pub fn parts<'w>(&self, mut weights: &'w [f32]) -> Vec<(Layer, &'w [f32])> {
        let part = |layer: &Layer| {
            let (part, rest) = weights.split_at(layer.parameters());
            weights = rest;
            (*layer, part)
        };
        self.layers.iter().map(part).collect()
    }
    /// First weights of a layer, by row and column: even around 0, and as wide as leaves the variance of values (of
    /// gradients, too, where it can) what it is from layer to layer. Biases begin at 0.
    pub fn first_weights(&self, layer: usize, seed: u64) -> impl Fn(usize, usize) -> f32 + 'static {
        let shape = self.layers[layer];
        let (inputs, both) = (shape.inputs as f64, (shape.inputs + shape.outputs) as f64);
        let is_last = layer + 1 == self.layers.len();
        let bound = match self.activation {
            Activation::Relu if !is_last => (6.0 / inputs).sqrt(),
            // The slope of the sigmoid at 0 is 1/4.
            Activation::Sigmoid if !is_last => 4.0 * (6.0 / both).sqrt(),
            _ => (6.0 / both).sqrt(),
        };
        move |row, column| {
            if row == shape.inputs {
                return 0.0;
            }
            let unit = unit_of([seed, layer as u64, row as u64, column as u64]);
            ((2.0 * unit - 1.0) * bound) as f32
        }
    }
    /// From the inputs to the outputs.
    pub fn forward(&self, weights: &[f32], pass: &mut Pass) {
        for (l, (layer, part)) in self.parts(weights).into_iter().enumerate() {
            let (before, after) = pass.values.split_at_mut(l + 1);
            let (x, z) = (&before[l], &mut after[0]);
            let (w, biases) = layer.split(part);
            z.resize(pass.rows * layer.outputs, 0.0);
            z.chunks_exact_mut(layer.outputs).for_each(|z| z.copy_from_slice(biases));
            let x = Matrix::new(x, pass.rows, layer.inputs);
            gemm(1.0, x, Matrix::new(w, layer.inputs, layer.outputs), Write::Add, z);
            if l + 1 < self.layers.len() {
                self.activate(z);
            }
        }
    }
    /// Replaces the outputs by the derivatives of the loss with respect to them; returns the sum of the losses of all rows.
    pub fn derive(&self, classes: &[usize], pass: &mut Pass) -> f64 {
        let outputs = pass.values.last_mut().expect("a pass has outputs");
        let mut loss = 0.0;
        for (z, class) in outputs.chunks_exact_mut(self.outputs()).zip(classes) {
            let own = f64::from(z[*class]);
            loss += softmax(z) - own;
            z[*class] -= 1.0;
        }
        loss
    }
    /// From the derivatives back to the inputs. `take` is given the gradient of every layer, times `factor`, from the last
    /// on.
    pub fn backward(
        &self,
        weights: &[f32],
        factor: f32,
        pass: &mut Pass,
        mut take: impl FnMut(usize, &mut [f32]),
    ) {
        let Pass { rows, values, gradient, spare } = pass;
        for (l, (layer, part)) in self.parts(weights).into_iter().enumerate().rev() {
            let (before, after) = values.split_at_mut(l + 1);
            let (x, d) = (&mut before[l], &after[0]);
            let derivatives = Matrix::new(d, *rows, layer.outputs);
            gradient.resize(layer.parameters(), 0.0);
            let (of_weights, of_biases) = gradient.split_at_mut(layer.inputs * layer.outputs);
            let turned = Matrix::new(x, *rows, layer.inputs).transposed();
            gemm(factor, turned, derivatives, Write::Replace, of_weights);
            of_biases.fill(0.0);
            for d in d.chunks_exact(layer.outputs) {
                of_biases.iter_mut().zip(d).for_each(|(sum, d)| *sum += factor * d);
            }
            if l > 0 {
                spare.resize(x.len(), 0.0);
                let w = Matrix::new(layer.split(part).0, layer.inputs, layer.outputs);
                gemm(1.0, derivatives, w.transposed(), Write::Replace, spare);
                self.slope(x, spare);
                std::mem::swap(x, spare);
            }
            take(l, gradient);
        }
    }
    fn activate(&self, z: &mut [f32]) {
        match self.activation {
            Activation::Relu => z.iter_mut().for_each(|z| *z = z.max(0.0)),
            Activation::Sigmoid => z.iter_mut().for_each(|z| *z = 1.0 / (1.0 + (-*z).exp())),
        }
    }
    /// Multiplies derivatives by the slopes at what units have given.
    fn slope(&self, values: &[f32], derivatives: &mut [f32]) {
        let pairs = derivatives.iter_mut().zip(values);
        match self.activation {
            Activation::Relu => pairs.for_each(|(d, a)| *d = if *a > 0.0 { *d } else { 0.0 }),
            Activation::Sigmoid => pairs.for_each(|(d, a)| *d *= a * (1.0 - a)),
        }
    }
}

/// Replaces outputs by probabilities; returns `log Σ exp(z)`, without overflow.
pub(super) fn softmax(z: &mut [f32]) -> f64 {
    let largest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for z in z.iter_mut() {
        *z = (*z - largest).exp();
        sum += f64::from(*z);
    }
    let share = (1.0 / sum) as f32;
    z.iter_mut().for_each(|z| *z *= share);
    f64::from(largest) + sum.ln()
}

/// How rows become inputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Inputs {
    columns: usize,
    /// By column: mean, and one over the deviation; empty if rows are taken as they are.
    scales: Vec<[f32; 2]>,
    /// What a row without values becomes.
    blank: Vec<f32>,
}

impl Inputs {
    /// Means and deviations: one a column, or none. A column that does not vary becomes 0.
    pub fn new(columns: usize, standardization: &[[f32; 2]]) -> Self {
        let scale =
            |[mean, deviation]: &[f32; 2]| [*mean, if *deviation > 0.0 { 1.0 / deviation } else { 0.0 }];
        let scales: Vec<[f32; 2]> = standardization.iter().map(scale).collect();
        let blank = match scales.is_empty() {
            true => vec![0.0; columns],
            false => scales.iter().map(|[mean, factor]| -mean * factor).collect(),
        };
        Inputs { columns, scales, blank }
    }
    /// Writes a row; columns that the network does not know are left out.
    pub fn write(&self, row: &(impl Features + ?Sized), to: &mut [f32]) {
        to.copy_from_slice(&self.blank);
        row.for_each(|j, x| {
            if j < self.columns {
                to[j] = match self.scales.get(j) {
                    Some([mean, factor]) => ((x - f64::from(*mean)) * f64::from(*factor)) as f32,
                    None => x as f32,
                };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;

    /// A network with made-up rows: weights, classes, and a pass that has the rows as its inputs.
    fn made(activation: Activation) -> (Network, Vec<f32>, Vec<usize>, Pass) {
        const ROWS: usize = 7;
        // Of this seed no unit is so close to its kink that a slope could be of both sides.
        const SEED: u64 = 5;
        let network = Network::new(5, &[6, 4], 3, activation);
        let mut rng = rng::stream(SEED, 0);
        let mut number = || rng::normal(&mut rng) as f32;
        let weights = (0..network.parameters()).map(|_| 0.7 * number()).collect();
        let mut pass = Pass::default();
        pass.inputs(&network, ROWS).for_each(|row| row.iter_mut().for_each(|x| *x = number()));
        (network, weights, (0..ROWS).map(|i| i % 3).collect(), pass)
    }

    #[test]
    fn gradients_are_slopes() {
        for activation in [Activation::Relu, Activation::Sigmoid] {
            let (network, weights, classes, mut pass) = made(activation);
            let mut loss_at = |weights: &[f32]| {
                network.forward(weights, &mut pass);
                network.derive(&classes, &mut pass)
            };
            let slope = |at: usize| {
                let moved = |by: f32| {
                    let mut weights = weights.clone();
                    weights[at] += by;
                    weights
                };
                // Wide enough that losses, which come from numbers of 24 bits, differ by more than rounding.
                const HALF: f32 = 1.0 / 256.0;
                (loss_at(&moved(HALF)) - loss_at(&moved(-HALF))) / f64::from(2.0 * HALF)
            };
            let slopes: Vec<f64> = (0..weights.len()).map(slope).collect();
            let (_, _, _, mut pass) = made(activation);
            network.forward(&weights, &mut pass);
            network.derive(&classes, &mut pass);
            let mut gradient = vec![vec![]; 3];
            network.backward(&weights, 2.0, &mut pass, |l, g| gradient[l] = g.to_vec());
            for (i, (got, want)) in gradient.concat().iter().zip(&slopes).enumerate() {
                let want = 2.0 * want;
                let error = (f64::from(*got) - want).abs();
                assert!(error < 2e-3 * (1.0 + want.abs()), "{activation:?} {i}: {got} {want}");
            }
            assert!(slopes.iter().filter(|s| s.abs() > 0.01).count() > weights.len() / 2);
        }
    }

    #[test]
    fn softmax_does_not_overflow() {
        let mut z = [1000.0, 1001.0, -1000.0];
        let log_sum = softmax(&mut z);
        assert!((log_sum - (1001.0 + (1.0 + (-1f64).exp()).ln())).abs() < 1e-6, "{log_sum}");
        assert!((z.iter().sum::<f32>() - 1.0).abs() < 1e-6 && z[1] > 0.7 && z[2] == 0.0, "{z:?}");
    }

    #[test]
    fn first_weights_keep_the_variance() {
        let network = Network::new(300, &[200, 100], 10, Activation::Relu);
        for (l, variance) in [(0, 2.0 / 300.0), (1, 2.0 / 200.0), (2, 2.0 / 110.0)] {
            let (first, shape) = (network.first_weights(l, 1), network.layers()[l]);
            let n = (shape.inputs * shape.outputs) as f64;
            let all = || (0..shape.inputs).flat_map(|i| (0..shape.outputs).map(move |j| (i, j)));
            let squares: f64 = all().map(|(i, j)| f64::from(first(i, j)).powi(2)).sum();
            assert!((squares / n / variance - 1.0).abs() < 0.1, "layer {l}");
            assert!((0..shape.outputs).all(|j| first(shape.inputs, j) == 0.0));
        }
        assert_ne!(network.first_weights(0, 1)(0, 0), network.first_weights(0, 2)(0, 0));
    }
}
