//! Non-negative matrix factorisation: against plain loops, against another program on real data, and what holds for any number
//! of workers.

mod common;

use common::{Rows, assert_close, data_text};
use slackwater_dataflow::block::Vector;
use slackwater_dataflow::{Context, rng};
use slackwater_mllib::decomposition::{NmfModel, NmfParams};
use slackwater_mllib::model::{Overwrite, load, save};
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::optimization::Stop;
use std::ops::ControlFlow;

/// Rows of which a share of the values is not zero, sums of a few parts and noise, none of it negative. The first and another row are
/// empty, and so is the last column.
fn sums(n: usize, columns: usize, share: f64, seed: u64) -> Rows {
    let mut rng = rng::stream(seed, 0);
    let mut rows = Rows { labels: vec![0.0; n], rows: vec![], columns };
    let parts: Vec<Vec<f64>> =
        (0..4).map(|_| (0..columns).map(|_| rng::unit_f64(&mut rng).powi(3)).collect()).collect();
    for i in 0..n {
        let sizes: Vec<f64> = (0..4).map(|_| 3.0 * rng::unit_f64(&mut rng)).collect();
        let mut row = vec![];
        for j in 0..columns - 1 {
            let value = parts.iter().zip(&sizes).map(|(p, s)| p[j] * s).sum::<f64>();
            let noise = 0.1 * rng::unit_f64(&mut rng);
            if rng::unit_f64(&mut rng) < share && i != 0 && i != n / 2 {
                row.push((j as u32, value + noise));
            }
        }
        rows.rows.push(row);
    }
    rows
}

fn dense(rows: &Rows) -> Vec<Vec<f64>> {
    let dense = |row: &Vec<(u32, f64)>| {
        let mut dense = vec![0.0; rows.columns];
        row.iter().for_each(|(j, x)| dense[*j as usize] = *x);
        dense
    };
    rows.rows.iter().map(dense).collect()
}

/// Factors that look like nothing in particular: `a` rows of codes of `k` numbers, and `k` rows of components of `b`.
fn first(a: usize, k: usize, b: usize, size: f64) -> (Vec<f64>, Vec<f64>) {
    let code = |i: usize| size * (((7 * (i / k) + 11 * (i % k) + (i / k) * (i % k)) % 17 + 1) as f64 / 17.0);
    let part = |i: usize| size * (((5 * (i / b) + 3 * (i % b) + (i / b) * (i % b)) % 13 + 1) as f64 / 13.0);
    ((0..a * k).map(code).collect(), (0..k * b).map(part).collect())
}

/// Plain loops: residuals are computed anew wherever they are needed.
struct Naive<'a> {
    params: &'a NmfParams,
    x: Vec<Vec<f64>>,
    u: Vec<Vec<f64>>,
    v: Vec<Vec<f64>>,
}

