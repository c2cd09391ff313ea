//! k-means: against plain loops, against scikit-learn, and what holds for any number of workers.

mod common;

use common::{Rows, assert_close, data_text, libsvm};
use slackwater_dataflow::block::{CsrBuilder, LabeledBlock, LabeledPoint, Vector};
use slackwater_dataflow::{Context, Dataset, rng};
use slackwater_mllib::clustering::k_means::{
    Centers, Distance, KMeansModel, KMeansParams, MinibatchParams, Solver, Start,
};
use slackwater_mllib::model::{Overwrite, load, save};
use slackwater_mllib::optimization::{Stop, silent};
use slackwater_paramstore::{Consistency, Snapshots};
use std::ops::ControlFlow;

const ALL: [Consistency; 4] =
    [Consistency::Bsp, Consistency::Ssp(3), Consistency::Essp(3), Consistency::Async];
const STARTS: [Start; 3] = [Start::Parallel, Start::PlusPlus, Start::Random];

/// Rows of whole and half numbers around some places: nothing is rounded. `share` of the values is there.
fn blobs(n: usize, columns: usize, groups: usize, share: f64, seed: u64) -> Rows {
    let mut rng = rng::stream(seed, 0);
    let mut place = || (8.0 * rng::normal(&mut rng)).round();
    let places: Vec<f64> = (0..groups * columns).map(|_| place()).collect();
    let mut all = Rows { labels: vec![], rows: vec![], columns };
    for i in 0..n {
        let group = i % groups;
        let mut row = vec![];
        for j in 0..columns {
            let x = places[group * columns + j] + (4.0 * rng::normal(&mut rng)).round() / 2.0;
            if x != 0.0 && rng::unit_f64(&mut rng) < share {
                row.push((j as u32, x));
            }
        }
        if row.is_empty() {
            row.push((0, 1.0));
        }
        all.rows.push(row);
        all.labels.push(group as f64);
    }
    all
}

fn dense(rows: &Rows) -> Vec<Vec<f64>> {
    let row = |row: &Vec<(u32, f64)>| {
        let mut x = vec![0.0; rows.columns];
        row.iter().for_each(|(j, v)| x[*j as usize] = *v);
        x
    };
    rows.rows.iter().map(row).collect()
}

fn partitioned(cx: &Context, rows: &Rows, partitions: usize) -> Dataset<LabeledBlock> {
    let n = rows.labels.len();
    let blocks = |p: usize| {
        let (from, to) = (p * n / partitions, (p + 1) * n / partitions);
        let cuts = [from, from + (to - from) / 3, to];
        cuts.windows(2).map(|c| rows.block(c[0], c[1])).collect::<Vec<_>>()
    };
    cx.from_partitions((0..partitions).map(blocks).collect())
}

fn fit(params: &KMeansParams, rows: &Rows, partitions: usize, workers: usize) -> KMeansModel {
    let cx = Context::local(workers).unwrap();
    params.fit(&partitioned(&cx, rows, partitions)).unwrap()
}

fn fit_from(params: &KMeansParams, rows: &Rows, first: &Centers, partitions: usize) -> KMeansModel {
    let cx = Context::local(2).unwrap();
    params.fit_from(&partitioned(&cx, rows, partitions), first).unwrap()
}

fn first_rows(rows: &Rows, k: usize) -> Centers {
    Centers::new(dense(rows)[..k].concat(), k).unwrap()
}

fn assigned(model: &KMeansModel, rows: &Rows) -> Vec<usize> {
    let mut all = vec![];
    model.for_each(&rows.whole().features, |center, _| all.push(center));
    all
}

/// Lloyd's iterations by plain loops in `f64`.
struct Naive {
    centers: Vec<Vec<f64>>,
    assigned: Vec<usize>,
    history: Vec<f64>,
}

