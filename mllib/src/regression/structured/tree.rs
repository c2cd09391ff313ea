//! Trees of columns, and the penalty that they make.
//!
//! # The penalty
//! `Σ_v w_v |b_v|₂` over nodes, where `b_v` are the weights of all columns at or below `v`, and `Σ_j u_j |b_j|` over columns. Two nodes
//! have nested sets of columns, or none in common.
//!
//! # Cost
//! Linear in nodes and columns, however deep the tree is; the largest multiple takes some tens of such passes.
//!
//! # References
//! Jenatton, Mairal, Obozinski and Bach, Proximal methods for hierarchical sparse coding, JMLR 12 (2011): one pass from the
//! leaves to the root is the proximal map, and a vector is dual feasible if that map takes it to zero.

use super::penalty::{Penalty, Smooth, largest_within};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};

/// No node.
const NONE: u32 = u32::MAX;

/// A node of a [`Tree`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Node {
    /// The node above it; roots have none.
    pub parent: Option<usize>,
    /// The weight of its norm; the root of how many columns it has, if there is none.
    pub weight: Option<f64>,
}

/// A column of a [`Tree`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Leaf {
    /// The node that it hangs on.
    pub node: usize,
    /// The weight of its own absolute value, which may be 0.
    pub weight: f64,
}

/// A tree, or several, whose leaves are columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// By node, children first: the one above.
    parents: Vec<u32>,
    /// By node: the weight of its norm.
    weights: Vec<f64>,
    /// By column: the node that it hangs on.
    places: Vec<u32>,
    /// By column: the weight of its absolute value.
    leaves: Vec<f64>,
}

fn fault<T>(message: String, hint: &str) -> Result<T> {
    Err(Error::input(message, hint.to_string()))
}

impl Tree {
    /// From its nodes, in any order, and its columns.
    ///
    /// # Errors
    /// Input, if a node or column names a node that is not there, if nodes go round in a circle, if a node has no columns, or
    /// for a weight that cannot be.
    pub fn new(nodes: &[Node], leaves: &[Leaf]) -> Result<Self> {
        let is_bad = |v: Option<usize>| v.is_some_and(|v| v >= nodes.len());
        if let Some(v) = nodes.iter().position(|node| is_bad(node.parent)) {
            return fault(format!("node {v} has a parent that is not there"), "parents are nodes");
        }
        if let Some(j) = leaves.iter().position(|leaf| is_bad(Some(leaf.node))) {
            return fault(
                format!("column {} hangs on no node that is there", j + 1),
                "name one of the nodes",
            );
        }
        let of_nodes = nodes.iter().filter_map(|node| node.weight);
        if let Some(w) = of_nodes.into_iter().find(|w| !(w.is_finite() && *w > 0.0)) {
            return fault(format!("a node with weight {w}"), "weights are positive numbers");
        }
        if let Some(leaf) = leaves.iter().find(|leaf| !(leaf.weight.is_finite() && leaf.weight >= 0.0)) {
            return fault(format!("a column with weight {}", leaf.weight), "weights are not negative");
        }
        // A node's turn comes when all its children had theirs.
        let mut waiting = vec![0usize; nodes.len()];
        nodes.iter().filter_map(|node| node.parent).for_each(|p| waiting[p] += 1);
        let mut order: Vec<usize> = (0..nodes.len()).filter(|v| waiting[*v] == 0).collect();
        let mut at = 0;
        while let Some(v) = order.get(at) {
            at += 1;
            if let Some(p) = nodes[*v].parent {
                waiting[p] -= 1;
                if waiting[p] == 0 {
                    order.push(p);
                }
            }
        }
        if let Some(v) = waiting.iter().position(|w| *w > 0) {
            return fault(
                format!("node {v} is below itself, or above nodes that are"),
                "trees have no circles",
            );
        }
        let mut numbers = vec![0u32; nodes.len()];
        order.iter().zip(0..).for_each(|(v, number)| numbers[*v] = number);
        let parents: Vec<u32> = order.iter().map(|v| nodes[*v].parent.map_or(NONE, |p| numbers[p])).collect();
        let places: Vec<u32> = leaves.iter().map(|leaf| numbers[leaf.node]).collect();
        let mut sizes = vec![0usize; nodes.len()];
        places.iter().for_each(|v| sizes[*v as usize] += 1);
        for v in 0..sizes.len() {
            if sizes[v] == 0 {
                return fault(format!("node {} has no columns", order[v]), "leave it out");
            }
            if parents[v] != NONE {
                sizes[parents[v] as usize] += sizes[v];
            }
        }
        let weight = |(v, size): (&usize, &usize)| nodes[*v].weight.unwrap_or((*size as f64).sqrt());
        let weights = order.iter().zip(&sizes).map(weight).collect();
        Ok(Tree { parents, weights, places, leaves: leaves.iter().map(|leaf| leaf.weight).collect() })
    }
    /// How many columns it has.
    pub fn columns(&self) -> usize {
        self.places.len()
    }
    /// How many nodes it has, columns not among them.
    pub fn len(&self) -> usize {
        self.parents.len()
    }
    /// True if it has none.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }
    /// How many of its nodes have weights that are not 0.
    pub fn active(&self, b: &[f64]) -> usize {
        let mut is_active = vec![false; self.len()];
        let with_weight = self.places.iter().zip(b).filter(|(_, b)| **b != 0.0);
        with_weight.for_each(|(v, _)| is_active[*v as usize] = true);
        for v in 0..self.len() {
            if is_active[v] && self.parents[v] != NONE {
                is_active[self.parents[v] as usize] = true;
            }
        }
        is_active.iter().filter(|a| **a).count()
    }
    /// The penalty of some columns, where all others have no weight.
    pub(super) fn penalty(&self, columns: &[usize]) -> TreePenalty {
        // By node: how many of its children are left, and the last of them.
        let mut children = vec![0u32; self.len()];
        let mut only = vec![NONE; self.len()];
        columns.iter().for_each(|j| children[self.places[*j] as usize] += 1);
        let mut penalty = TreePenalty::default();
        let mut names = vec![NONE; self.len()];
        for v in 0..self.len() {
            if children[v] == 0 {
                continue;
            }
            // A node above one other alone has the same columns: the two are one.
            names[v] = match (children[v], only[v]) {
                (1, one) if one != NONE => {
                    penalty.weights[one as usize] += self.weights[v];
                    one
                }
                _ => {
                    penalty.weights.push(self.weights[v]);
                    penalty.parents.push(NONE);
                    penalty.weights.len() as u32 - 1
                }
            };
            if self.parents[v] != NONE {
                let above = self.parents[v] as usize;
                children[above] += 1;
                only[above] = names[v];
            }
        }
        for v in 0..self.len() {
            let above = self.parents[v];
            if children[v] > 0 && above != NONE && names[above as usize] != names[v] {
                penalty.parents[names[v] as usize] = names[above as usize];
            }
        }
        penalty.places = columns.iter().map(|j| names[self.places[*j] as usize]).collect();
        penalty.leaves = columns.iter().map(|j| self.leaves[*j]).collect();
        penalty
    }
}

