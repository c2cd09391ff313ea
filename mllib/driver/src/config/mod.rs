//! Where options come from: flags, then `SLACKWATER_*` variables, then a file given by `--config`, then defaults.
//!
//! The file's values become the defaults of the parser before the command line is parsed, so they are read by the same
//! value parsers, and flags and variables prevail without a rule of their own. What remains to be done here is to know
//! which command is meant, and to tell a default that the file gave from one that the program has.

mod file;
mod origin;

pub use origin::{Origin, Setting, settings};

use crate::args::Cli;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use file::{ConfigFile, Entry};
use slackwater_dataflow::Error;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

/// The variable that stands for `--config`.
const CONFIG_VARIABLE: &str = "SLACKWATER_CONFIG";

/// Why there is nothing to run.
pub enum Refusal {
    /// The parser has something to say: an error, or the help that was asked for.
    Parser(Box<clap::Error>),
    /// A file that cannot be used.
    File(Error),
}

impl From<clap::Error> for Refusal {
    fn from(e: clap::Error) -> Self {
        Refusal::Parser(Box::new(e))
    }
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        Refusal::File(e)
    }
}

/// A command line with all that it means.
pub struct Resolved {
    /// What was parsed.
    pub cli: Cli,
    /// The parser that parsed it, and its raw result.
    pub command: Command,
    /// The raw result.
    pub matches: ArgMatches,
    /// Options whose value the file gave.
    pub from_file: BTreeSet<String>,
}

/// Parses a command line; the first word is the program.
pub fn resolve(argv: &[OsString]) -> Result<Resolved, Refusal> {
    let mut command = Cli::command();
    let mut from_file = BTreeSet::new();
    if let Some(path) = config_path(argv) {
        let file = ConfigFile::read(&path)?;
        file.check(&command)?;
        // What is wrong with the command line is said by the second pass: it may lack what the file has.
        if let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(argv) {
            let (chain, leaf) = chain(&matches);
            for entry in file.entries(&command, &chain)? {
                if !is_contradicted(&command, &chain, leaf, &entry) {
                    from_file.insert(entry.id.clone());
                    command = with_default(command, &chain, entry);
                }
            }
        }
    }
    let matches = command.clone().try_get_matches_from(argv)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))?;
    Ok(Resolved { cli, command, matches, from_file })
}

/// `--config FILE` or `--config=FILE` before a lone `--`, or the variable.
fn config_path(argv: &[OsString]) -> Option<PathBuf> {
    let mut words = argv.iter().skip(1).take_while(|w| *w != "--");
    while let Some(word) = words.next() {
        if word == "--config" {
            return words.next().map(PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|w| w.strip_prefix("--config=")) {
            return Some(PathBuf::from(path));
        }
    }
    std::env::var_os(CONFIG_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from)
}

/// Names of the command and its subcommands, and the matches of the last.
pub fn chain(matches: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let (mut names, mut at) = (vec![], matches);
    while let Some((name, inner)) = at.subcommand() {
        names.push(name.to_string());
        at = inner;
    }
    (names, at)
}

/// The commands along a chain, the program first.
fn commands<'a>(root: &'a Command, chain: &[String]) -> Vec<&'a Command> {
    let mut all = vec![root];
    for name in chain {
        let last = all[all.len() - 1];
        match last.find_subcommand(name) {
            Some(next) => all.push(next),
            None => break,
        }
    }
    all
}

/// True if an option that excludes this one was given by somebody whose word prevails.
fn is_contradicted(root: &Command, chain: &[String], leaf: &ArgMatches, entry: &Entry) -> bool {
    let given = |id: &str| {
        let source = leaf.try_contains_id(id).ok().and_then(|_| leaf.value_source(id));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    };
    let all = commands(root, chain);
    all.iter().any(|command| {
        command.get_arguments().any(|other| {
            let excludes = |a: &clap::Arg, b: &str| {
                command.get_arg_conflicts_with(a).iter().any(|c| c.get_id().as_str() == b)
            };
            let this = command.get_arguments().find(|a| a.get_id().as_str() == entry.id);
            let other_id = other.get_id().as_str();
            let exclusive = excludes(other, &entry.id) || this.is_some_and(|a| excludes(a, other_id));
            other_id != entry.id && exclusive && given(other_id)
        })
    })
}

/// The command with the entry's values as defaults of its option.
fn with_default(command: Command, chain: &[String], entry: Entry) -> Command {
    let has = |c: &Command| c.get_arguments().any(|a| a.get_id().as_str() == entry.id);
    match chain.split_first() {
        Some((name, rest)) if !has(&command) => {
            command.mut_subcommand(name, |inner| with_default(inner, rest, entry))
        }
        _ => command.mut_arg(entry.id, |arg| arg.required(false).default_values(entry.values)),
    }
}
