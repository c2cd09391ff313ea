//! Neural networks: against a naive implementation, against another program on real data, and what holds for any number of
//! workers.

mod common;

use common::{Rows, data_bytes, data_text};
use slackwater_dataflow::block::{LabeledBlock, LabeledPoint, Vector};
use slackwater_dataflow::{Context, Dataset, rng};
use slackwater_mllib::classification::{Activation, NeuralNetworkModel, NeuralNetworkParams};
use slackwater_mllib::generate::{Classification, Labels};
use slackwater_mllib::model::{Overwrite, load, save};
use slackwater_mllib::optimization::Stop;
use slackwater_paramstore::Consistency;
use std::ops::ControlFlow;

const ALL: [Consistency; 4] =
    [Consistency::Bsp, Consistency::Ssp(3), Consistency::Essp(3), Consistency::Async];

/// Two interleaved half circles with noise, and a column of noise alone: not to be told apart by a line.
fn moons(n: usize, seed: u64) -> Rows {
    let mut rng = rng::stream(seed, 0);
    let mut all = Rows { labels: vec![], rows: vec![], columns: 3 };
    for i in 0..n {
        let (class, t) = (i % 2, std::f64::consts::PI * rng::unit_f64(&mut rng));
        let (x, y) = if class == 0 { (t.cos(), t.sin()) } else { (1.0 - t.cos(), 0.5 - t.sin()) };
        let mut noise = || 0.1 * rng::normal(&mut rng);
        all.rows.push(vec![(0, x + noise()), (1, y + noise()), (2, noise())]);
        all.labels.push([3.0, 7.0][class]);
    }
    all
}

fn partitioned(cx: &Context, rows: &Rows, partitions: usize) -> Dataset<LabeledBlock> {
    let n = rows.labels.len();
    // Blocks of uneven sizes: minibatches are cut without regard to them.
    let blocks = |p: usize| {
        let (from, to) = (p * n / partitions, (p + 1) * n / partitions);
        let cuts = [from, from + (to - from) / 3, to];
        cuts.windows(2).map(|c| rows.block(c[0], c[1])).collect::<Vec<_>>()
    };
    cx.from_partitions((0..partitions).map(blocks).collect())
}

fn fit(params: &NeuralNetworkParams, rows: &Rows, partitions: usize, workers: usize) -> NeuralNetworkModel {
    let cx = Context::local(workers).unwrap();
    params.fit(&partitioned(&cx, rows, partitions)).unwrap()
}

fn accuracy(model: &NeuralNetworkModel, rows: &LabeledBlock) -> f64 {
    let (mut labels, mut right) = (rows.labels.iter(), 0);
    model.for_each(&rows.features, |outputs| {
        right += usize::from(model.class_of(outputs) == *labels.next().unwrap());
    });
    right as f64 / rows.rows() as f64
}

fn quick() -> NeuralNetworkParams {
    NeuralNetworkParams { hidden: vec![16, 8], batch: 10, epochs: 60, step_size: 0.3, ..Default::default() }
}

/// Stochastic gradient descent by plain loops in `f64`.
struct Naive {
    /// By layer and input (the last: the bias), one weight a unit.
    layers: Vec<Vec<Vec<f64>>>,
    activation: Activation,
}

