//! Solvers on real data against reference optima, on generated data against each other, and their bits.

mod common;

use common::{Rows, assert_close, generated, libsvm};
use slackwater_mllib::Result;
use slackwater_mllib::objective::{
    Logistic, Loss, MarginKernel, Objective, Penalty, Regularized, SquaredError, SquaredHinge, Target,
};
use slackwater_mllib::optimization::{
    DualCoordinateDescent, HingeDual, InitialMatrix, Lbfgs, LogisticDual, Newton, Solution, SquaredHingeDual,
    Stop, silent,
};
use std::ops::ControlFlow;

/// A problem of the data index: file, test file, columns, optimum of `1/2 w'w + Σ log(1 + exp(-y w'x))`, train accuracy,
/// test accuracy.
type Reference = (&'static str, Option<&'static str>, usize, f64, f64, Option<f64>);

const REFERENCES: [Reference; 8] = [
    ("a1a/a1a.gz", Some("a1a/a1a.t.gz"), 123, 516.343890, 0.8536, Some(0.8424)),
    ("a8a/a8a.gz", Some("a8a/a8a.t.gz"), 123, 7419.812344, 0.8473, Some(0.8540)),
    ("a9a/a9a.gz", Some("a9a/a9a.t.gz"), 123, 10529.562585, 0.8491, Some(0.8499)),
    (
        "mushrooms_agaricus/agaricus.txt.train.gz",
        Some("mushrooms_agaricus/agaricus.txt.test.gz"),
        127,
        98.513645,
        1.0,
        Some(1.0),
    ),
    ("phishing/phishing.gz", None, 68, 2065.389626, 0.9389, None),
    ("svmguide1/svmguide1.gz", Some("svmguide1/svmguide1.t.gz"), 4, 998.778786, 0.8440, Some(0.7903)),
    ("heart_scale/heart_scale", None, 13, 98.226800, 0.8370, None),
    ("german_numer/german.numer_scale.gz", None, 24, 470.933754, 0.7890, None),
];

fn logistic(rows: &Rows, partitions: usize, threads: usize) -> impl Objective + use<> {
    let kernel = MarginKernel::new(Logistic, Target::Positive(1.0), rows.columns, false);
    Regularized::new(rows.partitioned(partitions, threads), kernel, 1.0, &Penalty::l2(1.0))
}

fn strict_lbfgs(initial_matrix: InitialMatrix) -> Lbfgs {
    Lbfgs {
        iterations_max: 5000,
        tolerance: 1e-12,
        gradient_tolerance: 1e-9,
        initial_matrix,
        ..Default::default()
    }
}

fn strict_newton() -> Newton {
    Newton { gradient_tolerance: 1e-8, ..Default::default() }
}

fn dual(rows: &Rows, partitions: usize, threads: usize) -> Result<Solution> {
    let solver = DualCoordinateDescent { tolerance: 1e-6, ..Default::default() };
    let mut primal = logistic(rows, partitions, threads);
    let rows = rows.partitioned(partitions, threads);
    solver.minimize_then_newton(&rows, LogisticDual, Target::Positive(1.0), &mut primal, &mut silent)
}

fn accuracy(rows: &Rows, w: &[f64]) -> f64 {
    let right = rows.rows.iter().zip(&rows.labels).filter(|(row, y)| {
        let z: f64 = row.iter().map(|(j, x)| x * w[*j as usize]).sum();
        (z > 0.0) == (**y > 0.5)
    });
    right.count() as f64 / rows.labels.len() as f64
}

fn bits(w: &[f64]) -> Vec<u64> {
    w.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn reference_optima_on_real_data() {
    for (file, test, columns, optimum, train_accuracy, test_accuracy) in REFERENCES {
        let Some(rows) = libsvm(file, columns) else { return };
        let test = test.and_then(|t| libsvm(t, rows.columns));
        for partitions in [1, 2, 8] {
            let solve = |name: &str, threads: usize| -> Solution {
                let mut f = logistic(&rows, partitions, threads);
                let start = vec![0.0; rows.columns];
                match name {
                    "dual" => dual(&rows, partitions, threads),
                    "newton" => strict_newton().minimize(&mut f, start, &mut silent),
                    "lbfgs" => strict_lbfgs(InitialMatrix::Identity).minimize(&mut f, start, &mut silent),
                    _ => strict_lbfgs(InitialMatrix::HessianDiagonal).minimize(&mut f, start, &mut silent),
                }
                .unwrap()
            };
            for name in ["newton", "lbfgs", "lbfgs-diagonal", "dual"] {
                let s = solve(name, 1);
                eprintln!(
                    "{file} {partitions} {name}: {} iterations, {} evaluations, {} other, {}",
                    s.report.iterations, s.report.evaluations, s.report.other_sweeps, s.report.stop
                );
                assert!(s.report.stop.is_converged(), "{file} {name}: {:?}", s.report.stop);
                assert_close(s.objective, optimum, 1e-6);
                assert!((accuracy(&rows, &s.weights) - train_accuracy).abs() < 2e-3, "{file}");
                if let (Some(test), Some(expected)) = (&test, test_accuracy) {
                    assert!((accuracy(test, &s.weights) - expected).abs() < 2e-3, "{file}");
                }
                if partitions == 8 {
                    assert_eq!(bits(&s.weights), bits(&solve(name, 2).weights), "{file} {name}");
                }
            }
        }
    }
}

fn agree<L: Loss>(loss: L, intercept: bool) {
    let rows = generated(400, 15, 5);
    let n = 15 + usize::from(intercept);
    let make = || {
        let kernel = MarginKernel::new(loss, Target::Positive(1.0), 15, intercept);
        Regularized::new(rows.partitioned(3, 1), kernel, 0.5, &Penalty::l2(1.0))
    };
    let newton = strict_newton().minimize(&mut make(), vec![0.0; n], &mut silent).unwrap();
    let lbfgs =
        strict_lbfgs(InitialMatrix::Identity).minimize(&mut make(), vec![0.0; n], &mut silent).unwrap();
    assert_close(newton.objective, lbfgs.objective, 1e-10);
    newton.weights.iter().zip(&lbfgs.weights).for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "{a} {b}"));
    // A warm start at the optimum has nothing to do.
    let again = strict_newton().minimize(&mut make(), newton.weights.clone(), &mut silent).unwrap();
    assert!(again.report.iterations <= 1, "{:?}", again.report);
    assert_eq!(newton.report.objective_history.len(), newton.report.iterations + 1);
}

