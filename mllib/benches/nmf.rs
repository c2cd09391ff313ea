//! Non-negative matrix factorisation from a given start, as many sweeps as scikit-learn's `solver='cd'`, to the same objective.
//!
//! ```text
//! cargo bench -p slackwater-mllib --bench nmf -- [--case sparse|dense|small] [--workers N] [--write FOLDER]
//! ```
//!
//! With `--write` the matrix goes to a folder, from which `nmf.py` reads it; both begin with the same factors, so that both have the
//! same objective after the same number of sweeps. Printed: seconds and seconds of processor time (Linux) of the training, packing
//! and the count of the values in it, and the objective.
//!
//! | case | rows | columns | values | components | sweeps |
//! |---|---|---|---|---|---|
//! | sparse | 100 000 | 10 000 | 1 % | 50 | 20 |
//! | dense | 20 000 | 500 | all | 50 | 20 |
//! | small | 5 000 | 1 000 | 2 % | 10 | 5 |

use slackwater_dataflow::block::{CsrBuilder, LabeledBlock};
use slackwater_dataflow::{Context, rng};
use slackwater_mllib::decomposition::NmfParams;
use std::path::Path;
use std::time::Instant;

const PARTITIONS: usize = 8;
const ROWS_OF_A_BLOCK: usize = 512;
/// Parts of which the rows are sums.
const PARTS: usize = 30;

struct Case {
    name: &'static str,
    rows: usize,
    columns: usize,
    /// Share of the values that are not zero.
    share: f64,
    rank: usize,
    sweeps: usize,
}

const CASES: [Case; 3] = [
    Case { name: "sparse", rows: 100_000, columns: 10_000, share: 0.01, rank: 50, sweeps: 20 },
    Case { name: "dense", rows: 20_000, columns: 500, share: 1.0, rank: 50, sweeps: 20 },
    Case { name: "small", rows: 5_000, columns: 1_000, share: 0.02, rank: 10, sweeps: 5 },
];

/// Seconds of processor time that this process has used, of all its threads.
fn processor_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may have blanks; times in user and in system mode are the 12th and 13th field after it.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

impl Case {
    /// Rows from one number to another: each a sum of three parts, with noise, where it has values.
    fn block(&self, from: usize, to: usize) -> LabeledBlock {
        let mut features = CsrBuilder::default();
        for row in from..to {
            let mut rng = rng::stream(9, row as u64);
            let sizes: Vec<(u64, f64)> =
                (0..3).map(|_| (rng::below(&mut rng, PARTS as u64), rng::unit_f64(&mut rng))).collect();
            let mut column = self.skip(&mut rng);
            while column < self.columns {
                // A part has a fifth of the columns, in no order.
                let part = |part: u64| f64::from((column as u64 * 7919 + part * 104_729) % 1009 < 202);
                let value: f64 = sizes.iter().map(|(p, size)| size * part(*p)).sum();
                features.push(column as u32, value + 0.1 * rng::unit_f64(&mut rng));
                column += 1 + self.skip(&mut rng);
            }
            features.end_row();
        }
        LabeledBlock { labels: vec![0.0; to - from], features: features.finish(self.columns) }
    }
    /// Columns without a value before the next that has one.
    fn skip(&self, rng: &mut rng::Stream) -> usize {
        match self.share < 1.0 {
            true => ((1.0 - rng::unit_f64(rng)).ln() / (1.0 - self.share).ln()) as usize,
            false => 0,
        }
    }
    fn partitions(&self) -> Vec<Vec<LabeledBlock>> {
        let cut = |p: usize| p * self.rows / PARTITIONS;
        let blocks = |p: usize| {
            let starts = (cut(p)..cut(p + 1)).step_by(ROWS_OF_A_BLOCK);
            starts.map(|from| self.block(from, (from + ROWS_OF_A_BLOCK).min(cut(p + 1)))).collect()
        };
        (0..PARTITIONS).map(blocks).collect()
    }
    /// The same as in `nmf.py`.
    fn first(&self, size: f64) -> (Vec<f64>, Vec<f64>) {
        let (k, m) = (self.rank, self.columns);
        let code =
            |i: usize| size * (((7 * (i / k) + 11 * (i % k) + (i / k) * (i % k)) % 17 + 1) as f64 / 17.0);
        let part =
            |i: usize| size * (((5 * (i / m) + 3 * (i % m) + (i / m) * (i % m)) % 13 + 1) as f64 / 13.0);
        ((0..self.rows * k).map(code).collect(), (0..k * m).map(part).collect())
    }
}

/// Writes the matrix as three arrays, and its sizes.
fn write(folder: &Path, case: &Case, partitions: &[Vec<LabeledBlock>]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let blocks = || partitions.iter().flatten().map(|block| &block.features);
    let (mut offsets, mut at) = (0u64.to_le_bytes().to_vec(), 0);
    for row in blocks().flat_map(|block| block.iter().map(|row| row.values.len() as u64).collect::<Vec<_>>())
    {
        at += row;
        offsets.extend(at.to_le_bytes());
    }
    let path = |what: &str| folder.join(format!("{}.{what}", case.name));
    std::fs::write(path("offsets"), offsets)?;
    std::fs::write(
        path("columns"),
        blocks().flat_map(|b| b.indices().iter().flat_map(|j| j.to_le_bytes())).collect::<Vec<_>>(),
    )?;
    std::fs::write(
        path("values"),
        blocks().flat_map(|b| b.values().iter().flat_map(|x| x.to_le_bytes())).collect::<Vec<_>>(),
    )?;
    std::fs::write(path("sizes"), format!("{} {} {} {}", case.rows, case.columns, case.rank, case.sweeps))
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| words.iter().position(|w| w == name).and_then(|at| words.get(at + 1));
    let workers: usize = option("--workers").map_or(1, |n| n.parse().expect("a number of workers"));
    let name = option("--case").map_or("small", String::as_str);
    let case = CASES.iter().find(|case| case.name == name).expect("one of the cases");
    let partitions = case.partitions();
    if let Some(folder) = option("--write") {
        write(Path::new(folder), case, &partitions).expect("the folder can be written");
    }
    let blocks = || partitions.iter().flatten().map(|block| &block.features);
    let (values, sum) =
        (blocks().map(|b| b.nnz()).sum::<usize>(), blocks().flat_map(|b| b.values()).sum::<f64>());
    let (codes, components) =
        case.first((sum / case.rows as f64 / case.columns as f64 / case.rank as f64).sqrt());
    let cx = Context::local(workers).expect("a local context starts");
    let data = cx.from_partitions(partitions);
    let params = NmfParams { rank: case.rank, epochs: case.sweeps, tolerance: 0.0, ..NmfParams::default() };
    let (start, processor) = (Instant::now(), processor_seconds());
    let model = params.fit_from(&data, codes, components).expect("the rows are sound");
    println!(
        "{name}: {} rows of {}, {values} values, {} components, {} sweeps, {workers} workers: {:.3} s, {:.2} s of processor \
         time; objective {:.9e}",
        case.rows,
        case.columns,
        case.rank,
        model.summary().objective_history.len(),
        start.elapsed().as_secs_f64(),
        processor_seconds() - processor,
        model.summary().objective
    );
}
