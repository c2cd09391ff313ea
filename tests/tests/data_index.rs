//! Every file of the index of real data sets, when `SLACKWATER_DATA` says where they are: read by our own readers, with the
//! counts of the index. A file that nobody reads is in a list here, with the reason; one that is in no list fails.
//!
//! The index (`FILES.tsv`) has for each file bytes, rows, columns, non-zeros and how it was checked. What its rows are
//! depends on that: rows of data where a library of the format was asked (scikit-learn, scipy, pandas, ...), and **line feeds**
//! where it says `utf-8`. Those are compared with our lines of text, of which there is one more if the last has no end; and
//! what is read of such a file is compared with its lines without head, comments and blank lines.
//!
//! CSV and TSV tables, Parquet and Arrow files are checked elsewhere in the same manner: [`OTHERS`].

use slackwater_dataflow::Result;
use slackwater_loaders::format::arff::ArffTable;
use slackwater_loaders::format::bag_of_words::{BagFormat, BagOfWords, BagOptions};
use slackwater_loaders::format::edges::Vertices;
use slackwater_loaders::format::graph::{Graph, GraphFormat, GraphOptions};
use slackwater_loaders::format::idx::IdxTable;
use slackwater_loaders::format::libsvm::{LibsvmOptions, LibsvmReader, LibsvmTable};
use slackwater_loaders::format::matrix_market::{Layout, MatrixMarket};
use slackwater_loaders::format::ratings_table::Ratings;
use slackwater_loaders::format::records::RecordSource;
use slackwater_loaders::format::text::read_whole;
use slackwater_loaders::format::text_table::TextTable;
use slackwater_loaders::format::uai::{FactorGraph, UaiTable, read_partition_function};
use slackwater_loaders::format::vowpal_wabbit::{VwFeatures, VwOptions, VwReader, VwTable};
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, ReadLimits, Split};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Read {
    Libsvm,
    VowpalWabbit,
    MatrixMarket,
    /// A matrix that must be refused.
    Mangled,
    Arff,
    Idx,
    Bag(BagFormat),
    Edges,
    Adjacency,
    Metis,
    Vertices,
    Ratings,
    Uai,
    Evidence,
    PartitionFunction,
    /// Prose, names, outputs: lines are all that there is.
    Text,
}

