//! `completions`.

use crate::args::{Cli, CompletionsArgs};
use crate::output::written;
use clap::CommandFactory;
use slackwater_dataflow::Result;
use std::io::Write;

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<u8> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "slackwater", &mut script);
    written(std::io::stdout().lock().write_all(&script))?;
    Ok(0)
}
