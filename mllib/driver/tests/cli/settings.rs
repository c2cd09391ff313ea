//! Flags, variables, a file, defaults: who prevails, and what is said of a file that is wrong.

use crate::common::{Place, ran};

const JOB: &str = "\
workers = 3
seed = 5
C = 3

[train]
split = [0.5, 0.5]
max_iter = 7

[train.svm]
loss = \"hinge\"
";

fn shown(place: &Place, variables: &[(&str, &str)], arguments: &[&str]) -> serde_json::Value {
    let mut command = place.command(&[&["config", "show", "--origin", "--json"], arguments].concat());
    let done = ran(command.envs(variables.iter().copied()).output().unwrap());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

#[test]
fn flags_then_variables_then_the_file_then_defaults() {
    let place = Place::new();
    place.write("job.toml", JOB);
    let variables =
        [("SLACKWATER_SEED", "6"), ("SLACKWATER_MEMORY", "64MiB"), ("SLACKWATER_CONFIG", "job.toml")];
    let all = shown(&place, &variables, &["--memory", "32MiB"]);
    let is = |name: &str, value: &str, origin: &str| {
        assert_eq!(all[name], serde_json::json!({"value": value, "origin": origin}), "{name}");
    };
    is("memory", "32MiB", "flag");
    is("seed", "6", "environment SLACKWATER_SEED");
    is("workers", "3", "file job.toml");
    is("progress", "auto", "default");
    is("partitions", "8", "default");
}

#[test]
fn a_file_speaks_to_commands() {
    let place = Place::new();
    place.write("job.toml", JOB);
    let of = |algorithm: &str, more: &[&str]| {
        shown(&place, &[], &[&["--config", "job.toml", "--", "train", algorithm], more].concat())
    };
    let svm = of("svm", &[]);
    assert_eq!(svm["loss"]["value"], "hinge");
    assert_eq!(svm["iterations"], serde_json::json!({"value": "7", "origin": "file job.toml"}));
    assert_eq!(svm["split"]["value"], "0.5 0.5");
    assert_eq!(svm["C"]["value"], "3");
    assert_eq!(of("svm", &["--C", "2"])["C"], serde_json::json!({"value": "2", "origin": "flag"}));
    assert!(
        of("svm", &["--reg", "2"])["C"]["value"].is_null(),
        "--reg excludes C, and prevails over the file"
    );
    assert!(of("linear-regression", &[]).get("loss").is_none());
    let done = place.json(&["train", "svm", "--config", "job.toml", "--model", "m"]);
    assert_eq!(
        (&done["parameters"]["loss"], &done["parameters"]["training"]["seed"]),
        (&"hinge".into(), &5.into())
    );
    assert_eq!(done["parameters"]["training"]["iterations_max"], 7);
    assert!(done["metrics"]["rows"].as_u64().unwrap() < 150, "the split of the file");
}

#[test]
fn a_file_can_give_what_is_required() {
    let place = Place::new();
    place.with_sample("rows.svm").ok(&["train", "svm", "--model", "m"]);
    place.write("job.toml", "[predict]\nmodel = \"m\"\ndata = [\"rows.svm\"]\nout = \"p.csv\"\nraw = true\n");
    place.ok(&["predict", "--config", "job.toml"]);
    assert!(place.read("p.csv").starts_with("prediction,score\n"));
    place.fails(2, &["predict"]);
    // Switches: false is as if nothing was said, and a choice can be taken back.
    place.write("no.toml", "intercept = true\noverwrite = false\n");
    let done = place.json(&["train", "svm", "--config", "no.toml", "--model", "n"]);
    assert_eq!(done["parameters"]["training"]["intercept"], true);
    let done = place.json(&["train", "svm", "--config", "no.toml", "--no-intercept", "--model", "o"]);
    assert_eq!(done["parameters"]["training"]["intercept"], false);
}

#[test]
fn a_wrong_file_is_refused() {
    let place = Place::new();
    for (content, words) in [
        ("workers = 2\niteratons = 3\n", "job.toml:2: the program has no option `iteratons`"),
        ("[trian]\nC = 1\n", "job.toml:1: the program has no command `trian`"),
        ("[predict]\nC = 1\n", "`predict` has no option `C`"),
        ("[train]\niterations = \"many\"\n", "job.toml:2: invalid value 'many' for '--iterations"),
        ("iterations = 0\n", "must be at least 1"),
        ("solver = \"fast\"\n", "newton"),
        ("overwrite = 3\n", "is `true` or `false`"),
        ("no-intercept = true\n", "write `intercept = false`"),
        ("config = \"other.toml\"\n", "no option `config`"),
        ("workers = \n", "job.toml"),
        ("memory = \"lots\"\n", "not a size"),
    ] {
        place.write("job.toml", content);
        let said = place.fails(2, &["train", "svm", "--config", "job.toml"]);
        assert!(said.contains(words), "{content:?}: {said}");
    }
    assert!(place.fails(3, &["train", "svm", "--config", "none.toml"]).contains("none.toml"));
    assert_eq!(place.names(), ["job.toml"]);
}

#[test]
fn variables_are_checked_too() {
    let place = Place::new();
    let done = ran(place.command(&["train", "svm"]).env("SLACKWATER_WORKERS", "many").output().unwrap());
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("workers"), "{}", done.stderr);
    assert!(place.fails(2, &["train", "svm", "--memory", "4KiB"]).contains("memory"));
    assert!(place.fails(2, &["train", "svm", "--split", "1"]).contains("split"));
    assert!(place.fails(2, &["train", "svm", "--C", "1", "--reg", "1"]).contains("cannot be used with"));
}

