//! Processes are killed in the middle of trainings on parameter tables.

use slackwater_dataflow::rng::{stream, unit_f64};
use slackwater_dataflow::{Config, Context};
use slackwater_paramstore::{
    Consistency, EpochsExt, Perturbation, Recovery, Report, Rule, TableExt, TableSpec, TableView,
};
use slackwater_tests::cluster::{self, Setup};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const COLUMNS: usize = 5;
const EPOCHS: u64 = 10;
/// Clocks of an epoch.
const CLOCKS: u64 = 3;

/// Rows of a regression, without noise.
fn rows() -> Vec<([f64; COLUMNS], f64)> {
    let mut random = stream(7, 1);
    let mut row = || {
        let x: [f64; COLUMNS] = std::array::from_fn(|_| 2.0 * unit_f64(&mut random) - 1.0);
        (x, x.iter().enumerate().map(|(i, x)| x * (i as f64 - 1.5)).sum())
    };
    (0..180).map(|_| row()).collect()
}

/// Least squares by gradients: one table that is added to and one with a rule, states that count what they have seen, a
/// function between epochs that reads a table. Returns everything that is known at the end, to the bit.
fn train(cx: &Context, consistency: Consistency, epochs: u64, pace: Duration) -> (String, f64) {
    let data = cx.parallelize(rows(), 6);
    let added = cx.table::<f64>("added", TableSpec::dense(1, COLUMNS).consistency(consistency)).unwrap();
    let ruled = TableSpec::dense(1, COLUMNS).consistency(consistency).rule(Rule::Momentum { momentum: 0.5 });
    let ruled = cx.table::<f64>("ruled", ruled).unwrap();
    let (mut read, table) = (vec![], added.clone());
    let training = data
        .epochs(epochs)
        .batch(10)
        .local(|partition, records: &[([f64; COLUMNS], f64)]| (partition as u64, records.len() as u64))
        .update_all(&[&added, &ruled], move |state, batch, views, clock| {
            if state.0 == 1 {
                std::thread::sleep(pace);
            }
            for (view, step) in views.iter_mut().zip([-0.3, -0.15]) {
                let weights: Vec<f64> = (0..COLUMNS).map(|c| view.get(0, c)).collect();
                for (x, y) in batch {
                    let error: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>() - y;
                    clock.loss(error * error);
                    (0..COLUMNS).for_each(|c| view.inc(0, c, step * error * x[c] / 10.0));
                }
            }
            state.1 += clock.number() * batch.len() as u64;
        })
        .recovery_every(2)
        .until(move |progress| {
            read.push(table.get(0, 0));
            // The main program goes by what it reads.
            progress.epochs > 6 && read[read.len() - 2] == read[0]
        });
    let (report, states) = training.run_with_locals().unwrap();
    assert_eq!((report.epochs, report.clocks), (epochs, epochs * CLOCKS));
    assert!(report.staleness_max() <= consistency.staleness(), "{report:?}");
    let bits = |values: &[f64]| values.iter().map(|v| format!("{:016x} ", v.to_bits())).collect::<String>();
    let states = states.collect().unwrap();
    let text = format!(
        "{}\n{}\n{}\n{states:?}\n",
        bits(&added.values()),
        bits(&ruled.values()),
        bits(&report.losses)
    );
    (text, *report.losses.last().unwrap())
}

