//! Atoms: their bounds, and what they begin as.

use super::{FirstAtoms, SparseCodingParams};
use crate::linear::Features;
use crate::objective::DatasetRows;
use crate::random::{shuffle, unit_of};
use slackwater_dataflow::block::LabeledBlock;
use slackwater_dataflow::{Result, rng};
use std::sync::Arc;

/// The draw of rows has a stream of random numbers of its own; partitions have those of their numbers.
const DRAW: u64 = u64::MAX;

/// What atoms may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::decomposition) struct Bounds {
    /// Euclidean length at most.
    pub length: f64,
    pub non_negative: bool,
}

impl Bounds {
    /// Moves atoms to the nearest ones within the bounds. (Nearest of the cone and then of the ball is nearest of both.)
    pub fn project(self, atoms: &mut [f32], columns: usize) {
        for atom in atoms.chunks_exact_mut(columns) {
            self.clip(atom);
            if length(atom) > self.length {
                self.stretch(atom);
            }
        }
    }
    fn clip(self, atom: &mut [f32]) {
        if self.non_negative {
            atom.iter_mut().for_each(|x| *x = x.max(0.0));
        }
    }
    /// Gives an atom the full length.
    fn stretch(self, atom: &mut [f32]) {
        let factor = self.length / length(atom);
        atom.iter_mut().for_each(|x| *x = (f64::from(*x) * factor) as f32);
    }
}

