//! The LIBSVM reader against a naive one, and what it says about each kind of bad line.

mod common;

use common::{Row, read_file, read_splits, read_text, row};
use proptest::prelude::*;
use slackwater_dataflow::Error;
use slackwater_loaders::format::libsvm::{IndexBase, LibsvmOptions, LibsvmReader};
use slackwater_loaders::format::libsvm_write::LibsvmText;
use slackwater_loaders::{InputFile, Split};

/// The grammar, the slow way: split on blanks, `str::parse`. An error is the 0-based column of the word it is in.
fn naive_line(line: &[u8]) -> Result<Option<Row>, usize> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line.split(|b| *b == b'#').next().unwrap_or_default();
    let mut words = vec![];
    let mut at = 0;
    for word in line.split(|b| *b == b' ' || *b == b'\t') {
        if !word.is_empty() {
            words.push((at, word));
        }
        at += word.len() + 1;
    }
    let number = |word: &[u8]| -> Option<f64> {
        let text = std::str::from_utf8(word).ok()?;
        let digits = text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
        text.parse().ok().filter(|x: &f64| digits && x.is_finite())
    };
    let Some(((at, label), features)) = words.split_first().map(|(l, f)| (*l, f)) else { return Ok(None) };
    let label = number(label).ok_or(at)?;
    let (mut indices, mut values, mut least) = (vec![], vec![], 1);
    for (i, (at, word)) in features.iter().enumerate() {
        if let Some(query) = word.strip_prefix(b"qid:").filter(|_| i == 0) {
            if query.is_empty() || !query.iter().all(u8::is_ascii_digit) {
                return Err(*at);
            }
            continue;
        }
        let colon = word.iter().position(|b| *b == b':').ok_or(*at)?;
        let index = std::str::from_utf8(&word[..colon]).map_err(|_| *at)?;
        if index.starts_with('+') {
            return Err(*at);
        }
        let index: u128 = index.trim_start_matches('0').parse().or(if index.is_empty() {
            Err(*at)
        } else if index.bytes().all(|b| b == b'0') {
            Ok(0)
        } else {
            Err(*at)
        })?;
        if index < least || index > (1 << 31) - 1 {
            return Err(*at);
        }
        least = index + 1;
        indices.push(index as u32 - 1);
        values.push(number(&word[colon + 1..]).ok_or(*at)?.to_bits());
    }
    Ok(Some((label.to_bits(), indices, values)))
}

/// The rows of a text, and (line, column of the word) of what is bad, both from 1.
fn naive(text: &[u8]) -> (Vec<Row>, Vec<(u64, u64)>) {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let (mut rows, mut bad) = (vec![], vec![]);
    for (i, line) in text.split(|b| *b == b'\n').enumerate() {
        match naive_line(line) {
            Ok(row) => rows.extend(row),
            Err(column) => bad.push((i as u64 + 1, column as u64 + 1)),
        }
    }
    (rows, bad)
}

fn agrees_with_naive(text: &[u8]) {
    let (rows, bad) = read_text(text);
    let (want_rows, want_bad) = naive(text);
    assert_eq!(rows, want_rows, "{}", text.escape_ascii());
    assert_eq!(bad.len(), want_bad.len(), "{bad:?} for {}", text.escape_ascii());
    for (bad, (line, column)) in bad.iter().zip(want_bad) {
        assert_eq!((bad.source.as_str(), bad.line), ("data.svm", line), "{bad}");
        assert!(bad.column >= column, "{bad}: the word starts at {column}");
        assert!(!bad.message.is_empty() && !bad.hint.is_empty() && !bad.bytes.is_empty(), "{bad:?}");
    }
}

fn a_number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("1".to_string()),
        4 => "-?[0-9]\\.[0-9]{1,9}",
        2 => "[+-]?[0-9]{0,20}(\\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?",
        2 => any::<f64>().prop_map(|x| format!("{x:?}")),
        1 => Just("nan".to_string()),
        1 => Just("-inf".to_string()),
        1 => Just(".".to_string()),
        1 => Just("0".to_string()),
    ]
}

