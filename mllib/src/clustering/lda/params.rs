//! Parameters of latent Dirichlet allocation.

use crate::params::require;
use serde::{Deserialize, Serialize};
use slackwater_dataflow::Result;
use slackwater_paramstore::Consistency;
use std::str::FromStr;

/// How the topic of a token is drawn; see the [module](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampler {
    /// All topics weighed.
    Dense,
    /// The document's topics weighed.
    Sparse,
    /// Proposals in constant time, accepted or not.
    Alias,
}

impl Sampler {
    /// Name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Sampler::Dense => "dense",
            Sampler::Sparse => "sparse",
            Sampler::Alias => "alias",
        }
    }
}

impl FromStr for Sampler {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Sampler::Dense, Sampler::Sparse, Sampler::Alias];
        let found = all.into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| format!("`{name}` is not one of dense, sparse, alias"))
    }
}

/// Where the counts of words are; see the [module](super).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Solver {
    /// In a table that every process has a copy of.
    #[default]
    Table,
    /// In blocks of words that rotate over the partitions.
    Rotation,
}

impl Solver {
    /// Name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            Solver::Table => "table",
            Solver::Rotation => "rotation",
        }
    }
}

impl FromStr for Solver {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Solver::Table, Solver::Rotation].into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| format!("`{name}` is not one of table, rotation"))
    }
}

/// How the counts of words are kept while training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CountRows {
    /// Sparse where that saves memory.
    #[default]
    Auto,
    /// A number for every word and topic.
    Dense,
    /// Only the topics that a word has.
    Sparse,
}

impl CountRows {
    /// Name in options and files.
    pub fn name(self) -> &'static str {
        match self {
            CountRows::Auto => "auto",
            CountRows::Dense => "dense",
            CountRows::Sparse => "sparse",
        }
    }
    /// Whether rows are to be sparse, for so many words, topics and tokens.
    pub fn are_sparse(self, words: usize, topics: usize, tokens: u64) -> bool {
        match self {
            CountRows::Auto => {
                let all = words as u64 * topics as u64;
                all >= SPARSE_MIN && all / SPARSE_SHARE > tokens
            }
            other => other == CountRows::Sparse,
        }
    }
}

impl FromStr for CountRows {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let all = [CountRows::Auto, CountRows::Dense, CountRows::Sparse];
        let found = all.into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| format!("`{name}` is not one of auto, dense, sparse"))
    }
}

/// Counts from which on it is worth to ask whether most of them are 0.
const SPARSE_MIN: u64 = 1 << 24;
/// Rows are sparse if there are fewer tokens than this part of the counts: each makes at most one of them positive, which
/// then takes two to three times the memory.
const SPARSE_SHARE: u64 = 4;

/// Topics up to which weighing all of them is the fastest.
const DENSE_TOPICS_MAX: usize = 200;
/// Topics are stored in 16 bits.
const TOPICS_MAX: usize = 1 << 16;

/// Parameters of latent Dirichlet allocation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LdaParams {
    /// Number of topics, at most 65536.
    pub topics: usize,
    /// Prior count of every topic in a document.
    pub alpha: f64,
    /// Prior count of every word in a topic.
    pub beta: f64,
    /// Passes over the tokens at most. The first gives each a topic by chance.
    pub epochs: usize,
    /// The model is the mean of the counts at the evaluations after so many epochs; `None`: the counts at the end.
    pub burn_in: Option<usize>,
    /// Epochs from one evaluation of the log likelihood to the next.
    pub evaluate_every: usize,
    /// Where the counts of words are while training.
    #[serde(default)]
    pub solver: Solver,
    /// How topics are drawn; `None`: dense up to 200 topics, sparse above.
    pub sampler: Option<Sampler>,
    /// How the counts of words are kept; what is found does not depend on it under BSP.
    #[serde(default)]
    pub rows: CountRows,
    /// Proposals of the word, and of the document, for every token; of the alias sampler only.
    pub proposals: usize,
    /// Documents of each partition in a clock; `None`: a sixteenth of them, but 2048 to 65536 tokens. With rotation: documents
    /// that are worked on together; `None`: about 65536 tokens.
    pub batch: Option<usize>,
    /// How old the counts of other partitions may be. Rotation is BSP.
    pub consistency: Consistency,
    /// Ends the training when the log likelihood changes by less than this share from one evaluation to the next.
    pub tolerance: Option<f64>,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for LdaParams {
    fn default() -> Self {
        LdaParams {
            topics: 50,
            alpha: 0.1,
            beta: 0.01,
            epochs: 100,
            burn_in: None,
            evaluate_every: 10,
            solver: Solver::Table,
            sampler: None,
            rows: CountRows::Auto,
            proposals: 2,
            batch: None,
            consistency: Consistency::Bsp,
            tolerance: None,
            seed: 42,
        }
    }
}

