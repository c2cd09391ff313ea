//! Trainers against Spark's numbers (Spark 4, `local[2]`), against LIBLINEAR's format, and through files.

mod common;

use common::{Rows, assert_close, data_text, generated, libsvm, parse_libsvm};
use slackwater_dataflow::ErrorKind;
use slackwater_dataflow::rng::SparkXorShift;
use slackwater_mllib::classification::{
    Family, LinearSvmModel, LinearSvmParams, LogisticRegressionModel, LogisticRegressionParams, SvmLoss,
};
use slackwater_mllib::evaluation::{BinaryMetrics, MulticlassMetrics, RegressionMetrics};
use slackwater_mllib::linear::{Solver, TrainingParams};
use slackwater_mllib::model::{Overwrite, Persist, inspect, load, save};
use slackwater_mllib::objective::{LocalRows, Scaling};
use slackwater_mllib::optimization::{Stop, silent};
use slackwater_mllib::regression::{LinearRegressionModel, LinearRegressionParams};
use std::path::Path;

/// The rows of a text file as Hadoop cuts it in two: a line belongs to the half in which it starts.
fn halves(text: &str) -> [std::ops::Range<usize>; 2] {
    let half = text.len() / 2;
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    let first = starts.take_while(|at| *at <= half).count();
    [0..first, first..text.lines().count()]
}

/// Spark's `randomSplit(Array(share, 1 - share), seed)`: rows of the first and of the second dataset, by partition.
fn random_split(partitions: &[std::ops::Range<usize>], share: f64, seed: i64) -> [Vec<Vec<usize>>; 2] {
    let mut split = [vec![], vec![]];
    for (p, range) in partitions.iter().enumerate() {
        let mut rng = SparkXorShift::new(seed + p as i64);
        let (first, second) = range.clone().partition(|_| rng.next_f64() < share);
        split[0].push(first);
        split[1].push(second);
    }
    split
}

#[test]
fn svm_with_sgd_is_sparks() {
    let Some(text) = data_text("spark_data/mllib/sample_libsvm_data.txt") else { return };
    let all = parse_libsvm(&text, 692);
    let [train, test] = random_split(&halves(&text), 0.6, 11);
    let count = |parts: &[Vec<usize>]| parts.iter().map(Vec::len).sum::<usize>();
    assert_eq!((count(&train), count(&test)), (61, 39));
    let rows = LocalRows::new(train.iter().map(|p| vec![all.choose(p)]).collect(), 2);
    let mut model = LinearSvmParams::spark(100, 1.0, 0.01).train(&rows, &mut silent).unwrap();
    let w = model.weights();
    assert_close(w.iter().map(|w| w * w).sum::<f64>().sqrt(), 758.2093192892171, 1e-11);
    assert_close(w.iter().sum::<f64>(), -3488.8186474576496, 1e-11);
    assert_eq!(w.iter().filter(|w| **w != 0.0).count(), 406);
    assert_close(w[434], 119.2589751586354, 1e-11);
    assert_eq!(model.intercept(), 0.0);
    model.clear_threshold();
    let test = all.choose(&test.concat());
    let scores: Vec<(f64, f64)> = test.iter().map(|(y, row)| (model.predict(&row), y)).collect();
    assert_eq!(BinaryMetrics::new(scores).area_under_roc(), 1.0);
}

/// `spark_data/mllib/sample_linear_regression_data.txt` and a fit with Spark's parameters.
fn spark_regression(
    regularization: f64,
    l1_ratio: f64,
    solver: Solver,
) -> Option<(Rows, LinearRegressionModel)> {
    let all = libsvm("spark_data/mllib/sample_linear_regression_data.txt", 10)?;
    let mut params = LinearRegressionParams::spark(regularization, l1_ratio);
    params.training.solver = Some(solver);
    params.training.tolerance = Some(1e-12);
    params.training.iterations_max = Some(1000);
    let model = params.train(&all.partitioned(2, 2), &mut silent).unwrap();
    assert!(model.summary().report.stop.is_converged());
    Some((all, model))
}

