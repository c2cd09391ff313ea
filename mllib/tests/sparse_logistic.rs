//! Sparse logistic regression, against accelerated proximal gradients and optima of scikit-learn, with gaps computed again.

mod common;

use common::design::{Data, csv};
use common::{assert_close, data_text};
use slackwater_dataflow::Context;
use slackwater_mllib::classification::{SparseLogisticFit, SparseLogisticParams};
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::optimization::silent;
use slackwater_mllib::regression::lasso::{Chooser, Design, Folds, Penalties, Rule, ScheduleParams};

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn log_loss(z: f64) -> f64 {
    (-z.abs()).exp().ln_1p() + (-z).max(0.0)
}

/// Rows of two classes: labels 0 and 1 by what `Data::random` has for targets, above a quantile, some of them turned round.
fn two_classes(rows: usize, columns: usize, density: f64, seed: u64, positive: f64) -> Data {
    let mut data = Data::random(rows, columns, density, seed);
    let mut sorted = data.targets.clone();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted[((1.0 - positive) * rows as f64) as usize];
    for (i, y) in data.targets.iter_mut().enumerate() {
        *y = f64::from((*y >= cut) != (i % 7 == 3));
    }
    data
}

/// A problem from its definition: columns as they are penalised, signs, the penalty.
struct Problem {
    columns: Vec<Vec<f64>>,
    signs: Vec<f64>,
    intercept: bool,
    penalty: f64,
    l1_ratio: f64,
}