impl<'a> Naive<'a> {
    fn new(params: &'a NmfParams, rows: &Rows, (u, v): (&[f64], &[f64])) -> Self {
        let cut = |all: &[f64], width| all.chunks(width).map(<[f64]>::to_vec).collect();
        Naive { params, x: dense(rows), u: cut(u, params.rank), v: cut(v, rows.columns) }
    }
    fn rest(&self, i: usize, c: usize) -> f64 {
        self.x[i][c] - (0..self.params.rank).map(|j| self.u[i][j] * self.v[j][c]).sum::<f64>()
    }
    fn best(before: f64, slope: f64, curvature: f64, l1: f64, l2: f64) -> f64 {
        match curvature + l2 {
            0.0 if l1 == 0.0 => before,
            0.0 => 0.0,
            all => ((slope + curvature * before - l1) / all).max(0.0),
        }
    }
    fn epoch(&mut self) {
        let (rows, columns, p) = (self.x.len(), self.x[0].len(), self.params);
        for i in 0..rows {
            for _ in 0..p.passes {
                for j in 0..p.rank {
                    let slope = (0..columns).map(|c| self.rest(i, c) * self.v[j][c]).sum();
                    let curvature = self.v[j].iter().map(|v| v * v).sum();
                    self.u[i][j] = Self::best(self.u[i][j], slope, curvature, p.l1_codes, p.l2_codes);
                }
            }
        }
        for c in 0..columns {
            for _ in 0..p.passes {
                for j in 0..p.rank {
                    let slope = (0..rows).map(|i| self.rest(i, c) * self.u[i][j]).sum();
                    let curvature = self.u.iter().map(|u| u[j] * u[j]).sum();
                    self.v[j][c] =
                        Self::best(self.v[j][c], slope, curvature, p.l1_components, p.l2_components);
                }
            }
        }
    }
    fn objective(&self) -> f64 {
        let (rows, columns, p) = (self.x.len(), self.x[0].len(), self.params);
        let square: f64 = (0..rows)
            .flat_map(|i| (0..columns).map(move |c| (i, c)))
            .map(|(i, c)| self.rest(i, c).powi(2))
            .sum();
        let cost = |factor: &[Vec<f64>], l1: f64, l2: f64| {
            factor.iter().flatten().map(|x| l1 * x + 0.5 * l2 * x * x).sum::<f64>()
        };
        0.5 * square + cost(&self.u, p.l1_codes, p.l2_codes) + cost(&self.v, p.l1_components, p.l2_components)
    }
}

fn quick() -> NmfParams {
    NmfParams { rank: 5, epochs: 12, tolerance: 0.0, ..Default::default() }
}

fn fit(params: &NmfParams, rows: &Rows, partitions: usize, workers: usize) -> NmfModel {
    let cx = Context::local(workers).unwrap();
    params.fit(&rows.dataset(&cx, partitions)).unwrap()
}

/// The same start, partition by partition and as plain loops; the model.
#[track_caller]
fn check(params: &NmfParams, rows: &Rows, start: &(Vec<f64>, Vec<f64>), partitions: usize) -> NmfModel {
    let cx = Context::local(2).unwrap();
    let (codes, components) = start.clone();
    let model = params.fit_from(&rows.dataset(&cx, partitions), codes, components).unwrap();
    let mut naive = Naive::new(params, rows, (&start.0, &start.1));
    let square = naive.x.iter().flatten().map(|x| x * x).sum::<f64>();
    let mut before = f64::INFINITY;
    for got in &model.summary().objective_history {
        naive.epoch();
        let want = naive.objective();
        assert!((got - want).abs() <= 1e-10 * want + 1e-14 * square, "{partitions}: {got} {want}");
        assert!(*got <= before + 1e-14 * square, "{partitions}: it rises from {before} to {got}");
        before = *got;
    }
    let want: Vec<f64> = naive.v.concat();
    let largest = want.iter().fold(0.0, |most, v| f64::max(most, *v));
    for (got, want) in model.components().iter().zip(&want) {
        assert!((got - want).abs() <= 1e-10 * largest, "{partitions}: {got} {want}");
    }
    // Without a tolerance it ends early only where rounding makes the objective rise.
    let (epochs, stop) = (model.summary().objective_history.len(), model.summary().stop);
    assert!(
        epochs == params.epochs || (stop == Stop::Objective && before <= 1e-13 * square),
        "{epochs} {before}"
    );
    model
}

#[test]
fn as_plain_loops_do_it() {
    for (share, rank) in [(1.0, 5), (0.2, 3), (0.05, 9)] {
        let rows = sums(61, 14, share, 1);
        let start = first(61, rank, 14, 0.7);
        for partitions in [1, 2, 5] {
            check(&NmfParams { rank, ..quick() }, &rows, &start, partitions);
        }
        let params = NmfParams {
            rank,
            l1_codes: 0.1,
            l2_codes: 0.3,
            l1_components: 0.2,
            l2_components: 0.05,
            passes: 3,
            ..quick()
        };
        check(&params, &rows, &start, 3);
    }
}