#[test]
fn linear_regression_is_sparks() {
    let ols = [
        0.0073350710225801715,
        0.8313757584337543,
        -0.8095307954684084,
        2.441191686884721,
        0.5191713795290002,
        1.1534591903547016,
        -0.2989124112808717,
        -0.5128514186201779,
        -0.619712827067017,
        0.695615180432293,
    ];
    let ridge = [
        0.010541828081257209,
        0.800325310056095,
        -0.7845165541420372,
        2.3679887171421914,
        0.5010002089857577,
        1.1222351159753023,
        -0.2926824398623297,
        -0.49837174323213046,
        -0.6035797180675657,
        0.6725550067187459,
    ];
    let lasso = [
        0.0,
        0.20684523836175076,
        -0.23210065588520368,
        1.7995032536073716,
        0.0,
        0.6710232462693955,
        0.0,
        -0.05124639350926507,
        -0.10534183255604977,
        0.10730845897058501,
    ];
    let net = [
        0.0,
        0.322923919642169,
        -0.3438556402698008,
        1.9156004045362696,
        0.05288416289449761,
        0.7659655001782834,
        0.0,
        -0.1510547746772932,
        -0.215879029194993,
        0.22025409538552015,
    ];
    let exact = 1e-9;
    // Spark computed these with deviations over n, `lbfgs` has them over n - 1.
    let close = 2e-4;
    for (reg, l1_ratio, solver, expected, intercept, rmse, r2, tolerance) in [
        (0.0, 0.0, Solver::Normal, ols, 0.14228558260358093, 10.16309157133015, 0.027839179518600154, exact),
        (0.0, 0.0, Solver::Lbfgs, ols, 0.14228558260358093, 10.16309157133015, 0.027839179518600154, 1e-6),
        (0.0, 0.0, Solver::Newton, ols, 0.14228558260358093, 10.16309157133015, 0.027839179518600154, 1e-6),
        (
            0.3,
            0.0,
            Solver::Normal,
            ridge,
            0.14592176145232047,
            10.163223095528005,
            0.027814017194997764,
            exact,
        ),
        (
            0.3,
            0.0,
            Solver::Lbfgs,
            ridge,
            0.14592176145232047,
            10.163223095528005,
            0.027814017194997764,
            close,
        ),
        (0.3, 1.0, Solver::Lbfgs, lasso, 0.16534217416542846, 10.201321252805927, 0.020511625832953406, 1e-3),
        (0.3, 0.8, Solver::Lbfgs, net, 0.15989397317207862, 10.189077091035065, 0.02286148159891055, 1e-3),
    ] {
        let Some((rows, model)) = spark_regression(reg, l1_ratio, solver) else { return };
        for (w, e) in model.weights().iter().zip(expected) {
            assert!((w - e).abs() <= tolerance, "{reg} {l1_ratio} {solver}: {w} {e}");
            assert_eq!(*w == 0.0, e == 0.0, "{reg} {l1_ratio} {solver}: {w} {e}");
        }
        assert!((model.intercept() - intercept).abs() <= tolerance, "{}", model.intercept());
        let block = rows.whole();
        let m = RegressionMetrics::new(block.iter().map(|(y, row)| (model.predict(&row), y)));
        assert!((m.root_mean_squared_error - rmse).abs() < tolerance, "{}", m.root_mean_squared_error);
        assert!((m.r2 - r2).abs() < tolerance, "{} {r2}", m.r2);
    }
}

#[test]
fn logistic_regression_is_sparks() {
    let Some(all) = libsvm("spark_data/mllib/sample_libsvm_data.txt", 692) else { return };
    let fit = |reg: f64, l1_ratio: f64| {
        let mut params = LogisticRegressionParams::spark(reg, l1_ratio);
        params.training.tolerance = Some(1e-9);
        params.training.iterations_max = Some(3000);
        let model = params.train(&all.partitioned(2, 2), &mut silent).unwrap();
        eprintln!(
            "logistic {reg} {l1_ratio}: {} {}",
            model.summary().report.iterations,
            model.summary().report.stop
        );
        model
    };
    let norm = |w: &[f64]| w.iter().map(|w| w * w).sum::<f64>().sqrt();
    let sparse = fit(0.3, 0.8);
    assert_close(sparse.summary().objective, 0.573103253278651, 1e-5);
    // Spark stopped at 100 iterations, short of the optimum: what follows holds to a few digits only.
    assert_close(sparse.intercepts()[0], -0.7349657662243142, 1e-2);
    assert_close(norm(sparse.weights()), 0.0036952649436173624, 1e-2);
    for j in [406, 433, 434, 462] {
        assert!(sparse.weights()[j] > 0.0, "{j}");
    }
    let ridge = fit(0.1, 0.0);
    assert_close(ridge.summary().objective, 0.02741572789258112, 1e-4);
    assert_close(ridge.intercepts()[0], 2.285030080543557, 1e-2);
    assert_close(norm(ridge.weights()), 0.009679379050494312, 1e-2);
}

