//! Errors of expressions where only bad records have a way out.

use slackwater_dataflow::{BadRecord, Error};

/// What went wrong with a block, told as a bad record: the first line, and the hint.
pub(super) fn as_bad_record(e: Error) -> BadRecord {
    let text = e.to_string();
    let (message, hint) = text.split_once("\n  hint: ").unwrap_or((&text, ""));
    BadRecord::new(message).hint(hint)
}
