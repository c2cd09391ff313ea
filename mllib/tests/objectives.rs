//! Gradients, products and diagonals against finite differences, for every kernel, penalty and standardisation.

mod common;

use common::{Rows, assert_close, generated};
use slackwater_mllib::linalg::dense::{axpy, dot, norm2};
use slackwater_mllib::objective::{
    LocalRows, Logistic, MarginKernel, Objective, Penalty, Regularized, SoftmaxKernel, SquaredError,
    SquaredHinge, Standardization, Sweep, Target,
};
use slackwater_mllib::stat::ColumnMoments;

fn rows() -> Rows {
    generated(60, 7, 3)
}

/// Checks an objective at a point.
fn check(name: &str, objective: &mut dyn Objective) {
    let n = objective.dimension();
    let w: Vec<f64> = (0..n).map(|j| 0.3 * ((j * 7 % 5) as f64 - 2.0)).collect();
    let v: Vec<f64> = (0..n).map(|j| 0.5 - (j * 3 % 4) as f64).collect();
    let h = 1e-6;
    let (mut gradient, mut up, mut down) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut shifted = w.clone();
    axpy(h, &v, &mut shifted);
    let f_up = objective.value_and_gradient(&shifted, &mut up).unwrap();
    axpy(-2.0 * h, &v, &mut shifted);
    let f_down = objective.value_and_gradient(&shifted, &mut down).unwrap();
    objective.value_and_gradient(&w, &mut gradient).unwrap();
    let slope = (f_up - f_down) / (2.0 * h);
    assert!((slope - dot(&gradient, &v)).abs() < 1e-5 * norm2(&gradient), "{name}: gradient");
    let mut product = vec![0.0; n];
    objective.hessian_vector(&v, &mut product).unwrap();
    let difference: Vec<f64> = up.iter().zip(&down).map(|(a, b)| (a - b) / (2.0 * h)).collect();
    for j in 0..n {
        assert!((product[j] - difference[j]).abs() < 1e-5 * norm2(&product), "{name}: product at {j}");
    }
    let mut diagonal = vec![0.0; n];
    objective.hessian_diagonal(&mut diagonal).unwrap();
    for j in 0..n {
        let mut unit = vec![0.0; n];
        unit[j] = 1.0;
        objective.hessian_vector(&unit, &mut product).unwrap();
        assert_close(diagonal[j], product[j], 1e-9);
    }
}

fn standardization(rows: &LocalRows, shift: bool) -> Standardization {
    let mut moments = ColumnMoments::new(0);
    rows.blocks().iter().flatten().for_each(|b| moments.push(&b.features));
    Standardization::new(&moments.sample_deviations(), shift.then(|| moments.means()))
}

#[test]
fn derivatives() {
    let all = rows();
    for partitions in [1, 3] {
        for intercept in [false, true] {
            let rows = all.partitioned(partitions, 2);
            let penalty = Penalty::l2(0.7);
            let target = Target::Positive(1.0);
            let logistic = MarginKernel::new(Logistic, target.clone(), 7, intercept);
            check("logistic", &mut Regularized::new(rows.clone(), logistic.clone(), 2.0, &penalty));
            let hinge = MarginKernel::new(SquaredHinge, target, 7, intercept);
            check("squared hinge", &mut Regularized::new(rows.clone(), hinge, 2.0, &penalty));
            let affine = Target::Affine { shift: 0.25, scale: 3.0 };
            let squares = MarginKernel::new(SquaredError, affine, 7, intercept);
            check("squared error", &mut Regularized::new(rows.clone(), squares, 0.1, &penalty));
            let softmax = SoftmaxKernel::new(&[-1.0, 1.0, 5.0], 7, intercept);
            check("softmax", &mut Regularized::new(rows.clone(), softmax.clone(), 1.0, &penalty));
            let scaled = standardization(&rows, intercept);
            let logistic =
                Regularized::new(rows.clone(), logistic, 1.0, &penalty).standardized(scaled.clone());
            check("standardised logistic", &mut { logistic });
            let softmax = Regularized::new(rows, softmax, 1.0, &penalty).standardized(scaled);
            check("standardised softmax", &mut { softmax });
        }
    }
}

#[test]
fn two_classes_of_softmax_are_logistic() {
    let rows = rows().partitioned(2, 1);
    let none = Penalty::default();
    let mut softmax = Regularized::new(rows.clone(), SoftmaxKernel::new(&[-1.0, 1.0], 7, false), 1.0, &none);
    let kernel = MarginKernel::new(Logistic, Target::Positive(1.0), 7, false);
    let mut logistic = Regularized::new(rows, kernel, 1.0, &none);
    let w: Vec<f64> = (0..7).map(|j| 0.2 * j as f64 - 0.5).collect();
    let pairs: Vec<f64> = w.iter().flat_map(|w| [0.0, *w]).collect();
    let (mut g2, mut g1) = (vec![0.0; 14], vec![0.0; 7]);
    let two = softmax.value_and_gradient(&pairs, &mut g2).unwrap();
    let one = logistic.value_and_gradient(&w, &mut g1).unwrap();
    assert_close(two, one, 1e-13);
    (0..7).for_each(|j| assert_close(g2[2 * j + 1], g1[j], 1e-12));
}

#[test]
fn threads_do_not_change_bits() {
    let all = generated(500, 20, 9);
    let run = |threads| {
        let kernel = MarginKernel::new(Logistic, Target::Positive(1.0), 20, true);
        let mut f = Regularized::new(all.partitioned(8, threads), kernel, 1.0, &Penalty::l2(1.0));
        let (w, mut g, mut h) = (vec![0.1; 21], vec![0.0; 21], vec![0.0; 21]);
        let value = f.value_and_gradient(&w, &mut g).unwrap();
        f.hessian_vector(&g, &mut h).unwrap();
        (value.to_bits(), g.iter().chain(&h).map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(5));
}

#[test]
fn rows_wider_than_the_weights_are_refused() {
    let rows = rows().partitioned(2, 1);
    assert_eq!(rows.partitions(), 2);
    let kernel = MarginKernel::new(Logistic, Target::Positive(1.0), 5, false);
    let e = Regularized::new(rows, kernel, 1.0, &Penalty::default())
        .value_and_gradient(&[0.0; 5], &mut [0.0; 5])
        .unwrap_err();
    assert_eq!(e.exit_code(), 3);
    assert!(e.to_string().contains("7 columns"), "{e}");
}