/// Which files are read as what, by the end of their name or the start of their path; the first that fits.
const READ: &[(&str, Read)] = &[
    ("lagraph_mtx/mangled*", Read::Mangled),
    ("*.mtx", Read::MatrixMarket),
    ("*.mtx.gz", Read::MatrixMarket),
    ("*.mmt", Read::MatrixMarket),
    ("*.mmt.gz", Read::MatrixMarket),
    ("*.arff.gz", Read::Arff),
    ("mnist/*", Read::Idx),
    ("*/docword.kos.txt.gz", Read::Bag(BagFormat::Uci)),
    ("*/docword.ap.txt.gz", Read::Bag(BagFormat::Uci)),
    ("*.ldac.gz", Read::Bag(BagFormat::Ldac)),
    ("*.uai", Read::Uai),
    ("*.uai.gz", Read::Uai),
    ("*.uai.evid", Read::Evidence),
    ("*.uai.PR", Read::PartitionFunction),
    ("rcv1_small_vw/*", Read::VowpalWabbit),
    ("networkit_metis/*", Read::Metis),
    ("road_bremen/*", Read::Edges),
    ("ldbc_graphalytics_validation/*.e", Read::Edges),
    ("ldbc_graphalytics_validation/*.v", Read::Vertices),
    ("ldbc_graphalytics_validation/*-input", Read::Adjacency),
    ("ca-GrQc/*", Read::Edges),
    ("ca-HepTh/*", Read::Edges),
    ("email-Enron/*", Read::Edges),
    ("facebook_combined/*", Read::Edges),
    ("p2p-Gnutella31/*", Read::Edges),
    ("wiki-Vote/*", Read::Edges),
    ("webgraph_cnr-2000/cnr-2000.edges.tsv.gz", Read::Edges),
    ("cugraph_small/*.csv", Read::Edges),
    ("cugraph_small/*.csv.gz", Read::Edges),
    ("spark_data/graphx/followers.txt", Read::Edges),
    ("spark_data/mllib/pagerank_data.txt", Read::Edges),
    ("spark_data/mllib/pic_data.txt", Read::Edges),
    ("jester1/ratings.tsv.gz", Read::Ratings),
    ("ml-latest-small/ratings.csv.gz", Read::Ratings),
    ("spark_data/mllib/als/*", Read::Ratings),
    ("spark_data/mllib/sample_movielens_data.txt", Read::Ratings),
    ("spark_data/mllib/sample_libsvm_data.txt", Read::Libsvm),
    ("spark_data/mllib/sample_binary_classification_data.txt", Read::Libsvm),
    ("spark_data/mllib/sample_multiclass_classification_data.txt", Read::Libsvm),
    ("spark_data/mllib/sample_linear_regression_data.txt", Read::Libsvm),
    ("spark_data/mllib/sample_isotonic_regression_libsvm_data.txt", Read::Libsvm),
    ("spark_data/mllib/sample_lda_libsvm_data.txt", Read::Libsvm),
    ("spark_data/mllib/sample_kmeans_data.txt", Read::Libsvm),
    // Words, text, outputs to compare with.
    ("20news_bydate_bow/*.txt*", Read::Text),
    ("ap_corpus/vocab.*", Read::Text),
    ("reuters395_lda/reuters.t*", Read::Text),
    ("gensim_testdata/*", Read::Text),
    ("janeausten/*", Read::Text),
    ("text8_head/*", Read::Text),
    ("lagraph_mtx/comments.txt", Read::Text),
    ("ldbc_graphalytics_validation/*-output", Read::Text),
    ("ldbc_graphalytics_validation/example/*", Read::Text),
    ("spark_data/streaming/AFINN-111.txt", Read::Text),
    ("spark_data/mllib/images/*", Read::Text),
    ("spark_data/mllib/sample_fpgrowth.txt", Read::Text),
    ("wheat_cimmyt/sets.txt", Read::Text),
    ("california_housing/cal_housing.domain", Read::Text),
    ("higgs_7k/train.conf", Read::Text),
    ("covtype_small_petuum/*.meta", Read::Text),
    ("webgraph_cnr-2000/cnr-2000.properties", Read::Text),
    ("ml-latest-small/README.txt", Read::Text),
    // What scikit-learn has read as LIBSVM text.
    ("20news_bydate_bow/*.libsvm.gz", Read::Libsvm),
    ("a1a/*", Read::Libsvm),
    ("a8a/*", Read::Libsvm),
    ("a9a/*", Read::Libsvm),
    ("abalone_scale/*", Read::Libsvm),
    ("covtype_small_petuum/*", Read::Libsvm),
    ("dna_scale/*", Read::Libsvm),
    ("german_numer/*", Read::Libsvm),
    ("heart_scale/*", Read::Libsvm),
    ("letter_scale/*", Read::Libsvm),
    ("mushrooms_agaricus/*", Read::Libsvm),
    ("phishing/*", Read::Libsvm),
    ("svmguide1/*", Read::Libsvm),
];

