//! Topics of documents: the samplers against one another, determinism, and real corpora.

mod common;

use common::data_text;
use slackwater_dataflow::block::Document;
use slackwater_dataflow::rng::{self, below, unit_f64};
use slackwater_dataflow::{Context, Dataset};
use slackwater_mllib::clustering::lda::{CountRows, DocumentTopics, LdaFit, Sampler, Solver};
use slackwater_mllib::clustering::{LdaModel, LdaParams};
use slackwater_paramstore::{Consistency, Snapshots};
use std::ops::ControlFlow;

/// Documents of 60 words about one or two of five topics, each of which has words of its own.
fn documents(n: u32, seed: u64) -> Vec<Document> {
    let mut rng = rng::stream(seed, 0);
    let document = |id| {
        let pair = [below(&mut rng, 5) as u32, below(&mut rng, 5) as u32];
        let word = |_| {
            let topic = pair[usize::from(unit_f64(&mut rng) < 0.3)];
            // Words of a topic are the rarer the later they come.
            topic * 20 + (unit_f64(&mut rng).powi(2) * 20.0) as u32
        };
        let mut words: Vec<u32> = (0..60).map(word).collect();
        words.sort_unstable();
        Document::new(id, words.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)))
    };
    (0..n).map(document).collect()
}

fn dataset(cx: &Context, n: u32, seed: u64, partitions: usize) -> Dataset<Document> {
    cx.parallelize(documents(n, seed), partitions)
}

const TOPICS: usize = 8;
/// Where counts are, and how topics are drawn.
const WAYS: [(Solver, Sampler); 5] = [
    (Solver::Table, Sampler::Dense),
    (Solver::Table, Sampler::Sparse),
    (Solver::Table, Sampler::Alias),
    (Solver::Rotation, Sampler::Dense),
    (Solver::Rotation, Sampler::Sparse),
];

fn params() -> LdaParams {
    // More topics than there are: one that is about two things at first finds room for each.
    LdaParams { topics: TOPICS, epochs: 60, evaluate_every: 20, ..LdaParams::default() }
}

/// The share of tokens whose topic is about one block of words: the one that most of its tokens are of.
fn purity(model: &LdaModel) -> f64 {
    let of_block = |k: usize, block: u32| -> f32 {
        (block * 20..(block + 1) * 20).map(|word| model.counts(word)[k]).sum()
    };
    let most = |k| (0..5).map(|block| of_block(k, block)).fold(0.0, f32::max);
    let pure: f32 = (0..model.topics()).map(most).sum();
    f64::from(pure) / (0..model.topics()).map(|k| model.total(k)).sum::<f64>()
}

#[test]
fn every_sampler_finds_the_topics() {
    let cx = Context::local(2).unwrap();
    let (train, test) = (dataset(&cx, 400, 1, 3), dataset(&cx, 100, 2, 2));
    let mut found = vec![];
    for (solver, sampler) in WAYS {
        let model = LdaParams { solver, sampler: Some(sampler), ..params() }.fit(&train).unwrap();
        let (summary, perplexity) = (model.summary(), model.perplexity(&test).unwrap());
        assert_eq!((summary.documents, summary.tokens, summary.epochs), (400, 24000, 60));
        assert_eq!(summary.log_likelihood_history.iter().map(|h| h.0).collect::<Vec<_>>(), [20, 40, 60]);
        assert_eq!((perplexity.documents, perplexity.unknown), (100, 0));
        assert!(purity(&model) > 0.9, "{solver:?} {sampler:?}: {}", purity(&model));
        let tokens: f64 = (0..TOPICS).map(|k| model.total(k)).sum();
        assert_eq!(tokens, 24000.0);
        found.push((summary.log_likelihood, perplexity.perplexity()));
    }
    // They draw from the same distribution: what they come to is alike. Where two topics stay one it is a little less likely.
    for (likelihood, perplexity) in &found[1..] {
        assert!((likelihood / found[0].0 - 1.0).abs() < 4e-2, "{found:?}");
        assert!((perplexity / found[0].1 - 1.0).abs() < 2e-2, "{found:?}");
    }
    // A hundred words alike would be 100; those who know the topics of a document get far lower.
    assert!(found[0].1 < 40.0, "{found:?}");
}

