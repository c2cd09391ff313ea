//! Programs under simulation.

use slackwater_dataflow::simulation::Simulation;
use slackwater_dataflow::{Context, Result};

fn shuffled(cx: &Context) -> Result<Vec<(u64, u64)>> {
    let numbers = cx.range(0..300, 6).map(|i| (i % 17, i)).cache();
    numbers.count()?;
    let sums = numbers.reduce_by_key_with(4, |a, b| *a += b);
    let mut all = sums.collect()?;
    all.extend(sums.map(|(k, v)| (k, v + 1)).collect()?);
    all.push((numbers.count()?, 0));
    Ok(all)
}

#[test]
fn thin() {
    let want = shuffled(&Context::local(1).unwrap()).unwrap();
    for seed in 0..20 {
        let t = std::time::Instant::now();
        let run = || {
            Simulation::new(seed).processes(3).workers(1).kills((seed % 4) as usize).run(shuffled).unwrap()
        };
        let a = run();
        assert_eq!(a.result, want);
        println!(
            "{seed}: {} steps, {} generations, {:x}, {:?}",
            a.steps,
            a.generations,
            a.schedule,
            t.elapsed()
        );
        for f in &a.faults {
            println!("    {f}");
        }
        for _ in 0..2 {
            let b = run();
            assert_eq!((a.steps, a.schedule, &a.faults), (b.steps, b.schedule, &b.faults));
        }
    }
}
