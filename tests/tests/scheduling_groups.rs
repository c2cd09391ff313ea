//! Groups of variables: a Lasso by columns, against coordinate descent that takes one column after the other.

use slackwater_dataflow::rng::{normal, stream, unit_f64};
use slackwater_dataflow::{Config, Context, Result};
use slackwater_paramstore::schedule::{
    ConflictGraph, GroupOutcome, GroupProgram, GroupScheduling, Groups, GroupsExt, Shared,
};
use slackwater_paramstore::{Consistency, Rule, Snapshots, Table, TableExt, TableSpec};
use slackwater_tests::cluster::{self, Setup};

/// What is stored of a column.
type Column = Vec<(u32, f64)>;

/// A design by columns, and targets.
#[derive(Clone)]
struct Data {
    columns: Vec<Column>,
    y: Vec<f64>,
}

impl Data {
    /// `blocks` blocks of `wide` columns, each of which is full in the `tall` rows of its block; elsewhere it has `others` numbers
    /// of about `weak`.
    fn blocks(blocks: usize, tall: usize, wide: usize, others: usize, weak: f64, seed: u64) -> Self {
        let mut random = stream(seed, 0);
        let rows = blocks * tall;
        let mut columns = vec![];
        for j in 0..blocks * wide {
            let first = j / wide * tall;
            let mut column: Column = (first..first + tall).map(|i| (i as u32, normal(&mut random))).collect();
            for _ in 0..others {
                let i = (unit_f64(&mut random) * rows as f64) as usize;
                if !(first..first + tall).contains(&i) {
                    column.push((i as u32, weak * normal(&mut random)));
                }
            }
            columns.push(column);
        }
        let mut y: Vec<f64> = (0..rows).map(|_| 0.1 * normal(&mut random)).collect();
        for column in columns.iter().step_by(3) {
            let weight = 2.0 * unit_f64(&mut random) - 1.0;
            column.iter().for_each(|(i, x)| y[*i as usize] += weight * x);
        }
        Data { columns, y }
    }
    /// Two columns depend on each other if they have a row in common.
    fn graph(&self) -> ConflictGraph {
        let rows: Vec<Vec<bool>> = self.columns.iter().map(|c| self.marks(c)).collect();
        let n = rows.len();
        let share = |a: usize, b: usize| rows[a].iter().zip(&rows[b]).any(|(a, b)| *a && *b);
        let pairs = (0..n).flat_map(|a| (0..a).map(move |b| (a, b)));
        ConflictGraph::new(n, pairs.filter(|(a, b)| share(*a, *b)).map(|(a, b)| (a as u32, b as u32)))
    }
    fn marks(&self, column: &Column) -> Vec<bool> {
        let mut marks = vec![false; self.y.len()];
        column.iter().for_each(|(i, _)| marks[*i as usize] = true);
        marks
    }
    /// Coordinate descent, one column after the other.
    fn descend(&self, lambda: f64, order: &[u32], sweeps: usize) -> (Vec<f64>, Vec<f64>) {
        let (mut b, mut r) = (vec![0.0; self.columns.len()], self.y.clone());
        for _ in 0..sweeps {
            for j in order.iter().map(|j| *j as usize) {
                let (mut product, mut square) = (0.0, 0.0);
                for (i, x) in &self.columns[j] {
                    product += x * r[*i as usize];
                    square += x * x;
                }
                let z: f64 = product + square * b[j];
                let to = z.signum() * (z.abs() - lambda).max(0.0) / square;
                let delta = to - b[j];
                b[j] = to;
                if delta != 0.0 {
                    self.columns[j].iter().for_each(|(i, x)| r[*i as usize] += -delta * x);
                }
            }
        }
        (b, r)
    }
    fn objective(&self, lambda: f64, b: &[f64], r: &[f64]) -> f64 {
        r.iter().map(|r| r * r).sum::<f64>() / 2.0 + lambda * b.iter().map(|b| b.abs()).sum::<f64>()
    }
    fn records(&self) -> Vec<(u32, Column)> {
        // In another order than that of their numbers.
        let n = self.columns.len();
        (0..n).map(|k| (k * 11 + 3) % n).map(|j| (j as u32, self.columns[j].clone())).collect()
    }
}

/// `1/2 |y - X b|² + lambda |b|₁`; the table has the residuals.
struct Lasso {
    lambda: f64,
}

