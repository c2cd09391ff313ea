//! The joint log likelihood of words and topics, given the priors.

use slackwater_paramstore::TableValues;

/// `ln Γ(prior + n)` for whole `n`, the small ones from a table: most counts are small.
pub(super) struct LnGamma {
    prior: f64,
    small: Vec<f64>,
}

const SMALL: usize = 1024;

impl LnGamma {
    pub fn new(prior: f64) -> Self {
        LnGamma { prior, small: (0..SMALL).map(|n| libm::lgamma(prior + n as f64)).collect() }
    }
    #[inline]
    pub fn at(&self, n: u64) -> f64 {
        match self.small.get(n as usize) {
            Some(value) => *value,
            None => libm::lgamma(self.prior + n as f64),
        }
    }
    /// By how much a count of `n` changes what a count of 0 gives.
    #[inline]
    pub fn gain(&self, n: u64) -> f64 {
        if n == 0 { 0.0 } else { self.at(n) - self.small[0] }
    }
}

/// `ln p(w | z)` of counts by word and topic.
pub(super) fn of_words(counts: &TableValues<i32>, beta: f64) -> f64 {
    let (words, topics) = (counts.rows() as f64, counts.columns());
    let of = LnGamma::new(beta);
    let mut totals = vec![0u64; topics];
    let mut sum = 0.0;
    for word in 0..counts.rows() {
        for (topic, n) in counts.entries(word).iter().filter(|(_, n)| *n > 0) {
            totals[*topic as usize] += *n as u64;
            sum += of.gain(*n as u64);
        }
    }
    let whole = libm::lgamma(words * beta);
    totals.iter().fold(sum, |sum, n| sum + whole - libm::lgamma(words * beta + *n as f64))
}

/// `ln p(z)` of the counts of one document.
pub(super) struct OfDocuments {
    of: LnGamma,
    of_length: LnGamma,
}

impl OfDocuments {
    pub fn new(topics: usize, alpha: f64) -> Self {
        OfDocuments { of: LnGamma::new(alpha), of_length: LnGamma::new(alpha * topics as f64) }
    }
    pub fn of(&self, counts: impl Iterator<Item = u64>) -> f64 {
        let (mut sum, mut length) = (0.0, 0);
        for n in counts {
            sum += self.of.gain(n);
            length += n;
        }
        sum - self.of_length.gain(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::Context;
    use slackwater_paramstore::{TableExt, TableSpec};

    /// One token after the other, each given those before it: the chain rule.
    fn chain(tokens: &[(usize, usize)], classes: usize, groups: usize, prior: f64) -> f64 {
        let mut counts = vec![vec![0.0; classes]; groups];
        let mut sum = 0.0;
        for (group, class) in tokens {
            let row = &mut counts[*group];
            let all: f64 = row.iter().sum();
            sum += ((row[*class] + prior) / (all + classes as f64 * prior)).ln();
            row[*class] += 1.0;
        }
        sum
    }

    #[test]
    fn the_likelihood_is_that_of_the_chain_rule() {
        let (words, topics, alpha, beta) = (5, 3, 0.3, 0.1);
        // (topic, word) and (document, topic).
        let of_word: Vec<(usize, usize)> = (0..4000).map(|i| (i * 7 % 11 % 3, i * i % 5)).collect();
        let of_document: Vec<(usize, usize)> = (0..300).map(|i| (i % 2, i * i % 3)).collect();
        let mut counts = vec![0i32; words * topics];
        of_word.iter().for_each(|(topic, word)| counts[word * topics + topic] += 1);
        let cx = Context::local(1).unwrap();
        for spec in [TableSpec::dense(words, topics), TableSpec::sparse(words, topics)] {
            let table = cx.table("counts", spec).unwrap();
            table.put(counts.clone()).unwrap();
            let (got, want) =
                (super::of_words(&table.snapshot(), beta), chain(&of_word, words, topics, beta));
            assert!((got - want).abs() < 1e-9 * want.abs(), "{got} {want}");
        }
        let of = OfDocuments::new(topics, alpha);
        let got: f64 = (0..2)
            .map(|d| {
                let count = |k| of_document.iter().filter(|t| **t == (d, k)).count() as u64;
                of.of((0..topics).map(count))
            })
            .sum();
        let want = chain(&of_document, topics, 2, alpha);
        assert!((got - want).abs() < 1e-9 * want.abs(), "{got} {want}");
    }
}
