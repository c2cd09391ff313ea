//! A pipeline and a training in one program: load, join, features, training with bounded staleness, scoring, aggregation.
//!
//! Visits of customers are joined with what is known of the customers; a table of weights learns from the result whether
//! a visit ends in a sale; the scores are summed up by country, and the weights leave as a dataset again.
//!
//! `cargo run --release --example one_graph`

use slackwater::prelude::*;
use slackwater_examples::input;
use std::fmt::Write;

const COUNTRIES: [&str; 4] = ["AT", "BR", "CA", "DK"];
/// Intercept, minutes of the visit, age, and one a country.
const FEATURES: usize = 3 + COUNTRIES.len();

/// Numbers that look random and are the same in every run.
fn noise(i: u64, salt: u64) -> u64 {
    slackwater::dataflow::hash::hash_u64(i * 1000 + salt) % 1000
}

fn customers() -> String {
    (0..500).fold(String::new(), |mut text, i| {
        let country = COUNTRIES[noise(i, 1) as usize % COUNTRIES.len()];
        let _ = writeln!(text, "{i} {country} {}", 18 + noise(i, 2) % 60);
        text
    })
}

fn visits() -> String {
    (0..8000).fold(String::new(), |mut text, i| {
        let (customer, minutes) = (noise(i, 3) % 520, noise(i, 4) % 30);
        // Long visits sell, and some countries more than others.
        let drawn = noise(i, 5) as f64 / 1000.0;
        let country = noise(customer, 1) as f64 % 4.0;
        let sold = minutes as f64 / 15.0 - 1.2 + 0.4 * country + 1.5 * (drawn - 0.5) > 0.5;
        let _ = writeln!(text, "{customer} {minutes} {}", u8::from(sold));
        text
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cx = Context::from_env()?;
    let customers = cx.read_text(input("customers.txt", customers)?)?;
    let visits = cx.read_text(input("visits.txt", visits)?)?;

    // Load and join. Visits of customers that nobody knows fall out.
    let customers = customers.map(|line| {
        let mut words = line.split_whitespace();
        let id: u64 = words.next().and_then(|w| w.parse().ok()).unwrap_or(u64::MAX);
        let country = words.next().and_then(|w| COUNTRIES.iter().position(|c| *c == w)).unwrap_or(0);
        (id, (country as u64, words.next().and_then(|w| w.parse::<f64>().ok()).unwrap_or(0.0)))
    });
    let visits = visits.map(|line| {
        let mut words = line.split_whitespace().map(|w| w.parse::<u64>().unwrap_or(0));
        let mut next = || words.next().unwrap_or(0);
        (next(), (next() as f64, next() == 1))
    });
    let joined = visits.join_with(&customers, 6);

    // Features.
    let examples = joined.map(|(_, ((minutes, sold), (country, age)))| {
        let mut x = [0.0; FEATURES];
        (x[0], x[1], x[2]) = (1.0, minutes / 30.0, (age - 48.0) / 30.0);
        x[3 + country as usize] = 1.0;
        (x, sold, country)
    });
    let examples = examples.cache();

    // Training. BSP, so that the output below is the same for any number of workers: try `Consistency::Ssp(3)`.
    let weights = cx.table("weights", TableSpec::<f64>::dense(FEATURES, 1).consistency(Consistency::Bsp))?;
    let report = examples
        .epochs(30)
        .batch(50)
        .update(&weights, |batch, w, clock| {
            let now: Vec<f64> = (0..FEATURES).map(|j| w.get(j, 0)).collect();
            for (x, sold, _) in batch {
                let margin: f64 = x.iter().zip(&now).map(|(x, w)| x * w).sum();
                let probability = 1.0 / (1.0 + (-margin).exp());
                clock.loss(if *sold { -probability.ln() } else { -(1.0 - probability).ln() });
                let step = 0.01 * (f64::from(u8::from(*sold)) - probability);
                (0..FEATURES).for_each(|j| w.inc(j, 0, step * x[j]));
            }
        })
        .until(|p| p.loss_change() < 1e-4)
        .run()?;

    // Scoring and aggregation.
    let scored = examples.map_with(&weights, |(x, sold, country), w| {
        let margin: f64 = x.iter().enumerate().map(|(j, x)| x * w.get(j, 0)).sum();
        (country, (1u64, u64::from(sold), 1.0 / (1.0 + (-margin).exp()), u64::from((margin > 0.0) == sold)))
    });
    let by_country = scored.reduce_by_key(|a, b| {
        *a = (a.0 + b.0, a.1 + b.1, a.2 + b.2, a.3 + b.3);
    });
    let mut by_country = by_country.collect()?;
    by_country.sort_by_key(|(country, _)| *country);
    let largest = weights.to_dataset(&cx, 2).map(|(row, w)| ((w[0].abs() * 1e6) as u64, row)).top(1)?;

    cx.on_driver(|| {
        println!("{} epochs of {} clocks", report.epochs, report.clocks / report.epochs);
        println!(
            "loss of the first epoch {:.3}, of the last {:.3}",
            report.losses[0],
            report.losses[report.losses.len() - 1]
        );
        for (country, (n, sold, expected, right)) in &by_country {
            let name = COUNTRIES[*country as usize];
            println!("{name}  {n} visits, {sold} sales, {expected:.1} expected, {right} foreseen");
        }
        println!("the largest weight is that of feature {}", largest[0].1);
    });
    Ok(())
}
