//! Formats of text, expressions, and telling formats.

use super::{as_whole, cut, drain, read_table};
use crate::engine::MEMORY_BYTES;
use crate::{Seen, Target};
use slackwater_loaders::format::bag_of_words::{BagFormat, RowDocuments, WordCountReader, read_vocabulary};
use slackwater_loaders::format::csv::{CsvOptions, CsvTable};
use slackwater_loaders::format::edges::Vertices;
use slackwater_loaders::format::graph::{Graph, GraphFormat, GraphOptions};
use slackwater_loaders::format::json_lines::{JsonLinesTable, JsonOptions};
use slackwater_loaders::format::libsvm::{IndexBase, LibsvmOptions, LibsvmReader};
use slackwater_loaders::format::ratings::RatingsReader;
use slackwater_loaders::format::text::{TextReader, read_whole};
use slackwater_loaders::format::uai::{FactorGraph, read_partition_function};
use slackwater_loaders::format::vowpal_wabbit::{VwFeatures, VwOptions, VwReader};
use slackwater_loaders::table::{Expr, FeatureMap};
use slackwater_loaders::{Format, InputFile, ReadLimits, TableOptions, open_table};
use std::sync::{Arc, OnceLock};

/// Lines are so short here that these limits are never met, but memory is.
const LIMITS: fn() -> ReadLimits = ReadLimits::default;

fn file(name: &str, input: &[u8]) -> InputFile {
    InputFile::from_bytes(name, input)
}

fn target(
    name: &'static str,
    corpus: &[&str],
    words: &'static [&'static [u8]],
    run: fn(&[u8], u64) -> Seen,
) -> Target {
    let corpus = corpus.iter().map(|c| c.as_bytes().to_vec()).collect();
    Target { name, corpus, words, run, share: 100, repeats: true, memory: MEMORY_BYTES }
}

fn libsvm(input: &[u8], choice: u64) -> Seen {
    let options = LibsvmOptions {
        index_base: if choice & 0x100 == 0 { IndexBase::One } else { IndexBase::Zero },
        num_features: (choice & 0x200 != 0).then_some(700),
        max_features: (choice & 0x400 != 0).then_some(1 << 20),
        limits: LIMITS(),
    };
    as_whole(&file("a.svm", input), choice, |splits, seen| {
        splits.iter().all(|split| match LibsvmReader::open(split, &options) {
            Ok(mut reader) => drain(|on_bad| reader.next_block(on_bad), seen, |b| b.rows()),
            Err(e) => {
                seen.note(&e.to_string());
                false
            }
        })
    })
}

fn vowpal_wabbit(input: &[u8], choice: u64) -> Seen {
    let features = match choice & 0x300 {
        0 => VwFeatures::Numbers,
        0x100 => VwFeatures::Hashed { bits: 31 },
        _ => VwFeatures::Hashed { bits: 18 },
    };
    let options = VwOptions { features, num_features: None, limits: LIMITS() };
    as_whole(&file("a.vw", input), choice, |splits, seen| {
        splits.iter().all(|split| match VwReader::open(split, &options) {
            Ok(mut reader) if choice & 0x400 == 0 => {
                drain(|on_bad| reader.next_block(on_bad), seen, |b| b.labels.len())
            }
            Ok(mut reader) => drain(|on_bad| reader.next_labeled(on_bad), seen, |b| b.rows()),
            Err(_) => false,
        })
    })
}

fn csv(input: &[u8], choice: u64) -> Seen {
    let bit = |n: u32| choice >> (8 + n) & 1 == 1;
    let options = CsvOptions {
        delimiter: if bit(0) {
            Some(*b";\t, ".get((choice >> 20) as usize & 3).unwrap_or(&b','))
        } else {
            None
        },
        header: bit(1).then_some(bit(2)),
        quote: if bit(3) && bit(4) { None } else { Some(if bit(3) { b'\'' } else { b'"' }) },
        skip_lines: if bit(5) && bit(6) { 1 } else { 0 },
        comment: (bit(6) && bit(7)).then_some(b'#'),
        infer_bytes: if bit(8) { 40 } else { 1 << 20 },
        quoted_line_ends: !bit(9),
        decimal_comma: bit(10) && bit(0),
        ..CsvOptions::default()
    };
    let mut seen = Seen::default();
    let file = file("a.csv", input);
    let table = CsvTable::open(cut(&file, choice >> 3), &options).map(Arc::new);
    read_table(table, choice, &mut seen);
    seen
}

