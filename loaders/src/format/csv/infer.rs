//! What can be known of a file by looking at its start: delimiter, header, names, types.

use super::CsvOptions;
use super::fields::{Dialect, Field, undouble};
use super::value::{self, Kind, Nulls};
use crate::codec::Decoder;
use crate::lines::PADDING;
use crate::source::InputFile;
use slackwater_dataflow::{BadRecord, Error, Result};
use std::collections::{HashMap, HashSet};

/// The first bytes of a file, whole lines.
pub(super) struct Head {
    file: InputFile,
    /// [`PADDING`] bytes longer than what it holds.
    bytes: Vec<u8>,
    length: usize,
    /// Where the first record may start, after a byte order mark.
    start: usize,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Of the other files, only the first record is looked at.
const HEADER_BYTES: usize = 16 << 10;

impl Head {
    /// About the first `wanted` bytes of a file.
    pub fn read(file: &InputFile, wanted: usize, options: &CsvOptions) -> Result<Head> {
        let mut decoder = Decoder::open(file, options.limits.expansion)?;
        let mut head = Head { file: file.clone(), bytes: vec![], length: 0, start: 0 };
        let mut wanted = wanted.max(BYTE_ORDER_MARK.len());
        let mut filled = 0;
        loop {
            head.start = 0;
            head.bytes.resize(wanted + PADDING, 0);
            let mut ended = false;
            while filled < wanted && !ended {
                let n = decoder.read(&mut head.bytes[filled..wanted])?;
                filled += n;
                ended = n == 0;
            }
            if ended {
                if filled > 0 && head.bytes[filled - 1] != b'\n' {
                    head.bytes[filled] = b'\n';
                    filled += 1;
                }
                head.bytes.resize(filled + PADDING, 0);
                head.length = filled;
            } else {
                head.length = memchr::memrchr(b'\n', &head.bytes[..filled]).map_or(0, |at| at + 1);
            }
            if head.bytes[..filled].starts_with(BYTE_ORDER_MARK) {
                head.start = BYTE_ORDER_MARK.len();
                // Nothing but the mark, and the line end that was added.
                head.length = head.length.max(head.start);
            }
            let skipped = head.skip_lines(options.skip_lines);
            // At least one record, if the file has one, under any delimiter: so one line that is not in quotes.
            let dialect = options.dialect(options.delimiter.unwrap_or(b','));
            if ended || (skipped && head.records(&dialect).next().is_some()) {
                return Ok(head);
            }
            if wanted >= options.limits.line_bytes_max {
                let message = format!("the first record has more than {wanted} bytes");
                return Err(BadRecord::at(file.name(), 1, 0, message)
                    .bytes(&head.bytes[..BadRecord::BYTES_MAX + 1])
                    .hint("is this text, and is a quote not closed? If it is right, raise the limit")
                    .into());
            }
            wanted = (2 * wanted).min(options.limits.line_bytes_max);
        }
    }

    /// Starts after the first `lines` lines; false if there are fewer.
    fn skip_lines(&mut self, lines: usize) -> bool {
        let Some(last) = lines.checked_sub(1) else { return true };
        let found = memchr::memchr_iter(b'\n', &self.bytes[self.start..self.length]).nth(last);
        self.start = found.map_or(self.length, |at| self.start + at + 1);
        found.is_some()
    }

    /// The header of a file that is not the first.
    pub fn of_other(file: &InputFile, options: &CsvOptions) -> Result<Head> {
        Head::read(file, HEADER_BYTES, options)
    }

    /// Where the records start that are whole, and where each ends.
    pub fn records(&self, dialect: &Dialect) -> impl Iterator<Item = (usize, usize)> + use<'_> {
        let (dialect, mut at) = (*dialect, self.start);
        std::iter::from_fn(move || {
            loop {
                if at >= self.length {
                    return None;
                }
                match dialect.no_record(&self.bytes[at..self.length]) {
                    Some(n) => at += n,
                    None => break,
                }
            }
            let start = at;
            at = dialect.record(&self.bytes, at, self.length, |_, _| ())?.0;
            Some((start, at))
        })
    }