#[test]
fn names_of_other_tools() {
    let place = Place::new();
    for (alias, name, value) in [
        ("--maxIter", "iterations_max", serde_json::json!(9)),
        ("--max_iter", "iterations_max", serde_json::json!(9)),
        ("--tol", "tolerance", serde_json::json!(9.0)),
        ("--random_state", "seed", serde_json::json!(9)),
    ] {
        let done = place.json(&["train", "svm", alias, "9", "--model", "m", "--overwrite"]);
        assert_eq!(done["parameters"]["training"][name], value, "{alias}");
    }
    let done =
        place.json(&["train", "svm", "--regParam", "0.5", "--n_jobs", "1", "--model", "m", "--overwrite"]);
    assert_eq!(
        done["parameters"]["training"]["scaling"],
        serde_json::json!({"Mean": {"regularization": 0.5}})
    );
}

/// Where there is little memory, what was freed is given back soon; whoever says how soon prevails.
#[test]
fn little_memory_is_given_back_soon() {
    let place = Place::new();
    let delay = |limit: &str, variable: Option<&str>| {
        let program = place.command(&[]).get_program().to_owned();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("{limit} exec \"$0\" \"$@\"")]).arg(program).arg("--version");
        shell.env("MIMALLOC_VERBOSE", "1").env_remove("MIMALLOC_PURGE_DELAY");
        shell.envs(variable.map(|value| ("MIMALLOC_PURGE_DELAY", value)));
        let done = ran(shell.output().unwrap());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(done.stdout.starts_with("slackwater "), "{}", done.stdout);
        // Each program that the process is says it when it begins.
        let said =
            done.stderr.lines().rev().find_map(|line| line.trim().strip_prefix("option 'purge_delay': "));
        said.expect("the allocator tells its options").trim().to_string()
    };
    assert_eq!(delay("ulimit -v 1000000;", None), "10");
    assert_eq!(delay("ulimit -v 1000000;", Some("70")), "70");
    if slackwater_dataflow::Config::default().memory_budget_bytes > 1 << 30 {
        assert_eq!(delay("", None), "1000");
    }
}
