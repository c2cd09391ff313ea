//! Pairs of rows, and the differences of their rows.
//!
//! Rows have numbers: their places in the data, partition by partition, from 0. What travels are rows, each to the pairs
//! that it is in, so that a process never has all of them.

use super::DistanceMetricModel;
use crate::evaluation::BinaryMetrics;
use crate::linear::class_labels;
use crate::objective::DatasetRows;
use crate::random::shuffle;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{LabeledBlock, LabeledPoint, Row, SparseVector, Vector, pack};
use slackwater_dataflow::{Error, Result, rng};
use std::sync::Arc;

/// Pairs of each kind that are drawn for every row, unless said.
const PAIRS_PER_ROW: usize = 5;
/// Draws of pairs have a stream of random numbers of their own; partitions have those of their numbers.
const DRAWS: u64 = u64::MAX;
/// Labels of differences: of similar pairs, and of others.
pub(super) const SIMILAR: f64 = 1.0;
const DISSIMILAR: f64 = 0.0;

/// Pairs of rows by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Rows that are to be close to each other.
    pub similar: Vec<(u32, u32)>,
    /// Rows that are not.
    pub dissimilar: Vec<(u32, u32)>,
}

impl Pairs {
    /// Draws `count` pairs of rows with equal labels and as many of rows with different ones; `labels` are those of the
    /// rows. The first row of a pair is any row that has a partner, the second any partner of it; a pair may come twice.
    ///
    /// # Errors
    /// Data, for labels that are no whole numbers; input, if there are not two classes, or every class has one row only.
    pub fn drawn(labels: &[f64], count: usize, seed: u64) -> Result<Pairs> {
        let number = |row: usize| row as u32;
        check_rows(labels.len())?;
        // By label; -0 and 0 are one.
        let label = |row: u32| labels[row as usize] + 0.0;
        let mut rows: Vec<u32> = (0..labels.len()).map(number).collect();
        rows.sort_by(|a, b| label(*a).total_cmp(&label(*b)));
        let distinct: Vec<f64> = rows.chunk_by(|a, b| label(*a) == label(*b)).map(|c| label(c[0])).collect();
        class_labels(&distinct)?;
        // By place in `rows`: where the class begins and ends.
        let mut classes = Vec::with_capacity(rows.len());
        for class in rows.chunk_by(|a, b| label(*a) == label(*b)) {
            let start = classes.len();
            classes.resize(start + class.len(), (start, start + class.len()));
        }
        let paired: Vec<usize> = (0..rows.len()).filter(|at| classes[*at].1 - classes[*at].0 > 1).collect();
        if paired.is_empty() {
            return Err(Error::input("no two rows have the same label: there are no similar pairs", ""));
        }
        let mut rng = rng::stream(seed, DRAWS);
        let mut below = |n: usize| rng::below(&mut rng, n as u64) as usize;
        let mut pairs = Pairs::default();
        for _ in 0..count {
            let at = paired[below(paired.len())];
            let (start, end) = classes[at];
            let other = start + below(end - start - 1);
            let other = if other < at { other } else { other + 1 };
            pairs.similar.push((rows[at], rows[other]));
            let at = below(rows.len());
            let (start, end) = classes[at];
            let other = below(rows.len() - (end - start));
            let other = if other < start { other } else { other + end - start };
            pairs.dissimilar.push((rows[at], rows[other]));
        }
        Ok(pairs)
    }
    /// (pair, its rows), similar ones first.
    fn iter(&self) -> impl Iterator<Item = (u32, (u32, u32))> + '_ {
        (0..).zip(self.similar.iter().chain(&self.dissimilar).copied())
    }
    /// Refuses rows that are not there, and pairs of a row with itself.
    fn check(&self, rows: usize) -> Result<()> {
        check_rows(self.similar.len() + self.dissimilar.len())?;
        for (kind, pairs) in [("similar", &self.similar), ("dissimilar", &self.dissimilar)] {
            if pairs.is_empty() {
                return Err(Error::input(format!("there are no {kind} pairs to learn from"), ""));
            }
            for (a, b) in pairs {
                if a == b {
                    return Err(Error::input(format!("the {kind} pair ({a}, {b}) is of one row"), ""));
                }
                if *a.max(b) as usize >= rows {
                    let message = format!("the {kind} pair ({a}, {b}): there are only {rows} rows");
                    return Err(Error::input(message, "rows are numbered from 0, in the order of the data"));
                }
            }
        }
        Ok(())
    }
}

/// Rows and pairs have numbers of 32 bits.
fn check_rows(count: usize) -> Result<()> {
    match u32::try_from(count) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::input(format!("{count} rows or pairs are more than there are numbers for"), "")),
    }
}

/// A row on its way to a pair.
#[derive(Clone, Serialize, Deserialize)]
struct Half {
    is_first: bool,
    indices: Vec<u32>,
    values: Vec<f64>,
}

