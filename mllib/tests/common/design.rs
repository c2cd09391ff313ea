//! Designs by column.

use super::data_text;
use slackwater_dataflow::block::{CsrBuilder, LabeledBlock};
use slackwater_dataflow::{Context, Dataset, rng};

/// A design by column, and targets.
pub struct Data {
    pub columns: Vec<Vec<f64>>,
    pub targets: Vec<f64>,
}

impl Data {
    pub fn random(rows: usize, columns: usize, density: f64, seed: u64) -> Data {
        let mut rng = rng::stream(seed, 7);
        let mut shared: Vec<f64> = (0..rows).map(|_| rng::normal(&mut rng)).collect();
        let columns: Vec<Vec<f64>> = (0..columns)
            .map(|j| {
                let value = |shared: &mut f64| match rng::unit_f64(&mut rng) < density {
                    true => (0.5 * *shared + rng::normal(&mut rng)) * (1.0 + j as f64 / 7.0) + 2.0,
                    false => 0.0,
                };
                shared.iter_mut().map(value).collect()
            })
            .collect();
        let targets = (0..rows)
            .map(|i| 5.0 + columns[0][i] - 2.0 * columns[3][i] + 0.3 * columns[5][i] + rng::normal(&mut rng))
            .collect();
        Data { columns, targets }
    }
    pub fn rows(&self) -> usize {
        self.targets.len()
    }
    pub fn blocks(&self, cx: &Context, partitions: usize) -> Dataset<LabeledBlock> {
        let n = self.rows();
        let partition = |p: usize| {
            let (from, to) = (p * n / partitions, (p + 1) * n / partitions);
            let block = |from: usize, to: usize| {
                let mut features = CsrBuilder::default();
                for i in from..to {
                    for (j, column) in self.columns.iter().enumerate().filter(|(_, c)| c[i] != 0.0) {
                        features.push(j as u32, column[i]);
                    }
                    features.end_row();
                }
                LabeledBlock {
                    labels: self.targets[from..to].to_vec(),
                    features: features.finish(self.columns.len()),
                }
            };
            vec![block(from, (from + to) / 2), block((from + to) / 2, to)]
        };
        cx.from_partitions((0..partitions).map(partition).collect())
    }
    /// Columns and targets as a problem has them, and what columns were divided by.
    pub fn prepared(&self, intercept: bool, standardize: bool) -> (Data, Vec<f64>) {
        let n = self.rows() as f64;
        let mean = |x: &[f64]| x.iter().sum::<f64>() / n;
        let less = |x: &[f64], m: f64| x.iter().map(|x| x - m).collect::<Vec<f64>>();
        let deviation = |x: &[f64]| (less(x, mean(x)).iter().map(|x| x * x).sum::<f64>() / n).sqrt();
        let scales: Vec<f64> =
            self.columns.iter().map(|x| if standardize { deviation(x) } else { 1.0 }).collect();
        let columns = self.columns.iter().zip(&scales);
        let columns = columns
            .map(|(x, s)| less(x, if intercept { mean(x) } else { 0.0 }).iter().map(|x| x / s).collect())
            .collect();
        let targets = less(&self.targets, if intercept { mean(&self.targets) } else { 0.0 });
        (Data { columns, targets }, scales)
    }
    pub fn residual(&self, w: &[f64]) -> Vec<f64> {
        let mut r = self.targets.clone();
        for (x, w) in self.columns.iter().zip(w) {
            r.iter_mut().zip(x).for_each(|(r, x)| *r -= w * x);
        }
        r
    }
}

/// A table of numbers with a head: the first `targets` columns are targets.
pub fn csv(path: &str, targets: usize) -> Option<Data> {
    let text = data_text(path)?;
    let lines = text.lines().skip(1).filter(|l| !l.is_empty());
    let rows: Vec<Vec<f64>> = lines.map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    let columns = (targets..rows[0].len()).map(|j| rows.iter().map(|r| r[j]).collect()).collect();
    Some(Data { columns, targets: rows.iter().map(|r| r[0]).collect() })
}
