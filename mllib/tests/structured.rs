//! The tree lasso and the graph-guided fused lasso against plain descent on made-up data, and against known optima of real data.

mod common;

use common::assert_close;
use common::design::{Data, csv};
use slackwater_dataflow::Context;
use slackwater_mllib::objective::DatasetRows;
use slackwater_mllib::optimization::silent;
use slackwater_mllib::regression::group_lasso::{GroupLassoParams, Groups};
use slackwater_mllib::regression::lasso::{Design, LassoParams, Penalties};
use slackwater_mllib::regression::structured::{Edge, Graph, Leaf, Node, Structure, Tree};
use slackwater_mllib::regression::{StructuredFit, StructuredLassoParams};

/// The terms of a penalty, spelt out: weights of norms of columns, and of absolute values of sums of signed columns.
struct Terms {
    norms: Vec<(f64, Vec<usize>)>,
    sums: Vec<(f64, Vec<(usize, f64)>)>,
}

impl Terms {
    fn value(&self, b: &[f64]) -> f64 {
        let norm = |columns: &Vec<usize>| columns.iter().map(|j| b[*j] * b[*j]).sum::<f64>().sqrt();
        let sum = |of: &Vec<(usize, f64)>| of.iter().map(|(j, s)| s * b[*j]).sum::<f64>().abs();
        let norms: f64 = self.norms.iter().map(|(w, columns)| w * norm(columns)).sum();
        norms + self.sums.iter().map(|(w, of)| w * sum(of)).sum::<f64>()
    }
    fn of_graph(graph: &Graph, fusion: f64) -> Self {
        let singles = (0..graph.columns()).map(|j| (1.0, vec![(j, 1.0)]));
        let edge = |e: &Edge| {
            (fusion * e.weight.abs(), vec![(e.from as usize, 1.0), (e.to as usize, -e.weight.signum())])
        };
        Terms { norms: vec![], sums: singles.chain(graph.edges().iter().map(edge)).collect() }
    }
}

fn objective(data: &Data, terms: &Terms, b: &[f64], penalty: f64) -> f64 {
    let squares: f64 = data.residual(b).iter().map(|r| r * r).sum();
    squares / (2.0 * data.rows() as f64) + penalty * terms.value(b)
}

/// Alternating directions, a copy of its columns for each term: slow, and nothing in it is ours.
fn minimize(data: &Data, terms: &Terms, penalty: f64) -> Vec<f64> {
    let (n, p) = (data.rows() as f64, data.columns.len());
    let mut copies: Vec<(f64, Vec<(usize, f64)>)> = terms.sums.clone();
    let first_norm = copies.len();
    copies.extend(terms.norms.iter().map(|(w, columns)| (*w, columns.iter().map(|j| (*j, 1.0)).collect())));
    let is_norm = |k: usize| k >= first_norm;
    // Rows: one a sum, and one a column of a norm.
    let rows: Vec<Vec<(usize, f64)>> = copies
        .iter()
        .enumerate()
        .flat_map(|(k, (_, of))| match is_norm(k) {
            true => of.iter().map(|one| vec![*one]).collect(),
            false => vec![of.clone()],
        })
        .collect();
    let rho = 0.2;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / n;
    let mut system: Vec<Vec<f64>> =
        data.columns.iter().map(|a| data.columns.iter().map(|b| product(a, b)).collect()).collect();
    for row in &rows {
        for (i, a) in row {
            row.iter().for_each(|(j, b)| system[*i][*j] += rho * a * b);
        }
    }
    let inverse = inverse(system);
    let target: Vec<f64> = data
        .columns
        .iter()
        .map(|x| x.iter().zip(&data.targets).map(|(x, y)| x * y).sum::<f64>() / n)
        .collect();
    let (mut z, mut u) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
    let mut b = vec![0.0; p];
    for _ in 0..60_000 {
        let mut right = target.clone();
        for ((row, z), u) in rows.iter().zip(&z).zip(&u) {
            row.iter().for_each(|(j, s)| right[*j] += rho * s * (z - u));
        }
        let next: Vec<f64> = inverse.iter().map(|r| r.iter().zip(&right).map(|(a, b)| a * b).sum()).collect();
        let moved = next.iter().zip(&b).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        b = next;
        let mut apart: f64 = 0.0;
        let images: Vec<f64> = rows.iter().map(|row| row.iter().map(|(j, s)| s * b[*j]).sum()).collect();
        let mut at = 0;
        for (k, (w, of)) in copies.iter().enumerate() {
            let end = at + if is_norm(k) { of.len() } else { 1 };
            let point: Vec<f64> = (at..end).map(|i| images[i] + u[i]).collect();
            let norm = point.iter().map(|x| x * x).sum::<f64>().sqrt();
            let share = (1.0 - penalty * w / (rho * norm)).max(0.0);
            for (i, x) in (at..end).zip(point) {
                z[i] = share * x;
                u[i] = x - z[i];
                apart = apart.max((images[i] - z[i]).abs());
            }
            at = end;
        }
        if moved < 1e-13 && apart < 1e-13 {
            break;
        }
    }
    b
}