impl Half {
    fn new(is_first: bool, row: &Row<'_>) -> Self {
        Half { is_first, indices: row.indices.to_vec(), values: row.values.to_vec() }
    }
    /// `self - other`, without zeros.
    fn minus(&self, other: &Half) -> (Vec<u32>, Vec<f64>) {
        let (mut indices, mut values) = (vec![], vec![]);
        let (mut i, mut j) = (0, 0);
        let column = |half: &Half, at: usize| half.indices.get(at).copied();
        loop {
            let (column, value) = match (column(self, i), column(other, j)) {
                (None, None) => return (indices, values),
                (Some(a), b) if b.is_none_or(|b| a < b) => (a, self.values[i]),
                (a, Some(b)) if a.is_none_or(|a| b < a) => (b, -other.values[j]),
                (Some(a), _) | (_, Some(a)) => (a, self.values[i] - other.values[j]),
            };
            i += usize::from(self.indices.get(i) == Some(&column));
            j += usize::from(other.indices.get(j) == Some(&column));
            if value != 0.0 {
                indices.push(column);
                values.push(value);
            }
        }
    }
}

/// What a pass over the differences finds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Squares {
    pub similar: u64,
    pub dissimilar: u64,
    /// By column: sum of squares, of dissimilar pairs only.
    pub sums: Vec<f64>,
}

/// Differences `x - y` of the rows of pairs, in a random order, and whether the rows are similar. Cloning clones a handle.
#[derive(Debug, Clone)]
pub struct PairDifferences {
    rows: DatasetRows,
    columns: usize,
}

impl PairDifferences {
    /// Of pairs that are drawn from the labels of rows ([`Pairs::drawn`]); `None`: five of each kind a row.
    ///
    /// # Errors
    /// Those of [`Pairs::drawn`]; what the engine reports.
    pub fn of_labels(rows: &DatasetRows, count: Option<usize>, seed: u64) -> Result<Self> {
        let labels: Vec<f64> = rows.by_partition(|b| b.labels.clone())?.into_iter().flatten().collect();
        let count = count.unwrap_or(PAIRS_PER_ROW * labels.len());
        Self::of_pairs(rows, &Pairs::drawn(&labels, count, seed)?, seed)
    }
    /// Of given pairs; `seed` is that of their order.
    ///
    /// # Errors
    /// Input, for rows that are not there, for a pair of a row with itself, and if there are no pairs of a kind; what the
    /// engine reports.
    pub fn of_pairs(rows: &DatasetRows, pairs: &Pairs, seed: u64) -> Result<Self> {
        let sizes = rows.by_partition(|b| vec![(b.rows(), b.features.columns())])?;
        let columns = sizes.iter().flatten().map(|(_, columns)| *columns).max().unwrap_or(0);
        let sizes: Vec<usize> =
            sizes.iter().map(|blocks| blocks.iter().map(|(rows, _)| rows).sum()).collect();
        pairs.check(sizes.iter().sum())?;
        // By partition: the number of its first row.
        let starts: Vec<usize> = sizes.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
        // By row: the pairs that it is in.
        let mut wanted: Vec<(u32, u32, bool)> =
            pairs.iter().flat_map(|(pair, (a, b))| [(a, pair, true), (b, pair, false)]).collect();
        wanted.sort_unstable();
        let (wanted, similar) = (Arc::new(wanted), pairs.similar.len() as u32);
        let halves = rows.map(move |partition, blocks| halves(blocks, starts[partition], &wanted));
        let partitions = halves.num_partitions();
        let halves = halves.flat_map(|halves| halves);
        let differences = halves.group_by_key_with(partitions).map(move |(pair, halves)| {
            let [a, b] = if halves[0].is_first { [0, 1] } else { [1, 0] };
            (pair, halves[a].minus(&halves[b]))
        });
        let points = differences.map_partitions_with_index(move |partition, differences| {
            let mut all: Vec<(u32, (Vec<u32>, Vec<f64>))> = differences.collect();
            all.sort_unstable_by_key(|(pair, _)| *pair);
            shuffle(&mut all, &mut rng::stream(seed, partition as u64));
            let point = move |(pair, (indices, values)): (u32, (Vec<u32>, Vec<f64>))| {
                let label = if pair < similar { SIMILAR } else { DISSIMILAR };
                let features = SparseVector::new(columns, indices, values).expect("columns ascend");
                LabeledPoint::new(label, Vector::Sparse(features))
            };
            pack(all.into_iter().map(point))
        });
        Ok(PairDifferences { rows: DatasetRows::from_blocks(&points), columns })
    }
    /// Columns of the rows.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// The differences, label 1 for those of similar pairs and 0 for others.
    pub fn rows(&self) -> &DatasetRows {
        &self.rows
    }
    /// How well closeness tells similar pairs from others: metrics of `-‖L(x - y)‖²`, or without a model of `-‖x - y‖²`,
    /// similar pairs being the positive ones.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn metrics(&self, model: Option<&DistanceMetricModel>) -> Result<BinaryMetrics> {
        let model = model.map(|model| Arc::new(model.clone()));
        let scores = self.rows.map(move |_, blocks| {
            let mut scores = vec![];
            for block in blocks {
                let mut labels = block.labels.iter().copied();
                let mut push = |square: f64| scores.push((-square, labels.next().unwrap_or(f64::NAN)));
                match &model {
                    Some(model) => model.for_each(&block.features, |z| {
                        push(z.iter().map(|z| f64::from(*z).powi(2)).sum());
                    }),
                    None => block.features.iter().for_each(|row| {
                        push(row.values.iter().map(|x| x * x).sum());
                    }),
                }
            }
            scores
        });
        BinaryMetrics::of(&scores.flat_map(|scores| scores))
    }
    pub(super) fn squares(&self) -> Result<Squares> {
        let columns = self.columns;
        let of_partitions = self.rows.map(move |_, blocks| {
            let mut squares = Squares { sums: vec![0.0; columns], ..Squares::default() };
            for (label, row) in blocks.iter().flat_map(LabeledBlock::iter) {
                if label == SIMILAR {
                    squares.similar += 1;
                    continue;
                }
                squares.dissimilar += 1;
                row.indices.iter().zip(row.values).for_each(|(j, x)| squares.sums[*j as usize] += x * x);
            }
            squares
        });
        let merged = of_partitions.reduce(|mut a, b| {
            a.similar += b.similar;
            a.dissimilar += b.dissimilar;
            a.sums.iter_mut().zip(&b.sums).for_each(|(a, b)| *a += b);
            a
        });
        Ok(merged?.unwrap_or_default())
    }
}

