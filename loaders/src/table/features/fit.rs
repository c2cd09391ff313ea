//! Making a map of a table.

use super::{CATEGORIES_MAX, Column, FeatureMap, FeatureOptions, Kind, LABEL_NAMES, Label, Missing, Texts};
use crate::table::expr::no_column;
use crate::table::{Frame, RecordBlock, vector};
use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_schema::{DataType, Schema};
use serde::{Deserialize, Serialize};
use slackwater_dataflow::{Error, Result};
use std::collections::BTreeSet;

/// What a column is, by its type.
enum Nature {
    Number,
    Text,
    Numbers(u32),
    Vector,
}

fn nature(name: &str, of: &DataType) -> Result<Nature> {
    Ok(match of {
        DataType::Boolean => Nature::Number,
        t if t.is_numeric() => Nature::Number,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Nature::Text,
        DataType::Dictionary(_, values) => nature(name, values)?,
        DataType::FixedSizeList(item, n) if item.data_type().is_numeric() => {
            Nature::Numbers(u32::try_from(*n).unwrap_or(0))
        }
        t if vector::is_vector(t) => Nature::Vector,
        other => {
            return Err(Error::usage(format!(
                "the column `{name}` of type {other} is no feature\n  hint: name the columns to learn from, or make a number of it first"
            )));
        }
    })
}

/// What is asked of a pass over the data: one a column.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Question {
    Texts,
    Mean,
    Size,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Answer {
    Texts(BTreeSet<String>),
    Mean(f64, u64),
    Size(u32),
}

impl Answer {
    fn none(question: Question) -> Answer {
        match question {
            Question::Texts => Answer::Texts(BTreeSet::new()),
            Question::Mean => Answer::Mean(0.0, 0),
            Question::Size => Answer::Size(0),
        }
    }
    fn look(&mut self, array: &ArrayRef) {
        match self {
            Answer::Texts(texts) => {
                let Ok(array) = arrow_cast::cast(array, &DataType::Utf8) else { return };
                for text in array.as_string::<i32>().iter().flatten() {
                    // One more than may be, so that it is seen.
                    if texts.len() <= CATEGORIES_MAX && !texts.contains(text) {
                        texts.insert(text.to_string());
                    }
                }
            }
            Answer::Mean(sum, n) => {
                let Ok(array) = arrow_cast::cast(array, &DataType::Float64) else { return };
                for x in array.as_primitive::<Float64Type>().iter().flatten().filter(|x| !x.is_nan()) {
                    *sum += x;
                    *n += 1;
                }
            }
            Answer::Size(size) => {
                if let Some(vectors) = array.as_struct_opt() {
                    *size = (*size).max(vector::widest(vectors));
                }
            }
        }
    }
    fn merge(&mut self, other: Answer) {
        match (self, other) {
            (Answer::Texts(a), Answer::Texts(b)) => a.extend(b),
            (Answer::Mean(a, n), Answer::Mean(b, m)) => {
                *a += b;
                *n += m;
            }
            (Answer::Size(a), Answer::Size(b)) => *a = (*a).max(b),
            _ => {}
        }
    }
}

