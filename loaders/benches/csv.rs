//! How fast CSV is read: `cargo bench -p slackwater-loaders --bench csv [-- FILE...]`.
//!
//! Each file is read from the page cache into batches, on one thread and on two over byte ranges, all columns and then
//! the first and the last alone; the best of several runs counts, which is what the machine can do when left alone.
//! Without files it makes three: 29 numbers a row of six digits, ten a row of up to 17 digits as Python prints them, and
//! a mixed one of integers, short text (a tenth of it quoted, some with line ends), numbers, gaps and dates.

mod common;

use common::Random;
use slackwater_dataflow::Result;
use slackwater_loaders::InputFile;
use slackwater_loaders::format::csv::{CsvOptions, CsvTable};
use slackwater_loaders::table::{Scan, TableSource};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const RUNS: usize = 5;

/// A normal number.
fn normal(random: &mut Random) -> f64 {
    (-2.0 * (1.0 - random.uniform()).ln()).sqrt() * (std::f64::consts::TAU * random.uniform()).cos()
}

fn header(columns: usize) -> String {
    (1..=columns).map(|i| format!("x{i}")).collect::<Vec<_>>().join(",") + "\n"
}

fn short_digits(rows: usize) -> String {
    let (mut r, mut out) = (Random(1), header(29));
    for _ in 0..rows {
        let _ = write!(out, "{}", r.next() % 2);
        for _ in 0..28 {
            let _ = write!(out, ",{:.6}", normal(&mut r));
        }
        out.push('\n');
    }
    out
}

fn long_digits(rows: usize) -> String {
    let (mut r, mut out) = (Random(2), header(10));
    for _ in 0..rows {
        for i in 0..10 {
            let _ = write!(out, "{}{:?}", if i > 0 { "," } else { "" }, normal(&mut r));
        }
        out.push('\n');
    }
    out
}

fn mixed(rows: usize) -> String {
    const WORDS: [&str; 8] =
        ["alpha", "beta", "gamma ray", "d", "epsilon eridani", "zeta", "eta", "theta wave"];
    let (mut r, mut out) = (Random(3), "id,name,place,x,gap,day,at,flag\n".to_string());
    for id in 0..rows {
        let word = WORDS[(r.next() % 8) as usize];
        let place = match r.next() % 40 {
            0 => "\"two\nlines\"",
            1..=3 => "\"Halle, Saale\"",
            _ => WORDS[(r.next() % 8) as usize],
        };
        let _ = write!(out, "{id},{word},{place},{:.2},", 1000.0 * normal(&mut r));
        if !r.next().is_multiple_of(4) {
            let _ = write!(out, "{}", r.next() % 100_000);
        }
        let (day, hour) = (r.next() % 28 + 1, r.next() % 24);
        let flag = if r.next().is_multiple_of(2) { "true" } else { "false" };
        let _ = writeln!(out, ",2024-03-{day:02},2024-03-{day:02} {hour:02}:15:00,{flag}");
    }
    out
}

fn read(table: &CsvTable, scan: &Scan, threads: usize) -> (usize, usize) {
    let next = AtomicUsize::new(0);
    let work = || -> Result<(usize, usize)> {
        let (mut rows, mut bytes) = (0, 0);
        loop {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= table.pieces() {
                return Ok((rows, bytes));
            }
            let mut reader = table.open(piece, scan)?;
            while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
                rows += batch.num_rows();
                bytes += batch.get_array_memory_size();
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let sums = workers.into_iter().map(|w| w.join().expect("no panic").expect("the data are right"));
        sums.fold((0, 0), |(a, b), (rows, bytes)| (a + rows, b + bytes))
    })
}

/// Processor time of this process so far, in seconds: what others do on the machine counts less in it.
fn processor_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which is in brackets, user and system time are fields 12 and 13.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / TICKS_A_SECOND
}

/// Most memory that this process has had so far, in MB.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes: f64 = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN);
    kilobytes / 1e3
}

fn measure(name: &str, file: &InputFile) {
    let options = CsvOptions::default();
    let gigabytes = file.bytes() as f64 / 1e9;
    for threads in [1, 2] {
        let mut best = f64::INFINITY;
        let (mut rows, busy) = (0, processor_seconds());
        for _ in 0..RUNS {
            // Opened each time: what is known of where records start is part of the work.
            let start = Instant::now();
            let table = CsvTable::of_files(std::slice::from_ref(file), 1, &options).expect("a table");
            rows = read(&table, &Scan::default(), threads).0;
            best = best.min(start.elapsed().as_secs_f64());
        }
        let busy = (processor_seconds() - busy) / RUNS as f64;
        println!(
            "{name:>12}: {threads} thread(s) {:6.3} GB/s {:7.2} M rows/s, {:.3} GB a processor second   ({rows} rows, {:.1} MB, peak {:.0} MB)",
            gigabytes / best,
            rows as f64 / best / 1e6,
            gigabytes / busy,
            gigabytes * 1e3,
            peak_megabytes()
        );
    }
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        let table = CsvTable::of_files(std::slice::from_ref(file), 1, &options).expect("a table");
        let ends = Scan { columns: Some(vec![0, table.schema().fields().len() - 1]), ..Default::default() };
        read(&table, &ends, 1);
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:>12}: two columns {:6.3} GB/s with one thread", gigabytes / best);
}

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    for path in &files {
        let name = path.rsplit('/').next().unwrap_or(path);
        measure(name, &InputFile::from_path(path).expect("the file can be read"));
    }
    if files.is_empty() {
        let dir = tempfile::tempdir().expect("a folder for the data");
        for (name, make, rows) in [
            ("short digits", short_digits as fn(usize) -> String, 400_000),
            ("long digits", long_digits, 500_000),
            ("mixed", mixed, 1_500_000),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, make(rows)).expect("there is room for the data");
            measure(name, &InputFile::from_path(&path).expect("the file was written"));
            std::fs::remove_file(&path).expect("the file was written");
        }
    }
}