impl Problem {
    fn new(data: &Data, params: &SparseLogisticParams) -> Self {
        let (prepared, _) = data.prepared(params.intercept, params.standardize);
        let positive = data.targets.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sign = |y: &f64| if *y == positive { 1.0 } else { -1.0 };
        // What does not vary has no scale.
        let mut columns = prepared.columns;
        columns.iter_mut().filter(|x| !x[0].is_finite()).for_each(|x| x.fill(0.0));
        Problem {
            columns,
            signs: data.targets.iter().map(sign).collect(),
            intercept: params.intercept,
            penalty: 0.0,
            l1_ratio: params.l1_ratio,
        }
    }
    fn margins(&self, w: &[f64], b: f64) -> Vec<f64> {
        let mut z = vec![b; self.signs.len()];
        for (x, w) in self.columns.iter().zip(w).filter(|(_, w)| **w != 0.0) {
            z.iter_mut().zip(x).for_each(|(z, x)| *z += w * x);
        }
        z
    }
    fn loss(&self, z: &[f64]) -> f64 {
        z.iter().zip(&self.signs).map(|(z, y)| log_loss(y * z)).sum::<f64>() / z.len() as f64
    }
    fn objective(&self, w: &[f64], b: f64) -> f64 {
        let l1: f64 = w.iter().map(|w| w.abs()).sum();
        let ridge = 0.5 * (1.0 - self.l1_ratio) * dot(w, w);
        self.loss(&self.margins(w, b)) + self.penalty * (self.l1_ratio * l1 + ridge)
    }
    fn residual(&self, z: &[f64]) -> Vec<f64> {
        z.iter().zip(&self.signs).map(|(z, y)| y / (1.0 + (y * z).exp())).collect()
    }
    /// Products of columns with the residual, less what ridge adds, divided by the number of rows; and the mean residual.
    fn gradient(&self, w: &[f64], b: f64) -> (Vec<f64>, f64) {
        let (r, n) = (self.residual(&self.margins(w, b)), self.signs.len() as f64);
        let ridge = self.penalty * (1.0 - self.l1_ratio);
        let slopes = self.columns.iter().zip(w).map(|(x, w)| dot(x, &r) / n - ridge * w).collect();
        (slopes, r.iter().sum::<f64>() / n)
    }
    /// The gap, from the definition.
    fn gap(&self, w: &[f64], b: f64) -> f64 {
        let mut r = self.residual(&self.margins(w, b));
        let n = r.len() as f64;
        if self.intercept {
            let positive: f64 = r.iter().filter(|r| **r > 0.0).sum();
            let negative: f64 = -r.iter().filter(|r| **r < 0.0).sum::<f64>();
            let (up, down) = ((negative / positive).min(1.0), (positive / negative).min(1.0));
            r.iter_mut().for_each(|r| *r *= if *r > 0.0 { up } else { down });
        }
        let (alpha, mu) = (self.penalty * self.l1_ratio, self.penalty * (1.0 - self.l1_ratio));
        let products = self.columns.iter().zip(w).map(|(x, w)| (dot(x, &r) / n - mu * w).abs());
        let scale = (alpha / products.fold(0.0, f64::max)).min(1.0);
        let entropy = |a: f64| -a * a.ln() - (1.0 - a) * (-a).ln_1p();
        let entropies = r.iter().map(|r| entropy(scale * r.abs())).sum::<f64>() / n;
        self.objective(w, b) - (entropies - 0.5 * mu * scale * scale * dot(w, w))
    }
    /// Accelerated proximal gradients, begun again where they go astray, until the gap is below `1e-11`.
    fn minimize(&self) -> (Vec<f64>, f64) {
        let (n, p) = (self.signs.len() as f64, self.columns.len());
        // The largest curvature: of columns and a one.
        let squares: f64 = self.columns.iter().map(|x| dot(x, x)).sum::<f64>() + n;
        let mut v = vec![1.0; p + 1];
        for _ in 0..200 {
            let z = self.margins(&v[..p], v[p]);
            v = self.columns.iter().map(|x| dot(x, &z)).chain([z.iter().sum()]).collect();
            let norm = dot(&v, &v).sqrt();
            v.iter_mut().for_each(|v| *v /= norm);
        }
        let z = self.margins(&v[..p], v[p]);
        let curvature = (1.05 * dot(&z, &z)).min(squares) / (4.0 * n) + self.penalty * (1.0 - self.l1_ratio);
        let (mut at, mut ahead, mut t) = (vec![0.0; p + 1], vec![0.0; p + 1], 1.0f64);
        for k in 0..400_000 {
            let (slopes, mean) = self.gradient(&ahead[..p], ahead[p]);
            let mut next: Vec<f64> = (0..p)
                .map(|j| {
                    let z = ahead[j] + slopes[j] / curvature;
                    (z.abs() - self.penalty * self.l1_ratio / curvature).max(0.0).copysign(z)
                })
                .collect();
            next.push(if self.intercept { ahead[p] + mean / curvature } else { 0.0 });
            let astray: f64 = (0..=p).map(|j| (ahead[j] - next[j]) * (next[j] - at[j])).sum();
            let then = if astray > 0.0 { 1.0 } else { 0.5 * (1.0 + (1.0 + 4.0 * t * t).sqrt()) };
            let share = if astray > 0.0 { 0.0 } else { (t - 1.0) / then };
            ahead = (0..=p).map(|j| next[j] + share * (next[j] - at[j])).collect();
            (at, t) = (next, then);
            if k % 50 == 0 && self.gap(&at[..p], at[p]) < 1e-11 {
                let b = at.pop().unwrap();
                return (at, b);
            }
        }
        panic!("proximal gradients do not end");
    }
    /// The least penalty that leaves no weights.
    fn largest(&self) -> f64 {
        let n = self.signs.len() as f64;
        let share = self.signs.iter().filter(|y| **y > 0.0).count() as f64 / n;
        let b = if self.intercept { (share / (1.0 - share)).ln() } else { 0.0 };
        let null =
            Problem { columns: self.columns.clone(), signs: self.signs.clone(), penalty: 0.0, ..*self };
        let slopes = null.gradient(&vec![0.0; self.columns.len()], b).0;
        slopes.iter().fold(0.0f64, |m, g| m.max(g.abs())) / self.l1_ratio
    }
    /// The weights of a fitted model, for these columns, and its intercept.
    fn weights_of(
        &self,
        data: &Data,
        params: &SparseLogisticParams,
        fit: &SparseLogisticFit,
    ) -> (Vec<f64>, f64) {
        let (_, scales) = data.prepared(params.intercept, params.standardize);
        let raw = fit.model.weights();
        let n = data.rows() as f64;
        let means = data.columns.iter().map(|x| x.iter().sum::<f64>() / n);
        let shift: f64 = means.zip(raw).map(|(mean, w)| mean * w).sum();
        let w = raw.iter().zip(&scales).map(|(w, s)| if *w == 0.0 { 0.0 } else { w * s }).collect();
        let b = fit.model.intercepts()[0];
        (w, if params.intercept { b + shift } else { b })
    }
    /// What an optimum is: no slope is larger than the penalty, and where there is a weight it is the penalty.
    fn check_optimality(&self, w: &[f64], b: f64, slack: f64, what: &str) {
        let (slopes, mean) = self.gradient(w, b);
        let alpha = self.penalty * self.l1_ratio;
        if self.intercept {
            assert!(mean.abs() < slack, "{what}: intercept {mean}");
        }
        for (j, (g, w)) in slopes.iter().zip(w).enumerate() {
            assert!(g.abs() <= alpha * (1.0 + slack), "{what}: column {j}: {g} {alpha}");
            assert!(
                *w == 0.0 || (g - alpha.copysign(*w)).abs() <= slack * alpha,
                "{what}: {j}: {w} {g} {alpha}"
            );
        }
    }
}

