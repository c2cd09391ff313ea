//! From options about data to datasets of rows, of ratings, or of documents.

use crate::args::{FormatArgs, ReadArgs};
use crate::model::features;
use crate::sample;
use crate::session::is_member;
use crate::stores::resolve_options;
use slackwater_dataflow::block::{Document, LabeledBlock, Rating};
use slackwater_dataflow::rng::SparkXorShift;
use slackwater_dataflow::transform::split_bounds;
use slackwater_dataflow::{Context, Data, Dataset, Error, Result};
use slackwater_loaders::format::bag_of_words::BagFormat;
use slackwater_loaders::format::csv::CsvOptions;
use slackwater_loaders::format::libsvm::{IndexBase, LibsvmOptions};
use slackwater_loaders::format::text::read_whole;
use slackwater_loaders::lines::ReadLimits;
use slackwater_loaders::table::features::LABEL_NAMES;
use slackwater_loaders::table::{Expr, FeatureMap, FeatureOptions, Frame};
use slackwater_loaders::{Format, InputFile, ReadExt, ReadTables, Splitting, TableOptions, resolve};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Spark's `minPartitions` of a local file, if nobody says another.
const SPARK_PARTITIONS: usize = 2;

/// Labels above the threshold become the second, others the first of two classes.
#[derive(Debug, Clone, Copy)]
pub struct Binarize {
    /// The threshold.
    pub threshold: f64,
    /// What labels become.
    pub classes: [f64; 2],
}

/// Files, and how to read them.
pub struct Input {
    /// The files.
    pub files: Vec<InputFile>,
    /// How lines of LIBSVM text are read.
    pub options: LibsvmOptions,
    /// What becomes of labels.
    pub binarize: Option<Binarize>,
    /// True for the sample that comes with the program.
    pub is_sample: bool,
    splitting: Splitting,
    /// The table that the files are, unless they are LIBSVM text.
    table: Option<Table>,
    needs_labels: AtomicBool,
}

/// A table, and how rows are made of it.
struct Table {
    options: TableOptions,
    condition: Option<Expr>,
    features: FeatureOptions,
    /// Known before the data are read, or made of them when they are first read. Data to learn from and data to test on share
    /// it.
    map: Arc<OnceLock<FeatureMap>>,
    /// The model whose rows must be numbered as they are, since it says nothing of columns.
    plain_for: Option<PathBuf>,
}

