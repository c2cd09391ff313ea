//! A table in CSV files: what is known of it before it is read, and where each piece starts.

use super::CsvOptions;
use super::fields::Dialect;
use super::infer::{self, Head};
use super::reader::CsvReader;
use super::row::Rules;
use super::scan::Ends;
use super::starts;
use super::value::Nulls;
use crate::lines::CHUNK_BYTES;
use crate::source::InputFile;
use crate::split::{Split, splits};
use crate::table::{BatchReader, Scan, TableSource};
use arrow_schema::{Field, Schema, SchemaRef};
use slackwater_dataflow::{Error, Result};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A table in CSV files. See the [module](super).
///
/// ```
/// use slackwater_loaders::{InputFile, format::csv::{CsvOptions, CsvTable}};
/// use slackwater_loaders::table::{Scan, TableSource};
///
/// let file = InputFile::from_bytes("cities.csv", "city,people\n\"Halle, Saale\",242000\nKiel,NA\n");
/// let table = CsvTable::of_files(&[file], 1, &CsvOptions::default())?;
/// let mut reader = table.open(0, &Scan::default())?;
/// let batch = reader.next_batch(&mut |bad| Err(bad.into()))?.expect("two rows");
/// assert_eq!((batch.num_rows(), batch.column(1).null_count()), (2, 1));
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
#[derive(Debug)]
pub struct CsvTable {
    shared: Arc<Shared>,
}

/// What all readers of a table share.
#[derive(Debug)]
pub(super) struct Shared {
    pub schema: SchemaRef,
    pub rules: Rules,
    pub options: CsvOptions,
    pub splits: Vec<Split>,
    /// By split: where the first record of its file starts that is no header.
    data: Vec<u64>,
    /// By split: where its first record starts, once that is known.
    firsts: Vec<OnceLock<u64>>,
    /// By split: the start of some later record, up to which a reader has come; 0 before there is one.
    reached: Vec<AtomicU64>,
}

/// More columns than this are a mistake, such as a wrong delimiter.
const COLUMNS_MAX: usize = 1 << 20;

impl CsvTable {
    /// The table in some parts of files, each of which is a piece.
    ///
    /// # Errors
    /// I/O; input, for files that are no table; configuration.
    pub fn open(splits: Vec<Split>, options: &CsvOptions) -> Result<CsvTable> {
        options.check()?;
        let nulls = Nulls::new(&options.nulls);
        let mut data = vec![];
        let mut known: Option<Known> = None;
        let mut last: Option<(InputFile, u64)> = None;
        for split in &splits {
            let start = match &last {
                Some((file, start)) if file.is_same(split.file()) => *start,
                _ => match &known {
                    None => {
                        let (found, start) = first_file(split.file(), &nulls, options)?;
                        known = found;
                        start
                    }
                    Some(known) => other_file(split.file(), known, options)?,
                },
            };
            data.push(start);
            last = Some((split.file().clone(), start));
        }
        let known = match (known, &options.columns) {
            (Some(known), _) => known,
            (None, Some(schema)) if !splits.is_empty() => {
                let dialect = options.dialect(options.delimiter.unwrap_or(b','));
                Known { dialect, schema: schema.clone(), header: None }
            }
            (None, _) => return Err(nothing(&splits, options)),
        };
        let rules = Rules {
            dialect: known.dialect,
            ends: Ends::new(known.dialect.delimiter, known.dialect.quote),
            nulls,
            decimal_comma: options.decimal_comma,
        };
        let firsts = splits.iter().map(|_| OnceLock::new()).collect();
        let reached = splits.iter().map(|_| AtomicU64::new(0)).collect();
        let options = options.clone();
        let shared = Shared { schema: known.schema, rules, options, splits, data, firsts, reached };
        Ok(CsvTable { shared: Arc::new(shared) })
    }