fn fit(data: &Data, params: &SparseLogisticParams, workers: usize, partitions: usize) -> SparseLogisticFit {
    let cx = Context::local(workers).unwrap();
    params.fit(&data.blocks(&cx, partitions)).unwrap()
}

#[test]
fn proximal_gradients_find_the_same() {
    for (density, columns, rows, positive) in
        [(1.0, 12, 60, 0.5), (1.0, 60, 25, 0.3), (0.15, 50, 40, 0.5), (0.15, 12, 90, 0.15)]
    {
        let data = two_classes(rows, columns, density, columns as u64, positive);
        for (intercept, standardize) in [(true, true), (true, false), (false, true), (false, false)] {
            for l1_ratio in [1.0, 0.5] {
                for part in [0.5, 0.1] {
                    let mut params = SparseLogisticParams {
                        intercept,
                        standardize,
                        l1_ratio,
                        tolerance: 1e-12,
                        ..Default::default()
                    };
                    let mut problem = Problem::new(&data, &params);
                    problem.penalty = part * problem.largest();
                    params.penalties = Penalties::Value(problem.penalty);
                    let fit = fit(&data, &params, 2, 3);
                    let what = format!("{density} {columns} {intercept} {standardize} {l1_ratio} {part}");
                    let (point, null) = (&fit.path[0], problem.loss(&vec![0.0; rows]));
                    assert!(point.converged && point.gap <= 1e-12 * null, "{what}: {point:?}");
                    assert_close(fit.regularization_max, problem.largest(), 1e-12);
                    let (w, b) = problem.weights_of(&data, &params, &fit);
                    assert_close(problem.objective(&w, b), point.objective, 1e-12);
                    assert!(problem.gap(&w, b) < 1e-11, "{what}: {}", problem.gap(&w, b));
                    problem.check_optimality(&w, b, 1e-7, &what);
                    let (expected, there) = problem.minimize();
                    let objective = problem.objective(&expected, there);
                    assert!((point.objective - objective).abs() < 1e-10, "{what}: {point:?} {objective}");
                    let size = expected.iter().fold(there.abs(), |m, w| m.max(w.abs()));
                    for (a, b) in w.iter().chain([&b]).zip(expected.iter().chain([&there])) {
                        assert!((a - b).abs() < 1e-4 * size, "{what}: {a} {b}");
                    }
                }
            }
        }
    }
}

/// From the least penalty that leaves no weights on there are none, and just below it there are, however unbalanced the
/// classes.
#[test]
fn the_largest_penalty_is_exact() {
    for (positive, intercept) in [(0.5, true), (0.1, true), (0.9, true), (0.1, false)] {
        let data = two_classes(80, 30, 1.0, 4, positive);
        let with = |ratio| {
            let penalties = Penalties::Ratio(ratio);
            fit(&data, &SparseLogisticParams { penalties, intercept, ..Default::default() }, 1, 2)
        };
        let (at, below) = (with(1.0), with(1.0 - 1e-5));
        assert_eq!((at.path[0].nonzeros, at.path[0].converged), (0, true), "{positive}: {:?}", at.path);
        let tight = SparseLogisticParams {
            penalties: Penalties::Ratio(1.0 - 1e-5),
            intercept,
            tolerance: 1e-14,
            ..Default::default()
        };
        assert!(fit(&data, &tight, 1, 2).path[0].nonzeros > 0, "{positive}: {:?}", below.path);
        if intercept {
            let share = data.targets.iter().sum::<f64>() / 80.0;
            assert_close(at.model.intercepts()[0], (share / (1.0 - share)).ln(), 1e-13);
        } else {
            assert_eq!(at.model.intercepts(), [0.0]);
        }
    }
}