impl Input {
    /// Looks at the files: all must be there. No path means the sample.
    pub fn open(data: &[PathBuf], read: &ReadArgs, partitions: Option<usize>) -> Result<Self> {
        let options = LibsvmOptions {
            index_base: read.index_base,
            num_features: read.num_features,
            max_features: read.max_features,
            ..LibsvmOptions::default()
        };
        options.check()?;
        let is_sample = data.is_empty();
        let files = match is_sample {
            true => vec![sample::file()],
            false => files(data)?,
        };
        let splitting = splitting(read.spark_splits, partitions);
        let binarize = read.binarize.map(|threshold| Binarize { threshold, classes: [0.0, 1.0] });
        let table = Table::of(&files, read)?;
        Ok(Input {
            files,
            options,
            binarize,
            is_sample,
            splitting,
            table,
            needs_labels: AtomicBool::new(false),
        })
    }
    /// [`Input::open`] for the model in a folder: columns become what they were when it was trained.
    pub fn open_for(
        model: &Path,
        data: &[PathBuf],
        read: &ReadArgs,
        partitions: Option<usize>,
    ) -> Result<Self> {
        let mut input = Self::open(data, read, partitions)?;
        if let Some(table) = &mut input.table {
            match features(model)? {
                Some(map) => {
                    if let Some((name, _)) = read.columns.given().iter().find(|(_, given)| *given) {
                        let why = "is said when a model is trained: this one keeps what it needs";
                        return Err(Error::config(*name, why));
                    }
                    table.map = Arc::new(OnceLock::from(map));
                }
                None => table.plain_for = Some(model.to_path_buf()),
            }
        }
        Ok(input)
    }
    /// With rows that are made of columns as those of `other` are.
    pub fn alike(mut self, other: &Input) -> Self {
        if let (Some(table), Some(other)) = (&mut self.table, &other.table) {
            table.map = other.map.clone();
        }
        self
    }
    /// Labels must be there, also if the files are a table.
    pub fn needs_labels(&self) {
        self.needs_labels.store(true, Ordering::Relaxed);
    }
    /// True unless the files are LIBSVM text.
    pub fn is_table(&self) -> bool {
        self.table.is_some()
    }
    /// How rows were made of columns, once they were read.
    pub fn features(&self) -> Option<&FeatureMap> {
        self.table.as_ref()?.map.get()
    }
    /// The rows, lazily. For a table whose columns must be looked at first, that is done now.
    pub fn blocks(&self, cx: &Context) -> Result<Dataset<LabeledBlock>> {
        let blocks = match &self.table {
            Some(table) => {
                let needs_labels = self.needs_labels.load(Ordering::Relaxed);
                table.blocks(cx, &self.files, self.splitting, needs_labels)?
            }
            None => cx.read_libsvm_files(&self.files, self.options, self.splitting)?,
        };
        let blocks = as_many(blocks, self.splitting);
        Ok(match self.binarize {
            Some(Binarize { threshold, classes }) => blocks.map(move |mut block| {
                block.labels.iter_mut().for_each(|y| *y = classes[usize::from(*y > threshold)]);
                block
            }),
            None => blocks,
        })
    }
    /// The files' names, the first few of them.
    pub fn name(&self) -> String {
        names(&self.files)
    }
}

impl Table {
    /// The table that files are; nothing if they are LIBSVM text, or are not known to be anything else.
    fn of(files: &[InputFile], read: &ReadArgs) -> Result<Option<Table>> {
        let format = format_of(files, &read.format)?.unwrap_or(Format::Libsvm);
        if format == Format::Libsvm {
            let mut given = read.columns.given().into_iter().chain(read.format.given());
            return match given.find(|(_, given)| *given) {
                Some((name, _)) => {
                    let why = "is for tables, and this is LIBSVM text, whose columns have no names";
                    Err(Error::config(name, why))
                }
                None => Ok(None),
            };
        }
        for (name, given) in [
            ("num-features", read.num_features.is_some()),
            ("max-features", read.max_features.is_some()),
            ("index-base", read.index_base == IndexBase::Zero),
            ("spark-splits", read.spark_splits),
        ] {
            if given {
                return Err(Error::config(
                    name,
                    format!("is for LIBSVM text, and this is {}", format.name()),
                ));
            }
        }
        let options = table_options(format, &read.format)?;
        let (condition, features) = (read.format.condition()?, read.columns.options());
        Ok(Some(Table { options, condition, features, map: Arc::default(), plain_for: None }))
    }

    fn blocks(
        &self,
        cx: &Context,
        files: &[InputFile],
        splitting: Splitting,
        needs_labels: bool,
    ) -> Result<Dataset<LabeledBlock>> {
        let mut frame = frame(cx, files, &self.options, splitting)?;
        if let Some(condition) = &self.condition {
            frame = frame.filter(condition.clone())?;
        }
        let map = match self.map.get() {
            Some(map) => map,
            None => {
                let map = FeatureMap::fit(&frame, &self.features)?;
                if let Some(model) = self.plain_for.as_ref().filter(|_| !map.is_plain()) {
                    return Err(Error::input(
                        format!(
                            "{}: this model knows columns by numbers, and the table has names",
                            model.display()
                        ),
                        "its data have a column `label` and columns `1`, `2`, ..., or vectors in a column `features`",
                    ));
                }
                self.map.get_or_init(|| map)
            }
        };
        if needs_labels && map.label().is_none() {
            return Err(Error::input(
                "there is no column of labels",
                format!("name it with --label; it is found if it is called {}", LABEL_NAMES.join(", ")),
            ));
        }
        map.blocks(&frame, needs_labels)
    }
}