#[test]
fn components_that_die() {
    let rows = sums(40, 9, 0.8, 2);
    let (codes, components) = first(40, 5, 9, 0.7);
    let kill = |codes_too: bool, components_too: bool| {
        let (mut u, mut v) = (codes.clone(), components.clone());
        u.iter_mut().skip(2).step_by(5).filter(|_| codes_too).for_each(|u| *u = 0.0);
        v[2 * 9..3 * 9].iter_mut().filter(|_| components_too).for_each(|v| *v = 0.0);
        (u, v)
    };
    // One factor brings the other back; of both nothing is left, nor of one if what it costs takes the other.
    assert_eq!(check(&quick(), &rows, &kill(true, false), 3).summary().unused, 0);
    assert_eq!(check(&quick(), &rows, &kill(false, true), 3).summary().unused, 0);
    let model = check(&quick(), &rows, &kill(true, true), 3);
    assert_eq!(model.summary().unused, 1);
    assert_eq!(model.components()[2 * 9..3 * 9], [0.0; 9]);
    assert!(model.transform(&Vector::dense([1.0; 9]))[2] == 0.0);
    let costly = NmfParams { l1_codes: 0.01, ..quick() };
    assert_eq!(check(&costly, &rows, &kill(false, true), 3).summary().unused, 1);
    // A cost that nothing is worth.
    let model = check(&NmfParams { l1_codes: 1e6, ..quick() }, &rows, &kill(false, false), 3);
    assert_eq!(model.summary().unused, 5);
}

#[test]
fn rows_of_nothing_and_ranks_beyond_them() {
    let cx = Context::local(2).unwrap();
    // More components than rows or columns: they fit as well as they can.
    let rows = sums(7, 6, 1.0, 3);
    let model = check(&NmfParams { rank: 11, epochs: 300, ..quick() }, &rows, &first(7, 11, 6, 0.7), 3);
    assert!(model.summary().objective < 1e-3, "{}", model.summary().objective);
    // More partitions than rows.
    check(&quick(), &rows, &first(7, 5, 6, 0.7), 10);
    // Zeros alone.
    let zeros = Rows { rows: vec![vec![]; 5], labels: vec![0.0; 5], columns: 4 };
    let model = NmfParams { epochs: 100, tolerance: 1e-5, ..quick() }.fit(&zeros.dataset(&cx, 2)).unwrap();
    let summary = model.summary();
    assert_eq!((summary.objective, summary.stop, summary.unused), (0.0, Stop::Objective, 5));
    assert_eq!(model.transform(&Vector::dense([1.0; 4])), [0.0; 5]);
    assert_eq!(
        model.metrics(&DatasetRows::from_blocks(&zeros.dataset(&cx, 2))).unwrap().relative_error(),
        0.0
    );
    let (codes, components) = first(5, 5, 4, 0.7);
    let model = quick().fit_from(&zeros.dataset(&cx, 2), codes, components).unwrap();
    assert!(model.summary().objective < 1e-20, "{}", model.summary().objective);
    // One row, and one column.
    let one = Rows { rows: vec![vec![(0, 3.0)]], labels: vec![0.0], columns: 1 };
    let model = NmfParams { rank: 1, epochs: 5, ..quick() }.fit(&one.dataset(&cx, 1)).unwrap();
    assert!(model.summary().objective < 1e-15);
    assert_close(model.reconstruct(&model.transform(&[6.0][..]))[0], 6.0, 1e-12);
}

#[test]
fn the_same_bits_for_any_number_of_workers() {
    let rows = sums(303, 40, 0.3, 4);
    let params = NmfParams { l1_codes: 0.01, passes: 2, ..quick() };
    let one = fit(&params, &rows, 5, 1);
    for workers in [2, 4] {
        assert!(fit(&params, &rows, 5, workers) == one, "{workers}");
    }
    assert!(fit(&NmfParams { seed: 1, ..params.clone() }, &rows, 5, 2).components() != one.components());
    // First factors do not depend on partitions, so that models hardly do.
    let other = fit(&params, &rows, 2, 2);
    assert_close(one.summary().objective, other.summary().objective, 1e-10);
}