impl Naive {
    fn new(x: &[Vec<f64>], first: &Centers, iterations: usize, cosine: bool) -> Self {
        let direct = |x: &[f64]| -> Vec<f64> {
            let norm = if cosine { x.iter().map(|x| x * x).sum::<f64>().sqrt() } else { 1.0 };
            x.iter().map(|x| x / norm).collect()
        };
        let x: Vec<Vec<f64>> = x.iter().map(|x| direct(x)).collect();
        let mut naive =
            Naive { centers: first.iter().map(&direct).collect(), assigned: vec![], history: vec![] };
        for _ in 0..iterations {
            let cost = naive.assign(&x);
            naive.history.push(if cosine { cost / 2.0 } else { cost });
            for j in 0..naive.centers.len() {
                let rows: Vec<&Vec<f64>> =
                    x.iter().zip(&naive.assigned).filter(|(_, a)| **a == j).map(|(x, _)| x).collect();
                if !rows.is_empty() {
                    let mean = |c: usize| rows.iter().map(|x| x[c]).sum::<f64>() / rows.len() as f64;
                    naive.centers[j] = direct(&(0..x[0].len()).map(mean).collect::<Vec<_>>());
                }
            }
        }
        naive.assign(&x);
        naive
    }
    fn assign(&mut self, x: &[Vec<f64>]) -> f64 {
        let apart = |x: &[f64], c: &[f64]| x.iter().zip(c).map(|(x, c)| (x - c) * (x - c)).sum::<f64>();
        let mut cost = 0.0;
        self.assigned.clear();
        for x in x {
            let distances: Vec<f64> = self.centers.iter().map(|c| apart(x, c)).collect();
            let nearest = (0..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b]));
            self.assigned.push(nearest.unwrap());
            cost += distances[nearest.unwrap()];
        }
        cost
    }
}

#[test]
fn as_plain_loops_do_it() {
    // More rows than a tile, and more centres than are multiplied at once; dense, and sparse enough to be held so.
    for (rows, k) in [
        (blobs(907, 13, 9, 1.0, 1), 9),
        (blobs(907, 13, 9, 1.0, 2), 1),
        (blobs(1500, 7, 40, 1.0, 3), 300),
        (blobs(603, 40, 6, 0.1, 4), 20),
        (blobs(603, 40, 6, 0.5, 5), 33),
    ] {
        let first = first_rows(&rows, k);
        for iterations_max in [1, 2, 7] {
            let naive = Naive::new(&dense(&rows), &first, iterations_max, false);
            let params = KMeansParams { iterations_max, tolerance: Some(0.0), ..KMeansParams::new(k) };
            let model = fit_from(&params, &rows, &first, 3);
            let what = format!("{} columns, {k} centres, {iterations_max} iterations", rows.columns);
            // Nothing moves any more if it ended earlier.
            assert!(model.summary().iterations <= iterations_max, "{what}");
            for (got, want) in model.centers().iter().flatten().zip(naive.centers.iter().flatten()) {
                assert!((got - want).abs() < 1e-9, "{what}: {got}, not {want}");
            }
            for (got, want) in model.summary().cost_history.iter().zip(&naive.history) {
                assert_close(*got, *want, 1e-9);
            }
            assert_eq!(assigned(&model, &rows), naive.assigned, "{what}");
            let count = |j: usize| naive.assigned.iter().filter(|a| **a == j).count() as u64;
            assert_eq!(model.sizes(), (0..k).map(count).collect::<Vec<_>>(), "{what}");
        }
    }
}