    /// The table in some files, in even pieces. See [`splits`].
    ///
    /// # Errors
    /// As [`CsvTable::open`].
    pub fn of_files(files: &[InputFile], min_splits: usize, options: &CsvOptions) -> Result<CsvTable> {
        CsvTable::open(splits(files, min_splits), options)
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What is between fields.
    pub fn delimiter(&self) -> u8 {
        self.shared.rules.dialect.delimiter
    }
}

/// What is known of a table when its first file has been looked at.
struct Known {
    dialect: Dialect,
    schema: SchemaRef,
    /// What the header of every file says; `None`: there is no header.
    header: Option<Vec<String>>,
}

fn nothing(splits: &[Split], options: &CsvOptions) -> Error {
    let name = splits.first().map_or("the table", |s| s.file().name());
    let hint = match options.header {
        Some(_) => "is it the right file?",
        None => "is it the right file? A table without rows needs a header, or its columns must be given",
    };
    Error::input(format!("{name} has no record, so it has no columns"), hint)
}

/// Looks at a file for what is the same in all; `None` if it has no records.
fn first_file(file: &InputFile, nulls: &Nulls, options: &CsvOptions) -> Result<(Option<Known>, u64)> {
    let head = Head::read(file, options.infer_bytes, options)?;
    let delimiter = options.delimiter.unwrap_or_else(|| infer::delimiter(&head, options));
    let dialect = options.dialect(delimiter);
    let found = infer::look(&head, &dialect, nulls, options);
    // Without a record, the next file may have some.
    let Some(found) = found else { return Ok((None, head.start())) };
    let given = options.columns.clone();
    if found.first.len() > COLUMNS_MAX {
        let message = format!("{}: the first record has {} fields", file.name(), found.first.len());
        return Err(Error::input(message, "is the delimiter right?"));
    }
    let given_names: Option<Vec<String>> =
        given.as_ref().map(|s| s.fields().iter().map(|f| f.name().clone()).collect());
    let header = options.header.unwrap_or_else(|| match &given_names {
        Some(names) => {
            let same = found.first.len() == names.len();
            same && (found.header || found.first.iter().zip(names).all(|(a, b)| a == b.as_bytes()))
        }
        None => found.header,
    });
    let header = header.then(|| infer::names(&head, &dialect, found.range.0)).transpose()?;
    if let (Some(found), Some(names)) = (&header, &given_names)
        && found != names
    {
        return Err(infer::names_differ(file, found, names, "the schema given"));
    }
    let schema = match given {
        Some(schema) => schema,
        None => {
            let names = match &header {
                Some(names) => infer::unique_names(names),
                None => (0..found.first.len()).map(infer::column_name).collect(),
            };
            let kinds = if header.is_some() { &found.rest } else { &found.all };
            let shown = infer::short_list(&names, 0);
            let mut fields: Vec<Field> =
                names.into_iter().zip(kinds).map(|(n, k)| Field::new(n, k.data_type(), true)).collect();
            for (name, data_type) in &options.types {
                let field = fields.iter_mut().find(|f| f.name() == name).ok_or_else(|| {
                    let message = format!("{} has no column `{name}`, whose type is given", file.name());
                    Error::input(message, format!("its columns are: {shown}"))
                })?;
                field.set_data_type(data_type.clone());
            }
            Arc::new(Schema::new(fields))
        }
    };
    let data = match &header {
        Some(_) => found.range.1 as u64,
        None => head.start(),
    };
    Ok((Some(Known { dialect, schema, header }), data))
}

/// Where the records of a file start that is not the first; its header must be the same.
fn other_file(file: &InputFile, known: &Known, options: &CsvOptions) -> Result<u64> {
    let head = Head::of_other(file, options)?;
    let Some(header) = &known.header else { return Ok(head.start()) };
    let Some((start, end)) = head.records(&known.dialect).next() else { return Ok(head.start()) };
    let names = infer::names(&head, &known.dialect, start)?;
    if names != *header {
        return Err(infer::names_differ(file, &names, header, "that of the first file"));
    }
    Ok(end as u64)
}

impl Shared {
    /// Where the first record of a piece starts. It may be beyond the piece: then the piece has none.
    pub fn first(&self, piece: usize) -> Result<u64> {
        if let Some(first) = self.firsts[piece].get() {
            return Ok(*first);
        }
        let split = &self.splits[piece];
        let (start, data) = (split.start(), self.data[piece]);
        let first = if start == 0 || start < data {
            data
        } else {
            let before = (0..piece).rev().take_while(|p| {
                let earlier = &self.splits[*p];
                earlier.file().is_same(split.file()) && earlier.start() < start
            });
            let mut known = before.filter_map(|p| {
                let first = *self.firsts[p].get()?;
                Some(first.max(self.reached[p].load(Ordering::Relaxed)))
            });
            let from = known.next().unwrap_or(data);
            starts::first_after(split.file(), from, start, &self.rules.dialect, CHUNK_BYTES)?
        };
        // Who else finds it finds the same.
        let _ = self.firsts[piece].set(first);
        Ok(first)
    }

    /// A reader of `piece` has come to `position`, where a record starts: who looks for later ones need not look before.
    pub fn has_come_to(&self, piece: usize, position: u64) {
        self.reached[piece].fetch_max(position.min(self.splits[piece].file().bytes()), Ordering::Relaxed);
    }

    /// A reader of `piece` has found that the next record starts at `position`, beyond the piece.
    pub fn next_starts(&self, piece: usize, position: u64) {
        let split = &self.splits[piece];
        if let Some(next) = self.splits.get(piece + 1)
            && next.file().is_same(split.file())
            && next.start() == split.end()
        {
            let _ = self.firsts[piece + 1].set(position.min(split.file().bytes()));
        }
    }
}

impl TableSource for CsvTable {
    fn schema(&self) -> &SchemaRef {
        &self.shared.schema
    }
    fn pieces(&self) -> usize {
        self.shared.splits.len()
    }
    fn describe(&self) -> String {
        const SHOWN: usize = 3;
        let splits = &self.shared.splits;
        let mut names: Vec<_> = splits.iter().map(|s| s.file().name()).collect();
        names.dedup();
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let bytes: u64 = splits.iter().map(Split::bytes).sum();
        format!("csv {}{more}, {bytes} bytes, {} columns", names.join(", "), self.schema().fields().len())
    }
    fn open(&self, piece: usize, scan: &Scan) -> Result<Box<dyn BatchReader>> {
        Ok(Box::new(CsvReader::open(self.shared.clone(), piece, scan)?))
    }
}