/// Lines that are mostly right.
fn a_line() -> impl Strategy<Value = String> {
    let blank = prop_oneof![8 => Just(" "), 1 => Just("\t"), 1 => Just("  \t "), 1 => Just("")];
    let index =
        prop_oneof![20 => 1u64..6, 3 => 7u64..100_000, 1 => (1u64 << 31) - 2..(1 << 31) + 2, 1 => Just(0u64)];
    let feature = (blank.clone(), index, a_number());
    let label = prop_oneof![3 => Just("+1".to_string()), 3 => Just("-1".to_string()), 2 => a_number()];
    let start = prop_oneof![9 => Just(""), 1 => Just(" ")];
    let query = prop_oneof![9 => Just(""), 1 => Just(" qid:12"), 1 => Just(" qid:"), 1 => Just("\tqid:7")];
    let end = prop_oneof![6 => Just(""), 2 => Just(" "), 2 => Just("\r"), 2 => Just(" # note 3:4"), 1 => Just("#"), 1 => Just("\r\r")];
    (start, label, query, proptest::collection::vec(feature, 0..6), blank, end, any::<bool>()).prop_map(
        |(start, label, query, features, blank, end, ascending)| {
            let mut at = 0;
            let features: String = features
                .into_iter()
                .map(|(blank, index, value)| {
                    at = if ascending { at + index } else { index };
                    format!("{blank}{at}:{value}")
                })
                .collect();
            format!("{start}{label}{query}{blank}{features}{end}")
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn lines_are_read_as_the_naive_reader_reads_them(lines in proptest::collection::vec(a_line(), 0..8), last in "\\n?") {
        agrees_with_naive((lines.join("\n") + &last).as_bytes());
    }

    #[test]
    fn so_are_lines_with_bytes_changed(
        lines in proptest::collection::vec(a_line(), 1..4),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            any::<u8>(), prop::sample::select(b" \t\n\r#:.-+e0123456789".to_vec()),
        ]), 1..4),
    ) {
        let mut text = (lines.join("\n") + "\n").into_bytes();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        agrees_with_naive(&text);
    }

    #[test]
    fn any_bytes_at_all_are_read_without_a_panic(bytes: Vec<u8>) {
        // As a name that forces no codec; magic numbers may still do so, and then it is an error.
        if let Ok((rows, bad)) = read_file(&InputFile::from_bytes("any", bytes), &LibsvmOptions::default()) {
            prop_assert!(rows.len() + bad.len() <= 1 << 16);
        }
    }

    #[test]
    fn ranges_give_the_same_rows_and_positions(
        lines in proptest::collection::vec(a_line(), 0..12),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        mark in prop_oneof![Just(""), Just("\u{feff}")],
        last in "\\n?",
    ) {
        let text = mark.to_string() + &lines.join("\n") + &last;
        let file = InputFile::from_bytes("data.svm", text);
        let whole = read_file(&file, &LibsvmOptions::default()).unwrap();
        let mut cuts: Vec<u64> = cuts.iter().map(|c| c.index(file.bytes() as usize + 1) as u64).collect();
        cuts.extend([0, file.bytes()]);
        cuts.sort_unstable();
        cuts.dedup();
        let splits: Vec<_> = cuts.windows(2).map(|w| Split::new(file.clone(), w[0], w[1])).collect();
        prop_assert_eq!(read_splits(&splits, &LibsvmOptions::default()).unwrap(), whole);
    }

    #[test]
    fn what_is_written_reads_back(rows in proptest::collection::vec(
        (any::<f64>(), proptest::collection::btree_map(0u32..3000, any::<f64>(), 0..20)), 0..10,
    )) {
        let mut text = LibsvmText::default();
        let mut want = vec![];
        for (label, features) in rows {
            let finite = label.is_finite() && features.values().all(|v| v.is_finite());
            let result = text.push_row(label, features.clone());
            prop_assert_eq!(result.is_ok(), finite);
            if finite {
                want.push(row(label, &features.into_iter().collect::<Vec<_>>()));
            }
        }
        prop_assert_eq!(read_text(text.as_bytes()), (want, vec![]));
    }
}

#[test]
fn the_forms_of_a_row() {
    let text = "\u{feff}+1 1:0.5 3:2\r\n\n# only a comment\n   \t\n-1\t2:1e-3   4:-.5 \t # tail 9:9\n3.25 qid:7 1:1\n0\n2 # no features\n7 10:1#x\n1 007:2";
    let (rows, bad) = read_text(text);
    assert_eq!(bad, []);
    let want = [
        row(1.0, &[(0, 0.5), (2, 2.0)]),
        row(-1.0, &[(1, 1e-3), (3, -0.5)]),
        row(3.25, &[(0, 1.0)]),
        row(0.0, &[]),
        row(2.0, &[]),
        row(7.0, &[(9, 1.0)]),
        row(1.0, &[(6, 2.0)]),
    ];
    assert_eq!(rows, want);
}

#[test]
fn empty_files_have_no_rows() {
    for text in ["", "\n", "\r\n", "\u{feff}", "# nothing\n", "\u{feff}\n\n"] {
        assert_eq!(read_text(text), (vec![], vec![]), "{text:?}");
    }
}

