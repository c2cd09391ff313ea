//! Groups of columns.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// A partition of columns into groups, each with a weight of its penalty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// By group: its columns, ascending.
    columns: Vec<Vec<u32>>,
    weights: Vec<f64>,
}

impl Groups {
    /// Neighbouring columns, `size` a group; the last may be smaller. Weights are the roots of sizes.
    pub fn of_size(columns: usize, size: usize) -> Self {
        let all: Vec<u32> = (0..columns as u32).collect();
        Groups::weighted(all.chunks(size.max(1)).map(<[u32]>::to_vec).collect())
    }
    /// From the group of each column. A number that no column has makes no group; weights are the roots of sizes.
    ///
    /// # Errors
    /// Input, if a number is larger than the number of columns allows.
    pub fn by_column(groups: &[u32]) -> Result<Self> {
        let most = groups.iter().copied().max().map_or(0, |g| g as usize + 1);
        if most > 16 * groups.len().max(1) {
            let message = format!("group {} of {} columns", most - 1, groups.len());
            return Err(Error::input(message, "number the groups one after the other"));
        }
        let mut columns = vec![vec![]; most];
        groups.iter().enumerate().for_each(|(j, g)| columns[*g as usize].push(j as u32));
        columns.retain(|c: &Vec<u32>| !c.is_empty());
        Ok(Groups::weighted(columns))
    }
    fn weighted(columns: Vec<Vec<u32>>) -> Self {
        let weights = columns.iter().map(|c| (c.len() as f64).sqrt()).collect();
        Groups { columns, weights }
    }
    /// With these weights instead, by group.
    ///
    /// # Errors
    /// Input, if there is not one finite, positive weight a group.
    pub fn with_weights(mut self, weights: Vec<f64>) -> Result<Self> {
        if weights.len() != self.columns.len() {
            let message = format!("{} weights for {} groups", weights.len(), self.columns.len());
            return Err(Error::input(
                message,
                "give one for each group, in the order of their first columns",
            ));
        }
        if let Some(w) = weights.iter().find(|w| !(w.is_finite() && **w > 0.0)) {
            return Err(Error::input(format!("a group with weight {w}"), "weights are positive numbers"));
        }
        self.weights = weights;
        Ok(self)
    }
    /// How many.
    pub fn len(&self) -> usize {
        self.columns.len()
    }
    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
    /// The columns of a group, ascending.
    pub fn columns(&self, group: usize) -> &[u32] {
        &self.columns[group]
    }
    /// The weight of a group.
    pub fn weight(&self, group: usize) -> f64 {
        self.weights[group]
    }
    /// How many columns they have together.
    pub fn columns_in_all(&self) -> usize {
        self.columns.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_partitions() {
        let groups = Groups::of_size(7, 3);
        assert_eq!((groups.len(), groups.columns(2), groups.columns_in_all()), (3, &[6][..], 7));
        assert_eq!(groups.weight(0), 3f64.sqrt());
        let groups = Groups::by_column(&[5, 2, 5, 2, 9]).unwrap();
        assert_eq!(
            (0..3).map(|g| groups.columns(g).to_vec()).collect::<Vec<_>>(),
            [vec![1, 3], vec![0, 2], vec![4]]
        );
        assert!(Groups::by_column(&[0, 99]).is_err());
        assert!(groups.clone().with_weights(vec![1.0, 2.0]).is_err());
        assert!(groups.clone().with_weights(vec![1.0, 2.0, 0.0]).is_err());
        assert_eq!(groups.with_weights(vec![1.0, 2.0, 3.0]).unwrap().weight(1), 2.0);
    }
}
