//! Matrix factorisation: the solvers side by side, and what Fugue does about a slow worker.
//!
//! ```text
//! cargo bench -p slackwater-mllib --bench factorization -- [solvers] [slow] [file]
//! ```
//!
//! Ratings are made up: 20 000 users, 4 000 items, rank 8 and noise, few items with many of the ratings; one in ten is held
//! out. `solvers` trains on two workers of one process, alternately: descent on a table and over rotating blocks with the same
//! steps, and coordinate descent. `file` trains on the ratings of the file `RATINGS` and measures on those of `TEST`, lines of
//! `user item rating`, with `SOLVER`, `RANK` factors, `REGULARIZATION`, `INNER` iterations, `STEP`, `DECAY`, and each number of
//! epochs in `EPOCHS`, on `WORKERS` workers; printed are the RMSE on `TEST` and the time from ratings in memory to the model. `slow` needs control groups of
//! version 1 that it may write: four processes of one worker, three with 45 % of a processor and one with a share of that,
//! `ROUNDS` runs (3 unless said) with other first factors each, alternately without and with Fugue. Printed are medians over rounds of the
//! time until the RMSE of an epoch, each rating before it is learnt from once more, is below a bound, and the deviation
//! of the RMSE from round to round, at equal times.

use slackwater_dataflow::block::Rating;
use slackwater_dataflow::cluster::{Secret, Supervisor};
use slackwater_dataflow::{Config, Context, Dataset, Error, Result, rng};
use slackwater_mllib::evaluation::RegressionMetrics;
use slackwater_mllib::optimization::Progress;
use slackwater_mllib::recommendation::{MatrixFactorizationModel, MatrixFactorizationParams, Solver};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a child runs: seed, passes of Fugue, epochs.
const WORK: &str = "BENCH_WORK";
const PROCESSES: usize = 4;
const USERS: u64 = 20_000;
const ITEMS: u64 = 4_000;
const RANK: usize = 8;
const RATINGS: u64 = 1_000_000;
/// Of a processor, for a process that is not slow.
const FAST_PERCENT: u64 = 45;
/// Shares of that for the one that is.
const SLOW_PERCENT: [u64; 3] = [20, 33, 50];
const EPOCHS: usize = 12;
/// The RMSE that is waited for, in units of what is left after all epochs without Fugue.
const BOUND: f64 = 1.02;
const PERIOD_US: u64 = 20_000;

