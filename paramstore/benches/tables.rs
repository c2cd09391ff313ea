//! Parameter tables: clocks a second, increments against raw atomic adds, speed-up on sparse logistic regression,
//! stragglers, how old reads are, and what waiting to send does.
//!
//! `cargo bench -p slackwater-paramstore --bench tables -- [clocks] [incs] [speedup] [stragglers] [staleness] [sending]`. Whatever
//! is compared runs alternately in one process. `PLOT=FILE.svg` draws what `staleness` measures.

use slackwater_dataflow::{Context, Dataset, Result, rng};
use slackwater_paramstore::{
    Clock, Consistency, EpochsExt, Report, Sending, Table, TableExt, TableSpec, TableView,
};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MODES: [Consistency; 4] =
    [Consistency::Bsp, Consistency::Ssp(3), Consistency::Essp(3), Consistency::Async];

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// How fast the loop turns: a table of one value, one increment a partition and clock.
fn clocks() -> Result<()> {
    println!("clocks a second, one value, one increment a worker and clock; median of 5");
    for workers in [1, 2] {
        let cx = Context::local(workers)?;
        let records = cx.range(0..20_000 * workers as u64, workers).cache();
        for mode in MODES {
            let table = cx.table("one", TableSpec::<f32>::dense(1, 1).consistency(mode))?;
            let mut rates = vec![];
            for _ in 0..5 {
                let training = records.epochs(1).batch(1).update(&table, |_, t, _| t.inc(0, 0, 1.0));
                let report = training.run()?;
                rates.push(report.clocks as f64 / (report.wall_us as f64 / 1e6));
            }
            println!("  {workers} workers, {mode:8} {:9.0} clocks/s", median(rates));
        }
    }
    Ok(())
}

/// Increments of a replica, which are logged and sent, against atomic adds alone.
fn incs() -> Result<()> {
    const ELEMENTS: usize = 20_000;
    const N: usize = 4_000_000;
    println!("increments of {ELEMENTS} values, M a second; median of 5");
    for workers in [1, 2] {
        let cx = Context::local(workers)?;
        let at: Vec<Vec<u32>> = (0..workers as u64)
            .map(|w| {
                let mut r = rng::stream(1, w);
                (0..N).map(|_| rng::below(&mut r, ELEMENTS as u64) as u32).collect()
            })
            .collect();
        let raw: Vec<AtomicU32> = (0..ELEMENTS).map(|_| AtomicU32::new(0)).collect();
        let records = cx.from_partitions(at.clone()).cache();
        records.count()?;
        let mut atomic = vec![];
        let mut by_mode: Vec<Vec<f64>> = vec![vec![]; MODES.len()];
        for _ in 0..5 {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for at in &at {
                    let raw = &raw;
                    scope.spawn(move || {
                        for i in at {
                            let cell = &raw[*i as usize];
                            let add = |bits| Some((f32::from_bits(bits) + 1.0).to_bits());
                            let _ = cell.fetch_update(Relaxed, Relaxed, add);
                        }
                    });
                }
            });
            atomic.push((N * workers) as f64 / start.elapsed().as_secs_f64() / 1e6);
            for (rates, mode) in by_mode.iter_mut().zip(MODES) {
                let table = cx.table("many", TableSpec::<f32>::dense(ELEMENTS, 1).consistency(mode))?;
                let update = |batch: &[u32], t: &mut TableView<'_, f32>, _: &mut Clock| {
                    batch.iter().for_each(|i| t.inc(*i as usize, 0, 1.0));
                };
                let report = records.epochs(1).batch(100_000).update(&table, update).run()?;
                rates.push((N * workers) as f64 / (report.wall_us as f64 / 1e6) / 1e6);
            }
        }
        let atomic = median(atomic);
        println!("  {workers} threads, atomic adds {atomic:6.1}");
        for (rates, mode) in by_mode.into_iter().zip(MODES) {
            let rate = median(rates);
            println!("  {workers} workers, {mode:8}    {rate:6.1}, {:.2} x", rate / atomic);
        }
    }
    Ok(())
}

/// A row of sparse logistic regression.
type Row = (Vec<(u32, f32)>, f32);
const COLUMNS: usize = 50_000;

