//! Lines as Vowpal Wabbit itself reads them, what is refused, and that pieces are the whole.

use super::super::testing::{cut, file, read_table};
use super::*;
use crate::source::InputFile;
use crate::table::{Scan, TableSource};
use proptest::prelude::*;

/// Label, weight, base and features of an example.
type Example = (Option<f64>, f64, f64, Vec<(u32, f64)>);

fn read(splits: &[Split], options: &VwOptions) -> (Vec<Example>, Vec<String>) {
    let (mut examples, mut bad) = (vec![], vec![]);
    for split in splits {
        let mut reader = VwReader::open(split, options).unwrap().block_nonzeros(5);
        while let Some(block) = reader
            .next_block(&mut |record| {
                bad.push(record.to_string());
                Ok(())
            })
            .unwrap()
        {
            for i in 0..block.labels.len() {
                let row = block.features.row(i);
                let features = row.indices.iter().copied().zip(row.values.iter().copied()).collect();
                examples.push((block.labels[i], block.weights[i], block.bases[i], features));
            }
        }
    }
    (examples, bad)
}

fn whole(text: &str, options: &VwOptions) -> (Vec<Example>, Vec<String>) {
    read(&[Split::whole(file(text))], options)
}

fn numbers() -> VwOptions {
    VwOptions { features: VwFeatures::Numbers, ..VwOptions::default() }
}

/// Printed by Vowpal Wabbit 9.11.9 for the same lines (`feature() / 4`, since it leaves room for four weights, and the lowest 18
/// bits of that).
#[test]
fn lines_are_those_of_vowpal_wabbit() {
    for (line, label, weight, base, features) in [
        (
            "1 2.5 tag|f a b:2 17 :3 :4",
            Some(1.0),
            2.5,
            0.0,
            vec![(14_355, 1.0), (34_875, 3.0), (34_876, 4.0), (34_892, 1.0), (146_788, 2.0)],
        ),
        (
            "-1 'x |user:2 age:3 name:bob |1 5:1 x",
            Some(-1.0),
            1.0,
            0.0,
            vec![(6, 1.0), (23_567, 6.0), (174_622, 1.0), (208_685, 1.0)],
        ),
        ("| a 7", None, 1.0, 0.0, vec![(7, 1.0), (92_594, 1.0)]),
        ("1 | a |f a | a:0", Some(1.0), 1.0, 0.0, vec![(14_355, 1.0), (92_594, 1.0)]),
        ("|f größe:1.5", None, 1.0, 0.0, vec![(246_819, 1.5)]),
        (" |f a", None, 1.0, 0.0, vec![(14_355, 1.0)]),
        ("1 2 0.5 |f 5:1|g 5", Some(1.0), 2.0, 0.5, vec![(34_880, 1.0), (189_467, 1.0)]),
        ("2 |a_b x^y:3", Some(2.0), 1.0, 0.0, vec![(39_363, 3.0)]),
        ("1|f a", None, 1.0, 0.0, vec![(14_355, 1.0)]),
    ] {
        let (examples, bad) = whole(line, &VwOptions::default());
        assert_eq!((examples, bad), (vec![(label, weight, base, features)], vec![]), "{line}");
    }
}

#[test]
fn numbers_are_columns_if_that_is_asked_for() {
    let (examples, bad) = whole("1 |f 3:0.5 1 |g 3:2\r\n\n-1 |\n", &numbers());
    assert_eq!(examples, [(Some(1.0), 1.0, 0.0, vec![(1, 1.0), (3, 2.5)]), (Some(-1.0), 1.0, 0.0, vec![])]);
    assert!(bad.is_empty());
    let (_, bad) = whole("1 |f x:1\n1 |f 5:red\n1 |f 2147483648\n", &numbers());
    for (bad, part) in bad.iter().zip([
        "t:1:6: the feature is not a number",
        "t:2:6: the feature is not a number",
        "t:3:6: the feature is not below 2147483648",
    ]) {
        assert!(bad.starts_with(part), "{bad}");
    }
    let (_, bad) = whole("1 |f 5", &VwOptions { num_features: Some(5), ..numbers() });
    assert!(bad[0].starts_with("t:1:6: the feature is not below 5"), "{bad:?}");
}

