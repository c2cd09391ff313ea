//! Tables: from Parquet files to rows of features.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel};
use parquet::file::properties::WriterProperties;
use slackwater_dataflow::block::{LabeledBlock, LabeledPoint, Vector};
use slackwater_dataflow::hash::hash_of;
use slackwater_dataflow::{Config, Context, OnBad};
use slackwater_loaders::format::parquet::ParquetTable;
use slackwater_loaders::table::{
    Expr, FeatureMap, FeatureOptions, Frame, Missing, RecordBlock, Scan, TableSource, Texts, col, vector,
};
use slackwater_loaders::{InputFile, format::libsvm::LibsvmOptions};
use std::sync::Arc;

/// `rows` rows: i counts, x is its half with gaps, s one of three texts.
fn batch(rows: i64) -> RecordBatch {
    let all = 0..rows;
    let x = all.clone().map(|i| (i % 7 != 3).then_some(i as f64 / 2.0)).collect::<Float64Array>();
    let s = all.clone().map(|i| ["a", "b", "c"][(i / 1000 % 3) as usize]).collect::<Vec<_>>();
    let columns: [(&str, ArrayRef); 4] = [
        ("i", Arc::new(all.clone().collect::<Int64Array>())),
        ("x", Arc::new(x)),
        ("s", Arc::new(StringArray::from(s))),
        ("even", Arc::new(all.map(|i| Some(i % 2 == 0)).collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Row groups of 5,000 rows, pages of 500.
fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(GzipLevel::default()))
        .set_max_row_group_row_count(Some(5000))
        .set_data_page_row_count_limit(500)
        .set_write_batch_size(500)
        .build();
    written(batch, Some(properties))
}

fn written(batch: &RecordBatch, properties: Option<WriterProperties>) -> Vec<u8> {
    let mut bytes = vec![];
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), properties).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn read(table: &ParquetTable, scan: &Scan) -> Vec<RecordBatch> {
    let mut batches = vec![];
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, scan).unwrap();
        while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into())).unwrap() {
            batches.push(batch);
        }
    }
    batches
}