fn sparse_rows(cx: &Context, rows: u64, partitions: usize) -> Dataset<Row> {
    let row = |i: u64| {
        let mut r = rng::stream(7, i);
        let entry = |r: &mut rng::Stream| {
            // Few columns are in most rows, most in few.
            let u = rng::unit_f64(r);
            ((COLUMNS as f64).powf(u) as u32 % COLUMNS as u32, rng::normal(r) as f32 / 6.0)
        };
        let mut entries: Vec<(u32, f32)> = (0..40).map(|_| entry(&mut r)).collect();
        entries.sort_by_key(|e| e.0);
        entries.dedup_by_key(|e| e.0);
        let truth = |j: u32| if j.is_multiple_of(3) { 2.0 } else { -1.0 };
        let margin: f32 = entries.iter().map(|(j, x)| x * truth(*j)).sum();
        (entries, if margin + 0.3 * rng::normal(&mut r) as f32 > 0.0 { 1.0 } else { 0.0 })
    };
    cx.range(0..rows, partitions).map(row).cache()
}

fn descend(batch: &[Row], w: &mut TableView<'_, f32>, clock: &mut Clock, rate: f32) {
    let mut loss = 0.0;
    for (entries, label) in batch {
        let margin: f32 = entries.iter().map(|(j, x)| x * w.get(*j as usize, 0)).sum();
        let probability = 1.0 / (1.0 + (-margin).exp());
        let likelihood = if *label > 0.5 { probability } else { 1.0 - probability };
        loss -= f64::from(likelihood.max(1e-7).ln());
        let scale = rate * (label - probability);
        entries.iter().for_each(|(j, x)| w.inc(*j as usize, 0, scale * x));
    }
    clock.loss(loss);
}

fn train(cx: &Context, rows: &Dataset<Row>, mode: Consistency, epochs: u64, batch: usize) -> Result<Report> {
    let weights: Table<f32> = cx.table("weights", TableSpec::dense(COLUMNS, 1).consistency(mode))?;
    rows.epochs(epochs).batch(batch).update(&weights, |b, w, c| descend(b, w, c, 0.1)).run()
}

fn speedup() -> Result<()> {
    const ROWS: u64 = 200_000;
    let contexts = [Context::local(1)?, Context::local(2)?];
    let rows: Vec<Dataset<Row>> = contexts.iter().map(|cx| sparse_rows(cx, ROWS, 4)).collect();
    let values = rows[0].map_ref(|r| r.0.len() as u64).reduce(|a, b| a + b)?.unwrap_or(0);
    rows[1].count()?;
    println!(
        "sparse logistic regression, {values} values, 5 epochs of 2500 rows a partition and clock; median of 5"
    );
    for mode in MODES {
        let mut times = [vec![], vec![]];
        for _ in 0..5 {
            for i in 0..2 {
                let report = train(&contexts[i], &rows[i], mode, 5, 2500)?;
                times[i].push(report.wall_us as f64 / 1e6);
            }
        }
        let [one, two] = times.map(median);
        println!("  {mode:8} one worker {one:.3} s, two {two:.3} s: {:.2} x", one / two);
    }
    Ok(())
}

/// One of four workers is slow, another one every eight clocks.
fn stragglers() -> Result<()> {
    const EPOCHS: u64 = 6;
    let cx = Context::local(4)?;
    let rows = sparse_rows(&cx, 60_000, 8);
    rows.count()?;
    println!(
        "four workers, another one sleeps 5 ms a clock every 8 clocks; 60 000 rows, {EPOCHS} epochs; median of 5"
    );
    let modes = [
        Consistency::Bsp,
        Consistency::Ssp(3),
        Consistency::Essp(3),
        Consistency::Ssp(8),
        Consistency::Essp(8),
        Consistency::Async,
    ];
    let mut times = vec![vec![]; modes.len()];
    let mut losses = vec![vec![]; modes.len()];
    for _ in 0..5 {
        for (i, mode) in modes.into_iter().enumerate() {
            let weights: Table<f32> = cx.table("weights", TableSpec::dense(COLUMNS, 1).consistency(mode))?;
            let update = |b: &[Row], w: &mut TableView<'_, f32>, c: &mut Clock| {
                let slow = (c.number() / 8 % 4) as usize == c.worker();
                // Two partitions a worker: half of it each.
                std::thread::sleep(Duration::from_micros(if slow { 2500 } else { 0 }));
                descend(b, w, c, 0.1);
            };
            let report = rows.epochs(EPOCHS).batch(200).update(&weights, update).run()?;
            times[i].push(report.wall_us as f64 / 1e6);
            losses[i].push(report.losses[EPOCHS as usize - 1] / 60_000.0);
        }
    }
    let base = median(times[0].clone());
    for ((mode, times), losses) in modes.iter().zip(times).zip(losses) {
        let time = median(times);
        println!("  {mode:8} {time:.3} s, {:.2} x bsp, loss {:.4}", time / base, median(losses));
    }
    Ok(())
}

