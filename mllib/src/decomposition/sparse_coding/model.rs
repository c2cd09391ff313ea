//! The learnt dictionary.

use super::SparseCodingParams;
use crate::decomposition::lasso::Lasso;
use crate::linalg::dense::dot;
use crate::linear::Features;
use crate::model::{Persist, matrix_of, matrix_table};
use crate::objective::DatasetRows;
use crate::optimization::Stop;
use arrow_array::RecordBatch;
use arrow_array::types::Float32Type;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::block::{CsrBlock, LabeledBlock};
use slackwater_dataflow::{Error, Result};
use std::sync::{Arc, OnceLock};

/// What training did: stored with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SparseCodingSummary {
    /// Rows that were learnt from.
    pub rows: u64,
    /// Partitions that took part in every clock.
    pub partitions: usize,
    /// Mean objective of the rows, with their exact codes.
    pub objective: f64,
    /// By epoch: mean objective, that of each row before its atoms learnt from it once more.
    pub objective_history: Vec<f64>,
    /// Atoms that no row uses.
    pub unused: usize,
    /// Why training ended.
    pub stop: Stop,
}

/// What is stored beside the atoms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    pub(super) columns: usize,
    pub(super) params: SparseCodingParams,
    pub(super) summary: SparseCodingSummary,
}

/// How well a dictionary fits rows, summed over them; codes are exact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CodingMetrics {
    /// Number of rows.
    pub rows: u64,
    /// Columns of the widest row.
    pub columns: usize,
    /// Sum of `1/2 ‖x - sB‖² + λ ‖s‖₁`.
    pub objective: f64,
    /// Sum of `‖x - sB‖²`.
    pub residual: f64,
    /// Sum of `‖x‖²`.
    pub square: f64,
    /// Codes that are not zero.
    pub codes: u64,
    /// By atom: rows that use it.
    pub uses: Vec<u64>,
}

impl CodingMetrics {
    pub(in crate::decomposition) fn merge(mut self, other: CodingMetrics) -> CodingMetrics {
        self.rows += other.rows;
        self.columns = self.columns.max(other.columns);
        self.objective += other.objective;
        self.residual += other.residual;
        self.square += other.square;
        self.codes += other.codes;
        self.uses.iter_mut().zip(&other.uses).for_each(|(a, b)| *a += b);
        self
    }
    /// Objective of a row, in the mean.
    pub fn mean_objective(&self) -> f64 {
        self.objective / self.rows as f64
    }
    /// What is left of the squares of the values: 0 if rows are what the dictionary makes of their codes, 1 if it is no use.
    pub fn relative_error(&self) -> f64 {
        if self.square > 0.0 { self.residual / self.square } else { 0.0 }
    }
    /// Codes of a row that are not zero, in the mean.
    pub fn codes_per_row(&self) -> f64 {
        self.codes as f64 / self.rows as f64
    }
    /// Atoms that no row uses.
    pub fn unused(&self) -> usize {
        self.uses.iter().filter(|n| **n == 0).count()
    }
}

/// A dictionary: rows as combinations of a few atoms.
#[derive(Debug, Clone)]
pub struct SparseCodingModel {
    /// Row by row.
    dictionary: Arc<Vec<f32>>,
    attributes: Attributes,
    /// What codes need, made when the first row is coded.
    lasso: OnceLock<Arc<Lasso>>,
}

impl PartialEq for SparseCodingModel {
    fn eq(&self, other: &Self) -> bool {
        self.dictionary == other.dictionary && self.attributes == other.attributes
    }
}