#[test]
fn codes_are_the_best_there_are() {
    let rows = sums(120, 15, 0.7, 5);
    let x = dense(&rows);
    for (l1, l2) in [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.1, 0.4)] {
        let model = fit(&NmfParams { l1_codes: l1, l2_codes: l2, ..quick() }, &rows, 2, 2);
        let (mut objective, mut residual, mut used) = (0.0, 0.0, 0);
        for x in &x {
            let codes = model.transform(&x[..]);
            let rest: Vec<f64> = x.iter().zip(model.reconstruct(&codes)).map(|(x, y)| x - y).collect();
            for (j, u) in codes.iter().enumerate() {
                let component = &model.components()[j * 15..][..15];
                let slope = rest.iter().zip(component).map(|(r, v)| r * v).sum::<f64>() - l1 - l2 * u;
                assert!(*u >= 0.0 && slope < 1e-7 && (*u == 0.0 || slope > -1e-7), "{l1} {l2}: {u} {slope}");
                objective += l1 * u + 0.5 * l2 * u * u;
                used += u64::from(*u > 0.0);
            }
            let square: f64 = rest.iter().map(|r| r * r).sum();
            residual += square;
            objective += 0.5 * square;
        }
        let cx = Context::local(2).unwrap();
        let metrics = model.metrics(&DatasetRows::from_blocks(&rows.dataset(&cx, 3))).unwrap();
        assert_eq!((metrics.rows, metrics.columns, metrics.codes), (120, 15, used));
        assert_close(metrics.objective, objective, 1e-9);
        assert_close(metrics.residual, residual, 1e-9);
        // Exact codes cost no more than those of the training.
        assert!(metrics.objective <= model.summary().objective * (1.0 + 1e-9));
    }
}

#[test]
fn training_ends_and_fails_as_it_should() {
    let rows = sums(100, 12, 0.5, 6);
    let cx = Context::local(2).unwrap();
    let data = rows.dataset(&cx, 2);
    let stopped = NmfParams { tolerance: 0.01, epochs: 500, ..quick() }.fit(&data).unwrap();
    let history = &stopped.summary().objective_history;
    assert_eq!(stopped.summary().stop, Stop::Objective);
    let [.., before, last] = history[..] else { panic!("two epochs at least") };
    assert!(history.len() < 100 && last > 0.99 * before, "{history:?}");
    let mut seen = vec![];
    let observed = quick().fit_observed(&(&data).into(), None, &mut |progress| {
        seen.push(progress.objective);
        if progress.iteration == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let observed = observed.unwrap();
    assert_eq!((observed.summary().stop, &observed.summary().objective_history), (Stop::Observer, &seen));
    let e = NmfParams { rank: 0, ..quick() }.fit(&data).unwrap_err();
    assert!(e.exit_code() == 2 && e.to_string().contains("rank"), "{e}");
    for (codes, components, name) in [
        (vec![1.0; 499], vec![1.0; 60], "codes"),
        (vec![1.0; 500], vec![1.0; 61], "components"),
        (vec![-1.0; 500], vec![1.0; 60], "codes"),
        (vec![1.0; 500], vec![f64::NAN; 60], "components"),
    ] {
        let e = quick().fit_from(&data, codes, components).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains(name), "{name}: {e}");
    }
    let none = cx.from_partitions(vec![vec![rows.block(0, 0)], vec![]]);
    let e = quick().fit(&none).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("no rows"), "{e}");
    // The first value below 0 of all partitions.
    let mut wrong = rows.clone();
    wrong.rows[70] = vec![(3, 1.0), (5, -2.5)];
    wrong.rows[71] = vec![(0, -1.0)];
    let e = quick().fit(&wrong.dataset(&cx, 3)).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("value -2.5 of row 71 in column 6"), "{e}");
}