impl GroupProgram for Lasso {
    type Record = Column;
    fn weight(&self, column: &Column) -> u64 {
        1 + column.len() as u64
    }
    fn update(&self, _: usize, column: &Column, values: &mut [f64], residuals: &mut Shared<'_, '_>) {
        let (mut product, mut square) = (0.0, 0.0);
        for (i, x) in column {
            product += x * residuals.get(*i as usize, 0);
            square += x * x;
        }
        let z = product + square * values[0];
        let to = z.signum() * (z.abs() - self.lambda).max(0.0) / square;
        let delta = to - values[0];
        values[0] = to;
        if delta != 0.0 {
            column.iter().for_each(|(i, x)| residuals.add(*i as usize, 0, -delta * x));
        }
    }
    fn penalty(&self, _: usize, _: &Column, values: &[f64]) -> f64 {
        self.lambda * values[0].abs()
    }
    fn objective(&self, _: usize, residual: &[f64]) -> f64 {
        residual[0] * residual[0] / 2.0
    }
}

const LAMBDA: f64 = 0.3;

fn residuals(cx: &Context, data: &Data, consistency: Consistency) -> Table<f64> {
    let y = data.y.clone();
    let spec = TableSpec::dense(y.len(), 1).consistency(consistency).init(move |row, _| y[row]);
    cx.table("residuals", spec).unwrap()
}

/// Updates in so many partitions; `with` says more of it.
fn run(
    cx: &Context,
    data: &Data,
    (groups, partitions, consistency): (&Groups, usize, Consistency),
    with: impl for<'u> FnOnce(GroupScheduling<'u, Lasso>) -> GroupScheduling<'u, Lasso>,
) -> Result<(GroupOutcome, Vec<f64>)> {
    let table = residuals(cx, data, consistency);
    let records = cx.parallelize(data.records(), partitions);
    let outcome = with(records.update_groups(Lasso { lambda: LAMBDA }, groups.clone(), &table)).run()?;
    assert!(outcome.report.staleness_max() <= consistency.staleness());
    Ok((outcome, table.values().to_vec()))
}

