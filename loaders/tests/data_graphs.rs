//! Real graphs, when `SLACKWATER_DATA` says where they are: SNAP, LAW, METIS, DIMACS, LDBC, cuGraph, LAGraph.

mod common;

use common::data;
use slackwater_dataflow::block::Edge;
use slackwater_dataflow::{Config, Context};
use slackwater_loaders::format::graph::{Graph, GraphFormat, GraphOptions};
use slackwater_loaders::format::records::RecordSource;
use slackwater_loaders::{InputFile, ReadGraphExt, ReadLimits};
use std::collections::HashSet;
use std::path::Path;

fn open(path: &Path, format: Option<GraphFormat>, min_splits: usize) -> Graph {
    let options = GraphOptions { format, weighted: None, limits: ReadLimits::default() };
    let file = InputFile::from_path(path).expect("the file");
    Graph::open(&[file], &options, min_splits).unwrap_or_else(|e| panic!("{e}"))
}

fn edges(graph: &Graph) -> Vec<Edge> {
    let mut edges = vec![];
    for piece in 0..graph.pieces() {
        let mut reader = graph.open(piece).unwrap_or_else(|e| panic!("{e}"));
        while let Some(edge) =
            reader.next_record(&mut |bad| Err(bad.into())).unwrap_or_else(|e| panic!("{e}"))
        {
            edges.push(edge);
        }
    }
    edges
}

/// Vertices, edges, different edges, edges from a vertex to itself.
fn shape(edges: &[Edge]) -> [usize; 4] {
    let vertices: HashSet<u64> = edges.iter().flat_map(|e| [e.source, e.target]).collect();
    let different: HashSet<_> = edges.iter().map(|e| (e.source, e.target)).collect();
    let loops = edges.iter().filter(|e| e.source == e.target).count();
    [vertices.len(), edges.len(), different.len(), loops]
}

/// As in the index, which has counted with igraph.
#[test]
fn edge_lists() {
    let Some(data) = data() else { return };
    for (name, want) in [
        ("ca-GrQc/ca-GrQc.txt.gz", [5242, 28_980, 28_980, 12]),
        ("ca-HepTh/ca-HepTh.txt.gz", [9877, 51_971, 51_971, 25]),
        ("email-Enron/email-Enron.txt.gz", [36_692, 367_662, 367_662, 0]),
        ("facebook_combined/facebook_combined.txt.gz", [4039, 88_234, 88_234, 0]),
        ("p2p-Gnutella31/p2p-Gnutella31.txt.gz", [62_586, 147_892, 147_892, 0]),
        ("wiki-Vote/wiki-Vote.txt.gz", [7115, 103_689, 103_689, 0]),
        ("webgraph_cnr-2000/cnr-2000.edges.tsv.gz", [325_557, 3_216_152, 3_216_152, 87_442]),
        ("ldbc_graphalytics_validation/example/example-directed.e", [10, 17, 17, 0]),
        ("cugraph_small/karate.csv", [34, 156, 156, 0]),
    ] {
        let graph = open(&data.join(name), None, 4);
        assert_eq!(shape(&edges(&graph)), want, "{name}");
        assert_eq!(graph.is_weighted(), name.ends_with(".e") || name.ends_with(".csv"), "{name}");
    }
}

/// Vertices and undirected edges of the heads; every edge is there from both ends.
#[test]
fn metis_graphs() {
    let Some(data) = data() else { return };
    for (name, vertices, undirected) in [
        ("4elt.graph.gz", 15_606, 45_878),
        ("PGPgiantcompo.graph.gz", 10_680, 24_316),
        ("airfoil1.graph.gz", 4253, 12_289),
        ("celegans_metabolic.graph", 453, 2025),
        ("hep-th.graph.gz", 8361, 15_751),
        ("jazz.graph", 198, 2742),
        ("karate.graph", 34, 78),
        ("lesmis.graph", 77, 254),
        ("polblogs.graph.gz", 1490, 16_715),
        ("power.graph.gz", 4941, 6594),
    ] {
        let graph = open(&data.join("networkit_metis").join(name), None, 4);
        let edges = edges(&graph);
        assert_eq!((graph.vertices(), edges.len()), (Some(vertices), 2 * undirected), "{name}");
        assert_eq!(graph.is_weighted(), name == "lesmis.graph", "{name}");
        let all: HashSet<_> = edges.iter().map(|e| (e.source, e.target, e.weight.to_bits())).collect();
        assert!(all.iter().all(|(s, t, w)| all.contains(&(*t, *s, *w))), "{name} is symmetric");
    }
}

