//! Scheduled programs: a Lasso whose variables are chosen, against coordinate descent that takes one after the other.

use slackwater_dataflow::rng::{Stream, normal, stream, unit_f64};
use slackwater_dataflow::{Config, Context};
use slackwater_paramstore::schedule::{
    Change, ConflictGraph, Dependencies, Outcome, Priority, Program, Schedule, ScheduleExt, Selection,
};
use slackwater_tests::cluster::{self, Setup};
use std::sync::Arc;

/// A design by columns, and targets.
#[derive(Clone)]
struct Data {
    columns: Arc<Vec<Vec<f64>>>,
    y: Vec<f64>,
}

impl Data {
    fn rows(&self) -> usize {
        self.y.len()
    }
    /// Columns in groups that share a factor, so that those of a group have a correlation of `rho`; a few of them matter.
    fn correlated(rows: usize, columns: usize, groups: usize, rho: f64, seed: u64) -> Self {
        let mut random = stream(seed, 0);
        let mut draw = |n: usize| (0..n).map(|_| normal(&mut random)).collect::<Vec<f64>>();
        let shared: Vec<Vec<f64>> = (0..groups).map(|_| draw(rows)).collect();
        let size = columns.div_ceil(groups);
        let column = |j: usize| {
            let own = draw(rows);
            let mixed =
                own.iter().zip(&shared[j / size]).map(|(e, f)| rho.sqrt() * f + (1.0 - rho).sqrt() * e);
            standardized(mixed.collect())
        };
        let all: Vec<Vec<f64>> = (0..columns).map(column).collect();
        Data::with_targets(all, columns / 50, &mut random)
    }
    /// Columns that are 0 but in a few rows.
    fn sparse(rows: usize, columns: usize, stored: usize, seed: u64) -> Self {
        let mut random = stream(seed, 1);
        let mut column = || {
            let mut x = vec![0.0; rows];
            for _ in 0..stored {
                x[(unit_f64(&mut random) * rows as f64) as usize] = normal(&mut random);
            }
            x
        };
        let all = (0..columns).map(|_| column()).collect();
        Data::with_targets(all, columns / 10, &mut random)
    }
    fn with_targets(columns: Vec<Vec<f64>>, matter: usize, random: &mut Stream) -> Self {
        let mut y: Vec<f64> = (0..columns[0].len()).map(|_| 0.1 * normal(random)).collect();
        let step = columns.len() / matter.max(1);
        for x in columns.iter().step_by(step.max(1)) {
            let weight = 2.0 * unit_f64(random) - 1.0;
            y.iter_mut().zip(x).for_each(|(y, x)| *y += weight * x);
        }
        Data { columns: Arc::new(columns), y }
    }
    fn lambda_max(&self) -> f64 {
        let n = self.rows() as f64;
        self.columns.iter().map(|x| dot(x, &self.y).abs() / n).fold(0.0, f64::max)
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn standardized(mut x: Vec<f64>) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    x.iter_mut().for_each(|x| *x -= mean);
    let deviation = (dot(&x, &x) / n).sqrt();
    x.iter_mut().for_each(|x| *x /= deviation);
    x
}

/// `1/2n |y - X b|² + lambda |b|₁`. Records are (row, target); the columns are there already.
struct Lasso {
    data: Data,
    lambda: f64,
    /// Two columns depend on each other if they share a row; by how much they correlate otherwise.
    by_rows: bool,
}

impl Lasso {
    fn new(data: &Data, share: f64) -> Self {
        Lasso { data: data.clone(), lambda: share * data.lambda_max(), by_rows: false }
    }
    fn update(&self, variable: usize, product: f64, value: f64) -> f64 {
        let n = self.data.rows() as f64;
        let curvature = dot(&self.data.columns[variable], &self.data.columns[variable]) / n;
        let z = product / n + curvature * value;
        if curvature == 0.0 { 0.0 } else { z.signum() * (z.abs() - self.lambda).max(0.0) / curvature }
    }
    fn between(&self, a: usize, b: usize) -> f64 {
        let (x, y) = (&self.data.columns[a], &self.data.columns[b]);
        match self.by_rows {
            true => f64::from(u8::from(x.iter().zip(y).any(|(x, y)| *x != 0.0 && *y != 0.0))),
            false => dot(x, y).abs() / (dot(x, x) * dot(y, y)).sqrt(),
        }
    }
    fn objective_at(&self, values: &[f64]) -> f64 {
        let mut r = self.data.y.clone();
        for (x, b) in self.data.columns.iter().zip(values) {
            r.iter_mut().zip(x).for_each(|(r, x)| *r -= b * x);
        }
        let sum: f64 = values.iter().map(|b| b.abs()).sum();
        dot(&r, &r) / (2 * self.data.rows()) as f64 + self.lambda * sum
    }
    /// The least objective: cyclic coordinate descent to the end, with the gap of the dual.
    fn optimum(&self) -> f64 {
        let (mut r, mut b) = (self.data.y.clone(), vec![0.0; self.data.columns.len()]);
        let n = self.data.rows() as f64;
        for round in 0.. {
            for (j, x) in self.data.columns.iter().enumerate() {
                let to = self.update(j, dot(x, &r), b[j]);
                if to != b[j] {
                    r.iter_mut().zip(x).for_each(|(r, x)| *r -= (to - b[j]) * x);
                    b[j] = to;
                }
            }
            if round % 20 == 0 {
                let largest = self.data.columns.iter().map(|x| dot(x, &r).abs() / n).fold(0.0, f64::max);
                let scale = (self.lambda / largest).min(1.0);
                let primal = dot(&r, &r) / (2.0 * n) + self.lambda * b.iter().map(|b| b.abs()).sum::<f64>();
                let dual = scale * dot(&r, &self.data.y) / n - scale * scale * dot(&r, &r) / (2.0 * n);
                assert!(primal - dual > -1e-9 * primal, "{primal} {dual}");
                if primal - dual < 1e-9 * primal {
                    return primal;
                }
            }
        }
        unreachable!()
    }
}

impl Program for Lasso {
    type Record = (u32, f64);
    type State = Vec<f64>;
    fn variables(&self) -> usize {
        self.data.columns.len()
    }
    fn state(&self, _: usize, records: &[(u32, f64)]) -> Vec<f64> {
        records.iter().map(|(_, y)| *y).collect()
    }
    fn push(&self, r: &Vec<f64>, records: &[(u32, f64)], variables: &[u32], parts: &mut [f64]) {
        for (j, part) in variables.iter().zip(parts) {
            let x = &self.data.columns[*j as usize];
            *part += records.iter().zip(r).map(|((i, _), r)| x[*i as usize] * r).sum::<f64>();
        }
    }
    fn pull(&self, variable: usize, parts: &[f64], values: &mut [f64]) {
        values[0] = self.update(variable, parts[0], values[0]);
    }
    fn sync(&self, r: &mut Vec<f64>, records: &[(u32, f64)], changes: &[Change<'_>]) {
        for change in changes {
            let (x, delta) = (&self.data.columns[change.variable], change.now[0] - change.before[0]);
            if delta != 0.0 {
                records.iter().zip(r.iter_mut()).for_each(|((i, _), r)| *r -= delta * x[*i as usize]);
            }
        }
    }
    fn objective(&self, r: &Vec<f64>, _: &[(u32, f64)]) -> f64 {
        dot(r, r) / (2 * self.data.rows()) as f64
    }
    fn penalty(&self, _: usize, values: &[f64]) -> f64 {
        self.lambda * values[0].abs()
    }
    fn dependency(&self, _: &Vec<f64>, _: &[(u32, f64)], a: usize, b: usize) -> f64 {
        self.between(a, b)
    }
}

const PARTS: usize = 4;

fn run(
    cx: &Context,
    program: Lasso,
    schedule: Schedule,
    steps: u64,
) -> slackwater_dataflow::Result<Outcome<Lasso>> {
    let rows: Vec<_> = program.data.y.iter().enumerate().map(|(i, y)| (i as u32, *y)).collect();
    cx.parallelize(rows, PARTS)
        .schedule(program, schedule)
        .steps(steps)
        .every(50)
        .tolerance(1e-9)
        .record_steps()
        .run()
}

/// The text of all that a run comes to, to the bit.
fn text(outcome: &Outcome<Lasso>) -> String {
    let bits = |values: &[f64]| values.iter().map(|v| format!("{:016x} ", v.to_bits())).collect::<String>();
    let trace: Vec<f64> = outcome.trace.iter().map(|t| t.objective).collect();
    let states = outcome.states.collect().unwrap();
    let states: String = states.iter().map(|s| bits(s)).collect();
    format!("{}\n{}\n{states}\n{:?}\n", bits(&outcome.values), bits(&trace), outcome.steps)
}

fn local(workers: usize) -> Context {
    Context::new(Config { workers, ..Config::default() }).unwrap()
}

#[test]
fn dependent_variables_in_one_step_diverge_and_sap_finds_the_optimum() {
    let data = Data::correlated(100, 200, 10, 0.9, 1);
    let program = || Lasso::new(&data, 0.1);
    let best = program().optimum();
    let cx = local(2);
    let random = run(&cx, program(), Schedule::random(32), 2000);
    let at_end = random.map(|o| o.trace.last().unwrap().objective);
    assert!(
        at_end.as_ref().map_or(true, |objective| *objective > 2.0 * best),
        "{at_end:?} instead of {best}"
    );
    for selection in [Selection::Independent, Selection::Colours, Selection::InOrder] {
        let mut schedule = Schedule::sap(32, 0.5).selection(selection);
        if selection == Selection::InOrder {
            schedule = schedule.priority(Priority::Cyclic);
        }
        let sap = run(&cx, program(), schedule, 100_000).unwrap();
        let objective = program().objective_at(&sap.values);
        assert!(sap.has_converged, "{selection:?} {} steps, {objective}", sap.trace.len() * 50);
        assert!((objective - best).abs() <= 1e-6 * best, "{selection:?}: {objective} instead of {best}");
        assert!((sap.trace.last().unwrap().objective - objective).abs() <= 1e-9 * best);
        let largest = sap.steps.iter().map(|s| s.variables.len()).max().unwrap_or(0);
        println!("{selection:?}: {} steps of up to {largest} variables", sap.steps.len());
        assert!((5..=32).contains(&largest), "{largest}");
    }
}

#[test]
fn certificates_bound_what_was_let_through() {
    let data = Data::correlated(60, 90, 9, 0.6, 2);
    let program = Lasso::new(&data, 0.1);
    let outcome = run(&local(2), Lasso::new(&data, 0.1), Schedule::sap(16, 0.3), 400).unwrap();
    let mut largest: f64 = 0.0;
    for step in &outcome.steps {
        let v = &step.variables;
        let pairs = (0..v.len()).flat_map(|i| (0..i).map(move |k| (v[i] as usize, v[k] as usize)));
        let worst = pairs.map(|(a, b)| program.between(a, b)).fold(0.0, f64::max);
        assert!(worst <= step.certificate && step.certificate < 0.3, "{worst} {step:?}");
        largest = largest.max(worst);
    }
    assert!(outcome.steps.len() > 30 && largest > 0.1, "{largest} {}", outcome.steps.len());
}

/// What is computed in parallel is what would be computed one after the other, to the bit: variables that share a row are never
/// in one set, and keep their order.
#[test]
fn a_threshold_of_zero_is_the_serial_order() {
    let data = Data::sparse(200, 300, 3, 3);
    let program = Lasso { by_rows: true, ..Lasso::new(&data, 0.05) };
    let at_most = f64::MIN_POSITIVE;
    for (selection, priority) in [
        (Selection::InOrder, Priority::Cyclic),
        (Selection::Independent, Priority::Change { uniform: 0.2 }),
        (Selection::Colours, Priority::Uniform),
    ] {
        let schedule = Schedule::sap(24, at_most).selection(selection).priority(priority);
        let twin = Lasso { by_rows: true, ..Lasso::new(&data, 0.05) };
        let outcome = run(&local(2), twin, schedule, 500).unwrap();
        let parallel = outcome.updates as f64 / outcome.steps.len() as f64;
        assert!(parallel > 8.0, "{parallel}");
        // One variable after the other; sums as partitions take them.
        let (mut r, mut values) = (data.y.clone(), vec![0.0; 300]);
        let order: Vec<usize> =
            outcome.steps.iter().flat_map(|s| &s.variables).map(|v| *v as usize).collect();
        assert_eq!(order.len() as u64, outcome.updates);
        for j in &order {
            let x = &data.columns[*j];
            let part = |p: usize| {
                let range = 200 * p / PARTS..200 * (p + 1) / PARTS;
                range.map(|i| x[i] * r[i]).sum::<f64>()
            };
            let product = (0..PARTS).map(part).fold(0.0, |a, b| a + b);
            let to = program.update(*j, product, values[*j]);
            let delta = to - values[*j];
            if delta != 0.0 {
                r.iter_mut().zip(x).for_each(|(r, x)| *r -= delta * x);
            }
            values[*j] = to;
        }
        let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&values), bits(&outcome.values), "{selection:?}");
        let states: Vec<f64> = outcome.states.collect().unwrap().concat();
        assert_eq!(bits(&r), bits(&states), "{selection:?}");
    }
}

