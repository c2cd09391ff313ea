//! What safety costs two processes on one machine: frame guard, checksums of kept partitions, queues that spill, encryption.
//!
//! `cargo bench -p slackwater-paramstore --bench cluster -- [pages] [regression]`; `PAIRS=n` for another number of pairs. Two
//! jobs: ranks of pages (a cached dataset, a join and a shuffle a round), and a logistic regression on a table. Each is run
//! with everything and without one thing, alternately, in new processes each time. The ratio is the median of all pairs, and
//! beside it that of the least of each, of time and of processor time of both processes. Both must give the same bits.

use slackwater_dataflow::cluster::{Happening, Secret, Supervisor};
use slackwater_dataflow::hash::hash_u64;
use slackwater_dataflow::{Context, Error, Result, rng, safety};
use slackwater_paramstore::{Consistency, EpochsExt, TableExt, TableSpec};
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a child runs, and what it leaves out.
const WORK: &str = "BENCH_WORK";
const WITHOUT: &str = "BENCH_WITHOUT";
const LOOPBACK: &str = "127.0.0.1";
const WORKS: [&str; 2] = ["pages", "regression"];
/// The last one is off on the loopback address, so processes that have it use another address of the machine.
const MEASURES: [&str; 5] = ["the frame guard", "checksums", "spilling queues", "all of these", "encryption"];

fn main() -> Result<()> {
    if let Ok(work) = std::env::var(WORK) {
        return child(&work);
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let outside = outside();
    let pairs = std::env::var("PAIRS").ok().and_then(|n| n.parse().ok()).unwrap_or(11);
    for work in WORKS.iter().filter(|work| wanted.is_empty() || wanted.iter().any(|w| w == *work)) {
        println!("{work}: two processes of one worker, {pairs} pairs");
        let mut formed = vec![];
        for without in MEASURES {
            if without == "encryption" && outside.is_empty() {
                println!("  without an address but the loopback one nothing is encrypted");
                continue;
            }
            let (mut with_all, mut with_less) = (vec![], vec![]);
            for pair in 0..pairs {
                let mut both = [None, None];
                for which in [pair % 2, 1 - pair % 2] {
                    let address = if without == "encryption" && which == 0 { &outside } else { LOOPBACK };
                    both[which] = Some(run(work, if which == 0 { "" } else { without }, address)?);
                }
                if let [Some(all), Some(less)] = both {
                    assert_eq!(all.answer, less.answer, "{work} without {without}");
                    formed.push(all.formed);
                    with_all.push(all);
                    with_less.push(less);
                }
            }
            let told = |what: &str, of: fn(&Ran) -> f64| {
                let each = with_all.iter().zip(&with_less).map(|(a, l)| of(a) / of(l)).collect();
                let least = [&with_all, &with_less].map(|all| least(all.iter().map(of)));
                format!(
                    "{what} {:.3} ({:.3} of the least, {:.2} s)",
                    median(each),
                    least[0] / least[1],
                    least[0]
                )
            };
            let (time, cpu) = (told("time", |r| r.wall), told("processor time", |r| r.cpu));
            println!("  with / without {without:16} {time}, {cpu}");
        }
        println!("  the first generation, authenticated: {:.1} ms", median(formed) * 1e3);
    }
    Ok(())
}

/// An address of this machine that is not the loopback one; empty if there is none. Nothing is sent for it.
fn outside() -> String {
    let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    own.map(|own| own.ip()).ok().filter(|ip| !ip.is_loopback()).map_or(String::new(), |ip| ip.to_string())
}

fn least(all: impl Iterator<Item = f64>) -> f64 {
    all.fold(f64::MAX, f64::min)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// What a run has come to. Times are in seconds.
struct Ran {
    wall: f64,
    cpu: f64,
    formed: f64,
    answer: String,
}

/// Two processes, ended when this is dropped.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It has ended already, if all went well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run(work: &str, without: &str, address: &str) -> Result<Ran> {
    let io = |e: std::io::Error| Error::io("the benchmark's own program", "start", &e);
    let supervisor = Supervisor::listen(&format!("{address}:0"), 2, Secret::random()?)?;
    let program = std::env::current_exe().map_err(io)?;
    let mut children = Children(vec![]);
    for process in 0..2 {
        let mut command = Command::new(&program);
        command.envs(supervisor.membership(process).variables()).env("SLACKWATER_WORKERS", "1");
        command.env(WORK, work).env(WITHOUT, without).stdout(Stdio::piped());
        children.0.push(command.spawn().map_err(io)?);
    }
    let (start, mut formed) = (Instant::now(), 0.0);
    while children.0.iter_mut().any(|c| c.try_wait().is_ok_and(|status| status.is_none())) {
        for happening in supervisor.poll() {
            if let Happening::Formed { took, .. } = happening {
                formed = took.as_secs_f64();
            }
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{work} does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut all = vec![];
    for child in children.0.drain(..) {
        let out = child.wait_with_output().map_err(io)?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{work}: {text}");
        all.push(text);
    }
    let number = |text: &str, at: usize| text.split_whitespace().nth(at).and_then(|n| n.parse::<f64>().ok());
    let both = |at: usize| all.iter().filter_map(|text| number(text, at)).collect::<Vec<f64>>();
    let (walls, cpus) = (both(0), both(1));
    assert_eq!((walls.len(), cpus.len()), (2, 2), "{all:?}");
    let answer = all[0].split_whitespace().skip(2).collect();
    Ok(Ran { wall: walls[0].max(walls[1]), cpu: cpus[0] + cpus[1], formed, answer })
}

/// Processor time of this process so far, in seconds, of all its threads.
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0)
    };
    tasks.map(|task| of(task.path())).sum::<f64>() * 1e-9
}

