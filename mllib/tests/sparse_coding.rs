//! Sparse coding: against plain loops, against another program on real data, and what holds for any number of workers.

mod common;

use common::{Rows, data_text};
use slackwater_dataflow::block::Vector;
use slackwater_dataflow::{Context, rng};
use slackwater_mllib::decomposition::sparse_coding::FirstAtoms;
use slackwater_mllib::decomposition::{SparseCodingModel, SparseCodingParams};
use slackwater_mllib::model::{Overwrite, load, save};
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::optimization::Stop;
use slackwater_paramstore::Consistency;
use std::ops::ControlFlow;

const ALL: [Consistency; 4] =
    [Consistency::Bsp, Consistency::Ssp(3), Consistency::Essp(3), Consistency::Async];

/// Rows that are combinations of three of `atoms` random directions, with a little noise; and those directions.
fn planted(n: usize, atoms: usize, columns: usize, seed: u64) -> (Rows, Vec<Vec<f64>>) {
    let mut rng = rng::stream(seed, 0);
    let mut direction = || {
        let x: Vec<f64> = (0..columns).map(|_| rng::normal(&mut rng)).collect();
        let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        x.into_iter().map(|x| x / length).collect::<Vec<f64>>()
    };
    let truth: Vec<Vec<f64>> = (0..atoms).map(|_| direction()).collect();
    let mut rows = Rows { labels: vec![0.0; n], rows: vec![], columns };
    for _ in 0..n {
        let mut x: Vec<f64> = (0..columns).map(|_| 0.01 * rng::normal(&mut rng)).collect();
        for _ in 0..3 {
            let (atom, size) = (rng::below(&mut rng, atoms as u64) as usize, 1.0 + rng::unit_f64(&mut rng));
            let s = if rng::unit_f64(&mut rng) < 0.5 { size } else { -size };
            x.iter_mut().zip(&truth[atom]).for_each(|(x, b)| *x += s * b);
        }
        rows.rows.push((0..).zip(x).collect());
    }
    (rows, truth)
}

fn fit(params: &SparseCodingParams, rows: &Rows, partitions: usize, workers: usize) -> SparseCodingModel {
    let cx = Context::local(workers).unwrap();
    params.fit(&rows.dataset(&cx, partitions)).unwrap()
}

fn quick() -> SparseCodingParams {
    SparseCodingParams { atoms: 15, lambda: 0.1, batch: 50, epochs: 30, ..Default::default() }
}

/// Of how many true directions the model has an atom along it, or against it.
fn found(model: &SparseCodingModel, truth: &[Vec<f64>]) -> usize {
    let along = |direction: &Vec<f64>| {
        let cosine = |atom: &[f32]| {
            let length = atom.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>().sqrt();
            atom.iter().zip(direction).map(|(b, t)| f64::from(*b) * t).sum::<f64>().abs() / length
        };
        model.dictionary().chunks(model.columns()).map(cosine).fold(0.0, f64::max)
    };
    truth.iter().filter(|direction| along(direction) > 0.98).count()
}