impl SparseCodingModel {
    pub(super) fn new(dictionary: Vec<f32>, attributes: Attributes) -> Self {
        SparseCodingModel { dictionary: Arc::new(dictionary), attributes, lasso: OnceLock::new() }
    }
    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.attributes.columns
    }
    /// Number of atoms.
    pub fn atoms(&self) -> usize {
        self.attributes.params.atoms
    }
    /// The atoms, row by row, `columns` values each.
    pub fn dictionary(&self) -> &[f32] {
        &self.dictionary
    }
    fn atom_rows(&self) -> impl Iterator<Item = &[f32]> {
        self.dictionary.chunks_exact(self.columns())
    }
    fn lasso(&self) -> &Lasso {
        self.lasso.get_or_init(|| {
            let wide: Vec<f64> = self.dictionary.iter().copied().map(f64::from).collect();
            let atoms: Vec<&[f64]> = wide.chunks_exact(self.columns()).collect();
            let n = atoms.len();
            let mut gram = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..=i {
                    gram[i * n + j] = dot(atoms[i], atoms[j]);
                    gram[j * n + i] = gram[i * n + j];
                }
            }
            Arc::new(Lasso::new(gram, self.params().lambda, self.params().non_negative_codes))
        })
    }
    /// The codes of a row, one number an atom, most of them 0: exact ones, whatever those of training were. Columns that
    /// the model does not know are left out.
    pub fn transform(&self, row: &(impl Features + ?Sized)) -> Vec<f64> {
        let mut coder = Coder::new(self);
        coder.code(row);
        coder.codes
    }
    /// Calls `f` with the codes of every row, in order.
    pub fn for_each(&self, rows: &CsrBlock, mut f: impl FnMut(&[f64])) {
        let mut coder = Coder::new(self);
        for row in rows.iter() {
            coder.code(&row);
            f(&coder.codes);
        }
    }
    /// What the atoms make of codes: `sB`, a number a column.
    ///
    /// # Panics
    /// If there is not one code an atom.
    pub fn reconstruct(&self, codes: &[f64]) -> Vec<f64> {
        assert_eq!(codes.len(), self.atoms(), "a code an atom");
        let mut row = vec![0.0; self.columns()];
        for (atom, s) in self.atom_rows().zip(codes).filter(|(_, s)| **s != 0.0) {
            row.iter_mut().zip(atom).for_each(|(x, b)| *x += s * f64::from(*b));
        }
        row
    }
    /// How well the dictionary fits rows. Collective.
    ///
    /// # Errors
    /// Input, if there are no rows; what the engine reports.
    pub fn metrics(&self, rows: &DatasetRows) -> Result<CodingMetrics> {
        let model = self.clone();
        let of_partitions = rows.map(move |_, blocks| model.metrics_of(blocks));
        let metrics = of_partitions.reduce(CodingMetrics::merge)?.filter(|metrics| metrics.rows > 0);
        metrics.ok_or_else(|| Error::input("there are no rows to measure on", ""))
    }
    fn metrics_of(&self, blocks: &[LabeledBlock]) -> CodingMetrics {
        let mut coder = Coder::new(self);
        let mut metrics = CodingMetrics { uses: vec![0; self.atoms()], ..CodingMetrics::default() };
        for block in blocks {
            metrics.columns = metrics.columns.max(block.features.columns());
            for row in block.features.iter() {
                let (square, residual) = coder.code(&row);
                metrics.rows += 1;
                metrics.square += square;
                metrics.residual += residual;
                metrics.objective += 0.5 * residual;
                for (s, uses) in coder.codes.iter().zip(&mut metrics.uses).filter(|(s, _)| **s != 0.0) {
                    metrics.objective += self.params().lambda * s.abs();
                    metrics.codes += 1;
                    *uses += 1;
                }
            }
        }
        metrics
    }
    /// The parameters it was trained with.
    pub fn params(&self) -> &SparseCodingParams {
        &self.attributes.params
    }
    /// What training did.
    pub fn summary(&self) -> &SparseCodingSummary {
        &self.attributes.summary
    }
    pub(super) fn summary_mut(&mut self) -> &mut SparseCodingSummary {
        &mut self.attributes.summary
    }
}

/// Codes rows, one after the other.
struct Coder<'m> {
    model: &'m SparseCodingModel,
    products: Vec<f64>,
    codes: Vec<f64>,
}

