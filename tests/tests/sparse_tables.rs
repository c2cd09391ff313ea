//! Tables of sparse rows are as dense ones: the same sums in every mode, the same bits under BSP, the same snapshots.

use slackwater_dataflow::hash::hash_u64;
use slackwater_dataflow::{Context, rng};
use slackwater_paramstore::{
    Consistency, EpochsExt, MapWithExt, Rule, Snapshots, Table, TableExt, TableSpec,
};
use slackwater_tests::{cluster, contexts};
use std::path::Path;

const MODES: [Consistency; 6] = [
    Consistency::Bsp,
    Consistency::Ssp(0),
    Consistency::Ssp(3),
    Consistency::Essp(2),
    Consistency::EsspWithin(0, 6),
    Consistency::Async,
];

const ROWS: usize = 30;
const COLUMNS: usize = 50;

fn spec(kind: &str) -> TableSpec<i64> {
    match kind {
        "dense" => TableSpec::dense(ROWS, COLUMNS),
        "sparse" => TableSpec::sparse(ROWS, COLUMNS),
        _ => TableSpec::sparse_by_count(ROWS, COLUMNS),
    }
}

/// Moves a token of every record from topic to topic, as samplers do: most values are 0 at the end, some are on the way.
fn wander(cx: &Context, kind: &str, mode: Consistency) -> Table<i64> {
    let table = cx.table("wander", spec(kind).consistency(mode)).unwrap();
    let by_count = kind == "sparse by count";
    let training = cx.range(0..900, 5).epochs(4).batch(40).update(&table, move |batch, t, clock| {
        let mut entries = vec![];
        for n in batch {
            let row = (n % 29) as usize;
            let topic = |epoch: u64| (rng::below(&mut rng::stream(*n, epoch), COLUMNS as u64 / 2)) as usize;
            if clock.epoch() > 0 {
                t.inc(row, topic(clock.epoch() - 1), -1);
            }
            t.read_entries(row, &mut entries);
            let before = t.get(row, topic(clock.epoch()));
            t.inc_batch(row, [(topic(clock.epoch()), 1)]);
            t.inc_dense(row, COLUMNS - 2, &[1, 1]);
            if mode == Consistency::Bsp {
                // Nobody else changes what is read.
                let now = t.row(row);
                t.read_entries(row, &mut entries);
                let values: Vec<(u32, i64)> =
                    (0..).zip(now.iter().copied()).filter(|(_, v)| *v != 0).collect();
                let mut sorted = entries.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, values);
                assert_eq!(now[topic(clock.epoch())], before + 1);
            }
            let is_sorted = match by_count {
                true => entries.is_sorted_by_key(|(column, value)| (-value, *column)),
                false => entries.is_sorted_by_key(|(column, _)| *column),
            };
            assert!(is_sorted && entries.iter().all(|(_, value)| *value != 0), "{entries:?}");
        }
        t.inc_rows(ROWS - 1, &[1; COLUMNS]);
    });
    training.run().unwrap();
    table
}

fn wanted() -> Vec<i64> {
    let mut values = vec![0; ROWS * COLUMNS];
    for n in 0..900 {
        let row = (n % 29) as usize * COLUMNS;
        values[row + rng::below(&mut rng::stream(n, 3), COLUMNS as u64 / 2) as usize] += 1;
        (1..3).for_each(|last| values[row + COLUMNS - last] += 4);
    }
    // Five partitions of 180 records are five clocks of 36.
    values[(ROWS - 1) * COLUMNS..].fill(4 * 5 * 5);
    values
}

#[test]
fn sums_are_those_of_dense_rows_in_every_mode() {
    let wanted = wanted();
    for (i, cx) in contexts().iter().enumerate() {
        for mode in MODES {
            for kind in ["dense", "sparse", "sparse by count"] {
                let table = wander(cx, kind, mode);
                assert_eq!(*table.values(), wanted, "{kind}, {mode}, context {i}");
                assert_eq!(table.is_sparse(), kind != "dense");
                let row = table.entries(3);
                assert_eq!(
                    row.iter().map(|(_, n)| n).sum::<i64>(),
                    wanted[3 * COLUMNS..][..COLUMNS].iter().sum::<i64>()
                );
                if kind == "sparse by count" {
                    assert!(row.is_sorted_by_key(|(column, value)| (-value, *column)), "{row:?}");
                    assert_eq!(row[0], (COLUMNS as u32 - 2, 124));
                }
                let whole = cx.range(0..ROWS as u64, 3).map_with(&table, |row, t| {
                    let entries: i64 = t.entries(row as usize).iter().map(|(_, value)| value).sum();
                    (t.row(row as usize).iter().sum::<i64>() - entries, t.get(row as usize, 7))
                });
                let sevens: Vec<(i64, i64)> = (0..ROWS).map(|r| (0, wanted[r * COLUMNS + 7])).collect();
                assert_eq!(whole.collect().unwrap(), sevens);
            }
        }
    }
}