#[test]
fn multinomial_logistic_regression_is_sparks() {
    let Some(all) = libsvm("spark_data/mllib/sample_multiclass_classification_data.txt", 4) else { return };
    let expected = [
        [0.5823154761827016, -0.01887269004628732, 0.5920638067567844, 0.6728585492134694],
        [-0.6561232788441944, 0.8308557155169574, -0.7189247442002081, -0.6404018026166372],
        [0.07380780266149306, -0.8119830254706701, 0.12686093744342325, -0.03245674659683238],
    ];
    let intercepts = [0.10474682026403649, -0.28937194533829536, 0.18462512507425888];
    for solver in [Solver::Lbfgs, Solver::Newton] {
        let mut params = LogisticRegressionParams::spark(0.3, 0.0);
        params.training.solver = Some(solver);
        params.training.tolerance = Some(1e-10);
        let model = params.train(&all.partitioned(2, 1), &mut silent).unwrap();
        for c in 0..3 {
            (0..4)
                .for_each(|j| assert!((model.weights()[j * 3 + c] - expected[c][j]).abs() < 1e-4, "{c} {j}"));
            assert!((model.intercepts()[c] - intercepts[c]).abs() < 1e-4);
        }
        let block = all.whole();
        let m = MulticlassMetrics::new(block.iter().map(|(y, row)| (model.predict(&row), y)));
        assert_close(m.accuracy(), 0.9, 1e-12);
    }
}

fn zero_one(mut rows: Rows) -> Rows {
    rows.labels.iter_mut().for_each(|y| *y = f64::from(*y > 0.0));
    rows
}

#[test]
fn every_solver_finds_the_same_support_vector_machine() {
    let rows = generated(300, 12, 4);
    let fit = |loss, solver, scaling, intercept| {
        let training = TrainingParams {
            solver: Some(solver),
            scaling,
            intercept,
            tolerance: Some(1e-9),
            iterations_max: Some(20_000),
            ..Default::default()
        };
        LinearSvmParams { loss, training }.train(&rows.partitioned(3, 2), &mut silent).unwrap()
    };
    let sum = Scaling::Sum { c: 0.2 };
    let mean = Scaling::Mean { regularization: 1.0 / (0.2 * 300.0) };
    let reference = fit(SvmLoss::SquaredHinge, Solver::Newton, sum, false);
    for (solver, scaling) in
        [(Solver::Lbfgs, sum), (Solver::Dual, sum), (Solver::Dual, mean), (Solver::Newton, mean)]
    {
        let model = fit(SvmLoss::SquaredHinge, solver, scaling, false);
        let factor = if scaling == mean { 1.0 / (0.2 * 300.0) } else { 1.0 };
        assert_close(model.summary().objective, reference.summary().objective * factor, 1e-6);
        for (a, b) in model.weights().iter().zip(reference.weights()) {
            assert!((a - b).abs() < 1e-3, "{solver} {scaling:?}: {a} {b}");
        }
    }
    assert!(fit(SvmLoss::SquaredHinge, Solver::Newton, sum, true).intercept() != 0.0);
    assert!(fit(SvmLoss::Hinge, Solver::Dual, sum, true).intercept() != 0.0);
}

#[test]
fn l1_gives_few_weights_and_dual_agrees_with_newton() {
    let rows = zero_one(generated(300, 12, 4)).partitioned(4, 1);
    let training = TrainingParams { scaling: Scaling::Sum { c: 0.1 }, l1_ratio: 1.0, ..Default::default() };
    let params = LogisticRegressionParams { training, ..Default::default() };
    let model = params.train(&rows, &mut silent).unwrap();
    let nonzero = model.weights().iter().filter(|w| **w != 0.0).count();
    assert!((1..12).contains(&nonzero), "{nonzero} non-zero weights");
    let fit = |solver| {
        let training = TrainingParams { solver: Some(solver), tolerance: Some(1e-7), ..Default::default() };
        LogisticRegressionParams { training, ..Default::default() }.train(&rows, &mut silent).unwrap()
    };
    assert_close(fit(Solver::Dual).summary().objective, fit(Solver::Newton).summary().objective, 1e-6);
}

