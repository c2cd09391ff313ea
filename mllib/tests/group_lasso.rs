//! The group lasso and the sparse group lasso against plain proximal gradient descent, and against known optima of real data.

mod common;

use common::design::{Data, csv};
use common::{assert_close, data_text};
use slackwater_dataflow::Context;
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::optimization::silent;
use slackwater_mllib::regression::lasso::{Design, LassoParams, Penalties};
use slackwater_mllib::regression::{GroupLassoFit, GroupLassoParams, Groups};

fn fit(data: &Data, params: &GroupLassoParams, groups: &Groups, workers: usize) -> GroupLassoFit {
    let cx = Context::local(workers).unwrap();
    params.fit(&data.blocks(&cx, 3), groups).unwrap()
}

fn objective(data: &Data, groups: &Groups, w: &[f64], penalty: f64, l1_ratio: f64) -> f64 {
    let squares: f64 = data.residual(w).iter().map(|r| r * r).sum();
    let of_group = |g: usize| {
        let b = || groups.columns(g).iter().map(|j| w[*j as usize]);
        let l2 = b().map(|b| b * b).sum::<f64>().sqrt();
        l1_ratio * b().map(f64::abs).sum::<f64>() + (1.0 - l1_ratio) * groups.weight(g) * l2
    };
    squares / (2.0 * data.rows() as f64) + penalty * (0..groups.len()).map(of_group).sum::<f64>()
}

/// Proximal gradient steps, until no weight moves.
fn minimize(data: &Data, groups: &Groups, penalty: f64, l1_ratio: f64) -> Vec<f64> {
    let n = data.rows() as f64;
    let trace: f64 = data.columns.iter().flatten().map(|x| x * x).sum();
    let step = n / trace;
    let mut w = vec![0.0; data.columns.len()];
    for _ in 0..400_000 {
        let r = data.residual(&w);
        let before = w.clone();
        for (w, x) in w.iter_mut().zip(&data.columns) {
            *w += step * x.iter().zip(&r).map(|(x, r)| x * r).sum::<f64>() / n;
            *w = (w.abs() - step * penalty * l1_ratio).max(0.0).copysign(*w);
        }
        for g in 0..groups.len() {
            let of = groups.columns(g);
            let norm = of.iter().map(|j| w[*j as usize].powi(2)).sum::<f64>().sqrt();
            let by = step * penalty * (1.0 - l1_ratio) * groups.weight(g);
            let scale = if norm > by { 1.0 - by / norm } else { 0.0 };
            of.iter().for_each(|j| w[*j as usize] *= scale);
        }
        if w.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-14) {
            break;
        }
    }
    w
}

#[test]
fn plain_proximal_gradients_find_the_same() {
    for (density, columns, rows) in [(1.0, 12, 40), (0.3, 24, 30)] {
        let data = Data::random(rows, columns, density, 21);
        let numbers: Vec<u32> = (0..columns as u32).map(|j| j % 5).collect();
        for groups in [Groups::of_size(columns, 5), Groups::by_column(&numbers).unwrap()] {
            for (intercept, standardize, l1_ratio) in
                [(true, true, 0.0), (false, true, 0.5), (true, true, 0.9)]
            {
                let (prepared, scales) = data.prepared(intercept, standardize);
                let params = GroupLassoParams {
                    penalties: Penalties::Ratio(0.2),
                    l1_ratio,
                    intercept,
                    standardize,
                    tolerance: 1e-11,
                    ..Default::default()
                };
                let fit = fit(&data, &params, &groups, 2);
                let what = format!("{density} {intercept} {l1_ratio}");
                let point = &fit.path[0].point;
                assert!(point.converged, "{what}: {point:?}");
                let expected = minimize(&prepared, &groups, point.regularization, l1_ratio);
                let best = objective(&prepared, &groups, &expected, point.regularization, l1_ratio);
                assert!((point.objective - best).abs() <= 1e-9 * best, "{what}: {} {best}", point.objective);
                let size = expected.iter().fold(0.0f64, |m, w| m.max(w.abs()));
                for (j, w) in fit.model.weights().iter().enumerate() {
                    assert!((w * scales[j] - expected[j]).abs() < 1e-3 * size, "{what} {j}: {w}");
                }
                // Just below the largest penalty something has a weight, and at it nothing.
                for (part, some) in [(1.0, false), (0.999, true)] {
                    let params = GroupLassoParams { penalties: Penalties::Ratio(part), ..params.clone() };
                    let edge = self::fit(&data, &params, &groups, 1);
                    assert_eq!(edge.path[0].groups > 0, some, "{what} {part}: {:?}", edge.path);
                }
            }
        }
    }
}