impl Naive {
    fn of(model: &NeuralNetworkModel) -> Self {
        let row = |row: &[f32]| row.iter().copied().map(f64::from).collect();
        let layers = model.layers().map(|(layer, part)| part.chunks(layer.outputs).map(row).collect());
        Naive { layers: layers.collect(), activation: model.params().activation }
    }
    /// What every layer gets, and at the end the outputs.
    fn forward(&self, inputs: &[f64]) -> Vec<Vec<f64>> {
        let mut values = vec![inputs.to_vec()];
        for (l, layer) in self.layers.iter().enumerate() {
            let x = &values[l];
            let unit = |k: usize| {
                let z = layer[x.len()][k] + x.iter().zip(layer).map(|(x, w)| x * w[k]).sum::<f64>();
                match self.activation {
                    _ if l + 1 == self.layers.len() => z,
                    Activation::Relu => z.max(0.0),
                    Activation::Sigmoid => 1.0 / (1.0 + (-z).exp()),
                }
            };
            values.push((0..layer[0].len()).map(unit).collect());
        }
        values
    }
    /// Adds a row's gradient to `sum`; returns its loss.
    fn gradient(&self, inputs: &[f64], class: usize, sum: &mut [Vec<Vec<f64>>]) -> f64 {
        let values = self.forward(inputs);
        let outputs = values.last().unwrap();
        let total: f64 = outputs.iter().map(|z| z.exp()).sum();
        let mut d: Vec<f64> = outputs.iter().map(|z| z.exp() / total).collect();
        let loss = -d[class].ln();
        d[class] -= 1.0;
        for l in (0..self.layers.len()).rev() {
            let x = &values[l];
            for (k, d) in d.iter().enumerate() {
                x.iter().enumerate().for_each(|(j, x)| sum[l][j][k] += d * x);
                sum[l][x.len()][k] += d;
            }
            let back = |j: usize| {
                let through: f64 = d.iter().zip(&self.layers[l][j]).map(|(d, w)| d * w).sum();
                through
                    * match self.activation {
                        Activation::Relu => f64::from(u8::from(x[j] > 0.0)),
                        Activation::Sigmoid => x[j] * (1.0 - x[j]),
                    }
            };
            d = (0..x.len()).map(back).collect();
        }
        loss
    }
    /// Trains as the engine does: every clock takes an equal share of every partition.
    fn train(&mut self, params: &NeuralNetworkParams, rows: &Rows, partitions: usize) -> Vec<f64> {
        let n = rows.labels.len();
        let part = |p: usize| (p * n / partitions, (p + 1) * n / partitions);
        let largest = (0..partitions).map(|p| part(p).1 - part(p).0).max().unwrap();
        let clocks = largest.div_ceil(params.batch);
        let mut losses = vec![];
        let zero = |layer: &Vec<Vec<f64>>| layer.iter().map(|row| vec![0.0; row.len()]).collect();
        let mut velocity: Vec<Vec<Vec<f64>>> = self.layers.iter().map(zero).collect();
        for epoch in 0..params.epochs {
            let step = params.step_size * params.decay.powi(epoch as i32);
            let mut loss = 0.0;
            for clock in 0..clocks {
                let mut sum: Vec<Vec<Vec<f64>>> = self.layers.iter().map(zero).collect();
                for (from, to) in (0..partitions).map(part) {
                    let cut = |c: usize| from + (to - from) * c / clocks;
                    for i in cut(clock)..cut(clock + 1) {
                        let mut x = vec![0.0; rows.columns];
                        rows.rows[i].iter().for_each(|(j, v)| x[*j as usize] = *v);
                        loss += self.gradient(&x, usize::from(rows.labels[i] == 7.0), &mut sum);
                    }
                }
                for (l, layer) in self.layers.iter_mut().enumerate() {
                    let inputs = layer.len() - 1;
                    for (j, row) in layer.iter_mut().enumerate() {
                        let penalty = if j < inputs { params.regularization } else { 0.0 };
                        for (k, w) in row.iter_mut().enumerate() {
                            let g = clocks as f64 / n as f64 * sum[l][j][k] + penalty * *w;
                            let v = &mut velocity[l][j][k];
                            *v = params.momentum * *v - step * g;
                            *w += *v;
                        }
                    }
                }
            }
            losses.push(loss / n as f64);
        }
        losses
    }
}