/// Tables in files, which are checked elsewhere in the same manner.
const OTHERS: &[(&str, &str)] = &[
    (
        "arrow-testing/*",
        "Arrow IPC: loaders/tests/arrow_testing.rs; Parquet: loaders/tests/parquet_testing.rs; CSV",
    ),
    ("parquet-testing/*", "Parquet: loaders/tests/parquet_testing.rs"),
    ("*.parquet", "Parquet: loaders/tests/parquet_testing.rs and parquet_pruning.rs"),
    ("*.csv", "CSV"),
    ("*.csv.gz", "CSV"),
    ("pmlb/*.tsv.gz", "TSV"),
    ("california_housing/cal_housing.data.gz", "CSV without names"),
    ("covtype_20k/*", "CSV without names"),
    ("higgs_7k/binary.*", "TSV without names"),
    ("kdd99/*", "CSV without names"),
    ("spark_data/graphx/users.txt", "CSV without names"),
    ("spark_data/mllib/ridge-data/lpsa.data", "a label, a comma and values with blanks between"),
    ("spark_data/mllib/gmm_data.txt", "values with blanks between"),
    ("spark_data/mllib/kmeans_data.txt", "values with blanks between"),
    ("spark_data/mllib/sample_lda_data.txt", "values with blanks between"),
    ("spark_data/mllib/sample_svm_data.txt", "values with blanks between"),
];

/// Files that nobody reads as what they are. Where they are text, their lines are counted.
const NOT_READ: &[(&str, &str)] = &[
    ("bnlearn_bif/*", "Bayesian networks in BIF: there is a reader of UAI models only"),
    ("libdai_tests/*", "factor graphs of libDAI, its configuration and outputs"),
    ("toulbar2/*", "weighted constraint networks (CFN, WCSP, QPBO)"),
    (
        "webgraph_cnr-2000/cnr-2000.graph.gz",
        "a BVGraph, packed by WebGraph; its edges are there as text, too",
    ),
    ("webgraph_cnr-2000/cnr-2000.sccsizes.gz", "a list of big-endian integers without a head"),
    ("lagraph_mtx/garbage.lagraph", "a file of LAGraph's own that is garbage by intention"),
    ("nltk_*", "zip archives: members must be unpacked first"),
    ("spark_data/mllib/streaming_kmeans_data_test.txt", "Spark's own `(label), [values]`"),
];

/// Sets that may not be given away: the index has them, the folder need not.
const ABSENT: &[&str] = &[
    "criteo_tiny/",
    "jester1/jester-data-1.zip",
    "ml-100k/",
    "nltk_abc/",
    "nltk_webtext/",
    "nycflights13/flights.csv.gz",
];

/// Files beside the index that it does not list.
const NOT_IN_THE_INDEX: &[&str] = &["FILES.tsv", "INDEX.md", "daily_kos/", "daily_kos_reference_run/"];

/// True if `path` is what `pattern` means: `*` is anything.
fn fits(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = path.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn found<T: Copy>(table: &[(&str, T)], path: &str) -> Option<T> {
    table.iter().find(|(pattern, _)| fits(pattern, path)).map(|(_, what)| *what)
}

fn data() -> Option<PathBuf> {
    let data = std::env::var_os("SLACKWATER_DATA").map(PathBuf::from);
    if data.is_none() {
        eprintln!("not run: SLACKWATER_DATA does not say where the data sets are");
    }
    data
}

/// A line of `FILES.tsv`.
struct Listed {
    path: String,
    bytes: u64,
    rows: Option<u64>,
    columns: Option<u64>,
    nonzeros: Option<u64>,
    check: String,
}

fn index(data: &Path) -> Vec<Listed> {
    let text = fs::read_to_string(data.join("FILES.tsv")).expect("the index");
    let (head, lines) = text.split_once('\n').expect("a head");
    assert_eq!(head, "path\tbytes\tsha256\trows\tcols\tnnz\tcheck");
    let listed = |line: &str| {
        let mut fields = line.split('\t');
        let mut next = || fields.next().expect("seven fields").to_string();
        let (path, bytes, _) = (next(), next().parse().expect("bytes"), next());
        let mut number = || next().parse().ok();
        let (rows, columns, nonzeros) = (number(), number(), number());
        Listed { path, bytes, rows, columns, nonzeros, check: next() }
    };
    lines.lines().map(listed).collect()
}

#[derive(Debug, PartialEq)]
struct Counts {
    rows: u64,
    columns: Option<u64>,
    nonzeros: Option<u64>,
}

impl Counts {
    fn of(rows: u64) -> Counts {
        Counts { rows, columns: None, nonzeros: None }
    }
}

fn limits() -> ReadLimits {
    ReadLimits::default()
}

/// Rows of a table, none of which may be bad.
fn rows(table: &dyn TableSource) -> Result<u64> {
    let mut rows = 0;
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &Scan::default())?;
        while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into()))? {
            rows += batch.num_rows() as u64;
        }
    }
    Ok(rows)
}

