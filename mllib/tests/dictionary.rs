//! Dictionary learning by turns: against plain loops, against another program on real data, and what holds for any number of
//! workers.

mod common;

use common::{Rows, assert_close, data_text};
use slackwater_dataflow::block::Vector;
use slackwater_dataflow::{Context, rng};
use slackwater_mllib::decomposition::sparse_coding::FirstAtoms;
use slackwater_mllib::decomposition::{DictionaryModel, DictionaryParams};
use slackwater_mllib::model::{Overwrite, load, save};
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::optimization::Stop;

/// Rows that are combinations of two of six random directions, with a little noise, of which a share of the values is kept; the first is
/// empty.
fn combinations(n: usize, columns: usize, share: f64, seed: u64) -> Rows {
    let mut rng = rng::stream(seed, 0);
    let truth: Vec<Vec<f64>> =
        (0..6).map(|_| (0..columns).map(|_| rng::normal(&mut rng)).collect()).collect();
    let mut rows = Rows { labels: vec![0.0; n], rows: vec![], columns };
    for i in 0..n {
        let mut x: Vec<f64> = (0..columns).map(|_| 0.05 * rng::normal(&mut rng)).collect();
        for _ in 0..2 {
            let (atom, s) = (rng::below(&mut rng, 6) as usize, rng::normal(&mut rng));
            x.iter_mut().zip(&truth[atom]).for_each(|(x, b)| *x += s * b);
        }
        let kept = (0..).zip(x).filter(|_| rng::unit_f64(&mut rng) < share && i != 0);
        rows.rows.push(kept.collect());
    }
    rows
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Atoms that look like nothing in particular, of length 1.
fn first(atoms: usize, columns: usize) -> Vec<f64> {
    let value = |j: usize, c: usize| ((5 * j + 3 * c + j * c * c) % 31) as f64 - 15.0;
    let atom = |j| {
        let atom: Vec<f64> = (0..columns).map(|c| value(j, c)).collect();
        let length = dot(&atom, &atom).sqrt();
        atom.into_iter().map(move |x| x / length)
    };
    (0..atoms).flat_map(atom).collect()
}

/// Plain loops over residuals of whole rows.
struct Naive<'a> {
    params: &'a DictionaryParams,
    x: Vec<Vec<f64>>,
    u: Vec<Vec<f64>>,
    v: Vec<Vec<f64>>,
}

