//! Graphs of columns.

use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// An edge of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// A column.
    pub from: u32,
    /// Another.
    pub to: u32,
    /// How much their weights being apart costs; where it is negative, their being apart from each other's negative.
    pub weight: f64,
}

/// Columns, and edges between some of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    columns: usize,
    /// Each from its smaller column, in order.
    edges: Vec<Edge>,
}

impl Graph {
    /// From its edges, in any order.
    ///
    /// # Errors
    /// Input, if an edge is of a column that is not there, of one column alone, or there twice, or for a weight that is 0 or
    /// not finite.
    pub fn new(columns: usize, mut edges: Vec<Edge>) -> Result<Self> {
        let fault = |e: &Edge, what: &str, hint: &str| {
            Err(Error::input(
                format!("the edge of columns {} and {} {what}", e.from + 1, e.to + 1),
                hint.to_string(),
            ))
        };
        for edge in &mut edges {
            if edge.from.max(edge.to) as usize >= columns {
                return fault(
                    edge,
                    "is of a column that is not there",
                    &format!("there are {columns} columns"),
                );
            }
            if edge.from == edge.to {
                return fault(edge, "goes nowhere", "an edge is between two columns");
            }
            if !(edge.weight.is_finite() && edge.weight != 0.0) {
                return fault(
                    edge,
                    &format!("has the weight {}", edge.weight),
                    "leave it out, or give another weight",
                );
            }
            (edge.from, edge.to) = (edge.from.min(edge.to), edge.from.max(edge.to));
        }
        edges.sort_by_key(|e| (e.from, e.to));
        if let Some(two) = edges.windows(2).find(|e| (e[0].from, e[0].to) == (e[1].from, e[1].to)) {
            return fault(&two[0], "is there twice", "give one weight");
        }
        Ok(Graph { columns, edges })
    }
    /// Each column and the next one: with it the penalty is the fused lasso.
    pub fn chain(columns: usize) -> Self {
        let edges = (1..columns as u32).map(|j| Edge { from: j - 1, to: j, weight: 1.0 }).collect();
        Graph { columns, edges }
    }
    /// How many columns it has.
    pub fn columns(&self) -> usize {
        self.columns
    }
    /// Its edges, each from its smaller column, in order.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }
    /// Sets of columns that edges join and whose weights are the same there, up to the signs of edges, but not 0: the columns and
    /// their signs in the set.
    pub fn fused(&self, weights: &[f64]) -> Vec<Vec<(u32, f64)>> {
        sets(weights, self.edges.iter().map(|e| (e.from, e.to, e.weight)))
    }
}

/// Sets of weights other than 0 that are the same along edges, up to their signs.
pub(super) fn sets(b: &[f64], edges: impl Iterator<Item = (u32, u32, f64)>) -> Vec<Vec<(u32, f64)>> {
    let mut above: Vec<u32> = (0..b.len() as u32).collect();
    fn root(above: &mut [u32], mut j: u32) -> u32 {
        while above[j as usize] != j {
            above[j as usize] = above[above[j as usize] as usize];
            j = above[j as usize];
        }
        j
    }
    for (i, j, w) in edges {
        let (x, y) = (b[i as usize], b[j as usize]);
        if x != 0.0 && x == y * w.signum() {
            let (i, j) = (root(&mut above, i), root(&mut above, j));
            above[i.max(j) as usize] = i.min(j);
        }
    }
    let mut numbers = vec![usize::MAX; b.len()];
    let mut sets: Vec<Vec<(u32, f64)>> = vec![];
    for j in (0..b.len() as u32).filter(|j| b[*j as usize] != 0.0) {
        // The root of a set is its first.
        let first = root(&mut above, j) as usize;
        if first == j as usize {
            numbers[first] = sets.len();
            sets.push(vec![]);
        }
        sets[numbers[first]].push((j, if b[j as usize] == b[first] { 1.0 } else { -1.0 }));
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_are_checked() {
        let edge = |from, to, weight| Edge { from, to, weight };
        let graph = Graph::new(4, vec![edge(3, 1, -2.0), edge(0, 1, 1.0)]).unwrap();
        assert_eq!(graph.edges(), [edge(0, 1, 1.0), edge(1, 3, -2.0)]);
        assert_eq!(
            (Graph::chain(3).edges().len(), Graph::chain(0).edges().len(), graph.columns()),
            (2, 0, 4)
        );
        for (edges, message) in [
            (vec![edge(0, 4, 1.0)], "columns 1 and 5 is of a column that is not there"),
            (vec![edge(2, 2, 1.0)], "goes nowhere"),
            (vec![edge(0, 1, 0.0)], "has the weight 0"),
            (vec![edge(0, 1, f64::NAN)], "has the weight NaN"),
            (vec![edge(0, 1, 1.0), edge(1, 0, 1.0)], "is there twice"),
        ] {
            let e = Graph::new(4, edges).unwrap_err();
            assert!(e.to_string().contains(message) && e.exit_code() == 3, "{e}");
        }
    }

    #[test]
    fn sets_follow_the_signs_of_edges() {
        let edge = |from, to, weight| Edge { from, to, weight };
        let edges =
            vec![edge(0, 1, 1.0), edge(1, 2, -0.5), edge(2, 3, 1.0), edge(4, 5, 1.0), edge(0, 6, 1.0)];
        let graph = Graph::new(7, edges).unwrap();
        let sets = graph.fused(&[2.0, 2.0, -2.0, 2.0, 0.0, 0.0, 1.0]);
        assert_eq!(sets, [vec![(0, 1.0), (1, 1.0), (2, -1.0)], vec![(3, 1.0)], vec![(6, 1.0)]]);
    }
}
