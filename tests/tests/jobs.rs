//! Jobs that are cancelled, that time out, that meet bad records; and what they leave behind.

use slackwater_dataflow::{BadRecord, Config, Context, ErrorKind, OnBad};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

fn cx(workers: usize) -> Context {
    Context::local(workers).unwrap()
}

#[test]
fn cancelling_and_timeouts_leave_the_context_usable() {
    let cx = cx(2);
    let slow = |cx: &Context| {
        cx.range(0..u64::MAX, 4).map(|x| {
            std::thread::sleep(Duration::from_micros(10));
            x
        })
    };
    let other = cx.clone();
    let stop = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        other.cancel();
    });
    let start = Instant::now();
    let error = slow(&cx).count().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Cancelled), "{error:?}");
    assert_eq!(error.exit_code(), 130);
    assert!(start.elapsed() < Duration::from_secs(5));
    stop.join().unwrap();
    assert_eq!(cx.range(0..10, 2).count().unwrap(), 10);
    let limited = Context::new(Config {
        workers: 2,
        job_timeout: Some(Duration::from_millis(50)),
        ..Config::default()
    })
    .unwrap();
    let error = slow(&limited).count().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout { .. }), "{error:?}");
    assert_eq!(limited.range(0..10, 2).count().unwrap(), 10);
}

#[test]
fn bad_records_follow_the_policy() {
    let parse = |x: u64| {
        if x % 10 == 3 { Err(BadRecord::at("numbers", x, 1, "ends in 3").bytes(b"3")) } else { Ok(x) }
    };
    let dir = tempfile::tempdir().unwrap();
    let with = |on_bad: OnBad| Context::new(Config { workers: 2, on_bad, ..Config::default() }).unwrap();
    let error = with(OnBad::Fail).range(0..100, 4).try_map(parse).count().unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit_code()), ("numbers:3:1: ends in 3\n  | 3", 3));
    let cx = with(OnBad::Skip);
    let good = cx.range(0..100, 4).try_map(parse);
    assert_eq!((good.count().unwrap(), good.count().unwrap()), (90, 90));
    assert_eq!(cx.bad_records().0, 10, "each partition counts once");
    assert_eq!(cx.bad_records().1[0].line, 3);
    let cx = with(OnBad::Quarantine(dir.path().to_path_buf()));
    assert_eq!(cx.range(0..100, 4).try_map(parse).count().unwrap(), 90);
    let lines: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .flat_map(|f| std::fs::read_to_string(f).unwrap().lines().map(String::from).collect::<Vec<_>>())
        .collect();
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().any(|l| l.contains("\"line\":3,")));
    assert!(lines.iter().all(|l| l.contains("ends in 3")), "{lines:?}");
}

#[test]
fn memory_is_given_back() {
    let cx = cx(2);
    let flag = Arc::new(AtomicBool::new(false));
    for round in 0..3 {
        let data = cx.range(0..50_000, 4).map(|x| (x % 1000, x));
        data.reduce_by_key(|a, b| *a += b).count().unwrap();
        data.group_by_key().count().unwrap();
        let fail = flag.clone();
        flag.store(true, SeqCst);
        let broken = data.map(move |x| if x.1 == 49_999 && fail.load(SeqCst) { panic!("no") } else { x });
        broken.group_by_key().count().unwrap_err();
        drop((data, broken));
        let deadline = Instant::now() + Duration::from_secs(3);
        while cx.memory().used() > 0 && Instant::now() < deadline {
            cx.range(0..1, 1).count().unwrap();
        }
        assert_eq!(cx.memory().used(), 0, "round {round}");
    }
}
