//! The engine against hand-written programs on rayon and hashbrown, both sides alternating in one run.
//!
//! `cargo bench -p slackwater-dataflow --bench engine -- [chain] [job] [repartition] [reduce] [words] [sort] [spill]`,
//! with two workers (`WORKERS=n` for another number; `KEYS=n` for one row of `reduce`). Every comparison checks that
//! both sides have the same answer.

use rayon::prelude::*;
use slackwater_dataflow::event::Event;
use slackwater_dataflow::hash::{hash_bytes, hash_u64};
use slackwater_dataflow::{
    Chunk, Config, Context, Cursor, Dataset, Result, Source, Steps, Stop, TaskContext,
};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The allocator of the `slackwater` binary, for both sides.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MAPS: usize = 8;
type Fast = foldhash::fast::FixedState;

fn seconds<R>(f: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = f();
    (start.elapsed().as_secs_f64(), result)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn best(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::MAX, f64::min)
}

/// Peak resident memory of the process, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or("VmHWM: 0");
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn chain(cx: &Context) -> Result<()> {
    const N: u64 = 1_000_000;
    let mix = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (i << 7);
    let data: Vec<u64> = (0..N).map(mix).collect();
    let (a, f) = (|x: u64| x ^ (x >> 31), |x: &u64| (x >> 20) & 3 != 0);
    let (b, c) = (|x: u64| x.wrapping_add(12345), |x: u64| x.rotate_left(7));
    let floor = best(
        &(0..50)
            .map(|_| {
                let (t, r) =
                    seconds(|| data.iter().copied().map(a).filter(f).map(b).map(c).fold(0, |h, x| h ^ x));
                std::hint::black_box(r);
                t
            })
            .collect::<Vec<_>>(),
    );
    let ds = cx.parallelize(data, 1).cache();
    ds.count()?;
    let plain = ds.map(a).filter(f).map(b).map(c);
    let fused = ds.fuse(|s| s.map(a).filter(f).map(b).map(c));
    // What the task took by itself: a job of one millisecond has a twentieth of it around it.
    let busy = Arc::new(AtomicU64::new(0));
    let heard = busy.clone();
    let _listening = cx.events().subscribe(move |e| {
        if let Event::TaskEnd { metrics, .. } = &e.event {
            heard.store(metrics.busy_us, Ordering::Relaxed);
        }
    });
    let time = |name: &str, ds: &Dataset<u64>| -> Result<()> {
        let (mut times, mut tasks) = (vec![], vec![]);
        for _ in 0..50 {
            let (t, r) = seconds(|| ds.aggregate(0u64, |h, x| *h ^= x, |h, x| *h ^= x));
            std::hint::black_box(r?);
            times.push(t);
            tasks.push(busy.load(Ordering::Relaxed) as f64 / 1e6);
        }
        let ns = |t: &[f64]| best(t) * 1e9 / N as f64;
        println!("  {name:14} {:.2} ns a record, {:.2} with the job around it", ns(&tasks), ns(&times));
        Ok(())
    };
    println!("chain: map, filter, map, map, fold over 1 M cached u64, best of 50");
    println!("  std iterators  {:.2} ns a record", floor * 1e9 / N as f64);
    time("plain", &plain)?;
    time("fuse", &fused)?;
    Ok(())
}

fn job(cx: &Context) -> Result<()> {
    let small = cx.parallelize(vec![1u64; 16], 2).cache();
    let pairs = cx.parallelize(vec![(1u64, 1u64); 16], 2);
    let (mut one, mut two) = (vec![], vec![]);
    for _ in 0..2000 {
        let (t, r) = seconds(|| small.count());
        r?;
        one.push(t);
        let (t, r) = seconds(|| pairs.reduce_by_key_with(2, |a, b| *a += b).count());
        r?;
        two.push(t);
    }
    println!(
        "job overhead, median of 2000: {:.0} us for a count, {:.0} us with a shuffle",
        median(one) * 1e6,
        median(two) * 1e6
    );
    Ok(())
}