/// Each kind of bad line, and all that is said about it.
#[test]
fn what_is_said_about_bad_lines() {
    let cases: &[(&str, &str)] = &[
        (
            "+1 0:5 3:2",
            "data.svm:2:4: index 0: indices start at 1\n  | 0:5\n  hint: if the file counts from 0, read it with index base zero",
        ),
        (
            "+1 -3:5",
            "data.svm:2:4: the index is negative\n  | -3:5\n  hint: features are written `index:value`, with an index of digits only",
        ),
        (
            "+1 1.5:5",
            "data.svm:2:4: the index is not an integer\n  | 1.5:5\n  hint: features are written `index:value`, with an index of digits only",
        ),
        (
            "+1 2:1 1:1",
            "data.svm:2:8: index 1 comes after index 2\n  | 1:1\n  hint: the indices of a row must ascend: sort the features of each row",
        ),
        (
            "+1 1:1 2:1 2:3",
            "data.svm:2:12: index 2 occurs twice in its row\n  | 2:3\n  hint: keep one of the two values",
        ),
        (
            "+1 2147483648:1",
            "data.svm:2:4: the index is larger than 2147483647, the largest there is\n  | 2147483648:1\n  hint: number the features from 1, or hash them into fewer columns",
        ),
        (
            "+1 9223372036854775808:1",
            "data.svm:2:4: the index is larger than 2147483647, the largest there is\n  | 9223372036854775808:1\n  hint: number the features from 1, or hash them into fewer columns",
        ),
        (
            "+1 123456789012345678901234567890:1",
            "data.svm:2:4: the index is larger than 2147483647, the largest there is\n  | 123456789012345678901234567890:1\n  hint: number the features from 1, or hash them into fewer columns",
        ),
        ("+1 7", "data.svm:2:4: a feature has no colon\n  | 7\n  hint: features are written `index:value`"),
        ("+1 :3", "data.svm:2:4: a feature has no index\n  | :3\n  hint: features are written `index:value`"),
        (
            "+1 7: 3",
            "data.svm:2:4: index 7 has no value\n  | 7:\n  hint: write no space between the colon and the value; leave out features that are zero",
        ),
        (
            "+1 7:nan",
            "data.svm:2:6: the value of index 7 is NaN\n  | 7:nan\n  hint: leave out rows or features without a value, or put a number in their place",
        ),
        (
            "+1 7:-Inf",
            "data.svm:2:6: the value of index 7 is infinite\n  | 7:-Inf\n  hint: leave out rows or features without a value, or put a number in their place",
        ),
        (
            "+1 7:1e999",
            "data.svm:2:6: the value of index 7 is too large for a 64-bit float\n  | 7:1e999\n  hint: scale the values, or leave this one out",
        ),
        (
            "+1 7:abc",
            "data.svm:2:6: the value of index 7 is not a number\n  | 7:abc\n  hint: values are decimal numbers such as 12, -0.5 or 1e-3",
        ),
        (
            "+1 7:1,5",
            "data.svm:2:7: the value of index 7 has something after its number\n  | 7:1,5\n  hint: values are decimal numbers such as 12, -0.5 or 1e-3",
        ),
        (
            "+1 7:1:2",
            "data.svm:2:7: the value of index 7 has something after its number\n  | 7:1:2\n  hint: values are decimal numbers such as 12, -0.5 or 1e-3",
        ),
        (
            "yes 7:1",
            "data.svm:2:1: the label is not a number\n  | yes\n  hint: a row is `label index:value index:value ...`; text labels must be numbered first",
        ),
        (
            "NaN 7:1",
            "data.svm:2:1: the label is NaN\n  | NaN\n  hint: leave out rows or features without a value, or put a number in their place",
        ),
        (
            "-inf 7:1",
            "data.svm:2:1: the label is infinite\n  | -inf\n  hint: leave out rows or features without a value, or put a number in their place",
        ),
        (
            "1:5 2:6",
            "data.svm:2:2: the label has something after its number\n  | 1:5\n  hint: the row has no label: a row is `label index:value index:value ...`",
        ),
        (
            "1,2,3",
            "data.svm:2:2: the label has something after its number\n  | 1,2,3\n  hint: a row is `label index:value ...` with spaces between; is this file CSV, or has it several labels a row?",
        ),
        (
            "1 qid:x 2:6",
            "data.svm:2:3: the query number is not an integer\n  | qid:x\n  hint: a ranking set has `qid:` and a number after the label",
        ),
        (
            "1 1:2\u{b}3:4",
            "data.svm:2:6: byte 0x0b is not text\n  | \\x0b3:4\n  hint: LIBSVM files are plain text, outside of comments in ASCII; is this one?",
        ),
        (
            "1 1:\u{e9}",
            "data.svm:2:5: byte 0xc3 is not text\n  | \\xc3\\xa9\n  hint: LIBSVM files are plain text, outside of comments in ASCII; is this one?",
        ),
        (
            "\u{0}\u{1}",
            "data.svm:2:1: byte 0x00 is not text\n  | \\x00\\x01\n  hint: LIBSVM files are plain text, outside of comments in ASCII; is this one?",
        ),
    ];
    for (line, want) in cases {
        let (rows, bad) = read_text(format!("1 1:1\n{line}\n2 2:2"));
        assert_eq!(
            rows,
            [row(1.0, &[(0, 1.0)]), row(2.0, &[(1, 2.0)])],
            "{line}: only the bad line is left out"
        );
        assert_eq!(bad.iter().map(|b| b.to_string()).collect::<Vec<_>>(), [*want]);
    }
}