fn json_lines(input: &[u8], choice: u64) -> Seen {
    let mut seen = Seen::default();
    let file = file("a.jsonl", input);
    let splits = cut(&file, choice >> 3);
    read_table(
        JsonLinesTable::open(&[file], splits, JsonOptions::default()).map(Arc::new),
        choice,
        &mut seen,
    );
    seen
}

/// Opens a file as one of a format.
fn open(format: Option<Format>, name: &str, input: &[u8], choice: u64) -> Seen {
    let mut seen = Seen::default();
    let record_bytes = Some(1 + (choice >> 8) as usize % 40);
    let options = TableOptions { format, record_bytes, ..TableOptions::default() };
    read_table(open_table(&[file(name, input)], &options, 3), choice, &mut seen);
    seen
}

fn matrix_market(input: &[u8], choice: u64) -> Seen {
    open(Some(Format::MatrixMarket), "a.mtx", input, choice)
}
fn arff(input: &[u8], choice: u64) -> Seen {
    open(Some(Format::Arff), "a.arff", input, choice)
}
fn idx(input: &[u8], choice: u64) -> Seen {
    // The labels may be the same file: what is wrong is then wrong twice.
    if choice & 0x100 == 0 {
        return open(Some(Format::Idx), "a.idx", input, choice);
    }
    let mut seen = Seen::default();
    let at = input.len() * ((choice >> 9) as usize & 63) / 64;
    let (a, b) = input.split_at(at);
    let options = TableOptions { format: Some(Format::Idx), ..TableOptions::default() };
    read_table(open_table(&[file("a", a), file("b", b)], &options, 3), choice, &mut seen);
    seen
}
fn metis(input: &[u8], choice: u64) -> Seen {
    open(Some(Format::Metis), "a.graph", input, choice)
}
fn dimacs(input: &[u8], choice: u64) -> Seen {
    open(Some(Format::Dimacs), "a.gr", input, choice)
}
fn adjacency(input: &[u8], choice: u64) -> Seen {
    open(Some(Format::Adjacency), "a", input, choice)
}
fn binary(input: &[u8], choice: u64) -> Seen {
    open(Some(Format::Binary), "a", input, choice)
}
fn any(input: &[u8], choice: u64) -> Seen {
    open(
        None,
        ["a", "a.csv", "a.gr", "a.svm.gz", "a.parquet", "a.json"][(choice >> 8) as usize % 6],
        input,
        choice,
    )
}

fn edges(input: &[u8], choice: u64) -> Seen {
    let mut seen = Seen::default();
    let file = file("a.edges", input);
    if choice & 0x300 == 0x300 {
        read_table(Ok(Arc::new(Vertices::open(&[file], LIMITS(), 3).into_table())), choice, &mut seen);
        return seen;
    }
    let weighted = [None, Some(true), Some(false)][(choice >> 8) as usize % 3];
    let format = (choice & 0x1000 == 0).then_some(GraphFormat::EdgeList);
    let graph = Graph::open(&[file], &GraphOptions { format, weighted, limits: LIMITS() }, 3);
    read_table(graph.map(|g| Arc::new(g.into_table())), choice, &mut seen);
    seen
}