fn pairs(keys: u64, millions: usize) -> Vec<Vec<(u64, u64)>> {
    let n = (millions * 1_000_000 / MAPS) as u64;
    (0..MAPS as u64)
        .into_par_iter()
        .map(|m| {
            (0..n).map(|i| ((hash_u64(i ^ m << 40) % keys).wrapping_mul(0x9E37_79B9_7F4A_7C15), i)).collect()
        })
        .collect()
}

fn repartition(cx: &Context) -> Result<()> {
    let ds = cx.from_partitions(pairs(u64::MAX, 40));
    let workers = cx.config().workers as f64;
    println!("repartition of 40 M (u64, u64) by hash into 64 partitions, M records a second and worker:");
    for round in 0..5 {
        let moved = ds.partition_by(64);
        // Opens every partition and reads none: what is timed is the shuffle.
        let (t, r) = seconds(|| moved.foreach_partition(|_, _| ()));
        r?;
        println!("  round {round}: {:.3} s = {:.1}", t, 40.0 / t / workers);
    }
    Ok(())
}

fn reduce(cx: &Context) -> Result<()> {
    for (keys, partitions) in [(1_000_000u64, 64usize), (10_000_000, 256), (30_000, 64), (1000, 64)] {
        if std::env::var("KEYS").is_ok_and(|k| k != keys.to_string()) {
            continue;
        }
        let data = pairs(keys, 40);
        let ds = cx.from_partitions(data.clone());
        let (mut ours, mut theirs) = (vec![], vec![]);
        for _ in 0..5 {
            let (t, r) = seconds(|| {
                ds.reduce_by_key_with(partitions, |a, b| *a = a.wrapping_add(b)).aggregate(
                    (0u64, 0u64),
                    |h, (k, v)| {
                        h.0 += 1;
                        h.1 ^= hash_u64(k ^ v)
                    },
                    |h, o| {
                        h.0 += o.0;
                        h.1 ^= o.1
                    },
                )
            });
            ours.push(t);
            let got = r?;
            let (t, want) = seconds(|| {
                type M = hashbrown::HashMap<u64, u64, Fast>;
                let fold = |p: &[Vec<(u64, u64)>]| {
                    let mut m = M::default();
                    p.iter().flatten().for_each(|(k, v)| {
                        let e = m.entry(*k).or_insert(0);
                        *e = e.wrapping_add(*v)
                    });
                    m
                };
                let merged = data.par_chunks(MAPS / 2).map(fold).reduce_with(|mut a, b| {
                    b.into_iter().for_each(|(k, v)| {
                        let e = a.entry(k).or_insert(0);
                        *e = e.wrapping_add(v)
                    });
                    a
                });
                let m = merged.unwrap_or_default();
                (m.len() as u64, m.iter().fold(0, |h, (k, v)| h ^ hash_u64(k ^ v)))
            });
            theirs.push(t);
            assert_eq!(got, want);
        }
        let (a, b) = (median(ours), median(theirs));
        println!(
            "reduce_by_key, 40 M records, {keys} keys: {a:.3} s, rayon + hashbrown {b:.3} s, ratio {:.2}",
            a / b
        );
    }
    Ok(())
}

/// Zipf-like text: rank about vocabulary^u, words of 3 to 11 letters, lines of 12 words.
fn text(map: usize, bytes: usize, vocabulary: usize) -> String {
    let (mut s, mut i) = (String::with_capacity(bytes + 128), 0u64);
    while s.len() < bytes {
        for _ in 0..12 {
            let u = (hash_u64(i ^ (map as u64) << 40) >> 11) as f64 / (1u64 << 53) as f64;
            let mut h = hash_u64((vocabulary as f64).powf(u) as u64);
            for _ in 0..3 + h % 9 {
                s.push((b'a' + (h >> 32) as u8 % 26) as char);
                h = hash_u64(h);
            }
            s.push(' ');
            i += 1;
        }
        s.pop();
        s.push('\n');
    }
    s
}