/// What files are in, if it is said or can be told.
pub fn format_of(files: &[InputFile], args: &FormatArgs) -> Result<Option<Format>> {
    match (args.input_format, files.iter().find(|f| f.bytes() > 0)) {
        (Some(format), _) => Ok(Some(format)),
        (None, Some(file)) => Format::detect(file),
        (None, None) => Ok(None),
    }
}

/// How files of a format are read as a table.
pub fn table_options(format: Format, args: &FormatArgs) -> Result<TableOptions> {
    let is_csv = matches!(format, Format::Csv | Format::Tsv);
    for (name, given) in [
        ("delimiter", args.delimiter.is_some()),
        ("header", args.header.is_some()),
        ("null", args.null.is_some()),
    ] {
        if given && !is_csv {
            return Err(Error::config(name, format!("is for CSV, and this is {}", format.name())));
        }
    }
    if args.record_bytes.is_some() && format != Format::Binary {
        return Err(Error::config(
            "record-bytes",
            format!("is for binary records, and this is {}", format.name()),
        ));
    }
    let mut csv = CsvOptions { delimiter: args.delimiter, header: args.header, ..CsvOptions::default() };
    if let Some(nulls) = &args.null {
        csv.nulls = nulls.clone();
    }
    Ok(TableOptions { format: Some(format), csv, record_bytes: args.record_bytes, ..TableOptions::default() })
}

/// The table that files are, if they are in a format of tables that no reader of lines knows.
fn table_of(cx: &Context, files: &[InputFile], splitting: Splitting) -> Result<Option<Frame>> {
    let format = format_of(files, &FormatArgs::default())?;
    match format {
        Some(format @ (Format::Parquet | Format::Arrow | Format::ArrowStream | Format::JsonLines)) => {
            frame(cx, files, &table_options(format, &FormatArgs::default())?, splitting).map(Some)
        }
        _ => Ok(None),
    }
}

/// Files as a table.
pub fn frame(
    cx: &Context,
    files: &[InputFile],
    options: &TableOptions,
    splitting: Splitting,
) -> Result<Frame> {
    let pieces = match splitting {
        Splitting::EvenAtLeast(n) => n,
        Splitting::Even | Splitting::Hadoop(_) => cx.config().default_partitions,
    };
    cx.read_table_files(files, options, pieces)
}

/// Files of ratings.
pub struct Ratings {
    files: Vec<InputFile>,
    splitting: Splitting,
}

impl Ratings {
    /// Looks at the files: all must be there.
    pub fn open(data: &[PathBuf], spark_splits: bool, partitions: Option<usize>) -> Result<Self> {
        Ok(Ratings { files: files(data)?, splitting: splitting(spark_splits, partitions) })
    }
    /// The ratings, lazily.
    pub fn ratings(&self, cx: &Context) -> Result<Dataset<Rating>> {
        let ratings = match table_of(cx, &self.files, self.splitting)? {
            Some(frame) => frame.ratings()?,
            None => cx.read_ratings_files(&self.files, self.splitting)?,
        };
        Ok(as_many(ratings, self.splitting))
    }
    /// Users and items, lazily; their ratings may be missing.
    pub fn pairs(&self, cx: &Context) -> Result<Dataset<(u32, u32)>> {
        let pairs = match table_of(cx, &self.files, self.splitting)? {
            Some(frame) => frame.pairs()?,
            None => cx.read_pairs_files(&self.files, self.splitting)?,
        };
        Ok(as_many(pairs, self.splitting))
    }
    /// The files' names, the first few of them.
    pub fn name(&self) -> String {
        names(&self.files)
    }
}