/// As [`train`], without states, in one segment unless `until`; no points are kept but at the start.
fn go_on(cx: &Context, consistency: Consistency, epochs: u64, until: bool) -> Report {
    let data = cx.parallelize(rows(), 6);
    let added = cx.table::<f64>("added", TableSpec::dense(5, COLUMNS).consistency(consistency)).unwrap();
    let ruled = TableSpec::dense(5, COLUMNS).consistency(consistency).rule(Rule::Momentum { momentum: 0.5 });
    let ruled = cx.table::<f64>("ruled", ruled).unwrap();
    let training = data.epochs(epochs).batch(10).update_all(&[&added, &ruled], |batch, views, clock| {
        for (view, step) in views.iter_mut().zip([-0.04, -0.02]) {
            // Rows, so that every shard has some: their sum is the model.
            let weight = |view: &TableView<'_, f64>, c| (0..5).map(|r| view.get(r, c)).sum::<f64>();
            let weights: Vec<f64> = (0..COLUMNS).map(|c| weight(view, c)).collect();
            for (x, y) in batch {
                let error: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>() - y;
                clock.loss(error * error);
                let row = (clock.number() % 5) as usize;
                (0..COLUMNS).for_each(|c| view.inc(row, c, step * error * x[c] / 10.0));
            }
        }
    });
    let training = training.recovery_every(1000).recovery(Recovery::Partial);
    let report = if until { training.until(|_| false).run() } else { training.run() }.unwrap();
    assert_eq!((report.epochs, report.losses.len()), (epochs, epochs as usize));
    assert!(report.staleness_max() <= consistency.staleness(), "{report:?}");
    report
}

fn ssp() -> Consistency {
    Consistency::Ssp(2)
}

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    let cx = Context::from_env().unwrap();
    let answer = match task.as_str() {
        "bsp" => train(&cx, Consistency::Bsp, EPOCHS, Duration::ZERO).0,
        "slow" => train(&cx, Consistency::Bsp, EPOCHS, Duration::from_millis(40)).0,
        "ssp" => train(&cx, ssp(), EPOCHS + 1, Duration::ZERO).1.to_string(),
        "partial" | "partial until" => {
            let report = go_on(&cx, ssp(), EPOCHS + 2, task == "partial until");
            cluster::answer(&serde_json::to_string(&report).unwrap());
            return;
        }
        _ => panic!("unknown task {task}"),
    };
    cluster::answer(&answer);
}

/// Runs a task with each of these faults, two at a time; all must be reached, and `check` gets the answers.
fn disturbed(task: &str, faults: &[String], check: impl Fn(&[Option<String>]) -> bool + Sync) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(vec![]));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut c = Setup::new(task, 3, 2).fault(fault).start();
                    let end = c.end();
                    let is_right = end.failed.is_none() && check(&end.answers);
                    if end.replaced == 0 || !is_right {
                        let what = format!("{fault}: {} replaced, {:?}", end.replaced, end.failed);
                        wrong.lock().unwrap().push(format!("{what}, {:?}\n{}", end.answers, c.logs()));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} went wrong:\n{}", wrong.len(), faults.len(), wrong.join("\n\n"));
}

const PHASES: [&str; 4] = ["before-read", "after-compute", "mid-push", "mid-checkpoint"];

/// Three processes, four phases, four clocks; points are kept at the ends of even epochs.
fn points() -> Vec<String> {
    let of = |phase: &str, clock: u64| {
        let clock = if phase == "mid-checkpoint" {
            clock.next_multiple_of(2 * CLOCKS).max(2 * CLOCKS)
        } else {
            clock
        };
        (0..3).map(|p| format!("kill={p},1,{clock},{phase}")).collect::<Vec<_>>()
    };
    PHASES.iter().flat_map(|phase| [0, 7, 13, 19].map(|clock| of(phase, clock))).flatten().collect()
}

/// R1: under BSP nothing of what a training comes to depends on who is killed, and when.
#[test]
fn a_kill_at_any_clock_and_phase_changes_no_bit() {
    let want = train(&Context::local(2).unwrap(), Consistency::Bsp, EPOCHS, Duration::ZERO).0;
    let points = points();
    assert_eq!(points.len(), 48);
    disturbed("bsp", &points, |answers| answers.iter().all(|a| a.as_deref() == Some(&want)));
    println!("{} kills survived, bit for bit", points.len());
}