/// The rows of a partition that are wanted, once for every pair: (pair, row).
fn halves(blocks: &[LabeledBlock], first: usize, wanted: &[(u32, u32, bool)]) -> Vec<(u32, Half)> {
    let mut rest = &wanted[wanted.partition_point(|(row, ..)| (*row as usize) < first)..];
    let mut halves = vec![];
    for (number, (_, row)) in blocks.iter().flat_map(LabeledBlock::iter).enumerate() {
        let of_row = rest.partition_point(|(wanted, ..)| *wanted as usize <= first + number);
        let (mine, others) = rest.split_at(of_row);
        halves.extend(mine.iter().map(|(_, pair, is_first)| (*pair, Half::new(*is_first, &row))));
        rest = others;
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_drawn_evenly_and_by_seed() {
        let labels = [2.0, -1.0, 2.0, -0.0, 2.0, 0.0, 7.0];
        let pairs = Pairs::drawn(&labels, 6000, 3).unwrap();
        assert_eq!((pairs.similar.len(), pairs.dissimilar.len()), (6000, 6000));
        let label = |row: u32| labels[row as usize];
        assert!(pairs.similar.iter().all(|(a, b)| a != b && label(*a) == label(*b)));
        assert!(pairs.dissimilar.iter().all(|(a, b)| label(*a) != label(*b)));
        let count = |pairs: &[(u32, u32)], pair| pairs.iter().filter(|p| **p == pair).count();
        // Five rows have a partner: those of label 2 two each, those of label 0 one.
        for (pair, expected) in [((0, 2), 600), ((4, 0), 600), ((3, 5), 1200), ((5, 3), 1200)] {
            assert!(count(&pairs.similar, pair).abs_diff(expected) < 150, "{pair:?}");
        }
        for (pair, expected) in [((0, 1), 6000 / 7 / 4), ((1, 6), 6000 / 7 / 6), ((6, 5), 6000 / 7 / 6)] {
            assert!(count(&pairs.dissimilar, pair).abs_diff(expected) < 60, "{pair:?}");
        }
        assert_eq!(pairs, Pairs::drawn(&labels, 6000, 3).unwrap());
        assert_ne!(pairs, Pairs::drawn(&labels, 6000, 4).unwrap());
    }

    #[test]
    fn labels_without_pairs_are_refused() {
        for (labels, says) in [
            (&[][..], "no rows"),
            (&[1.0, 1.0], "nothing to tell apart"),
            (&[1.0, 2.0], "no two rows"),
            (&[1.0, 2.5, 1.0], "label 2.5"),
        ] {
            let e = Pairs::drawn(labels, 5, 1).unwrap_err();
            assert!(e.exit_code() == 3 && e.to_string().contains(says), "{e}");
        }
    }

    #[test]
    fn differences_of_sparse_rows() {
        let half = |indices: &[u32], values: &[f64]| Half {
            is_first: true,
            indices: indices.to_vec(),
            values: values.to_vec(),
        };
        let (a, b) = (half(&[0, 2, 5], &[1.0, 2.0, 3.0]), half(&[1, 2, 5, 9], &[4.0, 0.5, 3.0, 1.0]));
        assert_eq!(a.minus(&b), (vec![0, 1, 2, 9], vec![1.0, -4.0, 1.5, -1.0]));
        assert_eq!(half(&[], &[]).minus(&half(&[3], &[1.0])), (vec![3], vec![-1.0]));
        assert_eq!(a.minus(&a), (vec![], vec![]));
    }
}