#[test]
fn on_the_sphere_as_plain_loops_do_it() {
    for rows in [blobs(500, 11, 5, 1.0, 6), blobs(500, 50, 5, 0.15, 7)] {
        // Sums of many rows of one place, or of every other: single sparse rows may have nothing in common with any centre,
        // and then all are as far.
        let mut sums = vec![0.0; 8 * rows.columns];
        for (i, x) in dense(&rows).iter().enumerate() {
            let center = if i % 2 == 1 && i % 5 < 3 { 5 + i % 5 } else { i % 5 };
            let to = &mut sums[center * rows.columns..][..rows.columns];
            to.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        }
        let first = Centers::new(sums, 8).unwrap();
        let naive = Naive::new(&dense(&rows), &first, 6, true);
        let params = KMeansParams {
            distance: Distance::Cosine,
            iterations_max: 6,
            tolerance: Some(0.0),
            ..KMeansParams::new(8)
        };
        let model = fit_from(&params, &rows, &first, 3);
        // Rows of length 1 are rounded to 24 bits.
        for (got, want) in model.centers().iter().flatten().zip(naive.centers.iter().flatten()) {
            assert!((got - want).abs() < 1e-6, "{got}, not {want}");
        }
        for (got, want) in model.summary().cost_history.iter().zip(&naive.history) {
            assert_close(*got, *want, 1e-6);
        }
        assert_eq!(assigned(&model, &rows), naive.assigned);
        let row = Vector::dense(dense(&rows)[3].iter().map(|x| 17.0 * x).collect::<Vec<_>>());
        let (center, distance) = model.nearest(&row);
        let cosine: f64 = model.centers().row(center).iter().zip(&dense(&rows)[3]).map(|(c, x)| c * x).sum();
        let norm = dense(&rows)[3].iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((distance - (1.0 - cosine / norm)).abs() < 1e-12 && center == naive.assigned[3]);
        assert_eq!(model.nearest(&Vector::dense([0.0; 3])), (0, 1.0));
    }
}

/// Rows on the borders between centres, exactly: the first centre has them, whatever products in `f32` say.
#[test]
fn ties_go_to_the_first_centre() {
    let grid: Vec<Vec<(u32, f64)>> = (0..41)
        .flat_map(|a| (0..41).map(move |b| vec![(0, f64::from(a) / 4.0), (1, f64::from(b) / 4.0)]))
        .collect();
    let rows = Rows { labels: vec![0.0; grid.len()], rows: grid, columns: 2 };
    let centers: Vec<f64> =
        (0..3).flat_map(|a| (0..3).flat_map(move |b| [5.0 * f64::from(a), 5.0 * f64::from(b)])).collect();
    let first = Centers::new(centers, 9).unwrap();
    let naive = Naive::new(&dense(&rows), &first, 1, false);
    let params = KMeansParams { iterations_max: 1, ..KMeansParams::new(9) };
    let model = fit_from(&params, &rows, &first, 2);
    for (got, want) in model.centers().iter().flatten().zip(naive.centers.iter().flatten()) {
        assert!((got - want).abs() < 1e-12, "{got}, not {want}");
    }
}

/// Columns far from zero lose nothing: the squares of distances are a 10^-10th of those of the rows.
#[test]
fn far_from_zero() {
    let near = blobs(400, 5, 4, 1.0, 8);
    let mut far = near.clone();
    far.rows.iter_mut().for_each(|row| *row = (0..5).map(|j| (j, 0.0)).collect());
    for (to, from) in far.rows.iter_mut().zip(dense(&near)) {
        to.iter_mut().zip(from).for_each(|(to, x)| to.1 = x + 1e6);
    }
    let params = KMeansParams { tolerance: Some(0.0), ..KMeansParams::new(7) };
    let (a, b) = (
        fit_from(&params, &near, &first_rows(&near, 7), 2),
        fit_from(&params, &far, &first_rows(&far, 7), 2),
    );
    assert_eq!((a.sizes(), a.summary().iterations), (b.sizes(), b.summary().iterations));
    assert_close(a.summary().cost, b.summary().cost, 1e-5);
    assert_eq!(assigned(&a, &near), assigned(&b, &far));
}

/// Rows by whole numbers, as the comparisons below make them in Python.
fn by_formula() -> Rows {
    let value = |i: u64, j: u64| {
        let noise = ((i * 8 + j) * 2_654_435_761 % (1 << 32)) >> 22;
        let far = ((i % 6 + 1) >> (j % 3)) & 1;
        (noise as f64 - 512.0 + 700.0 * far as f64) / 256.0
    };
    let row = |i: u64| (0..8).map(|j| (j as u32, value(i, j))).collect();
    let labels = (0..600).map(|i| f64::from(i % 6)).collect();
    Rows { labels, rows: (0..600).map(row).collect(), columns: 8 }
}