    /// The fields of the record at `start`.
    pub fn fields(&self, dialect: &Dialect, start: usize, see: impl FnMut(usize, Field<'_>)) -> usize {
        dialect.record(&self.bytes, start, self.length, see).map_or(0, |(_, fields)| fields)
    }

    /// Where the first record may start.
    pub fn start(&self) -> u64 {
        self.start as u64
    }
}

/// The delimiter of a file: with which most records have as many fields as the first one, and it more than one.
pub(super) fn delimiter(head: &Head, options: &CsvOptions) -> u8 {
    const RECORDS_MAX: usize = 200;
    let name = head.file.name().to_ascii_lowercase();
    let tabs = [".tsv", ".tab"].iter().any(|e| name.contains(e));
    let mut best = (0, 0, b',');
    for candidate in [b',', b'\t', b';', b'|'] {
        if Some(candidate) == options.quote
            || Some(candidate) == options.comment
            || (options.decimal_comma && candidate == b',')
        {
            continue;
        }
        let dialect = options.dialect(candidate);
        let mut counts =
            head.records(&dialect).take(RECORDS_MAX).map(|(at, _)| head.fields(&dialect, at, |_, _| ()));
        let first = counts.next().unwrap_or(0);
        if first < 2 {
            continue;
        }
        if candidate == b'\t' && tabs {
            return candidate;
        }
        let same = 1 + counts.filter(|n| *n == first).count();
        if (same, first) > (best.0, best.1) {
            best = (same, first, candidate);
        }
    }
    match best {
        (0, ..) if tabs => b'\t',
        (0, ..) if options.decimal_comma => b';',
        _ => best.2,
    }
}

/// Which types all values seen so far are of.
#[derive(Debug, Clone, Copy)]
struct Seen {
    values: bool,
    boolean: bool,
    integer: bool,
    float: bool,
    date: bool,
    time: bool,
    time_utc: bool,
}

impl Seen {
    const NOTHING: Seen = Seen {
        values: false,
        boolean: true,
        integer: true,
        float: true,
        date: true,
        time: true,
        time_utc: true,
    };
    fn see(&mut self, content: &[u8], decimal_comma: bool) {
        let content = value::trim(content);
        self.values = true;
        self.boolean = self.boolean && value::boolean(content).is_some();
        self.integer = self.integer && value::integer(content).is_some();
        self.float = self.float && value::float(content, decimal_comma).is_some();
        self.date = self.date && value::date(content).is_some();
        if self.time || self.time_utc {
            let utc = value::time(content).map(|(_, utc)| utc);
            self.time = self.time && utc == Some(false);
            self.time_utc = self.time_utc && utc == Some(true);
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Seen { values: false, .. } => Kind::Text,
            Seen { boolean: true, .. } => Kind::Boolean,
            Seen { integer: true, .. } => Kind::Integer,
            Seen { float: true, .. } => Kind::Float,
            Seen { date: true, .. } => Kind::Date,
            Seen { time: true, .. } => Kind::Time { utc: false },
            Seen { time_utc: true, .. } => Kind::Time { utc: true },
            _ => Kind::Text,
        }
    }
}

/// What was found out about the columns.
pub(super) struct Found {
    /// The fields of the first record.
    pub first: Vec<Vec<u8>>,
    /// Where it starts and where it ends.
    pub range: (usize, usize),
    /// The types of the records after it.
    pub rest: Vec<Kind>,
    /// The types of all records.
    pub all: Vec<Kind>,
    /// The first record looks like a header.
    pub header: bool,
}

/// Looks at the records of a file. `None` if it has none.
pub(super) fn look(head: &Head, dialect: &Dialect, nulls: &Nulls, options: &CsvOptions) -> Option<Found> {
    let mut records = head.records(dialect);
    let (start, end) = records.next()?;
    let first = contents(head, dialect, start);
    let columns = first.len();
    let mut rest = vec![Seen::NOTHING; columns];
    let mut again = false;
    for (start, _) in records {
        head.fields(dialect, start, |i, field| {
            if i >= columns {
                return;
            }
            // Whether a text is null does not make it another type.
            if !nulls.has_field(Kind::Boolean, field.content, field.quoted) {
                rest[i].see(field.content, options.decimal_comma);
            }
            again = again || (!field.content.is_empty() && field.content == first[i]);
        });
    }
    let mut all = rest.clone();
    let (mut text, mut named, mut alone, mut marked) = (true, false, false, false);
    head.fields(dialect, start, |i, field| {
        if nulls.has_field(Kind::Boolean, field.content, field.quoted) {
            // A header may lack a name (that of row names), but it has no other mark of a missing value.
            marked |= !value::trim(field.content).is_empty();
            return;
        }
        named = true;
        let mut own = Seen::NOTHING;
        own.see(field.content, options.decimal_comma);
        text &= own.kind() == Kind::Text;
        // A text over numbers is a name, also where names beside it are numbers: `label,1,2` or `country,1990,1991`.
        alone |= own.kind() == Kind::Text && rest.get(i).is_some_and(|below| below.kind() != Kind::Text);
        all[i].see(field.content, options.decimal_comma);
    });
    let other_below = rest.iter().any(|seen| seen.kind() != Kind::Text);
    let distinct = first.iter().collect::<HashSet<_>>().len() == columns;
    let usual = text && named && (other_below || (distinct && !again));
    let header = !marked && (usual || (alone && distinct));
    Some(Found {
        first,
        range: (start, end),
        rest: rest.iter().map(Seen::kind).collect(),
        all: all.iter().map(Seen::kind).collect(),
        header,
    })
}

/// The fields of a record, without quotes.
fn contents(head: &Head, dialect: &Dialect, start: usize) -> Vec<Vec<u8>> {
    let mut contents = vec![];
    head.fields(dialect, start, |_, field| {
        let mut content = vec![];
        match dialect.quote {
            Some(quote) if field.doubled => undouble(field.content, quote, &mut content),
            _ => content.extend_from_slice(field.content),
        }
        contents.push(content);
    });
    contents
}

/// The names in the header at `start`.
pub(super) fn names(head: &Head, dialect: &Dialect, start: usize) -> Result<Vec<String>> {
    let text = |(number, content): (usize, Vec<u8>)| {
        String::from_utf8(content).map_err(|e| {
            let line = 1 + memchr::memchr_iter(b'\n', &head.bytes[..start]).count() as u64;
            let message = format!("the name of column {} is not UTF-8", number + 1);
            BadRecord::at(head.file.name(), line, 0, message)
                .bytes(e.as_bytes())
                .hint(super::careful::UTF8)
                .into()
        })
    };
    contents(head, dialect, start).into_iter().enumerate().map(text).collect()
}

/// Names that are not empty and all different.
pub(super) fn unique_names(names: &[String]) -> Vec<String> {
    let in_file: HashSet<&String> = names.iter().collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut counts: HashMap<&String, usize> = HashMap::new();
    let mut unique = vec![];
    for (i, name) in names.iter().enumerate() {
        let mut candidate = if name.is_empty() { column_name(i) } else { name.clone() };
        if taken.contains(&candidate) {
            let (base, count) = (candidate, counts.entry(name).or_insert(0));
            candidate = loop {
                *count += 1;
                let candidate = format!("{base}.{count}");
                // Not a name that another column has in the file either.
                if !taken.contains(&candidate) && !in_file.contains(&candidate) {
                    break candidate;
                }
            };
        }
        taken.insert(candidate.clone());
        unique.push(candidate);
    }
    unique
}

/// What a column without a name is called.
pub(super) fn column_name(number: usize) -> String {
    format!("column_{}", number + 1)
}

/// The error for names that are not those that there should be.
pub(super) fn names_differ(file: &InputFile, found: &[String], wanted: &[String], whose: &str) -> Error {
    let at = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let show = |names: &[String]| match names.get(at) {
        Some(name) => format!("`{name}`"),
        None => "nothing more".to_string(),
    };
    Error::input(
        format!(
            "{}: the header differs from {whose}: column {} is {} instead of {} ({} columns instead of {})\n  found:    {}\n  expected: {}",
            file.name(),
            at + 1,
            show(found),
            show(wanted),
            found.len(),
            wanted.len(),
            short_list(found, at),
            short_list(wanted, at)
        ),
        "the files of a table have the same columns in the same order; has one of them no header?",
    )
}

/// Some names around number `at`.
pub(super) fn short_list(names: &[String], at: usize) -> String {
    const SHOWN: usize = 12;
    let from = at.saturating_sub(SHOWN / 2).min(names.len());
    let to = (from + SHOWN).min(names.len());
    let before = if from > 0 { "..., " } else { "" };
    let after = if to < names.len() { ", ..." } else { "" };
    format!("{before}{}{after}", names[from..to].join(", "))
}
