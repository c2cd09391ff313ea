//! Any file as a table: which format it is in, and its reader.
//!
//! [`Format::detect`] looks at the first bytes (unpacked), then at the name without the ending of a codec, then at what the first
//! line looks like:
//!
//! | what is there | format |
//! |---|---|
//! | begins with `PAR1`, `ARROW1`, a schema message of Arrow, an IDX head, `%%MatrixMarket`, `MARKOV` or `BAYES` | that |
//! | called `*.csv`, `*.tsv`, `*.jsonl`, `*.svm`, `*.vw`, `*.mtx`, `*.gr`, `*.graph`, ... | that |
//! | the first line begins with `{`; or has a word like `3:0.5`; or `\|`; or a `,`, `;` or tab | JSON lines, LIBSVM, Vowpal Wabbit, CSV |
//! | anything else | not told |
//!
//! All files that are read together are in the format of the first that is not empty.

use crate::codec::{Compression, Decoder};
use crate::format::arff::ArffTable;
use crate::format::arrow_ipc::{ArrowFileTable, ArrowStreamTable};
use crate::format::bag_of_words::{BagFormat, BagOfWords, BagOptions};
use crate::format::binary::BinaryRecords;
use crate::format::csv::{CsvOptions, CsvTable};
use crate::format::graph::{Graph, GraphFormat, GraphOptions};
use crate::format::idx::IdxTable;
use crate::format::json_lines::{JsonLinesTable, JsonOptions};
use crate::format::libsvm::{LibsvmOptions, LibsvmTable};
use crate::format::matrix_market::MatrixMarket;
use crate::format::parquet::ParquetTable;
use crate::format::ratings_table::Ratings;
use crate::format::text_table::{TextTable, WholeTextTable};
use crate::format::uai::UaiTable;
use crate::format::vowpal_wabbit::{VwOptions, VwTable};
use crate::lines::ReadLimits;
use crate::source::InputFile;
use crate::split::splits;
use crate::table::{Partitioned, TableSource};
use slackwater_dataflow::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// What a file is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// [LIBSVM text](crate::format::libsvm).
    Libsvm,
    /// [CSV](crate::format::csv).
    Csv,
    /// CSV with tabs.
    Tsv,
    /// [Apache Parquet](crate::format::parquet).
    Parquet,
    /// [Arrow IPC](crate::format::arrow_ipc), a file.
    Arrow,
    /// Arrow IPC, a stream.
    ArrowStream,
    /// [JSON lines](crate::format::json_lines).
    JsonLines,
    /// [A matrix](crate::format::matrix_market), as its entries.
    MatrixMarket,
    /// [Edges](crate::format::edges) of a graph.
    Edges,
    /// [Neighbours](crate::format::adjacency) of vertices.
    Adjacency,
    /// [METIS](crate::format::metis).
    Metis,
    /// [DIMACS](crate::format::dimacs).
    Dimacs,
    /// [Vowpal Wabbit](crate::format::vowpal_wabbit).
    VowpalWabbit,
    /// [IDX](crate::format::idx); of two files, the second has the labels of the first.
    Idx,
    /// [ARFF](crate::format::arff).
    Arff,
    /// [Bags of words](crate::format::bag_of_words), as cells: triples, or UCI's files.
    Words,
    /// Bags of words as lda-c has them.
    Ldac,
    /// [Ratings](crate::format::ratings).
    Ratings,
    /// [Graphical models](crate::format::uai), as factors.
    Uai,
    /// Lines of [text](crate::format::text).
    Text,
    /// Whole files of text with their names.
    WholeText,
    /// [Records of a fixed length](crate::format::binary).
    Binary,
}

