//! `explain`: the lineage that training would run, and with `--analyze` what running it shows.

use crate::args::{ExplainArgs, ExplainFormat, Globals};
use crate::data::{Input, check_split, split_part};
use crate::output::print;
use crate::session::Session;
use slackwater_dataflow::{Result, StorageLevel};
use slackwater_mllib::objective::DatasetRows;

/// Runs `explain`.
pub fn run(globals: &Globals, args: &ExplainArgs) -> Result<u8> {
    check_split(&args.split.split)?;
    let input = Input::open(&args.input.data, &args.input.read, globals.partitions)?;
    Session::run(globals, |session| {
        let blocks = input.blocks(&session.cx)?;
        let training = match &args.split.split[..] {
            [] => blocks,
            weights => {
                let parsed = blocks.persist(StorageLevel::MemoryAndDisk).named("parsed rows");
                split_part(&parsed, weights, 0, session.cx.config().seed)
            }
        };
        let rows = DatasetRows::from_blocks(&training).blocks();
        let explanation = if args.analyze { rows.explain_analyze()? } else { rows.explain() };
        let format =
            args.format.unwrap_or(if globals.json { ExplainFormat::Json } else { ExplainFormat::Text });
        let text = match format {
            ExplainFormat::Text => explanation.to_string(),
            ExplainFormat::Dot => explanation.to_dot(),
            ExplainFormat::Json => explanation.to_json(),
        };
        if session.output.speaks {
            print(text.trim_end())?;
        }
        Ok(0)
    })
}
