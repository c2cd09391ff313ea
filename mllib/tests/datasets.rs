//! Training, scoring and cross-validation on the engine: the bits of local rows, for any number of workers.

mod common;

use common::{Rows, generated};
use slackwater_dataflow::block::{LabeledBlock, LabeledPoint};
use slackwater_dataflow::{Context, Dataset, ErrorKind};
use slackwater_mllib::classification::{LinearSvmParams, LogisticRegressionParams, SvmLoss};
use slackwater_mllib::evaluation::{BinaryMetrics, MulticlassMetrics, RegressionMetrics};
use slackwater_mllib::feature::StandardScaler;
use slackwater_mllib::linear::{ScoreRows, Solver, TrainingParams};
use slackwater_mllib::objective::{DatasetRows, Scaling};
use slackwater_mllib::optimization::silent;
use slackwater_mllib::regression::LinearRegressionParams;
use slackwater_mllib::tuning::{CrossValidation, Direction, Grid};

fn blocks(cx: &Context, rows: &Rows, partitions: usize) -> Dataset<LabeledBlock> {
    cx.from_partitions(rows.partitioned(partitions, 1).blocks().to_vec())
}

fn bits(w: &[f64]) -> Vec<u64> {
    w.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn datasets_give_the_bits_of_local_rows() {
    let rows = generated(300, 10, 11);
    for partitions in [1, 4, 7] {
        let local = rows.partitioned(partitions, 1);
        for workers in [1, 3] {
            let cx = Context::local(workers).unwrap();
            let data = DatasetRows::from_blocks(&blocks(&cx, &rows, partitions));
            for solver in [Solver::Newton, Solver::Lbfgs, Solver::Dual] {
                let training = TrainingParams { solver: Some(solver), ..Default::default() };
                let params = LogisticRegressionParams { training, ..Default::default() };
                let here = params.train(&local, &mut silent).unwrap();
                let there = params.fit(&data).unwrap();
                assert_eq!(bits(here.weights()), bits(there.weights()), "{solver} {partitions} {workers}");
                assert_eq!(here, there);
            }
            let hinge = LinearSvmParams { loss: SvmLoss::Hinge, ..Default::default() };
            assert_eq!(hinge.train(&local, &mut silent).unwrap(), hinge.fit(&data).unwrap());
        }
    }
}

#[test]
fn points_train_as_blocks_do() {
    let rows = generated(120, 6, 5);
    let cx = Context::local(2).unwrap();
    let points: Vec<LabeledPoint> = rows.whole().points(6).collect();
    let points = cx.parallelize(points, 3);
    let model = LinearSvmParams::default().fit(&points).unwrap();
    let scores = points.score_rows({
        let model = model.clone();
        move |row| model.score(&row)
    });
    let area = BinaryMetrics::of(&scores).unwrap().area_under_roc();
    assert!(area > 0.8, "{area}");
    let collected = scores.collect().unwrap();
    assert_eq!(area, BinaryMetrics::new(collected.clone()).area_under_roc());
    assert_eq!(RegressionMetrics::of(&scores).unwrap().rows, 120);
    let predicted = points.score_rows(move |row| model.predict(&row));
    let confusion = MulticlassMetrics::of(&predicted).unwrap();
    assert_eq!(confusion.classes(), [-1.0, 1.0]);
    assert!(confusion.accuracy() > 0.7);
    let scaler = StandardScaler::default().fit(&DatasetRows::from_points(&points)).unwrap();
    assert_eq!(scaler.means().len(), 6);
}

#[test]
fn an_error_of_a_partition_is_the_errors_kind() {
    let mut rows = generated(40, 4, 5);
    rows.labels[33] = 0.5;
    let cx = Context::local(2).unwrap();
    let e = LinearSvmParams::default().fit(&blocks(&cx, &rows, 4)).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Data(_)), "{e}");
    assert!(
        LinearRegressionParams::default().fit(&blocks(&cx, &rows, 4)).is_ok(),
        "the context stays usable"
    );
}

#[test]
fn cross_validation_chooses_a_sensible_penalty() {
    let rows = generated(400, 8, 2);
    let cx = Context::local(2).unwrap();
    let data = DatasetRows::from_blocks(&blocks(&cx, &rows, 3));
    let grid = Grid::of(LogisticRegressionParams::default())
        .vary(&[1e-7, 1.0], |p, c| p.training.scaling = Scaling::Sum { c: *c });
    let cv = CrossValidation { folds: 3, direction: Direction::Smaller };
    let (outside, inside) = cv.split(&data, 1, 9);
    let count = |rows: &DatasetRows| -> u64 {
        rows.blocks().map_ref(|b| b.rows() as u64).reduce(|a, b| a + b).unwrap().unwrap_or(0)
    };
    assert_eq!(count(&outside) + count(&inside), 400);
    assert!((80..190).contains(&count(&inside)));
    let log_loss = |model: &slackwater_mllib::classification::LogisticRegressionModel,
                    held_out: &Dataset<LabeledBlock>| {
        let model = model.clone();
        let losses = held_out.score_rows(move |row| model.score(&row)).collect()?;
        let mut loss = slackwater_mllib::evaluation::LogLoss::default();
        losses.iter().for_each(|(p, y)| loss.push(if *y > 0.0 { *p } else { 1.0 - p }));
        Ok(loss.mean())
    };
    let (best, scores) = cv.run_on(&data, grid.candidates(), 9, |p, rows| p.fit(rows), log_loss).unwrap();
    assert_eq!(best, 1, "{scores:?}");
    assert!(scores[1].mean < 0.5 && (scores[0].mean - 2f64.ln()).abs() < 1e-2, "{scores:?}");
}