#[test]
fn long_words_are_shown_in_part() {
    let (_, bad) = read_text(format!("1 {}:1", "9".repeat(5000)));
    assert_eq!(bad[0].bytes, "9".repeat(80) + "…");
}

#[test]
fn files_that_count_from_zero() {
    let file = InputFile::from_bytes("data.svm", "1 0:5 1:6\n2 2147483647:1\n3 2147483648:1\n");
    let options = LibsvmOptions { index_base: IndexBase::Zero, ..Default::default() };
    let (rows, bad) = read_file(&file, &options).unwrap();
    assert_eq!(rows, [row(1.0, &[(0, 5.0), (1, 6.0)]), row(2.0, &[((1 << 31) - 1, 1.0)])]);
    assert_eq!(bad[0].line, 3);
}

#[test]
fn columns_beyond_those_allowed_are_bad_records() {
    let file = InputFile::from_bytes("data.svm", "1 10:1\n1 3:1 11:1\n");
    let options = LibsvmOptions { max_features: Some(10), ..Default::default() };
    let (rows, bad) = read_file(&file, &options).unwrap();
    assert_eq!(rows, [row(1.0, &[(9, 1.0)])]);
    assert_eq!(
        bad[0].to_string(),
        "data.svm:2:7: the index is larger than 10, the largest that is allowed\n  | 11:1\n  hint: raise the number of features, or leave the column out"
    );
    let options = LibsvmOptions { max_features: Some(10), index_base: IndexBase::Zero, ..Default::default() };
    assert_eq!(read_file(&file, &options).unwrap().1.len(), 2, "counted from 0, column 10 is the eleventh");
    let options = LibsvmOptions { num_features: Some(10), ..Default::default() };
    let block = LibsvmReader::open(&Split::whole(InputFile::from_bytes("a", "1 3:1\n1 12:1")), &options);
    let block = block
        .unwrap()
        .next_block(&mut |bad| {
            assert_eq!(bad.line, 2);
            Ok(())
        })
        .unwrap()
        .unwrap();
    assert_eq!((block.rows(), block.features.columns()), (1, 10));
    let none = LibsvmOptions { max_features: Some(0), ..Default::default() };
    assert_eq!(read_file(&file, &none).unwrap_err().exit_code(), 2);
}

#[test]
fn the_callback_ends_the_reading() {
    let file = InputFile::from_bytes("data.svm", "1 1:1\n1 0:1\n1 2:1\n");
    let mut reader = LibsvmReader::open(&Split::whole(file), &LibsvmOptions::default()).unwrap();
    let e = reader.next_block(&mut |bad| Err(Error::from(bad))).unwrap_err();
    assert_eq!(
        (e.exit_code(), e.to_string().lines().next()),
        (3, Some("data.svm:2:3: index 0: indices start at 1"))
    );
}

/// Enough rows for many buffers and blocks, with long rows and rows without values.
#[test]
fn blocks_do_not_depend_on_buffers() {
    let mut text = String::new();
    for i in 0..30_000 {
        text.push_str(if i % 3 == 0 { "+1" } else { "-1" });
        (0..i % 40).for_each(|j| text.push_str(&format!(" {}:0.{}", j * 1000 + i % 7 + 1, i + 1)));
        text.push('\n');
    }
    text.push('5');
    (1..200_000).for_each(|j| text.push_str(&format!(" {j}:{j}")));
    let file = InputFile::from_bytes("data.svm", text.clone());
    let mut reader = LibsvmReader::open(&Split::whole(file), &LibsvmOptions::default()).unwrap();
    let mut rows = vec![];
    let mut sizes = vec![];
    while let Some(block) = reader.next_block(&mut |bad| panic!("{bad}")).unwrap() {
        sizes.push(block.features.nnz());
        rows.extend(block.iter().map(|(label, r)| {
            (label.to_bits(), r.indices.to_vec(), r.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        }));
    }
    assert_eq!(rows, naive(text.as_bytes()).0);
    let target = slackwater_dataflow::block::TARGET_BLOCK_NONZEROS;
    assert!(sizes[..sizes.len() - 1].iter().all(|n| (target..target + 40).contains(n)), "{sizes:?}");
}