/// For any number of workers, with columns in the main program or not, and however rows are divided.
#[test]
fn bits_do_not_depend_on_workers() {
    for density in [1.0, 0.1] {
        let data = two_classes(50, 400, density, 3, 0.4);
        let params = SparseLogisticParams {
            penalties: Penalties::Path { count: 8, ratio: 0.02 },
            l1_ratio: 0.9,
            tolerance: 1e-9,
            ..Default::default()
        };
        let whole = fit(&data, &params, 1, 1);
        assert_eq!(whole.model.summary().path, whole.path);
        for (workers, partitions) in [(1, 4), (3, 4), (2, 7)] {
            let there = fit(&data, &params, workers, partitions);
            assert_eq!(whole.model, there.model, "{workers} {partitions}");
            assert_eq!(whole.path, there.path);
            let cx = Context::local(workers).unwrap();
            let rows = DatasetRows::from_blocks(&data.blocks(&cx, partitions));
            let design = Design::from_rows_with(&rows, params.scaling(), 0).unwrap();
            let there = params.train_design(&design, &mut silent).unwrap();
            assert_eq!(whole.model, there.model, "at the workers: {workers} {partitions}");
            assert_eq!(whole.path, there.path);
        }
    }
}

/// Each point of a path is the optimum of its penalty, and bounds spare most products of the later ones.
#[test]
fn paths_are_optima() {
    let data = two_classes(80, 500, 1.0, 5, 0.4);
    let params = SparseLogisticParams {
        penalties: Penalties::Path { count: 20, ratio: 0.05 },
        tolerance: 1e-10,
        ..Default::default()
    };
    let path = fit(&data, &params, 2, 2);
    assert_eq!((path.path.len(), path.chosen, path.path[0].nonzeros), (20, 19, 0));
    let mut products = 0;
    for point in &path.path {
        let penalties = Penalties::Value(point.regularization);
        let alone = fit(&data, &SparseLogisticParams { penalties, ..params.clone() }, 1, 2);
        assert!(point.converged && alone.path[0].converged, "{point:?}");
        assert_close(point.objective, alone.path[0].objective, 1e-9);
        products += point.products;
    }
    let all: usize = path.path.iter().map(|p| p.passes * 500).sum();
    assert!(products < all as u64 / 2, "{products} of {all}");
}

/// The least mean loss on what was held out is chosen, or the largest penalty within a standard error of it.
#[test]
fn cross_validation_scores_by_log_loss() {
    let data = two_classes(150, 40, 1.0, 8, 0.4);
    let with = |rule| SparseLogisticParams {
        penalties: Penalties::Path { count: 15, ratio: 1e-2 },
        folds: Some(Folds { count: 5, rule }),
        ..Default::default()
    };
    let least = fit(&data, &with(Rule::Minimum), 2, 3);
    let search = least.search.as_ref().unwrap();
    assert_eq!((search.chosen, least.path.len()), (search.minimum, search.minimum + 1));
    let best = &search.penalties[search.minimum];
    assert!(search.penalties.iter().all(|p| p.mean >= best.mean));
    // Without weights, about the entropy of the classes.
    let share = data.targets.iter().sum::<f64>() / 150.0;
    let entropy = -share * share.ln() - (1.0 - share) * (1.0 - share).ln();
    assert!((search.penalties[0].mean - entropy).abs() < 0.03, "{search:?} {entropy}");
    assert!(best.mean < 0.9 * entropy, "{search:?}");
    let simple = fit(&data, &with(Rule::OneStandardError), 1, 3);
    let chosen = simple.search.unwrap();
    assert_eq!(chosen.chosen, search.one_standard_error);
    assert!(chosen.chosen <= search.minimum);
    assert!(chosen.penalties[chosen.chosen].mean <= best.mean + best.standard_error);
}