/// By Gauss and Jordan.
fn inverse(mut a: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let p = a.len();
    let mut inverse: Vec<Vec<f64>> =
        (0..p).map(|i| (0..p).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for i in 0..p {
        let pivot = (i..p).max_by(|x, y| a[*x][i].abs().total_cmp(&a[*y][i].abs())).unwrap();
        a.swap(i, pivot);
        inverse.swap(i, pivot);
        let by = a[i][i];
        a[i].iter_mut().chain(&mut inverse[i]).for_each(|x| *x /= by);
        for k in (0..p).filter(|k| *k != i) {
            let by = a[k][i];
            for j in 0..p {
                let (from, other) = (a[i][j], inverse[i][j]);
                a[k][j] -= by * from;
                inverse[k][j] -= by * other;
            }
        }
    }
    inverse
}

fn fit(data: &Data, params: &StructuredLassoParams, structure: &Structure, workers: usize) -> StructuredFit {
    let cx = Context::local(workers).unwrap();
    params.fit(&data.blocks(&cx, 3), structure).unwrap()
}

/// Three branches of neighbouring columns, one of them cut in two, under a root; absolute values of some columns.
fn tree(columns: usize) -> (Structure, Terms) {
    let all: Vec<usize> = (0..columns).collect();
    let third = columns / 3;
    let sets =
        [all.clone(), all[..third].to_vec(), all[third..2 * third].to_vec(), all[third..third + 2].to_vec()];
    let weights = [0.5, 1.3, (third as f64).sqrt(), 2f64.sqrt()];
    let node = |parent, weight| Node { parent, weight };
    let nodes = [node(None, Some(0.5)), node(Some(0), Some(1.3)), node(Some(0), None), node(Some(2), None)];
    let of = |j: usize| (1..4).rev().find(|v| sets[*v].contains(&j)).unwrap_or(0);
    let single = |j: usize| if j.is_multiple_of(2) { 0.4 } else { 0.0 };
    let leaves: Vec<Leaf> = all.iter().map(|j| Leaf { node: of(*j), weight: single(*j) }).collect();
    let sums = all.iter().map(|j| (single(*j), vec![(*j, 1.0)])).collect();
    let terms = Terms { norms: weights.into_iter().zip(sets).collect(), sums };
    (Structure::Tree(Tree::new(&nodes, &leaves).unwrap()), terms)
}

/// Neighbours, some of them with a negative sign, and circles on which signs do not add up.
fn graph(columns: usize, fusion: f64) -> (Structure, Terms) {
    let mut edges = vec![];
    for j in 1..columns as u32 {
        edges.push(Edge { from: j - 1, to: j, weight: if j % 4 == 0 { -0.7 } else { 1.0 } });
        if j >= 3 && j % 2 == 1 {
            edges.push(Edge { from: j - 3, to: j, weight: 0.5 });
        }
    }
    let graph = Graph::new(columns, edges).unwrap();
    let terms = Terms::of_graph(&graph, fusion);
    (Structure::Graph { graph, fusion }, terms)
}

#[test]
fn alternating_directions_find_the_same() {
    for (density, columns, rows) in [(1.0, 12, 40), (0.4, 24, 30)] {
        let data = Data::random(rows, columns, density, 31);
        let chain = Graph::chain(columns);
        let chain = (Structure::Graph { graph: chain.clone(), fusion: 2.0 }, Terms::of_graph(&chain, 2.0));
        for (structure, terms) in [tree(columns), chain, graph(columns, 0.6)] {
            for (intercept, standardize, ratio) in
                [(true, true, 0.2), (false, true, 0.05), (true, false, 0.1)]
            {
                let (prepared, scales) = data.prepared(intercept, standardize);
                let params = StructuredLassoParams {
                    penalties: Penalties::Ratio(ratio),
                    intercept,
                    standardize,
                    tolerance: 1e-10,
                    ..Default::default()
                };
                let fit = fit(&data, &params, &structure, 2);
                let what = format!("{density} {intercept} {standardize} {:?}", fit.path);
                let point = &fit.path[0].point;
                assert!(point.converged && point.gap >= -1e-12 * point.objective, "{what}");
                let penalty = point.regularization;
                let expected = minimize(&prepared, &terms, penalty);
                let best = objective(&prepared, &terms, &expected, penalty);
                assert!((point.objective - best).abs() <= 1e-8 * best, "{what}: {best}");
                // The objective is that of the model, by the terms spelt out.
                let weights: Vec<f64> =
                    fit.model.weights().iter().zip(&scales).map(|(w, scale)| w * scale).collect();
                assert_close(objective(&prepared, &terms, &weights, penalty), point.objective, 1e-9);
                // Just below the largest penalty something has a weight, and at it nothing.
                for (part, some) in [(1.0, false), (0.999, true)] {
                    let params =
                        StructuredLassoParams { penalties: Penalties::Ratio(part), ..params.clone() };
                    let edge = self::fit(&data, &params, &structure, 1);
                    assert_eq!(edge.path[0].point.nonzeros > 0, some, "{what} {part}: {:?}", edge.path);
                }
            }
        }
    }
}

/// Without edges that count the fused lasso is the lasso, and a tree of one level the group lasso.
#[test]
fn simple_structures_are_simpler_problems() {
    let data = Data::random(40, 60, 1.0, 32);
    let penalties = Penalties::Path { count: 5, ratio: 0.05 };
    let params = StructuredLassoParams { penalties, tolerance: 1e-11, ..Default::default() };
    let cx = Context::local(2).unwrap();
    let lasso = LassoParams { penalties, tolerance: 1e-11, ..Default::default() };
    let lasso = lasso.fit(&data.blocks(&cx, 2)).unwrap().path;
    let groups = GroupLassoParams { penalties, tolerance: 1e-11, ..Default::default() };
    let groups = groups.fit(&data.blocks(&cx, 2), &Groups::of_size(60, 4)).unwrap().path;
    let leaves: Vec<Leaf> = (0..60).map(|j| Leaf { node: j / 4, weight: 0.0 }).collect();
    let tree = Structure::Tree(Tree::new(&[Node::default(); 15], &leaves).unwrap());
    let graph = Structure::Graph { graph: Graph::chain(60), fusion: 0.0 };
    let alone = Structure::Graph { graph: Graph::new(60, vec![]).unwrap(), fusion: 1.0 };
    let found = fit(&data, &params, &tree, 2);
    assert_eq!(found.path.len(), 5);
    for (a, b) in found.path.iter().zip(&groups) {
        assert_close(a.point.regularization, b.point.regularization, 1e-12);
        assert_close(a.point.objective, b.point.objective, 1e-9);
        assert_eq!(a.parts, b.groups);
    }
    for structure in [graph, alone] {
        for (a, b) in fit(&data, &params, &structure, 2).path.iter().zip(&lasso) {
            assert_close(a.point.regularization, b.regularization, 1e-12);
            assert_close(a.point.objective, b.objective, 1e-9);
        }
    }
}

#[test]
fn bits_do_not_depend_on_workers() {
    let data = Data::random(40, 201, 0.4, 33);
    let params = StructuredLassoParams { tolerance: 1e-8, ..Default::default() };
    let cx = Context::local(2).unwrap();
    for (structure, _) in [tree(201), graph(201, 0.5)] {
        let whole = fit(&data, &params, &structure, 1);
        assert!(whole.path[0].point.nonzeros > 5 && whole.path[0].point.converged, "{:?}", whole.path);
        assert_eq!(fit(&data, &params, &structure, 3).model, whole.model);
        let rows = DatasetRows::from_blocks(&data.blocks(&cx, 4));
        let design = Design::from_rows_with(&rows, params.scaling(), 0).unwrap();
        assert_eq!(params.train_design(&design, &structure, &mut silent).unwrap().model, whole.model);
    }
    let other = Structure::Graph { graph: Graph::chain(200), fusion: 1.0 };
    let e = params.fit(&data.blocks(&cx, 2), &other).unwrap_err();
    assert!(e.to_string().contains("200 columns for 201"), "{e}");
    let negative = Structure::Graph { graph: Graph::chain(201), fusion: -1.0 };
    assert!(params.fit(&data.blocks(&cx, 2), &negative).unwrap_err().to_string().contains("fusion"));
}

/// Columns that do not vary have no say, and follow their neighbours without being seen.
#[test]
fn columns_that_do_not_vary() {
    let mut data = Data::random(40, 12, 1.0, 34);
    data.columns[4] = vec![3.0; 40];
    let params = StructuredLassoParams { tolerance: 1e-10, ..Default::default() };
    for (structure, _) in [tree(12), graph(12, 0.5)] {
        let fit = fit(&data, &params, &structure, 2);
        assert!(fit.path[0].point.converged, "{:?}", fit.path);
        assert_eq!(fit.model.weights()[4], 0.0);
    }
}

/// A binary tree: neighbouring columns, so many a node, and two neighbouring nodes under one, up to a root.
fn binary(columns: usize, size: usize, single: f64) -> Structure {
    let mut nodes = vec![Node::default(); columns.div_ceil(size)];
    let mut level = 0..nodes.len();
    while level.len() > 1 {
        let next = nodes.len();
        for v in level.clone() {
            nodes[v].parent = Some(next + (v - level.start) / 2);
        }
        nodes.resize(next + level.len().div_ceil(2), Node::default());
        level = next..nodes.len();
    }
    let leaves: Vec<Leaf> = (0..columns).map(|j| Leaf { node: j / size, weight: single }).collect();
    Structure::Tree(Tree::new(&nodes, &leaves).unwrap())
}

/// Columns that correlate by more than `least`, with their correlation, to three places, for weight.
fn correlated(data: &Data, least: f64) -> Graph {
    let (data, _) = data.prepared(true, true);
    let (n, p) = (data.rows() as f64, data.columns.len());
    let mut edges = vec![];
    for i in 0..p {
        for j in i + 1..p {
            let product = data.columns[i].iter().zip(&data.columns[j]).map(|(a, b)| a * b);
            let r = product.sum::<f64>() / n;
            if r.abs() > least {
                edges.push(Edge { from: i as u32, to: j as u32, weight: (1000.0 * r).round() / 1000.0 });
            }
        }
    }
    Graph::new(p, edges).unwrap()
}

/// (structure, part of the largest penalty, the largest, least objective).
///
/// Optima of cvxpy 1.9.3 with Clarabel 0.11.1, gaps and feasibility 1e-13: `mllib/benches/structured.py optima FOLDER`.
fn check_known(name: &str, data: &Data, known: &[(&Structure, f64, f64, f64)]) {
    for (k, (structure, part, largest, least)) in known.iter().enumerate() {
        let params = StructuredLassoParams {
            penalties: Penalties::Ratio(*part),
            tolerance: 1e-9,
            ..Default::default()
        };
        let fit = fit(data, &params, structure, 2);
        let point = &fit.path[0].point;
        assert!(point.converged && point.gap >= -1e-10 * least, "{name} {k}: {point:?}");
        assert_close(fit.regularization_max, *largest, 1e-7);
        assert!((point.objective - least).abs() <= 1e-7 * least, "{name} {k}: {least} {point:?}");
    }
}

#[test]
fn bardet_gglasso() {
    let Some(data) = csv("bardet_gglasso/bardet_gglasso.csv.gz", 1) else { return };
    let (plain, sparse) = (binary(100, 5, 0.0), binary(100, 5, 0.3));
    let chain = Structure::Graph { graph: Graph::chain(100), fusion: 2.0 };
    let graph = correlated(&data, 0.5);
    let negative = graph.edges().iter().filter(|e| e.weight < 0.0).count();
    assert_eq!((graph.edges().len(), negative), (562, 143));
    let graph = Structure::Graph { graph, fusion: 0.5 };
    let known = [
        (&plain, 0.3, 0.007655921585129356, 0.0070290767804454205),
        (&plain, 0.1, 0.007655921585129356, 0.004251525864582924),
        (&sparse, 0.3, 0.0073463879308524405, 0.007014721533060987),
        (&sparse, 0.1, 0.0073463879308524405, 0.004245342337393352),
        (&chain, 0.3, 0.026212594375826247, 0.007541193134218558),
        (&chain, 0.1, 0.026212594375826247, 0.004830901648597479),
        (&graph, 0.3, 0.09440706025929814, 0.007985396960225884),
        (&graph, 0.1, 0.09440706025929814, 0.005287483212916008),
    ];
    check_known("bardet", &data, &known);
}

#[test]
fn birthwt_grpreg() {
    let Some(data) = csv("birthwt_grpreg/birthwt.csv", 2) else { return };
    let (plain, sparse) = (binary(16, 2, 0.0), binary(16, 2, 0.3));
    let chain = Structure::Graph { graph: Graph::chain(16), fusion: 2.0 };
    let graph = Structure::Graph { graph: correlated(&data, 0.3), fusion: 0.5 };
    let known = [
        (&plain, 0.3, 0.029309505052915776, 0.2249321820438386),
        (&plain, 0.1, 0.029309505052915776, 0.19732310892329474),
        (&sparse, 0.3, 0.027570289513415683, 0.22498547796557744),
        (&sparse, 0.1, 0.027570289513415683, 0.19732825361215692),
        (&chain, 0.3, 0.07178990945061574, 0.23497651836861952),
        (&chain, 0.1, 0.07178990945061574, 0.2053609553555305),
        (&graph, 0.3, 0.20649546496858454, 0.23990013653306197),
        (&graph, 0.1, 0.20649546496858454, 0.2054158948278128),
    ];
    check_known("birthwt", &data, &known);
}