/// Exact conditional probabilities by brute force: two documents of a few tokens, all assignments weighed by their joint
/// probability, against how often a long run of each sampler has two tokens in the same topic.
#[test]
fn samplers_draw_from_the_posterior() {
    let texts = [vec![0u32, 0, 1], vec![1, 2, 2]];
    let (topics, words, alpha, beta) = (2usize, 3usize, 0.5, 0.4);
    let tokens: Vec<(usize, usize)> =
        texts.iter().enumerate().flat_map(|(d, t)| t.iter().map(move |w| (d, *w as usize))).collect();
    // Chain rule of Polya urns.
    let joint = |z: usize| {
        let (mut of_d, mut of_w, mut of_k) = (vec![[0.0; 2]; 2], vec![[0.0; 2]; words], [0.0; 2]);
        let mut p = 1.0;
        for (i, (d, w)) in tokens.iter().enumerate() {
            let k = z >> i & 1;
            let all: f64 = of_d[*d].iter().sum();
            p *= (of_d[*d][k] + alpha) / (all + alpha * topics as f64);
            p *= (of_w[*w][k] + beta) / (of_k[k] + beta * words as f64);
            of_d[*d][k] += 1.0;
            of_w[*w][k] += 1.0;
            of_k[k] += 1.0;
        }
        p
    };
    let together = |z: usize, a: usize, b: usize| (z >> a & 1) == (z >> b & 1);
    let all: f64 = (0..64).map(joint).sum();
    // First words of the documents, which nothing but topics connects; and the two tokens of word 1.
    let exact = |a, b| (0..64).filter(|z| together(*z, a, b)).map(joint).sum::<f64>() / all;
    let want = [exact(0, 1), exact(2, 3)];
    let cx = Context::local(1).unwrap();
    // Many copies of the two documents would share counts: seeds are many instead.
    for (solver, sampler) in WAYS {
        let (mut same, runs) = ([0.0; 2], 1500u64);
        for seed in 0..runs {
            let documents = vec![Document::new(0, [(0, 2), (1, 1)]), Document::new(1, [(1, 1), (2, 2)])];
            let params = LdaParams {
                topics,
                alpha,
                beta,
                epochs: 12,
                evaluate_every: 12,
                solver,
                sampler: Some(sampler),
                seed,
                ..LdaParams::default()
            };
            let fit = params
                .fit_observed(&cx.parallelize(documents, 1), None, None, &mut |_| {
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap();
            // Word 0 has two tokens of document 0, word 1 one of each document.
            for (word, same) in same.iter_mut().enumerate() {
                *same += f64::from(u8::from(fit.model.counts(word as u32).contains(&2.0))) / runs as f64;
            }
        }
        for (same, want) in same.iter().zip(want) {
            // Four standard deviations of 1500 draws.
            assert!((same - want).abs() < 0.052, "{solver:?} {sampler:?}: {same} for {want}");
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_workers() {
    for (solver, sampler) in WAYS {
        let fit = |workers, rows| {
            let cx = Context::local(workers).unwrap();
            let params =
                LdaParams { solver, sampler: Some(sampler), rows, batch: Some(30), epochs: 5, ..params() };
            params.fit(&dataset(&cx, 300, 3, 4)).unwrap()
        };
        let one = fit(1, CountRows::Dense);
        for (workers, rows) in [(1, CountRows::Sparse), (2, CountRows::Dense), (4, CountRows::Sparse)] {
            let other = fit(workers, rows);
            assert!((0..100).all(|w| one.counts(w) == other.counts(w)), "{solver:?} {sampler:?} {workers}");
            assert_eq!(one.summary().log_likelihood_history, other.summary().log_likelihood_history);
        }
    }
}

#[test]
fn stale_counts_do() {
    let cx = Context::local(2).unwrap();
    let (train, test) = (dataset(&cx, 400, 1, 4), dataset(&cx, 100, 2, 2));
    let models = [Consistency::Ssp(2), Consistency::Essp(2), Consistency::Async];
    for (consistency, rows) in
        models.into_iter().flat_map(|c| [CountRows::Dense, CountRows::Sparse].map(|rows| (c, rows)))
    {
        let params = LdaParams { batch: Some(20), consistency, rows, ..params() };
        let model = params.fit(&train).unwrap();
        // Where a run ends differs from run to run, and two topics may stay one; what is foretold hardly changes. A hundred
        // words alike would be 100.
        let perplexity = model.perplexity(&test).unwrap().perplexity();
        assert!(perplexity < 45.0, "{consistency:?}: {perplexity}");
        assert_eq!((0..TOPICS).map(|k| model.total(k)).sum::<f64>(), 24000.0);
    }
}

fn observed(params: &LdaParams, documents: &Dataset<Document>, snapshots: Option<Snapshots>) -> LdaFit {
    params.fit_observed(documents, None, snapshots, &mut |_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn topics_of_documents() {
    let cx = Context::local(2).unwrap();
    let train = dataset(&cx, 200, 5, 3);
    for (solver, sampler) in WAYS {
        let params = LdaParams { topics: 5, solver, sampler: Some(sampler), ..params() };
        let fit = observed(&params, &train, None);
        let found = fit.documents.collect().unwrap();
        assert_eq!(found.iter().map(|d| d.id).collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
        assert!(found.iter().all(|d| d.counts.iter().sum::<u32>() == 60));
        // Words and documents have the same tokens by topic.
        for k in 0..5 {
            let of_documents: u32 = found.iter().map(|d| d.counts[k]).sum();
            assert_eq!(f64::from(of_documents), fit.model.total(k), "{solver:?} {sampler:?}");
        }
        // What is inferred for a document that was learnt from says about the same of words as what training has found. Topics
        // themselves may differ: two can be alike.
        for (document, found) in documents(200, 5).iter().zip(&found).take(20) {
            let theta = fit.model.infer(document);
            assert!((theta.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let more: Vec<f64> =
                theta.iter().zip(&found.counts).map(|(theta, n)| theta - f64::from(*n) / 60.0).collect();
            let of_word =
                |w| more.iter().zip(fit.model.probabilities(w)).map(|(more, phi)| more * phi).sum::<f64>();
            let apart = (0..100).map(|w| of_word(w).abs()).sum::<f64>() / 2.0;
            assert!(apart < 0.2, "{solver:?} {sampler:?}: {apart}");
        }
        // Words that it does not know say nothing.
        let unknown = fit.model.infer(&Document::new(0, [(1_000_000, 5)]));
        assert!(unknown.iter().all(|t| (t - 0.2).abs() < 1e-12));
    }
}

/// What is kept of documents and blocks in a snapshot is all that there is.
#[test]
fn a_rotation_that_is_resumed_changes_no_bit() {
    let cx = Context::local(2).unwrap();
    let train = dataset(&cx, 120, 7, 3);
    for (sampler, rows) in [(Sampler::Dense, CountRows::Dense), (Sampler::Sparse, CountRows::Sparse)] {
        let whole = LdaParams {
            solver: Solver::Rotation,
            sampler: Some(sampler),
            rows,
            batch: Some(25),
            burn_in: Some(4),
            epochs: 12,
            evaluate_every: 3,
            ..params()
        };
        let dir = tempfile::tempdir().unwrap();
        let at = || Snapshots::new(dir.path()).every(1);
        observed(&LdaParams { epochs: 6, ..whole.clone() }, &train, Some(at()));
        let topics = |fit: &LdaFit| -> Vec<DocumentTopics> { fit.documents.collect().unwrap() };
        let (want, got) = (observed(&whole, &train, None), observed(&whole, &train, Some(at().resume(true))));
        assert_eq!(topics(&got), topics(&want));
        assert!((0..100).all(|w| got.model.counts(w) == want.model.counts(w)), "{sampler:?}");
        // Evaluations before are not repeated.
        let history = &want.model.summary().log_likelihood_history;
        assert_eq!(got.model.summary().log_likelihood_history, history[2..]);
    }
}

/// A topic has more tokens of a word than fit beside it.
#[test]
fn packed_rows_have_any_count() {
    let cx = Context::local(1).unwrap();
    let often = (0..3).map(|id| Document::new(id, [(0, 100_000), (1, 3)]));
    let documents = cx.parallelize(often.collect::<Vec<_>>(), 1);
    let params = LdaParams {
        topics: 1,
        solver: Solver::Rotation,
        rows: CountRows::Sparse,
        epochs: 2,
        evaluate_every: 1,
        ..LdaParams::default()
    };
    let model = params.fit(&documents).unwrap();
    assert_eq!((model.counts(0), model.counts(1)), (&[300_000.0][..], &[9.0][..]));
    let dense = LdaParams { rows: CountRows::Dense, ..params }.fit(&documents).unwrap();
    assert_eq!(model.summary().log_likelihood_history, dense.summary().log_likelihood_history);
}

#[test]
fn what_stops_training() {
    let cx = Context::local(1).unwrap();
    let train = dataset(&cx, 100, 1, 2);
    let params = LdaParams { tolerance: Some(0.01), evaluate_every: 5, epochs: 500, ..params() };
    let model = params.fit(&train).unwrap();
    assert!(model.summary().stop.is_converged() && model.summary().epochs < 200, "{:?}", model.summary());
    let burnt =
        LdaParams { burn_in: Some(20), epochs: 60, evaluate_every: 10, ..params }.fit(&train).unwrap();
    assert!(burnt.summary().epochs <= 60);
    let error = params_error(&cx);
    assert_eq!(error.exit_code(), 3, "{error}");
}

fn params_error(cx: &Context) -> slackwater_dataflow::Error {
    params().fit(&cx.parallelize(vec![Document::new(0, [])], 1)).unwrap_err()
}

#[test]
fn counts_are_the_mean_after_the_burn_in() {
    let cx = Context::local(1).unwrap();
    let train = dataset(&cx, 50, 1, 2);
    for (solver, rows) in [
        (Solver::Table, CountRows::Auto),
        (Solver::Rotation, CountRows::Dense),
        (Solver::Rotation, CountRows::Sparse),
    ] {
        let fit = |burn_in, epochs| {
            let params = LdaParams { solver, rows, burn_in, epochs, evaluate_every: 1, ..params() };
            params.fit(&train).unwrap()
        };
        let (mean, third, fourth) = (fit(Some(2), 4), fit(None, 3), fit(None, 4));
        for word in 0..100 {
            let counts = third.counts(word).iter().zip(fourth.counts(word));
            for (mean, (a, b)) in mean.counts(word).iter().zip(counts) {
                assert_eq!(*mean, (a + b) / 2.0, "{solver:?}");
            }
        }
    }
}

/// `lda` 3.0.2 of PyPI after 300 iterations with 20 topics, alpha 0.1, eta 0.01, seeds 1 and 2: -662 294 and -662 285.
#[test]
fn the_likelihood_of_lda_on_reuters() {
    let Some(text) = data_text("reuters395_lda/reuters.ldac.gz") else { return };
    let documents = text.lines().enumerate().map(|(id, line)| {
        let cells = line.split(' ').skip(1).map(|cell| {
            let (word, count) = cell.split_once(':').unwrap();
            (word.parse().unwrap(), count.parse().unwrap())
        });
        Document::new(id as u32, cells)
    });
    let documents = Context::local(2).unwrap().parallelize(documents.collect::<Vec<_>>(), 4);
    let params = LdaParams { topics: 20, epochs: 300, evaluate_every: 100, ..LdaParams::default() };
    for solver in [Solver::Table, Solver::Rotation] {
        let model = LdaParams { solver, ..params.clone() }.fit(&documents).unwrap();
        let summary = model.summary();
        assert_eq!((summary.documents, summary.tokens, model.words()), (395, 84010, 4258));
        let relative = summary.log_likelihood / -662_290.0 - 1.0;
        assert!(relative.abs() < 0.005, "{solver:?} {relative}: {summary:?}");
    }
}
