//! Increments that wait before they are sent: none is lost, no read is older than it may be, and fewer bytes travel.

use slackwater_dataflow::Context;
use slackwater_paramstore::{
    Consistency, EpochsExt, Report, Rule, Sending, Snapshots, Table, TableExt, TableSpec,
};
use slackwater_tests::{cluster, contexts};
use std::time::Duration;

const ROWS: usize = 20;
const COLUMNS: usize = 4;

/// Adds ones from every record, to single values and to rows.
fn count(cx: &Context, name: &str, spec: TableSpec<i64>) -> (Table<i64>, Report) {
    let table = cx.table(name, spec).unwrap();
    let training = cx.range(0..4000, 4).epochs(3).batch(25).update(&table, |batch, t, _| {
        for n in batch {
            let row = (n % ROWS as u64) as usize;
            let before = t.get(row, 1);
            t.inc(row, 1, 1);
            t.inc_dense(row, 0, &[1, 0, 0, 2]);
            // What a task has written it reads.
            assert!(t.get(row, 1) > before);
        }
    });
    let report = training.run().unwrap();
    (table, report)
}

fn counts() -> Vec<i64> {
    [600, 600, 0, 1200].repeat(ROWS)
}

const SENDING: [Sending; 5] = [
    Sending::hold(1),
    Sending::hold(3),
    Sending::hold(3).bandwidth(200_000.0),
    Sending::hold(3).bandwidth(200_000.0).oldest_first(),
    Sending::hold(3).significance(0.01),
];

fn in_every_mode(cx: &Context) {
    for mode in [Consistency::Ssp(3), Consistency::Essp(8), Consistency::SspWithin(3, 5), Consistency::Async]
    {
        for sending in SENDING {
            for spec in [TableSpec::dense(ROWS, COLUMNS), TableSpec::sparse(ROWS, COLUMNS)] {
                let (table, report) = count(cx, "counts", spec.consistency(mode).sending(sending));
                assert_eq!(*table.values(), counts(), "{mode} {sending:?}");
                assert!(report.staleness_max() <= mode.staleness(), "{mode} {sending:?}");
                assert_eq!((report.clocks, table.sending()), (120, sending));
            }
        }
    }
}

#[test]
fn nothing_is_lost_and_no_read_is_too_old() {
    contexts().iter().for_each(in_every_mode);
    assert_eq!(cluster::run("count", 2, 2), ["done\n", "done\n"]);
}

#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    let cx = Context::from_env().unwrap();
    assert_eq!(task, "count");
    in_every_mode(&cx);
    cluster::answer("done\n");
}

fn bytes(report: &Report) -> u64 {
    report.workers.iter().map(|w| w.sent_bytes).sum()
}

#[test]
fn what_waits_leaves_together() {
    let cx = &contexts()[0];
    let spec = || TableSpec::dense(ROWS, COLUMNS).consistency(Consistency::Essp(8));
    let (_, at_once) = count(cx, "together", spec());
    let (_, held) = count(cx, "together", spec().sending(Sending::hold(3)));
    // Four clocks at a time, and of several partitions together.
    assert!(bytes(&held) * 4 < bytes(&at_once), "{} {}", bytes(&held), bytes(&at_once));
    // With as much bandwidth as it likes it sends everything at the end of its clock.
    let (_, all) = count(cx, "together", spec().sending(Sending::hold(3).bandwidth(1e12)));
    assert!(bytes(&all) > 2 * bytes(&held), "{} {}", bytes(&all), bytes(&held));
}

/// A table of which one value changes by half, the others by a thousandth.
fn drift(cx: &Context, sending: Sending) -> Report {
    let spec = TableSpec::<f64>::dense(100, 1).init(|_, _| 1.0).consistency(Consistency::Essp(20));
    let table = cx.table("drift", spec.sending(sending)).unwrap();
    let training = cx.range(0..160, 1).epochs(1).batch(1).update(&table, |_, t, _| {
        (0..100).for_each(|row| t.inc(row, 0, if row == 7 { 0.5 * t.get(7, 0) } else { 1e-3 }));
    });
    let report = training.run().unwrap();
    let wanted = |row: usize| if row == 7 { 1.5f64.powi(160) } else { 1.16 };
    (0..100).for_each(|row| assert!((table.get(row, 0) / wanted(row) - 1.0).abs() < 1e-9));
    report
}

#[test]
fn what_matters_leaves_at_once() {
    let cx = &contexts()[0];
    let [at_once, held, some] = [Sending::at_once(), Sending::hold(15), Sending::hold(15).significance(0.1)]
        .map(|sending| bytes(&drift(cx, sending)));
    // All of them sixteen clocks at a time; besides one value a clock, in a block of its own.
    let (block, value) = (64 + 12, 12);
    assert_eq!(at_once, 160 * (block + 16 + 100 * value));
    assert_eq!(held, 10 * (block + 16 + 100 * value));
    // Those of the last clock of sixteen leave with all others.
    assert_eq!(some, held + 150 * (block + value));
}

#[test]
fn snapshots_have_what_waits() {
    let dir = std::env::temp_dir().join(format!("slackwater-sending-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let cx = &contexts()[1];
    let train = |epochs, resume| {
        let spec = TableSpec::<i64>::dense(1, 1).consistency(Consistency::Ssp(40));
        let table = cx.table("kept", spec.sending(Sending::hold(40))).unwrap();
        let training = cx.range(0..100, 2).epochs(epochs).batch(10).update(&table, |batch, t, _| {
            t.inc(0, 0, batch.len() as i64);
            std::thread::sleep(Duration::from_micros(100));
        });
        training.snapshots(Snapshots::new(&dir).resume(resume)).run().unwrap();
        table.get(0, 0)
    };
    assert_eq!(train(3, false), 300);
    // It goes on from what was written after the third epoch.
    assert_eq!(train(5, true), 500);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn what_cannot_wait_is_refused() {
    let cx = &contexts()[0];
    let ruled = TableSpec::<f64>::dense(1, 1).rule(Rule::Momentum { momentum: 0.9 });
    let spec = || TableSpec::<f64>::dense(1, 1).consistency(Consistency::Ssp(3));
    for (spec, told) in [
        (TableSpec::<f64>::dense(1, 1).sending(Sending::hold(1)), "under bsp"),
        (ruled.consistency(Consistency::Ssp(3)).sending(Sending::hold(1)), "update rule"),
        (spec().sending(Sending::hold(4)), "1 to 3 clocks under ssp:3, not 4"),
        (spec().sending(Sending::at_once().bandwidth(1.0)), "not 0"),
        (spec().sending(Sending::hold(2).bandwidth(f64::NAN)), "bandwidth"),
        (spec().sending(Sending::hold(2).significance(-1.0)), "significance"),
    ] {
        let e = cx.table("refused", spec).err().unwrap();
        assert!(e.exit_code() == 2 && e.to_string().contains(told), "{e}");
    }
}