#[test]
fn as_plain_loops_do_it() {
    let rows = moons(203, 1);
    for (activation, partitions, momentum) in [
        (Activation::Relu, 1, 0.0),
        (Activation::Sigmoid, 1, 0.0),
        (Activation::Relu, 3, 0.0),
        (Activation::Relu, 3, 0.7),
    ] {
        let params = NeuralNetworkParams {
            activation,
            momentum,
            epochs: 3,
            decay: 0.9,
            regularization: 0.01,
            shuffle: false,
            ..quick()
        };
        // A step so small that nothing moves shows the first weights.
        let still = NeuralNetworkParams { step_size: 1e-30, epochs: 1, ..params.clone() };
        let first = fit(&still, &rows, partitions, 2);
        let mut naive = Naive::of(&first);
        let losses = naive.train(&params, &rows, partitions);
        let model = fit(&params, &rows, partitions, 2);
        for (got, want) in model.summary().loss_history.iter().zip(&losses) {
            assert!((got - want).abs() < 1e-5, "{activation:?} {partitions}: {got} {want}");
        }
        let (mut moved, trained) = (0.0f64, Naive::of(&model));
        let before = Naive::of(&first);
        for (l, layer) in naive.layers.iter().enumerate() {
            for (j, row) in layer.iter().enumerate() {
                for (k, want) in row.iter().enumerate() {
                    let got = trained.layers[l][j][k];
                    assert!((got - want).abs() < 2e-5, "{activation:?} layer {l} ({j}, {k}): {got} {want}");
                    moved = moved.max((want - before.layers[l][j][k]).abs());
                }
            }
        }
        assert!(moved > 0.1, "weights have moved: {moved}");
    }
}

#[test]
fn curves_are_learnt_with_any_consistency() {
    let (rows, others) = (moons(600, 2), moons(400, 3).whole());
    for consistency in ALL {
        for workers in [1, 3] {
            let model = fit(&NeuralNetworkParams { consistency, ..quick() }, &rows, 3, workers);
            let share = accuracy(&model, &others);
            assert!(share > 0.97, "{consistency}: {share}");
            let history = &model.summary().loss_history;
            assert!(history.len() == 60 && history[59] < 0.2 * history[0], "{consistency}: {history:?}");
        }
    }
    let line = fit(&NeuralNetworkParams { hidden: vec![], ..quick() }, &rows, 3, 2);
    assert!(
        (0.8..0.93).contains(&accuracy(&line, &others)),
        "without hidden layers: {}",
        accuracy(&line, &others)
    );
    let sigmoid = NeuralNetworkParams { activation: Activation::Sigmoid, step_size: 2.0, ..quick() };
    assert!(accuracy(&fit(&sigmoid, &rows, 3, 2), &others) > 0.97);
}

#[test]
fn the_same_bits_for_any_number_of_workers() {
    let rows = moons(301, 4);
    let params = NeuralNetworkParams { epochs: 4, regularization: 1e-3, standardize: true, ..quick() };
    let one = fit(&params, &rows, 5, 1);
    for workers in [2, 4] {
        assert!(fit(&params, &rows, 5, workers) == one, "{workers}");
    }
    let weights = |model: &NeuralNetworkModel| model.layers().map(|(_, w)| w.to_vec()).collect::<Vec<_>>();
    for other in
        [NeuralNetworkParams { seed: 1, ..params.clone() }, NeuralNetworkParams { shuffle: false, ..params }]
    {
        assert!(weights(&fit(&other, &rows, 5, 2)) != weights(&one), "the seed and the order are used");
    }
}

#[test]
fn columns_of_any_scale() {
    let scale = |rows: &Rows| {
        let mut wild = rows.clone();
        let row = |row: &mut Vec<(u32, f64)>| {
            *row = vec![(0, 1e4 + 300.0 * row[0].1), (1, 1e-3 * row[1].1), (2, row[2].1), (3, 5.0)];
        };
        wild.rows.iter_mut().for_each(row);
        wild.columns = 4;
        wild
    };
    let (rows, others) = (scale(&moons(600, 2)), scale(&moons(400, 3)));
    let model = fit(&NeuralNetworkParams { standardize: true, ..quick() }, &rows, 2, 2);
    assert!(accuracy(&model, &others.whole()) > 0.97, "{}", accuracy(&model, &others.whole()));
    let [mean, deviation] = model.standardization().unwrap()[0];
    assert!((mean - 1e4).abs() < 1e3 && (100.0..400.0).contains(&deviation), "{mean} {deviation}");
    assert_eq!(model.standardization().unwrap()[3][1], 0.0);
}

