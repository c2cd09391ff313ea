//! Training: from rows to a table and codes, and from the table to a model.

use super::atoms::{Bounds, first_atoms};
use super::model::Attributes;
use super::{SparseCodingModel, SparseCodingParams, SparseCodingSummary};
use crate::decomposition::lasso::Lasso;
use crate::linalg::gemm::{Matrix, Write, gemm};
use crate::linear::Features;
use crate::objective::{DatasetRows, RowSlice};
use crate::optimization::{Observer, TableTrained, TableTraining, require_convergence, silent};
use crate::pool::Pool;
use crate::random::shuffle;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Dataset, Error, Result, rng};
use slackwater_paramstore::{Clock, EpochsExt, Snapshots, TableExt, TableSpec, TableView};

/// Share of a clock in the mean of curvatures, once that is of this many.
const CURVATURE_SHARE_MIN: f64 = 0.05;

impl SparseCodingParams {
    /// Fits a model to a dataset of points or blocks, whose labels are of no use, or to [`DatasetRows`]. Collective: every
    /// process calls it.
    ///
    /// # Errors
    /// As [`fit_observed`](SparseCodingParams::fit_observed).
    pub fn fit(&self, rows: impl Into<DatasetRows>) -> Result<SparseCodingModel> {
        self.fit_observed(&rows.into(), None, &mut silent)
    }
    /// [`fit`](SparseCodingParams::fit) with snapshots, and with an observer, which is told the mean objective of every epoch.
    ///
    /// # Errors
    /// Config, for parameters that do not fit; input, if there are no rows, or all are zero; numerical, if training
    /// diverges; what the engine reports.
    pub fn fit_observed(
        &self,
        rows: &DatasetRows,
        snapshots: Option<Snapshots>,
        observer: &mut Observer<'_>,
    ) -> Result<SparseCodingModel> {
        self.check()?;
        let census = Census::new(rows)?;
        let (n, columns) = (census.rows() as f64, census.columns);
        let bounds = Bounds { length: self.bound, non_negative: self.non_negative_atoms };
        let first = first_atoms(self, bounds, rows, &census.sizes, columns)?;
        let records = self.records(rows);
        let spec = TableSpec::dense(self.atoms, columns)
            .init(move |atom, column| first[atom * columns + column])
            .consistency(self.consistency);
        let table = records.context().table("dictionary", spec)?;
        let descent = Descent {
            params: self.clone(),
            bounds,
            columns,
            rows: n,
            pull: 1.0 / records.num_partitions() as f32,
            pool: Pool::default(),
        };
        let atoms = self.atoms;
        let training = records
            .epochs(self.epochs as u64)
            .batch(self.batch)
            .seed(self.seed)
            .local(move |_, records| Codes::new(records.len(), atoms))
            .update_all(&[&table], move |codes, batch, tables, clock| {
                descent.run(codes, batch, &mut tables[0], clock);
            });
        let run = TableTraining { snapshots, tolerance: self.tolerance, objective: &|sum| sum / n };
        let TableTrained { history, stop, .. } = run.run(training, observer)?;
        require_convergence(&history, 0.5 * census.square / n, self.step_size)?;
        let mut dictionary = table.values().to_vec();
        bounds.project(&mut dictionary, columns);
        let summary = SparseCodingSummary {
            rows: census.rows(),
            partitions: records.num_partitions(),
            objective: f64::NAN,
            objective_history: history,
            unused: 0,
            stop,
        };
        let mut model =
            SparseCodingModel::new(dictionary, Attributes { columns, params: self.clone(), summary });
        let metrics = model.metrics(rows)?;
        let summary = model.summary_mut();
        (summary.objective, summary.unused) = (metrics.mean_objective(), metrics.unused());
        Ok(model)
    }
    /// One record a row, in a random order.
    fn records(&self, rows: &DatasetRows) -> Dataset<Placed> {
        let seed = self.seed;
        rows.slices(1).map_partitions_with_index(move |partition, rows| {
            let mut rows: Vec<RowSlice> = rows.collect();
            shuffle(&mut rows, &mut rng::stream(seed, partition as u64));
            (0..).zip(rows).map(|(place, row)| Placed { place, row })
        })
    }
}

