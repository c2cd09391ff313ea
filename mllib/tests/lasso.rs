//! The lasso and the elastic net against plain coordinate descent, and against known optima of real data.

mod common;

use common::design::{Data, csv};
use common::{assert_close, data_text};
use slackwater_dataflow::Context;
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::optimization::silent;
use slackwater_mllib::regression::lasso::{
    Chooser, Design, Folds, LassoFit, LassoParams, Penalties, Rule, ScheduleParams,
};

impl Data {
    fn objective(&self, w: &[f64], penalty: f64, l1_ratio: f64) -> f64 {
        let squares: f64 = self.residual(w).iter().map(|r| r * r).sum();
        let (l1, l2): (f64, f64) = (w.iter().map(|w| w.abs()).sum(), w.iter().map(|w| w * w).sum());
        squares / (2.0 * self.rows() as f64) + penalty * (l1_ratio * l1 + 0.5 * (1.0 - l1_ratio) * l2)
    }
    /// Plain coordinate descent, until no weight moves.
    fn minimize(&self, penalty: f64, l1_ratio: f64) -> Vec<f64> {
        let n = self.rows() as f64;
        let mut w = vec![0.0; self.columns.len()];
        let mut r = self.targets.clone();
        for _ in 0..200_000 {
            let mut largest: f64 = 0.0;
            for (j, x) in self.columns.iter().enumerate() {
                let square: f64 = x.iter().map(|x| x * x).sum();
                let z = x.iter().zip(&r).map(|(x, r)| x * r).sum::<f64>() + square * w[j];
                let shrunk = (z.abs() - n * penalty * l1_ratio).max(0.0).copysign(z);
                let next = shrunk / (square + n * penalty * (1.0 - l1_ratio));
                r.iter_mut().zip(x).for_each(|(r, x)| *r -= (next - w[j]) * x);
                largest = largest.max((next - w[j]).abs());
                w[j] = next;
            }
            if largest < 1e-13 {
                return w;
            }
        }
        panic!("plain coordinate descent does not end");
    }
    /// The largest penalty that leaves weights.
    fn largest(&self, l1_ratio: f64) -> f64 {
        let product = |x: &Vec<f64>| x.iter().zip(&self.targets).map(|(x, y)| x * y).sum::<f64>().abs();
        self.columns.iter().map(product).fold(0.0, f64::max) / (self.rows() as f64 * l1_ratio)
    }
    /// The gap of the lasso, from the definition.
    fn gap(&self, w: &[f64], penalty: f64) -> f64 {
        let r = self.residual(w);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let n = self.rows() as f64;
        let largest = self.columns.iter().map(|x| dot(x, &r).abs()).fold(0.0, f64::max);
        let scale = (n * penalty / largest).min(1.0);
        let dual = scale * dot(&self.targets, &r) - 0.5 * scale * scale * dot(&r, &r);
        self.objective(w, penalty, 1.0) - dual / n
    }
}

fn fit(data: &Data, params: &LassoParams, workers: usize, partitions: usize) -> LassoFit {
    let cx = Context::local(workers).unwrap();
    params.fit(&data.blocks(&cx, partitions)).unwrap()
}

#[test]
fn plain_coordinate_descent_finds_the_same() {
    for (density, columns, rows) in [(1.0, 12, 40), (1.0, 60, 25), (0.15, 50, 40), (0.15, 12, 80)] {
        let data = Data::random(rows, columns, density, columns as u64);
        for (intercept, standardize) in [(true, true), (true, false), (false, true), (false, false)] {
            for l1_ratio in [1.0, 0.5, 0.01] {
                let (prepared, scales) = data.prepared(intercept, standardize);
                for part in [0.5, 0.05] {
                    let penalty = part * prepared.largest(l1_ratio);
                    let params = LassoParams {
                        intercept,
                        standardize,
                        tolerance: 1e-13,
                        ..LassoParams::elastic_net(penalty, l1_ratio)
                    };
                    let fit = fit(&data, &params, 2, 3);
                    let what = format!("{density} {columns} {intercept} {standardize} {l1_ratio} {part}");
                    let expected = prepared.minimize(penalty, l1_ratio);
                    let objective = prepared.objective(&expected, penalty, l1_ratio);
                    assert!(fit.path[0].converged, "{what}: {:?}", fit.path);
                    assert!((fit.path[0].objective - objective).abs() <= 1e-11 * objective, "{what}");
                    assert_close(fit.regularization_max, prepared.largest(l1_ratio), 1e-12);
                    let size = expected.iter().fold(0.0f64, |m, w| m.max(w.abs()));
                    for (j, w) in fit.model.weights().iter().enumerate() {
                        let w = w * scales[j];
                        assert!((w - expected[j]).abs() < 1e-5 * size, "{what}: {j}: {w} {}", expected[j]);
                    }
                    let n = rows as f64;
                    let means = data.columns.iter().zip(fit.model.weights());
                    let part: f64 = means.map(|(x, w)| x.iter().sum::<f64>() / n * w).sum();
                    let mean = data.targets.iter().sum::<f64>() / n;
                    let expected = if intercept { mean - part } else { 0.0 };
                    assert!((fit.model.intercept() - expected).abs() < 1e-9 * (1.0 + mean.abs()), "{what}");
                }
            }
        }
    }
}

