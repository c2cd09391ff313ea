//! Datasets that are read from files: [`ReadExt`] gives a [`Context`] its `read_*`.
//!
//! A partition is a [`Split`]; how files are divided depends on their sizes and on [`Splitting`], never on the number
//! of workers, so results do not either. Opening the dataset looks at the files (all must be there and readable); their
//! content is read when an action asks, each time again unless the dataset is cached.
//!
//! Bad records go where the context's [`OnBad`](slackwater_dataflow::OnBad) policy says. Files that are cut short or
//! damaged fail the job whatever the policy, since nobody knows what is missing.
//!
//! In a cluster every process must see the same files under the same names. Sizes and names are part of the plan, so
//! processes that see different files are told so before anything runs. Standard input cannot be read there.

use crate::OnBadRecord;
use crate::format::bag_of_words::{BagFormat, RowDocuments, WordCountReader};
use crate::format::binary::BinaryRecords;
use crate::format::libsvm::{IndexBase, LibsvmOptions, LibsvmReader};
use crate::format::ratings::RatingsReader;
use crate::format::records::{RecordSource, describe};
use crate::format::text::{self, TextBlock, TextReader};
use crate::lines::ReadLimits;
use crate::source::{InputFile, ResolveOptions, resolve};
use crate::split::{Split, hadoop_splits, splits};
use slackwater_dataflow::block::{
    Document, LabeledBlock, LabeledPoint, Rating, Row, SparseVector, Vector, WordCount,
};
use slackwater_dataflow::{
    BadRecord, Chunk, Context, Cursor, Data, Dataset, Error, Result, Source, Stop, TaskContext,
};
use std::path::Path;
use std::rc::Rc;

/// How files are divided into partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Splitting {
    /// Even ranges of at most 16 MiB, about as many as the context's `default_partitions` or more. See [`splits`].
    #[default]
    Even,
    /// Even ranges of at most 16 MiB, this many or more unless they would be very small.
    EvenAtLeast(usize),
    /// Exactly as Spark's `textFile(path, minPartitions)` divides them. See [`hadoop_splits`].
    Hadoop(usize),
}

impl Splitting {
    fn apply(self, cx: &Context, files: &[InputFile]) -> Vec<Split> {
        match self {
            Splitting::Even => splits(files, cx.config().default_partitions),
            Splitting::EvenAtLeast(min) => splits(files, min),
            Splitting::Hadoop(min) => hadoop_splits(files, min),
        }
    }
}

/// Most bytes of a file that [`ReadExt::read_whole_files`] takes, unpacked.
pub const WHOLE_FILE_BYTES_MAX: u64 = 1 << 30;