/// scikit-learn 1.9.1: `KMeans(k, init=X[:k], n_init=1, max_iter=300, tol=0).fit(X)` of these rows: `inertia_`, `n_iter_`, sum of
/// the first of `cluster_centers_`, `silhouette_score(X, labels_, metric="sqeuclidean")`, `adjusted_rand_score` and
/// `normalized_mutual_info_score` with `y = i % 6`, `bincount(labels_)[:4]`. With `tol=0.01` and 25 centres it takes 3
/// iterations.
#[test]
fn as_scikit_learn_finds() {
    let rows = by_formula();
    for (k, cost, iterations, sum, silhouette, rand, mutual, sizes) in [
        (
            6,
            6127.661493813502,
            5,
            10.257228807471265,
            0.350054936881598,
            0.395079861921668,
            0.5942401495882,
            [87, 205, 43, 80],
        ),
        (
            25,
            1051.474669668998,
            6,
            5.41015625,
            0.7480090347179953,
            0.3208644213422591,
            0.6591392570292309,
            [1, 6, 16, 11],
        ),
    ] {
        let params = KMeansParams { tolerance: Some(0.0), ..KMeansParams::new(k) };
        let model = fit_from(&params, &rows, &first_rows(&rows, k), 4);
        assert_close(model.summary().cost, cost, 1e-12);
        // It stops once no row has changed, here once no centre has moved.
        let took = model.summary().iterations;
        assert!(
            (iterations..=iterations + 1).contains(&took) && model.summary().stop == Stop::Weights,
            "{took}"
        );
        assert_close(model.centers().row(0).iter().sum(), sum, 1e-12);
        assert_eq!(model.sizes()[..4], sizes);
        let cx = Context::local(2).unwrap();
        let metrics = model.evaluate(&partitioned(&cx, &rows, 3)).unwrap();
        assert_close(metrics.cost, cost, 1e-12);
        assert_close(metrics.silhouette.unwrap(), silhouette, 1e-10);
        let agreement = metrics.agreement.unwrap();
        assert_close(agreement.adjusted_rand_index, rand, 1e-10);
        assert_close(agreement.normalized_mutual_information, mutual, 1e-10);
        assert_eq!((metrics.rows, metrics.columns, &metrics.sizes[..]), (600, 8, model.sizes()));
    }
    let loose = KMeansParams { tolerance: Some(0.01), ..KMeansParams::new(25) };
    assert_eq!(fit_from(&loose, &rows, &first_rows(&rows, 25), 4).summary().iterations, 3);
}

#[test]
fn every_start_finds_what_is_there() {
    let rows = blobs(800, 6, 8, 1.0, 9);
    // What the places themselves cost, as trained from a row of each.
    let best = fit_from(&KMeansParams::new(8), &rows, &first_rows(&rows, 8), 2).summary().cost;
    for start in STARTS {
        let params = KMeansParams { start, restarts: 10, ..KMeansParams::new(8) };
        let model = fit(&params, &rows, 3, 2);
        assert_close(model.summary().cost, best, 1e-3);
        let once = fit(&KMeansParams { restarts: 1, ..params.clone() }, &rows, 3, 2).summary().cost;
        assert!(model.summary().cost <= once, "{start:?}: the best of ten is no worse than the first");
    }
    // Over many seeds, first centres that are far apart are better ones.
    let mean = |start: Start| {
        let cost = |seed: u64| {
            let params = KMeansParams { start, seed, ..KMeansParams::new(8) };
            fit(&params, &rows, 2, 2).summary().cost
        };
        (0..12).map(cost).sum::<f64>() / 12.0
    };
    let (parallel, plus, random) = (mean(Start::Parallel), mean(Start::PlusPlus), mean(Start::Random));
    assert!(parallel <= random && plus <= random, "{parallel} {plus} {random}");
    assert!(parallel < 1.05 * best, "{parallel} {best}");
}