/// Real numbers, whose sums depend on the order; some come back to zero. How many there are, and a hash of their bits.
fn spread(cx: &Context, dir: Option<&Path>, epochs: u64, resume: bool) -> (usize, u64) {
    let table = cx.table("spread", TableSpec::<f64>::sparse(1000, 4_000_000)).unwrap();
    let training = cx.range(0..3000, 6).epochs(epochs).batch(100).update(&table, |batch, t, clock| {
        let mut random = clock.rng();
        for n in batch {
            let mut cell = || (rng::below(&mut random, 1000) as usize, 7 * (*n as usize % 500));
            for (row, column) in [cell(), cell()] {
                let by = 0.1 * (1.0 + *n as f64);
                t.inc(row, column, by - 0.25 * t.get(row, column));
            }
            t.inc(0, 1, 0.1);
            t.inc(0, 1, -0.1);
        }
    });
    match dir {
        Some(dir) => training.snapshots(Snapshots::new(dir).resume(resume)).run().unwrap(),
        None => training.run().unwrap(),
    };
    let bits = |row: usize| table.entries(row).into_iter().map(|(column, value)| (column, value.to_bits()));
    let all: Vec<(u32, u64)> = (0..1000).flat_map(bits).collect();
    assert!(all.len() > 5000 && !table.entries(0).contains(&(1, 0.0)), "{}", all.len());
    let hash = all.iter().fold(0, |hash, (column, bits)| hash_u64(hash ^ bits ^ u64::from(*column) << 7));
    (all.len(), hash)
}

#[test]
fn bits_are_the_same_for_any_number_of_workers_and_in_pieces() {
    let wanted = spread(&contexts()[0], None, 4, false);
    for cx in contexts() {
        assert_eq!(spread(cx, None, 4, false), wanted);
    }
    let want = format!("{wanted:?}\n");
    assert_eq!(cluster::run("spread", 2, 2), [want.clone(), want]);

    let dir = std::env::temp_dir().join(format!("slackwater-sparse-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    spread(&contexts()[1], Some(&dir), 2, false);
    assert_eq!(spread(&contexts()[0], Some(&dir), 4, true), wanted);
    // What is kept of a sparse table is for sparse tables.
    let dense = contexts()[0].table("spread", TableSpec::<f64>::dense(10, 10)).unwrap();
    let other = contexts()[0].range(0..3000, 6).epochs(4).batch(100).update(&dense, |_, _, _| ());
    let error = other.snapshots(Snapshots::new(&dir).resume(true)).run().unwrap_err();
    assert!(error.to_string().contains("of another training"), "{error}");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    assert_eq!(task, "spread");
    cluster::answer(&format!("{:?}\n", spread(&Context::from_env().unwrap(), None, 4, false)));
}

#[test]
fn they_are_filled_and_refused_as_others() {
    let cx = &contexts()[1];
    let rule = Rule::Momentum { momentum: 0.9 };
    let e = cx.table("ruled", TableSpec::<f32>::sparse(1, 1).rule(rule)).err().unwrap();
    assert!(e.to_string().contains("dense rows") && e.exit_code() == 2, "{e}");
    let init = |r: usize, c: usize| if r == c { r as i64 } else { 0 };
    let table = cx.table("filled", TableSpec::<i64>::sparse_by_count(4, 4).init(init)).unwrap();
    assert_eq!([table.entries(0), table.entries(3)], [vec![], vec![(3, 3)]]);
    table.fill(&cx.parallelize(vec![(3, vec![1, 0, 5, 1])], 1)).unwrap();
    assert_eq!((table.entries(3), table.get(3, 0)), (vec![(2, 5), (0, 1), (3, 1)], 1));
    let rows = table.to_dataset(cx, 2).collect().unwrap();
    assert_eq!(rows[3], (3, vec![1, 0, 5, 1]));
    table.put((0..16).collect()).unwrap();
    assert_eq!((table.row(1), table.entries(0)[0]), (vec![4, 5, 6, 7], (3, 3)));
    assert!(table.put(vec![0; 3]).is_err());
}