/// Processes come and go while a training runs: what it comes to does not depend on it.
#[test]
fn another_number_of_processes_changes_no_bit() {
    let want = train(&Context::local(2).unwrap(), Consistency::Bsp, EPOCHS, Duration::ZERO).0;
    let mut c = Setup::new("slow", 2, 1).start();
    c.await_generation(1);
    c.grow();
    c.grow();
    c.await_size(4);
    c.run_for(Duration::from_millis(100));
    c.retire(1);
    c.await_size(3);
    c.run_for(Duration::from_millis(100));
    c.retire(3);
    c.await_size(2);
    c.retire(2);
    c.await_size(1);
    assert_eq!(c.grow(), 1, "the lowest number that is free");
    c.await_size(2);
    assert_eq!(c.finish(), vec![want.clone(), want], "{}", c.logs());
}

/// R2: under SSP no read is too old (the training itself says so), and after a tenth more clocks the loss is what it was.
#[test]
fn a_kill_under_ssp_costs_no_more_than_a_tenth() {
    let config = Config { workers: 2, ..Config::default() };
    let undisturbed = train(&Context::new(config).unwrap(), ssp(), EPOCHS, Duration::ZERO).1;
    let points: Vec<String> = points().into_iter().step_by(5).collect();
    disturbed("ssp", &points, |answers| {
        let loss = |a: &Option<String>| a.as_ref().and_then(|a| a.parse::<f64>().ok());
        answers.iter().all(|a| loss(a).is_some_and(|loss| loss <= undisturbed * 1.01))
    });
}

/// A training that goes on from what is left does not go back to the start, comes to the same loss in at most two epochs
/// more, and says what it has lost: the same in all processes.
#[test]
fn what_is_left_is_gone_on_from() {
    let undisturbed = *go_on(&Context::local(2).unwrap(), ssp(), EPOCHS, false).losses.last().unwrap();
    let kills = [("before-read", 13), ("after-compute", 14), ("mid-push", 19), ("before-read", 20)];
    for task in ["partial", "partial until"] {
        let at = |(phase, clock): &(&str, u64)| [0, 2].map(|p| format!("kill={p},1,{clock},{phase}"));
        let faults: Vec<String> = kills.iter().flat_map(at).collect();
        disturbed(task, &faults, |answers| {
            let reports: Option<Vec<Report>> =
                answers.iter().map(|a| serde_json::from_str(a.as_deref()?).ok()).collect();
            let Some(reports) = reports else { return false };
            let told = |r: &Report| (r.losses.clone(), r.perturbations.clone());
            let (losses, perturbations) = told(&reports[0]);
            // If somebody had not begun the epoch yet, all begin it again, and nothing is lost.
            let is_whole = |lost: &[Perturbation]| lost.is_empty() && task == "partial until";
            let is_told = |lost: &Perturbation| {
                // Killed in the fifth to seventh epoch; the others may be `s` clocks ahead or behind.
                (3..=7).contains(&lost.epoch)
                    && lost.values_lost > 0
                    && lost.distance.is_some()
                    && lost.kept > 0.1
            };
            reports.iter().all(|r| told(r) == (losses.clone(), perturbations.clone()))
                && losses.last().is_some_and(|loss| *loss <= undisturbed * 1.01)
                && losses.iter().all(|loss| loss.is_finite() && *loss > 0.0)
                && (is_whole(&perturbations) || matches!(&perturbations[..], [lost] if is_told(lost)))
        });
    }
}

/// What only a process has that was lost cannot be gone on without.
#[test]
fn partial_recovery_is_refused_where_states_would_be_lost() {
    let cx = Context::local(1).unwrap();
    let table = cx.table::<f64>("t", TableSpec::dense(1, 1)).unwrap();
    let training = cx.range(0..10, 2).epochs(1).local(|_, _| 0u64).update_all(&[&table], |_, _, _, _| {});
    let error = training.recovery(Recovery::Partial).run().unwrap_err();
    assert!(error.to_string().contains("have no states"), "{error}");
    let sparse = cx.table::<f64>("s", TableSpec::sparse(1, 1)).unwrap();
    let training = cx.range(0..10, 2).epochs(1).update(&sparse, |_, _, _| {});
    assert!(training.recovery(Recovery::Partial).run().is_err());
}