/// Projected gradient descent by plain loops in `f64`.
struct Naive<'a> {
    params: &'a SparseCodingParams,
    /// By partition: its rows, in the order of training.
    parts: Vec<Vec<Vec<f64>>>,
    atoms: Vec<Vec<f64>>,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Naive<'_> {
    /// Some passes over the codes of a row; returns what they leave of it.
    fn code(&self, x: &[f64], codes: &mut [f64]) -> Vec<f64> {
        let mut rest = x.to_vec();
        for (atom, s) in self.atoms.iter().zip(codes.iter()) {
            rest.iter_mut().zip(atom).for_each(|(r, b)| *r -= s * b);
        }
        for _ in 0..self.params.passes {
            for (atom, s) in self.atoms.iter().zip(codes.iter_mut()) {
                let (square, before) = (dot(atom, atom), *s);
                let u = dot(&rest, atom) + square * before;
                let is_out = self.params.non_negative_codes && u < 0.0;
                *s = if is_out { 0.0 } else { u.signum() * (u.abs() - self.params.lambda).max(0.0) / square };
                rest.iter_mut().zip(atom).for_each(|(r, b)| *r -= (*s - before) * b);
            }
        }
        rest
    }
    fn project(&mut self) {
        for atom in &mut self.atoms {
            if self.params.non_negative_atoms {
                atom.iter_mut().for_each(|b| *b = b.max(0.0));
            }
            let length = dot(atom, atom).sqrt();
            if length > self.params.bound {
                atom.iter_mut().for_each(|b| *b *= self.params.bound / length);
            }
        }
    }
    /// Returns the mean objective of every epoch.
    fn train(&mut self) -> Vec<f64> {
        let (params, k, d) = (self.params, self.atoms.len(), self.atoms[0].len());
        let n: usize = self.parts.iter().map(Vec::len).sum();
        let clocks = self.parts.iter().map(Vec::len).max().unwrap().div_ceil(params.batch);
        let mut codes: Vec<Vec<Vec<f64>>> = self.parts.iter().map(|p| vec![vec![0.0; k]; p.len()]).collect();
        let mut curvature = vec![(vec![0.0; k], 0); self.parts.len()];
        let mut losses = vec![];
        for epoch in 0..params.epochs {
            let mut loss = 0.0;
            for clock in 0..clocks {
                let mut steps = vec![vec![0.0; d]; k];
                for (p, part) in self.parts.iter().enumerate() {
                    let cut = |c: usize| part.len() * c / clocks;
                    let (mut direction, mut products) = (vec![vec![0.0; d]; k], vec![vec![0.0; k]; k]);
                    for i in cut(clock)..cut(clock + 1) {
                        let rest = self.code(&part[i], &mut codes[p][i]);
                        let s = &codes[p][i];
                        loss +=
                            0.5 * dot(&rest, &rest) + params.lambda * s.iter().map(|s| s.abs()).sum::<f64>();
                        for j in 0..k {
                            direction[j].iter_mut().zip(&rest).for_each(|(g, r)| *g += s[j] * r);
                            products[j].iter_mut().zip(s).for_each(|(h, other)| *h += s[j] * other);
                        }
                    }
                    let rows = (cut(clock + 1) - cut(clock)) as f64;
                    let (mean, seen) = &mut curvature[p];
                    *seen += 1;
                    for j in 0..k {
                        let bound = products[j].iter().map(|h| h.abs()).sum::<f64>() / rows;
                        mean[j] += (bound - mean[j]) * f64::max(1.0 / f64::from(*seen), 0.05);
                        let step =
                            params.step_size * params.decay.powi(epoch as i32) * clocks as f64 / n as f64;
                        let held = f64::max(mean[j], bound);
                        if held > 0.0 {
                            steps[j].iter_mut().zip(&direction[j]).for_each(|(b, g)| *b += step / held * g);
                        }
                    }
                }
                for (atom, step) in self.atoms.iter_mut().zip(&steps) {
                    atom.iter_mut().zip(step).for_each(|(b, step)| *b += step);
                }
                self.project();
            }
            losses.push(loss / n as f64);
        }
        losses
    }
}

#[test]
fn as_plain_loops_do_it() {
    let (rows, _) = planted(181, 8, 10, 2);
    for (partitions, non_negative) in [(1, false), (3, false), (3, true)] {
        let params = SparseCodingParams {
            atoms: 12,
            lambda: 0.2,
            bound: 0.8,
            non_negative_codes: non_negative,
            non_negative_atoms: non_negative,
            epochs: 4,
            decay: 0.9,
            batch: 20,
            ..quick()
        };
        // A step so small that nothing moves shows the first atoms.
        let still = SparseCodingParams { step_size: 1e-30, epochs: 1, ..params.clone() };
        let wide = |model: &SparseCodingModel| -> Vec<Vec<f64>> {
            model.dictionary().chunks(10).map(|a| a.iter().copied().map(f64::from).collect()).collect()
        };
        let first = wide(&fit(&still, &rows, partitions, 2));
        let n = rows.labels.len();
        let part = |p: usize| {
            let mut part: Vec<Vec<f64>> = (p * n / partitions..(p + 1) * n / partitions)
                .map(|i| rows.rows[i].iter().map(|(_, x)| *x).collect())
                .collect();
            let mut rng = rng::stream(params.seed, p as u64);
            for i in (1..part.len()).rev() {
                part.swap(i, rng::below(&mut rng, i as u64 + 1) as usize);
            }
            part
        };
        let mut naive =
            Naive { params: &params, parts: (0..partitions).map(part).collect(), atoms: first.clone() };
        let losses = naive.train();
        let model = fit(&params, &rows, partitions, 2);
        for (got, want) in model.summary().objective_history.iter().zip(&losses) {
            assert!((got - want).abs() < 2e-6, "{partitions}: {got} {want}");
        }
        let (mut error, mut moved, mut longest) = (0f64, 0f64, 0f64);
        for ((got, want), first) in wide(&model).iter().zip(&naive.atoms).zip(&first) {
            longest = longest.max(dot(got, got).sqrt());
            for ((got, want), first) in got.iter().zip(want).zip(first) {
                error = error.max((got - want).abs());
                moved = moved.max((want - first).abs());
                assert!(!non_negative || *got >= 0.0);
            }
        }
        println!("{partitions} {non_negative}: moved by {moved:.3}, error {error:.1e}, longest {longest}");
        assert!(
            error < 2e-6 && moved > 0.2 && (longest - 0.8).abs() < 1e-6,
            "{partitions}: {error:e} {moved}"
        );
    }
}