#[test]
fn the_same_bits_for_any_number_of_workers() {
    for (rows, distance) in
        [(blobs(700, 9, 7, 1.0, 10), Distance::Euclidean), (blobs(700, 60, 7, 0.1, 11), Distance::Cosine)]
    {
        for start in STARTS {
            for solver in [Solver::Lloyd, Solver::Minibatch] {
                let minibatch = MinibatchParams { batch: 20, epochs: 3, ..Default::default() };
                let params =
                    KMeansParams { start, solver, distance, minibatch, restarts: 2, ..KMeansParams::new(12) };
                let one = fit(&params, &rows, 5, 1);
                for workers in [2, 4] {
                    assert!(fit(&params, &rows, 5, workers) == one, "{start:?} {solver:?} {workers}");
                }
                let other = fit(&KMeansParams { seed: 7, ..params }, &rows, 5, 2);
                assert!(other.centers() != one.centers(), "{start:?} {solver:?}: the seed is used");
            }
        }
    }
}

#[test]
fn minibatches_come_near_with_any_consistency() {
    let rows = blobs(6000, 8, 10, 1.0, 12);
    let lloyd = fit(&KMeansParams { restarts: 5, ..KMeansParams::new(10) }, &rows, 3, 2).summary().cost;
    for consistency in ALL {
        for (workers, decay) in [(1, 0.5), (3, 0.5), (2, 1.0)] {
            let minibatch = MinibatchParams { batch: 100, epochs: 6, decay, consistency };
            let params =
                KMeansParams { solver: Solver::Minibatch, restarts: 5, minibatch, ..KMeansParams::new(10) };
            let model = fit(&params, &rows, 3, workers);
            let cost = model.summary().cost;
            assert!(cost < 1.05 * lloyd && cost > 0.98 * lloyd, "{consistency}: {cost}, Lloyd {lloyd}");
            assert_eq!((model.summary().iterations, model.sizes().iter().sum::<u64>()), (6, 6000));
        }
    }
    // Sculley's rule, one partition, one epoch: every centre is the mean of the rows that it has had.
    let minibatch = MinibatchParams { batch: 6000, epochs: 1, ..Default::default() };
    let params = KMeansParams { solver: Solver::Minibatch, minibatch, ..KMeansParams::new(10) };
    let first = first_rows(&rows, 10);
    let model = fit_from(&params, &rows, &first, 1);
    let naive = Naive::new(&dense(&rows), &first, 1, false);
    for (got, want) in model.centers().iter().flatten().zip(naive.centers.iter().flatten()) {
        assert!((got - want).abs() < 1e-9, "{got}, not {want}");
    }
    assert_close(model.summary().cost_history[0], naive.history[0], 1e-9);
}

#[test]
fn what_was_forgotten_counts_no_more() {
    // With nothing kept, the second epoch of one minibatch is Lloyd's second iteration.
    let rows = blobs(500, 4, 5, 1.0, 13);
    let first = first_rows(&rows, 5);
    let naive = Naive::new(&dense(&rows), &first, 2, false);
    let minibatch = MinibatchParams { batch: 500, epochs: 2, decay: 0.0, ..Default::default() };
    let params = KMeansParams { solver: Solver::Minibatch, minibatch, ..KMeansParams::new(5) };
    let model = fit_from(&params, &rows, &first, 1);
    for (got, want) in model.centers().iter().flatten().zip(naive.centers.iter().flatten()) {
        assert!((got - want).abs() < 1e-9, "{got}, not {want}");
    }
}

#[test]
fn a_resumed_training_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let rows = blobs(900, 6, 9, 1.0, 14);
    let cx = Context::local(2).unwrap();
    let data = partitioned(&cx, &rows, 3);
    let train = |epochs: usize, resume: bool| {
        let minibatch = MinibatchParams { batch: 50, epochs, ..Default::default() };
        let params = KMeansParams { solver: Solver::Minibatch, minibatch, ..KMeansParams::new(9) };
        let snapshots = Snapshots::new(directory.path().join("kept")).resume(resume);
        params.fit_observed(&(&data).into(), None, Some(snapshots), &mut silent).unwrap()
    };
    let whole = {
        let minibatch = MinibatchParams { batch: 50, epochs: 7, ..Default::default() };
        KMeansParams { solver: Solver::Minibatch, minibatch, ..KMeansParams::new(9) }.fit(&data).unwrap()
    };
    train(3, false);
    let resumed = train(7, true);
    assert!(resumed == whole);
}