fn numbers(batches: &[RecordBatch], column: usize) -> Vec<i64> {
    batches.iter().flat_map(|b| b.column(column).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[test]
fn pieces_cover_a_file_once() {
    let file = InputFile::from_bytes("t.parquet", parquet(&batch(100_000)));
    for min in [1, 3, 50] {
        let table = ParquetTable::open(std::slice::from_ref(&file), min).unwrap();
        let batches = read(&table, &Scan::default());
        assert_eq!(numbers(&batches, 0), (0..100_000).collect::<Vec<_>>(), "{min}");
        assert!(table.pieces() >= min.min(6), "{} pieces for {min}", table.pieces());
    }
}

/// However well values are packed, a piece does not have very many.
#[test]
fn pieces_have_at_most_some_million_values() {
    let digits =
        |seed: u64| Int64Array::from_iter_values((0..2_500_000).map(|i| (hash_of(&(seed, i)) % 8) as i64));
    let columns: Vec<(String, ArrayRef)> =
        (0..4).map(|seed| (format!("x{seed}"), Arc::new(digits(seed)) as ArrayRef)).collect();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    for bytes in [parquet(&batch), written(&batch, None)] {
        assert!(bytes.len() < 8 << 20, "{} bytes would be one piece", bytes.len());
        let table = ParquetTable::open(&[InputFile::from_bytes("t.parquet", bytes)], 1).unwrap();
        let rows = |piece| {
            let mut reader = table.open(piece, &Scan::default()).unwrap();
            let batches = std::iter::from_fn(|| reader.next_batch(&mut |bad| Err(bad.into())).unwrap());
            batches.map(|batch| batch.num_rows()).sum()
        };
        let rows: Vec<usize> = (0..table.pieces()).map(rows).collect();
        assert_eq!(rows.iter().sum::<usize>(), 2_500_000);
        assert!(rows.iter().all(|rows| rows * 4 <= 4 << 20), "{rows:?}");
    }
}

#[test]
fn large_row_groups_are_divided() {
    let batch = batch(300_000);
    let table = ParquetTable::open(&[InputFile::from_bytes("t.parquet", written(&batch, None))], 4).unwrap();
    assert!(table.pieces() >= 4);
    let columns = Scan { columns: Some(vec![2, 0]), ..Scan::default() };
    let batches = read(&table, &columns);
    assert_eq!(batches[0].schema().field(0).name(), "s");
    assert_eq!(numbers(&batches, 1), (0..300_000).collect::<Vec<_>>());
    // A condition together with ranges of rows.
    let scan = Scan { condition: Some(Expr::parse("i >= 123456 and i < 123466").unwrap()), ..columns };
    assert_eq!(numbers(&read(&table, &scan), 1), (123_456..123_466).collect::<Vec<_>>());
}

#[test]
fn conditions_leave_out_what_they_can() {
    let file = InputFile::from_bytes("t.parquet", parquet(&batch(100_000)));
    let table = ParquetTable::open(&[file], 1).unwrap();
    for (condition, want) in [
        ("i = 77777", 1),
        ("i < 100 or i >= 99000", 1100),
        ("x > 49000", 1713),
        ("s = 'b' and i < 5000", 2000),
        ("x is null", 14286),
        ("even and i in (3, 4, 70000)", 2),
        ("s = 'd'", 0),
        ("i < 0", 0),
    ] {
        let condition = Expr::parse(condition).unwrap();
        let all = read(&table, &Scan::default());
        let kept: usize = all.iter().map(|b| condition.filter(b).unwrap().num_rows()).sum();
        let scan = Scan { condition: Some(condition.clone()), columns: Some(vec![0]) };
        let rows: usize = read(&table, &scan).iter().map(RecordBatch::num_rows).sum();
        assert_eq!((kept, rows), (want, want), "{condition}");
    }
}

#[test]
fn frames_read_what_they_need() {
    let file = InputFile::from_bytes("t.parquet", parquet(&batch(20_000)));
    let table = Arc::new(ParquetTable::open(&[file], 2).unwrap());
    let cx = Context::local(2).unwrap();
    let frame = Frame::from_source(&cx, table);
    assert_eq!(frame.count().unwrap(), 20_000);
    let made = frame.filter(col("i").lt(10)).unwrap().with_column("z", col("i") + col("x")).unwrap();
    let made = made.select(&["z"]).unwrap();
    let batch = made.collect().unwrap();
    assert_eq!((batch.num_rows(), batch.column(0).null_count()), (10, 1));
    assert_eq!(batch.column(0).as_primitive::<Float64Type>().value(9), 13.5);
    let plan = made.dataset().explain().to_string();
    assert!(plan.contains("2 of 4 columns, where i < 10"), "{plan}");
}

#[test]
fn files_must_be_alike() {
    let a = InputFile::from_bytes("a.parquet", parquet(&batch(10)));
    let b = InputFile::from_bytes("b.parquet", parquet(&batch(10).project(&[0, 2]).unwrap()));
    let e = ParquetTable::open(&[a.clone(), b], 1).err().unwrap().to_string();
    assert!(
        e.contains("`b.parquet` does not have the columns of `a.parquet`\n  - x Float64\n  - even Boolean"),
        "{e}"
    );
    let two = ParquetTable::open(&[a.clone(), a.clone()], 1).unwrap();
    assert_eq!((two.rows(), numbers(&read(&two, &Scan::default()), 0).len()), (20, 20));
    for bytes in [&b"PAR1"[..], b"", b"i,x\n1,2\n", b"PAR1\0\0\0\0PAR1"] {
        let e = ParquetTable::open(&[InputFile::from_bytes("n.parquet", bytes)], 1).err().unwrap();
        assert!(
            e.to_string().starts_with("n.parquet: this is not a Parquet file") && e.exit_code() == 3,
            "{e}"
        );
    }
}

#[test]
fn damage_is_located() {
    let good = parquet(&batch(20_000));
    let table = ParquetTable::open(&[InputFile::from_bytes("t.parquet", good.clone())], 1).unwrap();
    let mut found = 0;
    for at in (4..good.len() * 2 / 3).step_by(good.len() / 40) {
        let mut bad = good.clone();
        bad[at..at + 64].fill(0xff);
        let Ok(table) = ParquetTable::open(&[InputFile::from_bytes("t.parquet", bad)], 1) else { continue };
        let result = table.open(0, &Scan::default()).and_then(|mut reader| {
            while reader.next_batch(&mut |bad| Err(bad.into()))?.is_some() {}
            Ok(())
        });
        // Changed numbers can be as good as others.
        if let Err(e) = result {
            let e = e.to_string();
            assert!(e.starts_with("t.parquet: row group ") && e.contains(", column `"), "{e}");
            found += 1;
        }
    }
    assert!(found > 5, "{found}");
    assert_eq!(table.rows(), 20_000);
}

fn frame(cx: &Context, columns: &[(&str, ArrayRef)]) -> Frame {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(n, a)| (*n, a.clone(), true))).unwrap();
    let schema = batch.schema();
    let half = batch.num_rows() / 2;
    let blocks =
        vec![RecordBlock(batch.slice(0, half)), RecordBlock(batch.slice(half, batch.num_rows() - half))];
    Frame::from_dataset(cx.parallelize(blocks, 2), schema)
}