fn local(workers: usize) -> Context {
    Context::new(Config { workers, ..Config::default() }).unwrap()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn far(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Groups of the columns of blocks, in an order of the user's.
fn shuffled(blocks: u32, wide: u32) -> Groups {
    let group = |g: u32| (0..wide).map(|k| (blocks - 1 - g) * wide + (5 * k + g) % wide).collect();
    Groups::new((0..blocks).map(group).collect()).unwrap()
}

#[test]
fn one_partition_is_sequential_descent_to_the_bit() {
    let data = Data::blocks(6, 15, 8, 10, 0.5, 1);
    let groups = shuffled(6, 8);
    let order: Vec<u32> = groups.iter().flatten().copied().collect();
    let (b, r) = data.descend(LAMBDA, &order, 12);
    assert!(b.contains(&0.0) && b.iter().filter(|b| **b != 0.0).count() > 10, "{b:?}");
    for rounds in [1, 4] {
        let (outcome, table) =
            run(&local(2), &data, (&groups, 1, Consistency::Bsp), |s| s.rounds(rounds).sweeps(12).every(4))
                .unwrap();
        assert_eq!((outcome.sweeps, outcome.rounds), (12, rounds));
        assert_eq!(bits(&outcome.values), bits(&b), "{rounds} rounds");
        assert!(far(&table, &r) < 1e-14, "{}", far(&table, &r));
        assert_eq!(outcome.trace.iter().map(|t| t.sweep).collect::<Vec<_>>(), [4, 8, 12]);
        for point in &outcome.trace {
            let (b, r) = data.descend(LAMBDA, &order, point.sweep as usize);
            let (before, _) = data.descend(LAMBDA, &order, point.sweep as usize - 1);
            let objective = data.objective(LAMBDA, &b, &r);
            assert!((point.objective - objective).abs() < 1e-12 * objective, "{point:?} {objective}");
            let changed = b.iter().zip(&before).filter(|(a, b)| a != b).count();
            assert_eq!(point.changed, changed as u64);
        }
    }
}

#[test]
fn groups_without_a_common_row_are_sequential_descent_to_the_bit() {
    let data = Data::blocks(7, 12, 6, 0, 0.0, 2);
    let groups = Groups::components(42, &data.graph());
    assert_eq!(groups.len(), 7);
    let order: Vec<u32> = (0..42).collect();
    let (b, _) = data.descend(LAMBDA, &order, 20);
    for consistency in [Consistency::Bsp, Consistency::Ssp(2), Consistency::Essp(3), Consistency::Async] {
        for (partitions, rounds) in [(2, 1), (3, 2)] {
            let with = (&groups, partitions, consistency);
            let (outcome, _) = run(&local(2), &data, with, |s| s.rounds(rounds).sweeps(20).every(5)).unwrap();
            assert_eq!(bits(&outcome.values), bits(&b), "{consistency} {partitions} {rounds}");
        }
    }
}

#[test]
fn weak_dependencies_lead_to_the_optimum_under_any_policy() {
    let data = Data::blocks(6, 20, 8, 8, 0.15, 3);
    let order: Vec<u32> = (0..48).collect();
    let (best, r) = data.descend(LAMBDA, &order, 3000);
    let least = data.objective(LAMBDA, &best, &r);
    for consistency in [Consistency::Bsp, Consistency::Ssp(2), Consistency::Essp(3), Consistency::Async] {
        for rounds in [1, 3] {
            let with = (&shuffled(6, 8), 3, consistency);
            let (outcome, table) =
                run(&local(2), &data, with, |s| s.rounds(rounds).sweeps(2000).tolerance(1e-11)).unwrap();
            assert!(outcome.has_converged && outcome.sweeps < 2000, "{consistency} {:?}", outcome.trace);
            println!("{consistency}, {rounds} rounds: {} sweeps", outcome.sweeps);
            let objective = data.objective(LAMBDA, &outcome.values, &table);
            assert!((objective - least).abs() < 1e-8, "{consistency} {rounds}: {objective} {least}");
            assert!(far(&outcome.values, &best) < 1e-8, "{consistency} {rounds}");
            assert!((outcome.trace.last().unwrap().objective - objective).abs() < 1e-8);
        }
    }
}

/// Groups whose columns are much the same overshoot when they are updated at the same time, and do not when they are not.
#[test]
fn dependent_groups_overshoot_together_and_not_apart() {
    let mut data = Data::blocks(1, 30, 1, 0, 0.0, 4);
    let base = data.columns[0].clone();
    let mut random = stream(4, 1);
    let near = |_| base.iter().map(|(i, x)| (*i, x + 0.3 * normal(&mut random))).collect();
    data.columns = (0..6).map(near).collect();
    let groups = shuffled(6, 1);
    let far_off = run(&local(2), &data, (&groups, 6, Consistency::Bsp), |s| s.sweeps(1000)).unwrap_err();
    assert!(far_off.to_string().contains("hint: more rounds"), "{far_off}");
    let graph = data.graph();
    let (outcome, table) =
        run(&local(2), &data, (&groups, 6, Consistency::Bsp), |s| s.apart(graph).sweeps(30)).unwrap();
    let order: Vec<u32> = groups.iter().flatten().copied().collect();
    let (b, r) = data.descend(LAMBDA, &order, 30);
    assert_eq!((outcome.rounds, outcome.sweeps), (6, 30));
    assert!(far(&outcome.values, &b) < 1e-12 && far(&table, &r) < 1e-12, "{:?} {b:?}", outcome.values);
    // Fewer partitions do it as well: two that turn about.
    let graph = ConflictGraph::new(6, (0..6).flat_map(|a| (0..a).map(move |b| (a, b))));
    let (outcome, _) =
        run(&local(2), &data, (&groups, 2, Consistency::Bsp), |s| s.apart(graph).sweeps(30)).unwrap();
    assert!(far(&outcome.values, &b) < 1e-12);
}

/// The objective falls in every clock if no variable correlates by 1 or more, in sum, with those that other partitions update in the
/// same round: with 8 rounds these are two, with one round they are 16.
#[test]
fn rounds_bound_what_overshoots() {
    let (rows, n) = (400, 24);
    let mut random = stream(10, 0);
    let shared: Vec<f64> = (0..rows).map(|_| normal(&mut random)).collect();
    let mut column = |j: usize| -> Column {
        let scale = 1.0 + j as f64 / 40.0;
        let mixed = shared.iter().map(|f| scale * (0.3f64.sqrt() * f + 0.7f64.sqrt() * normal(&mut random)));
        mixed.enumerate().map(|(i, x)| (i as u32, x)).collect()
    };
    let columns: Vec<Column> = (0..n).map(&mut column).collect();
    let y = shared.iter().map(|f| 2.0 * f + 0.1 * normal(&mut random)).collect();
    let data = Data { columns, y };
    let dot = |a: usize, b: usize| -> f64 {
        data.columns[a].iter().zip(&data.columns[b]).map(|((_, x), (_, y))| x * y).sum()
    };
    let correlation = |a, b| (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).abs();
    let pairs = (0..n).flat_map(|a| (0..a).map(move |b| (a, b)));
    let largest = pairs.map(|(a, b)| correlation(a, b)).fold(0.0, f64::max);
    assert!(2.0 * largest < 1.0, "{largest}");
    let with = (&shuffled(n as u32, 1), 3, Consistency::Bsp);
    let together = run(&local(2), &data, with, |s| s.sweeps(1000).every(50)).unwrap_err();
    assert!(together.to_string().contains("hint: more rounds"), "{together}");
    let (outcome, _) = run(&local(2), &data, with, |s| s.rounds(8).sweeps(200).every(1)).unwrap();
    let trace: Vec<f64> = outcome.trace.iter().map(|t| t.objective).collect();
    assert!(trace.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-12)), "{trace:?}");
    let order: Vec<u32> = (0..n as u32).collect();
    let (b, r) = data.descend(LAMBDA, &order, 2000);
    let least = data.objective(LAMBDA, &b, &r);
    assert!((trace[trace.len() - 1] - least).abs() < 1e-8 * least, "{trace:?} {least}");
}

