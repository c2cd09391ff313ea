//! Real bags of words and ratings, when `SLACKWATER_DATA` says where they are.

mod common;

use common::data;
use slackwater_dataflow::Context;
use slackwater_dataflow::block::WordCount;
use slackwater_loaders::format::bag_of_words::{BagFormat, BagOfWords, BagOptions};
use slackwater_loaders::format::ratings_table::Ratings;
use slackwater_loaders::format::records::RecordSource;
use slackwater_loaders::split::Split;
use slackwater_loaders::table::TableSource;
use slackwater_loaders::{InputFile, ReadExt, ReadLimits};
use std::collections::HashSet;

fn all<S: RecordSource>(source: &S) -> Vec<S::Record> {
    let mut records = vec![];
    for piece in 0..source.pieces() {
        let mut reader = source.open(piece).unwrap_or_else(|e| panic!("{e}"));
        while let Some(record) =
            reader.next_record(&mut |bad| Err(bad.into())).unwrap_or_else(|e| panic!("{e}"))
        {
            records.push(record);
        }
    }
    records
}

/// Documents, largest word, cells and tokens: as in the index, but for the last set, whose README is the same corpus as UCI's.
#[test]
fn bags_of_words() {
    let Some(data) = data() else { return };
    for (name, format, vocabulary, want) in [
        ("uci_kos/docword.kos.txt.gz", None, None, (3430, 6906, 353_160, 467_714)),
        (
            "ap_corpus/docword.ap.txt.gz",
            None,
            Some("ap_corpus/vocab.ap.txt.gz"),
            (2246, 10_473, 302_031, 435_838),
        ),
        (
            "reuters395_lda/reuters.ldac.gz",
            Some(BagFormat::Ldac),
            Some("reuters395_lda/reuters.tokens"),
            (395, 4258, 60_114, 84_010),
        ),
        (
            "daily_kos/tokens/doc_word_count.tsv.gz",
            None,
            Some("daily_kos/dictionary.txt"),
            (3430, 6906, 353_160, 467_714),
        ),
    ] {
        let file = |name: &str| InputFile::from_path(data.join(name)).expect("the file");
        let options = BagOptions { format, ..BagOptions::default() };
        let words = vocabulary.map(file);
        let bag = BagOfWords::open(&[file(name)], words.as_ref(), &options, 4).expect(name);
        let cells: Vec<WordCount> = all(&bag);
        let documents: HashSet<u32> = cells.iter().map(|c| c.document).collect();
        let largest = cells.iter().map(|c| c.word + 1).max().expect("cells");
        let tokens: u64 = cells.iter().map(|c| u64::from(c.count)).sum();
        assert_eq!((documents.len(), largest, cells.len(), tokens), want, "{name}");
        assert_eq!(bag.into_table().schema().field(1).data_type().is_numeric(), vocabulary.is_none());
    }
}

/// As a dataset, the same documents from `lda-c` text, whatever the workers.
#[test]
fn documents_of_lda_c() {
    let Some(data) = data() else { return };
    let cx = Context::local(2).expect("a context");
    let file = InputFile::from_path(data.join("reuters395_lda/reuters.ldac.gz")).expect("the file");
    let documents = cx
        .read_documents_files(&[file], Some(BagFormat::Ldac), Default::default(), Default::default())
        .and_then(|d| d.collect())
        .expect("documents");
    assert_eq!(documents.len(), 395);
    assert_eq!(documents.iter().map(|d| d.tokens()).sum::<u64>(), 84_010);
    assert!(documents.iter().enumerate().all(|(i, d)| d.id as usize == i));
}

/// Ratings, users, items, time stamps or not.
#[test]
fn ratings() {
    let Some(data) = data() else { return };
    for (name, rows, users, items, columns) in [
        ("ml-latest-small/ratings.csv.gz", 100_836, 610, 9724, 4),
        ("spark_data/mllib/als/sample_movielens_ratings.txt", 1501, 30, 100, 4),
        ("spark_data/mllib/als/test.data", 16, 4, 4, 3),
    ] {
        let file = InputFile::from_path(data.join(name)).expect(name);
        let ratings = Ratings::open(std::slice::from_ref(&file), ReadLimits::default(), 4).expect(name);
        let read = all(&ratings);
        let different = |of: fn(&slackwater_loaders::format::ratings_table::TimedRating) -> u32| {
            read.iter().map(of).collect::<HashSet<_>>().len()
        };
        assert_eq!(
            (read.len(), different(|r| r.user), different(|r| r.item)),
            (rows, users, items),
            "{name}"
        );
        assert_eq!(ratings.into_table().schema().fields().len(), columns, "{name}");
        // The typed reader sees the same.
        let mut reader = slackwater_loaders::format::ratings::RatingsReader::open(
            &Split::whole(file),
            ReadLimits::default(),
        )
        .expect(name);
        for timed in &read {
            let rating = reader.next_rating(&mut |bad| Err(bad.into())).expect(name).expect("as many");
            assert_eq!(
                (rating.user, rating.item, rating.rating),
                (timed.user, timed.item, timed.rating as f32)
            );
        }
    }
}
