//! One file read once, as other libraries read it: all of it, and kept. `cargo bench -p slackwater-loaders --bench readers --
//! [--threads N] FILE...`; `benches/readers.py` runs this and the others side by side.
//!
//! A line of JSON a file: seconds from opening to the last value, and the most memory that the process had. Give one file for
//! a peak of its own. LIBSVM is read into blocks of labels and rows, everything else into batches.

use slackwater_dataflow::Result;
use slackwater_loaders::format::csv::{CsvOptions, CsvTable};
use slackwater_loaders::format::libsvm::{LibsvmOptions, LibsvmReader};
use slackwater_loaders::format::parquet::ParquetTable;
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{Format, InputFile, split::splits};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// As in the driver: what reads large columns waits for memory most of all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Pieces for each thread, so that the last ones end at about the same time.
const PIECES: usize = 4;

/// What is read is kept, and counted: rows and values.
trait Kept: Send {
    fn counts(&self) -> (usize, usize);
}

impl Kept for Vec<arrow_array::RecordBatch> {
    fn counts(&self) -> (usize, usize) {
        let rows = self.iter().map(|b| b.num_rows()).sum();
        (rows, self.iter().map(|b| b.num_rows() * b.num_columns()).sum())
    }
}

impl Kept for Vec<slackwater_dataflow::block::LabeledBlock> {
    fn counts(&self) -> (usize, usize) {
        (self.iter().map(|b| b.rows()).sum(), self.iter().map(|b| b.features.nnz()).sum())
    }
}

fn pieces<K: Kept>(
    pieces: usize,
    threads: usize,
    read: impl Fn(usize) -> Result<K> + Sync,
) -> (Vec<K>, usize, usize) {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut kept = vec![];
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                piece if piece < pieces => kept.push(read(piece).expect("the data are right")),
                _ => return kept,
            }
        }
    };
    let kept: Vec<K> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|w| w.join().expect("no panic")).collect()
    });
    let (rows, values) = kept.iter().map(K::counts).fold((0, 0), |(a, b), (r, v)| (a + r, b + v));
    (kept, rows, values)
}

fn table(table: &dyn TableSource, threads: usize) -> (usize, usize) {
    let (_kept, rows, values) = pieces(table.pieces(), threads, |piece| {
        let (mut reader, mut batches) = (table.open(piece, &Scan::default())?, vec![]);
        while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
            batches.push(batch);
        }
        Ok(batches)
    });
    (rows, values)
}

fn measure(path: &str, threads: usize) -> Result<()> {
    let format = Format::of_path(path.as_ref()).unwrap_or(Format::Libsvm);
    let start = Instant::now();
    let file = InputFile::from_path(path)?;
    let files = std::slice::from_ref(&file);
    let (rows, values) = match format {
        Format::Csv => table(&CsvTable::of_files(files, PIECES * threads, &CsvOptions::default())?, threads),
        Format::Parquet => table(&ParquetTable::open(files, PIECES * threads)?, threads),
        _ => {
            let all = splits(files, PIECES * threads);
            let (_kept, rows, values) = pieces(all.len(), threads, |piece| {
                let mut reader = LibsvmReader::open(&all[piece], &LibsvmOptions::default())?;
                let mut blocks = vec![];
                while let Some(block) = reader.next_block(&mut |bad| Err(bad.into()))? {
                    blocks.push(block);
                }
                Ok(blocks)
            });
            (rows, values)
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let peak: f64 = peak.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN);
    println!(
        "{{\"reader\": \"slackwater\", \"threads\": {threads}, \"rows\": {rows}, \"values\": {values}, \"seconds\": {seconds:.4}, \
         \"gb_per_s\": {:.3}, \"peak_mb\": {:.0}}}",
        file.bytes() as f64 / 1e9 / seconds,
        peak / 1e3
    );
    Ok(())
}

fn main() -> Result<()> {
    let (mut threads, mut arguments) = (1, std::env::args().skip(1));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => {
                threads = arguments.next().and_then(|n| n.parse().ok()).expect("a number of threads")
            }
            "--bench" => {}
            path => measure(path, threads)?,
        }
    }
    Ok(())
}