/// Reading files as datasets. A path is a file, a pattern, a folder of parts or `-`; see [`crate::source`].
///
/// ```
/// use slackwater_dataflow::Context;
/// use slackwater_loaders::ReadExt;
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("tiny.svm");
/// std::fs::write(&path, "+1 1:0.5 3:2\n-1 2:1\n").unwrap();
/// let cx = Context::local(2)?;
/// let points = cx.read_libsvm(&path)?;
/// assert_eq!(points.filter(|p| p.label > 0.0).count()?, 1);
/// # Ok::<(), slackwater_dataflow::Error>(())
/// ```
pub trait ReadExt {
    /// Rows of LIBSVM text, one by one. As in Spark's `loadLibSVMFile`, but without the pass over the data that Spark
    /// makes to count columns: the size of a row's vector is that of the block it was read in, and the largest size in
    /// the dataset is its number of columns. With [`LibsvmOptions::num_features`] all have the same.
    fn read_libsvm(&self, path: impl AsRef<Path>) -> Result<Dataset<LabeledPoint>>;
    /// Rows of LIBSVM text in blocks, which is several times faster to read and to learn from.
    fn read_libsvm_blocks(&self, path: impl AsRef<Path>) -> Result<Dataset<LabeledBlock>>;
    /// [`ReadExt::read_libsvm`] of several paths, with options.
    fn read_libsvm_with<P: AsRef<Path>>(
        &self,
        paths: &[P],
        options: LibsvmOptions,
        splitting: Splitting,
    ) -> Result<Dataset<LabeledPoint>>;
    /// [`ReadExt::read_libsvm_blocks`] of several paths, with options.
    fn read_libsvm_blocks_with<P: AsRef<Path>>(
        &self,
        paths: &[P],
        options: LibsvmOptions,
        splitting: Splitting,
    ) -> Result<Dataset<LabeledBlock>>;
    /// [`ReadExt::read_libsvm_blocks`] of files that were resolved before, such as standard input.
    fn read_libsvm_files(
        &self,
        files: &[InputFile],
        options: LibsvmOptions,
        splitting: Splitting,
    ) -> Result<Dataset<LabeledBlock>>;
    /// Ratings, `user item rating` a line; see [`crate::format::ratings`].
    fn read_ratings(&self, path: impl AsRef<Path>) -> Result<Dataset<Rating>>;
    /// [`ReadExt::read_ratings`] of files that were resolved before, such as standard input.
    fn read_ratings_files(&self, files: &[InputFile], splitting: Splitting) -> Result<Dataset<Rating>>;
    /// The (user, item) of lines that may have a rating or not.
    fn read_pairs_files(&self, files: &[InputFile], splitting: Splitting) -> Result<Dataset<(u32, u32)>>;
    /// The numbers of the two rows that each line names.
    fn read_row_pairs_files(&self, files: &[InputFile], splitting: Splitting) -> Result<Dataset<(u32, u32)>>;
    /// Documents as bags of words; see [`crate::format::bag_of_words`].
    fn read_documents(&self, path: impl AsRef<Path>) -> Result<Dataset<Document>>;
    /// [`ReadExt::read_documents`] of files that were resolved before, all in one format: that of the first, unless said.
    /// `index_base` is what the first word of rows is called. Triples are shuffled, so that a document is whole; rows are
    /// counted, so that each gets its number.
    fn read_documents_files(
        &self,
        files: &[InputFile],
        format: Option<BagFormat>,
        index_base: IndexBase,
        splitting: Splitting,
    ) -> Result<Dataset<Document>>;
    /// Lines of text, without their ends.
    fn read_text(&self, path: impl AsRef<Path>) -> Result<Dataset<String>>;
    /// [`ReadExt::read_text`] of several paths, with options.
    fn read_text_with<P: AsRef<Path>>(
        &self,
        paths: &[P],
        limits: ReadLimits,
        splitting: Splitting,
    ) -> Result<Dataset<String>>;
    /// Lines of text in blocks of about 64 KiB: the fast way to count words.
    fn read_text_blocks(&self, path: impl AsRef<Path>) -> Result<Dataset<TextBlock>>;
    /// Whole files with their names, one a partition, at most [`WHOLE_FILE_BYTES_MAX`] each.
    fn read_whole_files(&self, path: impl AsRef<Path>) -> Result<Dataset<(String, String)>>;
    /// Records of `length` bytes each, with nothing between them, as Spark's `binaryRecords` reads them.
    fn read_binary_records(&self, path: impl AsRef<Path>, length: usize) -> Result<Dataset<Vec<u8>>>;
}