fn table(table: impl TableSource) -> Result<Counts> {
    let columns = table.schema().fields().len() as u64;
    Ok(Counts { rows: rows(&table)?, columns: Some(columns), nonzeros: None })
}

fn libsvm(file: &InputFile) -> Result<Counts> {
    let options = LibsvmOptions::default();
    let mut reader = LibsvmReader::open(&Split::whole(file.clone()), &options)?;
    let (mut counts, mut columns, mut nonzeros) = (Counts::of(0), 0, 0);
    while let Some(block) = reader.next_block(&mut |bad| Err(bad.into()))? {
        counts.rows += block.rows() as u64;
        columns = columns.max(block.features.columns() as u64);
        nonzeros += block.features.nnz() as u64;
    }
    assert_eq!(rows(&LibsvmTable::open(std::slice::from_ref(file), options, 4)?)?, counts.rows);
    Ok(Counts { columns: Some(columns), nonzeros: Some(nonzeros), ..counts })
}

/// Columns are numbered from 0 here, and the index has the largest number.
fn vowpal_wabbit(file: &InputFile) -> Result<Counts> {
    let options = VwOptions { features: VwFeatures::Numbers, ..VwOptions::default() };
    let mut reader = VwReader::open(&Split::whole(file.clone()), &options)?;
    let (mut counts, mut columns, mut nonzeros) = (Counts::of(0), 0, 0);
    while let Some(block) = reader.next_labeled(&mut |bad| Err(bad.into()))? {
        counts.rows += block.rows() as u64;
        columns = columns.max(block.features.columns() as u64 - 1);
        nonzeros += block.features.nnz() as u64;
    }
    assert_eq!(rows(&VwTable::open(std::slice::from_ref(file), VwOptions::default(), 4)?)?, counts.rows);
    Ok(Counts { columns: Some(columns), nonzeros: Some(nonzeros), ..counts })
}

fn matrix(file: &InputFile) -> Result<Counts> {
    let matrix = MatrixMarket::open(file, limits(), 4)?;
    let header = *matrix.header();
    let entries = rows(&matrix.into_table())?;
    if header.layout == Layout::Array {
        assert_eq!(entries, header.rows * header.columns, "an array is full");
    }
    // Of dense ones the index has no non-zeros.
    let nonzeros = (header.layout == Layout::Coordinate).then_some(entries);
    Ok(Counts { rows: header.rows, columns: Some(header.columns), nonzeros })
}

fn graph(file: &InputFile, format: Option<GraphFormat>) -> Result<Graph> {
    let options = GraphOptions { format, ..GraphOptions::default() };
    Graph::open(std::slice::from_ref(file), &options, 4)
}

/// Documents, words and cells.
fn bag(file: &InputFile, format: BagFormat) -> Result<Counts> {
    let options = BagOptions { format: Some(format), ..BagOptions::default() };
    let bag = BagOfWords::open(std::slice::from_ref(file), None, &options, 4)?;
    let (mut documents, mut words, mut cells) = (BTreeSet::new(), 0, 0);
    for piece in 0..bag.pieces() {
        let mut reader = bag.open(piece)?;
        while let Some(cell) = reader.next_record(&mut |bad| Err(bad.into()))? {
            documents.insert(cell.document);
            words = words.max(u64::from(cell.word) + 1);
            cells += 1;
        }
    }
    assert_eq!(rows(&bag.into_table())?, cells);
    Ok(Counts { rows: documents.len() as u64, columns: Some(words), nonzeros: Some(cells) })
}