#[test]
fn newton_and_lbfgs_agree() {
    for intercept in [false, true] {
        agree(Logistic, intercept);
        agree(SquaredHinge, intercept);
        agree(SquaredError, intercept);
    }
}

/// `1/2 w'w + C Σ loss` at `w`, computed plainly.
fn primal(rows: &Rows, w: &[f64], c: f64, loss: impl Fn(f64) -> f64) -> f64 {
    let losses = rows.rows.iter().zip(&rows.labels).map(|(row, y)| {
        let z: f64 = row.iter().map(|(j, x)| x * w[*j as usize]).sum();
        loss(if *y > 0.0 { z } else { -z })
    });
    0.5 * w.iter().map(|w| w * w).sum::<f64>() + c * losses.sum::<f64>()
}

#[test]
fn dual_descent_closes_the_gap_for_any_partitioning() {
    let rows = generated(300, 40, 2);
    let hinge = |yz: f64| (1.0 - yz).max(0.0);
    let run = |partitions: usize, threads: usize, squared: bool| {
        let solver =
            DualCoordinateDescent { c: 0.1, tolerance: 1e-6, passes_max: 20_000, ..Default::default() };
        let parts = rows.partitioned(partitions, threads);
        let target = Target::Positive(1.0);
        let s = if squared {
            solver.minimize(&parts, SquaredHingeDual, target, 40, &mut silent)
        } else {
            solver.minimize(&parts, HingeDual, target, 40, &mut silent)
        };
        let s = s.unwrap();
        assert_eq!(s.report.stop, Stop::Optimality, "{partitions} {squared}");
        let value = primal(&rows, &s.weights, 0.1, |yz| if squared { hinge(yz).powi(2) } else { hinge(yz) });
        assert_close(value, s.objective, 1e-9);
        s
    };
    for squared in [false, true] {
        let alone = run(1, 1, squared);
        for partitions in [2, 8] {
            let s = run(partitions, 1, squared);
            eprintln!(
                "{partitions} {squared}: {} passes, alone {}",
                s.report.other_sweeps, alone.report.other_sweeps
            );
            assert_close(s.objective, alone.objective, 2e-6);
            assert_eq!(bits(&s.weights), bits(&run(partitions, 3, squared).weights));
        }
    }
    let kernel = MarginKernel::new(SquaredHinge, Target::Positive(1.0), 40, false);
    let mut f = Regularized::new(rows.partitioned(1, 1), kernel, 0.1, &Penalty::l2(1.0));
    let newton = strict_newton().minimize(&mut f, vec![0.0; 40], &mut silent).unwrap();
    assert_close(newton.objective, run(1, 1, true).objective, 2e-6);
}

#[test]
fn rows_without_columns_pay_for_every_loss() {
    let labels = (0..31).map(|i| f64::from(i % 2)).collect();
    let rows = Rows { labels, rows: vec![vec![]; 31], columns: 0 };
    for partitions in [1, 2, 3, 5, 40] {
        let solver = DualCoordinateDescent { tolerance: 1e-6, ..Default::default() };
        let parts = rows.partitioned(partitions, 1);
        let s = solver.minimize(&parts, HingeDual, Target::Positive(1.0), 0, &mut silent).unwrap();
        assert_eq!(
            (s.report.stop, s.weights.len(), s.objective),
            (Stop::Optimality, 0, 31.0),
            "{partitions}"
        );
    }
}

#[test]
fn an_observer_stops() {
    let rows = generated(100, 5, 1);
    let mut seen = vec![];
    let s = Lbfgs::default()
        .minimize(&mut logistic(&rows, 2, 1), vec![0.0; 5], &mut |p| {
            seen.push(p.iteration);
            if p.iteration == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((s.report.stop, seen), (Stop::Observer, vec![0, 1, 2]));
}

#[test]
fn a_start_that_is_not_finite_is_a_numerical_error() {
    let mut rows = generated(10, 3, 1);
    rows.rows[4] = vec![(0, f64::NAN)];
    let e = Newton::default().minimize(&mut logistic(&rows, 1, 1), vec![0.0; 3], &mut silent).unwrap_err();
    assert!(matches!(e.kind(), slackwater_dataflow::ErrorKind::Numerical(_)), "{e}");
}
