//! The file of `--config`.

use super::commands;
use clap::{Arg, ArgAction, Command};
use slackwater_dataflow::Error;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Options that a file cannot set.
const NOT_IN_A_FILE: [&str; 3] = ["config", "help", "version"];

/// A file of options.
pub struct ConfigFile {
    path: PathBuf,
    text: String,
    table: Table,
}

/// The value of an option.
#[derive(Debug)]
pub struct Entry {
    /// The option.
    pub id: String,
    /// Its values, as they would stand in a command line.
    pub values: Vec<String>,
}

impl ConfigFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", &e))?;
        let table = text.parse::<Table>().map_err(|e| {
            let message = format!("{}: {}", path.display(), e.to_string().trim_end());
            Error::config("config", message)
        })?;
        Ok(ConfigFile { path: path.to_path_buf(), text, table })
    }

    fn refuse(&self, key: &str, message: &str) -> Error {
        // The parser does not keep positions of keys; the first line that begins with it is the one, but for tables
        // that share a key.
        let begins = |l: &str| l.trim_start().trim_start_matches(['[', '"', ' ']).starts_with(key);
        let line = self.text.lines().position(begins).map_or(String::new(), |i| format!(":{}", i + 1));
        Error::config(key, format!("{}{line}: {message}", self.path.display()))
    }

    /// Checks that every key is an option of a command that it can be for.
    pub fn check(&self, root: &Command) -> Result<(), Error> {
        self.check_table(&self.table, root, "the program")
    }

    fn check_table(&self, table: &Table, command: &Command, whose: &str) -> Result<(), Error> {
        for (key, value) in table {
            match value {
                Value::Table(inner) => match command.find_subcommand(key) {
                    Some(sub) => self.check_table(inner, sub, &format!("`{key}`"))?,
                    None => return Err(self.refuse(key, &format!("{whose} has no command `{key}`"))),
                },
                _ => {
                    if !has_option(command, key) {
                        let hint = "`slackwater help COMMAND` lists the options";
                        let message = format!("{whose} has no option `{key}`\n  hint: {hint}");
                        return Err(self.refuse(key, &message));
                    }
                    if let Some(positive) = key.strip_prefix("no-").or(key.strip_prefix("no_")) {
                        return Err(self.refuse(key, &format!("write `{positive} = false`")));
                    }
                }
            }
        }
        Ok(())
    }

    /// What the file says for the command that `chain` names. The innermost table prevails.
    pub fn entries(&self, root: &Command, chain: &[String]) -> Result<Vec<Entry>, Error> {
        let all = commands(root, chain);
        let mut entries: Vec<Entry> = vec![];
        let mut table = Some(&self.table);
        let mut names = chain.iter();
        while let Some(now) = table {
            for (key, value) in now.iter().filter(|(_, v)| !v.is_table()) {
                let arg = all.iter().flat_map(|c| c.get_arguments()).find(|a| is_named(a, key));
                if let Some(arg) = arg {
                    let values = self.values(key, arg, value)?;
                    let id = arg.get_id().to_string();
                    entries.retain(|e| e.id != id);
                    entries.extend((!values.is_empty()).then_some(Entry { id, values }));
                }
            }
            table = names.next().and_then(|name| now.get(name)).and_then(Value::as_table);
        }
        Ok(entries)
    }

    fn values(&self, key: &str, arg: &Arg, value: &Value) -> Result<Vec<String>, Error> {
        let words = match value {
            Value::Array(items) => items.iter().map(word).collect::<Option<Vec<_>>>(),
            single => word(single).map(|w| vec![w]),
        };
        let words =
            words.ok_or_else(|| self.refuse(key, "is neither text, number, true, false nor a list"))?;
        let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
        if is_flag && value.as_bool().is_none() {
            return Err(self.refuse(key, "is `true` or `false`"));
        }
        if is_flag && value.as_bool() == Some(false) {
            return Ok(vec![]);
        }
        for word in &words {
            check_value(key, arg, word).map_err(|e| self.refuse(key, &e))?;
        }
        Ok(words)
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Integer(n) => Some(n.to_string()),
        Value::Float(x) => Some(x.to_string()),
        Value::Boolean(b) => Some(b.to_string()),
        _ => None,
    }
}

/// Names match whether they are written with `-` or with `_`.
fn is_named(arg: &Arg, key: &str) -> bool {
    if NOT_IN_A_FILE.contains(&arg.get_id().as_str()) {
        return false;
    }
    let same = |name: &str| name.replace('_', "-") == key.replace('_', "-");
    arg.get_long().is_some_and(same) || arg.get_all_aliases().into_iter().flatten().any(same)
}

fn has_option(command: &Command, key: &str) -> bool {
    command.get_arguments().any(|a| is_named(a, key)) || command.get_subcommands().any(|c| has_option(c, key))
}

/// What the option's own parser says to a value.
fn check_value(key: &str, arg: &Arg, word: &str) -> Result<(), String> {
    let mut probe =
        Arg::new("probe").long(key.to_string()).allow_hyphen_values(true).action(ArgAction::Append);
    probe = probe.value_parser(arg.get_value_parser().clone());
    if let Some(delimiter) = arg.get_value_delimiter() {
        probe = probe.value_delimiter(delimiter);
    }
    let command = Command::new("config").no_binary_name(true).arg(probe);
    let error = command.try_get_matches_from([format!("--{key}={word}")]).err();
    error.map_or(Ok(()), |e| {
        let text = e.to_string();
        let text = text.split("\n\n").next().unwrap_or_default();
        Err(text.trim_start_matches("error: ").to_string())
    })
}