/// The text of a file whose lines are counted.
fn text(file: &InputFile) -> Result<String> {
    read_whole(file, 1 << 30, limits())
}

/// Lines that are neither blank nor begin with one of `marks`.
fn lines_without(text: &str, marks: &[&str]) -> u64 {
    let kept =
        |line: &&str| !line.trim().is_empty() && !marks.iter().any(|m| line.trim_start().starts_with(m));
    text.lines().filter(kept).count() as u64
}

/// What is read of a file that the index has counted lines of, and how many of its lines that should be.
fn records_of_lines(file: &InputFile, read: Read) -> Result<Option<(u64, u64)>> {
    Ok(Some(match read {
        Read::Edges => (rows(&graph(file, None)?.into_table())?, lines_without(&text(file)?, &["#", "%"])),
        // The first number of a line is the vertex.
        Read::Adjacency => {
            let text = text(file)?;
            let neighbours = text.split_whitespace().count() as u64 - lines_without(&text, &[]);
            (rows(&graph(file, Some(GraphFormat::Adjacency))?.into_table())?, neighbours)
        }
        // The head says how many edges there are, each of which is there twice.
        Read::Metis => {
            let graph = graph(file, Some(GraphFormat::Metis))?;
            let text = text(file)?;
            let head = text.lines().find(|l| !l.starts_with('%')).expect("a head");
            let edges: u64 = head.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("edges");
            (rows(&graph.into_table())?, 2 * edges)
        }
        Read::Vertices => (
            rows(&Vertices::open(std::slice::from_ref(file), limits(), 4).into_table())?,
            lines_without(&text(file)?, &[]),
        ),
        Read::Ratings => (
            rows(&Ratings::open(std::slice::from_ref(file), limits(), 4)?.into_table())?,
            lines_without(&text(file)?, &[]),
        ),
        Read::Libsvm => (libsvm(file)?.rows, lines_without(&text(file)?, &["#"])),
        Read::MatrixMarket => {
            // Of a first line, a line of sizes, and entries.
            let matrix = MatrixMarket::open(file, limits(), 4)?;
            (rows(&matrix.into_table())?, lines_without(&text(file)?, &["%"]) - 1)
        }
        _ => return Ok(None),
    }))
}

/// The model of an evidence or result file.
fn model(path: &Path) -> FactorGraph {
    let name = path.with_extension("");
    let name = if name.exists() { name } else { PathBuf::from(format!("{}.gz", name.display())) };
    let file = InputFile::from_path(&name).expect("the model of the evidence");
    FactorGraph::read(&file, limits()).unwrap_or_else(|e| panic!("{e}"))
}