/// Rows as text: `label: index=value ...`.
fn rows(map: &FeatureMap, frame: &Frame) -> Vec<String> {
    let blocks = map.blocks(frame, false).unwrap().collect().unwrap();
    let text = |b: &LabeledBlock| {
        let row = |(label, r): (f64, slackwater_dataflow::block::Row<'_>)| {
            let cells: Vec<String> =
                r.indices.iter().zip(r.values).map(|(i, x)| format!("{i}={x}")).collect();
            format!("{label}: {}", cells.join(" "))
        };
        b.iter().map(row).collect::<Vec<_>>()
    };
    blocks.iter().flat_map(text).collect()
}

#[test]
fn columns_become_features() {
    let cx = Context::local(2).unwrap();
    let columns: [(&str, ArrayRef); 4] = [
        ("age", Arc::new(Int64Array::from(vec![Some(30), Some(0), None, Some(12)]))),
        ("city", Arc::new(StringArray::from(vec![Some("Rome"), Some("Oslo"), None, Some("Rome")]))),
        ("vip", Arc::new(BooleanArray::from(vec![true, false, true, true]))),
        ("class", Arc::new(StringArray::from(vec!["yes", "no", "no", "yes"]))),
    ];
    let table = frame(&cx, &columns);
    let fit = |texts, missing| {
        FeatureMap::fit(&table, &FeatureOptions { texts, missing, ..FeatureOptions::default() }).unwrap()
    };
    let map = fit(Texts::OneHot, Missing::Zero);
    assert_eq!(
        (map.label(), map.classes().unwrap()),
        (Some("class"), &["no".to_string(), "yes".to_string()][..])
    );
    assert_eq!(map.names(9), ["age", "city=Oslo", "city=Rome", "vip"]);
    assert_eq!((map.size(), map.is_plain()), (Some(4), false));
    assert_eq!(rows(&map, &table), ["1: 0=30 2=1 3=1", "0: 1=1", "0: 3=1", "1: 0=12 2=1 3=1"]);
    let map = fit(Texts::Ordinal, Missing::Mean);
    assert_eq!(rows(&map, &table), ["1: 0=30 1=1 2=1", "0: ", "0: 0=14 2=1", "1: 0=12 1=1 2=1"]);
    let map = fit(Texts::Hash(4), Missing::Zero);
    assert_eq!(map.size(), Some(6));
    let hashed = rows(&map, &table);
    assert!(
        hashed[0].starts_with("1: 0=30 1=1 ") && hashed[0].ends_with("=1") && hashed[2] == "0: 1=1",
        "{hashed:?}"
    );

    // Kept with a model, and used on other data: order and labels do not matter, new texts are nothing.
    let map = fit(Texts::OneHot, Missing::Zero);
    let kept: FeatureMap = serde_json::from_str(&serde_json::to_string(&map).unwrap()).unwrap();
    assert_eq!(kept, map);
    let new: [(&str, ArrayRef); 3] = [
        ("vip", Arc::new(BooleanArray::from(vec![true, true]))),
        ("city", Arc::new(StringArray::from(vec!["Oslo", "Bonn"]))),
        ("age", Arc::new(Float64Array::from(vec![1.5, 2.5]))),
    ];
    assert_eq!(rows(&kept, &frame(&cx, &new)), ["0: 0=1.5 1=1 3=1", "0: 0=2.5 3=1"]);
    let e = kept.blocks(&frame(&cx, &new), true).err().unwrap().to_string();
    assert!(e.contains("\n  - class Float64\n"), "{e}");
    let e = kept.blocks(&frame(&cx, &new).drop_columns(&["age"]).unwrap(), false).err().unwrap().to_string();
    assert!(e.contains("does not have the columns that are needed\n  - age Float64"), "{e}");
}