#[test]
fn a_centre_without_rows_is_drawn_anew() {
    // All first centres are one place: all but the first have no rows, and go to the farthest ones.
    let rows = blobs(300, 3, 3, 1.0, 15);
    let one = dense(&rows)[0].repeat(3);
    let params = KMeansParams { tolerance: Some(0.0), ..KMeansParams::new(3) };
    let model = fit_from(&params, &rows, &Centers::new(one, 3).unwrap(), 3);
    assert!(model.sizes().iter().all(|n| *n > 0), "{:?}", model.sizes());
    // Fewer different rows than centres: nothing costs, and some have none.
    let few = Rows {
        labels: vec![0.0; 30],
        rows: (0..30).map(|i| vec![(0, f64::from(i % 3) + 1.0)]).collect(),
        columns: 1,
    };
    for start in STARTS {
        let model = fit(&KMeansParams { start, tolerance: Some(0.0), ..KMeansParams::new(5) }, &few, 2, 2);
        assert_eq!((model.summary().cost, model.sizes().iter().sum::<u64>()), (0.0, 30), "{start:?}");
        assert_eq!(model.sizes().iter().filter(|n| **n == 0).count(), 2, "{start:?}");
    }
    // As many as rows.
    let model = fit(&KMeansParams::new(3), &few.head(3), 2, 2);
    assert_eq!((model.summary().cost, model.sizes()), (0.0, &[1, 1, 1][..]));
}

/// The first rows of some.
trait Head {
    fn head(&self, n: usize) -> Rows;
}

impl Head for Rows {
    fn head(&self, n: usize) -> Rows {
        Rows { labels: self.labels[..n].to_vec(), rows: self.rows[..n].to_vec(), columns: self.columns }
    }
}

#[test]
fn odd_shapes() {
    let cx = Context::local(2).unwrap();
    let rows = blobs(200, 6, 4, 1.0, 16);
    let params = KMeansParams { tolerance: Some(0.0), ..KMeansParams::new(4) };
    let first = first_rows(&rows, 4);
    let want = fit_from(&params, &rows, &first, 1);
    // Partitions without rows, and partitions that are narrower than others, or sparse beside dense ones.
    let mut narrow = rows.clone();
    narrow.rows[..100].iter_mut().for_each(|row| row.retain(|(j, _)| *j < 3));
    let cut = |rows: &Rows, from: usize, to: usize, columns: usize| {
        let mut features = CsrBuilder::default();
        for row in &rows.rows[from..to] {
            row.iter().for_each(|(j, x)| features.push(*j, *x));
            features.end_row();
        }
        LabeledBlock { labels: vec![0.0; to - from], features: features.finish(columns) }
    };
    let uneven =
        cx.from_partitions(vec![vec![], vec![cut(&rows, 0, 150, 6)], vec![], vec![cut(&rows, 150, 200, 6)]]);
    let got = params.fit_from(&uneven, &first).unwrap();
    assert_eq!(got.sizes(), want.sizes());
    let mixed = cx.from_partitions(vec![vec![cut(&narrow, 0, 100, 3)], vec![cut(&narrow, 100, 200, 30)]]);
    let centers = |columns: usize| {
        let wide = first
            .iter()
            .flat_map(|c| (0..columns).map(|j| c.get(j).copied().unwrap_or(0.0)).collect::<Vec<_>>());
        Centers::new(wide.collect(), 4).unwrap()
    };
    let got = params.fit_from(&mixed, &centers(30)).unwrap();
    let naive = Naive::new(&dense(&narrow), &first, 30, false);
    assert_eq!((got.columns(), assigned(&got, &narrow)), (30, naive.assigned));
    // Points do as well as blocks.
    let points: Vec<LabeledPoint> =
        dense(&rows).into_iter().map(|x| LabeledPoint::new(0.0, Vector::dense(x))).collect();
    let got = params.fit_from(&cx.parallelize(points, 1), &first).unwrap();
    assert_eq!(got.centers(), want.centers());
    // Rows one by one, and many at once.
    let block = rows.whole();
    let mut at = 0;
    want.for_each(&block.features, |center, distance| {
        let (alone, exact) = want.nearest(&block.features.row(at));
        assert!(center == alone && (distance - exact).abs() < 1e-6 * exact.max(1.0), "row {at}");
        at += 1;
    });
    assert_eq!(at, 200);
    // Columns that it does not know are left out.
    let wide = Vector::dense([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1e9]);
    assert_eq!(want.nearest(&wide), want.nearest(&Vector::dense([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])));
}