/// What is known of the rows.
struct Census {
    /// By partition: rows.
    sizes: Vec<u64>,
    columns: usize,
    /// Sum of the squares of all values.
    square: f64,
}

impl Census {
    fn new(rows: &DatasetRows) -> Result<Self> {
        let square = |b: &LabeledBlock| b.features.values().iter().map(|x| x * x).sum::<f64>();
        let parts = rows.by_partition(move |b| vec![(b.rows() as u64, b.features.columns(), square(b))])?;
        let all = || parts.iter().flatten();
        let census = Census {
            sizes: parts.iter().map(|part| part.iter().map(|(rows, ..)| rows).sum()).collect(),
            columns: all().map(|(_, columns, _)| *columns).max().unwrap_or(0),
            square: all().map(|(.., square)| square).sum(),
        };
        match census.rows() {
            0 => Err(Error::input("there are no rows to learn from", "")),
            _ if census.square > 0.0 && census.square.is_finite() => Ok(census),
            _ => Err(Error::input("the rows have no values but zeros, or too large ones", "")),
        }
    }
    fn rows(&self) -> u64 {
        self.sizes.iter().sum()
    }
}

/// A row of a partition, and its number among those.
#[derive(Debug, Clone)]
struct Placed {
    place: usize,
    row: RowSlice,
}

/// The state of a partition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Codes {
    /// By row: its codes that are not zero, by atom.
    of_rows: Vec<Vec<(u32, f32)>>,
    /// By atom: bound on the curvature per row, the mean of the clocks so far.
    curvature: Vec<f64>,
    clocks: u64,
}

impl Codes {
    fn new(rows: usize, atoms: usize) -> Self {
        Codes { of_rows: vec![vec![]; rows], curvature: vec![0.0; atoms], clocks: 0 }
    }
    /// Takes in the curvatures of a clock.
    fn note(&mut self, of_clock: &[f64]) {
        self.clocks += 1;
        let share = (1.0 / self.clocks as f64).max(CURVATURE_SHARE_MIN);
        self.curvature.iter_mut().zip(of_clock).for_each(|(mean, h)| *mean += share * (h - *mean));
    }
}

/// What a minibatch works with.
#[derive(Debug, Default)]
struct Scratch {
    /// The atoms as the table has them, and within their bounds.
    stored: Vec<f32>,
    atoms: Vec<f32>,
    /// By row: values, and then what is left of them.
    rows: Vec<f32>,
    /// By row: products with the atoms.
    products: Vec<f32>,
    /// By row.
    codes: Vec<f32>,
    /// Products of atoms, and then of codes.
    square: Vec<f32>,
    curvature: Vec<f64>,
    increments: Vec<f32>,
}

/// What a minibatch needs to know.
struct Descent {
    params: SparseCodingParams,
    bounds: Bounds,
    columns: usize,
    rows: f64,
    /// Share of what an atom is out of its bounds that a partition takes back.
    pull: f32,
    pool: Pool<Scratch>,
}

