//! Max-margin topics: against LDA where the classes do not count, determinism, and 20 newsgroups.

mod common;

use common::{Rows, libsvm};
use slackwater_dataflow::block::{Document, LabeledBlock};
use slackwater_dataflow::rng::{self, below, unit_f64};
use slackwater_dataflow::{Context, Dataset};
use slackwater_mllib::classification::{
    LinearSvmParams, MaxMarginTopicsModel, MaxMarginTopicsParams, SvmLoss,
};
use slackwater_mllib::clustering::LdaParams;
use slackwater_mllib::clustering::lda::CountRows;
use slackwater_mllib::linear::TrainingParams;
use slackwater_mllib::model::{self, Overwrite};
use slackwater_mllib::objective::DatasetRows;
use slackwater_paramstore::{Consistency, Snapshots};
use std::ops::ControlFlow;

/// Documents of 30 words, most of them about one of six things that have nothing to do with the class; a share of the words, which
/// are in no thing, are those of the class.
fn rows_with(share: f64, n: usize, classes: u64, seed: u64) -> Rows {
    let mut rng = rng::stream(seed, 0);
    let mut all = Rows { labels: vec![], rows: vec![], columns: 130 };
    for _ in 0..n {
        let class = below(&mut rng, classes);
        let thing = below(&mut rng, 6);
        let mut words: Vec<u64> = (0..30)
            .map(|_| match unit_f64(&mut rng) {
                x if x < share => 120 + class * 3 + below(&mut rng, 3),
                x if x < share + 0.1 => below(&mut rng, 120),
                _ => thing * 20 + below(&mut rng, 20),
            })
            .collect();
        words.sort_unstable();
        let row = words.chunk_by(|a, b| a == b).map(|same| (same[0] as u32, same.len() as f64));
        all.labels.push(class as f64 * 2.0 - 1.0);
        all.rows.push(row.collect());
    }
    all
}

fn rows(n: usize, classes: u64, seed: u64) -> Rows {
    rows_with(0.3, n, classes, seed)
}

fn params() -> MaxMarginTopicsParams {
    MaxMarginTopicsParams { topics: 12, epochs: 60, evaluate_every: 20, ..MaxMarginTopicsParams::default() }
}

fn documents(rows: &Rows) -> impl Iterator<Item = (f64, Document)> + '_ {
    rows.labels
        .iter()
        .zip(&rows.rows)
        .map(|(label, row)| (*label, Document::new(0, row.iter().map(|(w, n)| (*w, *n as u32)))))
}

/// The share of rows whose label a model predicts.
fn accuracy(model: &MaxMarginTopicsModel, rows: &Rows) -> f64 {
    let right = documents(rows).filter(|(label, document)| model.predict(document) == *label).count();
    right as f64 / rows.labels.len() as f64
}

fn observed(
    params: &MaxMarginTopicsParams,
    data: &Dataset<LabeledBlock>,
    snapshots: Option<Snapshots>,
) -> MaxMarginTopicsModel {
    let rows = DatasetRows::from(data);
    params.fit_observed(&rows, None, snapshots, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn classes_are_told_apart_by_topics_of_their_own() {
    let cx = Context::local(2).unwrap();
    for classes in [2, 3] {
        let (train, test) = (rows(400, classes, 1), rows(300, classes, 2));
        let mut seen = vec![];
        let model = params()
            .fit_observed(&DatasetRows::from(&train.dataset(&cx, 3)), None, None, &mut |progress| {
                assert_eq!(progress.top_words(0, 4).len(), 4);
                seen.push((progress.epochs, progress.loss, progress.accuracy));
                ControlFlow::Continue(())
            })
            .unwrap();
        let summary = model.summary();
        assert_eq!((summary.documents, summary.tokens, summary.epochs), (400, 12_000, 60));
        assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), [20, 40, 60]);
        assert_eq!((seen[2].1, seen[2].2), (summary.loss, summary.accuracy));
        assert_eq!(summary.loss_history.len(), 60);
        assert_eq!(
            (model.classes().len() as u64, model.tasks()),
            (classes, if classes == 2 { 1 } else { 3 })
        );
        // Without weights every task has the loss of the whole margin.
        assert_eq!(summary.loss_history[0], 64.0 * model.tasks() as f64);
        assert!(summary.loss < 0.5 * summary.loss_history[0] && summary.accuracy > 0.95, "{summary:?}");
        let of_test = accuracy(&model, &test);
        assert!(of_test > 0.9, "{classes}: {of_test}");
        assert_eq!((0..12).map(|k| model.total(k)).sum::<f64>(), 12_000.0);
    }
}