impl<'m> Coder<'m> {
    fn new(model: &'m SparseCodingModel) -> Self {
        Coder { model, products: vec![], codes: vec![0.0; model.atoms()] }
    }
    /// Codes a row; returns `‖x‖²` and `‖x - sB‖²`, of the columns that the model knows.
    fn code(&mut self, row: &(impl Features + ?Sized)) -> (f64, f64) {
        let (columns, mut square) = (self.model.columns(), 0.0);
        row.for_each(|j, x| square += if j < columns { x * x } else { 0.0 });
        let product = |atom: &[f32]| {
            let mut sum = 0.0;
            row.for_each(|j, x| sum += atom.get(j).map_or(0.0, |b| f64::from(*b) * x));
            sum
        };
        self.products.clear();
        self.products.extend(self.model.atom_rows().map(product));
        (square, self.model.lasso().solve(&self.products, square, &mut self.codes))
    }
}

/// What rows of the table are called.
const ATOM: &str = "atom";

impl Persist for SparseCodingModel {
    const ALGORITHM: &'static str = "sparse-coding";
    type Attributes = Attributes;

    fn attributes(&self) -> &Attributes {
        &self.attributes
    }
    /// A row for every atom.
    fn table(&self) -> RecordBatch {
        matrix_table::<Float32Type>(ATOM, &self.dictionary, self.columns())
    }
    fn restore(attributes: Attributes, table: &RecordBatch) -> Result<Self> {
        let (atoms, columns) = (attributes.params.atoms, attributes.columns);
        if atoms == 0 || columns == 0 {
            return Err(Error::input("the atoms do not fit: there are none, or they are empty", ""));
        }
        Ok(SparseCodingModel::new(matrix_of::<Float32Type>(table, ATOM, atoms, columns)?, attributes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sklearn.linear_model.Lasso(alpha=0.25 / 8, fit_intercept=False, tol=1e-16, positive=..)` of scikit-learn 1.9.1 on the
    /// transposed dictionary, which is what its `sparse_encode(x, dictionary, algorithm="lasso_cd", alpha=0.25)` runs with
    /// less precision.
    #[test]
    fn codes_of_another_program() {
        const CODES: [[f64; 6]; 3] = [
            [0.53094911, 0.0, 0.0, 1.08734525, 0.0, 0.0],
            [0.75667042, 1.19128147, 0.0, 0.0, -0.10240511, 0.0],
            [0.0, 0.0, -0.12062363, 0.0, -0.69721007, 0.23140044],
        ];
        const POSITIVE: [[f64; 6]; 3] = [
            [0.53094911, 0.0, 0.0, 1.08734525, 0.0, 0.0],
            [0.70992366, 1.19847328, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.11904762],
        ];
        let value = |i: i32, j: i32| ((7 * i + 5 * j + i * j * j) % 16 - 8) as f32 / 16.0;
        let dictionary: Vec<f32> = (0..6).flat_map(|i| (0..8).map(move |j| value(i, j))).collect();
        for (non_negative_codes, want) in [(false, CODES), (true, POSITIVE)] {
            let params =
                SparseCodingParams { atoms: 6, lambda: 0.25, non_negative_codes, ..Default::default() };
            let summary = SparseCodingSummary {
                rows: 0,
                partitions: 0,
                objective: 0.0,
                objective_history: vec![],
                unused: 0,
                stop: Stop::IterationLimit,
            };
            let attributes = Attributes { columns: 8, params, summary };
            let model = SparseCodingModel::new(dictionary.clone(), attributes);
            for (i, want) in (0..).zip(&want) {
                let x: Vec<f64> =
                    (0..8).map(|j| f64::from((3 * j * j + i * j + 1) % 11) / 4.0 - 1.0).collect();
                let codes = model.transform(&x[..]);
                let error = codes.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(error < 1e-7, "{codes:?}, not {want:?}");
            }
        }
    }
}