impl ReadExt for Context {
    #[track_caller]
    fn read_libsvm(&self, path: impl AsRef<Path>) -> Result<Dataset<LabeledPoint>> {
        self.read_libsvm_with(&[path], LibsvmOptions::default(), Splitting::Even)
    }
    #[track_caller]
    fn read_libsvm_blocks(&self, path: impl AsRef<Path>) -> Result<Dataset<LabeledBlock>> {
        self.read_libsvm_blocks_with(&[path], LibsvmOptions::default(), Splitting::Even)
    }
    #[track_caller]
    fn read_libsvm_with<P: AsRef<Path>>(
        &self,
        paths: &[P],
        options: LibsvmOptions,
        splitting: Splitting,
    ) -> Result<Dataset<LabeledPoint>> {
        let splits = libsvm_splits(self, &files(self, paths)?, &options, splitting)?;
        Ok(self.read(Files::new("LIBSVM", splits, move |split: &Split| Points::open(split, &options))))
    }
    #[track_caller]
    fn read_libsvm_blocks_with<P: AsRef<Path>>(
        &self,
        paths: &[P],
        options: LibsvmOptions,
        splitting: Splitting,
    ) -> Result<Dataset<LabeledBlock>> {
        self.read_libsvm_files(&files(self, paths)?, options, splitting)
    }
    #[track_caller]
    fn read_libsvm_files(
        &self,
        files: &[InputFile],
        options: LibsvmOptions,
        splitting: Splitting,
    ) -> Result<Dataset<LabeledBlock>> {
        let splits = libsvm_splits(self, files, &options, splitting)?;
        Ok(self.read(Files::new("LIBSVM", splits, move |split: &Split| {
            let mut reader = LibsvmReader::open(split, &options)?;
            Ok(move |into: &mut Vec<LabeledBlock>, on_bad: &mut OnBadRecord<'_>| {
                into.extend(reader.next_block(on_bad)?);
                Ok(into.last().map_or(0, LabeledBlock::rows))
            })
        })))
    }
    #[track_caller]
    fn read_ratings(&self, path: impl AsRef<Path>) -> Result<Dataset<Rating>> {
        self.read_ratings_files(&files(self, &[path])?, Splitting::Even)
    }
    #[track_caller]
    fn read_ratings_files(&self, files: &[InputFile], splitting: Splitting) -> Result<Dataset<Rating>> {
        let splits = splits_with_rows(self, files, "rating: `user item rating`", splitting)?;
        Ok(self.read(line_by_line("ratings", splits, RatingsReader::next_rating)))
    }
    #[track_caller]
    fn read_pairs_files(&self, files: &[InputFile], splitting: Splitting) -> Result<Dataset<(u32, u32)>> {
        let splits = splits_with_rows(self, files, "pair: `user item`", splitting)?;
        Ok(self.read(line_by_line("pairs", splits, RatingsReader::next_pair)))
    }
    #[track_caller]
    fn read_row_pairs_files(&self, files: &[InputFile], splitting: Splitting) -> Result<Dataset<(u32, u32)>> {
        let splits = splits_with_rows(self, files, "pair: `row row`", splitting)?;
        Ok(self.read(line_by_line("pairs of rows", splits, RatingsReader::next_row_pair)))
    }
    #[track_caller]
    fn read_documents(&self, path: impl AsRef<Path>) -> Result<Dataset<Document>> {
        self.read_documents_files(&files(self, &[path])?, None, IndexBase::One, Splitting::Even)
    }
    #[track_caller]
    fn read_documents_files(
        &self,
        files: &[InputFile],
        format: Option<BagFormat>,
        index_base: IndexBase,
        splitting: Splitting,
    ) -> Result<Dataset<Document>> {
        let format = match (format, files.iter().find(|f| f.bytes() > 0)) {
            (Some(format), _) => format,
            (None, Some(file)) => BagFormat::detect(file)?,
            (None, None) => BagFormat::Triples,
        };
        if format == BagFormat::Rows {
            let options = LibsvmOptions { index_base, ..LibsvmOptions::default() };
            let blocks = self.read_libsvm_files(files, options, splitting)?;
            let rows = blocks.expand(|block: &LabeledBlock, rows| {
                let row = |row: Row<'_>| (row.indices.to_vec(), row.values.to_vec());
                rows.extend(block.iter().map(|(_, features)| row(features)));
            });
            return Ok(rows.zip_with_index()?.try_map(document));
        }
        if format == BagFormat::Ldac {
            check_shared(self, files)?;
            let min_splits = self.config().default_partitions;
            let documents = RowDocuments::open(files, true, 0, ReadLimits::default(), min_splits);
            return Ok(self
                .read(Records(documents))
                .map(|d| Document::new(d.id, sorted(d.iter().collect()))));
        }
        let splits = splits_with_rows(self, files, "cell: `document word count`", splitting)?;
        let partitions = splits.len().max(self.config().default_partitions);
        let cells = self.read(Files::new("word counts", splits, move |split: &Split| {
            let mut reader = WordCountReader::open(split, format)?;
            Ok(move |into: &mut Vec<WordCount>, on_bad: &mut OnBadRecord<'_>| {
                while into.len() < TaskContext::chunk_records::<WordCount>() {
                    match reader.next_count(on_bad)? {
                        Some(cell) => into.push(cell),
                        None => break,
                    }
                }
                Ok(into.len())
            })
        }));
        Ok(documents_of(cells, partitions))
    }
    #[track_caller]
    fn read_text(&self, path: impl AsRef<Path>) -> Result<Dataset<String>> {
        self.read_text_with(&[path], ReadLimits::default(), Splitting::Even)
    }
    #[track_caller]
    fn read_text_with<P: AsRef<Path>>(
        &self,
        paths: &[P],
        limits: ReadLimits,
        splitting: Splitting,
    ) -> Result<Dataset<String>> {
        let splits = splitting.apply(self, &files(self, paths)?);
        Ok(self.read(Files::new("text", splits, move |split: &Split| {
            let mut reader = TextReader::open(split, limits)?;
            Ok(move |into: &mut Vec<String>, on_bad: &mut OnBadRecord<'_>| {
                while into.len() < TaskContext::chunk_records::<String>() {
                    match reader.next_line(on_bad)? {
                        Some(line) => into.push(line),
                        None => break,
                    }
                }
                Ok(into.len())
            })
        })))
    }
    #[track_caller]
    fn read_text_blocks(&self, path: impl AsRef<Path>) -> Result<Dataset<TextBlock>> {
        let splits = Splitting::Even.apply(self, &files(self, &[path])?);
        Ok(self.read(Files::new("text", splits, |split: &Split| {
            let mut reader = TextReader::open(split, ReadLimits::default())?;
            Ok(move |into: &mut Vec<TextBlock>, on_bad: &mut OnBadRecord<'_>| {
                into.extend(reader.next_block(on_bad)?);
                Ok(into.len())
            })
        })))
    }
    #[track_caller]
    fn read_whole_files(&self, path: impl AsRef<Path>) -> Result<Dataset<(String, String)>> {
        let splits = files(self, &[path])?.into_iter().map(Split::whole).collect();
        Ok(self.read(Files::new("whole files", splits, |split: &Split| {
            let mut file = Some(split.file().clone());
            Ok(move |into: &mut Vec<_>, _: &mut OnBadRecord<'_>| {
                if let Some(file) = file.take() {
                    let content = text::read_whole(&file, WHOLE_FILE_BYTES_MAX, ReadLimits::default())?;
                    into.push((file.name().to_string(), content));
                }
                Ok(into.len())
            })
        })))
    }
    #[track_caller]
    fn read_binary_records(&self, path: impl AsRef<Path>, length: usize) -> Result<Dataset<Vec<u8>>> {
        let files = files(self, &[path])?;
        let min_splits = self.config().default_partitions;
        Ok(self.read(Records(BinaryRecords::open(&files, length, ReadLimits::default(), min_splits)?)))
    }
}