/// Reads a file and compares it with the index. Returns the kind of reader that was asked, for the summary.
fn check(data: &Path, listed: &Listed, read: Read) -> Result<()> {
    let path = data.join(&listed.path);
    let file = InputFile::from_path(&path)?;
    let name = &listed.path;
    let is_text = listed.check.starts_with("utf-8");
    if is_text {
        check_lines(&file, listed)?;
        if let Some((records, want)) = records_of_lines(&file, read)? {
            assert_eq!(records, want, "{name} as {read:?}");
        }
    }
    let counts = match read {
        Read::Mangled => {
            let e = matrix(&file).expect_err(name);
            assert_eq!(e.exit_code(), 3, "{name}: {e}");
            return Ok(());
        }
        Read::Evidence => {
            let model = model(&path).with_evidence(&file, limits())?;
            let words = text(&file)?.split_whitespace().count();
            assert_eq!(words, 1 + 2 * model.evidence.len(), "{name}");
            return Ok(());
        }
        Read::PartitionFunction => {
            read_partition_function(&file, limits())?;
            return Ok(());
        }
        _ if is_text => return Ok(()),
        Read::Libsvm => libsvm(&file)?,
        Read::VowpalWabbit => vowpal_wabbit(&file)?,
        Read::MatrixMarket => matrix(&file)?,
        Read::Arff => table(ArffTable::open(&[file], limits(), 4)?)?,
        Read::Idx => {
            let table = IdxTable::open(&file, None, limits(), 4)?;
            let columns = table.shape().iter().map(|n| u64::from(*n)).product();
            Counts { rows: rows(&table)?, columns: Some(columns), nonzeros: None }
        }
        Read::Bag(format) => bag(&file, format)?,
        // The index has the number of variables.
        Read::Uai => {
            let model = FactorGraph::read(&file, limits())?;
            assert_eq!(rows(&UaiTable::open(&[file], limits()))?, model.factors.len() as u64, "{name}");
            Counts::of(model.cardinalities.len() as u64)
        }
        Read::Ratings => table(Ratings::open(&[file], limits(), 4)?.into_table())?,
        // pandas has read them by commas, so it has seen one column of those that have blanks.
        Read::Edges => Counts::of(rows(&graph(&file, None)?.into_table())?),
        Read::Adjacency | Read::Metis | Read::Vertices | Read::Text => {
            panic!("{name}: the index says `{}` of what it should have counted lines", listed.check)
        }
    };
    if listed.check.starts_with("scipy refuses") {
        // What scipy refuses and we read is without a first line, jumbled, or beyond its types; the index has no counts.
        return Ok(());
    }
    assert_eq!(Some(counts.rows), listed.rows, "rows of {name}");
    if let (Some(columns), Some(want)) = (counts.columns, listed.columns) {
        assert_eq!(columns, want, "columns of {name}");
    }
    assert_eq!(counts.nonzeros.filter(|_| read != Read::Edges), listed.nonzeros, "non-zeros of {name}");
    Ok(())
}

/// The index counts line feeds.
fn check_lines(file: &InputFile, listed: &Listed) -> Result<()> {
    let text = text(file)?;
    let unended = u64::from(!text.is_empty() && !text.ends_with('\n'));
    let found = rows(&TextTable::open(std::slice::from_ref(file), limits(), 4))?;
    assert_eq!(Some(found - unended), listed.rows, "lines of {}", listed.path);
    Ok(())
}

#[test]
fn every_file_of_the_index_is_read_or_known() {
    let Some(data) = data() else { return };
    let mut summary: BTreeMap<String, usize> = BTreeMap::new();
    let mut failures = vec![];
    for listed in index(&data) {
        let path = data.join(&listed.path);
        if !path.exists() {
            assert!(ABSENT.iter().any(|a| listed.path.starts_with(a)), "{} is not there", listed.path);
            *summary.entry("absent".into()).or_default() += 1;
            continue;
        }
        assert_eq!(fs::metadata(&path).expect("a file").len(), listed.bytes, "bytes of {}", listed.path);
        let kind =
            match (found(READ, &listed.path), found(NOT_READ, &listed.path), found(OTHERS, &listed.path)) {
                (Some(read), _, _) => {
                    let result = std::panic::catch_unwind(|| check(&data, &listed, read));
                    match result {
                        Ok(Ok(())) => {}
                        Ok(Err(e)) => failures.push(format!("{}: {e}", listed.path)),
                        Err(_) => failures.push(format!("{}: see above", listed.path)),
                    }
                    format!("{read:?}")
                }
                (None, Some(_), _) => {
                    if listed.check.starts_with("utf-8") {
                        let file = InputFile::from_path(&path).expect("the file");
                        check_lines(&file, &listed).unwrap_or_else(|e| panic!("{e}"));
                    }
                    "not read".into()
                }
                (None, None, Some(_)) => "read elsewhere".into(),
                (None, None, None) => {
                    failures.push(format!("{} is in no list: who reads it?", listed.path));
                    continue;
                }
            };
        *summary.entry(kind).or_default() += 1;
    }
    eprintln!("{summary:?}");
    assert!(failures.is_empty(), "{} files:\n{}", failures.len(), failures.join("\n"));
}