#[test]
fn a_planted_dictionary_is_found_with_any_consistency() {
    let (rows, truth) = planted(1200, 15, 20, 1);
    let params =
        SparseCodingParams { atoms: 25, lambda: 0.05, epochs: 40, step_size: 2.0, batch: 20, ..quick() };
    for consistency in ALL {
        for workers in [1, 3] {
            let model = fit(&SparseCodingParams { consistency, ..params.clone() }, &rows, 3, workers);
            let (summary, found) = (model.summary(), found(&model, &truth));
            println!(
                "{consistency} {workers}: {found} of 15, objective {:.4} {:.4}, {} unused",
                summary.objective_history[0], summary.objective, summary.unused
            );
            let least = if consistency == Consistency::Bsp { 15 } else { 12 };
            assert!(found >= least, "{consistency} {workers}: {found}");
            assert!(summary.objective < 0.6 * summary.objective_history[0], "{consistency}: {summary:?}");
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_workers() {
    let (rows, _) = planted(301, 10, 12, 3);
    for first_atoms in [FirstAtoms::Rows, FirstAtoms::Random] {
        let params = SparseCodingParams { epochs: 4, batch: 25, first_atoms, ..quick() };
        let one = fit(&params, &rows, 5, 1);
        for workers in [2, 4] {
            assert!(fit(&params, &rows, 5, workers) == one, "{workers}");
        }
        assert!(fit(&SparseCodingParams { seed: 1, ..params }, &rows, 5, 2).dictionary() != one.dictionary());
    }
}

#[test]
fn scales_do_not_matter() {
    let (rows, _) = planted(200, 10, 12, 4);
    let mut large = rows.clone();
    large.rows.iter_mut().flatten().for_each(|(_, x)| *x *= 256.0);
    let one = fit(&quick(), &rows, 2, 2);
    let params = SparseCodingParams { lambda: quick().lambda * 256.0, ..quick() };
    let other = fit(&params, &large, 2, 2);
    assert!(one.dictionary().iter().zip(other.dictionary()).all(|(a, b)| (a - b).abs() < 1e-3));
    let (a, b) = (one.summary().objective * 65536.0, other.summary().objective);
    assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
}

#[test]
fn training_ends_and_fails_as_it_should() {
    let (rows, _) = planted(200, 10, 12, 5);
    let cx = Context::local(2).unwrap();
    let data = rows.dataset(&cx, 2);
    let stopped = SparseCodingParams { tolerance: Some(0.01), epochs: 500, ..quick() }.fit(&data).unwrap();
    assert_eq!(stopped.summary().stop, Stop::Objective);
    assert!((2..100).contains(&stopped.summary().objective_history.len()));
    let mut seen = vec![];
    let observed = quick().fit_observed(&(&data).into(), None, &mut |progress| {
        seen.push(progress.objective);
        if progress.iteration == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let observed = observed.unwrap();
    assert_eq!((observed.summary().stop, &observed.summary().objective_history), (Stop::Observer, &seen));
    // Atoms beyond the rows begin as random ones; a weight that no row is worth leaves them all unused.
    let few = cx.from_partitions(vec![vec![rows.block(0, 6)], vec![], vec![rows.block(6, 7)]]);
    let model = SparseCodingParams { lambda: 1e3, ..quick() }.fit(&few).unwrap();
    assert_eq!((model.summary().unused, model.summary().rows), (15, 7));
    let e = SparseCodingParams { lambda: 0.0, ..quick() }.fit(&data).unwrap_err();
    assert!(e.exit_code() == 2 && e.to_string().contains("lambda"), "{e}");
    let none = cx.from_partitions(vec![vec![rows.block(0, 0)], vec![]]);
    let e = quick().fit(&none).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("no rows"), "{e}");
    let zeros = Rows { rows: vec![vec![]; 5], labels: vec![0.0; 5], columns: 4 };
    let e = quick().fit(&zeros.dataset(&cx, 2)).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("zeros"), "{e}");
}

#[test]
fn models_code_rows_and_survive_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("atoms.model");
    let (rows, _) = planted(300, 10, 12, 6);
    let model = fit(&SparseCodingParams { epochs: 5, ..quick() }, &rows, 2, 2);
    let block = rows.whole();
    let (mut at, mut objective, mut residual, mut square, mut codes_in_all) = (0, 0.0, 0.0, 0.0, 0);
    model.for_each(&block.features, |codes| {
        let row = block.features.row(at);
        assert_eq!(codes, model.transform(&row));
        let rest =
            model.reconstruct(codes).into_iter().zip(row.values).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        objective += 0.5 * rest + 0.1 * codes.iter().map(|s| s.abs()).sum::<f64>();
        residual += rest;
        square += row.values.iter().map(|x| x * x).sum::<f64>();
        codes_in_all += codes.iter().filter(|s| **s != 0.0).count() as u64;
        at += 1;
    });
    let cx = Context::local(2).unwrap();
    let metrics = model.metrics(&DatasetRows::from_blocks(&rows.dataset(&cx, 3))).unwrap();
    assert_eq!((at, metrics.rows, metrics.codes, metrics.columns), (300, 300, codes_in_all, 12));
    for (got, want) in [
        (metrics.objective, objective),
        (metrics.residual, residual),
        (metrics.square, square),
        (metrics.mean_objective(), model.summary().objective),
        (metrics.relative_error(), residual / square),
    ] {
        assert!((got - want).abs() < 1e-9 * (1.0 + want), "{got} {want}");
    }
    // Columns that it does not know are left out, of the row and of its length.
    let row = |extra: &[f64]| Vector::dense([&[1.0; 12][..], extra].concat());
    assert_eq!(model.transform(&row(&[99.0])), model.transform(&row(&[])));
    save(&model, &path, Overwrite::Refuse).unwrap();
    assert!(load::<SparseCodingModel>(&path).unwrap() == model);
    let metadata = path.join("metadata.json");
    let text = std::fs::read_to_string(&metadata).unwrap();
    for (what, other, says) in [
        ("\"columns\": 12", "\"columns\": 11", "atom 0 has not 11"),
        ("\"atoms\": 15", "\"atoms\": 16", "there are not 16"),
        ("\"atoms\": 15", "\"atoms\": 0", "there are none"),
    ] {
        assert!(text.contains(what), "{what}: {text}");
        std::fs::write(&metadata, text.replace(what, other)).unwrap();
        let e = load::<SparseCodingModel>(&path).unwrap_err();
        assert!(e.exit_code() == 3 && e.to_string().contains(says), "{e}");
    }
}

fn digits() -> Option<Rows> {
    let text = data_text("sklearn_bundled/digits.csv.gz")?;
    let mut rows = Rows { labels: vec![], rows: vec![], columns: 64 };
    for line in text.lines() {
        let numbers: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
        rows.labels.push(numbers[64]);
        let filled = (0..).zip(&numbers[..64]).filter(|(_, x)| **x != 0.0);
        rows.rows.push(filled.map(|(j, x)| (j, x / 16.0)).collect());
    }
    Some(rows)
}

/// Digits, divided by 16, 32 atoms, λ = 0.2: the mean objective of a row with exact codes. scikit-learn 1.9.1,
/// `DictionaryLearning(32, alpha=0.2, fit_algorithm="cd", tol=1e-8, max_iter=..)` with 30 passes over the rows and with 100,
/// and `MiniBatchDictionaryLearning(32, alpha=0.2, batch_size=100, max_iter=30, fit_algorithm="cd", tol=0,
/// max_no_improvement=None)`, the best of three seeds; with `positive_code=True, positive_dict=True` or without; measured
/// with `sparse_encode(x, atoms, algorithm="lasso_cd", alpha=0.2)`.
#[test]
fn as_good_as_another_program_on_digits() {
    let Some(rows) = digits() else { return };
    // (non-negative, after 30 passes in all, minibatches, after 100).
    for (non_negative, thirty, minibatch, hundred) in
        [(false, Some(1.2793), 1.2996, 1.2599), (true, None, 1.3135, 1.2992)]
    {
        let objective = |step_size: f64, epochs: usize, decay: f64, consistency: Consistency| {
            let params = SparseCodingParams {
                atoms: 32,
                lambda: 0.2,
                step_size,
                epochs,
                decay,
                // Of each of four partitions.
                batch: 25,
                consistency,
                non_negative_codes: non_negative,
                non_negative_atoms: non_negative,
                ..quick()
            };
            fit(&params, &rows, 4, 2).summary().objective
        };
        let short = objective(1.0, 30, 0.95, Consistency::Bsp);
        let long = objective(2.0, 100, 0.97, Consistency::Bsp);
        println!("{non_negative}: {short:.4}, {long:.4}; scikit-learn {thirty:?}, {minibatch} and {hundred}");
        assert!(short < thirty.unwrap_or(minibatch) && short < minibatch, "{short}");
        assert!(long < 1.005 * hundred, "{long}");
        for consistency in &ALL[1..] {
            let stale = objective(1.0, 30, 0.95, *consistency);
            println!("{consistency}: {stale:.4}");
            assert!(stale < 1.02 * short, "{consistency}: {stale}");
        }
    }
}
