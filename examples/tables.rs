//! A table from a file to a model: leave rows out, make a column, look at groups, learn from columns by their names.
//!
//! `cargo run --release --example tables [FILE]`: a file of any format with columns like those below.

use slackwater::prelude::*;
use slackwater_examples::input;

/// Made-up flights: late departures arrive late, some carriers later than others.
fn flights() -> String {
    let mut text = String::from("carrier,distance,dep_delay,arr_delay\n");
    for i in 0..4000u32 {
        let carrier = ["AA", "B6", "UA"][(i % 3) as usize];
        let (distance, departure) = (200 + i * 37 % 2300, (i * 53 % 90) as i32 - 15);
        let arrival = departure + (i % 3) as i32 * 6 - distance as i32 / 200 + (i * 29 % 21) as i32 - 8;
        match i % 50 {
            7 => text += &format!("{carrier},{distance},{departure},\n"),
            _ => text += &format!("{carrier},{distance},{departure},{arrival}\n"),
        }
    }
    text
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = input("flights.csv", flights)?;
    let cx = Context::from_env()?;
    let flights = cx.read_table(&path)?.filter(col("arr_delay").is_not_null())?;

    let by_carrier = flights.group_by(
        &["carrier"],
        &[("arr_delay", Aggregate::Count), ("arr_delay", Aggregate::Mean), ("distance", Aggregate::Max)],
    )?;
    let groups = by_carrier.collect()?;
    assert_eq!(groups.num_rows(), 3);

    let long = flights.filter(col("distance").gt(1000))?;
    let labelled = flights.with_column("late", (col("arr_delay") / 15).gt(1.0))?;
    let options = FeatureOptions {
        label: Some("late".to_string()),
        features: ["carrier", "distance", "dep_delay"].map(String::from).to_vec(),
        ..FeatureOptions::default()
    };
    let map = FeatureMap::fit(&labelled, &options)?;
    let blocks = map.blocks(&labelled, true)?.cache();
    let model = LogisticRegressionParams::default().fit(&blocks)?;
    let weights = model.weights().to_vec();
    let scores = blocks.score_rows(move |row| model.score(&row));
    let metrics = BinaryMetrics::of(&scores)?;
    let (all, far) = (flights.count()?, long.count()?);
    cx.on_driver(|| {
        println!("{all} flights, {far} of them long");
        for (name, weight) in map.names(10).iter().zip(&weights) {
            println!("{name:12} {weight:8.4}");
        }
        println!("area under ROC {:.4}", metrics.area_under_roc());
    });
    assert!(metrics.area_under_roc() > 0.9);
    Ok(())
}
