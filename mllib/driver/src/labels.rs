//! Which row of which file has a label that cannot be taken.
//!
//! Trainers see labels, not files; so when one has refused a label, the files are read once more, up to the first row
//! that is to blame. It costs a pass, on the way to an error message.

use crate::data::Input;
use slackwater_dataflow::{BadRecord, Error, ErrorKind, Result};
use slackwater_loaders::Split;
use slackwater_loaders::format::text::TextReader;

/// Which labels can be taken.
#[derive(Debug, Clone)]
pub enum Accepts {
    /// 0 and 1, or -1 and +1.
    Binary,
    /// Whole numbers.
    Classes,
    /// The classes of a model.
    Known(Vec<f64>),
}

impl Accepts {
    /// What `label`, after those `seen` before, is refused for.
    fn refuses(&self, seen: &mut Vec<f64>, label: f64) -> bool {
        match self {
            Accepts::Classes => label.fract() != 0.0,
            Accepts::Known(classes) => !classes.contains(&label),
            Accepts::Binary => {
                if !seen.contains(&label) {
                    seen.push(label);
                }
                let fits = |pair: [f64; 2]| seen.iter().all(|l| pair.contains(l));
                !fits([0.0, 1.0]) && !fits([-1.0, 1.0])
            }
        }
    }
}

/// Adds file, line and column to an error about a label; other errors stay as they are.
pub fn located(error: Error, input: &Input, accepts: Option<&Accepts>) -> Error {
    let ErrorKind::Data(bad) = error.kind() else { return error };
    if input.is_table() {
        return error;
    }
    let (Some(accepts), true, None) = (accepts, bad.source.is_empty(), input.binarize) else { return error };
    match find(input, accepts) {
        Ok(Some((place, label))) => {
            let expected = bad.message.split_once(": ").map_or(&bad.message[..], |(_, e)| e);
            let message = format!("label {label}: {expected}");
            BadRecord { message, hint: bad.hint.clone(), ..place }.into()
        }
        _ => error,
    }
}

/// The first row with a label that is refused, and the label.
fn find(input: &Input, accepts: &Accepts) -> Result<Option<(BadRecord, f64)>> {
    let mut seen = vec![];
    for file in &input.files {
        let mut reader = TextReader::open(&Split::whole(file.clone()), input.options.limits)?;
        let mut number = 0;
        loop {
            let mut skipped = 0;
            // Lines that are not text have been judged by the loader already.
            let line = reader.next_line(&mut |_| {
                skipped += 1;
                Ok(())
            })?;
            let Some(line) = line else { break };
            number += skipped + 1;
            let row = line.split('#').next().unwrap_or_default();
            let Some(word) = row.split([' ', '\t']).find(|w| !w.is_empty()) else { continue };
            let Ok(label) = word.parse::<f64>() else { continue };
            if accepts.refuses(&mut seen, label) {
                let column = (line.len() - line.trim_start_matches([' ', '\t']).len() + 1) as u64;
                let place = BadRecord::at(file.name(), number, column, "").bytes(line.as_bytes());
                return Ok(Some((place, label)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused() {
        let first = |accepts: Accepts, labels: &[f64]| {
            let mut seen = vec![];
            labels.iter().position(|l| accepts.refuses(&mut seen, *l))
        };
        assert_eq!(first(Accepts::Binary, &[1.0, 0.0, -1.0, 0.0]), Some(2));
        assert_eq!(first(Accepts::Binary, &[-1.0, 1.0, 2.0]), Some(2));
        assert_eq!(first(Accepts::Binary, &[-1.0, 1.0, -1.0]), None);
        assert_eq!(first(Accepts::Classes, &[3.0, 0.5]), Some(1));
        assert_eq!(first(Accepts::Known(vec![1.0, 2.0]), &[2.0, 1.0, 3.0]), Some(2));
    }
}