/// Weights that change many at a time, chosen by a schedule, come to the same optimum; bits depend on partitions alone.
#[test]
fn schedules_find_the_same() {
    for (density, columns, rows) in [(1.0, 40, 60), (0.15, 50, 40)] {
        let data = two_classes(rows, columns, density, 11, 0.4);
        for (intercept, standardize, l1_ratio) in [(true, true, 1.0), (true, false, 0.7), (false, true, 0.5)]
        {
            let params = SparseLogisticParams {
                penalties: Penalties::Ratio(0.2),
                intercept,
                standardize,
                l1_ratio,
                tolerance: 1e-8,
                ..Default::default()
            };
            let expected = fit(&data, &params, 1, 2);
            for (chooser, parallelism) in [(Chooser::Sap, 16), (Chooser::Cyclic, 1), (Chooser::Random, 2)] {
                let schedule =
                    Some(ScheduleParams { chooser, parallelism, partitions: 3, ..Default::default() });
                let params = SparseLogisticParams { schedule, ..params.clone() };
                let there = fit(&data, &params, 2, 2);
                let what = format!("{density} {intercept} {standardize} {chooser:?}");
                assert!(there.path[0].converged, "{what}: {:?}", there.path);
                let (a, b) = (there.path[0].objective, expected.path[0].objective);
                assert!((a - b).abs() <= 2e-8, "{what}: {a} {b}");
                let scheduled = there.scheduled.as_ref().unwrap();
                assert!(scheduled.certificate < 0.3 && scheduled.updates > 0, "{what}: {scheduled:?}");
                assert_eq!(fit(&data, &params, 1, 4).model, there.model, "{what}");
            }
        }
    }
}