fn child(work: &str) -> Result<()> {
    let without = std::env::var(WITHOUT).unwrap_or_default();
    for (name, measure) in
        MEASURES.into_iter().zip([&safety::FRAME_GUARD, &safety::CHECKSUMS, &safety::OVERFLOW])
    {
        if without == name || without == "all of these" {
            measure.leave_out();
        }
    }
    let cx = Context::from_env()?;
    // All are there, and the code has run.
    cx.range(0..1000, 4).map(|x| (x % 10, x)).reduce_by_key(|a, b| *a += b).count()?;
    let (start, before) = (Instant::now(), cpu_seconds());
    let answer = if work == "pages" { pages(&cx)? } else { regression(&cx)? };
    println!("{} {} {answer}", start.elapsed().as_secs_f64(), cpu_seconds() - before);
    Ok(())
}

/// Ranks of 100 000 pages with 2 M links, 8 rounds.
fn pages(cx: &Context) -> Result<String> {
    const PAGES: u64 = 100_000;
    let links = cx.range(0..2_000_000, 4).map(|i| {
        let to = hash_u64(i) % PAGES;
        // Some pages have many links to them.
        (i % PAGES, to * to / PAGES)
    });
    let links = links.group_by_key_with(4).cache();
    let mut ranks = links.map(|(page, _)| (page, 1.0));
    for _ in 0..8 {
        let shares = links.join(&ranks).flat_map(|(_, (to, rank))| {
            let share = rank / to.len() as f64;
            to.into_iter().map(move |page| (page, share)).collect::<Vec<_>>()
        });
        ranks =
            shares.reduce_by_key_with(4, |a, b| *a += b).map(|(page, sum)| (page, 0.15 + 0.85 * sum)).cache();
        ranks.count()?;
    }
    Ok(format!("{:016x}", ranks.map(|(_, rank)| rank).sum()?.to_bits()))
}

/// Logistic regression, 40 000 rows of 40 of 20 000 columns, clocks of 200 rows of each of two partitions.
fn regression(cx: &Context) -> Result<String> {
    const COLUMNS: u64 = 20_000;
    let rows = cx.range(0..40_000, 2).map(|i| {
        let mut random = rng::stream(7, i);
        let columns: Vec<u32> = (0..40).map(|_| rng::below(&mut random, COLUMNS) as u32).collect();
        let margin: f64 = columns.iter().map(|c| if c % 3 == 0 { 2.0 } else { -1.0 }).sum();
        (columns, margin > 0.0)
    });
    let rows = rows.cache();
    let spec = TableSpec::<f64>::dense(COLUMNS as usize, 1).consistency(Consistency::Bsp);
    let weights = cx.table("weights", spec)?;
    let update =
        |batch: &[(Vec<u32>, bool)], w: &mut slackwater_paramstore::TableView<'_, f64>, _: &mut _| {
            for (columns, label) in batch {
                let margin: f64 = columns.iter().map(|c| w.get(*c as usize, 0)).sum();
                let error = 1.0 / (1.0 + (-margin).exp()) - f64::from(*label);
                columns.iter().for_each(|c| w.inc(*c as usize, 0, -0.05 * error));
            }
        };
    rows.epochs(10).batch(200).update(&weights, update).run()?;
    Ok(weights.values().iter().fold(0, |h, w| hash_u64(h ^ w.to_bits())).to_string())
}
