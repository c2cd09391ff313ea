//! The penalty of a graph: `Σ a_i |b_i| + Σ w_ij |b_i - s_ij b_j|`.
//!
//! # What it does
//! Edges with a sign are done away with: where the signs along every circle make up +1, the signs of some columns are turned around;
//! a part of the graph where they do not is taken twice, once with all signs turned around, and an edge of sign -1 goes from one
//! copy to the other. The minimum of two copies is that of one, and its negative. Columns that are left out have weight 0:
//! edges to them are absolute values.

use super::cut::Net;
use super::graph::{Graph, sets};
use super::penalty::{Penalty, Smooth};
use std::collections::VecDeque;

/// No number.
const NONE: u32 = u32::MAX;

/// The penalty of some columns.
#[derive(Debug)]
pub(super) struct FusedPenalty {
    /// By column: the weight of its absolute value.
    singles: Vec<f64>,
    /// Columns, the weight, and the sign.
    edges: Vec<(u32, u32, f64, f64)>,
    /// Parts without circles, and the others.
    parts: [Part; 2],
}

/// Some connected parts of the graph, without signs.
#[derive(Debug, Default)]
struct Part {
    net: Net,
    /// By place: the column, and its sign here.
    places: Vec<(u32, f64)>,
    /// By place: true if the column is here with the other sign, too.
    is_twice: Vec<bool>,
    singles: Vec<f64>,
}

impl FusedPenalty {
    pub fn new(graph: &Graph, fusion: f64, columns: &[usize]) -> Self {
        let mut numbers = vec![NONE; graph.columns()];
        columns.iter().zip(0..).for_each(|(j, number)| numbers[*j] = number);
        let mut singles = vec![1.0; columns.len()];
        let mut edges = vec![];
        for edge in graph.edges().iter().filter(|_| fusion > 0.0) {
            let (w, sign) = (fusion * edge.weight.abs(), edge.weight.signum());
            match (numbers[edge.from as usize], numbers[edge.to as usize]) {
                (NONE, NONE) => {}
                (NONE, j) | (j, NONE) => singles[j as usize] += w,
                (i, j) => edges.push((i, j, w, sign)),
            }
        }
        let parts = parts(&edges, &singles);
        FusedPenalty { singles, edges, parts }
    }
}

/// The parts of a graph with signs.
fn parts(edges: &[(u32, u32, f64, f64)], singles: &[f64]) -> [Part; 2] {
    let mut neighbours: Vec<Vec<(u32, f64, f64)>> = vec![vec![]; singles.len()];
    for (i, j, w, sign) in edges {
        neighbours[*i as usize].push((*j, *w, *sign));
        neighbours[*j as usize].push((*i, *w, *sign));
    }
    let mut places: [Vec<(u32, f64)>; 2] = [vec![], vec![]];
    let mut lists: [Vec<(u32, u32, f64)>; 2] = [vec![], vec![]];
    let mut signs = vec![0.0; singles.len()];
    // By column and sign: its place in its part.
    let mut numbers = vec![[NONE; 2]; singles.len()];
    let side = |sign: f64| usize::from(sign < 0.0);
    for first in 0..singles.len() as u32 {
        if signs[first as usize] != 0.0 {
            continue;
        }
        signs[first as usize] = 1.0;
        let (mut order, mut at, mut ends, mut is_balanced) = (vec![first], 0, 0, true);
        while let Some(i) = order.get(at).copied() {
            at += 1;
            ends += neighbours[i as usize].len();
            for (j, _, sign) in &neighbours[i as usize] {
                let wanted = signs[i as usize] * sign;
                if signs[*j as usize] == 0.0 {
                    signs[*j as usize] = wanted;
                    order.push(*j);
                }
                is_balanced &= signs[*j as usize] == wanted;
            }
        }
        let kind = usize::from(ends / 2 + 1 > order.len());
        let mut number = |column: u32, sign: f64| {
            places[kind].push((column, sign));
            numbers[column as usize][side(sign)] = places[kind].len() as u32 - 1;
        };
        if is_balanced {
            order.iter().for_each(|i| number(*i, signs[*i as usize]));
        } else {
            // Two copies are one connected part: they are numbered along its edges, too.
            let mut queue = VecDeque::from([(first, 1.0)]);
            let mut seen = std::collections::HashSet::from([(first, 0)]);
            while let Some((i, of)) = queue.pop_front() {
                number(i, of);
                for (j, _, sign) in &neighbours[i as usize] {
                    if seen.insert((*j, side(of * sign))) {
                        queue.push_back((*j, of * sign));
                    }
                }
            }
        }
        for i in &order {
            for (j, w, sign) in neighbours[*i as usize].iter().filter(|(j, ..)| j > i) {
                for of in [1.0, -1.0] {
                    let (a, b) = (numbers[*i as usize][side(of)], numbers[*j as usize][side(of * sign)]);
                    if a != NONE && b != NONE {
                        lists[kind].push((a, b, *w));
                    }
                }
            }
        }
    }
    let mut lists = lists.into_iter();
    places.map(|places| {
        let net = Net::new(places.len(), &lists.next().unwrap_or_default());
        let singles = places.iter().map(|(j, _)| singles[*j as usize]).collect();
        let is_twice = places.iter().map(|(j, _)| !numbers[*j as usize].contains(&NONE)).collect();
        Part { net, places, is_twice, singles }
    })
}

impl Part {
    fn of(&self, b: &[f64]) -> Vec<f64> {
        self.places.iter().map(|(j, sign)| sign * b[*j as usize]).collect()
    }
}