/// With a cost that is next to nothing topics are LDA's: what they say of words is alike, and of classes they know nothing.
#[test]
fn without_a_cost_it_is_lda() {
    let cx = Context::local(2).unwrap();
    let train = rows_with(0.15, 300, 2, 3).dataset(&cx, 2);
    let of_blocks = |block: &LabeledBlock| {
        let document = |row: slackwater_dataflow::block::Row<'_>| {
            Document::new(0, row.indices.iter().copied().zip(row.values.iter().map(|x| *x as u32)))
        };
        block.features.iter().map(document).collect::<Vec<_>>()
    };
    let documents = train.flat_map(move |block| of_blocks(&block));
    let (topics, alpha, beta, epochs) = (6, 0.2, 0.05, 150);
    // The log likelihood of words, given topics.
    let likelihood = |counts: &dyn Fn(u32) -> Vec<f32>| {
        let rows: Vec<Vec<f32>> = (0..126).map(counts).collect();
        (0..topics)
            .map(|k| {
                let total: f64 = rows.iter().map(|row| f64::from(row[k])).sum();
                let terms =
                    rows.iter().map(|row| libm::lgamma(f64::from(row[k]) + beta) - libm::lgamma(beta));
                let whole = beta * rows.len() as f64;
                terms.sum::<f64>() + libm::lgamma(whole) - libm::lgamma(whole + total)
            })
            .sum::<f64>()
    };
    let lda = LdaParams { topics, alpha, beta, epochs, ..LdaParams::default() }.fit(&documents).unwrap();
    let of_lda = likelihood(&|w| lda.counts(w).to_vec());
    let with_cost = |cost| {
        let params = MaxMarginTopicsParams { topics, alpha, beta, epochs, cost, ..params() };
        let model = params.fit(&train).unwrap();
        (likelihood(&|w| model.counts(w).to_vec()), model.summary().accuracy)
    };
    let (of_none, accuracy) = with_cost(1e-6);
    assert!((of_none / of_lda - 1.0).abs() < 0.02, "{of_none} {of_lda}");
    assert!(accuracy < 0.75, "{accuracy}");
    // With a cost words are foretold worse, and classes better.
    let (of_some, accuracy) = with_cost(8.0);
    assert!(of_some / of_lda > 1.03 && accuracy > 0.9, "{of_some} {of_lda} {accuracy}");
}

#[test]
fn the_same_bits_for_any_number_of_workers() {
    let all = rows(200, 3, 4);
    let fit = |workers, rows| {
        let cx = Context::local(workers).unwrap();
        let params = MaxMarginTopicsParams {
            rows,
            batch: Some(20),
            epochs: 7,
            burn_in: Some(2),
            evaluate_every: 2,
            ..params()
        };
        params.fit(&all.dataset(&cx, 4)).unwrap()
    };
    let one = fit(1, CountRows::Dense);
    assert_eq!(one.summary().samples, 3);
    for (workers, rows) in [(1, CountRows::Sparse), (2, CountRows::Dense), (4, CountRows::Sparse)] {
        let other = fit(workers, rows);
        assert!((0..129).all(|w| one.counts(w) == other.counts(w)), "{workers}");
        assert!((0..3).all(|task| one.weights(task) == other.weights(task)), "{workers}");
        assert_eq!(one.summary().loss_history, other.summary().loss_history);
        assert_eq!(one.summary().accuracy, other.summary().accuracy);
    }
}

#[test]
fn stale_counts_do() {
    let cx = Context::local(2).unwrap();
    let (train, test) = (rows(400, 3, 5), rows(300, 3, 6));
    for consistency in [Consistency::Ssp(2), Consistency::Essp(2), Consistency::Async] {
        let params = MaxMarginTopicsParams { batch: Some(20), consistency, ..params() };
        let model = params.fit(&train.dataset(&cx, 4)).unwrap();
        let of_test = accuracy(&model, &test);
        assert!(of_test > 0.8, "{consistency:?}: {of_test}");
        assert_eq!((0..12).map(|k| model.total(k)).sum::<f64>(), 12_000.0);
    }
}