/// The penalty of some columns.
#[derive(Debug, Default)]
pub(super) struct TreePenalty {
    /// By node, children first.
    parents: Vec<u32>,
    weights: Vec<f64>,
    /// By column.
    places: Vec<u32>,
    leaves: Vec<f64>,
}

/// `x` nearer to 0 by `by`.
fn shrunk(x: f64, by: f64) -> f64 {
    (x.abs() - by).max(0.0).copysign(x)
}

impl TreePenalty {
    /// By node: the squared norm of its columns' weights.
    fn squares(&self, b: &[f64]) -> Vec<f64> {
        let mut squares = vec![0.0; self.parents.len()];
        self.places.iter().zip(b).for_each(|(v, b)| squares[*v as usize] += b * b);
        for (v, above) in self.parents.iter().enumerate() {
            if *above != NONE {
                squares[*above as usize] += squares[v];
            }
        }
        squares
    }
    /// By node: what the proximal map multiplies its columns by, those of nodes below and above it not included.
    fn shares(&self, b: impl Iterator<Item = f64>, scale: f64) -> Vec<f64> {
        let mut squares = vec![0.0; self.parents.len()];
        for ((v, leaf), b) in self.places.iter().zip(&self.leaves).zip(b) {
            squares[*v as usize] += shrunk(b, scale * leaf).powi(2);
        }
        let mut shares = vec![0.0; self.parents.len()];
        for (v, above) in self.parents.iter().enumerate() {
            let (norm, by) = (squares[v].sqrt(), scale * self.weights[v]);
            if norm > by {
                shares[v] = 1.0 - by / norm;
                if *above != NONE {
                    squares[*above as usize] += (norm - by).powi(2);
                }
            }
        }
        shares
    }
}