#[test]
fn labels_that_are_no_classes_are_data_errors() {
    let mut rows = generated(20, 3, 1);
    rows.labels[7] = 2.5;
    let parts = rows.partitioned(2, 1);
    let binary = LogisticRegressionParams { family: Family::Binary, ..Default::default() };
    for e in [
        LinearSvmParams::default().train(&parts, &mut silent).unwrap_err(),
        LogisticRegressionParams::default().train(&parts, &mut silent).unwrap_err(),
        binary.train(&parts, &mut silent).unwrap_err(),
    ] {
        assert!(matches!(e.kind(), ErrorKind::Data(_)), "{e}");
        assert!(e.to_string().contains("label 2.5") && e.to_string().contains("--binarize"), "{e}");
    }
    LinearRegressionParams::default().train(&parts, &mut silent).unwrap();
}

#[test]
fn thresholds_and_classes() {
    let rows = zero_one(generated(100, 4, 6));
    let mut svm = LinearSvmParams::default().train(&rows.partitioned(1, 1), &mut silent).unwrap();
    let block = rows.whole();
    let row = block.features.row(0);
    assert_eq!(svm.classes(), [0.0, 1.0]);
    assert_eq!(svm.predict(&row), f64::from(svm.score(&row) > 0.0));
    svm.set_threshold(f64::INFINITY);
    assert_eq!(svm.predict(&row), 0.0);
    svm.clear_threshold();
    assert_eq!(svm.predict(&row), svm.score(&row));
    let mut logistic =
        LogisticRegressionParams::default().train(&rows.partitioned(1, 1), &mut silent).unwrap();
    let p = logistic.probabilities(&row);
    assert!((p[0] + p[1] - 1.0).abs() < 1e-15 && p[1] == logistic.score(&row));
    logistic.set_threshold(1.0).unwrap();
    assert_eq!(logistic.predict(&row), 0.0);
    // Two classes through softmax are the same model.
    let family = Family::Multinomial;
    let mut other = LogisticRegressionParams { family, ..Default::default() };
    other.training.tolerance = Some(1e-10);
    // The softmax spreads a weight over two classes, so half the penalty is the same penalty.
    other.training.scaling = Scaling::Sum { c: 0.5 };
    let other = other.train(&rows.partitioned(1, 1), &mut silent).unwrap();
    let mut strict = LogisticRegressionParams::default();
    strict.training.tolerance = Some(1e-8);
    let strict = strict.train(&rows.partitioned(1, 1), &mut silent).unwrap();
    let (a, b) = (other.probabilities(&row)[1], strict.probabilities(&row)[1]);
    assert!((a - b).abs() < 1e-5 && other.clone().clear_threshold().is_err());
}

#[test]
fn liblinear_text() {
    let rows = generated(60, 3, 8);
    let params = LinearSvmParams {
        training: TrainingParams { intercept: true, ..TrainingParams::cost(1.0) },
        ..Default::default()
    };
    let model = params.train(&rows.partitioned(1, 1), &mut silent).unwrap();
    let text = model.export_liblinear().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        ["solver_type L2R_L2LOSS_SVC", "nr_class 2", "label 1 -1", "nr_feature 3", "bias 1", "w"]
    );
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[6].trim().parse::<f64>().unwrap(), model.weights()[0]);
    assert_eq!(lines[9].trim().parse::<f64>().unwrap(), model.intercept());
}

fn round_trip<M: Persist + PartialEq + std::fmt::Debug>(model: &M, directory: &Path) {
    let path = directory.join(M::ALGORITHM);
    save(model, &path, Overwrite::Refuse).unwrap();
    assert_eq!(&load::<M>(&path).unwrap(), model);
    let first = std::fs::read(path.join("metadata.json")).unwrap();
    let e = save(model, &path, Overwrite::Refuse).unwrap_err();
    assert!(e.exit_code() == 2 && e.to_string().contains("already"), "{e}");
    save(model, &path, Overwrite::Replace).unwrap();
    assert_eq!(
        std::fs::read(path.join("metadata.json")).unwrap(),
        first,
        "the same model gives the same bytes"
    );
    let metadata = inspect(&path).unwrap();
    assert_eq!((metadata.algorithm.as_str(), metadata.format_version), (M::ALGORITHM, 1));
    assert!(metadata.attributes.starts_with('{'));
    let left: Vec<_> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().contains("tmp")), "{left:?}");
}