/// The pairs of rows that files name, in every process. Lines that cannot be used fail it, or are left out.
pub fn row_pairs(cx: &Context, paths: &[PathBuf]) -> Result<Vec<(u32, u32)>> {
    cx.read_row_pairs_files(&files(paths)?, Splitting::Even)?.collect()
}

/// Files of documents.
pub struct Documents {
    files: Vec<InputFile>,
    format: Option<BagFormat>,
    index_base: IndexBase,
    splitting: Splitting,
}

impl Documents {
    /// Looks at the files: all must be there. Without a format they are in that of the first.
    pub fn open(
        data: &[PathBuf],
        format: Option<BagFormat>,
        index_base: IndexBase,
        partitions: Option<usize>,
    ) -> Result<Self> {
        Ok(Documents {
            files: files(&whole_folders(data)?)?,
            format,
            index_base,
            splitting: splitting(false, partitions),
        })
    }
    /// The documents, lazily.
    pub fn documents(&self, cx: &Context) -> Result<Dataset<Document>> {
        let table = match self.format {
            Some(_) => None,
            None => table_of(cx, &self.files, self.splitting)?,
        };
        let documents = match table {
            Some(frame) => frame.documents()?,
            None => cx.read_documents_files(&self.files, self.format, self.index_base, self.splitting)?,
        };
        Ok(as_many(documents, self.splitting))
    }
    /// The files' names, the first few of them.
    pub fn name(&self) -> String {
        names(&self.files)
    }
}

/// Bytes of a file of words, at most.
const VOCABULARY_BYTES_MAX: u64 = 1 << 30;

/// The words of a file, one a line.
pub fn vocabulary(path: &PathBuf) -> Result<Vec<String>> {
    let mut words = vec![];
    for file in resolve(std::slice::from_ref(path), resolve_options())? {
        let text = read_whole(&file, VOCABULARY_BYTES_MAX, ReadLimits::default())?;
        words.extend(text.lines().map(|line| line.trim().to_string()));
    }
    Ok(words)
}

/// True for a folder that an engine wrote rows to.
pub fn has_parts(path: &Path) -> bool {
    let entries = path.read_dir().into_iter().flatten().flatten();
    entries.into_iter().any(|e| e.file_name().as_encoded_bytes().starts_with(b"part-"))
}

/// Folders without parts stand for all their files, by name, but for hidden ones.
fn whole_folders(data: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = vec![];
    for path in data {
        if !path.is_dir() || has_parts(path) {
            paths.push(path.clone());
            continue;
        }
        let failed = |e: std::io::Error| Error::io(path, "read", &e);
        let entries =
            path.read_dir().map_err(failed)?.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
        let is_shown = |p: &PathBuf| {
            let name = p.file_name().unwrap_or_default().as_encoded_bytes();
            p.is_file() && !name.starts_with(b".") && !name.starts_with(b"_")
        };
        let mut inside: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).filter(is_shown).collect();
        inside.sort_unstable();
        paths.extend(inside);
    }
    match paths.is_empty() {
        true => Err(Error::input("there are no files in the folders of the data", "")),
        false => Ok(paths),
    }
}

/// The files of paths, patterns and folders.
pub fn files(data: &[PathBuf]) -> Result<Vec<InputFile>> {
    if is_member() && data.iter().any(|d| d.as_os_str() == "-") {
        return Err(Error::input(
            "standard input belongs to one process, and this is a cluster",
            "write it to a file that every process can read",
        ));
    }
    resolve(data, resolve_options())
}

/// How files are divided.
pub fn splitting(spark_splits: bool, partitions: Option<usize>) -> Splitting {
    match (spark_splits, partitions) {
        (true, n) => Splitting::Hadoop(n.unwrap_or(SPARK_PARTITIONS)),
        (false, Some(n)) => Splitting::EvenAtLeast(n),
        (false, None) => Splitting::Even,
    }
}

