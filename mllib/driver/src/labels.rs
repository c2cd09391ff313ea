//! Which row of which file has a label or a value that cannot be taken.
//!
//! Trainers see rows, not files; so when one has refused a label or a value, the files are read once more, up to the first row
//! that is to blame. It costs a pass, on the way to an error message.

use crate::data::Input;
use slackwater_dataflow::{BadRecord, Error, ErrorKind, Result};
use slackwater_loaders::Split;
use slackwater_loaders::format::text::TextReader;
use slackwater_mllib::classification::max_margin_topics::is_count;

/// How errors about values that are no counts begin.
const NO_COUNT: &str = "value ";

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
    let (Some(accepts), None) = (accepts, input.binarize) else { return error };
    let mut seen = vec![];
    placed(error, input, "label", |line| {
        let (start, word) = words(line).next()?;
        let label = word.parse::<f64>().ok().filter(|label| accepts.refuses(&mut seen, *label))?;
        Some((start, label))
    })
}

/// Adds file, line and column to an error about a value that is below 0; other errors stay as they are.
pub fn negative_located(error: Error, input: &Input) -> Error {
    placed(error, input, "value", |line| {
        words(line).skip(1).find_map(|(start, word)| {
            let (index, value) = word.split_once(':')?;
            let value = value.parse::<f64>().ok().filter(|value| *value < 0.0)?;
            Some((start + index.len() + 1, value))
        })
    })
}

/// Adds file, line and column to an error about a value that is no count of a word; other errors stay as they are.
pub fn counts_located(error: Error, input: &Input) -> Error {
    match error.kind() {
        ErrorKind::Data(bad) if bad.message.starts_with(NO_COUNT) => {}
        _ => return error,
    }
    placed(error, input, "value", |line| {
        words(line).skip(1).find_map(|(start, word)| {
            let (index, value) = word.split_once(':')?;
            let value = value.parse::<f64>().ok().filter(|value| !is_count(*value))?;
            Some((start + index.len() + 1, value))
        })
    })
}

/// The words of a line of LIBSVM, without what is a comment, each with where it begins.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let row = line.split('#').next().unwrap_or_default();
    let words = row.split([' ', '\t']).scan(0, |at, word| {
        let start = *at;
        *at += word.len() + 1;
        Some((start, word))
    });
    words.filter(|(_, word)| !word.is_empty())
}

/// Adds the place of the first row in which `look` finds what is to blame: where in the line it is, and the number.
fn placed(error: Error, input: &Input, what: &str, look: impl FnMut(&str) -> Option<(usize, f64)>) -> Error {
    let ErrorKind::Data(bad) = error.kind() else { return error };
    if input.is_table() || !bad.source.is_empty() {
        return error;
    }
    match find(input, look) {
        Ok(Some((place, number))) => {
            let expected = bad.message.split_once(": ").map_or(&bad.message[..], |(_, e)| e);
            let message = format!("{what} {number}: {expected}");
            BadRecord { message, hint: bad.hint.clone(), ..place }.into()
        }
        _ => error,
    }
}

/// The first row in which `look` finds something, and what.
fn find(
    input: &Input,
    mut look: impl FnMut(&str) -> Option<(usize, f64)>,
) -> Result<Option<(BadRecord, f64)>> {
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
            if let Some((at, found)) = look(&line) {
                let place = BadRecord::at(file.name(), number, at as u64 + 1, "").bytes(line.as_bytes());
                return Ok(Some((place, found)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_where_they_begin() {
        let found: Vec<_> = words(" 1\t 2:-3  4:5 # 6:7").collect();
        assert_eq!(found, [(1, "1"), (4, "2:-3"), (10, "4:5")]);
        assert!(words("# 1 2:3").next().is_none() && words("").next().is_none());
    }

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