impl<'a> Naive<'a> {
    fn new(params: &'a DictionaryParams, rows: &Rows, atoms: &[f64]) -> Self {
        let dense = |row: &Vec<(u32, f64)>| {
            let mut dense = vec![0.0; rows.columns];
            row.iter().for_each(|(j, x)| dense[*j as usize] = *x);
            dense
        };
        Naive {
            params,
            x: rows.rows.iter().map(dense).collect(),
            u: vec![vec![0.0; params.atoms]; rows.rows.len()],
            v: atoms.chunks(rows.columns).map(<[f64]>::to_vec).collect(),
        }
    }
    fn rest(&self, i: usize) -> Vec<f64> {
        let mut rest = self.x[i].clone();
        for (u, v) in self.u[i].iter().zip(&self.v) {
            rest.iter_mut().zip(v).for_each(|(r, v)| *r -= u * v);
        }
        rest
    }
    fn gap(&self, i: usize) -> f64 {
        let (rest, lambda) = (self.rest(i), self.params.lambda);
        let size = |slope: f64| if self.params.non_negative_codes { slope } else { slope.abs() };
        let steepest = self.v.iter().map(|v| size(dot(v, &rest))).fold(0.0, f64::max);
        let scale = if steepest > lambda { lambda / steepest } else { 1.0 };
        let primal = 0.5 * dot(&rest, &rest) + lambda * self.u[i].iter().map(|u| u.abs()).sum::<f64>();
        primal - scale * dot(&self.x[i], &rest) + 0.5 * scale * scale * dot(&rest, &rest)
    }
    fn epoch(&mut self) {
        let p = self.params;
        for i in 0..self.x.len() {
            loop {
                let before = self.u[i].clone();
                for j in 0..p.atoms {
                    let square = dot(&self.v[j], &self.v[j]);
                    let slope = dot(&self.rest(i), &self.v[j]) + square * self.u[i][j];
                    let size = if p.non_negative_codes { slope } else { slope.abs() } - p.lambda;
                    self.u[i][j] =
                        if size > 0.0 && square > 0.0 { size.copysign(slope) / square } else { 0.0 };
                }
                let goal = p.code_tolerance * dot(&self.x[i], &self.x[i]);
                if self.u[i] == before || self.gap(i) <= goal {
                    break;
                }
            }
        }
        for j in 0..p.atoms {
            let square: f64 = self.u.iter().map(|u| u[j] * u[j]).sum();
            if square > 0.0 {
                let mut atom = self.v[j].clone();
                for i in 0..self.x.len() {
                    let u = self.u[i][j];
                    atom.iter_mut().zip(self.rest(i)).for_each(|(v, r)| *v += u * r / square);
                }
                if p.non_negative_atoms {
                    atom.iter_mut().for_each(|v| *v = v.max(0.0));
                }
                let length = dot(&atom, &atom).sqrt();
                self.v[j] = atom.into_iter().map(|v| v / length.max(1.0)).collect();
            }
        }
    }
    fn objective(&self) -> f64 {
        let row = |i: usize| {
            let rest = self.rest(i);
            0.5 * dot(&rest, &rest) + self.params.lambda * self.u[i].iter().map(|u| u.abs()).sum::<f64>()
        };
        (0..self.x.len()).map(row).sum()
    }
}

fn quick() -> DictionaryParams {
    DictionaryParams {
        atoms: 8,
        lambda: 0.3,
        epochs: 8,
        tolerance: 0.0,
        code_tolerance: 1e-5,
        ..Default::default()
    }
}

fn fit(params: &DictionaryParams, rows: &Rows, partitions: usize, workers: usize) -> DictionaryModel {
    let cx = Context::local(workers).unwrap();
    params.fit(&rows.dataset(&cx, partitions)).unwrap()
}

/// The same start, partition by partition and as plain loops; the model.
#[track_caller]
fn check(params: &DictionaryParams, rows: &Rows, partitions: usize) -> DictionaryModel {
    let cx = Context::local(2).unwrap();
    let start = first(params.atoms, rows.columns);
    let model = params.fit_from(&rows.dataset(&cx, partitions), start.clone()).unwrap();
    let mut naive = Naive::new(params, rows, &start);
    let mut before = f64::INFINITY;
    for got in &model.summary().objective_history {
        naive.epoch();
        let want = naive.objective();
        assert!((got - want).abs() <= 1e-10 * want, "{partitions}: {got} {want}");
        assert!(*got <= before * (1.0 + 1e-13), "{partitions}: it rises from {before} to {got}");
        before = *got;
    }
    let want: Vec<f64> = naive.v.concat();
    for (got, want) in model.dictionary().iter().zip(&want) {
        assert!((got - want).abs() <= 1e-10, "{partitions}: {got} {want}");
    }
    let longest = model.dictionary().chunks(rows.columns).map(|v| dot(v, v).sqrt()).fold(0.0, f64::max);
    assert!(longest <= 1.0 + 1e-12, "{longest}");
    assert_eq!(model.summary().objective_history.len(), params.epochs);
    model
}

#[test]
fn as_plain_loops_do_it() {
    for (share, atoms) in [(1.0, 8), (0.3, 5), (1.0, 14)] {
        let rows = combinations(57, 10, share, 1);
        for partitions in [1, 2, 5] {
            check(&DictionaryParams { atoms, ..quick() }, &rows, partitions);
        }
        for (non_negative_codes, non_negative_atoms) in [(true, false), (false, true), (true, true)] {
            check(&DictionaryParams { atoms, non_negative_codes, non_negative_atoms, ..quick() }, &rows, 3);
        }
    }
}