#[test]
fn rows_that_cannot_be_used_are_bad_records() {
    let columns: [(&str, ArrayRef); 2] = [
        ("label", Arc::new(Float64Array::from(vec![Some(1.0), Some(0.0), None, Some(1.0)]))),
        ("x", Arc::new(Float64Array::from(vec![Some(2.0), None, Some(3.0), Some(f64::NAN)]))),
    ];
    let cx = Context::local(1).unwrap();
    let table = frame(&cx, &columns);
    let map = FeatureMap::fit(&table, &FeatureOptions::default()).unwrap();
    let e = map.blocks(&table, true).unwrap().count().unwrap_err();
    assert!(e.to_string().contains("`x` is missing\n  | label=0.0 x=\n") && e.exit_code() == 3, "{e}");
    let cx = Context::new(Config { on_bad: OnBad::Skip, ..Config::default() }).unwrap();
    let table = frame(&cx, &columns);
    assert_eq!(rows(&map, &table), ["1: 0=2"]);
    let unknown = FeatureOptions { features: vec!["y".into()], ..FeatureOptions::default() };
    assert!(FeatureMap::fit(&table, &unknown).unwrap_err().to_string().contains("no column `y`"));
    let label = FeatureOptions {
        features: vec!["x".into(), "label".into()],
        label: Some("label".into()),
        ..FeatureOptions::default()
    };
    assert_eq!(FeatureMap::fit(&table, &label).unwrap_err().exit_code(), 2);
}