fn length(atom: &[f32]) -> f64 {
    atom.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

/// The first atoms, row by row, of full length.
pub(in crate::decomposition) fn first_atoms(
    params: &SparseCodingParams,
    bounds: Bounds,
    rows: &DatasetRows,
    sizes: &[u64],
    columns: usize,
) -> Result<Vec<f32>> {
    let chosen = match params.first_atoms {
        FirstAtoms::Rows => chosen_rows(rows, sizes, columns, params)?,
        FirstAtoms::Random => vec![],
    };
    let mut atoms = vec![0.0; params.atoms * columns];
    for (k, atom) in atoms.chunks_exact_mut(columns).enumerate() {
        if let Some(row) = chosen.get(k) {
            atom.copy_from_slice(row);
            bounds.clip(atom);
        }
        // So that the length of values near 0 does not vanish, nor that of large ones overflow.
        let largest = atom.iter().fold(0f32, |most, x| most.max(x.abs()));
        if largest > 0.0 {
            atom.iter_mut().for_each(|x| *x /= largest);
        } else {
            let key = |j: usize| [params.seed, k as u64, j as u64];
            atom.iter_mut().enumerate().for_each(|(j, x)| *x = (2.0 * unit_of(key(j)) - 1.0) as f32);
            if bounds.non_negative {
                atom.iter_mut().for_each(|x| *x = x.abs());
            }
        }
        bounds.stretch(atom);
    }
    Ok(atoms)
}

/// As many different rows as there are atoms, or all; in a random order.
fn chosen_rows(
    rows: &DatasetRows,
    sizes: &[u64],
    columns: usize,
    params: &SparseCodingParams,
) -> Result<Vec<Vec<f32>>> {
    let total: u64 = sizes.iter().sum();
    let mut rng = rng::stream(params.seed, DRAW);
    // (number of the row, atom): Floyd's sample of different numbers, which need not know all of them.
    let count = (params.atoms as u64).min(total);
    let mut numbers = std::collections::BTreeSet::new();
    for last in total - count..total {
        let number = rng::below(&mut rng, last + 1);
        if !numbers.insert(number) {
            numbers.insert(last);
        }
    }
    let mut order: Vec<u64> = numbers.into_iter().collect();
    shuffle(&mut order, &mut rng);
    let mut wanted: Vec<(u64, usize)> =
        order.into_iter().enumerate().map(|(k, number)| (number, k)).collect();
    wanted.sort_unstable();
    let starts: Vec<u64> = sizes.iter().scan(0, |at, n| Some(std::mem::replace(at, *at + n))).collect();
    let wanted = Arc::new(wanted);
    let found = rows.map(move |partition, blocks| {
        let mut found = vec![];
        let rows = blocks.iter().flat_map(LabeledBlock::iter);
        for (number, (_, row)) in (starts[partition]..).zip(rows) {
            if let Ok(at) = wanted.binary_search_by_key(&number, |(wanted, _)| *wanted) {
                let mut dense = vec![0.0; columns];
                row.write(&mut dense);
                found.push((wanted[at].1, dense));
            }
        }
        found
    });
    let mut found: Vec<(usize, Vec<f32>)> = found.collect()?.into_iter().flatten().collect();
    found.sort_unstable_by_key(|(k, _)| *k);
    Ok(found.into_iter().map(|(_, row)| row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::Context;
    use slackwater_dataflow::block::{LabeledPoint, Vector, pack};

    #[test]
    fn projections_are_the_nearest() {
        let ball = Bounds { length: 2.0, non_negative: false };
        let cone = Bounds { non_negative: true, ..ball };
        let mut atoms = [3.0, -4.0, 1.0, -1.0];
        ball.project(&mut atoms, 2);
        assert_eq!(atoms, [1.2, -1.6, 1.0, -1.0]);
        let mut atoms = [3.0, -4.0, 1.0, -1.0];
        cone.project(&mut atoms, 2);
        assert_eq!(atoms, [2.0, 0.0, 1.0, 0.0]);
        // No point within the bounds is nearer.
        let outside = [1.7f32, -0.4];
        let mut nearest = outside;
        cone.project(&mut nearest, 2);
        let distance = |x: [f32; 2]| (x[0] - outside[0]).hypot(x[1] - outside[1]);
        for i in 0..=40 {
            for j in 0..=40 {
                let other = [i as f32 / 20.0, j as f32 / 20.0];
                assert!(length(&other) > 2.0 || distance(other) >= distance(nearest) - 1e-6, "{other:?}");
            }
        }
    }

    fn rows(cx: &Context) -> DatasetRows {
        let point = |i: u32| LabeledPoint::new(0.0, Vector::dense([f64::from(i), 10.0 - f64::from(i), 0.0]));
        let part = |range: std::ops::Range<u32>| pack(range.map(point)).collect::<Vec<_>>();
        DatasetRows::from_blocks(&cx.from_partitions(vec![part(0..4), vec![], part(4..11)]))
    }

    #[test]
    fn atoms_begin_as_different_rows() {
        let cx = Context::local(2).unwrap();
        let bounds = Bounds { length: 3.0, non_negative: false };
        let first =
            |params: &SparseCodingParams| first_atoms(params, bounds, &rows(&cx), &[4, 0, 7], 3).unwrap();
        let params = SparseCodingParams { atoms: 13, ..Default::default() };
        let atoms = first(&params);
        let mut slopes: Vec<f32> = atoms.chunks(3).take(11).map(|a| a[0] / (a[0] + a[1])).collect();
        slopes.sort_by(f32::total_cmp);
        assert!(slopes.iter().enumerate().all(|(i, s)| (s - i as f32 / 10.0).abs() < 1e-6), "{slopes:?}");
        assert!(atoms.chunks(3).all(|a| (length(a) - 3.0).abs() < 1e-6));
        assert!(atoms.chunks(3).skip(11).all(|a| a[2] != 0.0), "the others are random");
        let few = |seed| first(&SparseCodingParams { atoms: 3, seed, ..Default::default() });
        assert!(few(1) == few(1) && few(1) != few(2));
        let random = first(&SparseCodingParams { first_atoms: FirstAtoms::Random, ..params });
        assert!(random.chunks(3).all(|a| a[2] != 0.0 && (length(a) - 3.0).abs() < 1e-6));
    }
}