pub(crate) fn files<P: AsRef<Path>>(cx: &Context, paths: &[P]) -> Result<Vec<InputFile>> {
    let files = resolve(paths, &ResolveOptions::default())?;
    check_shared(cx, &files)?;
    Ok(files)
}

/// Every process must have the files.
pub(crate) fn check_shared(cx: &Context, files: &[InputFile]) -> Result<()> {
    match files.iter().find(|f| f.is_in_memory()) {
        Some(file) if cx.is_member() => Err(Error::input(
            format!("{} belongs to one process, and this is a cluster of several", file.name()),
            "write it to a file that every process can read",
        )),
        _ => Ok(()),
    }
}

fn libsvm_splits(
    cx: &Context,
    files: &[InputFile],
    options: &LibsvmOptions,
    splitting: Splitting,
) -> Result<Vec<Split>> {
    options.check()?;
    splits_with_rows(cx, files, "row: `label index:value ...`", splitting)
}

/// The splits of files that are not all empty; `what` is what a data set has at least one of.
fn splits_with_rows(
    cx: &Context,
    files: &[InputFile],
    what: &str,
    splitting: Splitting,
) -> Result<Vec<Split>> {
    check_shared(cx, files)?;
    if files.iter().all(|f| f.bytes() == 0) {
        let name = files.first().map_or("", |f| f.name());
        return Err(Error::input(
            format!("`{name}` is empty"),
            format!("a data set has at least one {what}"),
        ));
    }
    Ok(splitting.apply(cx, files))
}