fn main() -> Result<()> {
    if let Ok(work) = std::env::var(WORK) {
        return child(&work);
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    if is_wanted("solvers") {
        solvers()?;
    }
    if is_wanted("slow") {
        slow()?;
    }
    if wanted.iter().any(|w| w == "file") {
        file()?;
    }
    Ok(())
}

/// Ratings, known and held out.
fn ratings(cx: &Context, partitions: usize) -> (Dataset<Rating>, Dataset<Rating>) {
    let factors = |of: u64, number: u64| -> Vec<f64> {
        let mut random = rng::stream(of, number);
        (0..RANK).map(|_| rng::normal(&mut random)).collect()
    };
    let (users, items): (Vec<_>, Vec<_>) =
        ((0..USERS).map(|u| factors(1, u)).collect(), (0..ITEMS).map(|i| factors(2, i)).collect());
    let all = cx.range(0..RATINGS, partitions).map(move |n| {
        let mut random = rng::stream(3, n);
        let user = rng::below(&mut random, USERS);
        // Few items have many ratings.
        let item = ((ITEMS as f64) * rng::unit_f64(&mut random).powi(2)) as u64;
        let product: f64 = users[user as usize].iter().zip(&items[item as usize]).map(|(p, q)| p * q).sum();
        let rating = 3.5 + 0.35 * product + 0.5 * rng::normal(&mut random);
        (n % 10 == 0, Rating::new(user as u32, item as u32, rating as f32))
    });
    let all = all.cache();
    let part = |is_held_out: bool| all.filter(move |r| r.0 == is_held_out).map(|r| r.1).cache();
    (part(false), part(true))
}

fn params(solver: Solver, fugue: usize, seed: u64, epochs: usize) -> MatrixFactorizationParams {
    let default = MatrixFactorizationParams::default();
    if solver == Solver::Ccd {
        return MatrixFactorizationParams { rank: 16, epochs, solver, regularization: 0.07, seed, ..default };
    }
    MatrixFactorizationParams {
        rank: 16,
        epochs,
        solver,
        fugue,
        step_size: 0.02,
        decay: 0.95,
        regularization: 0.03,
        seed,
        ..default
    }
}

/// (seconds, RMSE) at the end of each epoch.
type Course = Vec<(f64, f64)>;

fn fit(
    params: &MatrixFactorizationParams,
    ratings: &Dataset<Rating>,
) -> Result<(Course, MatrixFactorizationModel)> {
    let (mut path, mut start): (Course, Option<Instant>) = (vec![], None);
    // The first epoch also partitions the ratings: time counts from its end.
    let model = params.fit_observed(ratings, None, &mut |progress: &Progress<'_>| {
        let start = *start.get_or_insert_with(Instant::now);
        path.push((start.elapsed().as_secs_f64(), progress.objective));
        ControlFlow::Continue(())
    })?;
    Ok((path, model))
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

fn held_out(model: &MatrixFactorizationModel, ratings: &Dataset<Rating>) -> Result<f64> {
    Ok(RegressionMetrics::of(&model.score(ratings))?.root_mean_squared_error)
}

fn solvers() -> Result<()> {
    println!("solvers: {RATINGS} ratings, two workers, {EPOCHS} epochs, medians of 5");
    let cx = Context::local(2)?;
    let (known, unknown) = ratings(&cx, 4);
    known.count()?;
    let mut all = [Solver::Sgd, Solver::Dsgd, Solver::Ccd].map(|solver| (solver, vec![], 0.0));
    for round in 0..5 {
        for (solver, times, error) in &mut all {
            let (path, model) = fit(&params(*solver, 0, round, EPOCHS), &known)?;
            let (first, last) = (path[0].0, path[path.len() - 1].0);
            times.push((last - first) / (EPOCHS - 1) as f64);
            *error = held_out(&model, &unknown)?;
        }
    }
    let [sgd, dsgd, ccd] = all.map(|(solver, times, error)| {
        let epoch = median(times);
        let each = epoch * 1e9 / (0.9 * RATINGS as f64);
        println!("  {:4} {epoch:.3} s an epoch, {each:.0} ns a rating, held out {error:.4}", solver.name());
        epoch
    });
    println!("  dsgd / sgd {:.2}, ccd / sgd {:.2}", dsgd / sgd, ccd / sgd);
    Ok(())
}

fn variable<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn read(cx: &Context, name: &str) -> Result<Dataset<Rating>> {
    let path = variable(name, String::new());
    let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, "read", &e))?;
    let rating = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (user, item) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Rating::new(user, item, fields.next()?.parse().ok()?))
    };
    let ratings: Option<Vec<Rating>> = text.lines().map(rating).collect();
    let ratings = ratings.ok_or_else(|| Error::usage(format!("{path} is not ratings")))?;
    Ok(cx.parallelize(ratings, variable("PARTITIONS", 8)))
}

fn file() -> Result<()> {
    let config = Config::local(variable("WORKERS", 2));
    let cx = Context::new(Config { default_partitions: variable("PARTITIONS", 8), ..config })?;
    let (known, unknown) = (read(&cx, "RATINGS")?, read(&cx, "TEST")?);
    let solver = variable("SOLVER", Solver::Ccd);
    let epochs = variable("EPOCHS", "10".to_string());
    for epochs in epochs.split(',').filter_map(|n| n.parse().ok()) {
        let default = MatrixFactorizationParams::default();
        let params = MatrixFactorizationParams {
            rank: variable("RANK", 32),
            solver,
            epochs,
            inner_iterations: variable("INNER", 1),
            regularization: variable("REGULARIZATION", 0.05),
            step_size: variable("STEP", default.step_size),
            decay: variable("DECAY", default.decay),
            ..default
        };
        let start = Instant::now();
        let mut times = vec![];
        let model = params.fit_observed(&known, None, &mut |_: &Progress<'_>| {
            times.push(start.elapsed().as_secs_f64());
            ControlFlow::Continue(())
        })?;
        let (all, first, last) = (start.elapsed().as_secs_f64(), times[0], times[times.len() - 1]);
        println!(
            "  {} {epochs} epochs: {all:.2} s, of which {:.2} before the second epoch, and {:.3} an epoch; training {:.4}, \
             test {:.4}",
            solver.name(),
            first,
            (last - first) / (epochs - 1).max(1) as f64,
            model.summary().rmse,
            held_out(&model, &unknown)?
        );
    }
    Ok(())
}

