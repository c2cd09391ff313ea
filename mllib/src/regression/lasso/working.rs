//! Columns that were brought to the main program, products between them, and the residual.

use super::column::{Column, ColumnBlock};
use super::design::Design;
use crate::linalg::{dense, widest};
use slackwater_dataflow::Result;

/// No slot.
const NONE: u32 = u32::MAX;

/// `y - X b`, as a vector and what is to be added to all of it.
#[derive(Debug, Clone)]
pub(crate) struct Residual {
    pub values: Vec<f64>,
    pub shift: f64,
}

impl Residual {
    /// Folds the shift into the vector.
    pub fn settle(&mut self) {
        if self.shift != 0.0 {
            let shift = std::mem::take(&mut self.shift);
            self.values.iter_mut().for_each(|r| *r += shift);
        }
    }
}

/// Columns in slots, each once. What was fetched stays.
#[derive(Debug)]
pub(crate) struct Working {
    blocks: Vec<ColumnBlock>,
    /// By slot: where the column is.
    places: Vec<(u32, u32)>,
    /// By slot: the number of the column.
    numbers: Vec<usize>,
    /// By column: its slot.
    slots: Vec<u32>,
    /// By slot: squared norm.
    pub squares: Vec<f64>,
    /// By slot: product with the targets.
    pub with_targets: Vec<f64>,
    /// By slot: the sum of its values (times the unit), the mean subtracted; 0 if it was.
    sums: Vec<f64>,
    /// Of weighted columns: what shifts are times of, and its squared norm; ones otherwise.
    unit: Option<(Vec<f64>, f64)>,
    gram: Gram,
}

/// Products between columns, computed when they are asked for.
#[derive(Debug, Default)]
struct Gram {
    /// By slot: its row, once it was asked for.
    rows: Vec<u32>,
    /// Row `i` has products with those that were asked for before it, and with itself; NaN if not known yet.
    products: Vec<Vec<f64>>,
    slots: Vec<u32>,
    buffer: Vec<f64>,
}