fn words(input: &[u8], choice: u64) -> Seen {
    let mut seen = Seen::default();
    let file = file("a", input);
    match choice >> 8 & 7 {
        0 => return open(Some(Format::Words), "docword.txt", input, choice),
        1 => return open(Some(Format::Ldac), "a.ldac", input, choice),
        n @ 2..=4 => {
            let format = [BagFormat::Triples, BagFormat::Uci, BagFormat::Rows][n as usize - 2];
            for split in cut(&file, choice) {
                match WordCountReader::open(&split, format) {
                    Ok(mut reader) => drain(|on_bad| reader.next_count(on_bad), &mut seen, |_| 1),
                    Err(e) => {
                        seen.note(&e.to_string());
                        false
                    }
                };
            }
        }
        5 => seen.note_error(&read_vocabulary(&file, LIMITS())),
        n => {
            use slackwater_loaders::format::records::{RecordReader, RecordSource};
            let documents = RowDocuments::open(&[file], n == 6, 0, LIMITS(), 3);
            for piece in 0..documents.pieces() {
                if let Ok(mut reader) = documents.open(piece) {
                    drain(|on_bad| RecordReader::next_record(&mut *reader, on_bad), &mut seen, |_| 1);
                }
            }
        }
    }
    seen
}

fn ratings(input: &[u8], choice: u64) -> Seen {
    if choice & 0x300 == 0 {
        return open(Some(Format::Ratings), "a", input, choice);
    }
    as_whole(&file("a", input), choice, |splits, seen| {
        splits.iter().all(|split| match RatingsReader::open(split, LIMITS()) {
            Ok(mut reader) => drain(
                |on_bad| match choice & 0x300 {
                    0x100 => reader.next_rating(on_bad).map(|r| r.map(|_| ())),
                    0x200 => reader.next_pair(on_bad).map(|r| r.map(|_| ())),
                    _ => reader.next_row_pair(on_bad).map(|r| r.map(|_| ())),
                },
                seen,
                |_| 1,
            ),
            Err(_) => false,
        })
    })
}

fn uai(input: &[u8], choice: u64) -> Seen {
    let mut seen = Seen::default();
    let model = || {
        static MODEL: OnceLock<FactorGraph> = OnceLock::new();
        MODEL
            .get_or_init(|| {
                FactorGraph::read(&file("a.uai", UAI.as_bytes()), LIMITS()).expect("a good model")
            })
            .clone()
    };
    let file = file("a.uai", input);
    match choice >> 8 & 3 {
        0 => {
            let read = FactorGraph::read(&file, LIMITS());
            seen.note_error(&read);
            if let Ok(graph) = read {
                seen.rows =
                    graph.factors.iter().map(|f| graph.cardinalities_of(f).count()).sum::<usize>() as u64;
            }
        }
        1 => seen.note_error(&model().with_evidence(&file, LIMITS())),
        2 => seen.note_error(&read_partition_function(&file, LIMITS())),
        _ => return open(Some(Format::Uai), "a.uai", input, choice),
    }
    seen
}

fn text(input: &[u8], choice: u64) -> Seen {
    let file = file("a.txt", input);
    match choice >> 8 & 7 {
        0 => open(Some(Format::Text), "a.txt", input, choice),
        1 => open(Some(Format::WholeText), "a.txt", input, choice),
        2 => {
            let mut seen = Seen::default();
            seen.note_error(&read_whole(&file, 1 << 20, LIMITS()));
            seen
        }
        n => as_whole(&file, choice, |splits, seen| {
            splits.iter().all(|split| match TextReader::open(split, LIMITS()) {
                Ok(mut reader) if n == 3 => {
                    drain(|on_bad| reader.next_block(on_bad), seen, |b| b.lines().count())
                }
                Ok(mut reader) => drain(|on_bad| reader.next_line(on_bad), seen, |_| 1),
                Err(_) => false,
            })
        }),
    }
}