impl LdaParams {
    /// The sampler, chosen if need be.
    pub fn sampler(&self) -> Sampler {
        let chosen = if self.topics <= DENSE_TOPICS_MAX { Sampler::Dense } else { Sampler::Sparse };
        self.sampler.unwrap_or(chosen)
    }
    /// Checks all values.
    ///
    /// # Errors
    /// Config, naming the parameter.
    pub fn check(&self) -> Result<()> {
        let least = |value: usize, name| require(value >= 1, name, || "must be at least 1".into());
        let positive = |value: f64, name| {
            require(value > 0.0 && value.is_finite(), name, || {
                format!("must be a positive number, not {value}")
            })
        };
        require((1..=TOPICS_MAX).contains(&self.topics), "topics", || {
            format!("must be 1 to {TOPICS_MAX}, not {}", self.topics)
        })?;
        positive(self.alpha, "alpha")?;
        positive(self.beta, "beta")?;
        least(self.epochs, "epochs")?;
        least(self.evaluate_every, "evaluate_every")?;
        least(self.proposals, "proposals")?;
        least(self.batch.unwrap_or(1), "batch")?;
        let rotates = self.solver == Solver::Rotation;
        require(!rotates || self.sampler() != Sampler::Alias, "sampler", || {
            "alias is for the solver table: it needs all tokens of a document at once".into()
        })?;
        require(!rotates || self.consistency == Consistency::Bsp, "consistency", || {
            "is for the solver table: rotation works on blocks that nobody else has".into()
        })?;
        require(self.burn_in.is_none_or(|n| n < self.epochs), "burn_in", || {
            format!("must leave an epoch of the {} to take counts from", self.epochs)
        })?;
        require(self.tolerance.is_none_or(|t| t >= 0.0), "tolerance", || "must be at least 0".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        let good = LdaParams::default;
        good().check().unwrap();
        for (bad, name) in [
            (LdaParams { topics: 0, ..good() }, "topics"),
            (LdaParams { topics: 65537, ..good() }, "topics"),
            (LdaParams { alpha: 0.0, ..good() }, "alpha"),
            (LdaParams { beta: f64::NAN, ..good() }, "beta"),
            (LdaParams { epochs: 0, ..good() }, "epochs"),
            (LdaParams { evaluate_every: 0, ..good() }, "evaluate_every"),
            (LdaParams { proposals: 0, ..good() }, "proposals"),
            (LdaParams { batch: Some(0), ..good() }, "batch"),
            (LdaParams { burn_in: Some(100), ..good() }, "burn_in"),
            (LdaParams { tolerance: Some(-1.0), ..good() }, "tolerance"),
            (LdaParams { solver: Solver::Rotation, sampler: Some(Sampler::Alias), ..good() }, "sampler"),
            (
                LdaParams { solver: Solver::Rotation, consistency: Consistency::Async, ..good() },
                "consistency",
            ),
        ] {
            let e = bad.check().unwrap_err();
            assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
        }
    }

    #[test]
    fn the_sampler_is_chosen() {
        assert_eq!(LdaParams { topics: 100, ..Default::default() }.sampler(), Sampler::Dense);
        assert_eq!(LdaParams { topics: 1000, ..Default::default() }.sampler(), Sampler::Sparse);
        for sampler in [Sampler::Dense, Sampler::Sparse, Sampler::Alias] {
            assert_eq!(sampler.name().parse(), Ok(sampler));
        }
        assert!("gibbs".parse::<Sampler>().is_err());
    }

    #[test]
    fn rows_are_sparse_where_that_saves_memory() {
        for rows in [CountRows::Auto, CountRows::Dense, CountRows::Sparse] {
            assert_eq!(rows.name().parse(), Ok(rows));
            let sparse = [(60_000, 1000, 3_000_000), (60_000, 100, 3_000_000), (7000, 50, 400_000)]
                .map(|(words, topics, tokens)| rows.are_sparse(words, topics, tokens));
            let wanted = match rows {
                CountRows::Auto => [true, false, false],
                other => [other == CountRows::Sparse; 3],
            };
            assert_eq!(sparse, wanted, "{rows:?}");
        }
        assert!("thin".parse::<CountRows>().is_err());
    }
}
