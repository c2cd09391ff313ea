//! What servers do to who reads from them: the right rows, or an error that says what happened, in time.

use crate::{PARTITIONS, Place, rows, table};
use slackwater_dataflow::{Context, Error, Result};
use slackwater_loaders::sink::Existing;
use slackwater_loaders::write::WriteOptions;
use slackwater_loaders::{Format, ReadTables, ResolveOptions, StoreOptions, TableOptions, resolve};
use slackwater_tests::object_server::{Act, Asked};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROWS: u64 = 40_000;
/// Longest wait for a byte.
const DEADLINE: Duration = Duration::from_millis(1500);
/// What a test may take that waits for it, on a busy machine.
const IN_TIME: Duration = Duration::from_secs(20);

fn options(place: &Place) -> ResolveOptions {
    let stores = StoreOptions { deadline: DEADLINE, ..place.options().stores };
    ResolveOptions { stores, ..ResolveOptions::default() }
}

/// Counts the rows of a file, where the server does as the script says.
fn read(url: &str, place: &Place, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Result<u64> {
    let start = Instant::now();
    place.server.script(script);
    let cx = Context::local(1)?;
    let rows = resolve(&[url], &options(place))
        .and_then(|files| cx.read_table_files(&files, &TableOptions::default(), PARTITIONS)?.count());
    place.server.script(|_| Act::Serve);
    assert!(start.elapsed() < IN_TIME, "{:?}: {rows:?}", start.elapsed());
    rows
}

fn place() -> Place {
    let place = Place::new();
    place.write("rows.svm", rows(ROWS));
    place
}

fn urls(place: &Place) -> [String; 2] {
    [place.server.web("rows.svm"), "s3://bucket/rows.svm".to_string()]
}

/// The act for the first few reads, and none for others.
fn first(times: u64, act: Act) -> impl Fn(&Asked) -> Act + Send + Sync + 'static {
    let count = AtomicU64::new(0);
    move |asked| match asked.is_read() && count.fetch_add(1, Ordering::SeqCst) < times {
        true => act.clone(),
        false => Act::Serve,
    }
}

/// The act for all reads, but not for looks.
fn always(act: Act) -> impl Fn(&Asked) -> Act + Send + Sync + 'static {
    move |asked| if asked.is_read() { act.clone() } else { Act::Serve }
}

