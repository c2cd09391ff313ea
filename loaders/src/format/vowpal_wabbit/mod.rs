//! Vowpal Wabbit's text: an example a line, with features by name in namespaces.
//!
//! # Grammar
//!
//! ```text
//! line      = [label [importance [base]]] [tag] "|" namespace { "|" namespace }   |   blank
//! namespace = [name [":" value]] { blanks feature }
//! feature   = name [":" value | ":" text] | ":" value
//! ```
//!
//! The tag is the last word before the first bar if it touches the bar or begins with an apostrophe; it is dropped. (So `1|f` has the
//! tag `1` and no label, for Vowpal Wabbit, too.) Labels are numbers: real ones, or the numbers of classes. A feature without
//! a value has 1; values but texts are multiplied by that of their namespace, and what is zero then is left out. Lines without features
//! are examples; blank lines, which divide examples of several lines, are left out. Labels of costs, actions or several classes
//! are refused, and so is a tab before the bar, before which Vowpal Wabbit drops everything.
//!
//! **Columns.** By default features are [hashed](VwFeatures::Hashed) as Vowpal Wabbit does it: MurmurHash3 of the name with the hash
//! of its namespace as seed, a name of digits being its number plus that hash, the lowest 18 bits of it all. The constant feature
//! that a trainer adds is not in the data, nor are quadratic terms. If all names are numbers, they can be the [columns as
//! they are](VwFeatures::Numbers), whatever their namespace. Two features of an example in one column are added up.
//!
//! # Guarantees
//!
//! Numbers have the same bits as `str::parse::<f64>` gives (Vowpal Wabbit itself has 32 bits, and reads `nan` as 0; here that is a
//! bad record). Of a bad line nothing stays; examples, their order and the reports do not depend on how a file is divided. What
//! begins like a number must be one; else the value is a text, whose hash is chained to that of its name.
//!
//! # Cost
//!
//! One pass, and a sort of each example's features.
//!
//! # References
//!
//! Langford, Li, Strehl 2007, Vowpal Wabbit; its wiki, "Input format"; Weinberger et al. 2009, Feature Hashing for Large Scale
//! Multitask Learning.

mod hash;
mod line;
mod table;

pub use table::VwTable;

use super::fault::Fault;
use super::records::LineRecords;
use crate::OnBadRecord;
use crate::lines::ReadLimits;
use crate::split::Split;
use slackwater_dataflow::block::{CsrBlock, CsrBuilder, LabeledBlock, TARGET_BLOCK_NONZEROS};
use slackwater_dataflow::{Error, Result};

/// Which column a feature is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VwFeatures {
    /// Its hash, of so many bits, 1 to 31.
    Hashed {
        /// How many.
        bits: u32,
    },
    /// The number that it is called, from 0. Its namespace does not count.
    Numbers,
}

/// How to read Vowpal Wabbit's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VwOptions {
    /// Which column a feature is. Default: a hash of 18 bits.
    pub features: VwFeatures,
    /// With numbers: how many columns there are. An example with another is bad.
    pub num_features: Option<u32>,
    /// Limits on lines and packed files.
    pub limits: ReadLimits,
}

impl Default for VwOptions {
    fn default() -> Self {
        VwOptions {
            features: VwFeatures::Hashed { bits: 18 },
            num_features: None,
            limits: ReadLimits::default(),
        }
    }
}

impl VwOptions {
    /// Checks the values; the error names the setting.
    ///
    /// # Errors
    /// Config, for bits that are not 1 to 31, or no features.
    pub fn check(&self) -> Result<()> {
        match (self.features, self.num_features) {
            (VwFeatures::Hashed { bits }, _) if !(1..=31).contains(&bits) => {
                Err(Error::config("bits", "must be 1 to 31"))
            }
            (_, Some(0)) => Err(Error::config("num_features", "must be at least 1")),
            _ => Ok(()),
        }
    }
    /// How many columns every example has, at least.
    fn columns(&self) -> usize {
        match self.features {
            VwFeatures::Hashed { bits } => 1 << bits,
            VwFeatures::Numbers => self.num_features.unwrap_or(0) as usize,
        }
    }
}