/// A control group with a share of a processor; removed when this is dropped.
struct Quota(PathBuf);

impl Quota {
    fn new(name: &str, percent: u64) -> Option<Quota> {
        let parents = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"].map(Path::new);
        let parent = parents.into_iter().find(|p| p.join("cpu.cfs_quota_us").exists())?;
        let folder = parent.join(format!("slackwater-bench-{}-{name}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let quota = Quota(folder);
        fs::write(quota.0.join("cpu.cfs_period_us"), PERIOD_US.to_string()).ok()?;
        fs::write(quota.0.join("cpu.cfs_quota_us"), (PERIOD_US * percent / 100).max(1000).to_string())
            .ok()?;
        Some(quota)
    }
    fn hold(&self, pid: u32) -> std::io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Processes, ended when this is dropped.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Four processes, the last with a share of what the others have.
fn run(quotas: &[Quota], seed: u64, fugue: usize, epochs: usize) -> Result<(Course, f64)> {
    let io = |e: std::io::Error| Error::io("the benchmark's own program", "start", &e);
    let supervisor = Supervisor::listen("127.0.0.1:0", PROCESSES, Secret::random()?)?;
    let program = std::env::current_exe().map_err(io)?;
    let mut children = Children(vec![]);
    for (process, quota) in quotas.iter().enumerate() {
        let mut command = Command::new(&program);
        command.envs(supervisor.membership(process).variables()).env("SLACKWATER_WORKERS", "1");
        command.env(WORK, format!("{seed} {fugue} {epochs}")).stdout(Stdio::piped());
        let child = command.spawn().map_err(io)?;
        quota.hold(child.id()).map_err(io)?;
        children.0.push(child);
    }
    let start = Instant::now();
    while children.0.iter_mut().any(|c| c.try_wait().is_ok_and(|status| status.is_none())) {
        supervisor.poll();
        assert!(start.elapsed() < Duration::from_secs(300), "it does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut told = String::new();
    for (process, child) in children.0.drain(..).enumerate() {
        let out = child.wait_with_output().map_err(io)?;
        assert!(out.status.success(), "process {process}");
        if process == 0 {
            told = String::from_utf8_lossy(&out.stdout).into_owned();
        }
    }
    let numbers = |line: &str| line.split(' ').filter_map(|n| n.parse().ok()).collect::<Vec<f64>>();
    let mut path: Course = vec![];
    let mut held_out = f64::NAN;
    for line in told.lines() {
        match numbers(line)[..] {
            [time, error] => path.push((time, error)),
            [error] => held_out = error,
            _ => {}
        }
    }
    assert!(path.len() == epochs && held_out.is_finite(), "{told}");
    Ok((path, held_out))
}

fn child(work: &str) -> Result<()> {
    let numbers: Vec<u64> = work.split(' ').filter_map(|n| n.parse().ok()).collect();
    let [seed, fugue, epochs] = numbers[..] else { return Err(Error::usage("not a work")) };
    let cx = Context::from_env()?;
    let (known, unknown) = ratings(&cx, 2 * PROCESSES);
    let (path, model) = fit(&params(Solver::Dsgd, fugue as usize, seed, epochs as usize), &known)?;
    for (time, error) in path {
        println!("{time} {error}");
    }
    println!("{}", held_out(&model, &unknown)?);
    Ok(())
}

/// Time until the RMSE is at most `bound`, between epochs by line.
fn time_to(path: &[(f64, f64)], bound: f64) -> f64 {
    let at = |pair: &[(f64, f64)]| {
        let [(t0, e0), (t1, e1)] = [pair[0], pair[1]];
        (e1 <= bound).then(|| if e0 <= bound { t0 } else { t0 + (t1 - t0) * (e0 - bound) / (e0 - e1) })
    };
    path.windows(2).find_map(at).unwrap_or(f64::NAN)
}

fn error_at(path: &[(f64, f64)], time: f64) -> f64 {
    let pair = path.windows(2).find(|pair| pair[1].0 >= time);
    pair.map_or(path[path.len() - 1].1, |pair| {
        let [(t0, e0), (t1, e1)] = [pair[0], pair[1]];
        e0 + (e1 - e0) * (time - t0) / (t1 - t0)
    })
}

fn deviation(all: &[f64]) -> f64 {
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    (all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt()
}

fn slow() -> Result<()> {
    let rounds: u64 = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    println!("slow: {RATINGS} ratings, {PROCESSES} processes, one slow; {rounds} rounds");
    for percent in SLOW_PERCENT {
        let share =
            |process| if process + 1 == PROCESSES { FAST_PERCENT * percent / 100 } else { FAST_PERCENT };
        let quotas: Option<Vec<Quota>> =
            (0..PROCESSES).map(|p| Quota::new(&p.to_string(), share(p))).collect();
        let Some(quotas) = quotas else {
            println!("  there are no control groups for processors that may be written");
            return Ok(());
        };
        let passes = [0, 2, 8];
        let mut all: Vec<Vec<(Course, f64)>> = passes.iter().map(|_| vec![]).collect();
        for round in 0..rounds {
            for (runs, fugue) in all.iter_mut().zip(passes) {
                runs.push(run(&quotas, round, fugue, EPOCHS)?);
            }
        }
        let last = median(all[0].iter().map(|(path, _)| path[path.len() - 1].1).collect());
        let (bound, end) =
            (BOUND * last, median(all[0].iter().map(|(path, _)| path[path.len() - 1].0).collect()));
        println!("  the slow one has {percent} % of what the others have; RMSE {bound:.4}");
        let (mut plain, mut plain_apart) = (f64::NAN, f64::NAN);
        for (runs, fugue) in all.iter().zip(passes) {
            let times: Vec<f64> = runs.iter().map(|(path, _)| time_to(path, bound)).collect();
            let time = median(times.clone());
            let reached: Vec<f64> = times.into_iter().filter(|t| t.is_finite()).collect();
            // By how much runs are apart at equal times: the variance of the error, over ten times.
            let apart_at = |k: usize| {
                let errors: Vec<f64> =
                    runs.iter().map(|(path, _)| error_at(path, k as f64 / 10.0 * end)).collect();
                deviation(&errors).powi(2)
            };
            let apart = (1..=10).map(apart_at).sum::<f64>() / 10.0;
            plain_apart = if fugue == 0 { apart } else { plain_apart };
            let epoch =
                median(runs.iter().map(|(path, _)| path[path.len() - 1].0 / (EPOCHS - 1) as f64).collect());
            let error = median(runs.iter().map(|(_, error)| *error).collect());
            plain = if fugue == 0 { time } else { plain };
            let spread = |part: f64| {
                let at: Vec<f64> = runs.iter().map(|(path, _)| error_at(path, part * end)).collect();
                format!("{:.4} +- {:.5}", median(at.clone()), deviation(&at))
            };
            println!(
                "    {fugue} extra passes: {time:.2} s +- {:.0} % ({} of {}), {:.2} x; {epoch:.3} s an epoch; variance of the error at equal times \
                 {apart:.1e}, {:.2} x; at a quarter and half of the time {}, {}; held out at the end {error:.4}",
                100.0 * deviation(&reached) / time,
                reached.len(),
                runs.len(),
                time / plain,
                apart / plain_apart,
                spread(0.25),
                spread(0.5)
            );
        }
    }
    Ok(())
}