#[test]
fn models_survive_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("parts.model");
    let model = fit(&quick(), &sums(80, 12, 0.5, 7), 2, 2);
    save(&model, &path, Overwrite::Refuse).unwrap();
    assert!(load::<NmfModel>(&path).unwrap() == model);
    // Columns that it does not know are left out, of the row and of its length.
    let row = |extra: &[f64]| Vector::dense([&[1.0; 12][..], extra].concat());
    assert_eq!(model.transform(&row(&[99.0])), model.transform(&row(&[])));
    let metadata = path.join("metadata.json");
    let text = std::fs::read_to_string(&metadata).unwrap();
    std::fs::write(&metadata, text.replace("\"rank\":5", "\"rank\":6").replace("\"rank\": 5", "\"rank\": 6"))
        .unwrap();
    let e = load::<NmfModel>(&path).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("components"), "{e}");
}

/// From the same start as scikit-learn, after as many sweeps.
#[track_caller]
fn golden(rows: &Rows, params: &NmfParams, want: &[(usize, f64)]) {
    let (n, columns) = (rows.rows.len(), rows.columns);
    let sum: f64 = rows.rows.iter().flatten().map(|(_, x)| x).sum();
    let size = (sum / n as f64 / columns as f64 / params.rank as f64).sqrt();
    let (codes, components) = first(n, params.rank, columns, size);
    let cx = Context::local(2).unwrap();
    let epochs = want.iter().map(|(epochs, _)| *epochs).max().unwrap();
    let params = NmfParams { epochs, tolerance: 0.0, ..params.clone() };
    let model = params.fit_from(&rows.dataset(&cx, 4), codes, components).unwrap();
    for (epochs, error) in want {
        // scikit-learn tells the Frobenius norm of what is left.
        let got = model.summary().objective_history[epochs - 1];
        println!("{epochs}: {got} {}", error * error / 2.0);
        assert_close(got, error * error / 2.0, 1e-9);
    }
    let square = model.metrics(&DatasetRows::from_blocks(&rows.dataset(&cx, 4))).unwrap().square;
    let history = &model.summary().objective_history;
    assert!(history.windows(2).all(|w| w[1] <= w[0] + 1e-14 * square), "the objective rises");
}

/// `NMF(16, init='custom', solver='cd', tol=0, max_iter=T, shuffle=False).fit_transform(X, W=W, H=H)` of scikit-learn 1.9.1 on the 1797
/// digits, `W` and `H` as [`first`] makes them with `size = sqrt(X.mean() / 16)`; its `reconstruction_err_`.
#[test]
fn digits_as_another_program_has_them() {
    let Some(text) = data_text("sklearn_bundled/digits.csv.gz") else { return };
    let mut rows = Rows { labels: vec![], rows: vec![], columns: 64 };
    for line in text.lines() {
        let values = line.split(',').take(64).map(|x| x.parse::<f64>().unwrap());
        rows.rows.push((0..).zip(values).filter(|(_, x)| *x != 0.0).collect());
        rows.labels.push(0.0);
    }
    golden(
        &rows,
        &NmfParams { rank: 16, ..quick() },
        &[(1, 1329.8337316211341), (10, 763.7251943923944), (100, 677.242323770316)],
    );
}

/// The same with 12 components on the counts of words of KOS, 3430 documents of 6906 words.
#[test]
fn words_as_another_program_has_them() {
    let Some(text) = data_text("uci_kos/docword.kos.txt.gz") else { return };
    let mut lines = text.lines();
    let mut size = || lines.next().unwrap().parse::<usize>().unwrap();
    let (n, columns, _) = (size(), size(), size());
    let mut rows = Rows { labels: vec![0.0; n], rows: vec![vec![]; n], columns };
    for line in lines {
        let numbers: Vec<u32> = line.split(' ').map(|x| x.parse().unwrap()).collect();
        rows.rows[numbers[0] as usize - 1].push((numbers[1] - 1, f64::from(numbers[2])));
    }
    rows.rows.iter_mut().for_each(|row| row.sort_by_key(|(j, _)| *j));
    golden(
        &rows,
        &NmfParams { rank: 12, ..quick() },
        &[(1, 939.976395815042), (10, 841.4162902115759), (50, 836.6448698183987)],
    );
}
