//! Every Parquet file of apache/parquet-testing, the fuzzed ones of apache/arrow-testing, and some tables, against what pyarrow reads
//! in them, when `SLACKWATER_DATA` says where they are.

#[path = "common/canonical.rs"]
mod canonical;
mod common;

use common::data;
use peak_alloc::PeakAlloc;
use slackwater_dataflow::Result;
use slackwater_loaders::InputFile;
use slackwater_loaders::format::parquet::ParquetTable;
use slackwater_loaders::table::{Scan, TableSource};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes that reading any of the files may take.
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// Longest that any may take, on a machine that does other things, too.
const TIME_MAX: Duration = Duration::from_secs(60);

const GOLDEN: &str = include_str!("golden/parquet_testing.tsv");

/// What pyarrow refuses and we read.
const BEYOND: &[(&str, &str)] = &[];
/// What pyarrow reads and we refuse.
const REFUSED: &[(&str, &str)] = &[];
/// What is not read whole here.
const TOO_LARGE: &[(&str, &str)] =
    &[("parquet-testing/data/large_string_map.brotli.parquet", "two strings of 1 GiB, of 2 KiB as stored")];

/// What is found in a file: rows, then each column's name, nulls and checksum.
fn found(file: &InputFile) -> Result<String> {
    let table = ParquetTable::open(std::slice::from_ref(file), 3)?;
    let fields = table.schema().fields().clone();
    let mut columns: Vec<(usize, flate2::Crc)> = fields.iter().map(|_| (0, flate2::Crc::new())).collect();
    let (mut rows, mut text) = (0, String::new());
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &Scan::default())?;
        while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
            assert_eq!(batch.schema_ref(), table.schema());
            rows += batch.num_rows();
            for (array, (nulls, crc)) in batch.columns().iter().zip(&mut columns) {
                *nulls += canonical::nulls(array);
                for row in 0..array.len() {
                    text.clear();
                    canonical::write(&mut text, array, row);
                    text.push('\n');
                    crc.update(text.as_bytes());
                }
            }
        }
    }
    assert_eq!(table.rows(), rows as u64, "the rows that the file says it has");
    let mut found = rows.to_string();
    for (field, (nulls, crc)) in fields.iter().zip(&columns) {
        let name = serde_json::to_string(field.name()).expect("text");
        let _ = write!(found, "\t{name} {nulls} {:08x}", crc.sum());
    }
    Ok(found)
}

/// Files with what pyarrow reads in them.
fn golden() -> impl Iterator<Item = (&'static str, &'static str)> {
    GOLDEN.lines().filter(|l| !l.starts_with('#')).map(|l| l.split_once('\t').expect("a path and more"))
}

fn listed(list: &[(&str, &str)], path: &str) -> bool {
    list.iter().any(|(p, _)| *p == path)
}

/// One test, so that nothing else allocates at the same time.
#[test]
fn every_file_is_as_pyarrow_reads_it() {
    let Some(data) = data() else { return };
    let (mut same, mut refused, mut failures) = (0, 0, vec![]);
    let (mut most, mut longest) = ((0, ""), (Duration::ZERO, ""));
    for (path, want) in golden() {
        if listed(TOO_LARGE, path) {
            continue;
        }
        let file = InputFile::from_path(data.join(path)).expect(path);
        MEMORY.reset_peak_usage();
        let (before, started) = (MEMORY.current_usage(), Instant::now());
        let found = std::panic::catch_unwind(|| found(&file));
        most = most.max((MEMORY.peak_usage().saturating_sub(before), path));
        longest = longest.max((started.elapsed(), path));
        let Ok(found) = found else {
            failures.push(format!("{path}: see above"));
            continue;
        };
        match (found, want == "refused") {
            (Ok(found), false) if found == want && !listed(REFUSED, path) => same += 1,
            (Ok(found), false) => failures.push(format!("{path}:\n  want {want}\n  have {found}")),
            (Ok(_), true) if listed(BEYOND, path) => {}
            (Ok(found), true) => failures.push(format!("{path}: pyarrow refuses it, and we read {found}")),
            (Err(e), refuses) => {
                assert_eq!(e.exit_code(), 3, "{path}: {e}");
                match refuses != listed(REFUSED, path) && !listed(BEYOND, path) {
                    true => refused += 1,
                    false => failures.push(format!("{path}: {e}\n  pyarrow reads {want}")),
                }
            }
        }
    }
    eprintln!("{same} the same, {refused} refused; most memory {most:?}, longest {longest:?}");
    assert!(failures.is_empty(), "{} files:\n{}", failures.len(), failures.join("\n"));
    assert!(most.0 < MEMORY_BYTES_MAX, "{most:?}");
    assert!(longest.0 < TIME_MAX, "{longest:?}");
}
