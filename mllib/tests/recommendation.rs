//! Matrix factorisation: what it recovers, what it guarantees, and how good it is beside another program.

mod common;

use common::data_text;
use slackwater_dataflow::block::Rating;
use slackwater_dataflow::{Context, Dataset};
use slackwater_mllib::evaluation::RegressionMetrics;
use slackwater_mllib::recommendation::{MatrixFactorizationModel, MatrixFactorizationParams};
use slackwater_paramstore::Consistency;

fn parse(text: &str) -> Vec<Rating> {
    let lines = text.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit()));
    lines
        .map(|l| {
            let f: Vec<&str> = l.split([',', '\t']).collect();
            Rating::new(f[0].parse().unwrap(), f[1].parse().unwrap(), f[2].parse().unwrap())
        })
        .collect()
}

fn split(all: Vec<Rating>) -> (Vec<Rating>, Vec<Rating>) {
    all.into_iter().partition(|r| {
        let h = (u64::from(r.user) * 1_000_003 + u64::from(r.item)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        h % 5 != 0
    })
}

#[test]
fn tune() {
    let Some(text) = data_text(&std::env::var("MFDATA").unwrap_or("ml-latest-small/ratings.csv.gz".into()))
    else {
        return;
    };
    let (train, test) = split(parse(&text));
    let cx = Context::local(2).unwrap();
    let (train, test) = (cx.parallelize(train, 8).cache(), cx.parallelize(test, 8).cache());
    let get = |n: &str, d: &str| -> Vec<f64> {
        std::env::var(n).unwrap_or(d.into()).split(',').map(|x| x.parse().unwrap()).collect()
    };
    for c in std::env::var("CONS").unwrap_or("bsp".into()).split(',') {
        for &epochs in &get("EPOCHS", "50") {
            for &reg in &get("REG", "0.1") {
                for &step in &get("STEP", "0.01") {
                    for &decay in &get("DECAY", "0.98") {
                        for &batch in &get("BATCH", "0") {
                            let p = MatrixFactorizationParams {
                                epochs: epochs as usize,
                                regularization: reg,
                                step_size: step,
                                decay,
                                batch: (batch > 0.0).then_some(batch as usize),
                                consistency: c.parse().unwrap(),
                                non_negative: std::env::var("NN").is_ok(),
                                biases: std::env::var("NB").is_err(),
                                ..Default::default()
                            };
                            let t = std::time::Instant::now();
                            match p.fit(&train) {
                                Ok(m) => println!(
                                    "{c} epochs {epochs} reg {reg} step {step} decay {decay} batch {}: train {:.4} test {:.4} in {:.2?} first {:?}",
                                    m.summary().batch,
                                    m.summary().rmse,
                                    RegressionMetrics::of(&m.score(&test)).unwrap().root_mean_squared_error,
                                    t.elapsed(),
                                    &m.summary().rmse_history[..2]
                                ),
                                Err(e) => println!(
                                    "{c} epochs {epochs} reg {reg} step {step} decay {decay} batch {batch}: {e}"
                                ),
                            }
                        }
                    }
                }
            }
        }
    }
}