#[test]
fn training_ends_and_fails_as_it_should() {
    let cx = Context::local(2).unwrap();
    let rows = blobs(100, 4, 3, 1.0, 17);
    let data = partitioned(&cx, &rows, 2);
    let mut seen = vec![];
    let params = KMeansParams { tolerance: Some(0.0), ..KMeansParams::new(9) };
    let observed = params.fit_observed(&(&data).into(), None, None, &mut |progress| {
        seen.push(progress.objective);
        if progress.iteration == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let observed = observed.unwrap();
    assert_eq!((observed.summary().stop, &observed.summary().cost_history), (Stop::Observer, &seen));
    let refused = |params: &KMeansParams, values: &[&[f64]]| {
        let points: Vec<_> =
            values.iter().map(|x| LabeledPoint::new(0.0, Vector::dense(x.to_vec()))).collect();
        params.fit(&cx.parallelize(points, 2)).unwrap_err()
    };
    let two = KMeansParams::new(2);
    let cosine = KMeansParams { distance: Distance::Cosine, ..two.clone() };
    for (e, says) in [
        (refused(&two, &[&[1.0]]), "2 centres for 1 rows"),
        (refused(&two, &[]), "no rows"),
        (refused(&two, &[&[1.0], &[2.0], &[f64::NAN]]), "row 3 has the value NaN"),
        (refused(&two, &[&[1.0], &[f64::INFINITY], &[2.0]]), "row 2 has the value inf"),
        (refused(&two, &[&[1.0], &[1e20]]), "row 2 has values too large"),
        (refused(&cosine, &[&[1.0], &[1.0], &[2.0], &[0.0]]), "row 4 is zero in all columns"),
    ] {
        assert!(e.exit_code() == 3 && e.to_string().contains(says), "{says}: {e}");
    }
    assert!(refused(&cosine, &[&[0.0], &[1.0]]).to_string().contains("hint"));
    let first = first_rows(&rows, 2);
    for (e, says) in [
        (KMeansParams { start: Start::Given, ..two.clone() }.fit(&data).unwrap_err(), "no centres"),
        (KMeansParams::new(3).fit_from(&data, &first).unwrap_err(), "2 first centres"),
        (two.fit_observed(&(&data).into(), Some(&first), None, &mut silent).unwrap_err(), "k-means||"),
        (KMeansParams::new(0).fit(&data).unwrap_err(), "k"),
        (
            two.fit_observed(&(&data).into(), None, Some(Snapshots::new("x")), &mut silent).unwrap_err(),
            "minibatch",
        ),
    ] {
        assert!(e.exit_code() == 2 && e.to_string().contains(says), "{says}: {e}");
    }
    let narrow = Centers::new(vec![1.0, 2.0], 2).unwrap();
    let e = two.fit_from(&data, &narrow).unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("4 columns"), "{e}");
    // The engine is none the worse for it.
    two.fit(&data).unwrap();
}

#[test]
fn models_survive_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("m");
    let model = fit(
        &KMeansParams { start: Start::PlusPlus, ..KMeansParams::new(3) },
        &blobs(90, 4, 3, 1.0, 18),
        2,
        2,
    );
    save(&model, &path, Overwrite::Refuse).unwrap();
    assert!(load::<KMeansModel>(&path).unwrap() == model);
    let metadata = path.join("metadata.json");
    let text = std::fs::read_to_string(&metadata).unwrap();
    for (what, other, says) in [
        ("\"columns\": 4", "\"columns\": 5", "one value a column"),
        ("\"k\": 3", "\"k\": 4", "not as many"),
        ("\"k\": 3", "\"k\": 0", "not as many"),
    ] {
        assert!(text.contains(what), "{what}: {text}");
        std::fs::write(&metadata, text.replace(what, other)).unwrap();
        let e = load::<KMeansModel>(&path).unwrap_err();
        assert!(e.exit_code() == 3 && e.to_string().contains(says), "{e}");
    }
}