/// Documents from their cells.
#[track_caller]
pub(crate) fn documents_of(cells: Dataset<WordCount>, partitions: usize) -> Dataset<Document> {
    let by_document = cells.map(|c| (c.document, (c.word, c.count))).group_by_key_with(partitions);
    by_document.map(|(id, words)| Document::new(id, sorted(words)))
}

/// Words ascending, each once.
fn sorted(mut words: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    words.sort_unstable();
    words.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(next.1);
        }
        same
    });
    words
}

/// The document of a row of counts.
fn document(((words, counts), number): ((Vec<u32>, Vec<f64>), u64)) -> Result<Document, BadRecord> {
    const COUNT_MAX: f64 = (1u32 << 31) as f64;
    let refuse = |message: String| BadRecord::at("documents", number + 1, 0, message);
    let id = u32::try_from(number).map_err(|_| refuse("there are more than 2^32 documents".to_string()))?;
    let bad = counts.iter().position(|n| !(n.fract() == 0.0 && (0.0..COUNT_MAX).contains(n)));
    if let Some(bad) = bad {
        let message = format!("word {} occurs {} times", words[bad], counts[bad]);
        return Err(refuse(message).hint("counts are whole numbers of at least 0"));
    }
    let cells = words.into_iter().zip(counts.into_iter().map(|n| n as u32));
    Ok(Document::new(id, cells.filter(|(_, count)| *count > 0)))
}

/// A source of what `next` reads, record by record.
fn line_by_line<T: Data>(
    format: &'static str,
    splits: Vec<Split>,
    next: fn(&mut RatingsReader, &mut OnBadRecord<'_>) -> Result<Option<T>>,
) -> impl Source<T> {
    Files::new(format, splits, move |split: &Split| {
        let mut reader = RatingsReader::open(split, ReadLimits::default())?;
        Ok(move |into: &mut Vec<T>, on_bad: &mut OnBadRecord<'_>| {
            while into.len() < TaskContext::chunk_records::<T>() {
                match next(&mut reader, on_bad)? {
                    Some(record) => into.push(record),
                    None => break,
                }
            }
            Ok(into.len())
        })
    })
}

/// Splits, and how to read one: `open` makes a function that appends the next records to a vector (none at the end)
/// and says how many rows they are.
struct Files<F> {
    format: &'static str,
    splits: Vec<Split>,
    open: F,
}

impl<F> Files<F> {
    fn new(format: &'static str, splits: Vec<Split>, open: F) -> Self {
        Files { format, splits, open }
    }
}