/// How old reads are when one of four workers is slow all the time.
fn staleness() -> Result<()> {
    // As a member of a cluster it measures what lies between processes: the workers of one share a replica.
    let cx = match std::env::var_os("SLACKWATER_PROCESSES") {
        Some(_) => Context::from_env()?,
        None => Context::local(4)?,
    };
    let rows = sparse_rows(&cx, 40_000, 4);
    rows.count()?;
    println!("staleness in clocks, four workers, the last sleeps 2 ms a clock: share of reads in percent");
    let mut panels: Vec<Panel> = vec![];
    for s in [0, 1, 3, 10] {
        for mode in [Consistency::Ssp(s), Consistency::Essp(s)] {
            let weights: Table<f32> = cx.table("weights", TableSpec::dense(COLUMNS, 1).consistency(mode))?;
            let update = |b: &[Row], w: &mut TableView<'_, f32>, c: &mut Clock| {
                std::thread::sleep(Duration::from_millis(if c.worker() == 3 { 2 } else { 0 }));
                descend(b, w, c, 0.1);
            };
            let report = rows.epochs(2).batch(100).update(&weights, update).run()?;
            let slow = &report.workers[3];
            for (name, histogram) in [
                ("proven", report.proven(0)),
                ("observed", report.observed(0)),
                ("slow one's, proven", slow.proven[0].clone()),
                ("slow one's, observed", slow.observed[0].clone()),
            ] {
                let reads = histogram.reads() as f64;
                let shares = histogram.iter().map(|(s, n)| format!("{s}: {:.0}", 100.0 * n as f64 / reads));
                let shares: Vec<String> = shares.collect();
                println!("  {mode:8} {name:20} mean {:6.2} | {}", histogram.mean(), shares.join(", "));
                let all = histogram.iter().map(|(s, n)| (s, n as f64 / reads)).collect();
                match panels.iter_mut().find(|p| p.name == name && p.bound == s) {
                    Some(panel) => panel.shares.push(all),
                    None => panels.push(Panel { name, bound: s, shares: vec![all] }),
                }
            }
        }
    }
    match std::env::var_os("PLOT") {
        Some(path) => std::fs::write(&path, plot(&panels))
            .map_err(|e| slackwater_dataflow::Error::io(std::path::Path::new(&path), "write", &e)),
        None => Ok(()),
    }
}

/// Two processes, what each sends and how well they learn, when increments wait.
fn sending() -> Result<()> {
    let cx = match std::env::var_os("SLACKWATER_PROCESSES") {
        Some(_) => Context::from_env()?,
        None => Context::local(2)?,
    };
    let rows = sparse_rows(&cx, 60_000, 2);
    rows.count()?;
    println!(
        "loss of the third epoch and MB that increments took, by how they are sent; ssp:16, clocks of 50 rows"
    );
    let run = |sending: Sending| {
        let spec = TableSpec::dense(COLUMNS, 1).consistency(Consistency::Ssp(16)).sending(sending);
        let weights: Table<f32> = cx.table("weights", spec)?;
        let update = |b: &[Row], w: &mut TableView<'_, f32>, c: &mut Clock| descend(b, w, c, 0.1);
        rows.epochs(3).batch(50).update(&weights, update).run()
    };
    let tell = |name: &str, report: &Report| {
        let sent: u64 = report.workers.iter().map(|w| w.sent_bytes).sum();
        let (loss, seconds) = (report.losses[2] / 60_000.0, report.wall_us as f64 * 1e-6);
        println!("  {name:36} loss {loss:.5}, {:6.1} MB, {seconds:.2} s", sent as f64 * 1e-6);
        sent as f64 / seconds / report.workers.len() as f64
    };
    let rate = tell("at once", &run(Sending::at_once())?);
    tell("hold 8", &run(Sending::hold(8))?);
    for share in [0.3, 0.1] {
        let some = Sending::hold(8).bandwidth(share * rate);
        tell(&format!("hold 8, {share} of the rate, largest first"), &run(some)?);
        tell(&format!("hold 8, {share} of the rate, oldest first"), &run(some.oldest_first())?);
    }
    tell("hold 8, from a tenth of the value on", &run(Sending::hold(8).significance(0.1))?);
    Ok(())
}

