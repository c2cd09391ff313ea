//! The Spark demo of the tutorial "Big ML Software for Modern ML Algorithms", line for line: load LIBSVM data, split it,
//! cache the training part, train 100 iterations, clear the threshold, score the test part, area under ROC.
//!
//! `cargo run --release --example svm_demo [FILE]`. With Spark's own `sample_libsvm_data.txt` the split, the weights and
//! the area are Spark's.

use slackwater::loaders::{Splitting, format::libsvm::LibsvmOptions};
use slackwater::prelude::*;
use slackwater_examples::{input, two_classes};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = input("two-classes.svm", || two_classes(200, 20, 5))?;
    let cx = Context::from_env()?;

    // val data = MLUtils.loadLibSVMFile(sc, path)
    let data = cx.read_libsvm_with(&[&path], LibsvmOptions::default(), Splitting::Hadoop(2))?;

    // val splits = data.randomSplit(Array(0.6, 0.4), seed = 11L)
    let [training, test] = data.random_split([0.6, 0.4], 11);

    // val training = splits(0).cache()
    let training = training.cache();

    // val model = SVMWithSGD.train(training, 100)
    let params = LinearSvmParams {
        loss: SvmLoss::Hinge,
        training: TrainingParams {
            solver: Some(Solver::Sgd),
            scaling: Scaling::Mean { regularization: 0.01 },
            iterations_max: Some(100),
            ..Default::default()
        },
    };
    let mut model = params.fit(&training)?;

    // model.clearThreshold()
    model.clear_threshold();

    // val scoreAndLabels = test.map { point => (model.predict(point.features), point.label) }
    let scorer = model.clone();
    let score_and_labels = test.map(move |point| (scorer.predict(&point.features), point.label));

    // val metrics = new BinaryClassificationMetrics(scoreAndLabels); metrics.areaUnderROC()
    let area = BinaryMetrics::of(&score_and_labels)?.area_under_roc();
    let (trained, tested) = (training.count()?, test.count()?);
    let norm = model.weights().iter().map(|w| w * w).sum::<f64>().sqrt();
    cx.on_driver(|| {
        println!("{trained} training rows, {tested} test rows, norm of the weights {norm:.10}");
        println!("Area under ROC = {area}");
    });
    Ok(())
}