fn check(counts: &Dataset<(String, u64)>) -> Result<(u64, u64)> {
    counts.aggregate(
        (0, 0),
        |h, (k, v)| {
            h.0 += 1;
            h.1 ^= hash_u64(hash_bytes(k.as_bytes()) ^ v)
        },
        |h, o| {
            h.0 += o.0;
            h.1 ^= o.1
        },
    )
}

fn count_words(docs: &[String]) -> hashbrown::HashMap<&[u8], u64, Fast> {
    let mut counts = hashbrown::HashMap::default();
    for doc in docs {
        let words = doc.as_bytes().split(|b| *b <= b' ').filter(|w| !w.is_empty());
        words.for_each(|w| *counts.entry(w).or_insert(0) += 1);
    }
    counts
}

fn words(cx: &Context) -> Result<()> {
    let docs: Vec<String> = (0..MAPS).into_par_iter().map(|m| text(m, 200 << 20 >> 3, 200_000)).collect();
    let lines = cx
        .from_partitions(docs.par_iter().map(|d| d.lines().map(String::from).collect::<Vec<_>>()).collect());
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..5 {
        let (t, want) = seconds(|| {
            let m = docs.par_chunks(MAPS / 2).map(count_words).reduce_with(|mut a, b| {
                b.into_iter().for_each(|(k, v)| *a.entry(k).or_insert(0) += v);
                a
            });
            let m = m.unwrap_or_default();
            (m.len() as u64, m.iter().fold(0, |h, (k, v)| h ^ hash_u64(hash_bytes(k) ^ v)))
        });
        times[0].push(t);
        let (t, r) = seconds(|| {
            check(&lines.reduce_by_borrowed_key(
                32,
                |line: &String, out| line.split_ascii_whitespace().for_each(|w| out.emit(w, 1u64)),
                |a, b| *a += b,
            ))
        });
        times[1].push(t);
        assert_eq!(r?, want);
        let (t, r) = seconds(|| {
            check(
                &lines
                    .flat_map(|l| l.split_ascii_whitespace().map(String::from).collect::<Vec<_>>())
                    .map(|w| (w, 1u64))
                    .reduce_by_key_with(32, |a, b| *a += b),
            )
        });
        times[2].push(t);
        assert_eq!(r?, want);
        let (t, r) = seconds(|| {
            check(
                &lines
                    .expand(|l, out| out.extend(l.split_ascii_whitespace().map(|w| (String::from(w), 1u64))))
                    .reduce_by_key_with(32, |a, b| *a += b),
            )
        });
        times[3].push(t);
        assert_eq!(r?, want);
    }
    let base = median(times[0].clone());
    println!("word count, 200 MB, 200 000 words:");
    let names = [
        "rayon, borrowed keys",
        "reduce_by_borrowed_key",
        "flat_map -> (String, 1)",
        "expand -> (String, 1)",
    ];
    for (name, t) in names.iter().zip(times) {
        let t = median(t);
        println!("  {name:24} {t:.3} s, ratio {:.2}", t / base);
    }
    Ok(())
}

/// Records made as they are read, so that the input does not count as memory.
struct Generated(u64);
struct GeneratedCursor(std::ops::Range<u64>, Vec<(u64, u64)>, Rc<TaskContext>);

impl Source<(u64, u64)> for Generated {
    fn partitions(&self) -> usize {
        MAPS
    }
    fn describe(&self) -> String {
        format!("{} records", self.0)
    }
    fn open(&self, p: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<(u64, u64)>>, Stop> {
        let n = self.0 / MAPS as u64;
        Ok(Box::new(GeneratedCursor(p as u64 * n..(p as u64 + 1) * n, vec![], task.clone())))
    }
}

impl Cursor<(u64, u64)> for GeneratedCursor {
    fn next(&mut self) -> Result<Option<Chunk<'_, (u64, u64)>>, Stop> {
        self.2.check()?;
        self.1.clear();
        self.1.extend(self.0.by_ref().take(1024).map(|i| (hash_u64(i), i)));
        Ok((!self.1.is_empty()).then_some(Chunk::Owned(&mut self.1)))
    }
}