#[test]
fn atoms_of_no_use_and_rows_of_nothing() {
    let rows = combinations(40, 9, 1.0, 2);
    // A weight that no row is worth: no atom moves.
    let model = check(&DictionaryParams { lambda: 1e3, epochs: 3, ..quick() }, &rows, 3);
    assert_eq!((model.summary().unused, model.dictionary()), (8, &first(8, 9)[..]));
    // An atom of zeros stays one.
    let cx = Context::local(2).unwrap();
    let mut start = first(8, 9);
    start[18..27].fill(0.0);
    let model = quick().fit_from(&rows.dataset(&cx, 2), start).unwrap();
    assert_eq!((model.summary().unused, &model.dictionary()[18..27]), (1, &[0.0; 9][..]));
    assert_eq!(model.transform(&Vector::dense([1.0; 9]))[2], 0.0);
    // More atoms than rows or columns, more partitions than rows, and zeros alone.
    let few = combinations(5, 4, 1.0, 3);
    check(&quick(), &few, 7);
    let zeros = Rows { rows: vec![vec![]; 5], labels: vec![0.0; 5], columns: 4 };
    let model = DictionaryParams { tolerance: 1e-5, ..quick() }.fit(&zeros.dataset(&cx, 2)).unwrap();
    let summary = model.summary();
    assert_eq!((summary.objective, summary.stop, summary.unused), (0.0, Stop::Objective, 8));
}

#[test]
fn the_same_bits_for_any_number_of_workers() {
    let rows = combinations(201, 20, 0.6, 4);
    for first_atoms in [FirstAtoms::Rows, FirstAtoms::Random] {
        let params = DictionaryParams { first_atoms, epochs: 4, ..quick() };
        let one = fit(&params, &rows, 5, 1);
        for workers in [2, 4] {
            assert!(fit(&params, &rows, 5, workers) == one, "{workers}");
        }
        let other = fit(&DictionaryParams { seed: 1, ..params }, &rows, 5, 2);
        assert!(other.dictionary() != one.dictionary());
    }
}

#[test]
fn training_ends_and_fails_as_it_should() {
    let rows = combinations(100, 8, 1.0, 5);
    let cx = Context::local(2).unwrap();
    let data = rows.dataset(&cx, 2);
    let stopped = DictionaryParams { tolerance: 0.01, epochs: 500, ..quick() }.fit(&data).unwrap();
    assert_eq!(stopped.summary().stop, Stop::Objective);
    assert!((2..100).contains(&stopped.summary().objective_history.len()));
    let e = DictionaryParams { lambda: 0.0, ..quick() }.fit(&data).unwrap_err();
    assert!(e.exit_code() == 2 && e.to_string().contains("lambda"), "{e}");
    for atoms in [vec![1.0; 63], vec![f64::NAN; 64]] {
        let e = quick().fit_from(&data, atoms).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("atoms"), "{e}");
    }
    let none = cx.from_partitions(vec![vec![rows.block(0, 0)], vec![]]);
    let e = quick().fit(&none).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("no rows"), "{e}");
}

#[test]
fn models_code_rows_and_survive_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("atoms.model");
    let rows = combinations(150, 12, 1.0, 6);
    let model = fit(&quick(), &rows, 2, 2);
    let (mut objective, mut used) = (0.0, 0);
    for row in &rows.rows {
        let mut rest = vec![0.0; 12];
        row.iter().for_each(|(j, x)| rest[*j as usize] = *x);
        let codes = model.transform(&rest[..]);
        rest.iter_mut().zip(model.reconstruct(&codes)).for_each(|(r, y)| *r -= y);
        // Optimality: a slope is λ against the sign of its code, and at most that of a code of 0.
        for (u, atom) in codes.iter().zip(model.dictionary().chunks(12)) {
            let slope = dot(atom, &rest);
            assert!(if *u == 0.0 {
                slope.abs() < 0.3 + 1e-7
            } else {
                (slope - 0.3 * u.signum()).abs() < 1e-7
            });
            used += u64::from(*u != 0.0);
        }
        objective += 0.5 * dot(&rest, &rest) + 0.3 * codes.iter().map(|u| u.abs()).sum::<f64>();
    }
    let cx = Context::local(2).unwrap();
    let metrics = model.metrics(&DatasetRows::from_blocks(&rows.dataset(&cx, 3))).unwrap();
    assert_eq!((metrics.rows, metrics.columns, metrics.codes), (150, 12, used));
    assert_close(metrics.objective, objective, 1e-9);
    assert!(metrics.objective <= model.summary().objective * (1.0 + 1e-12));
    save(&model, &path, Overwrite::Refuse).unwrap();
    assert!(load::<DictionaryModel>(&path).unwrap() == model);
}

