//! Log analysis with a join: which countries see the most server errors.
//!
//! Lines that cannot be parsed are values: they are counted and left out, and the rest goes on.
//!
//! `cargo run --release --example log_analysis [FILE]`

use slackwater::dataflow::BadRecord;
use slackwater::dataflow::rng::{below, stream};
use slackwater::prelude::*;
use slackwater_examples::input;

/// `ADDRESS METHOD PATH STATUS BYTES`, with a broken line now and then.
fn log() -> String {
    let mut rng = stream(3, 0);
    let mut text = String::new();
    for i in 0..5000 {
        if i % 997 == 996 {
            text.push_str("-- log rotated --\n");
        }
        let (host, page, bytes) = (below(&mut rng, 40), below(&mut rng, 9), below(&mut rng, 9000));
        let status = if below(&mut rng, 100) < host / 4 { 503 } else { 200 };
        text.push_str(&format!("10.0.0.{host} GET /page/{page} {status} {bytes}\n"));
    }
    text
}

fn parse(line: String) -> std::result::Result<(String, u16, u64), BadRecord> {
    let bad = |what: &str| BadRecord::new(what).bytes(line.as_bytes());
    let words: Vec<&str> = line.split(' ').collect();
    let [address, _method, _path, status, bytes] = words[..] else { return Err(bad("not five words")) };
    let status = status.parse().map_err(|_| bad("the status is not a number"))?;
    let bytes = bytes.parse().map_err(|_| bad("the size is not a number"))?;
    Ok((address.to_string(), status, bytes))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = input("access.log", log)?;
    let cx = Context::new(Config { on_bad: OnBad::Skip, ..Config::from_env()? })?;
    let requests = cx.read_text(&path)?.try_map(parse).cache();

    let countries = ["NL", "DE", "FR", "JP"];
    let hosts =
        cx.range(0..40, 2).map(move |h| (format!("10.0.0.{h}"), countries[h as usize % 4].to_string()));

    let by_host = requests.map(|(address, status, bytes)| (address, (1u64, (status >= 500) as u64, bytes)));
    let sums = by_host.reduce_by_key(|a, b| {
        a.0 += b.0;
        a.1 += b.1;
        a.2 += b.2;
    });
    // `sums` is partitioned by address already; only the small side moves.
    let by_country = sums.join(&hosts).map(|(_, (sum, country))| (country, sum)).reduce_by_key(|a, b| {
        a.0 += b.0;
        a.1 += b.1;
        a.2 += b.2;
    });
    let table = by_country.sort_by(|(_, (_, errors, _))| std::cmp::Reverse(*errors), true)?.collect()?;

    let skipped = cx.bad_records().0;
    cx.on_driver(|| {
        println!("country requests errors    bytes");
        table
            .iter()
            .for_each(|(country, (n, errors, bytes))| println!("{country:7} {n:8} {errors:6} {bytes:8}"));
        println!("{skipped} lines were not requests");
    });
    Ok(())
}
