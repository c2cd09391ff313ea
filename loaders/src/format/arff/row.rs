//! One row, dense or sparse.

use super::super::fault::Fault;
use super::super::records::{finite, whole};
use super::header::{Attribute, Kind, text};
use super::token::{Tokens, Value};

/// A cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Missing,
    Number(f64),
    Text(String),
    Name(i32),
    Time(i64),
}

const DENSE: &str = "a row has a value for each attribute, with commas between; a missing one is written `?`";
const SPARSE: &str =
    "a sparse row is `{number value, number value, ...}`, with the numbers of attributes from 0, ascending";
const WEIGHT: &str = "the weight of a row is written in braces after its last value: `1,2,{0.5}`";

/// Reads a row; `cells` are replaced. Returns its weight, if it has one.
pub(super) fn read(
    line: &[u8],
    attributes: &[Attribute],
    cells: &mut Vec<Cell>,
) -> Result<Option<f64>, Fault> {
    cells.clear();
    let mut tokens = Tokens::of(line);
    tokens.skip_blanks();
    if tokens.rest().starts_with(b"{") {
        sparse(&mut tokens, attributes, cells)?;
    } else if memchr::memchr(b',', line).is_some() || attributes.len() == 1 {
        for (i, attribute) in attributes.iter().enumerate() {
            let (at, value) = tokens.value(b'\n')?;
            cells.push(cell(at, &value, attribute)?);
            if i + 1 == attributes.len() {
                break;
            }
            match tokens.rest().first() {
                Some(_) => tokens.at += 1,
                None => return Err(too_few(line, i + 1, attributes.len())),
            }
        }
    } else {
        // Without commas, blanks divide.
        for (i, attribute) in attributes.iter().enumerate() {
            tokens.skip_blanks();
            if tokens.rest().is_empty() {
                return Err(too_few(line, i, attributes.len()));
            }
            let (at, value) = tokens.blank_value()?;
            cells.push(cell(at, &value, attribute)?);
        }
    }
    weight(&mut tokens)
}

fn too_few(line: &[u8], found: usize, want: usize) -> Fault {
    Fault::new(line.len(), line, format!("the row has {found} values, and there are {want} attributes"))
        .hint(DENSE)
}

/// True for a row that ends with a weight.
pub(super) fn has_weight(line: &[u8]) -> bool {
    let inside = line.trim_ascii_end().strip_suffix(b"}");
    let open = inside.and_then(|inside| Some(&inside[..memchr::memrchr(b'{', inside)?]));
    open.is_some_and(|before| before.trim_ascii_end().ends_with(b","))
}

/// What follows the last value: nothing, or a comma and a weight in braces.
fn weight(tokens: &mut Tokens<'_>) -> Result<Option<f64>, Fault> {
    tokens.skip_blanks();
    if tokens.rest().is_empty() {
        return Ok(None);
    }
    let start = tokens.at;
    let rest = tokens.rest().trim_ascii_end();
    let inside = rest.strip_prefix(b",").map(|r| r.trim_ascii_start()).and_then(|r| r.strip_prefix(b"{"));
    let Some(number) = inside.and_then(|r| r.strip_suffix(b"}")) else {
        return Err(Fault::new(start, rest, "the row has more values than there are attributes").hint(DENSE));
    };
    let number = number.trim_ascii();
    match finite(start, number, "the weight")? {
        w if w >= 0.0 => Ok(Some(w)),
        _ => Err(Fault::new(start, number, "the weight is negative").hint(WEIGHT)),
    }
}

fn sparse(tokens: &mut Tokens<'_>, attributes: &[Attribute], cells: &mut Vec<Cell>) -> Result<(), Fault> {
    tokens.at += 1;
    loop {
        tokens.skip_blanks();
        if tokens.rest().starts_with(b"}") {
            break;
        }
        let (at, word) = tokens.word();
        let index = whole(at, word, "the number of the attribute").map_err(|fault| fault.hint(SPARSE))?;
        if index >= attributes.len() as u64 {
            let message = format!("there is no attribute {index}: there are {}", attributes.len());
            return Err(Fault::new(at, word, message).hint(SPARSE));
        }
        let index = index as usize;
        if index < cells.len() {
            return Err(Fault::new(at, word, "the numbers of attributes do not ascend").hint(SPARSE));
        }
        fill(at, word, index, attributes, cells)?;
        let (at, value) = tokens.value(b'}')?;
        cells.push(cell(at, &value, &attributes[index])?);
        match tokens.rest().first() {
            Some(b',') => tokens.at += 1,
            Some(_) => {}
            None => {
                return Err(
                    Fault::new(tokens.at, tokens.line, "the sparse row has no end").hint("it ends with `}`")
                );
            }
        }
    }
    fill(tokens.at, b"}", attributes.len(), attributes, cells)?;
    tokens.at += 1;
    Ok(())
}

/// What a sparse row does not say is zero: the number, or the first name.
fn fill(
    at: usize,
    word: &[u8],
    to: usize,
    attributes: &[Attribute],
    cells: &mut Vec<Cell>,
) -> Result<(), Fault> {
    while cells.len() < to {
        let attribute = &attributes[cells.len()];
        cells.push(match &attribute.kind {
            Kind::Number => Cell::Number(0.0),
            Kind::Nominal(names) if !names.all.is_empty() => Cell::Name(0),
            _ => {
                let message =
                    format!("the sparse row has no value of `{}`, which has no zero", attribute.name);
                return Err(Fault::new(at, word, message).hint(SPARSE));
            }
        });
    }
    Ok(())
}

fn cell(at: usize, value: &Value<'_>, attribute: &Attribute) -> Result<Cell, Fault> {
    let bytes = &*value.bytes;
    if !value.quoted && bytes == b"?" {
        return Ok(Cell::Missing);
    }
    if !value.quoted && bytes.is_empty() {
        let message = format!("the value of `{}` is missing", attribute.name);
        return Err(Fault::new(at, bytes, message).hint(DENSE));
    }
    let refuse = |what: &str, hint| {
        Err(Fault::new(at, bytes, format!("the value of `{}` {what}", attribute.name)).hint(hint))
    };
    match &attribute.kind {
        Kind::Number => finite(at, bytes, "the value").map(Cell::Number),
        Kind::Text => text(at, bytes).map(Cell::Text),
        Kind::Nominal(names) => match names.numbers.get(bytes) {
            Some(number) => Ok(Cell::Name(*number)),
            None => refuse("is not one of its names", "add it to the list of the attribute, or correct it"),
        },
        Kind::Date(format) => match format.read(bytes) {
            Some(time) => Ok(Cell::Time(time)),
            None => refuse("is not a date of its format", "the format is that of the attribute"),
        },
    }
}