/// For any number of workers, with columns in the main program or not, and however rows are divided: but for that sums
/// over rows do not depend on partitions, either.
#[test]
fn bits_do_not_depend_on_workers() {
    for density in [1.0, 0.1] {
        let data = Data::random(50, 400, density, 3);
        let params = LassoParams {
            penalties: Penalties::Path { count: 8, ratio: 0.02 },
            l1_ratio: 0.9,
            tolerance: 1e-9,
            ..Default::default()
        };
        let whole = fit(&data, &params, 1, 1);
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
    let data = Data::random(80, 500, 1.0, 5);
    let params = LassoParams {
        penalties: Penalties::Path { count: 20, ratio: 0.05 },
        tolerance: 1e-10,
        ..Default::default()
    };
    let path = fit(&data, &params, 2, 2);
    assert_eq!((path.path.len(), path.chosen, path.path[0].nonzeros), (20, 19, 0));
    let mut products = 0;
    for point in &path.path {
        let alone = LassoParams { penalties: Penalties::Value(point.regularization), ..params.clone() };
        let alone = fit(&data, &alone, 1, 2);
        assert!(point.converged && alone.path[0].converged, "{point:?}");
        assert_close(point.objective, alone.path[0].objective, 1e-8);
        products += point.products;
    }
    let all: usize = path.path.iter().map(|p| p.passes * 500).sum();
    assert!(products < all as u64 / 2, "{products} of {all}");
}

#[test]
fn cross_validation_finds_what_was_planted() {
    let data = Data::random(120, 60, 1.0, 8);
    let with = |rule| LassoParams {
        penalties: Penalties::Path { count: 25, ratio: 1e-3 },
        folds: Some(Folds { count: 5, rule }),
        ..Default::default()
    };
    let least = fit(&data, &with(Rule::Minimum), 2, 3);
    let search = least.search.unwrap();
    assert_eq!(
        (search.penalties.len(), least.path.len(), search.chosen),
        (25, search.minimum + 1, search.minimum)
    );
    let best = &search.penalties[search.minimum];
    for scored in &search.penalties {
        let mean = scored.scores.iter().sum::<f64>() / 5.0;
        let deviation = (scored.scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 4.0).sqrt();
        assert_close(scored.mean, mean, 1e-12);
        assert_close(scored.standard_error, deviation / 5f64.sqrt(), 1e-9);
        assert!(scored.mean >= best.mean);
    }
    // The noise has deviation 1, and targets without a model a much larger one.
    assert!((0.5..2.0).contains(&best.mean) && search.penalties[0].mean > 5.0, "{search:?}");
    let simple = fit(&data, &with(Rule::OneStandardError), 2, 3);
    let chosen = simple.search.unwrap();
    assert_eq!((chosen.minimum, chosen.chosen), (search.minimum, search.one_standard_error));
    assert!(chosen.chosen <= chosen.minimum);
    assert!(chosen.penalties[chosen.chosen].mean <= best.mean + best.standard_error);
    let at = |j: usize| simple.model.weights()[j];
    assert!((at(0) - 1.0).abs() < 0.3 && (at(3) + 2.0).abs() < 0.3, "{:?}", &simple.model.weights()[..6]);
}

/// Weights that change many at a time, chosen by a schedule, come to the same optimum; bits depend on partitions alone.
#[test]
fn schedules_find_the_same() {
    for (density, columns, rows) in [(1.0, 40, 60), (0.15, 50, 40)] {
        let data = Data::random(rows, columns, density, 11);
        for (intercept, standardize, l1_ratio) in [(true, true, 1.0), (true, false, 0.7), (false, true, 0.3)]
        {
            let params = LassoParams {
                penalties: Penalties::Ratio(0.1),
                intercept,
                standardize,
                l1_ratio,
                tolerance: 1e-9,
                ..Default::default()
            };
            let expected = fit(&data, &params, 1, 2);
            for (chooser, parallelism) in [(Chooser::Sap, 16), (Chooser::Cyclic, 1), (Chooser::Random, 2)] {
                let schedule =
                    Some(ScheduleParams { chooser, parallelism, partitions: 3, ..Default::default() });
                let params = LassoParams { schedule, ..params.clone() };
                let there = fit(&data, &params, 2, 2);
                let what = format!("{density} {intercept} {standardize} {chooser:?}");
                assert!(there.path[0].converged, "{what}: {:?}", there.path);
                let (a, b) = (there.path[0].objective, expected.path[0].objective);
                assert!((a - b).abs() <= 1e-8 * b, "{what}: {a} {b}");
                let scheduled = there.scheduled.as_ref().unwrap();
                assert!(scheduled.certificate < 0.3 && scheduled.updates > 0, "{what}: {scheduled:?}");
                assert_eq!(fit(&data, &params, 1, 4).model, there.model, "{what}");
            }
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let cx = Context::local(1).unwrap();
    let mut data = Data::random(20, 8, 1.0, 1);
    let none = Data { columns: vec![vec![]; 2], targets: vec![] };
    assert!(LassoParams::default().fit(&none.blocks(&cx, 2)).unwrap_err().to_string().contains("no rows"));
    assert_eq!(LassoParams::lasso(-1.0).fit(&data.blocks(&cx, 2)).unwrap_err().exit_code(), 2);
    data.columns[4][3] = f64::NAN;
    let e = LassoParams::default().fit(&data.blocks(&cx, 2)).unwrap_err();
    assert!(e.to_string().contains("column 5"), "{e}");
    data.columns[4][3] = 1.0;
    data.targets[2] = f64::INFINITY;
    assert!(LassoParams::default().fit(&data.blocks(&cx, 2)).unwrap_err().to_string().contains("label"));
}

/// The sample of STRADS: a matrix of triples, and targets as one of a column.
fn strads() -> Option<Data> {
    let triples = |path: &str| -> Option<Vec<(usize, usize, f64)>> {
        let text = data_text(path)?;
        let triple = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let mut number = || words.next().unwrap().parse::<f64>().unwrap();
            (number() as usize - 1, number() as usize - 1, number())
        };
        Some(text.lines().skip(2).map(triple).collect())
    };
    let (mut columns, mut targets) = (vec![vec![0.0; 500]; 1000], vec![0.0; 500]);
    triples("strads_lasso500by1K/lasso500by1K.X.mmt.gz")?.iter().for_each(|(i, j, x)| columns[*j][*i] = *x);
    triples("strads_lasso500by1K/lasso500by1K.Y.mmt")?.iter().for_each(|(i, _, y)| targets[*i] = *y);
    Some(Data { columns, targets })
}

/// `known`: parts of the largest penalty, which is `largest`, with the least objective and its number of weights.
///
/// Optima by scikit-learn 1.9.1, `Lasso(tol=1e-15)`, on columns prepared with NumPy; all have gaps below 1e-13.
fn check_known(name: &str, data: Option<Data>, standardize: bool, largest: f64, known: &[(f64, f64, usize)]) {
    let Some(data) = data else { return };
    let (prepared, scales) = data.prepared(true, standardize);
    let null: f64 = prepared.targets.iter().map(|y| y * y).sum::<f64>() / (2.0 * data.rows() as f64);
    for (part, objective, nonzeros) in known {
        let params = LassoParams {
            penalties: Penalties::Ratio(*part),
            standardize,
            tolerance: 1e-10,
            ..Default::default()
        };
        let fit = fit(&data, &params, 2, 3);
        let point = &fit.path[0];
        assert_close(fit.regularization_max, largest, 1e-7);
        assert!(point.converged && point.gap <= 1e-10 * null, "{name}: {point:?}");
        assert_close(point.objective, *objective, 1e-9);
        assert_eq!(point.nonzeros, *nonzeros, "{name} {part}");
        // The gap is what it says.
        let weights: Vec<f64> = fit.model.weights().iter().zip(&scales).map(|(w, s)| w * s).collect();
        let weights: Vec<f64> = weights.iter().map(|w| if w.is_finite() { *w } else { 0.0 }).collect();
        let gap = prepared.gap(&weights, point.regularization);
        assert!(gap <= 1.01e-10 * null + 1e-14, "{name}: {gap} {}", point.gap);
        assert_close(prepared.objective(&weights, point.regularization, 1.0), point.objective, 1e-9);
    }
}

#[test]
fn alon_colon() {
    let known = [(0.1, 0.0466722424058789, 29), (0.05, 0.028783710642692303, 48)];
    check_known("alon", csv("alon_colon/alon_colon.csv.gz", 1), true, 0.30218117321501115, &known);
}

#[test]
fn golub_leukemia() {
    let known = [(0.1, 0.0303162382393677, 36), (0.05, 0.016597493365161982, 49)];
    check_known("golub", csv("golub_leukemia/golub_leukemia.csv.gz", 1), true, 0.37795593104041325, &known);
}

#[test]
fn riboflavin() {
    let known = [(0.1, 0.12342518727577073, 31), (0.05, 0.07203942128824427, 39)];
    check_known("riboflavin", csv("riboflavin/riboflavin.csv.gz", 1), true, 0.5934162491045987, &known);
}

#[test]
fn wheat() {
    let known = [(0.1, 0.3186303646428531, 171), (0.05, 0.23524702785134838, 268)];
    check_known("wheat", csv("wheat_cimmyt/wheat.csv.gz", 4), true, 0.2693313702083381, &known);
}

#[test]
fn sample_of_strads() {
    let known = [(0.1, 0.0005047011264714894, 307), (0.05, 0.0003259706049394273, 371)];
    check_known("strads", strads(), true, 0.0059660453767010095, &known);
    check_known("strads, as it is", strads(), false, 0.00026680966038303565, &known);
}