/// Some examples.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VwBlock {
    /// One an example; `None` where it has none.
    pub labels: Vec<Option<f64>>,
    /// How often each example counts.
    pub weights: Vec<f64>,
    /// What is predicted before anything is learnt.
    pub bases: Vec<f64>,
    /// n rows by d columns.
    pub features: CsrBlock,
}

/// Reads one [`Split`], block by block. See the [module](self).
pub struct VwReader {
    lines: LineRecords,
    options: VwOptions,
    block_nonzeros: usize,
    scratch: Vec<(u32, f64)>,
}

impl VwReader {
    /// Opens the split's file.
    ///
    /// # Errors
    /// I/O; config, for options that make no sense.
    pub fn open(split: &Split, options: &VwOptions) -> Result<Self> {
        options.check()?;
        let lines = LineRecords::open(split, options.limits, 0)?;
        Ok(VwReader { lines, options: *options, block_nonzeros: TARGET_BLOCK_NONZEROS, scratch: vec![] })
    }

    /// Cuts blocks at about this many values.
    pub fn block_nonzeros(mut self, values: usize) -> Self {
        self.block_nonzeros = values.max(1);
        self
    }

    /// The next block, at least one example long; `None` at the end.
    ///
    /// # Errors
    /// I/O; what `on_bad` answers.
    pub fn next_block(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<VwBlock>> {
        self.next(false, on_bad)
    }

    /// The next block of examples to learn from: one without a label is bad, and so is one with an importance of its own, which
    /// such a block cannot keep.
    ///
    /// # Errors
    /// I/O; what `on_bad` answers.
    pub fn next_labeled(&mut self, on_bad: &mut OnBadRecord<'_>) -> Result<Option<LabeledBlock>> {
        let block = self.next(true, on_bad)?;
        Ok(block.map(|block| LabeledBlock {
            labels: block.labels.into_iter().flatten().collect(),
            features: block.features,
        }))
    }

    fn next(&mut self, labeled: bool, on_bad: &mut OnBadRecord<'_>) -> Result<Option<VwBlock>> {
        let mut block = VwBlock::default();
        let mut rows = CsrBuilder::with_capacity(0, 0);
        while rows.nnz() < self.block_nonzeros && rows.rows() < self.block_nonzeros {
            let VwReader { lines, options, scratch, .. } = self;
            let target = lines.next(on_bad, |line| {
                scratch.clear();
                let Some(target) = line::read(line, options, scratch)? else { return Ok(None) };
                if labeled && (target.label.is_none() || target.weight != 1.0) {
                    let what = if target.label.is_none() { "no label" } else { "an importance of its own" };
                    return Err(Fault::new(0, line, format!("the example has {what}"))
                        .hint("read as a table, which has weights, and labels that may be missing"));
                }
                merge(scratch)?;
                Ok(Some(target))
            })?;
            let Some(target) = target else { break };
            block.labels.push(target.label);
            block.weights.push(target.weight);
            block.bases.push(target.base);
            scratch.iter().for_each(|(column, value)| rows.push(*column, *value));
            rows.end_row();
        }
        if block.labels.is_empty() {
            return Ok(None);
        }
        block.features = rows.finish(self.options.columns());
        Ok(Some(block))
    }
}

/// Sorts by column, and adds up what is in one.
fn merge(features: &mut Vec<(u32, f64)>) -> Result<(), Fault> {
    if !features.is_sorted_by(|a, b| a.0 < b.0) {
        // Stable, so that sums do not depend on how it sorts.
        features.sort_by_key(|f| f.0);
        features.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
    }
    match features.iter().find(|f| !f.1.is_finite()) {
        Some(bad) => {
            let message = format!("the values in column {} add up to more than 64 bits hold", bad.0);
            Err(Fault::new(0, b"", message).hint("scale the values"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
