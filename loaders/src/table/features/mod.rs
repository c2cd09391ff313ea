//! From columns to rows of features: which columns, how texts become numbers, what stands for what is missing.
//!
//! A [`FeatureMap`] is made once, of the table that is learnt from ([`FeatureMap::fit`]), kept with the model, and applied to
//! whatever the model is used on. It finds columns by name: their order does not matter, and others may be there.
//!
//! | column | becomes |
//! |---|---|
//! | numbers, booleans (0, 1) | one feature |
//! | texts | one feature for each distinct text, 1 where it stands ([`Texts::OneHot`]); or one, the number of the text in alphabetical order ([`Texts::Ordinal`]); or some of N features that all texts share ([`Texts::Hash`]) |
//! | lists of numbers of one length | as many features |
//! | vectors ([`super::vector`]) | as many features as the vector has |
//!
//! Texts that were not there when the map was made become no feature. A label is a number, a boolean, or a text: then it is a class,
//! numbered in alphabetical order.
//!
//! # Cost
//!
//! Fitting reads nothing if all columns are numbers that need no mean; else it takes a pass over texts and columns with means. Applying it
//! goes from Arrow's columns to CSR blocks, without a row between.
//!
//! # References
//!
//! Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009. Hashes are those of Spark's `FeatureHasher`
//! (MurmurHash3, 32 bits, seed 42, of `column=text`).

mod apply;
mod fit;
mod hash;

pub use apply::Cutter;

use serde::{Deserialize, Serialize};

/// How texts become features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Texts {
    /// A feature for each distinct text.
    #[default]
    OneHot,
    /// One feature: the number of the text, from 0, in alphabetical order.
    Ordinal,
    /// This many features for all texts of all columns together.
    Hash(u32),
}

/// What stands for a number that is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Nothing: the row is a bad record.
    #[default]
    Refuse,
    /// Zero.
    Zero,
    /// The mean of the column in the table that the map was made of.
    Mean,
}

/// Which columns are what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureOptions {
    /// The column of labels. `None`: the one called `label`, or else the first one called `target`, `class` or `y`; if there is
    /// none, rows have no label.
    pub label: Option<String>,
    /// The columns of features. Empty: the vectors in a column called `features`, or else all columns but the label.
    pub features: Vec<String>,
    /// How texts become features.
    pub texts: Texts,
    /// What stands for a number that is missing.
    pub missing: Missing,
}

/// Names that are taken for the label if none is said.
pub const LABEL_NAMES: [&str; 4] = ["label", "target", "class", "y"];
/// Distinct texts of a column that are kept apart.
pub const CATEGORIES_MAX: usize = 100_000;

/// How rows are made of columns. See the [module](self).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureMap {
    label: Option<Label>,
    columns: Vec<Column>,
    /// How many features there are; `None` for one vector of any size.
    size: Option<u32>,
    missing: Missing,
    /// Where the features that hashed texts share begin, and how many they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hashed: Option<(u32, u32)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Label {
    name: String,
    /// Texts in the order of their numbers, if labels are texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Column {
    name: String,
    /// Number of its first feature.
    first: u32,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// One feature; the value that stands for a missing one.
    Number {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mean: Option<f64>,
    },
    OneHot(Vec<String>),
    Ordinal(Vec<String>),
    Hashed,
    /// Numbers in a list, this many.
    Numbers(u32),
    /// A vector, at most this many; any number for the only column.
    Vector(Option<u32>),
}

impl Kind {
    /// How many features of its own it has.
    fn size(&self) -> u32 {
        match self {
            Kind::Number { .. } | Kind::Ordinal(_) => 1,
            Kind::OneHot(texts) => texts.len() as u32,
            Kind::Hashed | Kind::Vector(None) => 0,
            Kind::Numbers(n) | Kind::Vector(Some(n)) => *n,
        }
    }
}

impl FeatureMap {
    /// The column that labels are in.
    pub fn label(&self) -> Option<&str> {
        self.label.as_ref().map(|l| l.name.as_str())
    }
    /// The texts of classes in the order of their numbers, if labels are texts.
    pub fn classes(&self) -> Option<&[String]> {
        self.label.as_ref()?.classes.as_deref()
    }
    /// The columns that features are made of.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|c| c.name.as_str())
    }
    /// How many features there are. `None`: as many as the data have, for a single column of vectors.
    pub fn size(&self) -> Option<u32> {
        self.size
    }
    /// True if it says no more than LIBSVM text does: a label, and features that are numbered from 1, or that are one vector.
    /// A model need not keep such a map.
    pub fn is_plain(&self) -> bool {
        let label = self.label.as_ref().is_none_or(|l| l.name == "label" && l.classes.is_none());
        let numbered = |(i, c): (usize, &Column)| {
            matches!(c.kind, Kind::Number { mean: None }) && c.name == (i + 1).to_string()
        };
        let vector = |c: &Column| c.name == "features" && c.kind == Kind::Vector(None);
        let features = match &self.columns[..] {
            [one] if vector(one) => true,
            all => all.iter().enumerate().all(numbered),
        };
        label && features && self.missing == Missing::Refuse
    }
    /// What each feature is called: the column, with the text or the place in it where it has several. At most `most`.
    pub fn names(&self, most: usize) -> Vec<String> {
        let mut names = vec![];
        for column in &self.columns {
            let room = most.saturating_sub(names.len());
            let name = &column.name;
            match &column.kind {
                Kind::Number { .. } | Kind::Ordinal(_) => names.extend((room > 0).then(|| name.clone())),
                Kind::OneHot(texts) => names.extend(texts.iter().take(room).map(|t| format!("{name}={t}"))),
                Kind::Numbers(n) | Kind::Vector(Some(n)) => {
                    names.extend((0..*n).take(room).map(|i| format!("{name}[{i}]")));
                }
                Kind::Hashed | Kind::Vector(None) => {}
            }
        }
        if let Some((_, buckets)) = self.hashed {
            let room = most.saturating_sub(names.len());
            names.extend((0..buckets).take(room).map(|i| format!("hash {i}")));
        }
        names
    }
}