impl Penalty for TreePenalty {
    fn value(&self, b: &[f64]) -> f64 {
        let of_leaves: f64 = self.leaves.iter().zip(b).map(|(w, b)| w * b.abs()).sum();
        let of_nodes: f64 = self.weights.iter().zip(self.squares(b)).map(|(w, s)| w * s.sqrt()).sum();
        of_leaves + of_nodes
    }
    fn shrink(&self, b: &mut [f64], scale: f64) {
        let mut shares = self.shares(b.iter().copied(), scale);
        for v in (0..shares.len()).rev() {
            if self.parents[v] != NONE {
                shares[v] *= shares[self.parents[v] as usize];
            }
        }
        for ((v, leaf), b) in self.places.iter().zip(&self.leaves).zip(b) {
            *b = shrunk(*b, scale * leaf) * shares[*v as usize];
        }
    }
    fn largest_multiple(&self, c: &[f64], cap: f64) -> f64 {
        let is_zero = |s: f64| {
            let shares = self.shares(c.iter().map(|c| s * c), 1.0);
            self.parents.iter().zip(shares).all(|(above, share)| *above != NONE || share == 0.0)
        };
        largest_within(cap, is_zero)
    }
    fn smooth_at(&self, b: &[f64]) -> Smooth {
        let squares = self.squares(b);
        // Sums along the way to the root: of w / norm, and of w / norm³.
        let mut first = vec![0.0; squares.len()];
        for v in (0..squares.len()).rev() {
            let above = if self.parents[v] == NONE { 0.0 } else { first[self.parents[v] as usize] };
            first[v] = above + if squares[v] > 0.0 { self.weights[v] / squares[v].sqrt() } else { 0.0 };
        }
        let mut smooth = Smooth::default();
        let mut members: Vec<Vec<u32>> = vec![vec![]; squares.len()];
        for (j, b) in b.iter().enumerate().filter(|(_, b)| **b != 0.0) {
            let way = smooth.ways.len() as u32;
            let v = self.places[j] as usize;
            smooth.ways.push(vec![(j as u32, 1.0)]);
            smooth.gradient.push(first[v] * b + self.leaves[j].copysign(*b));
            smooth.curvature.push((way, way, first[v]));
            members[v].push(way);
        }
        let weight = |way: u32| b[smooth.ways[way as usize][0].0 as usize];
        let mut products = vec![];
        for v in 0..squares.len() {
            let of_node = std::mem::take(&mut members[v]);
            if squares[v] > 0.0 {
                let share = self.weights[v] / (squares[v] * squares[v].sqrt());
                for i in &of_node {
                    let with = of_node.iter().filter(|k| *k <= i);
                    products.extend(with.map(|k| (*i, *k, -share * weight(*i) * weight(*k))));
                }
            }
            if self.parents[v] != NONE {
                members[self.parents[v] as usize].extend(of_node);
            }
        }
        smooth.curvature.extend(products);
        smooth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::rng;

    fn node(parent: Option<usize>, weight: Option<f64>) -> Node {
        Node { parent, weight }
    }

    /// Two trees of nine columns, one three deep.
    fn made() -> Tree {
        let nodes = [
            node(Some(3), None),
            node(Some(3), Some(0.7)),
            node(None, None),
            node(Some(4), Some(0.4)),
            node(None, Some(0.9)),
        ];
        let leaf = |node, weight| Leaf { node, weight };
        let places =
            [(0, 0.0), (0, 0.2), (1, 0.0), (1, 0.3), (3, 0.0), (4, 0.1), (2, 0.0), (2, 0.5), (1, 0.0)];
        Tree::new(&nodes, &places.map(|(v, w)| leaf(v, w))).unwrap()
    }

    #[test]
    fn trees_are_checked() {
        let tree = made();
        assert_eq!((tree.columns(), tree.len()), (9, 5));
        let mut b = [0.0; 9];
        b[2] = 1.0;
        assert_eq!((tree.active(&b), tree.active(&[0.0; 9])), (3, 0));
        let leaves = [Leaf::default(), Leaf { node: 1, weight: 0.0 }];
        for (nodes, message) in [
            (vec![node(Some(1), None), node(Some(0), None)], "below itself"),
            (vec![node(Some(0), None), node(None, None)], "below itself"),
            (vec![node(Some(7), None), node(None, None)], "not there"),
            (vec![node(None, None)], "column 2 hangs on no node"),
            (vec![node(None, None), node(None, Some(0.0))], "weight 0"),
            (vec![node(None, None), node(None, None), node(None, None)], "node 2 has no columns"),
        ] {
            let e = Tree::new(&nodes, &leaves).unwrap_err();
            assert!(e.to_string().contains(message) && e.exit_code() == 3, "{e}");
        }
    }

    #[test]
    fn proximal_maps_multiples_and_derivatives() {
        let tree = made();
        for seed in 0..5 {
            super::super::checks::check(&tree.penalty(&[0, 1, 2, 3, 4, 5, 6, 7, 8]), 9, seed);
            super::super::checks::check(&tree.penalty(&[8, 0, 3, 7]), 4, 10 + seed);
        }
    }

    /// Of a choice of columns: the value is that of all columns, the others without weight, whatever nodes became one.
    #[test]
    fn a_choice_of_columns_has_the_same_penalty() {
        let tree = made();
        let all: Vec<usize> = (0..9).collect();
        let whole = tree.penalty(&all);
        let mut rng = rng::stream(3, 0);
        for choice in [&[0usize][..], &[2, 8], &[0, 6, 4], &[5], &[7, 1, 3, 2]] {
            let some = tree.penalty(choice);
            let b: Vec<f64> = choice.iter().map(|_| rng::normal(&mut rng)).collect();
            let mut full = vec![0.0; 9];
            choice.iter().zip(&b).for_each(|(j, b)| full[*j] = *b);
            assert!((some.value(&b) - whole.value(&full)).abs() < 1e-14);
            let mut shrunk = b.clone();
            some.shrink(&mut shrunk, 0.3);
            whole.shrink(&mut full, 0.3);
            choice.iter().zip(&shrunk).for_each(|(j, b)| assert!((full[*j] - b).abs() < 1e-14, "{choice:?}"));
        }
    }
}