#[test]
fn rows_one_by_one_and_many_at_once() {
    let rows = moons(700, 5);
    let model = fit(&NeuralNetworkParams { epochs: 5, ..quick() }, &rows, 2, 2);
    assert_eq!((model.classes(), model.columns()), (&[3.0, 7.0][..], 3));
    let block = rows.whole();
    let mut at = 0;
    model.for_each(&block.features, |outputs| {
        let row = block.features.row(at);
        let alone = model.outputs(&row);
        assert!(alone.iter().zip(outputs).all(|(a, b)| (a - b).abs() < 1e-5), "row {at}");
        let probabilities = model.probabilities(&row);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        assert_eq!(model.predict(&row), model.classes()[usize::from(probabilities[1] > probabilities[0])]);
        at += 1;
    });
    assert_eq!(at, 700);
    // Columns that it does not know are left out.
    let wide = Vector::dense([0.3, -0.2, 0.1, 99.0]);
    assert_eq!(model.outputs(&wide), model.outputs(&Vector::dense([0.3, -0.2, 0.1])));
}

#[test]
fn training_ends_and_fails_as_it_should() {
    let rows = moons(200, 6);
    let cx = Context::local(2).unwrap();
    let data = partitioned(&cx, &rows, 2);
    let stopped = NeuralNetworkParams { tolerance: Some(0.05), ..quick() }.fit(&data).unwrap();
    assert_eq!(stopped.summary().stop, Stop::Objective);
    assert!((2..60).contains(&stopped.summary().loss_history.len()));
    let mut seen = vec![];
    let observed = quick().fit_observed(&(&data).into(), None, &mut |progress| {
        seen.push(progress.objective);
        if progress.iteration == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let observed = observed.unwrap();
    assert_eq!((observed.summary().stop, &observed.summary().loss_history), (Stop::Observer, &seen));
    let wild = NeuralNetworkParams { step_size: 1e6, ..quick() };
    let e = wild.fit(&data).unwrap_err();
    assert!(e.exit_code() == 4 && e.to_string().contains("step"), "{e}");
    let labelled = |labels: &[f64]| {
        let point = |y: &f64| LabeledPoint::new(*y, Vector::dense([1.0]));
        quick().fit(&cx.parallelize(labels.iter().map(point).collect::<Vec<_>>(), 2)).unwrap_err()
    };
    assert!(labelled(&[0.0, 1.5]).to_string().contains("label 1.5"));
    assert!(labelled(&[1.0, 1.0]).to_string().contains("nothing to tell apart"));
    assert!(labelled(&[]).to_string().contains("no rows"));
    let many: Vec<f64> = (0..5000).map(f64::from).collect();
    assert!(labelled(&many).to_string().contains("classes"), "{}", labelled(&many));
    let bad = NeuralNetworkParams { batch: 0, ..quick() }.fit(&data).unwrap_err();
    assert_eq!(bad.exit_code(), 2);
    // The engine is none the worse for it; a partition may be empty, and another shorter than its minibatches are many.
    let uneven = cx.from_partitions(vec![vec![rows.block(0, 190)], vec![], vec![rows.block(190, 193)]]);
    let uneven = NeuralNetworkParams { regularization: 1e-3, ..quick() }.fit(&uneven).unwrap();
    assert!(accuracy(&uneven, &rows.whole()) > 0.95);
}

#[test]
fn models_survive_files() {
    let directory = tempfile::tempdir().unwrap();
    let rows = moons(100, 7);
    for standardize in [false, true] {
        let path = directory.path().join(format!("{standardize}.model"));
        let model = fit(&NeuralNetworkParams { epochs: 2, standardize, ..quick() }, &rows, 2, 2);
        save(&model, &path, Overwrite::Refuse).unwrap();
        assert!(load::<NeuralNetworkModel>(&path).unwrap() == model);
        let metadata = path.join("metadata.json");
        let text = std::fs::read_to_string(&metadata).unwrap();
        let (other, changed) =
            (format!("\"standardize\": {}", !standardize), format!("\"standardize\": {standardize}"));
        for (what, other, says) in [
            ("\"columns\": 3", "\"columns\": 4", "rows are missing, or in another order"),
            ("      7.0\n", "      7.0, 8.0\n", "one number a unit"),
            (&changed, &other, "another order"),
        ] {
            assert!(text.contains(what), "{what}: {text}");
            std::fs::write(&metadata, text.replace(what, other)).unwrap();
            let e = load::<NeuralNetworkModel>(&path).unwrap_err();
            assert!(e.exit_code() == 3 && e.to_string().contains(says), "{e}");
        }
    }
}

/// The tutorial of Petuum's networks: very many classes, of which each has a few rows only.
#[test]
fn very_many_classes() {
    let cx = Context::local(2).unwrap();
    let made = Classification { rows: 900, columns: 40, classes: 300, labels: Labels::Centers, noise: 0.3 };
    let rows = made.dataset(&cx, 3, 1);
    let params = NeuralNetworkParams {
        hidden: vec![64, 64],
        batch: 10,
        epochs: 40,
        step_size: 0.3,
        consistency: Consistency::Ssp(5),
        ..Default::default()
    };
    let model = params.fit(&rows).unwrap();
    assert_eq!((model.classes().len(), model.summary().parameters), (300, 41 * 64 + 65 * 64 + 65 * 300));
    let right = rows.filter(move |p| model.predict(&p.features) == p.label).count().unwrap();
    assert!(right > 850, "{right}");
}

/// Iris as scikit-learn ships it: linear discriminants are right about 98 % of all rows.
#[test]
fn iris() {
    let Some(text) = data_text("sklearn_bundled/iris.csv") else { return };
    let mut rows = Rows { labels: vec![], rows: vec![], columns: 4 };
    for line in text.lines().skip(1) {
        let numbers: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
        rows.labels.push(numbers[4]);
        rows.rows.push((0..4).map(|j| (j as u32, numbers[j])).collect());
    }
    let params = NeuralNetworkParams { hidden: vec![10], standardize: true, batch: 5, epochs: 60, ..quick() };
    let share = accuracy(&fit(&params, &rows, 2, 2), &rows.whole());
    assert!(share > 0.97, "{share}");
}

/// Images and labels of one of the two sets of MNIST, pixels from 0 to 1.
fn mnist(which: &str) -> Option<Rows> {
    let images = data_bytes(&format!("mnist/{which}-images-idx3-ubyte.gz"))?;
    let labels = data_bytes(&format!("mnist/{which}-labels-idx1-ubyte.gz"))?;
    let row = |pixels: &[u8]| {
        let filled = pixels.iter().enumerate().filter(|(_, x)| **x > 0);
        filled.map(|(j, x)| (j as u32, f64::from(*x) / 255.0)).collect()
    };
    Some(Rows {
        labels: labels[8..].iter().map(|y| f64::from(*y)).collect(),
        rows: images[16..].chunks_exact(784).map(row).collect(),
        columns: 784,
    })
}

/// MNIST, three epochs of minibatches of 100 rows, without momentum, decay or penalty.
///
/// PyTorch 2 (`float32`, `torch.optim.SGD`, first weights drawn from the same distributions, rows in one random order), mean
/// and deviation of five seeds: mean losses of the epochs, and the share of the test images that are recognised.
#[test]
fn as_good_as_another_program_on_mnist() {
    let (Some(rows), Some(test)) = (mnist("train"), mnist("t10k")) else { return };
    for (hidden, activation, step_size, losses, share) in [
        (vec![128], Activation::Relu, 0.1, [0.4277, 0.2351, 0.1846], 0.9524),
        (vec![128, 64], Activation::Relu, 0.1, [0.3899, 0.1819, 0.1346], 0.9608),
        (vec![128], Activation::Sigmoid, 0.5, [0.4628, 0.2582, 0.2078], 0.9454),
    ] {
        let params = NeuralNetworkParams {
            hidden: hidden.clone(),
            activation,
            step_size,
            epochs: 3,
            // Of each of four partitions.
            batch: 25,
            ..Default::default()
        };
        let model = fit(&params, &rows, 4, 2);
        let (got, history) = (accuracy(&model, &test.whole()), &model.summary().loss_history);
        println!("{hidden:?} {activation:?}: {history:.4?} {got:.4}, PyTorch {losses:?} {share}");
        assert!((got - share).abs() < 0.008, "{hidden:?} {activation:?}: {got}, not {share}");
        for (got, want) in history.iter().zip(losses) {
            assert!((got / want - 1.0).abs() < 0.06, "{hidden:?} {activation:?}: {got}, not {want}");
        }
    }
}