impl Penalty for FusedPenalty {
    fn value(&self, b: &[f64]) -> f64 {
        let single: f64 = self.singles.iter().zip(b).map(|(a, b)| a * b.abs()).sum();
        let apart =
            |(i, j, w, sign): &(u32, u32, f64, f64)| w * (b[*i as usize] - sign * b[*j as usize]).abs();
        single + self.edges.iter().map(apart).sum::<f64>()
    }
    fn shrink(&self, b: &mut [f64], scale: f64) {
        let shrunk: Vec<Vec<f64>> =
            self.parts.iter().map(|part| part.net.shrink(&part.of(b), &part.singles, scale)).collect();
        b.fill(0.0);
        for (part, x) in self.parts.iter().zip(shrunk) {
            // Of two copies one is the negative of the other but for rounding: the positive one is taken, so that what is
            // the same is the same to the bit.
            for (((j, sign), is_twice), x) in part.places.iter().zip(&part.is_twice).zip(x) {
                if !is_twice || x > 0.0 {
                    b[*j as usize] = sign * x;
                }
            }
        }
    }
    fn largest_multiple(&self, c: &[f64], cap: f64) -> f64 {
        self.parts.iter().fold(cap, |cap, part| part.net.largest_multiple(&part.of(c), &part.singles, cap))
    }
    fn smooth_at(&self, b: &[f64]) -> Smooth {
        let ways = sets(b, self.edges.iter().map(|(i, j, _, sign)| (*i, *j, *sign)));
        let mut on = vec![(NONE, 0.0); b.len()];
        for (way, members) in (0..).zip(&ways) {
            members.iter().for_each(|(j, share)| on[*j as usize] = (way, *share));
        }
        let mut gradient = vec![0.0; ways.len()];
        let mut add = |j: u32, by: f64| {
            let (way, share) = on[j as usize];
            if way != NONE {
                gradient[way as usize] += share * by;
            }
        };
        for (j, b) in (0..).zip(b).filter(|(_, b)| **b != 0.0) {
            add(j, self.singles[j as usize].copysign(*b));
        }
        for (i, j, w, sign) in &self.edges {
            let apart = b[*i as usize] - sign * b[*j as usize];
            if apart != 0.0 {
                add(*i, w.copysign(apart));
                add(*j, -sign * w.copysign(apart));
            }
        }
        Smooth { ways, gradient, curvature: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checks::check;
    use super::super::graph::Edge;
    use super::*;
    use slackwater_dataflow::rng;

    fn edge(from: u32, to: u32, weight: f64) -> Edge {
        Edge { from, to, weight }
    }

    fn random(columns: u32, edges: usize, signed: bool, seed: u64) -> Graph {
        let mut rng = rng::stream(seed, 1);
        let mut taken = std::collections::BTreeMap::new();
        while taken.len() < edges {
            let mut end = || (rng::unit_f64(&mut rng) * columns as f64) as u32;
            let (i, j) = (end(), end());
            if i < j {
                let weight = 0.2 + rng::unit_f64(&mut rng);
                let sign = if signed && rng::unit_f64(&mut rng) < 0.5 { -1.0 } else { 1.0 };
                taken.insert((i, j), sign * weight);
            }
        }
        Graph::new(columns as usize, taken.into_iter().map(|((i, j), w)| edge(i, j, w)).collect()).unwrap()
    }

    #[test]
    fn chains_trees_and_graphs_with_circles_and_signs() {
        let star: Vec<Edge> = (1..9).map(|j| edge(0, j, 0.5)).collect();
        let frustrated = vec![edge(0, 1, 1.0), edge(1, 2, 1.0), edge(0, 2, -1.0), edge(2, 3, 0.4)];
        let graphs = [
            Graph::chain(12),
            Graph::new(9, star).unwrap(),
            Graph::new(5, frustrated).unwrap(),
            random(10, 14, false, 1),
            random(14, 30, false, 2),
            random(10, 16, true, 3),
            random(30, 25, true, 4),
        ];
        for (seed, graph) in (0..).zip(&graphs) {
            for fusion in [0.0, 0.3, 1.0, 4.0] {
                let all: Vec<usize> = (0..graph.columns()).collect();
                check(&FusedPenalty::new(graph, fusion, &all), all.len(), seed);
                let some: Vec<usize> = all.iter().copied().filter(|j| j % 3 != 1).rev().collect();
                check(&FusedPenalty::new(graph, fusion, &some), some.len(), 100 + seed);
            }
        }
    }

    /// Signs that can be turned around change nothing but signs.
    #[test]
    fn signs_turn_around() {
        let plain = Graph::chain(6);
        let signs = [1.0, -1.0, -1.0, 1.0, -1.0, 1.0];
        let edges = plain.edges().iter();
        let turned =
            edges.map(|e| edge(e.from, e.to, signs[e.from as usize] * signs[e.to as usize])).collect();
        let turned = Graph::new(6, turned).unwrap();
        let all: Vec<usize> = (0..6).collect();
        let mut rng = rng::stream(8, 0);
        let c: Vec<f64> = (0..6).map(|_| 2.0 * rng::normal(&mut rng)).collect();
        let (mut a, mut b) = (c.clone(), c.iter().zip(signs).map(|(c, s)| c * s).collect::<Vec<f64>>());
        FusedPenalty::new(&plain, 0.7, &all).shrink(&mut a, 0.5);
        FusedPenalty::new(&turned, 0.7, &all).shrink(&mut b, 0.5);
        assert!(a.iter().any(|a| *a != 0.0));
        a.iter().zip(&b).zip(signs).for_each(|((a, b), s)| assert!((a - s * b).abs() < 1e-14));
    }
}
