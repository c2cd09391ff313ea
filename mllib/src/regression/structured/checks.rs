//! What every penalty must hold to, for tests.

use super::penalty::Penalty;
use slackwater_dataflow::rng;

/// The proximal map minimises, multiples are the largest, and derivatives are those of differences.
pub(super) fn check(penalty: &dyn Penalty, columns: usize, seed: u64) {
    let mut rng = rng::stream(seed, 0);
    let mut random =
        |scale: f64| -> Vec<f64> { (0..columns).map(|_| scale * rng::normal(&mut rng)).collect() };
    for scale in [0.05, 0.3, 1.0, 3.0] {
        let c = random(2.0);
        let mut b = c.clone();
        penalty.shrink(&mut b, scale);
        let distance = |b: &[f64]| 0.5 * b.iter().zip(&c).map(|(b, c)| (b - c).powi(2)).sum::<f64>();
        let value = |b: &[f64]| distance(b) + scale * penalty.value(b);
        let least = value(&b);
        // b is optimal exactly if c - b is a subgradient there: <c - b, b> is the penalty, and the dual norm of c - b is at most 1.
        let rest: Vec<f64> = c.iter().zip(&b).map(|(c, b)| (c - b) / scale).collect();
        let product: f64 = rest.iter().zip(&b).map(|(r, b)| r * b).sum();
        let penalty_there = penalty.value(&b);
        assert!((product - penalty_there).abs() < 1e-11 * (1.0 + penalty_there), "{product} {penalty_there}");
        let s = penalty.largest_multiple(&rest, 2.0);
        assert!(s > 1.0 - 1e-11, "what is left is no subgradient: {s}");
        for far in [1e-4, 0.1, 1.0] {
            for _ in 0..20 {
                let to = random(far);
                let near: Vec<f64> = b.iter().zip(&to).map(|(b, t)| b + t).collect();
                assert!(value(&near) >= least - 1e-12);
                // On the support alone, and along ways.
                let near: Vec<f64> =
                    b.iter().zip(&to).map(|(b, t)| if *b == 0.0 { 0.0 } else { b + t }).collect();
                assert!(value(&near) >= least - 1e-12);
            }
        }
        // At the largest multiple it is zero, and beyond it is not.
        let s = penalty.largest_multiple(&c, 100.0);
        for (part, is_zero) in [(1.0 - 1e-12, true), (1.0 + 1e-9, false)] {
            let mut b: Vec<f64> = c.iter().map(|c| s * part * c).collect();
            penalty.shrink(&mut b, 1.0);
            assert_eq!(b.iter().all(|b| *b == 0.0), is_zero, "{s} {part} {b:?}");
        }
        assert_eq!(penalty.largest_multiple(&c, 0.5 * s), 0.5 * s);
        check_smooth(penalty, &b);
    }
    let zeros = vec![0.0; columns];
    assert_eq!(penalty.value(&zeros), 0.0);
    assert!(penalty.smooth_at(&zeros).ways.is_empty());
    assert_eq!(penalty.largest_multiple(&zeros, 3.0), 3.0);
}

fn check_smooth(penalty: &dyn Penalty, b: &[f64]) {
    let smooth = penalty.smooth_at(b);
    let moved = |steps: &[(usize, f64)]| {
        let mut b = b.to_vec();
        for (way, by) in steps {
            smooth.ways[*way].iter().for_each(|(j, share)| b[*j as usize] += share * by);
        }
        penalty.value(&b)
    };
    // How far it is to where the penalty is not smooth: a zero, or, if it is made of differences, two of the same size.
    let others: &[f64] = if smooth.curvature.is_empty() { b } else { &[0.0] };
    let apart = b.iter().flat_map(|x| others.iter().map(move |y| (x.abs() - y.abs()).abs()));
    let to_zero = b.iter().map(|b| b.abs());
    let size = apart.chain(to_zero).filter(|d| *d > 0.0).fold(f64::INFINITY, f64::min);
    let h = 1e-4 * size.min(1.0);
    // What rounding of two values makes of their difference, over a way so short.
    let rounding = 1e-14 * penalty.value(b) / h;
    let k = smooth.ways.len();
    for i in 0..k {
        let slope = (moved(&[(i, h)]) - moved(&[(i, -h)])) / (2.0 * h);
        assert!(
            (slope - smooth.gradient[i]).abs() < 1e-5 * (1.0 + slope.abs()) + rounding,
            "{slope} {}",
            smooth.gradient[i]
        );
    }
    let mut dense = vec![0.0; k * k];
    for (i, j, value) in &smooth.curvature {
        assert!(j <= i);
        dense[*i as usize * k + *j as usize] += value;
    }
    if size < 1e-2 {
        return;
    }
    let h = 0.02 * size;
    for i in 0..k {
        for j in 0..=i {
            let mixed = moved(&[(i, h), (j, h)]) + moved(&[(i, -h), (j, -h)])
                - moved(&[(i, h), (j, -h)])
                - moved(&[(i, -h), (j, h)]);
            let bend = if i == j {
                (moved(&[(i, h)]) + moved(&[(i, -h)]) - 2.0 * moved(&[])) / (h * h)
            } else {
                mixed / (4.0 * h * h)
            };
            let there = dense[i * k + j];
            assert!(
                (bend - there).abs() < 2e-3 * (1.0 / size) + 1e-3 * bend.abs(),
                "{i} {j}: {bend} {there}"
            );
        }
    }
}
