//! Models: what says what they are, and their numbers.
//!
//! An input is the length of the metadata (u32, little endian), the metadata, and the file of the numbers. Size and checksum
//! of the file are put right before it is read, or nothing behind that check would ever be reached.

use crate::engine::MEMORY_BYTES;
use crate::{Seen, Target};
use slackwater_dataflow::block::{LabeledPoint, Rating};
use slackwater_dataflow::{Context, Dataset};
use slackwater_mllib::classification::*;
use slackwater_mllib::clustering::*;
use slackwater_mllib::decomposition::*;
use slackwater_mllib::feature::*;
use slackwater_mllib::generate::Classification;
use slackwater_mllib::model::{Overwrite, Persist, inspect, load, save};
use slackwater_mllib::recommendation::*;
use slackwater_mllib::regression::*;
use std::cell::OnceCell;
use std::fs;
use tempfile::TempDir;

const DATA: &str = "data/part-00000.parquet";

thread_local! {
    static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
}

/// The parts of an input.
fn parts(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

fn joined(json: &[u8], data: &[u8]) -> Vec<u8> {
    [&(json.len() as u32).to_le_bytes(), json, data].concat()
}

fn read<M: Persist>(input: &[u8], _: u64) -> Seen {
    let mut seen = Seen::default();
    let Some((json, data)) = parts(input) else { return seen };
    let mut json = json.to_vec();
    if let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(&json)
        && let Some(about) = value.get_mut("data").and_then(|d| d.as_object_mut())
    {
        about.insert("bytes".into(), data.len().into());
        about.insert("crc32".into(), crc32fast::hash(data).into());
        json = serde_json::to_vec(&value).unwrap_or(json);
    }
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| {
            let folder = tempfile::tempdir().expect("a folder");
            fs::create_dir(folder.path().join("data")).expect("a folder");
            folder
        });
        fs::write(folder.path().join("metadata.json"), &json).expect("the disk takes it");
        fs::write(folder.path().join(DATA), data).expect("the disk takes it");
        seen.note_error(&inspect(folder.path()));
        match load::<M>(folder.path()) {
            Ok(model) => {
                let table = model.table();
                seen.rows = table.num_rows() as u64;
                serde_json::to_vec(model.attributes()).expect("what was read is written");
            }
            Err(e) => seen.note(&e.to_string()),
        }
    });
    seen
}

fn target<M: Persist>(name: &'static str, model: &M) -> Target {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m");
    save(model, &path, Overwrite::Refuse).expect("the disk takes it");
    let json = fs::read(path.join("metadata.json")).expect("it was written");
    let good = joined(&json, &fs::read(path.join(DATA)).expect("it was written"));
    load::<M>(&path).map(|_| ()).expect("a model is read back");
    assert!(good.len() < crate::mutate::INPUT_BYTES_MAX, "{name}: {} bytes", good.len());
    const WORDS: &[&[u8]] = &[
        b"0",
        b"-1",
        b"1000000",
        b"4294967296",
        b"18446744073709551615",
        b"1e300",
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"\"\"",
        b"\"format_version\": 1",
        b"../../../../dev/zero",
        b"/etc/hostname",
        b"[[[[[[[[",
        b"PAR1",
    ];
    Target {
        name,
        corpus: vec![good],
        words: WORDS,
        run: read::<M>,
        share: 5,
        repeats: false,
        memory: MEMORY_BYTES,
    }
}

fn rows(cx: &Context) -> Dataset<LabeledPoint> {
    Classification { rows: 40, columns: 4, classes: 2, ..Classification::default() }.dataset(cx, 2, 1)
}

/// One for every kind of model.
pub fn targets() -> Vec<Target> {
    let cx = Context::local(1).expect("a worker");
    let rows = rows(&cx);
    let documents =
        (0..12).map(|id| slackwater_dataflow::block::Document::new(id, [(id % 5, 2), (5 + id % 3, 1)]));
    let documents = cx.parallelize(documents.collect::<Vec<_>>(), 1);
    let ratings = (0..30).map(|i| Rating { user: i % 7, item: i % 5, rating: (i % 4) as f32 });
    let ratings = cx.parallelize(ratings.collect::<Vec<_>>(), 1);
    let good = "a small training goes well";
    vec![
        target("model_logistic", &LogisticRegressionParams::default().fit(&rows).expect(good)),
        target("model_svm", &LinearSvmParams::default().fit(&rows).expect(good)),
        target("model_linear", &LinearRegressionParams::spark(0.1, 1.0).fit(&rows).expect(good)),
        target(
            "model_network",
            &NeuralNetworkParams { epochs: 1, ..Default::default() }.fit(&rows).expect(good),
        ),
        target("model_k_means", &KMeansParams::new(3).fit(&rows).expect(good)),
        target(
            "model_lda",
            &LdaParams { topics: 3, epochs: 2, ..Default::default() }.fit(&documents).expect(good),
        ),
        target(
            "model_factors",
            &MatrixFactorizationParams { epochs: 1, rank: 3, ..Default::default() }
                .fit(&ratings)
                .expect(good),
        ),
        target(
            "model_metric",
            &DistanceMetricParams { epochs: 1, ..Default::default() }.fit(&rows).expect(good),
        ),
        target(
            "model_sparse",
            &SparseCodingParams { epochs: 1, atoms: 3, ..Default::default() }.fit(&rows).expect(good),
        ),
        target(
            "model_scaler",
            &StandardScaler::default()
                .fit(&slackwater_mllib::objective::DatasetRows::from(&rows))
                .expect(good),
        ),
    ]
}