/// Columns that do not vary, columns that are there twice, and classes that can be told apart without error.
#[test]
fn odd_columns_and_separable_classes() {
    let mut data = two_classes(40, 30, 1.0, 2, 0.5);
    data.columns[2] = vec![3.0; 40];
    data.columns[4] = vec![0.0; 40];
    data.columns[7] = data.columns[0].clone();
    data.columns[8] = data.columns[3].iter().map(|x| -x).collect();
    for ratio in [0.3, 0.01] {
        let params = SparseLogisticParams {
            penalties: Penalties::Ratio(ratio),
            tolerance: 1e-10,
            ..Default::default()
        };
        let fit = fit(&data, &params, 2, 3);
        let mut problem = Problem::new(&data, &params);
        problem.penalty = fit.path[0].regularization;
        let (w, b) = problem.weights_of(&data, &params, &fit);
        assert!(fit.path[0].converged && problem.gap(&w, b) < 1e-9, "{:?}", fit.path);
        assert_eq!((w[2], w[4]), (0.0, 0.0));
    }
    data.targets = data.columns[3].iter().map(|x| f64::from(*x > 2.0)).collect();
    for ratio in [1e-3, 1e-5, 1e-7] {
        let params = SparseLogisticParams {
            penalties: Penalties::Ratio(ratio),
            tolerance: 1e-9,
            ..Default::default()
        };
        let fit = fit(&data, &params, 2, 3);
        let mut problem = Problem::new(&data, &params);
        problem.penalty = fit.path[0].regularization;
        let (w, b) = problem.weights_of(&data, &params, &fit);
        let point = &fit.path[0];
        assert!(point.converged && point.gap <= 1e-9 && point.objective < 0.1, "{ratio}: {point:?}");
        assert!(problem.gap(&w, b) < 1e-8, "{ratio}: {} {point:?}", problem.gap(&w, b));
        let z = problem.margins(&w, b);
        assert!(z.iter().zip(&problem.signs).all(|(z, y)| z * y > 0.0), "{ratio}: {z:?}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let cx = Context::local(1).unwrap();
    let mut data = two_classes(20, 8, 1.0, 1, 0.5);
    let refused = |data: &Data, params: &SparseLogisticParams| params.fit(&data.blocks(&cx, 2)).unwrap_err();
    let default = SparseLogisticParams::default();
    let e = refused(&data, &SparseLogisticParams::with_penalty(-1.0));
    assert!(e.exit_code() == 2 && e.to_string().contains("logistic regression"), "{e}");
    let folds = Some(Folds { count: 3, rule: Rule::Minimum });
    assert_eq!(refused(&data, &SparseLogisticParams { folds, ..default.clone() }).exit_code(), 2);
    data.targets[3] = 2.0;
    let e = refused(&data, &default);
    assert!(e.exit_code() == 3 && e.to_string().contains("`logistic-regression`"), "{e}");
    data.targets[3] = 0.5;
    assert!(refused(&data, &default).to_string().contains("label 0.5"));
    data.targets.fill(1.0);
    let e = refused(&data, &default);
    assert!(e.exit_code() == 3 && e.to_string().contains("nothing to tell apart"), "{e}");
    // A class that only one fold has.
    data.targets[0] = 0.0;
    let penalties = Penalties::Path { count: 3, ratio: 0.1 };
    let e = refused(&data, &SparseLogisticParams { penalties, folds, ..default });
    assert!(e.exit_code() == 3 && e.to_string().contains("class 0"), "{e}");
}

/// `known`: the largest penalty, a part of it, and the least objective and its number of weights there. Optima by scikit-learn
/// 1.9.1 on columns divided by their deviation, `LogisticRegression(penalty="l1", solver="liblinear", C=1 / (n * penalty),
/// fit_intercept=False, tol=1e-12, max_iter=100000)`, all with gaps below 2e-10.
fn check_known(data: Option<Data>, largest: f64, known: &[(f64, f64, usize)]) {
    let Some(data) = data else { return };
    for (part, objective, nonzeros) in known {
        let params = SparseLogisticParams {
            penalties: Penalties::Ratio(*part),
            intercept: false,
            tolerance: 1e-10,
            ..Default::default()
        };
        check_optimum(&data, &params, largest, *objective, 1e-9, *nonzeros);
    }
}

/// Fits, and compares with a known optimum.
fn check_optimum(
    data: &Data,
    params: &SparseLogisticParams,
    largest: f64,
    objective: f64,
    within: f64,
    nonzeros: usize,
) {
    let fit = fit(data, params, 2, 3);
    let point = &fit.path[0];
    assert_close(fit.regularization_max, largest, 1e-10);
    assert!(point.converged && point.gap <= 1e-10, "{point:?}");
    assert!((point.objective - objective).abs() <= within, "{} {objective}", point.objective);
    assert_eq!(point.nonzeros, nonzeros);
    // The gap is what it says, and the weights are what they say.
    let mut problem = Problem::new(data, params);
    problem.penalty = point.regularization;
    let (w, b) = problem.weights_of(data, params, &fit);
    assert_close(problem.objective(&w, b), point.objective, 1e-10);
    assert!(problem.gap(&w, b) < 2e-10, "{} {point:?}", problem.gap(&w, b));
}

#[test]
fn golub_leukemia() {
    let known = [(0.1, 0.5449751304270569, 12), (0.05, 0.38371820821089886, 20)];
    check_known(csv("golub_leukemia/golub_leukemia.csv.gz", 1), 1.667970101136566, &known);
}

#[test]
fn alon_colon() {
    let known = [(0.1, 0.40017773618233543, 15), (0.05, 0.27646898608139475, 22)];
    check_known(csv("alon_colon/alon_colon.csv.gz", 1), 0.5046371549839916, &known);
    // scikit-learn's `solver="saga", tol=1e-9` with an intercept, `l1_ratio=0.5`, columns centred: its gap is 9.9e-8.
    let Some(data) = csv("alon_colon/alon_colon.csv.gz", 1) else { return };
    let params = SparseLogisticParams {
        penalties: Penalties::Ratio(0.1),
        l1_ratio: 0.5,
        tolerance: 1e-10,
        ..Default::default()
    };
    check_optimum(&data, &params, 0.6043623464300223, 0.32673233648269623, 1e-7, 60);
}

#[test]
fn heart_scale() {
    let Some(text) = data_text("heart_scale/heart_scale") else { return };
    let mut data = Data { columns: vec![vec![0.0; 270]; 13], targets: vec![] };
    for (i, line) in text.lines().enumerate() {
        let mut words = line.split_ascii_whitespace();
        data.targets.push(words.next().unwrap().parse().unwrap());
        for (j, x) in words.map(|w| w.split_once(':').unwrap()) {
            data.columns[j.parse::<usize>().unwrap() - 1][i] = x.parse().unwrap();
        }
    }
    // scikit-learn's `solver="saga", tol=1e-9` with an intercept, columns centred and scaled: gaps below 3e-10.
    for (part, l1_ratio, largest, objective, nonzeros) in [
        (0.1, 1.0, 0.26088470090496124, 0.4480270444134645, 11),
        (0.01, 0.5, 0.5217694018099225, 0.35219778003999735, 13),
    ] {
        let penalties = Penalties::Ratio(part);
        let params = SparseLogisticParams { penalties, l1_ratio, tolerance: 1e-10, ..Default::default() };
        check_optimum(&data, &params, largest, objective, 1e-9, nonzeros);
    }
    check_known(Some(data), 0.30732243216122895, &[(0.1, 0.47235482561548725, 11)]);
}
