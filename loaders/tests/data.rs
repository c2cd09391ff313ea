//! Real files, if there are any: `SLACKWATER_DATA` names a folder of public data sets in LIBSVM form. Without it these
//! tests say that they are skipped.

mod common;

use common::{data, read_splits};
use slackwater_loaders::format::libsvm::{LibsvmOptions, LibsvmReader};
use slackwater_loaders::format::libsvm_write::LibsvmText;
use slackwater_loaders::split::{hadoop_splits, splits};
use slackwater_loaders::{InputFile, Split};

/// File, rows, columns, stored values, different labels: as counted by scikit-learn's reader.
const SETS: &[(&str, usize, usize, usize, usize)] = &[
    ("a1a/a1a.gz", 1605, 119, 22249, 2),
    ("a1a/a1a.t.gz", 30956, 123, 429343, 2),
    ("a8a/a8a.gz", 22696, 123, 314815, 2),
    ("a8a/a8a.t.gz", 9865, 122, 136777, 2),
    ("a9a/a9a.gz", 32561, 123, 451592, 2),
    ("a9a/a9a.t.gz", 16281, 122, 225731, 2),
    ("mushrooms_agaricus/agaricus.txt.train.gz", 6513, 126, 143286, 2),
    ("mushrooms_agaricus/agaricus.txt.test.gz", 1611, 126, 35442, 2),
    ("phishing/phishing.gz", 11055, 68, 331650, 2),
    ("svmguide1/svmguide1.gz", 3089, 4, 12356, 2),
    ("svmguide1/svmguide1.t.gz", 4000, 4, 16000, 2),
    ("heart_scale/heart_scale", 270, 13, 3378, 2),
    ("german_numer/german.numer.gz", 1000, 24, 24000, 2),
    ("german_numer/german.numer_scale.gz", 1000, 24, 23001, 2),
    ("20news_bydate_bow/20news.train.libsvm.gz", 11269, 53975, 1467345, 20),
    ("20news_bydate_bow/20news.test.libsvm.gz", 7505, 61188, 967874, 20),
    ("dna_scale/dna.scale.gz", 2000, 180, 91233, 3),
    ("abalone_scale/abalone_scale.gz", 4177, 8, 32080, 28),
    ("spark_data/mllib/sample_libsvm_data.txt", 100, 692, 13510, 2),
    ("spark_data/mllib/sample_binary_classification_data.txt", 100, 692, 13610 - 100, 2),
    ("spark_data/mllib/sample_lda_libsvm_data.txt", 12, 11, 132, 12),
];

#[test]
fn real_files_have_their_counts() {
    let Some(data) = data() else { return };
    for &(name, rows, columns, nnz, classes) in SETS {
        let Ok(file) = InputFile::from_path(data.join(name)) else {
            eprintln!("skipped: {name} is not there");
            continue;
        };
        let mut reader = LibsvmReader::open(&Split::whole(file), &LibsvmOptions::default()).unwrap();
        let mut found = (0, 0, 0);
        let mut labels = std::collections::HashSet::new();
        while let Some(block) = reader.next_block(&mut |bad| panic!("{bad}")).unwrap() {
            found.0 += block.rows();
            found.1 = found.1.max(block.features.columns());
            found.2 += block.features.nnz();
            labels.extend(block.labels.iter().map(|l| l.to_bits()));
        }
        assert_eq!((found, labels.len()), ((rows, columns, nnz), classes), "{name}");
    }
}

#[test]
fn real_files_survive_division_and_rewriting() {
    let Some(data) = data() else { return };
    let options = LibsvmOptions::default();
    for (name, ..) in SETS {
        let Ok(packed) = InputFile::from_path(data.join(name)) else { continue };
        let whole = read_splits(&[Split::whole(packed.clone())], &options).unwrap();
        let text =
            slackwater_loaders::format::text::read_whole(&packed, 1 << 30, Default::default()).unwrap();
        let plain = InputFile::from_bytes("plain", text);
        for splits in
            [splits(std::slice::from_ref(&plain), 7), hadoop_splits(std::slice::from_ref(&plain), 11)]
        {
            assert!(read_splits(&splits, &options).unwrap() == whole, "{name}");
        }
        let mut written = LibsvmText::default();
        for (label, columns, values) in &whole.0 {
            let row = columns.iter().copied().zip(values.iter().map(|v| f64::from_bits(*v)));
            written.push_row(f64::from_bits(*label), row).unwrap();
        }
        assert!(common::read_text(written.as_bytes()) == whole, "{name}");
    }
}