/// Sorts 512 MiB with the given budget and looks at every record.
fn sort_once(workers: usize, budget: u64) -> Result<(f64, u64)> {
    let cx = Context::new(Config { workers, memory_budget_bytes: budget, ..Config::default() })?;
    let ds = cx.read(Generated(512 << 16));
    let (t, r) = seconds(|| {
        let sorted = ds.sort_by_key_with(true, 64)?;
        sorted.aggregate(
            (0u64, true, 0u64),
            |h, (k, _)| {
                h.1 &= h.0 <= *k;
                h.0 = *k;
                h.2 += 1;
            },
            |a, b| {
                a.1 &= b.1;
                a.2 += b.2
            },
        )
    });
    let (_, in_order, n) = r?;
    assert!(in_order && n == 512 << 16);
    Ok((t, cx.bytes_spilled()))
}

fn sort(workers: usize) -> Result<()> {
    // The tight one first: the peak of a process never falls.
    let (mut tight, mut free, mut spilled) = (vec![], vec![], 0);
    for _ in 0..3 {
        let (t, s) = sort_once(workers, 64 << 20)?;
        tight.push(t);
        spilled = s;
    }
    let peak = peak_mib();
    for _ in 0..3 {
        free.push(sort_once(workers, 8 << 30)?.0);
    }
    let (a, b) = (median(tight), median(free));
    println!(
        "sort of 512 MiB: {a:.3} s under 64 MiB ({} MiB spilled, peak {peak} MiB), {b:.3} s in memory (peak {} MiB), ratio {:.2}",
        spilled >> 20,
        peak_mib(),
        a / b
    );
    Ok(())
}

/// Every spilling operation on 1 GiB under 16 MiB.
fn spill(workers: usize) -> Result<()> {
    let cx = Context::new(Config { workers, memory_budget_bytes: 16 << 20, ..Config::default() })?;
    let ds = cx.read(Generated(1 << 26));
    let n = 1u64 << 26;
    let report = |name: &str, t: f64| {
        println!(
            "  {name}: {t:.1} s, peak {} MiB, spilled {} MiB in all",
            peak_mib(),
            cx.bytes_spilled() >> 20
        )
    };
    println!("1 GiB of (u64, u64) under a budget of 16 MiB:");
    let (t, r) = seconds(|| ds.sort_by_key_with(true, 256)?.count());
    assert_eq!(r?, n);
    report("sort_by_key", t);
    let (t, r) = seconds(|| ds.group_by_key_with(256).map(|(_, v)| v.len() as u64).reduce(|a, b| a + b));
    assert_eq!(r?, Some(n));
    report("group_by_key", t);
    let (t, r) = seconds(|| ds.reduce_by_key_with(256, |a, b| *a ^= b).count());
    assert_eq!(r?, n);
    report("reduce_by_key", t);
    let right = ds.filter(|(_, i)| i % 4 == 0);
    let (t, r) = seconds(|| ds.join_with(&right, 256).count());
    assert_eq!(r?, n / 4);
    report("join", t);
    let (t, r) = seconds(|| ds.keys().repartition(64).count());
    assert_eq!(r?, n);
    report("repartition", t);
    Ok(())
}

fn main() -> Result<()> {
    let workers = std::env::var("WORKERS").ok().and_then(|w| w.parse().ok()).unwrap_or(2);
    rayon::ThreadPoolBuilder::new().num_threads(workers).build_global().expect("the first pool");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() && name != "spill" || wanted.iter().any(|w| w == name);
    // Those that report the peak of memory come first.
    if wants("spill") {
        spill(workers)?;
    }
    if wants("sort") {
        sort(workers)?;
    }
    let cx = Context::local(workers)?;
    let all: [(&str, fn(&Context) -> Result<()>); 5] =
        [("chain", chain), ("job", job), ("repartition", repartition), ("reduce", reduce), ("words", words)];
    all.iter().filter(|(name, _)| wants(name)).try_for_each(|(_, f)| f(&cx))
}