fn expression(input: &[u8], _: u64) -> Seen {
    use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
    static BATCH: OnceLock<RecordBatch> = OnceLock::new();
    let batch = BATCH.get_or_init(|| {
        let columns: [(&str, ArrayRef); 4] = [
            ("a", Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MIN), Some(i64::MAX), Some(0)]))),
            (
                "b",
                Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), None, Some(-1e300), Some(0.0)])),
            ),
            ("s", Arc::new(StringArray::from(vec![Some("a%b"), None, Some(""), Some("\u{df}"), Some("12")]))),
            ("t", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), None, None]))),
        ];
        RecordBatch::try_from_iter(columns).expect("four columns")
    });
    let mut seen = Seen::default();
    let text = String::from_utf8_lossy(input);
    match Expr::parse(&text) {
        Ok(e) => {
            // What is shown is read as the same.
            let shown = e.to_string();
            let again = Expr::parse(&shown);
            let too_deep = again.as_ref().is_err_and(|e| e.to_string().contains("nested too deep"));
            assert!(too_deep || again.as_ref().is_ok_and(|a| *a == e), "`{shown}` is read as {again:?}");
            let value = e.evaluate(batch);
            seen.note_error(&value);
            seen.note_error(&e.condition(batch));
            if let Ok(value) = value {
                assert_eq!(value.len(), batch.num_rows());
                assert_eq!(Some(value.data_type()), e.data_type(batch.schema_ref()).ok().as_ref());
                seen.note(value.data_type().to_string().as_str());
            }
            seen.rows = shown.len() as u64;
        }
        Err(e) => seen.note(&e.to_string()),
    }
    seen
}

fn features(input: &[u8], _: u64) -> Seen {
    let mut seen = Seen::default();
    match serde_json::from_slice::<FeatureMap>(input) {
        Ok(map) => {
            seen.rows = map.columns().count() as u64;
            assert!(map.names(100).len() <= 100);
            let _ = (map.size(), map.label(), map.classes(), map.is_plain());
        }
        Err(e) => seen.note(&e.to_string()),
    }
    seen
}

const UAI: &str =
    "MARKOV\n3\n2 2 3\n2\n2 0 1\n2 1 2\n\n4\n 4.000 2.400\n 1.000 0.000\n\n6\n 2.25 3.25 3.75\n 0 0 10\n";
const CSV: &str = "id,name,x,when,ok\n1,\"a, \"\"b\"\"\",0.5,2024-02-29,true\n2,,NA,2024-03-01T12:00:00Z,false\n3,\"two\nlines\",-1e3,,\n";
const ARFF: &str = "% c\n@relation r\n@attribute x numeric\n@attribute 'a b' {p, 'q r', \"s\"}\n@attribute d date \"yyyy-MM-dd HH:mm:ss\"\n@attribute s string\n@data\n1.5,p,\"2020-01-02 03:04:05\",'it''s'\n?, 'q r', ?, x % no\n{0 2, 3 'y z'}\n";