/// Nothing that the model is made of is lost with a training that is cut off, not even samples.
#[test]
fn a_training_that_is_resumed_changes_no_bit() {
    let cx = Context::local(2).unwrap();
    let train = rows(120, 3, 7).dataset(&cx, 3);
    for burn_in in [None, Some(3)] {
        let whole =
            MaxMarginTopicsParams { batch: Some(15), epochs: 12, burn_in, evaluate_every: 2, ..params() };
        let dir = tempfile::tempdir().unwrap();
        let at = || Snapshots::new(dir.path()).every(1);
        observed(&MaxMarginTopicsParams { epochs: 6, ..whole.clone() }, &train, Some(at()));
        let want = observed(&whole, &train, None);
        let got = observed(&whole, &train, Some(at().resume(true)));
        assert_eq!(model::Persist::table(&got), model::Persist::table(&want));
        let told = |m: &MaxMarginTopicsModel| serde_json::to_value(model::Persist::attributes(m)).unwrap();
        assert_eq!(told(&got), told(&want));
    }
}

#[test]
fn models_are_stored() {
    let cx = Context::local(1).unwrap();
    let all = rows(100, 3, 8);
    let names: Vec<String> = (0..130).map(|w| format!("w{w}")).collect();
    let data = DatasetRows::from(&all.dataset(&cx, 2));
    let fitted = MaxMarginTopicsParams { epochs: 4, ..params() }
        .fit_observed(&data, Some(names), None, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    model::save(&fitted, dir.path().join("m"), Overwrite::Refuse).unwrap();
    let mut read: MaxMarginTopicsModel = model::load(dir.path().join("m")).unwrap();
    assert_eq!((read.name(7), read.words()), (Some("w7"), 130));
    assert_eq!(read.weights(2), fitted.weights(2));
    for (_, document) in documents(&all).take(20) {
        assert_eq!(read.predict(&document), fitted.predict(&document));
    }
    // What has no words that are known is of the class of the largest mean weight.
    let shares = read.shares([(500, 3.0)].into_iter());
    assert!(shares.iter().all(|x| (x - 1.0 / 12.0).abs() < 1e-12));
    let means = [0, 1, 2].map(|task| read.weights(task).iter().sum::<f64>());
    let best = (0..3).fold(0, |best, l| if means[l] > means[best] { l } else { best });
    assert_eq!(read.predict(&Document::new(0, [])), read.classes()[best]);
    // What is stored must fit.
    let table = model::Persist::table(&read);
    let mut told = serde_json::to_value(model::Persist::attributes(&read)).unwrap();
    told["weights"].as_array_mut().unwrap().pop();
    let attributes = serde_json::from_value(told).unwrap();
    read = match <MaxMarginTopicsModel as model::Persist>::restore(attributes, &table) {
        Ok(_) => panic!("a weight is missing"),
        Err(e) => {
            assert!(e.exit_code() == 3 && e.to_string().contains("weights do not fit"), "{e}");
            read
        }
    };
    assert_eq!(read.topics(), 12);
}

#[test]
fn what_cannot_be_learnt_from_is_refused() {
    let cx = Context::local(1).unwrap();
    let good = rows(20, 2, 9);
    let error = |change: &dyn Fn(&mut Rows), names: Option<Vec<String>>| {
        let mut bad = good.clone();
        change(&mut bad);
        let data = DatasetRows::from(&bad.dataset(&cx, 2));
        let fit = params().fit_observed(&data, names, None, &mut |_| ControlFlow::Continue(()));
        let e = fit.unwrap_err();
        assert_eq!(e.exit_code(), 3, "{e}");
        e.to_string()
    };
    let e = error(&|rows| rows.rows[12][1].1 = 0.5, None);
    assert!(e.contains("value 0.5 of row 13 in column") && e.contains("whole number of times"), "{e}");
    assert!(error(&|rows| rows.rows[3][0].1 = -1.0, None).contains("value -1 of row 4"));
    assert!(error(&|rows| rows.labels[5] = 0.25, None).contains("label 0.25"));
    assert!(error(&|rows| rows.labels.fill(1.0), None).contains("every row has label 1"));
    assert!(error(&|rows| rows.rows.iter_mut().for_each(Vec::clear), None).contains("no words"));
    assert!(error(&|_| (), Some(vec!["one".into()])).contains("word 130 has no name"));
}

#[test]
fn what_stops_training() {
    let cx = Context::local(1).unwrap();
    let train = rows(150, 2, 10).dataset(&cx, 2);
    let params = MaxMarginTopicsParams { tolerance: Some(0.3), evaluate_every: 5, epochs: 500, ..params() };
    let model = params.fit(&train).unwrap();
    assert!(model.summary().stop.is_converged() && model.summary().epochs < 300, "{:?}", model.summary());
    let stopped =
        params.fit_observed(&DatasetRows::from(&train), None, None, &mut |_| ControlFlow::Break(())).unwrap();
    assert_eq!((stopped.summary().epochs, stopped.summary().loss_history.len()), (5, 5));
}

/// Three groups of 20 newsgroups that are about computers: topics that know the classes against LDA's topics, of which a linear support
/// vector machine is learnt.
#[test]
fn newsgroups_are_told_apart_better_than_by_lda() {
    let chosen = [2.0, 4.0, 6.0];
    let part = |name: &str, most: usize| {
        let all = libsvm(&format!("20news_bydate_bow/20news.{name}.libsvm.gz"), 0)?;
        let mut some = Rows { labels: vec![], rows: vec![], columns: 0 };
        for label in chosen {
            let of_class = (0..all.labels.len()).filter(|i| all.labels[*i] == label).take(most);
            for i in of_class.collect::<Vec<_>>() {
                some.labels.push(label);
                // Words that stand for contents only: the first are in almost all documents.
                some.rows.push(all.rows[i].iter().copied().filter(|(_, n)| *n < 20.0).collect());
            }
        }
        some.columns = some.rows.iter().flatten().map(|(w, _)| *w as usize + 1).max().unwrap_or(0);
        Some(some)
    };
    let (Some(train), Some(test)) = (part("train", 150), part("test", 100)) else { return };
    // Classes in turn, so that every partition has all.
    let order = |rows: &Rows| {
        let each = rows.labels.len() / 3;
        (0..rows.labels.len()).map(|i| i % 3 * each + i / 3).collect::<Vec<_>>()
    };
    let cx = Context::local(2).unwrap();
    let mixed = train.choose(&order(&train));
    let blocks = cx.from_partitions(vec![vec![mixed.filter(|i| i < 225)], vec![mixed.filter(|i| i >= 225)]]);
    let params = MaxMarginTopicsParams { topics: 15, epochs: 60, ..MaxMarginTopicsParams::default() };
    let model = params.fit(&blocks).unwrap();
    let ours = accuracy(&model, &test);

    let lda =
        LdaParams { topics: 15, alpha: params.alpha, beta: params.beta, epochs: 60, ..LdaParams::default() };
    let documents_of = |rows: &Rows| documents(rows).map(|(_, d)| d).collect::<Vec<_>>();
    let lda = lda.fit(&cx.parallelize(documents_of(&train), 2)).unwrap();
    let theta = |rows: &Rows| documents_of(rows).iter().map(|d| lda.infer(d)).collect::<Vec<_>>();
    let (of_train, of_test) = (theta(&train), theta(&test));
    // One machine a class, each with the best of some costs, as if the test were known.
    let mut best = 0.0f64;
    for c in [0.1, 1.0, 10.0, 100.0] {
        let machines = chosen.map(|label| {
            let rows = of_train.iter().map(|t| t.iter().enumerate().map(|(k, x)| (k as u32, *x)).collect());
            let labels = train.labels.iter().map(|l| f64::from(u8::from(*l == label)));
            let rows = Rows { labels: labels.collect(), rows: rows.collect(), columns: 15 };
            let training = TrainingParams {
                scaling: slackwater_mllib::objective::Scaling::Sum { c },
                intercept: true,
                ..TrainingParams::default()
            };
            let svm = LinearSvmParams { loss: SvmLoss::SquaredHinge, training };
            svm.fit(&rows.dataset(&cx, 1)).unwrap()
        });
        let right = of_test.iter().zip(&test.labels).filter(|(theta, label)| {
            let indices: Vec<u32> = (0..15).collect();
            let row = slackwater_dataflow::block::Row { indices: &indices, values: theta };
            let scores = machines.each_ref().map(|m| m.score(&row));
            let winner = (0..3).fold(0, |best, l| if scores[l] > scores[best] { l } else { best });
            chosen[winner] == **label
        });
        best = best.max(right.count() as f64 / of_test.len() as f64);
    }
    assert!(ours > best + 0.02, "{ours}, and LDA with a support vector machine {best}");
}