/// Formats with their names and the endings of their files, the usual one first.
const FORMATS: &[(Format, &str, &[&str])] = &[
    (Format::Libsvm, "libsvm", &["svm", "libsvm", "svmlight"]),
    (Format::Csv, "csv", &["csv"]),
    (Format::Tsv, "tsv", &["tsv", "tab"]),
    (Format::Parquet, "parquet", &["parquet", "pq"]),
    (Format::Arrow, "arrow", &["arrow", "feather", "ipc"]),
    (Format::ArrowStream, "arrows", &["arrows"]),
    (Format::JsonLines, "jsonl", &["jsonl", "ndjson", "json"]),
    (Format::MatrixMarket, "mtx", &["mtx", "mmt"]),
    (Format::Edges, "edges", &["edges", "edgelist", "el"]),
    (Format::Adjacency, "adjacency", &[]),
    (Format::Metis, "metis", &["metis", "graph"]),
    (Format::Dimacs, "dimacs", &["gr", "dimacs"]),
    (Format::VowpalWabbit, "vw", &["vw"]),
    (Format::Idx, "idx", &["idx"]),
    (Format::Arff, "arff", &["arff"]),
    (Format::Words, "words", &["docword"]),
    (Format::Ldac, "ldac", &["ldac"]),
    (Format::Ratings, "ratings", &[]),
    (Format::Uai, "uai", &["uai"]),
    (Format::Text, "text", &["txt"]),
    (Format::WholeText, "whole-text", &[]),
    (Format::Binary, "binary", &[]),
];

/// How much of a file is looked at to tell its format.
const HEAD_BYTES: usize = 4 << 10;

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Format> {
        FORMATS.iter().map(|(format, ..)| *format)
    }
    fn about(self) -> &'static (Format, &'static str, &'static [&'static str]) {
        FORMATS.iter().find(|(format, ..)| *format == self).expect("the list has every format")
    }
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.about().1
    }
    /// The usual ending of its files, with that of the codec that they are packed with.
    pub fn extension(self, packed: Option<Compression>) -> String {
        let own = self.about().2.first().copied().unwrap_or(self.name());
        let codec = match packed {
            Some(Compression::Gzip) => ".gz",
            Some(Compression::Zstd) => ".zst",
            Some(Compression::Bzip2) => ".bz2",
            Some(Compression::Lz4) => ".lz4",
            Some(Compression::Snappy) => ".sz",
            _ => "",
        };
        let packs_itself = matches!(self, Format::Parquet | Format::Arrow | Format::ArrowStream);
        format!("{own}{}", if packs_itself { "" } else { codec })
    }
    /// The format of this name, or that files with this ending are in.
    pub fn of_name(name: &str) -> Option<Format> {
        let name = name.to_ascii_lowercase();
        FORMATS
            .iter()
            .find(|(_, n, endings)| *n == name || endings.contains(&name.as_str()))
            .map(|(f, ..)| *f)
    }
    /// What the name of a file says, without the ending of a codec.
    pub fn of_path(path: &Path) -> Option<Format> {
        let packed = Compression::from_extension(path) != Compression::None;
        let path = if packed { path.with_extension("") } else { path.to_path_buf() };
        let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
        if name.ends_with("-ubyte") || name.contains(".idx") || name.contains("-idx") {
            return Some(Format::Idx);
        }
        Format::of_name(path.extension()?.to_str()?)
    }
    /// The format of a file, if it can be told. See the [module](self).
    ///
    /// # Errors
    /// I/O; data, for a packed file that is damaged.
    pub fn detect(file: &InputFile) -> Result<Option<Format>> {
        let head = head(file)?;
        let named = || Format::of_path(Path::new(file.name())).filter(|f| *f != Format::Text);
        Ok(of_content(&head).or_else(named).or_else(|| of_first_line(&head)))
    }
}