/// Every file in the folder is in the index, or in a list here.
#[test]
fn every_file_of_the_folder_is_in_the_index() {
    let Some(data) = data() else { return };
    let listed: BTreeSet<String> = index(&data).into_iter().map(|l| l.path).collect();
    let mut todo = vec![data.clone()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let name = path.strip_prefix(&data).expect("below it").display().to_string();
            let known = listed.contains(&name) || NOT_IN_THE_INDEX.iter().any(|n| name.starts_with(n));
            assert!(known, "{name} is not in the index");
        }
    }
}

/// `INDEX.md` has a line a set: its files and bytes are those of `FILES.tsv`, and what it says of graphs and models is what is
/// read of them.
#[test]
fn the_page_of_the_index_agrees() {
    let Some(data) = data() else { return };
    let page = fs::read_to_string(data.join("INDEX.md")).expect("the page");
    let listed = index(&data);
    let (mut sets, mut graphs, mut models) = (0, 0, 0);
    for line in page.lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let name = cells[0].trim_start_matches("| ");
        let files: Vec<&Listed> = listed.iter().filter(|l| l.path.split('/').next() == Some(name)).collect();
        if cells.len() > 6 && !files.is_empty() {
            let bytes: u64 = files.iter().map(|l| l.bytes).sum();
            assert_eq!(cells[5], format!("{}, {bytes}", files.len()), "{name}");
            sets += 1;
            // "lines 28980, n=5242, ..." of a graph.
            let said = line.split("| lines ").nth(1).and_then(|rest| rest.split(',').next());
            if let Some(lines) = said.and_then(|n| n.parse::<u64>().ok()) {
                let edges = files.iter().find(|l| found(READ, &l.path) == Some(Read::Edges)).expect("edges");
                let file = InputFile::from_path(data.join(&edges.path)).expect("the file");
                let found = graph(&file, None).and_then(|g| rows(&g.into_table())).expect(name);
                assert_eq!(found, lines, "{name}");
                graphs += 1;
            }
        }
        // "- Grids_11.uai: MARKOV vars 100 factors 300 max card 2 evid 0; ..."
        let Some((model, said)) = line.strip_prefix("- ").and_then(|l| l.split_once(": MARKOV vars ")) else {
            continue;
        };
        let numbers: Vec<u64> = said
            .split(';')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let path = data.join("uai2014_mar").join(format!("{model}.evid"));
        let evidence = InputFile::from_path(&path).expect("evidence");
        let model = self::model(&path).with_evidence(&evidence, limits()).expect(model);
        let largest = u64::from(*model.cardinalities.iter().max().expect("variables"));
        let found = [
            model.cardinalities.len() as u64,
            model.factors.len() as u64,
            largest,
            model.evidence.len() as u64,
        ];
        assert_eq!(numbers, found, "{line}");
        models += 1;
    }
    assert_eq!((sets, graphs, models), (72, 7, 14), "as many as the page has");
}

#[test]
fn patterns_mean_what_they_say() {
    for (pattern, path, want) in [
        ("a/*", "a/b.c", true),
        ("a/*", "ab/c", false),
        ("*.mtx", "x/y.mtx", true),
        ("*.mtx", "x/y.mtx.gz", false),
        ("a/*.e", "a/b/c.e", true),
        ("a/*-in*.x", "a/b-in.c.x", true),
        ("a", "a", true),
        ("a", "ab", false),
    ] {
        assert_eq!(fits(pattern, path), want, "{pattern} {path}");
    }
}
