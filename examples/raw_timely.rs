//! Raw timely dataflow inside a program: a dataset goes in as a stream, a loop runs on timely's own operators, and what
//! comes out is a dataset again.
//!
//! The loop counts Collatz steps: numbers circulate, each round at a later timestamp, until they are 1.
//!
//! `cargo run --release --example raw_timely`

use slackwater::dataflow::IntoDataset;
use slackwater::prelude::*;
use timely::dataflow::operators::core::OkErr;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Concat, ConnectLoop, Feedback};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cx = Context::from_env()?;
    let numbers = cx.range(1..10_000, 8).cache();

    let output = cx.output::<(u64, u64)>(8);
    let (input, into) = (numbers.clone(), output.clone());
    cx.timely(&[&numbers], move |worker, bridge| {
        worker.dataflow::<u64, _, _>(|scope| {
            // (number, where it is now, steps so far)
            let start = input.to_stream(scope, bridge).map(|n| (n, n, 0u64));
            let (handle, again) = scope.feedback::<Vec<(u64, u64, u64)>>(1);
            let (arrived, moving) = start.concat(again).ok_err::<Vec<_>, _, Vec<_>, _, _>(|(n, x, steps)| {
                if x == 1 {
                    Ok((n, steps))
                } else {
                    Err((n, if x % 2 == 0 { x / 2 } else { 3 * x + 1 }, steps + 1))
                }
            });
            moving.connect_loop(handle);
            arrived.into_dataset(&into, |(n, _)| *n);
        });
    })?;

    // A dataset as any other.
    let steps = output.dataset(&cx);
    let longest = steps.map(|(n, steps)| (steps, n)).max()?;
    let mean = steps.map(|(_, steps)| steps as f64).mean()?;
    cx.on_driver(|| {
        println!("{longest:?} is the longest of all (steps, number); {mean:.3} steps on average")
    });
    assert_eq!(longest, Some((261, 6171)));
    assert_eq!(steps.join(&numbers.map(|n| (n, ()))).count()?, 9999);
    Ok(())
}