/// The first bytes, unpacked.
fn head(file: &InputFile) -> Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let mut decoder = Decoder::open_at(file, 0..HEAD_BYTES as u64, ReadLimits::default().expansion)?;
    let mut filled = 0;
    while filled < head.len() {
        match decoder.read(&mut head[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    head.truncate(filled);
    Ok(head)
}

fn of_content(head: &[u8]) -> Option<Format> {
    match head {
        [b'P', b'A', b'R', b'1' | b'E', ..] => Some(Format::Parquet),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Some(Format::Arrow),
        [0xff, 0xff, 0xff, 0xff, _, _, _, 0, ..] => Some(Format::ArrowStream),
        [0, 0, 0x08 | 0x09 | 0x0b | 0x0c | 0x0d | 0x0e, 1..=4, ..] => Some(Format::Idx),
        _ if [&b"MARKOV"[..], b"BAYES"].iter().any(|m| head.trim_ascii_start().starts_with(m)) => {
            Some(Format::Uai)
        }
        _ if head.get(..14).is_some_and(|h| h.eq_ignore_ascii_case(b"%%MatrixMarket")) => {
            Some(Format::MatrixMarket)
        }
        _ => None,
    }
}

fn of_first_line(head: &[u8]) -> Option<Format> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut lines = head.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let line = lines.find(|l| !l.is_empty() && !l.starts_with(b"#") && !l.starts_with(b"%"))?;
    if line.contains(&0) {
        return None;
    }
    let pair = |word: &[u8]| {
        let at = word.iter().position(|b| *b == b':')?;
        let (index, value) = (&word[..at], &word[at + 1..]);
        let digits = !index.is_empty() && index.iter().all(u8::is_ascii_digit);
        (digits && fast_float2::parse::<f64, _>(value).is_ok()).then_some(())
    };
    let words = || line.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty());
    if line.starts_with(b"{") {
        Some(Format::JsonLines)
    } else if line.get(..9).is_some_and(|l| l.eq_ignore_ascii_case(b"@relation")) {
        Some(Format::Arff)
    } else if line.windows(2).filter(|w| w == b"::").count() >= 2 {
        Some(Format::Ratings)
    } else if line.starts_with(b"p ") || line.starts_with(b"a ") {
        Some(Format::Dimacs)
    } else if words().nth(1).is_some_and(|w| pair(w).is_some() || w.starts_with(b"qid:")) {
        Some(Format::Libsvm)
    } else if line.contains(&b'|') && !line.contains(&b',') {
        Some(Format::VowpalWabbit)
    } else if line.contains(&b'\t') {
        Some(Format::Tsv)
    } else if line.contains(&b',') || line.contains(&b';') {
        Some(Format::Csv)
    } else {
        None
    }
}

/// How files are read, whatever they are in.
#[derive(Debug, Clone, Default)]
pub struct TableOptions {
    /// What the files are in. `None`: told by the first of them.
    pub format: Option<Format>,
    /// For CSV and TSV.
    pub csv: CsvOptions,
    /// For JSON lines.
    pub json: JsonOptions,
    /// For LIBSVM text.
    pub libsvm: LibsvmOptions,
    /// For Vowpal Wabbit's text.
    pub vowpal_wabbit: VwOptions,
    /// Bytes of a binary record.
    pub record_bytes: Option<usize>,
    /// Limits on lines and packed files, for the others.
    pub limits: ReadLimits,
}

/// The format of files that are read together.
///
/// # Errors
/// Input, if it cannot be told.
pub fn format_of(files: &[InputFile], options: &TableOptions) -> Result<Format> {
    if let Some(format) = options.format {
        return Ok(format);
    }
    let Some(first) = files.iter().find(|f| f.bytes() > 0).or(files.first()) else {
        return Err(Error::input("no input files", "name at least one file"));
    };
    Format::detect(first)?.ok_or_else(|| {
        let names: Vec<&str> = Format::all().map(Format::name).collect();
        Error::input(
            format!("what `{}` is in cannot be told from its name or its first line", first.name()),
            format!("say it: one of {}", names.join(", ")),
        )
    })
}

/// Files as one table, in at least `min_pieces` pieces where they can be divided and are not very small.
///
/// # Errors
/// I/O; input, for files that are not of their format or do not have the same columns.
pub fn open_table(
    files: &[InputFile],
    options: &TableOptions,
    min_pieces: usize,
) -> Result<Arc<dyn TableSource>> {
    // Each folder of a divided table is one of its own; the format is that of the first file of all.
    let format = format_of(files, options)?;
    let same = TableOptions { format: Some(format), ..options.clone() };
    let pieces = |some: usize| (min_pieces * some / files.len().max(1)).max(1);
    if let Some(table) = Partitioned::open(files, |some| open_alike(some, &same, pieces(some.len())))? {
        return Ok(Arc::new(table));
    }
    open_alike(files, &same, min_pieces)
}

