//! How fast the field's own formats are read as tables: `cargo bench -p slackwater-loaders --bench formats`.
//!
//! About 32 MiB of each format are made in memory and read on one thread, as one piece and, where there is something to count
//! before, as the last of several. The best of several runs counts. Bytes a second are of the text, and rows of the table.

mod common;

use common::Random;
use slackwater_loaders::format::arff::ArffTable;
use slackwater_loaders::format::bag_of_words::{BagOfWords, BagOptions};
use slackwater_loaders::format::graph::{Graph, GraphOptions};
use slackwater_loaders::format::libsvm::{LibsvmOptions, LibsvmTable};
use slackwater_loaders::format::matrix_market::MatrixMarket;
use slackwater_loaders::format::ratings_table::Ratings;
use slackwater_loaders::format::text_table::TextTable;
use slackwater_loaders::format::vowpal_wabbit::{VwOptions, VwTable};
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, ReadLimits};
use std::fmt::Write as _;
use std::time::Instant;

const RUNS: usize = 5;
const BYTES: usize = 32 << 20;

/// A whole number below `end`.
fn below(random: &mut Random, end: u64) -> u64 {
    random.next() % end
}

/// A head and as many lines as there is room for. `head` is given their number.
fn file(
    name: &str,
    head: impl Fn(usize) -> String,
    mut line: impl FnMut(&mut Random, &mut String),
) -> InputFile {
    let (mut random, mut text, mut lines) = (Random(1), String::new(), 0);
    while text.len() < BYTES {
        line(&mut random, &mut text);
        text.push('\n');
        lines += 1;
    }
    InputFile::from_bytes(name, head(lines) + &text)
}

fn measure(what: &str, file: &InputFile, open: impl Fn(&InputFile, usize) -> Box<dyn TableSource>) {
    let mut best = f64::INFINITY;
    let mut rows = 0;
    for _ in 0..RUNS {
        // Opened each time, so that what is counted once a process is counted.
        let table = open(file, 1);
        let start = Instant::now();
        rows = 0;
        for piece in 0..table.pieces() {
            let mut reader = table.open(piece, &Scan::default()).expect("a piece");
            while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into())).expect("good rows") {
                rows += batch.num_rows();
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let bytes = file.bytes() as f64;
    let ns = best * 1e9 / rows as f64;
    println!("{what:<28} {:>7.0} MB/s {:>7.1} ns a row {rows:>9} rows", bytes / best / 1e6, ns);
}

fn main() {
    let limits = ReadLimits::default();
    let none = |_: usize| String::new();
    let graph = |file: &InputFile, splits: usize| -> Box<dyn TableSource> {
        let graph =
            Graph::open(std::slice::from_ref(file), &GraphOptions::default(), splits).expect("a graph");
        Box::new(graph.into_table())
    };
    let text = file("a.txt", none, |r, out| {
        let _ = write!(out, "a line of text with the number {}", below(r, 1 << 40));
    });
    measure("text", &text, |f, n| Box::new(TextTable::open(std::slice::from_ref(f), limits, n)));
    let edges = file("a.txt", none, |r, out| {
        let _ = write!(out, "{}\t{}", below(r, 1 << 22), below(r, 1 << 22));
    });
    measure("edges", &edges, graph);
    let weighted = file("a.txt", none, |r, out| {
        let _ = write!(out, "{}\t{}\t{:.6}", below(r, 1 << 22), below(r, 1 << 22), r.uniform());
    });
    measure("edges with weights", &weighted, graph);
    let road = file(
        "a.gr",
        |n| format!("p sp 4194304 {n}\n"),
        |r, out| {
            let _ = write!(out, "a {} {} {}", 1 + below(r, 1 << 22), 1 + below(r, 1 << 22), below(r, 10_000));
        },
    );
    measure("DIMACS", &road, graph);
    let matrix = file(
        "a.mtx",
        |n| format!("%%MatrixMarket matrix coordinate real general\n4194304 4194304 {n}\n"),
        |r, out| {
            let _ = write!(out, "{} {} {:.6}", 1 + below(r, 1 << 22), 1 + below(r, 1 << 22), r.uniform());
        },
    );
    measure("MatrixMarket", &matrix, |f, n| {
        Box::new(MatrixMarket::open(f, limits, n).expect("a matrix").into_table())
    });
    // A ring: every vertex has two neighbours, each line about as long.
    let mut vertex = 0;
    let ring = file(
        "a.graph",
        |n| format!("{n} {}\n", 8 * n),
        |r, out| {
            for i in 0..16 {
                let other = 1 + (vertex + 1 + below(r, 50_000)) % 100_000;
                let _ = write!(out, "{}{other}", if i == 0 { "" } else { " " });
            }
            vertex = (vertex + 1) % 100_000;
        },
    );
    measure("METIS", &ring, graph);
    let words = file("a.txt", none, |r, out| {
        let _ = write!(out, "{}\t{}\t{}", below(r, 1 << 18), below(r, 50_000), 1 + below(r, 9));
    });
    measure("word counts", &words, |f, n| {
        let bag = BagOfWords::open(std::slice::from_ref(f), None, &BagOptions::default(), n);
        Box::new(bag.expect("a bag").into_table())
    });
    let ratings = file("a.csv", none, |r, out| {
        let _ = write!(
            out,
            "{},{},{}.{},{}",
            below(r, 1 << 18),
            below(r, 50_000),
            below(r, 5),
            5 * below(r, 2),
            below(r, 1 << 30)
        );
    });
    measure("ratings with times", &ratings, |f, n| {
        Box::new(Ratings::open(std::slice::from_ref(f), limits, n).expect("ratings").into_table())
    });
    let named = file("a.vw", none, |r, out| {
        let _ = write!(out, "{} |user id_{} age:{}", 2 * below(r, 2), below(r, 1 << 20), below(r, 90));
        out.push_str(" |words");
        for _ in 0..20 {
            let _ = write!(out, " w{}:{:.3}", below(r, 50_000), r.uniform());
        }
    });
    measure("Vowpal Wabbit, hashed", &named, |f, n| {
        Box::new(VwTable::open(std::slice::from_ref(f), VwOptions::default(), n).expect("options"))
    });
    let arff = file(
        "a.arff",
        |_| {
            let mut head = "@relation r\n".to_string();
            (0..8).for_each(|i| head.push_str(&format!("@attribute x{i} numeric\n")));
            head + "@attribute c {red,green,blue}\n@data\n"
        },
        |r, out| {
            for _ in 0..8 {
                let _ = write!(out, "{:.5},", r.uniform());
            }
            out.push_str(["red", "green", "blue"][below(r, 3) as usize]);
        },
    );
    measure("ARFF, 8 numbers and a name", &arff, |f, n| {
        Box::new(ArffTable::open(std::slice::from_ref(f), limits, n).expect("a head"))
    });
    let rows = file("a.svm", none, |r, out| {
        out.push('1');
        let mut index = 0;
        for _ in 0..20 {
            index += 1 + below(r, 2000);
            let _ = write!(out, " {index}:{:.6}", r.uniform());
        }
    });
    measure("LIBSVM", &rows, |f, n| {
        Box::new(LibsvmTable::open(std::slice::from_ref(f), LibsvmOptions::default(), n).expect("options"))
    });
}
