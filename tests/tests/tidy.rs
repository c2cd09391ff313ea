//! Checks of the tree itself: layers, sizes, unfinished work, unsafe code.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

/// All files below a folder with the given extension, as (path from the root, content).
fn files(dir: &str, extension: &str) -> Vec<(String, String)> {
    let (mut found, mut todo) = (vec![], vec![root().join(dir)]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    todo.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                let from_root = path.strip_prefix(root()).expect("below the root").display().to_string();
                found.push((from_root, fs::read_to_string(&path).expect("text")));
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} files in {dir}");
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    files("", "rs").into_iter().filter(|(p, _)| !p.ends_with("tests/tidy.rs")).collect()
}

/// The part of a file that is not tests and not comments.
fn code(content: &str) -> String {
    let end = content.find("#[cfg(test)]\nmod ").unwrap_or(content.len());
    content[..end].lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn layers_hold() {
    // (folder, what its sources must not name, files that may)
    let rules: &[(&str, &[&str], &[&str])] = &[
        (
            "dataflow/src",
            &["slackwater_loaders", "slackwater_mllib", "slackwater_paramstore", "slackwater::"],
            &[],
        ),
        ("loaders/src", &["slackwater_mllib", "slackwater_paramstore", "slackwater::"], &[]),
        ("paramstore/src", &["slackwater_mllib", "slackwater_loaders", "slackwater::"], &[]),
        ("mllib/src", &["slackwater_loaders", "slackwater::"], &[]),
    ];
    let driver_only = ["clap", "indicatif", "anyhow", "comfy_table"].map(|c| format!("{c}::"));
    let environment = ["env::var", "env::args", "env::vars"];
    for (folder, forbidden, excepted) in rules {
        for (path, content) in files(folder, "rs") {
            let code = code(&content);
            for word in forbidden.iter().map(|w| w.to_string()).chain(driver_only.clone()) {
                assert!(!code.contains(&word) || excepted.contains(&path.as_str()), "{path} names {word}");
            }
            for word in environment {
                // The second is of tests alone.
                let may = ["dataflow/src/context/from_env.rs", "loaders/src/format/parquet/compare.rs"];
                assert!(!code.contains(word) || may.contains(&path.as_str()), "{path} reads the environment");
            }
            assert!(!code.contains("differential_dataflow"), "{path} uses differential");
        }
    }
}

#[test]
fn files_and_lines_are_short() {
    for (path, content) in sources() {
        let lines = content.lines().count();
        assert!(lines <= 800, "{path} has {lines} lines");
    }
}

#[test]
fn nothing_unfinished() {
    for (path, content) in sources() {
        for mark in ["todo!(", "unimplemented!(", "FIXME", "XXX", "dbg!(", "#[ignore"] {
            assert!(!content.contains(mark), "{path} contains {mark}");
        }
    }
}

#[test]
fn no_unsafe() {
    for (path, content) in sources() {
        let uses = code(&content).contains("unsafe ");
        assert!(!uses, "{path} has unsafe code");
    }
}

/// What is not inlined there is compiled for the least processor, and nothing says so.
#[test]
fn loops_for_wide_vectors_are_inlined() {
    let calls = |code: &str| {
        let calls: Vec<String> =
            code.split("widest(").skip(1).map(|c| c.split_whitespace().collect()).collect();
        calls
            .into_iter()
            .filter(|c| c.starts_with("||") || c.starts_with("move||") || c.starts_with("#["))
            .collect()
    };
    let mut found = 0;
    for (path, content) in files("mllib/src", "rs") {
        let calls: Vec<String> = calls(&code(&content));
        found += calls.len();
        let other = calls.iter().find(|c| !c.starts_with("#[inline(always)]"));
        assert!(other.is_none(), "{path}: a closure for `widest` without #[inline(always)]");
    }
    assert!(found > 20, "{found}");
}

#[test]
fn modules_say_what_they_are() {
    for folder in ["dataflow/src", "loaders/src", "paramstore/src", "mllib"] {
        for (path, content) in files(folder, "rs") {
            assert!(content.starts_with("//!"), "{path} does not begin with its documentation");
        }
    }
}

#[test]
fn invariants_name_tests_that_exist() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut tests = String::new();
    sources().into_iter().for_each(|(_, content)| tests.push_str(&content));
    let invariants =
        page.split("## Invariants").nth(1).expect("the section").split("\n## ").next().expect("its end");
    let mut count = 0;
    for item in invariants.split("\n").filter(|l| l.starts_with(|c: char| c.is_ascii_digit())) {
        count += 1;
        assert!(item.starts_with(&format!("{count}.")), "invariants are numbered: {item}");
    }
    assert!(count >= 10);
    for quoted in invariants.split('`').skip(1).step_by(2).filter(|q| q.contains(".rs")) {
        let (file, names) = quoted.split_once(": ").unwrap_or((quoted, ""));
        let known = sources().iter().any(|(p, _)| p.ends_with(file)) || file.ends_with("tidy.rs");
        assert!(known, "{file} is named but does not exist");
        for name in names.split(", ").filter(|n| !n.is_empty()) {
            let own = include_str!("tidy.rs");
            assert!(
                tests.contains(&format!("fn {name}")) || own.contains(&format!("fn {name}")),
                "no test {name}"
            );
        }
    }
}

#[test]
fn dependencies_are_pinned_where_it_matters() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    for line in ["timely = { version = \"=0.32.0\"", "differential-dataflow = { version = \"=0.26.0\""] {
        assert!(manifest.contains(line), "{line}");
    }
    for (path, content) in
        files("", "toml").iter().filter(|(p, _)| p.ends_with("Cargo.toml") && p != "Cargo.toml")
    {
        let own = content.lines().find(|l| l.starts_with("version ="));
        assert!(own.is_none(), "{path} has a version of its own: {own:?}");
        assert!(
            content.contains("[lints]\nworkspace = true"),
            "{path} does not follow the workspace's lints"
        );
    }
}