impl Working {
    pub fn new(columns: usize) -> Self {
        Working {
            blocks: vec![],
            places: vec![],
            numbers: vec![],
            slots: vec![NONE; columns],
            squares: vec![],
            with_targets: vec![],
            sums: vec![],
            unit: None,
            gram: Gram::default(),
        }
    }
    /// The columns in `slots`, in their order, with row `i` times `roots[i]`, less their projections on `roots` if they are
    /// `centred`: the columns of a least squares problem that is a model of another one. Products with targets are left to
    /// [`set_targets`](Working::set_targets).
    pub fn weighted(&self, slots: &[u32], roots: Vec<f64>, centred: bool) -> Working {
        let mut weighted = Working::new(slots.len());
        weighted.numbers = (0..slots.len()).collect();
        weighted.slots = (0..slots.len() as u32).collect();
        weighted.gram.rows = vec![NONE; slots.len()];
        weighted.places = vec![(0, 0); slots.len()];
        for is_sparse in [false, true] {
            let alike =
                slots.iter().enumerate().filter(|(_, s)| self.column(**s as usize).is_sparse() == is_sparse);
            let (here, columns): (Vec<usize>, Vec<Column<'_>>) =
                alike.map(|(k, s)| (k, self.column(*s as usize))).unzip();
            let block = (weighted.blocks.len() as u32, 0..columns.len() as u32);
            for (k, at) in here.into_iter().zip(block.1) {
                weighted.places[k] = (block.0, at);
            }
            weighted.blocks.push(ColumnBlock::weighted(&columns, &roots, centred));
        }
        let square = square(&roots);
        for slot in 0..slots.len() {
            let (block, k) = weighted.places[slot];
            weighted.squares.push(weighted.blocks[block as usize].facts()[k as usize].square);
            let sum = if centred { 0.0 } else { weighted.column(slot).dot(&roots, square) };
            weighted.sums.push(sum);
        }
        weighted.unit = Some((roots, square));
        weighted
    }
    /// Takes products with other targets than those of the design; centred, if columns are.
    pub fn set_targets(&mut self, targets: &[f64]) {
        let sum = self.along_unit(targets);
        self.with_targets = widest(
            #[inline(always)]
            || (0..self.len()).map(|s| self.column(s).dot(targets, sum)).collect(),
        );
    }
    /// Product with the unit.
    fn along_unit(&self, v: &[f64]) -> f64 {
        self.unit.as_ref().map_or_else(|| v.iter().sum(), |(unit, _)| dense::dot(unit, v))
    }
    /// Squared norm of the unit of `rows`.
    pub fn unit_square(&self, rows: usize) -> f64 {
        self.unit.as_ref().map_or(rows as f64, |(_, square)| *square)
    }
    /// Folds the shift of a residual into its vector.
    pub fn settle(&self, r: &mut Residual) {
        match &self.unit {
            Some((unit, _)) if r.shift != 0.0 => {
                dense::axpy(std::mem::take(&mut r.shift), unit, &mut r.values)
            }
            Some(_) => (),
            None => r.settle(),
        }
    }
    /// Number of slots.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }
    /// The column in a slot.
    pub fn number(&self, slot: usize) -> usize {
        self.numbers[slot]
    }
    /// The slot of a column, if it is here.
    pub fn slot(&self, column: usize) -> Option<usize> {
        Some(self.slots[column]).filter(|s| *s != NONE).map(|s| s as usize)
    }
    #[inline(always)]
    pub fn column(&self, slot: usize) -> Column<'_> {
        let (block, k) = self.places[slot];
        self.blocks[block as usize].column(k as usize)
    }
    /// Brings the columns here that are not.
    pub fn fetch(&mut self, design: &Design, columns: &[usize]) -> Result<()> {
        let mut missing: Vec<usize> = columns.iter().copied().filter(|j| self.slots[*j] == NONE).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        let mut next = missing.iter();
        let y = design.targets();
        let y_sum: f64 = y.iter().sum();
        for block in design.fetch(missing.clone())? {
            for (k, facts) in block.facts().iter().enumerate() {
                let Some(number) = next.next() else { break };
                self.slots[*number] = self.numbers.len() as u32;
                self.places.push((self.blocks.len() as u32, k as u32));
                self.numbers.push(*number);
                self.squares.push(facts.square);
                let column = block.column(k);
                self.with_targets.push(column.dot(y, y_sum));
                self.sums.push(column.dot(&vec![1.0; y.len()], y.len() as f64));
            }
            self.blocks.push(block);
        }
        self.gram.rows.resize(self.len(), NONE);
        Ok(())
    }
    /// Product of a column with the residual.
    ///
    /// Where a mean is subtracted by formula, targets are centred, and so is every residual: the sum of its vector is known.
    #[inline(always)]
    pub fn dot(&self, slot: usize, r: &Residual) -> f64 {
        let sum = -r.shift * self.unit_square(r.values.len());
        self.column(slot).dot(&r.values, sum) + r.shift * self.sums[slot]
    }
    /// `r += a x`.
    #[inline(always)]
    pub fn axpy(&self, slot: usize, a: f64, r: &mut Residual) {
        r.shift += self.column(slot).axpy(a, &mut r.values);
    }
    /// `y - X b` for weights `b` by slot.
    pub fn residual(&self, y: &[f64], weights: &[f64]) -> Residual {
        let mut r = Residual { values: y.to_vec(), shift: 0.0 };
        widest(
            #[inline(always)]
            || {
                for (slot, b) in weights.iter().enumerate() {
                    if *b != 0.0 {
                        self.axpy(slot, -b, &mut r);
                    }
                }
            },
        );
        self.settle(&mut r);
        r
    }
    /// Values that are stored of some columns.
    pub fn stored(&self, slots: &[u32]) -> usize {
        slots.iter().map(|s| self.column(*s as usize).stored()).sum()
    }
    /// How many products between these columns are not known yet.
    pub fn unknown(&self, slots: &[u32]) -> usize {
        let new = slots.iter().filter(|s| self.gram.rows[**s as usize] == NONE).count();
        new * slots.len() - new * new.saturating_sub(1) / 2
    }
    /// The packed lower triangle of products between columns.
    pub fn gram(&mut self, slots: &[u32], rows: usize) -> Vec<f64> {
        let mut gram = std::mem::take(&mut self.gram);
        gram.buffer.resize(rows, 0.0);
        for slot in slots {
            if gram.rows[*slot as usize] == NONE {
                gram.rows[*slot as usize] = gram.slots.len() as u32;
                gram.slots.push(*slot);
                gram.products.push(vec![f64::NAN; gram.slots.len()]);
            }
        }
        // By row of the kept triangle, so that a column is written out once for all its products.
        let mut kept: Vec<u32> = slots.iter().map(|s| gram.rows[*s as usize]).collect();
        kept.sort_unstable();
        for (at, i) in kept.iter().enumerate() {
            let i = *i as usize;
            if kept[..=at].iter().all(|k| !gram.products[i][*k as usize].is_nan()) {
                continue;
            }
            let mut full = std::mem::take(&mut gram.buffer);
            let column = self.column(gram.slots[i] as usize);
            match &self.unit {
                Some((unit, _)) => column.write_with(unit, &mut full),
                None => column.write(&mut full),
            }
            let sum = self.along_unit(&full);
            widest(
                #[inline(always)]
                || {
                    for k in &kept[..=at] {
                        let known = &mut gram.products[i][*k as usize];
                        if known.is_nan() {
                            *known = self.column(gram.slots[*k as usize] as usize).dot(&full, sum);
                        }
                    }
                },
            );
            gram.buffer = full;
        }
        let mut lower = Vec::with_capacity(slots.len() * (slots.len() + 1) / 2);
        for (at, a) in slots.iter().enumerate() {
            let i = gram.rows[*a as usize] as usize;
            lower.extend(slots[..=at].iter().map(|b| {
                let k = gram.rows[*b as usize] as usize;
                gram.products[i.max(k)][i.min(k)]
            }));
        }
        self.gram = gram;
        lower
    }
}

/// Squared norm.
pub(crate) fn square(x: &[f64]) -> f64 {
    dense::dot(x, x)
}
