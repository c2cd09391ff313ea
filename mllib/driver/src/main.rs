//! The command `slackwater`.
//!
//! The layers: [`args`] says what can be written; [`config`] puts flags, variables, a file and defaults together;
//! [`session`] makes the engine, and what listens to it; [`commands`] do the work with [`data`], [`trainer`],
//! [`model`] and [`evaluation`]; [`output`] prints, and [`allocator`] suits the memory that there is. Everything that knows
//! of a terminal, of arguments or of the environment is here, nothing below: [`stores`] says what of it is for object
//! stores.

mod allocator;
mod args;
mod commands;
mod config;
mod data;
mod evaluation;
mod event_file;
mod groups;
mod labels;
mod model;
mod output;
mod predictions;
mod progress;
mod sample;
mod session;
mod stores;
mod structures;
mod trainer;

use config::Refusal;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    allocator::follow_memory();
    session::follow_launcher();
    match config::resolve(&argv) {
        Ok(resolved) => match commands::run(&resolved) {
            Ok(code) => ExitCode::from(code),
            Err(e) => failed(&e),
        },
        Err(Refusal::File(e)) => failed(&e),
        Err(Refusal::Parser(e)) => {
            // A closed pipe is the reader's choice.
            let _ = e.print();
            ExitCode::from(e.exit_code() as u8)
        }
    }
}

fn failed(e: &slackwater_dataflow::Error) -> ExitCode {
    eprintln!("error: {e}");
    ExitCode::from(e.exit_code())
}
