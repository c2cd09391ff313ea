//! `config show`.

use crate::args::{Globals, ShowArgs};
use crate::config::{Refusal, Resolved, Setting, resolve, settings};
use crate::output::{Output, table};
use crate::session::engine_config;
use serde_json::{Value, json};
use slackwater_dataflow::{Error, OnBad, Result};
use std::ffi::OsString;

/// Shows the settings.
pub fn show(resolved: &Resolved, args: &ShowArgs) -> Result<u8> {
    let of_command = match args.command.is_empty() {
        true => None,
        false => match other(resolved, args) {
            Ok(other) => Some(other),
            Err(Refusal::File(e)) => return Err(e),
            Err(Refusal::Parser(e)) => {
                // A closed pipe is the reader's choice.
                let _ = e.print();
                return Ok(e.exit_code() as u8);
            }
        },
    };
    let shown = of_command.as_ref().unwrap_or(resolved);
    let mut settings = settings(shown, of_command.is_none());
    fill_in(&mut settings, &shown.cli.globals)?;
    let globals = &resolved.cli.globals;
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    output.result(|| document(&settings, args.origin), || text(&settings, args.origin))?;
    Ok(0)
}

/// The command line to be shown, with the file of this one.
fn other(resolved: &Resolved, args: &ShowArgs) -> Result<Resolved, Refusal> {
    let mut argv = vec![OsString::from("slackwater")];
    argv.extend(
        resolved.cli.globals.config.iter().flat_map(|c| ["--config".into(), c.clone().into_os_string()]),
    );
    argv.extend(args.command.iter().cloned());
    resolve(&argv)
}

/// Values that the program decides when it runs.
fn fill_in(settings: &mut [Setting], globals: &Globals) -> Result<(), Error> {
    let config = engine_config(globals)?;
    for setting in settings.iter_mut().filter(|s| s.value.is_none()) {
        setting.value = match setting.name.as_str() {
            "workers" => Some(config.workers.to_string()),
            "memory" => Some(format!("{} bytes", config.memory_budget_bytes)),
            "partitions" => Some(config.default_partitions.to_string()),
            "spill-dir" => Some(config.spill_dir.display().to_string()),
            "seed" => Some(config.seed.to_string()),
            "recovery" => Some(config.recovery.to_string()),
            "on-bad" if config.on_bad == OnBad::Fail => Some("fail".to_string()),
            _ => None,
        };
    }
    Ok(())
}

fn document(settings: &[Setting], origin: bool) -> Value {
    let entry = |s: &Setting| {
        let value = match origin {
            true => json!({"value": s.value, "origin": s.origin.to_string()}),
            false => json!(s.value),
        };
        (s.name.clone(), value)
    };
    Value::Object(settings.iter().map(entry).collect())
}

fn text(settings: &[Setting], origin: bool) -> String {
    let heading: &[&str] = if origin { &["setting", "value", "origin"] } else { &["setting", "value"] };
    let rows = settings.iter().map(|s| {
        let mut row = vec![s.name.clone(), s.value.clone().unwrap_or_else(|| "-".to_string())];
        row.extend(origin.then(|| s.origin.to_string()));
        row
    });
    table(heading, rows)
}
