//! The commands. Each returns the exit code of a run that went well: 0, or 1 for a negative answer.

mod cluster;
mod clusters;
mod coding;
mod completions;
mod config;
mod convert;
mod evaluate;
mod events;
mod explain;
mod factorization;
mod generate;
mod inspect;
mod mapped;
mod medlda;
mod metric;
mod network;
mod parts;
mod predict;
mod survey;
mod table_out;
mod topics;
mod train;
mod worker;

use crate::args::{ClusterCommand, Command, ConfigCommand};
use crate::config::Resolved;
use crate::stores;
use slackwater_dataflow::Result;

/// Runs the command of a command line.
pub fn run(resolved: &Resolved) -> Result<u8> {
    let globals = &resolved.cli.globals;
    stores::note(globals)?;
    match &resolved.cli.command {
        Command::Train(args) => train::run(globals, args),
        Command::Predict(args) => predict::run(globals, args),
        Command::Evaluate(args) => evaluate::run(globals, args),
        Command::Convert(args) => convert::run(globals, args),
        Command::Inspect(args) => inspect::run(globals, args),
        Command::Events(args) => events::run(globals, args),
        Command::Explain(args) => explain::run(globals, args),
        Command::Generate(args) => generate::run(globals, args),
        Command::Cluster(args) => match &args.command {
            ClusterCommand::Run(args) => cluster::run(resolved, args),
            ClusterCommand::Status(args) => cluster::status(globals, args),
            ClusterCommand::Scale(args) => cluster::scale(globals, args),
            ClusterCommand::Secret(args) => cluster::secret(args),
        },
        Command::Worker(args) => worker::run(globals, args),
        Command::Config(args) => match &args.command {
            ConfigCommand::Show(args) => config::show(resolved, args),
        },
        Command::Completions(args) => completions::run(args),
    }
}