/// Groups of one column are the lasso, whatever the share.
#[test]
fn groups_of_one_are_the_lasso() {
    let data = Data::random(30, 60, 1.0, 22);
    let penalties = Penalties::Path { count: 5, ratio: 0.05 };
    let lasso = LassoParams { penalties, tolerance: 1e-11, ..Default::default() };
    let cx = Context::local(2).unwrap();
    let expected = lasso.fit(&data.blocks(&cx, 2)).unwrap();
    for l1_ratio in [0.0, 0.4, 1.0] {
        let params = GroupLassoParams { penalties, l1_ratio, tolerance: 1e-11, ..Default::default() };
        let fit = fit(&data, &params, &Groups::of_size(60, 1), 2);
        assert_eq!(fit.path.len(), 5);
        for (a, b) in fit.path.iter().zip(&expected.path) {
            assert_close(a.point.regularization, b.regularization, 1e-12);
            assert_close(a.point.objective, b.objective, 1e-9);
        }
    }
}

#[test]
fn bits_do_not_depend_on_workers() {
    let data = Data::random(40, 200, 0.4, 23);
    let params = GroupLassoParams { l1_ratio: 0.2, tolerance: 1e-9, ..Default::default() };
    let groups = Groups::of_size(200, 8);
    let whole = fit(&data, &params, &groups, 1);
    assert!(whole.path[0].point.nonzeros > 5);
    assert_eq!(fit(&data, &params, &groups, 3).model, whole.model);
    let cx = Context::local(2).unwrap();
    let rows = DatasetRows::from_blocks(&data.blocks(&cx, 4));
    let design = Design::from_rows_with(&rows, params.scaling(), 0).unwrap();
    assert_eq!(params.train_design(&design, &groups, &mut silent).unwrap().model, whole.model);
    let e = params.fit(&data.blocks(&cx, 2), &Groups::of_size(199, 8)).unwrap_err();
    assert!(e.to_string().contains("in one group"), "{e}");
}

/// (share of absolute values, part of the largest penalty, the largest, least objective, weights, groups).
///
/// Optima by FISTA in NumPy until weights moved by less than 1e-15; those without absolute values are also celer 0.7.4's
/// (`GroupLasso(tol=1e-12)`), to 1e-14.
fn check_known(name: &str, data: &Data, groups: &Groups, known: &[(f64, f64, f64, f64, usize, usize)]) {
    for (l1_ratio, part, largest, objective, weights, active) in known {
        let params = GroupLassoParams {
            penalties: Penalties::Ratio(*part),
            l1_ratio: *l1_ratio,
            tolerance: 1e-10,
            ..Default::default()
        };
        let fit = fit(data, &params, groups, 2);
        let point = &fit.path[0];
        assert!(point.point.converged, "{name}: {point:?}");
        assert_close(fit.regularization_max, *largest, 1e-9);
        assert_close(point.point.objective, *objective, 1e-8);
        assert_eq!((point.point.nonzeros, point.groups), (*weights, *active), "{name} {l1_ratio} {part}");
    }
}

#[test]
fn bardet_gglasso() {
    let Some(data) = csv("bardet_gglasso/bardet_gglasso.csv.gz", 1) else { return };
    let known = [
        (0.0, 0.3, 0.060107499868026534, 0.007457399371870168, 35, 7),
        (0.0, 0.1, 0.060107499868026534, 0.004598723712018572, 60, 12),
        (0.3, 0.3, 0.06144406196710081, 0.007320083001309336, 32, 7),
        (0.3, 0.1, 0.06144406196710081, 0.004490555447160866, 46, 12),
    ];
    check_known("bardet", &data, &Groups::of_size(100, 5), &known);
}

#[test]
fn birthwt_grpreg() {
    let Some(data) = csv("birthwt_grpreg/birthwt.csv", 2) else { return };
    let Some(text) = data_text("birthwt_grpreg/groups.csv") else { return };
    let mut names: Vec<&str> = vec![];
    let mut numbers = vec![];
    for name in text.lines().skip(1).filter_map(|l| l.split(',').nth(1)) {
        let known = names.iter().position(|n| *n == name);
        numbers.push(known.unwrap_or(names.len()) as u32);
        if known.is_none() {
            names.push(name);
        }
    }
    let groups = Groups::by_column(&numbers).unwrap();
    assert_eq!(groups.len(), 8);
    let known = [
        (0.0, 0.3, 0.2064954649685857, 0.24218561283793108, 13, 7),
        (0.0, 0.1, 0.2064954649685857, 0.20694591238856472, 16, 8),
        (0.3, 0.3, 0.20649546496858573, 0.2413366653268597, 13, 7),
        (0.3, 0.1, 0.20649546496858573, 0.2062475072107617, 16, 8),
    ];
    check_known("birthwt", &data, &groups, &known);
}