#[test]
fn a_users_structure_is_kept_to() {
    let data = Data::correlated(40, 60, 6, 0.5, 4);
    let edges: Vec<(u32, u32)> = (0..59).map(|j| (j, j + 1)).collect();
    let graph = Schedule::sap(8, 0.0).dependencies(Dependencies::Graph(ConflictGraph::new(60, edges)));
    let groups = Schedule::sap(8, 0.0).dependencies(Dependencies::Groups((0..60).map(|j| j / 10).collect()));
    for (schedule, apart) in [(graph, 2), (groups, 0)] {
        let outcome = run(&local(2), Lasso::new(&data, 0.1), schedule, 300).unwrap();
        assert!(outcome.steps.len() > 50);
        for step in &outcome.steps {
            let mut v = step.variables.clone();
            v.sort_unstable();
            let fits = |w: &[u32]| if apart > 0 { w[1] - w[0] >= apart } else { w[0] / 10 != w[1] / 10 };
            assert!(v.windows(2).all(fits), "{v:?}");
        }
    }
}

fn task(cx: &Context) -> String {
    let data = Data::correlated(50, 80, 8, 0.7, 5);
    let schedule = Schedule::sap(6, 0.4).depth(3).selection(Selection::Colours);
    text(&run(cx, Lasso::new(&data, 0.05), schedule, 300).unwrap())
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
    assert_eq!(task(&local(4)), want);
    for (processes, fault) in
        [(2, None), (3, Some("kill=1,1,60,before-read")), (3, Some("kill=0,1,131,mid-push"))]
    {
        let mut setup = Setup::new("schedule", processes, 2);
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