/// Iris and digits as scikit-learn ships them. scikit-learn 1.9.1: `KMeans(3, init=X[[0, 50, 100]], n_init=1, tol=0)` of iris has
/// inertia 78.851441426146 and 50, 62 and 38 rows, a silhouette (`metric="sqeuclidean"`) of 0.7356596054332232 and an
/// adjusted Rand index of 0.7302382722834697. Digits from its first ten rows: 1167859.3840065985; the best of 50 starts:
/// 1165153.9999; single starts by greedy k-means++, mean of 20: 1178526, with a deviation of 16383.
#[test]
fn iris_and_digits() {
    let (Some(iris), Some(digits)) =
        (data_text("sklearn_bundled/iris.csv"), data_text("sklearn_bundled/digits.csv.gz"))
    else {
        return;
    };
    let read = |text: &str, header: usize| {
        let mut rows = Rows { labels: vec![], rows: vec![], columns: 0 };
        for line in text.lines().skip(header) {
            let numbers: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
            let (label, values) = numbers.split_last().unwrap();
            rows.labels.push(*label);
            rows.columns = values.len();
            rows.rows.push(values.iter().enumerate().map(|(j, x)| (j as u32, *x)).collect());
        }
        rows
    };
    let iris = read(&iris, 1);
    let x = dense(&iris);
    let first = Centers::new([&x[0][..], &x[50], &x[100]].concat(), 3).unwrap();
    let model = fit_from(&KMeansParams { tolerance: Some(0.0), ..KMeansParams::new(3) }, &iris, &first, 2);
    assert_close(model.summary().cost, 78.851441426146, 1e-6);
    assert_eq!(model.sizes(), [50, 62, 38]);
    let cx = Context::local(2).unwrap();
    let metrics = model.evaluate(&partitioned(&cx, &iris, 2)).unwrap();
    assert_close(metrics.silhouette.unwrap(), 0.7356596054332232, 1e-6);
    assert_close(metrics.agreement.unwrap().adjusted_rand_index, 0.7302382722834697, 1e-9);

    let digits = read(&digits, 0);
    let exact = KMeansParams { tolerance: Some(0.0), ..KMeansParams::new(10) };
    let model = fit_from(&exact, &digits, &first_rows(&digits, 10), 3);
    assert_close(model.summary().cost, 1167859.3840065985, 1e-9);
    let once: Vec<f64> = (0..20)
        .map(|seed| fit(&KMeansParams { seed, ..KMeansParams::new(10) }, &digits, 3, 2).summary().cost)
        .collect();
    let mean = once.iter().sum::<f64>() / 20.0;
    println!("digits: mean of 20 {mean:.0}, scikit-learn's 1178526");
    assert!(mean < 1_178_526.0 + 2.0 * 16_383.0 / 20f64.sqrt(), "{mean}");
    let best = fit(&KMeansParams { restarts: 20, ..exact }, &digits, 3, 2).summary().cost;
    assert!(best < 1.001 * 1_165_154.0, "{best}");
}

/// Spark's sample: two groups of three rows, whose best centres cost 0.12 (the guide's "Within Set Sum of Squared Errors").
#[test]
fn the_sample_of_spark() {
    let Some(rows) = libsvm("spark_data/mllib/sample_kmeans_data.txt", 3) else { return };
    for start in STARTS {
        let model = fit(&KMeansParams { start, restarts: 3, ..KMeansParams::new(2) }, &rows, 2, 2);
        assert_close(model.summary().cost, 0.12, 1e-6);
        let cx = Context::local(2).unwrap();
        let silhouette = model.evaluate(&partitioned(&cx, &rows, 2)).unwrap().silhouette.unwrap();
        // Spark's guide: "Silhouette with squared euclidean distance = 0.9997530305375207".
        assert_close(silhouette, 0.9997530305375207, 1e-9);
    }
}
