//! The files in `examples/deploy` use commands and options that exist: the parser reads every command line in them.

use crate::common::Place;
use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/deploy").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A shell's words, with `7` for what it would put in.
fn shell_words(line: &str) -> Vec<String> {
    let (mut line, mut plain) = (line.to_string(), String::new());
    while let Some(at) = line.find("$((") {
        let end = at + line[at..].find("))").unwrap() + 2;
        line.replace_range(at..end, "7");
    }
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '$' => {
                while rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_').is_some() {}
                plain.push('7');
            }
            '"' => {}
            c => plain.push(c),
        }
    }
    plain.split_whitespace().map(str::to_string).collect()
}

/// Command lines of a shell script, or of the scripts in a page.
fn in_shell(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().filter(|l| !l.trim_start().starts_with('#'));
    let mut found = vec![];
    for line in lines {
        let words = shell_words(line);
        let begins = words.first().is_some_and(|w| w == "slackwater" || w == "srun");
        let Some(at) = words.iter().position(|w| w == "slackwater").filter(|_| begins) else { continue };
        let ends = |w: &&String| ["&", "||", "|", ";"].contains(&w.as_str());
        found.push(words[at + 1..].iter().take_while(|w| !ends(w)).cloned().collect());
    }
    found
}

/// Command lines of a manifest.
fn in_manifest(text: &str) -> Vec<Vec<String>> {
    let list = |line: &str| {
        let list = line.trim().strip_prefix("command: [")?.strip_suffix(']')?;
        let words: Vec<String> = list.split(',').map(|w| w.trim().trim_matches('"').to_string()).collect();
        assert_eq!(words[0], "slackwater");
        Some(words[1..].to_vec())
    };
    text.lines().filter_map(list).collect()
}

#[test]
fn command_lines_are_understood() {
    let place = Place::new();
    for (name, lines, count) in [
        ("slurm.sbatch", in_shell(&read("slurm.sbatch")), 3),
        ("kubernetes.yaml", in_manifest(&read("kubernetes.yaml")), 2),
        ("README.md", in_shell(&read("README.md")), 7),
    ] {
        assert_eq!(lines.len(), count, "{name}: {lines:?}");
        for line in lines {
            // It parses the command line, and shows what it would mean. The command that a run is to run is one, too.
            let parse = |words: &[String]| {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let ran = place.run(&[&["config", "show", "--"], &words[..]].concat());
                assert_eq!(ran.code, Some(0), "{name}: {words:?}\n{}", ran.stderr);
            };
            parse(&line);
            if let Some(at) = line.iter().position(|w| w == "--") {
                parse(&line[at + 1..]);
            }
        }
    }
}

#[test]
fn scripts_are_scripts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/deploy/slurm.sbatch");
    let checked = std::process::Command::new("bash").arg("-n").arg(path).status();
    assert!(checked.is_ok_and(|s| s.success()));
}
