//! Graphs and binary records as datasets, on running workers.

use slackwater_dataflow::block::Edge;
use slackwater_dataflow::{Config, Context, OnBad};
use slackwater_loaders::format::graph::{GraphFormat, GraphOptions};
use slackwater_loaders::{ReadExt, ReadGraphExt};
use std::fs;

/// A ring in METIS' format, every edge from both ends.
fn ring(n: u64) -> String {
    let lines = (0..n).map(|v| format!("{} {}\n", (v + n - 1) % n + 1, (v + 1) % n + 1));
    format!("{n} {n}\n{}", lines.collect::<String>())
}

#[test]
fn edges_do_not_depend_on_workers() {
    let dir = tempfile::tempdir().unwrap();
    let n = 40_000;
    let metis = dir.path().join("ring.graph");
    fs::write(&metis, ring(n)).unwrap();
    let mut results = vec![];
    for workers in [1, 3] {
        let cx = Context::local(workers).unwrap();
        let edges = cx.read_edges(&metis).unwrap();
        assert!(edges.num_partitions() > 1, "half a megabyte is several pieces");
        results.push(edges.collect_partitions().unwrap());
    }
    assert!(results[0] == results[1]);
    let edges: Vec<Edge> = results.remove(0).concat();
    // Vertices are known in every piece, though a line says nothing of which it is.
    let want = (0..n).flat_map(|v| [(v + n - 1) % n, (v + 1) % n].map(|to| Edge::new(v, to, 1.0)));
    assert!(edges.iter().copied().eq(want));
}

/// Lists in several files, with a bad line in one; and a matrix that is cut short, which no policy lets pass.
#[test]
fn bad_edges_go_where_the_policy_says() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("part-00000.txt"), "# c\n1 2 0.5\n").unwrap();
    fs::write(dir.path().join("part-00001.txt"), "# c\n2 3 1e2\n3 x 1\n3 4 2\n").unwrap();
    let pattern = dir.path().join("part-*.txt");
    let options = GraphOptions { format: Some(GraphFormat::EdgeList), ..GraphOptions::default() };
    let cx = Context::local(2).unwrap();
    let e = cx.read_edges_with(&[&pattern], &options, 2).unwrap().count().unwrap_err().to_string();
    assert!(e.contains("part-00001.txt:3:3: the target is not a whole number"), "{e}");
    let skip = Context::new(Config { workers: 2, on_bad: OnBad::Skip, ..Config::default() }).unwrap();
    let weights = skip.read_edges(&pattern).unwrap().map(|e| e.weight).collect().unwrap();
    assert_eq!(weights, [0.5, 100.0, 2.0]);
    let short = dir.path().join("short.mtx");
    fs::write(&short, "%%MatrixMarket matrix coordinate pattern general\n9 9 3\n1 2\n2 3\n").unwrap();
    let e = skip.read_edges(&short).unwrap().count().unwrap_err().to_string();
    assert!(e.contains("the head says that 3 entries follow, and there are 2"), "{e}");
    fs::write(dir.path().join("g.v"), "7\n9\n").unwrap();
    assert_eq!(cx.read_vertices(dir.path().join("g.v")).unwrap().collect().unwrap(), [7, 9]);
}

#[test]
fn binary_records_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.bin");
    let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&path, &bytes).unwrap();
    let cx = Context::local(2).unwrap();
    let records = cx.read_binary_records(&path, 12).unwrap();
    assert!(records.num_partitions() > 1);
    assert_eq!(records.collect().unwrap().concat(), bytes);
    let e = cx.read_binary_records(&path, 7).map(|_| ()).unwrap_err().to_string();
    assert!(e.contains("1200000 bytes are not a multiple of 7, the length of a record"), "{e}");
}