#[test]
fn models_survive_files() {
    let directory = tempfile::tempdir().unwrap();
    let rows = generated(80, 5, 3);
    let parts = rows.partitioned(2, 1);
    let svm = LinearSvmParams::default().train(&parts, &mut silent).unwrap();
    round_trip(&svm, directory.path());
    let mut multi = rows.clone();
    multi.labels.iter_mut().enumerate().for_each(|(i, y)| *y = (i % 3) as f64 * 10.0);
    let model = LogisticRegressionParams::default().train(&multi.partitioned(2, 1), &mut silent).unwrap();
    assert_eq!(model.classes(), [0.0, 10.0, 20.0]);
    round_trip(&model, directory.path());
    let model = LinearRegressionParams::spark(0.1, 1.0).train(&parts, &mut silent).unwrap();
    round_trip(&model, directory.path());
    assert_eq!(model.summary().solver, Solver::Lbfgs);
    assert_ne!(model.summary().report.stop, Stop::Observer);
}

#[test]
fn damaged_models_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m.model");
    let missing = load::<LinearSvmModel>(&path).unwrap_err();
    assert!(missing.exit_code() == 3 && missing.to_string().contains("metadata.json"), "{missing}");
    let model =
        LinearSvmParams::default().train(&generated(50, 5, 3).partitioned(1, 1), &mut silent).unwrap();
    save(&model, &path, Overwrite::Refuse).unwrap();
    let refused = |contains: &str| {
        let e = load::<LinearSvmModel>(&path).unwrap_err();
        assert!(e.exit_code() == 3 && e.to_string().contains(contains), "{e}");
    };
    let e = load::<LogisticRegressionModel>(&path).unwrap_err();
    assert!(e.to_string().contains("linear-svm"), "{e}");
    let data = path.join("data/part-00000.parquet");
    let bytes = std::fs::read(&data).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    std::fs::write(&data, &flipped).unwrap();
    refused("checksum");
    std::fs::write(&data, &bytes[..bytes.len() - 1]).unwrap();
    refused("checksum");
    std::fs::remove_file(&data).unwrap();
    refused("part-00000.parquet");
    std::fs::write(&data, &bytes).unwrap();
    let metadata = path.join("metadata.json");
    let text = std::fs::read_to_string(&metadata).unwrap();
    std::fs::write(&metadata, text.replace("\"format_version\": 1", "\"format_version\": 99")).unwrap();
    refused("99");
    std::fs::write(&metadata, &text[..text.len() / 2]).unwrap();
    refused("damaged");
    // What is read is inside of the model.
    for path in ["/dev/zero", "../m.model/data/part-00000.parquet"] {
        std::fs::write(&metadata, text.replace("data/part-00000.parquet", path)).unwrap();
        refused("is not inside of it");
    }
    // Zeros are not stored, so a claim of columns costs no bytes; it must not cost all memory.
    for columns in ["4611686018427387904", "1000000000000"] {
        std::fs::write(&metadata, text.replacen("\"columns\": 5", &format!("\"columns\": {columns}"), 1))
            .unwrap();
        refused("are the most that are read");
    }
    // Only models are replaced.
    let other = directory.path().join("precious");
    std::fs::create_dir(&other).unwrap();
    assert!(save(&model, &other, Overwrite::Replace).unwrap_err().to_string().contains("no model"));
}

#[test]
fn minibatches_come_near_the_optimum() {
    use slackwater_dataflow::Context;
    use slackwater_mllib::linear::TableParams;
    use slackwater_paramstore::Consistency;
    let Some(rows) = libsvm("a1a/a1a.gz", 123) else { return };
    for workers in [1, 2] {
        let cx = Context::local(workers).unwrap();
        let blocks =
            cx.from_partitions((0..4).map(|p| vec![rows.block(p * 1605 / 4, (p + 1) * 1605 / 4)]).collect());
        for consistency in [Consistency::Bsp, Consistency::Ssp(3), Consistency::Essp(3), Consistency::Async] {
            let training = TrainingParams {
                solver: Some(Solver::Minibatch),
                iterations_max: Some(60),
                step_size: 1.0,
                table: TableParams { batch: 10, decay: 0.95, consistency },
                ..TrainingParams::cost(1.0)
            };
            let model = LogisticRegressionParams { training, ..Default::default() }.fit(&blocks).unwrap();
            // The optimum of the same problem, known from LIBLINEAR and scikit-learn.
            let above = model.summary().objective / 516.343890 - 1.0;
            assert!((0.0..0.01).contains(&above), "{consistency}: {above}");
            assert_eq!(model.summary().report.objective_history.len(), 60);
        }
    }
}
