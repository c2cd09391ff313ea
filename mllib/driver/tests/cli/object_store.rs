//! URLs wherever files are named. The loaders that these tests bring with them read from object stores, so the command does.

use crate::common::{Place, Ran, ran};
use crate::tables::{same_model, sparse};
use slackwater_tests::object_server::ObjectServer;

/// A folder, what serves it, and the command in an environment that knows it.
struct Served {
    place: Place,
    server: ObjectServer,
}

impl Served {
    fn new() -> Served {
        let place = Place::new();
        let server = ObjectServer::start(place.path(""));
        Served { place, server }
    }
    fn run(&self, arguments: &[&str]) -> Ran {
        let variables = self.server.s3().map(|(name, value)| (name.to_ascii_uppercase(), value));
        ran(self.place.command(arguments).envs(variables).output().unwrap())
    }
    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}\n{}", ran.stderr);
        ran.stdout
    }
    #[track_caller]
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
        assert!(!ran.stderr.contains("nobody may see"), "{}", ran.stderr);
        ran.stderr
    }
}

#[test]
fn the_same_rows_give_the_same_model_wherever_they_are() {
    let served = Served::new();
    let place = &served.place;
    place.write("rows.svm", sparse(20_000));
    let train = ["train", "logistic-regression"];
    served.ok(&[&train[..], &["--data", "rows.svm", "--partitions", "1", "--model", "disk.model"]].concat());
    for name in ["rows.svm", "rows.csv", "rows.parquet", "rows.arrow"] {
        if name != "rows.svm" {
            place.ok(&["convert", "rows.svm", name]);
        }
        for (at, url) in
            [name.to_string(), served.server.web(name), format!("s3://bucket/{name}")].iter().enumerate()
        {
            let model = format!("{name}.{at}.model");
            served.ok(&[&train[..], &["--data", url, "--partitions", "1", "--model", &model]].concat());
            same_model(place, "disk.model", &model);
        }
    }
    // Two processes, each of which reads its own part.
    served
        .ok(&[&train[..], &["--data", "rows.parquet", "--partitions", "3", "--model", "three.model"]]
            .concat());
    let web = served.server.web("rows.parquet");
    for (at, url) in [web.as_str(), "s3://bucket/rows.parquet"].iter().enumerate() {
        let model = format!("cluster.{at}.model");
        let data = ["--data", url, "--partitions", "3", "--model", &model];
        served.ok(&[&["cluster", "run", "-n", "2", "--"], &train[..], &data].concat());
        same_model(place, "three.model", &model);
    }
}

#[test]
fn every_command_that_reads_files_reads_urls() {
    let served = Served::new();
    let place = &served.place;
    place.write("rows.svm", sparse(500));
    place.write_parts("parts", [sparse(300), sparse(200)]);
    let (s3, web) = ("s3://bucket/rows.svm", served.server.web("rows.svm"));
    served.ok(&["train", "logistic-regression", "--data", s3, "--model", "m", "--test", &web]);
    for (command, at) in [(&["predict", "--model", "m", "--data"][..], "--out"), (&["convert"], "")] {
        let mut outs = vec![];
        for (i, data) in ["rows.svm", s3, &web].into_iter().enumerate() {
            let out = format!("{}{i}.csv", command[0]);
            let to: &[&str] = if at.is_empty() { &[&out] } else { &[at, &out] };
            served.ok(&[command, &[data], to].concat());
            outs.push(place.read(&out));
        }
        assert!(outs[0] == outs[1] && outs[0] == outs[2], "{command:?}");
    }
    let evaluated = |data: &str| served.ok(&["evaluate", "--model", "m", "--data", data]);
    assert_eq!(evaluated("rows.svm"), evaluated(s3));
    for url in [s3, &web, "s3://bucket/parts", "s3://bucket/parts/part-*", "s3://bucket/rows.*"] {
        let shown = served.ok(&["inspect", url]);
        assert!(shown.contains("rows     500 in"), "{url}: {shown}");
    }
    served.ok(&["explain", "--data", s3]);
}

#[test]
fn nothing_is_written_to_a_url() {
    let served = Served::new();
    served.place.write("rows.svm", sparse(50));
    served.ok(&["train", "logistic-regression", "--data", "rows.svm", "--model", "m"]);
    let before = served.place.names();
    for arguments in [
        &["convert", "rows.svm", "s3://bucket/out.csv"][..],
        &["convert", "rows.svm", "s3://bucket/out/", "--to", "csv"],
        &["convert", "rows.svm", "http://host/out.csv"],
        &["train", "logistic-regression", "--data", "rows.svm", "--model", "s3://bucket/m"],
        &["predict", "--model", "m", "--data", "rows.svm", "--out", "s3://bucket/p.csv"],
        &["train", "logistic-regression", "--data", "rows.svm", "--on-bad", "quarantine=s3://bucket/bad"],
    ] {
        let said = served.fails(2, arguments);
        assert!(said.contains("is a URL, and nothing is written to object stores"), "{said}");
    }
    assert_eq!(served.place.names(), before);
}

#[test]
fn settings_of_stores_are_checked() {
    let served = Served::new();
    served.place.write("rows.svm", sparse(50));
    let with = |store: &str| served.run(&["inspect", "s3://bucket/rows.svm", "--store", store]);
    let refused = |store: &str, code: i32, said: &str| {
        let ran = with(store);
        assert_eq!(ran.code, Some(code), "{store}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{store}: {}", ran.stderr);
    };
    assert_eq!(with("region=eu-west-1 retries=2 deadline=9").code, Some(0));
    refused("regoin=x", 2, "no object store has a setting `regoin`");
    refused("region", 2, "`region` is not of the form KEY=VALUE");
    refused("deadline=soon", 2, "`soon` is no value of deadline");
    refused("aws_secret_access_key=x", 2, "hint: set AWS_SECRET_ACCESS_KEY in the environment");
    refused("access_key_id=AKIDWRONG", 3, "access is denied: 403 Forbidden (InvalidAccessKeyId");
    refused("endpoint=http://127.0.0.1:1 retries=0", 4, "no connection: Connection refused");
    let said = served.fails(3, &["inspect", "s3://bucket/no.svm"]);
    assert!(said.contains("cannot open s3://bucket/no.svm: there is no such file (404)"), "{said}");
    let said = served.fails(3, &["inspect", "hdfs://node/no.svm"]);
    assert!(said.contains("has a scheme that is not known"), "{said}");
}