/// The rows of a LIBSVM file come back from a column of vectors in the same blocks.
#[test]
fn vectors_are_as_libsvm_text() {
    use slackwater_dataflow::block::CsrBlock;
    use slackwater_loaders::{ReadExt, Splitting};
    let text: String =
        (0..30_000).map(|i| format!("{} {}:0.5 {}:2\n", i % 2, i % 50 + 1, i % 50 + 53)).collect();
    let file = InputFile::from_bytes("t.svm", text);
    let cx = Context::local(2).unwrap();
    let blocks = cx
        .read_libsvm_files(&[file], LibsvmOptions::default(), Splitting::EvenAtLeast(1))
        .unwrap()
        .coalesce(1);
    let want = blocks.collect().unwrap();
    let batch = |b: &LabeledBlock| {
        let columns: [(&str, ArrayRef); 2] = [
            ("label", Arc::new(Float64Array::from(b.labels.clone()))),
            ("features", Arc::new(vector::from_csr(&b.features))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let batches: Vec<RecordBatch> = want.iter().map(batch).collect();
    let all = arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap();
    let table = ParquetTable::open(&[InputFile::from_bytes("t.parquet", parquet(&all))], 1).unwrap();
    let table = Frame::from_source(&cx, Arc::new(table));
    let map = FeatureMap::fit(&table, &FeatureOptions::default()).unwrap();
    assert!(map.is_plain() && map.size().is_none());
    let got: Vec<CsrBlock> =
        map.blocks(&table, true).unwrap().collect().unwrap().into_iter().map(|b| b.features).collect();
    assert_eq!(got.iter().map(CsrBlock::rows).sum::<usize>(), 30_000);
    let points = |blocks: &[LabeledBlock]| -> Vec<LabeledPoint> {
        blocks.iter().flat_map(|b| b.points(102).collect::<Vec<_>>()).collect()
    };
    let again = map.blocks(&table, true).unwrap().collect().unwrap();
    assert!(points(&again) == points(&want));
    assert!(matches!(points(&again)[0].features, Vector::Sparse(_)));
}

mod arrow {
    use super::*;
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    use slackwater_loaders::format::arrow_ipc::{ArrowFileTable, ArrowStreamTable};

    fn file(batch: &RecordBatch, rows: usize, packed: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(packed).unwrap();
        let mut bytes = vec![];
        let mut writer = FileWriter::try_new_with_options(&mut bytes, &batch.schema(), options).unwrap();
        for at in (0..batch.num_rows()).step_by(rows) {
            writer.write(&batch.slice(at, rows.min(batch.num_rows() - at))).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        bytes
    }
    fn stream(batch: &RecordBatch) -> Vec<u8> {
        let mut bytes = vec![];
        let mut writer = StreamWriter::try_new(&mut bytes, &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        bytes
    }
    fn read(table: &dyn TableSource, scan: &Scan) -> slackwater_dataflow::Result<Vec<RecordBatch>> {
        let mut batches = vec![];
        for piece in 0..table.pieces() {
            let mut reader = table.open(piece, scan)?;
            while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
                batches.push(batch);
            }
        }
        Ok(batches)
    }

    #[test]
    fn files_and_streams_are_read() {
        let all = batch(100_000);
        let scan = Scan { columns: Some(vec![2, 0]), ..Scan::default() };
        for packed in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            for rows in [3000, 50_000] {
                let file = InputFile::from_bytes("t.arrow", file(&all, rows, packed));
                for min in [1, 4] {
                    let table = ArrowFileTable::open(std::slice::from_ref(&file), min).unwrap();
                    let batches = read(&table, &Scan::default()).unwrap();
                    assert_eq!(arrow_select::concat::concat_batches(&all.schema(), &batches).unwrap(), all);
                    assert!(batches.iter().all(|b| b.num_rows() <= 8192));
                    assert_eq!(numbers(&read(&table, &scan).unwrap(), 1).len(), 100_000);
                    assert!(rows > 3000 || table.pieces() >= min);
                }
            }
        }
        let table = ArrowStreamTable::open(&[InputFile::from_bytes("t.arrows", stream(&all))]).unwrap();
        assert_eq!(numbers(&read(&table, &scan).unwrap(), 1), (0..100_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_cut_or_claims_too_much_is_refused() {
        let all = batch(1000);
        let (whole, streamed) = (file(&all, 300, Some(CompressionType::ZSTD)), stream(&all));
        for cut in (0..whole.len()).step_by(97) {
            let opened = ArrowFileTable::open(&[InputFile::from_bytes("t.arrow", &whole[..cut])], 1);
            assert_eq!(opened.err().map(|e| e.exit_code()), Some(3), "{cut}");
        }
        for cut in (0..streamed.len() - 8).step_by(97) {
            let file = InputFile::from_bytes("t.arrows", &streamed[..cut]);
            let read = ArrowStreamTable::open(&[file]).and_then(|t| read(&t, &Scan::default()));
            // Between two messages a stream may end.
            assert!(
                read.is_err()
                    || read.is_ok_and(|b| b.iter().map(RecordBatch::num_rows).sum::<usize>() % 1000 == 0),
                "{cut}"
            );
        }
        let mut claims = 0;
        for at in 8..whole.len() - 8 {
            // A packed buffer begins with the size that it is said to have.
            if whole[at..at + 8] == 2400u64.to_le_bytes() {
                let mut bad = whole.clone();
                bad[at..at + 8].copy_from_slice(&(1u64 << 50).to_le_bytes());
                let table = ArrowFileTable::open(&[InputFile::from_bytes("t.arrow", bad)], 1).unwrap();
                let e = read(&table, &Scan::default()).err().unwrap().to_string();
                assert!(
                    e.starts_with("t.arrow: a buffer of ") && e.contains("says that it unpacks to"),
                    "{e}"
                );
                claims += 1;
            }
        }
        assert!(claims > 0);
    }
}
