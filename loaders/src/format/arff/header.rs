//! The head of an ARFF file: its attributes.

use super::super::fault::Fault;
use super::super::records::read_head;
use super::date::DateFormat;
use super::token::Tokens;
use crate::lines::ReadLimits;
use crate::source::InputFile;
use arrow_schema::{DataType, Field, TimeUnit};
use slackwater_dataflow::{BadRecord, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// An attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attribute {
    pub name: String,
    pub kind: Kind,
}

/// What the values of an attribute are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Decimal numbers.
    Number,
    /// Any text.
    Text,
    /// One of some names.
    Nominal(Arc<Names>),
    /// A time.
    Date(DateFormat),
}

/// The names that a nominal attribute has, and their numbers.
#[derive(Debug, PartialEq)]
pub(super) struct Names {
    pub all: Vec<String>,
    pub numbers: HashMap<Vec<u8>, i32>,
}

impl Attribute {
    pub fn field(&self) -> Field {
        let data_type = match &self.kind {
            Kind::Number => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Nominal(_) => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Kind::Date(_) => DataType::Timestamp(TimeUnit::Millisecond, None),
        };
        Field::new(&self.name, data_type, true)
    }
}

const HEAD: &str = "before the data stand `@relation name` and a line `@attribute name type` for each attribute, then `@data`";
const TYPES: &str = "types are numeric, real, integer, string, date [\"format\"], and {name, name, ...}";

/// The attributes, how many bytes the head takes, and whether the first row has a weight.
pub(super) fn read(file: &InputFile, limits: ReadLimits) -> Result<(Vec<Attribute>, u64, bool)> {
    let mut attributes: Vec<Attribute> = vec![];
    let (mut in_data, mut weighted) = (false, false);
    let mut names: HashMap<String, ()> = HashMap::new();
    let bytes = read_head(file, limits, |line| {
        if super::is_empty(line) {
            return Ok(true);
        }
        if in_data {
            weighted = super::row::has_weight(line);
            return Ok(false);
        }
        let mut tokens = Tokens::of(line);
        let (at, keyword) = tokens.word();
        if keyword.eq_ignore_ascii_case(b"@data") {
            in_data = true;
        } else if keyword.eq_ignore_ascii_case(b"@attribute") {
            let attribute = attribute(&mut tokens)?;
            if names.insert(attribute.name.clone(), ()).is_some() {
                let fault = Fault::new(at, line, format!("there are two attributes `{}`", attribute.name));
                return Err(fault.hint("give each a name of its own"));
            }
            attributes.push(attribute);
        } else if !keyword.eq_ignore_ascii_case(b"@relation") {
            return Err(Fault::new(at, keyword, "the line is no part of the head of an ARFF file").hint(HEAD));
        }
        Ok(true)
    })?;
    if !in_data || attributes.is_empty() {
        let what = if in_data { "has no attributes" } else { "ends before its data" };
        return Err(BadRecord::at(file.name(), 0, 0, format!("the file {what}")).hint(HEAD).into());
    }
    Ok((attributes, bytes, weighted))
}

fn attribute(tokens: &mut Tokens<'_>) -> Result<Attribute, Fault> {
    let (at, name) = tokens.name()?;
    if name.is_empty() {
        return Err(Fault::new(at, tokens.line, "the attribute has no name").hint(HEAD));
    }
    let name = text(at, &name)?;
    tokens.skip_blanks();
    if tokens.rest().starts_with(b"{") {
        return Ok(Attribute { name, kind: Kind::Nominal(Arc::new(nominal(tokens)?)) });
    }
    let (at, word) = tokens.word();
    let kind = match word.to_ascii_lowercase().as_slice() {
        b"numeric" | b"real" | b"integer" => Kind::Number,
        b"string" => Kind::Text,
        b"date" => {
            let (at, format) = tokens.name()?;
            match format.is_empty() {
                true => Kind::Date(DateFormat::default()),
                false => Kind::Date(DateFormat::new(&text(at, &format)?).ok_or_else(|| {
                    Fault::new(at, &format, "this format of dates is not one that is read")
                        .hint("formats have yyyy, MM, dd, HH, mm, ss and SSS; declare others as string")
                })?),
            }
        }
        _ => return Err(Fault::new(at, word, "no such type of attributes").hint(TYPES)),
    };
    tokens.skip_blanks();
    match tokens.rest() {
        [] => {}
        [b'%', ..] => {}
        rest => return Err(Fault::new(tokens.at, rest, "the line has something after its type").hint(TYPES)),
    }
    Ok(Attribute { name, kind })
}

fn nominal(tokens: &mut Tokens<'_>) -> Result<Names, Fault> {
    let mut names = Names { all: vec![], numbers: HashMap::new() };
    tokens.at += 1;
    loop {
        let (at, name) = tokens.value(b'}')?;
        let name = name.bytes;
        let ends = tokens.rest().first().copied();
        // `{}` and a comma before the end have nothing there.
        if !(name.is_empty() && ends == Some(b'}')) {
            if names.numbers.insert(name.to_vec(), names.all.len() as i32).is_some() {
                return Err(Fault::new(at, &name, "the name is there twice").hint(TYPES));
            }
            names.all.push(text(at, &name)?);
        }
        match ends {
            Some(b',') => tokens.at += 1,
            Some(_) => return Ok(names),
            None => {
                return Err(Fault::new(tokens.at, tokens.line, "the list of names has no end")
                    .hint("it ends with `}`"));
            }
        }
    }
}

/// Bytes as text.
pub(super) fn text(at: usize, bytes: &[u8]) -> Result<String, Fault> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_string()),
        Err(e) => {
            let wrong = &bytes[e.valid_up_to()..];
            let first = wrong.first().copied().unwrap_or_default();
            Err(Fault::new(at + e.valid_up_to(), wrong, format!("byte 0x{first:02x} is not UTF-8"))
                .hint("convert the file to UTF-8, for example with `iconv -f latin1 -t utf-8`"))
        }
    }
}