/// All of them.
pub fn targets() -> Vec<Target> {
    let idx_bytes = b"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03abcdefghijkl".to_vec();
    let labels = b"\0\0\x08\x01\0\0\0\x02\x01\x00".to_vec();
    let mut doubles = b"\0\0\x0e\x01\0\0\0\x02".to_vec();
    doubles.extend([1.5f64, -2.0].iter().flat_map(|x| x.to_be_bytes()));
    let bytes = |name, corpus: Vec<Vec<u8>>, run| Target {
        name,
        corpus,
        words: &[],
        run,
        share: 100,
        repeats: true,
        memory: MEMORY_BYTES,
    };
    let any_corpus = vec![
        b"PAR1....PAR1".to_vec(),
        b"ARROW1\0\0".to_vec(),
        b"\xff\xff\xff\xff\x10\0\0\0".to_vec(),
        idx_bytes.clone(),
        UAI.into(),
        b"%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 1.5\n".to_vec(),
        b"{\"a\":1}\n".to_vec(),
        ARFF.into(),
        b"1::2::3::4\n".to_vec(),
        b"p sp 3 1\na 1 2 3\n".to_vec(),
        b"+1 1:2\n".to_vec(),
        b"1 |a b:2\n".to_vec(),
        CSV.into(),
        b"a\tb\n1\t2\n".to_vec(),
        b"\x1f\x8b\x08\0\0\0\0\0".to_vec(),
    ];
    vec![
        target(
            "libsvm",
            &[
                "+1 1:0.5 3:2 # a comment\n-1 2:1e-3\n",
                "1 qid:3 1:1 2:.5e+1 700:0x\n\n# c\n0\n",
                "1,2 5:-7\r\n2 1:nan\n",
            ],
            &[b"qid:", b"1:", b":1", b" 4294967295:1", b"#", b"+1 ", b"\n-1 1:2 "],
            libsvm,
        ),
        target(
            "csv",
            &[
                CSV,
                "1;2,5;x\n3;4;'y;z'\n#c\n",
                "a\tb\n1\t2\n",
                "\u{feff}a,b\r\n\"1\",\"2\"\r\n,\r\n",
                "\"a\"x,b\n\"\n",
            ],
            &[
                b"\"\"",
                b",\"",
                b"\",",
                b"\"\n",
                b"\n\"",
                b"2024-02-30",
                b"true",
                b"NA",
                b"12:61:00",
                b"9999999-01-01",
                b"T00:00:00.123456789+14:00",
            ],
            csv,
        ),
        target(
            "json_lines",
            &[
                "{\"a\":1,\"b\":\"x\",\"c\":[1,2.5],\"d\":{\"e\":null}}\n{\"a\":2.5}\n",
                "{}\n{\"a\":\"\\ud83d\\ude00\"}\n",
                "{\"a\":[{\"b\":[]}]}\n",
            ],
            &[
                b"{\"a\":",
                b"[[[[",
                b"{\"a\":{\"a\":",
                b"null",
                b"true",
                b"\\u0000",
                b"\\ud800",
                b"\"a\"",
                b"1e999",
                b"}\n{",
            ],
            json_lines,
        ),
        target(
            "matrix_market",
            &[
                "%%MatrixMarket matrix coordinate real general\n% c\n3 3 2\n1 1 1.5\n3 2 -2e1\n",
                "%%MatrixMarket matrix array complex hermitian\n2 2\n1 0\n2 3\n4 0\n",
                "%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n",
                "%%MatrixMarket matrix array integer skew-symmetric\n3 3\n1\n2\n3\n",
            ],
            &[
                b"array",
                b"coordinate",
                b"real",
                b"complex",
                b"integer",
                b"pattern",
                b"general",
                b"symmetric",
                b"skew-symmetric",
                b"hermitian",
                b"0 0 0",
                b"4294967296 4294967296",
            ],
            matrix_market,
        ),
        target(
            "edges",
            &["# c\n0 1\n1 2\n\n2 0\n", "0 1 0.5\n1,2,-1e3\n", "5\n7\n"],
            &[b"# ", b"% ", b" 0.5", b"\t"],
            edges,
        ),
        target("adjacency", &["0 1 2\n1 0\n2\n\n", "# c\n5: 6 7\n"], &[b" 1", b":"], adjacency),
        target(
            "metis",
            &["% c\n3 2\n2\n1 3\n2\n", "3 2 011 2\n4 2 2 1\n1 1 1 1 3 5\n0 0 2 5\n", "2 1 1\n2 7\n1 7\n"],
            &[b"011", b"111", b"100", b"3 2 1", b"\n\n", b"%"],
            metis,
        ),
        target(
            "dimacs",
            &[
                "c c\np sp 3 2\na 1 2 5\na 2 3 -1\n",
                "p edge 3 2\ne 1 2\ne 2 3\n",
                "p max 2 1\nn 1 s\nn 2 t\na 1 2 3\n",
            ],
            &[b"p sp ", b"p edge ", b"\na ", b"\ne ", b"c\n", b"n 1 s"],
            dimacs,
        ),
        target(
            "vowpal_wabbit",
            &[
                "1 2.0 0.5 'tag|a:2 b c:0.5 |d e\n-1 |  1:2 3\n",
                "| a b\n1 |n:3 x:1e3 y\n\n",
                "0 example|5:1 7:2\n",
            ],
            &[b"|", b" |a:2 ", b":", b"'tag", b" 2.0 "],
            vowpal_wabbit,
        ),
        bytes(
            "idx",
            vec![
                idx_bytes,
                labels,
                doubles,
                [&b"\0\0\x08\x01\0\0\0\x01a"[..], b"\0\0\x08\x01\0\0\0\x01b"].concat(),
            ],
            idx,
        ),
        target(
            "arff",
            &[
                ARFF,
                "@RELATION x\n@ATTRIBUTE c {a,b}\n@DATA\na\nb\n{}\n",
                "@relation s\n@attribute a real\n@attribute b integer\n@data\n1,2\n3,4,{5}\n",
            ],
            &[
                b"@attribute y numeric\n",
                b"@data\n",
                b"{",
                b"}",
                b"{0 1}",
                b"date",
                b"string",
                b"relational",
                b"@end",
                b"'",
                b"\\'",
                b"\"yyyy\"",
                b"?",
            ],
            arff,
        ),
        target(
            "words",
            &[
                "1 2 3\n2 1 1\n",
                "2\n3\n2\n1 1 2\n2 3 1\n",
                "2 0:1 3:2\n0\n1 5:1\n",
                "lab 1:2 3:4\n",
                "one\ntwo\n",
            ],
            &[b"2 0:1 1:1\n", b":", b"0\n0\n0\n"],
            words,
        ),
        target(
            "ratings",
            &[
                "1::2::3.5::978300760\n2::1::4::0\n",
                "1,2,3.5\n1,3,1\n",
                "userId,movieId,rating,timestamp\n1,2,3.0,7\n",
                "1\t2\n3 4\n",
            ],
            &[b"::", b"userId,movieId,rating,timestamp\n", b",", b"\t"],
            ratings,
        ),
        target(
            "uai",
            &[
                UAI,
                "BAYES\n2\n2 2\n2\n1 0\n2 0 1\n2\n0.4 0.6\n4\n.1 .9 .2 .8\n",
                "1 0 1\n",
                "PR\n-1.5\n",
                "2\n0 1\n2 2\n",
            ],
            &[b"MARKOV", b"BAYES", b"\n\n", b"4294967295 ", b"1000000 ", b"PR"],
            uai,
        ),
        target(
            "text",
            &["one line\nand another\r\nlast", "\u{feff}\u{df}\n\n\n"],
            &[b"\xc3\x9f", b"\r\n"],
            text,
        ),
        bytes("binary", vec![(0..120).collect()], binary),
        bytes("any", any_corpus, any),
        target(
            "expression",
            &[
                "a > 1 and not (b < -0.5 or s like 'a%') and t",
                "a + 2 * -b / 3 % 2 >= abs(b)",
                "s in ('x', 'it''s') and b is not null",
                "lower(s) = 'a' and a in (1, 2, -3)",
                "`a` <> 1e300 or t is null",
                "cast(a as float) between 1 and 2",
            ],
            &[
                b"(",
                b")",
                b"((((((((",
                b"not ",
                b"- ",
                b" and ",
                b" or ",
                b" is null",
                b" like '%_'",
                b" in (1)",
                b"a",
                b"b",
                b"s",
                b"t",
                b"abs(",
                b"'",
                b"`",
                b" + ",
                b" = ",
                b"null",
                b"true",
                b"--",
                b"-",
            ],
            expression,
        ),
        target(
            "features",
            &[
                "{\"label\":{\"name\":\"y\",\"classes\":[\"a\",\"b\"]},\"columns\":[{\"name\":\"x\",\"first\":0,\"kind\":{\"number\":{\"mean\":0.5}}},{\"name\":\"c\",\"first\":1,\"kind\":{\"one_hot\":[\"p\",\"q\"]}}],\"size\":3,\"missing\":\"Error\"}",
                "{\"label\":null,\"columns\":[{\"name\":\"v\",\"first\":0,\"kind\":{\"vector\":null}},{\"name\":\"h\",\"first\":4294967295,\"kind\":\"hashed\"},{\"name\":\"n\",\"first\":2,\"kind\":{\"numbers\":4294967295}}],\"size\":null,\"missing\":\"Zero\",\"hashed\":[3,4294967295]}",
            ],
            &[
                b"\"ordinal\"",
                b"\"one_hot\"",
                b"\"numbers\"",
                b"\"vector\"",
                b"\"hashed\"",
                b"null",
                b"4294967295",
                b"[",
                b"{",
            ],
            features,
        ),
    ]
}