/// Two targets: a variable has two numbers, and so has a row.
struct TwoTargets;

impl GroupProgram for TwoTargets {
    type Record = Column;
    fn width(&self) -> usize {
        2
    }
    fn first(&self, variable: usize, _: &Column, values: &mut [f64]) {
        values.copy_from_slice(&[0.0, variable as f64 / 8.0]);
    }
    fn update(&self, _: usize, column: &Column, values: &mut [f64], residuals: &mut Shared<'_, '_>) {
        assert_eq!((residuals.rows(), residuals.columns()), (45, 2));
        let square: f64 = column.iter().map(|(_, x)| x * x).sum();
        let mut by = [0.0; 2];
        for (i, x) in column {
            let row = residuals.row(*i as usize);
            (0..2).for_each(|k| by[k] += x * row[k]);
        }
        let by = by.map(|product| product / square);
        values.iter_mut().zip(by).for_each(|(value, by)| *value += by);
        for (i, x) in column {
            residuals.add_row(*i as usize, &[-by[0] * x, -by[1] * x]);
        }
    }
}

#[test]
fn variables_may_have_several_numbers() {
    let data = Data::blocks(3, 15, 5, 6, 0.4, 5);
    let groups = Groups::forest(&(0..15u32).map(|v| v.checked_sub(3)).collect::<Vec<_>>()).unwrap();
    assert_eq!(groups.len(), 3);
    // Targets of which the second begins with the first values taken away.
    let mut rest: Vec<[f64; 2]> = data.y.iter().map(|y| [*y, -2.0 * y]).collect();
    let mut b: Vec<[f64; 2]> = (0..15).map(|v| [0.0, v as f64 / 8.0]).collect();
    for (column, b) in data.columns.iter().zip(&b) {
        column.iter().for_each(|(i, x)| rest[*i as usize][1] -= b[1] * x);
    }
    let cx = local(2);
    let first = rest.clone();
    let table =
        cx.table("rest", TableSpec::dense(45, 2).init(move |row, column| first[row][column])).unwrap();
    let records = cx.parallelize(data.records(), 1);
    let outcome = records.update_groups(TwoTargets, groups.clone(), &table).sweeps(9).run().unwrap();
    assert_eq!((outcome.sweeps, outcome.trace[0].objective), (9, 0.0));
    for _ in 0..9 {
        for j in groups.iter().flatten().map(|j| *j as usize) {
            let square: f64 = data.columns[j].iter().map(|(_, x)| x * x).sum();
            for k in 0..2 {
                let mut product = 0.0;
                data.columns[j].iter().for_each(|(i, x)| product += x * rest[*i as usize][k]);
                let by = product / square;
                b[j][k] += by;
                data.columns[j].iter().for_each(|(i, x)| rest[*i as usize][k] += -by * x);
            }
        }
    }
    assert_eq!(bits(&outcome.values), bits(&b.concat()));
    assert!(far(&table.values(), &rest.concat()) < 1e-13);
}