impl<T, R, F> Source<T> for Files<F>
where
    T: Data,
    R: FnMut(&mut Vec<T>, &mut OnBadRecord<'_>) -> Result<usize> + 'static,
    F: Fn(&Split) -> Result<R> + Send + Sync + 'static,
{
    fn partitions(&self) -> usize {
        self.splits.len()
    }
    fn describe(&self) -> String {
        describe(self.format, &self.splits)
    }
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        let read = (self.open)(&self.splits[partition])?;
        Ok(Box::new(FileCursor::new(read, task)))
    }
}

/// A source of typed records as one of datasets.
pub(crate) struct Records<S>(pub S);

impl<T: Data, S: RecordSource<Record = T> + 'static> Source<T> for Records<S> {
    fn partitions(&self) -> usize {
        self.0.pieces()
    }
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn open(&self, partition: usize, task: &Rc<TaskContext>) -> Result<Box<dyn Cursor<T>>, Stop> {
        let mut reader = self.0.open(partition)?;
        let read = move |into: &mut Vec<T>, on_bad: &mut OnBadRecord<'_>| {
            reader.read_into(into, TaskContext::chunk_records::<T>(), on_bad)
        };
        Ok(Box::new(FileCursor::new(read, task)))
    }
}

/// The records that a function appends to a vector, some at a time; none at the end.
pub(crate) struct FileCursor<T, R> {
    read: R,
    buffer: Vec<T>,
    task: Rc<TaskContext>,
}

impl<T, R> FileCursor<T, R> {
    pub(crate) fn new(read: R, task: &Rc<TaskContext>) -> Self {
        FileCursor { read, buffer: vec![], task: task.clone() }
    }
}

impl<T, R> Cursor<T> for FileCursor<T, R>
where
    R: FnMut(&mut Vec<T>, &mut OnBadRecord<'_>) -> Result<usize>,
{
    fn next(&mut self) -> Result<Option<Chunk<'_, T>>, Stop> {
        self.task.check()?;
        self.buffer.clear();
        // A stop has to pass through readers, which know errors only.
        let mut stopped = None;
        let task = &self.task;
        let result = (self.read)(&mut self.buffer, &mut |bad| {
            task.bad_record(bad).map_err(|stop| {
                stopped = Some(stop);
                Error::usage("the task ends here")
            })
        });
        if let Some(stop) = stopped {
            return Err(stop);
        }
        self.task.count_in(result?);
        Ok((!self.buffer.is_empty()).then_some(Chunk::Owned(&mut self.buffer)))
    }
}

/// Rows one by one, from blocks.
struct Points {
    reader: LibsvmReader,
    block: LabeledBlock,
    /// The next row of the block.
    row: usize,
}

impl Points {
    fn open(
        split: &Split,
        options: &LibsvmOptions,
    ) -> Result<impl FnMut(&mut Vec<LabeledPoint>, &mut OnBadRecord<'_>) -> Result<usize> + use<>> {
        let mut points =
            Points { reader: LibsvmReader::open(split, options)?, block: LabeledBlock::default(), row: 0 };
        Ok(move |into: &mut Vec<LabeledPoint>, on_bad: &mut OnBadRecord<'_>| points.next(into, on_bad))
    }

    fn next(&mut self, into: &mut Vec<LabeledPoint>, on_bad: &mut OnBadRecord<'_>) -> Result<usize> {
        if self.row == self.block.rows() {
            let Some(block) = self.reader.next_block(on_bad)? else { return Ok(0) };
            (self.block, self.row) = (block, 0);
        }
        let to = (self.row + TaskContext::chunk_records::<LabeledPoint>()).min(self.block.rows());
        let features = &self.block.features;
        for i in self.row..to {
            let row = features.row(i);
            let vector = SparseVector::new(features.columns(), row.indices.to_vec(), row.values.to_vec());
            let vector = vector.expect("the reader checked that indices ascend");
            into.push(LabeledPoint::new(self.block.labels[i], Vector::Sparse(vector)));
        }
        let rows = to - self.row;
        self.row = to;
        Ok(rows)
    }
}