/// How old reads were under SSP and under ESSP, with one bound.
struct Panel {
    name: &'static str,
    bound: u64,
    /// By mode: (staleness, share of reads).
    shares: Vec<Vec<(i64, f64)>>,
}

/// A grid of histograms: a row a bound, a column a measure.
fn plot(panels: &[Panel]) -> String {
    const WIDTH: f64 = 250.0;
    const HEIGHT: f64 = 120.0;
    const GAP: f64 = 50.0;
    const COLOURS: [(&str, &str); 2] = [("SSP", "#4269d0"), ("ESSP", "#ff9f1c")];
    let columns = panels.iter().filter(|p| p.bound == panels[0].bound).count().max(1);
    let rows = panels.len().div_ceil(columns);
    let size = (columns as f64 * (WIDTH + GAP) + GAP, rows as f64 * (HEIGHT + GAP) + 2.0 * GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        size.0, size.1
    );
    for (i, (name, colour)) in COLOURS.iter().enumerate() {
        let x = GAP + 70.0 * i as f64;
        svg += &format!(
            "<rect x=\"{x}\" y=\"14\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"23\">{name}</text>\n",
            x + 14.0
        );
    }
    for (i, panel) in panels.iter().enumerate() {
        let left = GAP + (i % columns) as f64 * (WIDTH + GAP);
        let top = GAP + 12.0 + (i / columns) as f64 * (HEIGHT + GAP);
        let ages = || panel.shares.iter().flatten().map(|(age, _)| *age);
        let (least, most) = (ages().min().unwrap_or(0).min(0), ages().max().unwrap_or(0));
        let step = WIDTH / (most - least + 1) as f64;
        svg += &format!(
            "<text x=\"{left}\" y=\"{}\" font-weight=\"bold\">s = {}, {}</text>\n",
            top - 6.0,
            panel.bound,
            panel.name
        );
        for (shares, (_, colour)) in panel.shares.iter().zip(COLOURS) {
            let second = f64::from(u8::from(colour == COLOURS[1].1));
            for (age, share) in shares {
                let x = left + (age - least) as f64 * step + second * 0.42 * step;
                svg += &format!(
                    "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n",
                    top + HEIGHT * (1.0 - share),
                    0.4 * step,
                    HEIGHT * share
                );
            }
        }
        let base = top + HEIGHT;
        svg +=
            &format!("<path d=\"M{left} {top}V{base}H{}\" fill=\"none\" stroke=\"#444\"/>\n", left + WIDTH);
        for (share, y) in [("100 %", top + 4.0), ("0", base)] {
            svg += &format!("<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{share}</text>\n", left - 4.0);
        }
        let every = ((most - least) / 10 + 1) as usize;
        for age in (least..=most).step_by(every) {
            let x = left + (age - least) as f64 * step + 0.4 * step;
            svg += &format!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{age}</text>\n", base + 14.0);
        }
    }
    svg + "</svg>\n"
}

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let all: [(&str, fn() -> Result<()>); 6] = [
        ("clocks", clocks),
        ("incs", incs),
        ("speedup", speedup),
        ("stragglers", stragglers),
        ("staleness", staleness),
        ("sending", sending),
    ];
    all.iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name))
        .try_for_each(|(_, f)| f())
}