#[test]
fn what_is_wrong_is_told() {
    for (line, part) in [
        ("1 2 3", "t:1:1: the example has no bar"),
        ("x |f a", "t:1:1: the label is not a number"),
        ("1:2 3:4 |f a", "t:1:1: the label is not a number"),
        ("1 -2 |f a", "t:1:3: the importance is negative"),
        ("1 2 3 4 |f a", "t:1:7: too much before the first bar"),
        ("1 2 3 4 5|f a", "t:1:9: too much before the first bar"),
        ("1\t|f a", "t:1:2: a tab before the first bar"),
        ("nan |f a", "t:1:1: the label is NaN"),
        ("1 |f a: b", "t:1:6: the feature has no value"),
        ("1 |f a:1x", "t:1:8: the value of the feature is not a number"),
        ("1 |f a:nan", "t:1:8: the value of the feature is NaN"),
        ("1 |f a:1e999", "t:1:8: the value of the feature is too large"),
        ("1 |f:1e300 a:1e300", "t:1:12: the value times that of its namespace is too large"),
        ("1 |:2 a", "t:1:4: a namespace has a value and no name"),
        ("1 |f:x a", "t:1:6: the value of the namespace is not a number"),
        ("1 |f a:1e308 a:1e308", "t:1:1: the values in column 14355 add up to more"),
    ] {
        let (examples, bad) = whole(line, &VwOptions::default());
        assert!(examples.is_empty() && bad.len() == 1 && bad[0].starts_with(part), "{line}: {bad:?}");
    }
    for bits in [0, 32] {
        let options = VwOptions { features: VwFeatures::Hashed { bits }, ..VwOptions::default() };
        assert!(VwReader::open(&Split::whole(file("")), &options).is_err());
    }
}

#[test]
fn labels_may_be_missing_in_tables_alone() {
    let text = "1 |f 1\n|f 2\n2 3 |f 3\n-1 |f 4\n";
    let mut reader = VwReader::open(&Split::whole(file(text)), &numbers()).unwrap();
    let mut bad = vec![];
    let block = reader
        .next_labeled(&mut |record| {
            bad.push(record.to_string());
            Ok(())
        })
        .unwrap()
        .unwrap();
    assert_eq!((block.labels, block.features.indices()), (vec![1.0, -1.0], &[1, 4][..]));
    assert!(bad[0].starts_with("t:2:1: the example has no label"), "{bad:?}");
    assert!(bad[1].starts_with("t:3:1: the example has an importance"), "{bad:?}");
    let table = VwTable::open(&[file(text)], numbers(), 1).unwrap();
    let (batches, bad) = read_table(&table, &Scan { columns: Some(vec![1, 0]), ..Scan::default() }).unwrap();
    assert_eq!((batches[0].num_rows(), batches[0].column(1).null_count(), bad.len()), (4, 1, 0));
    let (batches, _) = read_table(&table, &Scan::default()).unwrap();
    assert_eq!(batches[0].column(2).data_type(), &crate::table::vector::data_type());
    assert_eq!(table.describe(), "Vowpal Wabbit t, 29 bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn pieces_are_the_whole(
        lines in proptest::collection::vec("(-?[0-9]( [0-9]( [0-9])?)?)? ('[a-z])?\\|[ab]?(:[0-9])?( [a-c0-9]{1,3}(:[0-9.]{1,3})?){0,5}", 0..9),
        cuts: [prop::sample::Index; 3],
    ) {
        let text = lines.join("\n");
        let splits = cut(&file(text.as_str()), &cuts);
        prop_assert_eq!(read(&splits, &VwOptions::default()), whole(&text, &VwOptions::default()));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(prop_oneof![
        any::<u8>(), prop::sample::select(b"|||: \t\n'.5ab".to_vec())], 0..60)) {
        for options in [VwOptions::default(), numbers()] {
            read(&[Split::whole(InputFile::from_bytes("any.txt", bytes.clone()))].map(|s| Split::new(
                // As a name that forces no codec; magic numbers may still do so.
                if s.file().is_splittable() { s.file().clone() } else { file("") }, 0, u64::MAX)), &options);
        }
    }
}