/// As many partitions as were asked for: large files have more ranges, which are read one after the other then.
fn as_many<T: Data>(data: Dataset<T>, splitting: Splitting) -> Dataset<T> {
    match splitting {
        Splitting::EvenAtLeast(partitions) => data.coalesce(partitions),
        Splitting::Even | Splitting::Hadoop(_) => data,
    }
}

fn names(files: &[InputFile]) -> String {
    const SHOWN: usize = 2;
    let mut names: Vec<&str> = files.iter().take(SHOWN).map(InputFile::name).collect();
    let more = format!("{} more", files.len().saturating_sub(SHOWN));
    if files.len() > SHOWN {
        names.push(&more);
    }
    names.join(", ")
}

/// Checks the weights of a split: two or more, none negative, not all zero.
pub fn check_split(weights: &[f64]) -> Result<()> {
    match weights {
        [] => Ok(()),
        [_] => Err(Error::config("split", "needs two weights at least, as in 0.6,0.4")),
        _ if weights.iter().any(|w| *w < 0.0) => Err(Error::config("split", "weights must not be negative")),
        _ if weights.iter().all(|w| *w == 0.0) => Err(Error::config("split", "one weight must be positive")),
        _ => Ok(()),
    }
}

/// Part `part` of a random split of the rows: the one that [`Dataset::random_split`] makes of the same rows in the same
/// partitions, and Spark too.
pub fn split_part(
    blocks: &Dataset<LabeledBlock>,
    weights: &[f64],
    part: usize,
    seed: u64,
) -> Dataset<LabeledBlock> {
    let chooser = chooser(weights, part, seed);
    blocks.map_partitions_with_index(move |p, blocks| {
        let mut chosen = chooser(p);
        blocks.map(move |block| block.filter(|_| chosen()))
    })
}

/// [`split_part`] of single records.
pub fn split_records<T: Data>(records: &Dataset<T>, weights: &[f64], part: usize, seed: u64) -> Dataset<T> {
    let chooser = chooser(weights, part, seed);
    records.map_partitions_with_index(move |p, records| {
        let mut chosen = chooser(p);
        records.filter(move |_| chosen())
    })
}

/// By partition: whether its next record is in the part.
fn chooser(weights: &[f64], part: usize, seed: u64) -> impl Fn(usize) -> Box<dyn FnMut() -> bool> + use<> {
    let bounds = split_bounds(weights);
    let (low, high) = (bounds[part], bounds[part + 1]);
    move |p| {
        let mut rng = SparkXorShift::new(seed.wrapping_add(p as u64) as i64);
        Box::new(move || {
            let x = rng.next_f64();
            x >= low && x < high
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::block::{LabeledPoint, Vector, pack};

    #[test]
    fn blocks_split_as_points_do() {
        let cx = Context::local(1).unwrap();
        let points: Vec<_> =
            (0..100).map(|i| LabeledPoint::new(f64::from(i), Vector::dense([f64::from(i)]))).collect();
        let points = cx.parallelize(points, 3);
        let blocks = points.map_partitions(pack);
        let want = points.random_split([0.5, 0.3, 0.2], 7);
        for (part, want) in want.iter().enumerate() {
            let labels = |b: &LabeledBlock, out: &mut Vec<f64>| out.extend_from_slice(&b.labels);
            let got = split_part(&blocks, &[0.5, 0.3, 0.2], part, 7).expand(labels).collect().unwrap();
            assert_eq!(got, want.map_ref(|p| p.label).collect().unwrap());
        }
    }

    #[test]
    fn weights_are_checked() {
        assert!(check_split(&[]).is_ok() && check_split(&[0.6, 0.4]).is_ok());
        for bad in [&[1.0][..], &[-1.0, 2.0], &[0.0, 0.0]] {
            assert_eq!(check_split(bad).unwrap_err().exit_code(), 2);
        }
    }
}