fn fails(url: &str, place: &Place, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Error {
    let e = read(url, place, script).unwrap_err();
    let said = e.to_string();
    assert!(said.contains(url), "it names the file: {said}");
    assert!(!said.contains("secret"), "{said}");
    e
}

#[test]
fn what_passes_is_got_over() {
    let place = place();
    for url in urls(&place) {
        for (what, times, act) in [
            ("busy", 3, Act::Status(503)),
            ("broken", 2, Act::Status(500)),
            ("cut at once", 2, Act::Cut(0)),
            ("cut in the middle", 3, Act::Cut(100_000)),
            ("a short body", 3, Act::Short(1000)),
            ("stalls", 1, Act::Stall(50_000)),
        ] {
            assert_eq!(read(&url, &place, first(times, act)).unwrap(), ROWS, "{url}: {what}");
        }
        // Each connection breaks, but each brings something.
        assert_eq!(read(&url, &place, always(Act::Cut(70_000))).unwrap(), ROWS, "{url}: each is cut");
    }
}

#[test]
fn slow_is_not_broken() {
    let place = Place::new();
    place.write("rows.svm", rows(2000));
    let slow = || always(Act::Dribble(3000, Duration::from_millis(60)));
    for url in urls(&place) {
        let start = Instant::now();
        assert_eq!(read(&url, &place, slow()).unwrap(), 2000, "{url}");
        assert!(start.elapsed() > Duration::from_millis(600), "it was slow: {:?}", start.elapsed());
    }
}

#[test]
fn what_stays_is_an_error_in_time() {
    // Each waits for the deadline: side by side.
    std::thread::scope(|all| {
        for which in [0, 1] {
            all.spawn(move || stays(which));
        }
    });
}

fn stays(which: usize) {
    let place = place();
    let url = &urls(&place)[which];
    for (act, said) in [
        (Act::Status(503), "the server answers 503 Service Unavailable (Scripted), after"),
        (Act::Cut(0), "the body ended after 0 of"),
        (Act::Stall(10), "not a byte came for 1.5s"),
        (Act::Stall(0), "not a byte came for 1.5s"),
        (Act::Short(300_000), "the body ended after"),
    ] {
        let e = fails(url, &place, always(act.clone()));
        assert!(e.to_string().contains(said), "{act:?}: {e}");
        assert!(e.to_string().contains("bytes "), "the range: {e}");
    }
}

/// Also not if its columns are read one by one to find the damage, and not for each of them after the other.
#[test]
fn a_broken_connection_is_no_damaged_file() {
    let place = place();
    let cx = Context::local(1).unwrap();
    let rows = table(&cx, &place.resolve(place.path("rows.svm").to_str().unwrap()).unwrap());
    for (name, format) in [("rows.parquet", Format::Parquet), ("rows.arrow", Format::Arrow)] {
        let write = WriteOptions::default();
        rows.save_file(place.path(name), Existing::Refuse, format, &write, &mut |_| Ok(())).unwrap();
        let mut options = options(&place);
        options.stores.retries = 0;
        for url in [place.server.web(name), format!("s3://bucket/{name}")] {
            let far = table(&cx, &resolve(&[&url], &options).unwrap());
            place.server.script(|_| Act::Status(503));
            let e = far.collect().unwrap_err().to_string();
            place.server.script(|_| Act::Serve);
            assert!(e.contains("the server answers 503") && !e.contains("damage"), "{url}: {e}");
            assert_eq!(far.collect().unwrap().num_rows() as u64, ROWS, "{url}: it has not changed");
        }
    }
}

#[test]
fn what_is_not_there_or_not_allowed_is_said() {
    let place = place();
    for (url, status, said) in [
        (place.server.web("rows.svm"), 404, "there is no such file (404)"),
        (place.server.web("rows.svm"), 403, "access is denied: 403 Forbidden (Scripted)"),
        (place.server.web("rows.svm"), 401, "access is denied: 401 Unauthorized (Scripted)"),
        ("s3://bucket/rows.svm".to_string(), 403, "access is denied: 403 Forbidden (Scripted)"),
        ("s3://bucket/rows.svm".to_string(), 301, "the server redirects without saying where"),
    ] {
        let e = fails(&url, &place, move |_| Act::Status(status));
        assert_eq!((e.exit_code(), e.is_retryable()), (3, false), "{e}");
        assert!(e.to_string().contains(said) && e.to_string().contains("\n  hint: "), "{e}");
    }
    // The wrong key, which is not repeated, nor what was signed.
    let mut wrong = options(&place);
    wrong.stores.settings.insert("aws_access_key_id".into(), "AKIDWRONG".into());
    let e = resolve(&["s3://bucket/rows.svm"], &wrong).unwrap_err();
    let said = "access is denied: 403 Forbidden (InvalidAccessKeyId: The key does not exist.)";
    assert!(e.to_string().contains(said), "{e}");
    assert!(!e.to_string().contains("what was sent"), "{e}");
}

#[test]
fn a_file_that_changes_is_an_error() {
    let place = place();
    let path = place.path("rows.svm");
    for url in urls(&place) {
        let files = resolve(&[&url], &options(&place)).unwrap();
        let cx = Context::local(1).unwrap();
        let data = table(&cx, &files);
        assert_eq!(data.count().unwrap(), ROWS);
        place.write("rows.svm", rows(ROWS));
        let e = data.count().unwrap_err();
        assert!(e.to_string().contains("the file changed while it was read"), "{e}");
        // Also where the server does not heed conditions.
        place.server.script(|_| Act::Unconditional);
        let e = data.count().unwrap_err();
        assert!(e.to_string().contains("the file changed while it was read"), "{e}");
        place.server.script(|_| Act::Serve);
        assert!(path.exists());
    }
}

#[test]
fn servers_differ() {
    let place = place();
    let [web, s3] = urls(&place);
    // Neither tags, nor tags that are for whole files alone, are in the way.
    for tag in [None, Some("W/\"1\"".to_string())] {
        assert_eq!(read(&web, &place, move |_| Act::Tagged(tag.clone())).unwrap(), ROWS);
    }
    let asked = place.server.asked();
    assert!(asked.iter().any(|a| a.header("if-unmodified-since").is_some()), "the time stands in for a tag");
    for url in [&web, &s3] {
        let e = fails(url, &place, |_| Act::Whole);
        assert!(e.to_string().contains("does not give parts of files\n  hint: download the file"), "{e}");
    }
    let to = web.clone();
    let moved = place.server.web("elsewhere");
    let redirect = move |asked: &Asked| match asked.path.ends_with("elsewhere") {
        true => Act::Redirect(to.clone()),
        false => Act::Serve,
    };
    assert_eq!(read(&moved, &place, redirect).unwrap(), ROWS);
    place.write("empty.svm", "");
    for url in [place.server.web("empty.svm"), "s3://bucket/empty.svm".to_string()] {
        assert_eq!(resolve(&[&url], &options(&place)).unwrap()[0].bytes(), 0, "{url}");
    }
}

#[test]
fn no_server_is_an_error_in_time() {
    let place = place();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = Instant::now();
    let e = resolve(&[format!("http://127.0.0.1:{port}/a.svm")], &options(&place)).unwrap_err();
    assert!(e.to_string().contains("no connection: Connection refused"), "{e}");
    assert!(e.to_string().contains("hint: check the address of the server"), "{e}");
    assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
    let e = resolve(&["http://me:word@127.0.0.1/a.svm"], &options(&place)).unwrap_err();
    assert!(!e.to_string().contains("word@"), "{e}");
}
