//! Where the value of each option comes from.

use super::{Resolved, chain, commands};
use crate::args::Cli;
use clap::parser::ValueSource;
use clap::{Arg, CommandFactory};
use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// This variable.
    Environment(String),
    /// This file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// An option with its value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its long name.
    pub name: String,
    /// The value as text; nothing if the program decides when it runs.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// The options of a command line: those of all commands if `globals`, and otherwise those of its command too.
pub fn settings(resolved: &Resolved, globals_only: bool) -> Vec<Setting> {
    let (names, leaf) = chain(&resolved.matches);
    let mut settings = vec![];
    // Changing a default has moved the option to the end of its command: the order is that of the unchanged parser.
    let unchanged = Cli::command();
    for command in commands(&unchanged, &names) {
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let hidden = ["help", "version", "config"].contains(&id);
            let Some(name) = arg.get_long().filter(|_| !hidden && (arg.is_global_set() || !globals_only))
            else {
                continue;
            };
            let raw = leaf.try_get_raw(id).ok().flatten();
            let words: Vec<String> =
                raw.into_iter().flatten().map(|w| w.to_string_lossy().into_owned()).collect();
            settings.push(Setting {
                name: name.to_string(),
                value: (!words.is_empty()).then(|| words.join(" ")),
                origin: origin(resolved, leaf, arg),
            });
        }
    }
    settings
}

fn origin(resolved: &Resolved, leaf: &clap::ArgMatches, arg: &Arg) -> Origin {
    let id = arg.get_id().as_str();
    let source = leaf.try_contains_id(id).ok().and_then(|_| leaf.value_source(id));
    match source {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => {
            Origin::Environment(arg.get_env().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default())
        }
        _ if resolved.from_file.contains(id) => {
            Origin::File(resolved.cli.globals.config.clone().unwrap_or_default())
        }
        _ => Origin::Default,
    }
}