#[test]
fn partitions_have_about_the_same_work() {
    let mut data = Data::blocks(9, 10, 4, 3, 0.1, 6);
    // Blocks of very different weight.
    for (j, column) in data.columns.iter_mut().enumerate() {
        column.truncate(1 + j / 4);
    }
    let groups = shuffled(9, 4);
    let (outcome, _) = run(&local(2), &data, (&groups, 3, Consistency::Bsp), |s| s.sweeps(1)).unwrap();
    let mut loads = [0; 3];
    for (g, group) in groups.iter().enumerate() {
        let weight: usize = group.iter().map(|j| 1 + data.columns[*j as usize].len()).sum();
        loads[outcome.dispatch.partition_of(g)] += weight as u64;
    }
    // Four times 2 + 3 + ... + 10, of which a third is 72.
    assert_eq!((outcome.dispatch.loads(), loads.iter().sum::<u64>()), (&loads[..], 216));
    assert_eq!(outcome.dispatch.imbalance(), *loads.iter().max().unwrap() as f64 / 72.0);
    assert!(outcome.dispatch.imbalance() < 1.12, "{loads:?}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let data = Data::blocks(2, 5, 3, 0, 0.0, 7);
    let cx = local(1);
    let groups = shuffled(2, 3);
    let refuse = |records: Vec<(u32, Column)>, message: &str| {
        let table = residuals(&cx, &data, Consistency::Bsp);
        let records = cx.parallelize(records, 2);
        let error = records.update_groups(Lasso { lambda: 1.0 }, groups.clone(), &table).run().unwrap_err();
        let error = error.to_string();
        assert!(error.contains(message) && error.contains("hint"), "{error}");
    };
    let changed = |change: &dyn Fn(&mut Vec<(u32, Column)>)| {
        let mut records = data.records();
        change(&mut records);
        records
    };
    let name = |of: u32| changed(&|records| records[0].0 = of);
    assert_eq!(data.records()[0].0, 3);
    refuse(name(6), "a record is of variable 6, but the groups have 6 variables");
    refuse(name(0), "variable 0 has two records");
    refuse(changed(&|records| records.truncate(5)), "is in a group, but has no record");
    let spec = TableSpec::<f64>::dense(10, 1).rule(Rule::Momentum { momentum: 0.5 });
    let table = cx.table("ruled", spec).unwrap();
    let records = cx.parallelize(data.records(), 2);
    let error = records.update_groups(Lasso { lambda: 1.0 }, groups, &table).run().unwrap_err();
    assert!(error.to_string().contains("without a rule"), "{error}");
}

/// The text of all that a run comes to, to the bit.
fn task(cx: &Context) -> String {
    let data = Data::blocks(8, 14, 6, 9, 0.2, 8);
    let with = (&shuffled(8, 6), 4, Consistency::Bsp);
    let (outcome, table) = run(cx, &data, with, |s| s.rounds(2).sweeps(40).every(4)).unwrap();
    let trace: Vec<f64> = outcome.trace.iter().flat_map(|t| [t.objective, t.changed as f64]).collect();
    format!(
        "{:x?}\n{:x?}\n{:x?}\n{:?}\n",
        bits(&outcome.values),
        bits(&table),
        bits(&trace),
        outcome.dispatch.loads()
    )
}

#[test]
fn child() {
    if cluster::task().is_some() {
        cluster::answer(&task(&Context::from_env().unwrap()));
    }
}

#[test]
fn bits_depend_on_nobody() {
    let want = task(&local(1));
    assert_eq!(task(&local(2)), want);
    assert_eq!(task(&local(3)), want);
    for (processes, fault) in
        [(2, None), (2, Some("kill=1,1,41,before-read")), (3, Some("kill=0,1,60,mid-push"))]
    {
        let mut setup = Setup::new("groups", processes, 2);
        if let Some(fault) = fault {
            setup = setup.fault(fault);
        }
        let mut c = setup.start();
        let end = c.end();
        assert_eq!(end.failed, None, "{}", c.logs());
        assert_eq!(end.replaced > 0, fault.is_some());
        assert!(end.answers.iter().all(|a| a.as_deref() == Some(&want)), "{:?}\n{}", end.answers, c.logs());
    }
}

#[test]
fn a_snapshot_leads_to_the_same_bits() {
    let data = Data::blocks(5, 12, 6, 7, 0.2, 9);
    let with = (&shuffled(5, 6), 3, Consistency::Bsp);
    let (whole, table) = run(&local(2), &data, with, |s| s.rounds(2).sweeps(20).every(5)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let snapshots = || Snapshots::new(dir.path()).every(8).resume(true);
    let part =
        run(&local(2), &data, with, |s| s.rounds(2).sweeps(10).every(5).snapshots(snapshots())).unwrap().0;
    assert_eq!(part.sweeps, 10);
    assert_ne!(bits(&part.values), bits(&whole.values));
    let (resumed, again) =
        run(&local(1), &data, with, |s| s.rounds(2).sweeps(20).every(5).snapshots(snapshots())).unwrap();
    assert_eq!((bits(&resumed.values), bits(&again)), (bits(&whole.values), bits(&table)));
    // It has not begun again: looks before the snapshot, in the middle of a sweep, were not looked at again.
    assert_eq!(resumed.trace.iter().map(|t| t.sweep).collect::<Vec<_>>(), [10, 15, 20]);
}