impl FeatureMap {
    /// The map of a table: by its columns, and for texts, means and sizes of vectors by a pass over it.
    ///
    /// # Errors
    /// Usage: a column that is not there or that is no feature. Input: a column with more than [`CATEGORIES_MAX`] texts; and
    /// what reading the table fails with.
    pub fn fit(frame: &Frame, options: &FeatureOptions) -> Result<FeatureMap> {
        let schema = frame.schema();
        let label = label_name(schema, options)?;
        let whole = schema.field_with_name("features").is_ok_and(|f| vector::is_vector(f.data_type()));
        let names: Vec<String> = match options.features.is_empty() {
            true if whole => vec!["features".to_string()],
            true => {
                let names = schema.fields().iter().map(|f| f.name().clone());
                names.filter(|n| Some(n) != label.as_ref()).collect()
            }
            false => options.features.clone(),
        };
        if names.is_empty() {
            return Err(Error::input(
                "there are no columns to make features of",
                "a table has features beside its label",
            ));
        }
        if let Some(twice) = names.iter().enumerate().find(|(i, n)| names[..*i].contains(n)) {
            return Err(Error::usage(format!("the column `{}` is named twice among the features", twice.1)));
        }
        if let Some(label) = label.as_ref().filter(|l| names.contains(l)) {
            return Err(Error::usage(format!(
                "the column `{label}` is the label, and cannot be a feature too"
            )));
        }
        let alone = names.len() == 1;
        let mut questions: Vec<(String, Question)> = vec![];
        let mut natures = vec![];
        for name in &names {
            let of = schema.field_with_name(name).map_err(|_| no_column(name, schema))?.data_type();
            let nature = nature(name, of)?;
            let question = match nature {
                Nature::Text if !matches!(options.texts, Texts::Hash(_)) => Some(Question::Texts),
                Nature::Number if options.missing == Missing::Mean => Some(Question::Mean),
                Nature::Vector if !alone => Some(Question::Size),
                _ => None,
            };
            questions.extend(question.map(|q| (name.clone(), q)));
            natures.push(nature);
        }
        let text_label = label.as_ref().filter(|name| {
            let of = schema.field_with_name(name).map(|f| f.data_type());
            of.is_ok_and(|t| matches!(nature(name, t), Ok(Nature::Text)))
        });
        questions.extend(text_label.map(|name| (name.clone(), Question::Texts)));
        let mut answers = ask(frame, &questions)?.into_iter();
        let mut columns = vec![];
        let (mut first, mut hashes) = (0u32, None);
        for (name, nature) in names.into_iter().zip(natures) {
            let mut texts = || match answers.next() {
                Some(Answer::Texts(texts)) if texts.len() > CATEGORIES_MAX => Err(Error::input(
                    format!("the column `{name}` has more than {CATEGORIES_MAX} different texts"),
                    "make features of their hashes, or leave the column out",
                )),
                Some(Answer::Texts(texts)) => Ok(texts.into_iter().collect::<Vec<_>>()),
                _ => Ok(vec![]),
            };
            let kind = match (nature, options.texts) {
                (Nature::Text, Texts::OneHot) => Kind::OneHot(texts()?),
                (Nature::Text, Texts::Ordinal) => Kind::Ordinal(texts()?),
                (Nature::Text, Texts::Hash(buckets)) => {
                    hashes = Some(buckets.max(1));
                    Kind::Hashed
                }
                (Nature::Numbers(n), _) => Kind::Numbers(n),
                (Nature::Vector, _) if alone => Kind::Vector(None),
                (Nature::Vector, _) => match answers.next() {
                    Some(Answer::Size(n)) => Kind::Vector(Some(n)),
                    _ => Kind::Vector(Some(0)),
                },
                (Nature::Number, _) if options.missing == Missing::Mean => match answers.next() {
                    Some(Answer::Mean(sum, n)) if n > 0 => Kind::Number { mean: Some(sum / n as f64) },
                    _ => Kind::Number { mean: Some(0.0) },
                },
                (Nature::Number, _) => Kind::Number { mean: None },
            };
            let size = kind.size();
            columns.push(Column { name, first, kind });
            first = first.checked_add(size).filter(|n| *n < i32::MAX as u32).ok_or_else(too_wide)?;
        }
        let classes = match (text_label, answers.next()) {
            (Some(name), Some(Answer::Texts(texts))) => {
                if texts.len() > CATEGORIES_MAX {
                    let message =
                        format!("the label `{name}` has more than {CATEGORIES_MAX} different texts");
                    return Err(Error::input(message, "is it the label?"));
                }
                Some(texts.into_iter().collect())
            }
            _ => None,
        };
        let hashed = hashes.map(|buckets: u32| (first, buckets));
        let size = match &columns[..] {
            [Column { kind: Kind::Vector(None), .. }] => None,
            _ => Some(
                first
                    .checked_add(hashes.unwrap_or(0))
                    .filter(|n| *n < i32::MAX as u32)
                    .ok_or_else(too_wide)?,
            ),
        };
        let label = label.map(|name| Label { name, classes });
        Ok(FeatureMap { label, columns, size, missing: options.missing, hashed })
    }
}

fn too_wide() -> Error {
    Error::input("there would be more than 2^31 features", "leave columns out, or make features of hashes")
}

fn label_name(schema: &Schema, options: &FeatureOptions) -> Result<Option<String>> {
    match &options.label {
        Some(name) if schema.index_of(name).is_err() => Err(no_column(name, &schema.clone().into())),
        Some(name) => Ok(Some(name.clone())),
        None => {
            let known = LABEL_NAMES.iter().find(|n| schema.index_of(n).is_ok());
            Ok(known.map(|n| n.to_string()).filter(|n| !options.features.contains(n)))
        }
    }
}

/// A pass over the columns that there are questions about.
fn ask(frame: &Frame, questions: &[(String, Question)]) -> Result<Vec<Answer>> {
    let none: Vec<Answer> = questions.iter().map(|(_, q)| Answer::none(*q)).collect();
    if questions.is_empty() {
        return Ok(none);
    }
    let names: Vec<String> = questions.iter().map(|(name, _)| name.clone()).collect();
    let blocks = frame.select(&names)?.dataset();
    let look = |answers: &mut Vec<Answer>, block: &RecordBlock| {
        answers.iter_mut().zip(block.columns()).for_each(|(answer, array)| answer.look(array));
    };
    blocks.aggregate(none, look, |a, b| a.iter_mut().zip(b).for_each(|(a, b)| a.merge(b)))
}