/// Distances from vertex 0, which the index has from igraph: the sum over what is reached, how many, and the largest.
#[test]
fn shortest_paths_in_bremen() {
    let Some(data) = data() else { return };
    for (name, want) in [
        ("bremen_dist.gr.gz", (33_284, 318_849_187, 33_202)),
        ("bremen_time.gr.gz", (33_284, 29_747_833_870, 18_320_908)),
    ] {
        let graph = open(&data.join("road_bremen").join(name), None, 1);
        let edges = edges(&graph);
        assert_eq!(edges.len(), 86_475, "{name}");
        let n = edges.iter().flat_map(|e| [e.source, e.target]).max().expect("edges") as usize + 1;
        assert_eq!(n, 40_461, "{name}");
        let mut out = vec![vec![]; n];
        edges.iter().for_each(|e| out[e.source as usize].push((e.target as usize, e.weight as u64)));
        let mut distance = vec![u64::MAX; n];
        distance[0] = 0;
        let mut queue = std::collections::BTreeSet::from([(0, 0)]);
        while let Some((d, v)) = queue.pop_first() {
            for (to, weight) in &out[v] {
                if d + weight < distance[*to] {
                    queue.remove(&(distance[*to], *to));
                    distance[*to] = d + weight;
                    queue.insert((d + weight, *to));
                }
            }
        }
        let reached: Vec<u64> = distance.into_iter().filter(|d| *d < u64::MAX).collect();
        let largest = reached.iter().copied().max().unwrap_or(0);
        assert_eq!((reached.len(), reached.iter().sum::<u64>(), largest), want, "{name}");
    }
}

/// The validation graphs of LDBC are adjacency lists, and vertices with edges; the same graph is there in both forms.
#[test]
fn graphs_of_ldbc() {
    let Some(data) = data() else { return };
    let folder = data.join("ldbc_graphalytics_validation");
    let lists = edges(&open(&folder.join("example/example-directed-input"), Some(GraphFormat::Adjacency), 1));
    assert_eq!(shape(&lists), [10, 17, 17, 0]);
    let undirected =
        edges(&open(&folder.join("example/example-undirected-input"), Some(GraphFormat::Adjacency), 1));
    assert_eq!(undirected.len(), 24, "each of 12 edges from both ends");
    let listed: HashSet<_> = edges(&open(&folder.join("example/example-undirected.e"), None, 1))
        .iter()
        .flat_map(|e| [(e.source, e.target), (e.target, e.source)])
        .collect();
    assert_eq!(listed, undirected.iter().map(|e| (e.source, e.target)).collect());
    let cx = Context::local(2).expect("a context");
    let vertices = cx.read_vertices(folder.join("sssp/undir-input.v")).and_then(|d| d.collect());
    assert_eq!(
        vertices.expect("vertices").len(),
        12,
        "the last line has no end, so the index counts 11 lines"
    );
}

/// Karate is there as METIS, MatrixMarket and CSV: the same edges, whatever the number of workers.
#[test]
fn the_same_graph_in_three_formats() {
    let Some(data) = data() else { return };
    let mut found = vec![];
    for (workers, name) in
        [(1, "networkit_metis/karate.graph"), (2, "lagraph_mtx/karate.mtx"), (3, "cugraph_small/karate.csv")]
    {
        let cx = Context::new(Config { workers, ..Config::default() }).expect("a context");
        let edges = cx.read_edges(data.join(name)).expect(name);
        let mut edges = edges.map(|e| (e.source, e.target)).collect().expect(name);
        edges.sort_unstable();
        found.push(edges);
    }
    assert_eq!(found[0].len(), 156);
    assert!(found.iter().all(|edges| *edges == found[0]));
}