impl Descent {
    fn run(&self, codes: &mut Codes, batch: &[Placed], table: &mut TableView<'_, f32>, clock: &mut Clock) {
        // The last minibatches of a small partition are empty; what is out of bounds is taken back by all.
        self.pool.with(|scratch| {
            let (atoms, columns) = (self.params.atoms, self.columns);
            scratch.stored.resize(atoms * columns, 0.0);
            table.read_rows(0, &mut scratch.stored);
            scratch.atoms.clone_from(&scratch.stored);
            self.bounds.project(&mut scratch.atoms, columns);
            clock.loss(self.code(codes, batch, scratch));
            self.derive(codes, batch.len(), scratch);
            let step = self.params.step_size * self.params.decay.powf(clock.epoch() as f64);
            let rate = step * clock.clocks_per_epoch() as f64 / self.rows;
            for (j, increments) in scratch.increments.chunks_exact_mut(columns).enumerate() {
                let bound = codes.curvature[j].max(scratch.curvature[j]);
                let factor = if bound > 0.0 { rate / bound } else { 0.0 } as f32;
                let row = j * columns..(j + 1) * columns;
                let outside = scratch.atoms[row.clone()].iter().zip(&scratch.stored[row]);
                for (increment, (atom, stored)) in increments.iter_mut().zip(outside) {
                    *increment = factor * *increment + self.pull * (atom - stored);
                }
            }
            table.inc_rows(0, &scratch.increments);
        });
    }
    /// Improves the codes of some rows, and leaves what they do not explain; returns the sum of the objectives.
    fn code(&self, codes: &mut Codes, batch: &[Placed], scratch: &mut Scratch) -> f64 {
        let (atoms, columns, n) = (self.params.atoms, self.columns, batch.len());
        let dictionary = Matrix::new(&scratch.atoms, atoms, columns);
        scratch.rows.resize(n * columns, 0.0);
        for (placed, place) in batch.iter().zip(scratch.rows.chunks_exact_mut(columns)) {
            placed.row.iter().for_each(|(_, row)| row.write(place));
        }
        scratch.square.resize(atoms * atoms, 0.0);
        gemm(1.0, dictionary, dictionary.transposed(), Write::Replace, &mut scratch.square);
        let gram = scratch.square.iter().copied().map(f64::from).collect();
        let lasso = Lasso::new(gram, self.params.lambda, self.params.non_negative_codes);
        scratch.products.resize(n * atoms, 0.0);
        let rows = Matrix::new(&scratch.rows, n, columns);
        gemm(1.0, rows, dictionary.transposed(), Write::Replace, &mut scratch.products);
        scratch.codes.resize(n * atoms, 0.0);
        let (mut products, mut wide, mut loss) = (vec![0.0; atoms], vec![0.0; atoms], 0.0);
        let places = scratch.products.chunks_exact(atoms).zip(scratch.codes.chunks_exact_mut(atoms));
        for (placed, (of_row, to)) in batch.iter().zip(places) {
            let kept = &mut codes.of_rows[placed.place];
            products.iter_mut().zip(of_row).for_each(|(q, x)| *q = f64::from(*x));
            wide.fill(0.0);
            kept.iter().for_each(|(j, s)| wide[*j as usize] = f64::from(*s));
            lasso.improve(&mut products, &mut wide, self.params.passes);
            kept.clear();
            for (j, (s, to)) in wide.iter().zip(to).enumerate() {
                *to = *s as f32;
                if *to != 0.0 {
                    kept.push((j as u32, *to));
                    loss += self.params.lambda * s.abs();
                }
            }
        }
        gemm(-1.0, Matrix::new(&scratch.codes, n, atoms), dictionary, Write::Add, &mut scratch.rows);
        loss + 0.5 * scratch.rows.iter().map(|r| f64::from(*r).powi(2)).sum::<f64>()
    }
    /// From codes and what they leave to the direction and the curvature of every atom.
    fn derive(&self, codes: &mut Codes, rows: usize, scratch: &mut Scratch) {
        let (atoms, columns) = (self.params.atoms, self.columns);
        let of_rows = Matrix::new(&scratch.codes, rows, atoms);
        scratch.increments.resize(atoms * columns, 0.0);
        let rest = Matrix::new(&scratch.rows, rows, columns);
        gemm(1.0, of_rows.transposed(), rest, Write::Replace, &mut scratch.increments);
        gemm(1.0, of_rows.transposed(), of_rows, Write::Replace, &mut scratch.square);
        let per_row = 1.0 / rows.max(1) as f64;
        let bound = |products: &[f32]| products.iter().map(|x| f64::from(x.abs())).sum::<f64>() * per_row;
        scratch.curvature.clear();
        scratch.curvature.extend(scratch.square.chunks_exact(atoms).map(bound));
        if rows > 0 {
            codes.note(&scratch.curvature);
        }
    }
}
