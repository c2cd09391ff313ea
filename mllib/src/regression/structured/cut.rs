//! Minimal cuts, and the proximal map of total variation and absolute values by them.
//!
//! # What it does
//! `min 1/2 |x - c|² + scale (Σ a_i |x_i| + Σ w_ij |x_i - x_j|)`. The places where the minimum is above a level are those that maximise
//! the sum of what pulls them up there, less the weights of edges that leave them: a minimal cut. So zero is decided first,
//! with two cuts, and then what is above it (and below) is divided at the mean that it would have as one, until it is one.
//!
//! # Guarantees
//! Exact but for rounding, and a set that is one has one value, to the bit.
//!
//! # Cost
//! A cut of a forest takes two passes over it; of other graphs, a maximal flow (Dinic). There are about as many as logarithm of how many
//! values there are, each of fewer places.
//!
//! # References
//! Hochbaum, JACM 48 (2001); Chambolle and Darbon, IJCV 84 (2009); Dinic 1970.

use std::collections::VecDeque;

/// No place.
const NONE: u32 = u32::MAX;
/// What is less than this part of the largest number is rounding.
const ROUNDING: f64 = 1e-14;

/// Places and weighted edges. Places are numbered so that all but one of a connected part have a neighbour before them.
#[derive(Debug, Default)]
pub(super) struct Net {
    /// Directed edges of place `i` are `starts[i]..starts[i + 1]`.
    starts: Vec<u32>,
    to: Vec<u32>,
    /// By directed edge: the one back.
    back: Vec<u32>,
    weights: Vec<f64>,
    /// Of a forest, by place: the neighbour before it, and the weight of that edge.
    above: Option<Vec<(u32, f64)>>,
}

