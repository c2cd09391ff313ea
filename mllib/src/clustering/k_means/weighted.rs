//! k-means of a few weighted points, in one place: what k-means|| makes first centres of.

use super::lloyd::direct;
use super::params::Distance;
use crate::linalg::dense::{axpy, dot};
use crate::random::unit_of;

/// Lloyd's iterations at most, as in Spark.
const ITERATIONS: usize = 30;

/// Points, one after the other, and a weight for each.
pub(super) struct Points<'a> {
    pub values: &'a [f64],
    pub columns: usize,
    pub weights: &'a [f64],
}

impl<'a> Points<'a> {
    fn point(&self, i: usize) -> &'a [f64] {
        &self.values[i * self.columns..][..self.columns]
    }
    /// `k` centres, of at least as many points: k-means++, of which every step tries some points and takes the best
    /// (as scikit-learn does), and some of Lloyd's iterations.
    pub fn cluster(&self, k: usize, distance: Distance, seed: [u64; 2]) -> Vec<f64> {
        let mut centers = self.first(k, seed);
        let mut assigned = vec![];
        for _ in 0..ITERATIONS {
            let before = std::mem::replace(&mut assigned, self.assign(&centers, k));
            if before == assigned {
                break;
            }
            self.move_to_means(&mut centers, &assigned, distance);
        }
        centers
    }
    /// Values of the points that k-means++ draws.
    fn first(&self, k: usize, seed: [u64; 2]) -> Vec<f64> {
        let n = self.weights.len();
        let trials = 2 + (k as f64).ln() as usize;
        let mut distances = vec![f64::INFINITY; n];
        let mut centers = Vec::with_capacity(k * self.columns);
        for center in 0..k {
            let potential = |i: usize| {
                let apart = if center == 0 { 1.0 } else { distances[i] };
                self.weights[i] * apart
            };
            let time = |i: &usize| {
                let unit = unit_of([seed[0], seed[1], u64::MAX, center as u64, *i as u64]);
                -(1.0 - unit).ln() / potential(*i)
            };
            let mut runners: Vec<(f64, usize)> = (0..n).map(|i| (time(&i), i)).collect();
            runners.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let tried = runners.iter().take(if center == 0 { 1 } else { trials });
            let with =
                |i: usize| -> Vec<f64> { (0..n).map(|o| distances[o].min(self.apart(i, o))).collect() };
            let cost =
                |distances: &[f64]| distances.iter().zip(self.weights).map(|(d, w)| d * w).sum::<f64>();
            let tried = tried.map(|(_, i)| (*i, with(*i)));
            let best = tried.map(|(i, distances)| (cost(&distances), i, distances));
            let (_, i, lowered) = best.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is a point");
            centers.extend_from_slice(self.point(i));
            distances = lowered;
        }
        centers
    }
    fn apart(&self, i: usize, other: usize) -> f64 {
        self.point(i).iter().zip(self.point(other)).map(|(a, b)| (a - b) * (a - b)).sum()
    }
    fn assign(&self, centers: &[f64], k: usize) -> Vec<usize> {
        let center = |j: usize| &centers[j * self.columns..][..self.columns];
        let halves: Vec<f64> = (0..k).map(|j| 0.5 * dot(center(j), center(j))).collect();
        let nearest = |i: usize| {
            let score = |j: usize| halves[j] - dot(self.point(i), center(j));
            let less = |best: (usize, f64), next: (usize, f64)| if next.1 < best.1 { next } else { best };
            (1..k).map(|j| (j, score(j))).fold((0, score(0)), less).0
        };
        (0..self.weights.len()).map(nearest).collect()
    }
    /// A centre without points stays, and so does one whose points have no direction.
    fn move_to_means(&self, centers: &mut [f64], assigned: &[usize], distance: Distance) {
        let k = centers.len() / self.columns.max(1);
        let (mut sums, mut weights) = (vec![0.0; centers.len()], vec![0.0; k]);
        for (i, center) in assigned.iter().enumerate().filter(|_| k > 0) {
            axpy(self.weights[i], self.point(i), &mut sums[center * self.columns..][..self.columns]);
            weights[*center] += self.weights[i];
        }
        for (j, weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            let mean = &mut sums[j * self.columns..][..self.columns];
            mean.iter_mut().for_each(|x| *x /= weight);
            if direct(mean, distance) {
                centers[j * self.columns..][..self.columns].copy_from_slice(mean);
            }
        }
    }
}