/// [`open_table`] of files of one folder.
fn open_alike(
    files: &[InputFile],
    options: &TableOptions,
    min_pieces: usize,
) -> Result<Arc<dyn TableSource>> {
    let limits = options.limits;
    let graph = |format| -> Result<Arc<dyn TableSource>> {
        let options = GraphOptions { format: Some(format), limits, ..GraphOptions::default() };
        Ok(Arc::new(Graph::open(files, &options, min_pieces)?.into_table()))
    };
    let even = || splits(files, min_pieces);
    Ok(match format_of(files, options)? {
        Format::Csv => Arc::new(CsvTable::open(even(), &options.csv)?),
        Format::Tsv => {
            let csv = CsvOptions { delimiter: options.csv.delimiter.or(Some(b'\t')), ..options.csv.clone() };
            Arc::new(CsvTable::open(even(), &csv)?)
        }
        Format::Parquet => Arc::new(ParquetTable::open(files, min_pieces)?),
        Format::Arrow => Arc::new(ArrowFileTable::open(files, min_pieces)?),
        Format::ArrowStream => Arc::new(ArrowStreamTable::open(files)?),
        Format::JsonLines => Arc::new(JsonLinesTable::open(files, even(), options.json.clone())?),
        Format::MatrixMarket => match files {
            [file] => Arc::new(MatrixMarket::open(file, limits, min_pieces)?.into_table()),
            _ => return Err(one_at_a_time("matrix")),
        },
        Format::Edges => graph(GraphFormat::EdgeList)?,
        Format::Adjacency => graph(GraphFormat::Adjacency)?,
        Format::Metis => graph(GraphFormat::Metis)?,
        Format::Dimacs => graph(GraphFormat::Dimacs)?,
        Format::VowpalWabbit => Arc::new(VwTable::open(files, options.vowpal_wabbit, min_pieces)?),
        Format::Idx => match files {
            [values] => Arc::new(IdxTable::open(values, None, limits, min_pieces)?),
            [values, labels] => Arc::new(IdxTable::open(values, Some(labels), limits, min_pieces)?),
            _ => return Err(one_at_a_time("IDX file, or one and its labels,")),
        },
        Format::Libsvm => Arc::new(LibsvmTable::open(files, options.libsvm, min_pieces)?),
        Format::Arff => Arc::new(ArffTable::open(files, limits, min_pieces)?),
        Format::Words => Arc::new(
            BagOfWords::open(files, None, &BagOptions { limits, ..BagOptions::default() }, min_pieces)?
                .into_table(),
        ),
        Format::Ldac => {
            let bags = BagOptions { format: Some(BagFormat::Ldac), limits, ..BagOptions::default() };
            Arc::new(BagOfWords::open(files, None, &bags, min_pieces)?.into_table())
        }
        Format::Ratings => Arc::new(Ratings::open(files, limits, min_pieces)?.into_table()),
        Format::Uai => Arc::new(UaiTable::open(files, limits)),
        Format::Text => Arc::new(TextTable::open(files, limits, min_pieces)),
        Format::WholeText => Arc::new(WholeTextTable::open(files, limits)),
        Format::Binary => {
            let length = options.record_bytes.ok_or_else(|| {
                Error::config("record-bytes", "says how long a binary record is, and is needed")
            })?;
            Arc::new(BinaryRecords::open(files, length, limits, min_pieces)?.into_table())
        }
    })
}

fn one_at_a_time(what: &str) -> Error {
    Error::input(format!("one {what} is read at a time"), "name one, or convert them one by one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        for (name, head, want) in [
            ("x", &b"PAR1...."[..], Some(Format::Parquet)),
            ("x.csv", b"ARROW1\0\0", Some(Format::Arrow)),
            ("x", b"\0\0\x08\x03\0\0\0\x01", Some(Format::Idx)),
            ("x.csv", b"a b\n", Some(Format::Csv)),
            ("x.TSV.gz", b"a b\n", Some(Format::Tsv)),
            ("a9a", b"-1 3:1 11:1\n", Some(Format::Libsvm)),
            ("a9a.txt", b"# c\n\n+1 qid:3 1:0.5\n", Some(Format::Libsvm)),
            ("x", b"{\"a\": 1}\n", Some(Format::JsonLines)),
            ("x", b"1 | a:2 b\n", Some(Format::VowpalWabbit)),
            ("x", b"a,b\n", Some(Format::Csv)),
            ("x", b"a\tb\n", Some(Format::Tsv)),
            ("x", b"c comment\n", None),
            ("x.gr", b"c comment\n", Some(Format::Dimacs)),
            ("x", b"%%matrixmarket matrix\n", Some(Format::MatrixMarket)),
            ("x", b"hello world\n", None),
            ("x", b"", None),
        ] {
            let file = InputFile::from_bytes(name, head);
            assert_eq!(Format::detect(&file).unwrap(), want, "{name} {}", head.escape_ascii());
        }
        for format in Format::all() {
            assert_eq!(Format::of_name(format.name()), Some(format));
        }
        assert_eq!(Format::of_path(Path::new("train-images-idx3-ubyte.gz")), Some(Format::Idx));
    }
}
