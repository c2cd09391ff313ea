//! `generate`: made-up rows, to try things on.

use crate::args::{ClassificationArgs, GenerateArgs, GenerateCommand, Globals};
use crate::output::count;
use crate::session::Session;
use serde_json::json;
use slackwater_dataflow::Result;
use slackwater_loaders::SaveLibsvm;
use slackwater_loaders::sink::Existing;
use slackwater_mllib::generate::Classification;
use std::time::Instant;

/// Runs `generate`.
pub fn run(globals: &Globals, args: &GenerateArgs) -> Result<u8> {
    match &args.command {
        GenerateCommand::Classification(args) => classification(globals, args),
    }
}

fn classification(globals: &Globals, args: &ClassificationArgs) -> Result<u8> {
    let start = Instant::now();
    let out = args.out.as_ref().expect("the parser requires it");
    let rows = Classification {
        rows: args.samples as u64,
        columns: args.features,
        classes: args.classes,
        labels: args.labels.labels(),
        noise: args.noise,
    };
    rows.check()?;
    let existing = if args.overwrite { Existing::Overwrite } else { Existing::Refuse };
    Session::run(globals, |session| {
        let config = session.cx.config();
        let (partitions, seed) = (globals.partitions.unwrap_or(config.default_partitions), config.seed);
        rows.dataset(&session.cx, partitions, seed).save_as_libsvm_with(out, existing)?;
        session.check()?;
        let document = || {
            json!({
                "command": "generate",
                "kind": "classification",
                "rows": args.samples,
                "columns": args.features,
                "classes": args.classes,
                "partitions": partitions,
                "seed": seed,
                "out": out,
                "seconds": start.elapsed().as_secs_f64(),
            })
        };
        let text = || {
            format!(
                "{} of {}, {}, in {}: {}",
                count(args.samples as u64, "row"),
                count(args.features as u64, "column"),
                if args.classes == 1 { "1 class".to_string() } else { format!("{} classes", args.classes) },
                count(partitions as u64, "file"),
                out.display()
            )
        };
        session.output.result(document, text)?;
        Ok(0)
    })
}
