//! Iterative logistic regression written with datasets alone: what Spark's first example does.
//!
//! The points are parsed once and cached; every iteration is one job, with the weights in its closure.
//!
//! `cargo run --release --example logistic_regression_by_hand [FILE]`

use slackwater::prelude::*;
use slackwater_examples::{input, two_classes};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = input("by-hand.svm", || two_classes(2000, 12, 7))?;
    let cx = Context::from_env()?;
    let points = cx.read_libsvm(&path)?.cache();
    let rows = points.count()? as f64;
    let columns = points.map_ref(|p| p.features.size()).max()?.unwrap_or(0);

    let mut weights = vec![0.0; columns];
    for iteration in 1..=50 {
        let w = weights.clone();
        let (loss, gradient) = points.aggregate(
            (0.0, vec![0.0; columns]),
            move |(loss, gradient), point| {
                let y = if point.label > 0.0 { 1.0 } else { -1.0 };
                let margin = y * point.features.dot(&w);
                *loss += (1.0 + (-margin).exp()).ln();
                let factor = -y / (1.0 + margin.exp());
                point.features.iter().for_each(|(i, x)| gradient[i] += factor * x);
            },
            |a, b| {
                a.0 += b.0;
                a.1.iter_mut().zip(b.1).for_each(|(x, y)| *x += y);
            },
        )?;
        weights.iter_mut().zip(gradient).for_each(|(w, g)| *w -= 2.0 * g / rows);
        if iteration % 10 == 0 {
            cx.on_driver(|| println!("iteration {iteration}: mean loss {:.6}", loss / rows));
        }
    }

    let w = weights.clone();
    let right = points.filter(move |p| (p.features.dot(&w) > 0.0) == (p.label > 0.0)).count()?;
    cx.on_driver(|| println!("accuracy {:.4}", right as f64 / rows));
    Ok(())
}