/// From the same atoms as scikit-learn, after as many epochs: objectives are at most 1e-3 of theirs above.
#[track_caller]
fn golden(rows: &Rows, params: &DictionaryParams, want: &[(usize, f64)]) {
    let cx = Context::local(2).unwrap();
    let epochs = want.iter().map(|(epochs, _)| *epochs).max().unwrap();
    let params = DictionaryParams { epochs, tolerance: 0.0, ..params.clone() };
    let model = params.fit_from(&rows.dataset(&cx, 4), first(params.atoms, rows.columns)).unwrap();
    let history = &model.summary().objective_history;
    for (epochs, want) in want {
        let got = history[epochs - 1];
        println!("{epochs}: {got} {want}, {:.1e}, {} unused", got / want - 1.0, model.summary().unused);
        assert!(got <= want * (1.0 + 1e-3), "{epochs}: {got} {want}");
    }
    assert!(history.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-13)), "the objective rises");
}

/// `DictionaryLearning(20, alpha=0.5, max_iter=T, tol=0, fit_algorithm='cd', transform_algorithm='lasso_cd', dict_init=D,
/// code_init=zeros)` of scikit-learn 1.9.1 on the first 600 digits over 16, `D` as [`first`] makes it; the last of its `error_`.
#[test]
fn digits_as_another_program_has_them() {
    let Some(text) = data_text("sklearn_bundled/digits.csv.gz") else { return };
    let mut rows = Rows { labels: vec![0.0; 600], rows: vec![], columns: 64 };
    for line in text.lines().take(600) {
        let values = line.split(',').take(64).map(|x| x.parse::<f64>().unwrap() / 16.0);
        rows.rows.push((0..).zip(values).filter(|(_, x)| *x != 0.0).collect());
    }
    golden(
        &rows,
        &DictionaryParams { atoms: 20, lambda: 0.5, ..quick() },
        &[(1, 2315.6962448553454), (10, 1462.9771302149145), (50, 1458.0721294477512)],
    );
}

/// The same with 15 atoms and `alpha=1` on the 30 columns of breast_cancer, each less its mean and over its deviation.
#[test]
fn cells_as_another_program_has_them() {
    let Some(text) = data_text("sklearn_bundled/breast_cancer.csv") else { return };
    let parse = |line: &str| line.split(',').take(30).map(|x| x.parse().unwrap()).collect();
    let mut values: Vec<Vec<f64>> = text.lines().skip(1).map(parse).collect();
    let n = values.len();
    for j in 0..30 {
        let mean = values.iter().map(|x| x[j]).sum::<f64>() / n as f64;
        let deviation = (values.iter().map(|x| (x[j] - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        values.iter_mut().for_each(|x| x[j] = (x[j] - mean) / deviation);
    }
    let rows = values.into_iter().map(|x| (0..).zip(x).collect()).collect();
    let rows = Rows { labels: vec![0.0; n], rows, columns: 30 };
    golden(
        &rows,
        &DictionaryParams { atoms: 15, lambda: 1.0, ..quick() },
        &[(1, 5571.953965879102), (10, 3781.4340489285214), (50, 3732.10504799269)],
    );
}