impl Net {
    /// From edges `(i, j, weight)`, each once.
    pub fn new(places: usize, edges: &[(u32, u32, f64)]) -> Self {
        let mut counts = vec![0u32; places + 1];
        for (i, j, _) in edges {
            counts[*i as usize + 1] += 1;
            counts[*j as usize + 1] += 1;
        }
        (0..places).for_each(|i| counts[i + 1] += counts[i]);
        let mut next = counts.clone();
        let (mut to, mut back, mut weights) =
            (vec![0; 2 * edges.len()], vec![0; 2 * edges.len()], vec![0.0; 2 * edges.len()]);
        for (i, j, w) in edges {
            let (a, b) = (next[*i as usize], next[*j as usize]);
            (next[*i as usize], next[*j as usize]) = (a + 1, b + 1);
            (to[a as usize], back[a as usize], weights[a as usize]) = (*j, b, *w);
            (to[b as usize], back[b as usize], weights[b as usize]) = (*i, a, *w);
        }
        let mut net = Net { starts: counts, to, back, weights, above: None };
        let before = |i: usize| {
            let net = &net;
            net.edges(i).filter(move |e| (net.to[*e] as usize) < i)
        };
        if (0..places).all(|i| before(i).count() <= 1) {
            let above = |i: usize| before(i).next().map_or((NONE, 0.0), |e| (net.to[e], net.weights[e]));
            let above = (0..places).map(above).collect();
            net.above = Some(above);
        }
        net
    }
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }
    #[inline(always)]
    fn edges(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i] as usize..self.starts[i + 1] as usize
    }
    /// The weight of edges that leave a set.
    fn leaving(&self, i: usize, is_in: impl Fn(usize) -> bool) -> f64 {
        self.edges(i).filter(|e| !is_in(self.to[*e] as usize)).map(|e| self.weights[e]).sum()
    }
    /// The least multiple of `c` for which a set has more of it than `a` and the edges that leave it, if that is below `cap`.
    pub fn largest_multiple(&self, c: &[f64], a: &[f64], cap: f64) -> f64 {
        let all: Vec<u32> = (0..self.len() as u32).collect();
        let mut regions = vec![0; self.len()];
        let mut s = cap;
        for sign in [1.0, -1.0] {
            loop {
                let gains: Vec<f64> = c.iter().zip(a).map(|(c, a)| s * sign * c - a).collect();
                let set = self.cut(&all, &mut regions, &gains, 1.0);
                let (mut sum, mut cost) = (0.0, 0.0);
                for i in all.iter().map(|i| *i as usize).filter(|i| set[*i]) {
                    sum += sign * c[i];
                    cost += a[i] + self.leaving(i, |j| set[j]);
                }
                let next = cost / sum;
                if !(sum > 0.0 && next < s) {
                    break;
                }
                s = next;
            }
        }
        s
    }
    /// The point that minimises.
    pub fn shrink(&self, c: &[f64], a: &[f64], scale: f64) -> Vec<f64> {
        let all: Vec<u32> = (0..self.len() as u32).collect();
        let mut regions = vec![0; self.len()];
        let mut x = vec![0.0; self.len()];
        for sign in [1.0, -1.0] {
            let mut pull: Vec<f64> = c.iter().zip(a).map(|(c, a)| sign * c - scale * a).collect();
            let set = self.cut(&all, &mut regions, &pull, scale);
            let members: Vec<u32> = all.iter().copied().filter(|i| set[*i as usize]).collect();
            for i in &members {
                pull[*i as usize] -= scale * self.leaving(*i as usize, |j| set[j]);
            }
            self.divide(members, &mut regions, &mut pull, scale, |i, value| x[i] = sign * value.max(0.0));
            regions.fill(0);
        }
        x
    }
    /// Gives every place of a set its value, where `pull` is what it is drawn to, with what edges that leave the set do to it.
    fn divide(
        &self,
        members: Vec<u32>,
        regions: &mut [u32],
        pull: &mut [f64],
        scale: f64,
        mut give: impl FnMut(usize, f64),
    ) {
        let mut last = 1;
        members.iter().for_each(|i| regions[*i as usize] = last);
        let mut open = vec![members];
        let mut gains = vec![0.0; self.len()];
        while let Some(members) = open.pop() {
            if members.is_empty() {
                continue;
            }
            let places = || members.iter().map(|i| *i as usize);
            let mean = places().map(|i| pull[i]).sum::<f64>() / members.len() as f64;
            places().for_each(|i| gains[i] = pull[i] - mean);
            let set = self.cut(&members, regions, &gains, scale);
            let region = regions[members[0] as usize];
            let is_one = |i: usize| regions[i] == region && set[i];
            let gain: f64 = places()
                .filter(|i| set[*i])
                .map(|i| {
                    let within = self.edges(i).filter(|e| regions[self.to[*e] as usize] == region);
                    let cut: f64 =
                        within.filter(|e| !is_one(self.to[*e] as usize)).map(|e| self.weights[e]).sum();
                    gains[i] - scale * cut
                })
                .sum();
            let size: f64 = places().map(|i| pull[i].abs()).sum();
            if gain <= 10.0 * ROUNDING * size {
                places().for_each(|i| give(i, mean));
                continue;
            }
            for i in places() {
                for e in self.edges(i) {
                    let j = self.to[e] as usize;
                    if regions[j] == region && set[j] != set[i] {
                        pull[i] += if set[i] { -scale * self.weights[e] } else { scale * self.weights[e] };
                    }
                }
            }
            let (above, below): (Vec<u32>, Vec<u32>) = members.iter().partition(|i| set[**i as usize]);
            for part in [above, below] {
                last += 1;
                part.iter().for_each(|i| regions[*i as usize] = last);
                open.push(part);
            }
        }
    }
    /// The places, of `members`, that maximise the sum of gains less `scale` times the weight of edges from them to other members.
    /// Members, ascending, are those of one region.
    fn cut(&self, members: &[u32], regions: &mut [u32], gains: &[f64], scale: f64) -> Vec<bool> {
        let mut set = vec![false; self.len()];
        let largest = members.iter().fold(0.0f64, |m, i| m.max(gains[*i as usize].abs()));
        if !members.iter().any(|i| gains[*i as usize] > 0.0) {
            return set;
        }
        let rounding = ROUNDING * largest;
        match &self.above {
            Some(above) => cut_forest(above, members, regions, gains, scale, rounding, &mut set),
            None => self.cut_by_flow(members, regions, gains, scale, rounding, &mut set),
        }
        set
    }
    fn cut_by_flow(
        &self,
        members: &[u32],
        regions: &[u32],
        gains: &[f64],
        scale: f64,
        rounding: f64,
        set: &mut [bool],
    ) {
        let mut room = vec![0.0; self.to.len()];
        let mut left = vec![0.0; self.len()];
        for i in members.iter().map(|i| *i as usize) {
            left[i] = gains[i];
            for e in self.edges(i) {
                if regions[self.to[e] as usize] == regions[i] {
                    room[e] = scale * self.weights[e];
                }
            }
        }
        let mut levels = vec![NONE; self.len()];
        let mut arcs = vec![0u32; self.len()];
        loop {
            // Levels from all that have something left to all that lack something.
            members.iter().for_each(|i| levels[*i as usize] = NONE);
            let mut queue: VecDeque<u32> =
                members.iter().copied().filter(|i| left[*i as usize] > rounding).collect();
            queue.iter().for_each(|i| levels[*i as usize] = 0);
            let mut is_reached = false;
            while let Some(i) = queue.pop_front() {
                is_reached |= left[i as usize] < -rounding;
                for e in self.edges(i as usize) {
                    let j = self.to[e] as usize;
                    if room[e] > rounding && levels[j] == NONE {
                        levels[j] = levels[i as usize] + 1;
                        queue.push_back(j as u32);
                    }
                }
            }
            if !is_reached {
                break;
            }
            members.iter().for_each(|i| arcs[*i as usize] = self.starts[*i as usize]);
            for source in members.iter().map(|i| *i as usize) {
                if levels[source] == 0 {
                    self.send(source, &mut room, &mut left, &levels, &mut arcs, rounding);
                }
            }
        }
        members.iter().for_each(|i| set[*i as usize] = levels[*i as usize] != NONE);
    }
    /// Sends what a place has left along levels, as far as it can.
    fn send(
        &self,
        source: usize,
        room: &mut [f64],
        left: &mut [f64],
        levels: &[u32],
        arcs: &mut [u32],
        rounding: f64,
    ) {
        let mut path: Vec<usize> = vec![];
        let mut at = source;
        while left[source] > rounding {
            if left[at] < -rounding {
                let least = path.iter().fold(left[source].min(-left[at]), |m, e| m.min(room[*e]));
                for e in &path {
                    room[*e] -= least;
                    room[self.back[*e] as usize] += least;
                }
                left[source] -= least;
                left[at] += least;
                // Back to before the first edge that is full.
                let full = path.iter().position(|e| room[*e] <= rounding);
                let keep = full.unwrap_or(path.len());
                if let Some(e) = path.get(keep) {
                    at = self.to[self.back[*e] as usize] as usize;
                }
                path.truncate(keep);
                continue;
            }
            let end = self.starts[at + 1];
            let mut arc = arcs[at];
            while arc < end {
                let e = arc as usize;
                if room[e] > rounding && levels[self.to[e] as usize] == levels[at] + 1 {
                    break;
                }
                arc += 1;
            }
            arcs[at] = arc;
            if arc < end {
                path.push(arc as usize);
                at = self.to[arc as usize] as usize;
            } else {
                let Some(e) = path.pop() else { return };
                at = self.to[self.back[e] as usize] as usize;
                arcs[at] += 1;
            }
        }
    }
}

/// The cut of a forest: what each part below a place comes to, from the leaves; then who is in, from the roots.
fn cut_forest(
    above: &[(u32, f64)],
    members: &[u32],
    regions: &[u32],
    gains: &[f64],
    scale: f64,
    rounding: f64,
    set: &mut [bool],
) {
    let mut sums = vec![0.0; above.len()];
    members.iter().for_each(|i| sums[*i as usize] = gains[*i as usize]);
    let parent = |i: usize| {
        let (p, w) = above[i];
        (p != NONE && regions[p as usize] == regions[i]).then_some((p as usize, scale * w))
    };
    for i in members.iter().rev().map(|i| *i as usize) {
        if let Some((p, w)) = parent(i) {
            sums[p] += sums[i].clamp(-w, w);
        }
    }
    for i in members.iter().map(|i| *i as usize) {
        set[i] = match parent(i) {
            None => sums[i] > rounding,
            Some((p, w)) if set[p] => sums[i] > rounding - w,
            Some((_, w)) => sums[i] > w + rounding,
        };
    }
}
