//! What a user names as input, resolved to files.
//!
//! | given | means |
//! |---|---|
//! | a file | that file |
//! | a pattern with `*`, `?` or `[..]` | the files that match, sorted by name; none is an error |
//! | a folder with files `part-*` | those files, sorted by number and name; hidden ones (`_SUCCESS`, `.part-0.crc`) are left out |
//! | a folder with folders `name=value` | the files in them, sorted by name; a table has the values as columns |
//! | any other folder | an error: a folder may hold anything |
//! | a URL | a file, a folder or a pattern in an object store, or a file on the web: see [`store`] |
//! | `-`, a pipe, a character device | read whole into memory, at most [`ResolveOptions::stream_bytes_max`] |
//!
//! Guarantees: the order of files depends on their names alone, so every process of a cluster sees the same list, and
//! every file has been opened once, so that what is missing or unreadable is found before a job starts. A path that
//! exists is taken literally even if it has the characters of a pattern. Standard input belongs to one process: a
//! cluster reads files.
//!
//! Costs one `open` and one read of 16 bytes a file (to see how it is packed).
//!
//! Fails with [`ErrorKind::Io`](slackwater_dataflow::ErrorKind::Io) or
//! [`ErrorKind::Input`](slackwater_dataflow::ErrorKind::Input), which a command line program reports with exit code 3.
//! The rule for folders is Hadoop's `FileInputFormat`: names that start with `_` or `.` are hidden.

use crate::codec::{Compression, Decoder, ExpansionLimit, HEAD_BYTES};
use crate::folders::{Disk, Key, MATCHING, no_match, not_a_file, not_a_pattern, resolve_folder, wants_marks};
use crate::store::{self, StoreOptions, Url};
use bytes::Bytes;
use slackwater_dataflow::{Error, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "cloud")]
use crate::store::{Object, ObjectReader, Pending};

/// How [`resolve`] treats input that is not a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveOptions {
    /// Most bytes taken from standard input or a pipe. Default: 1 GiB.
    pub stream_bytes_max: u64,
    /// For URLs.
    pub stores: StoreOptions,
}

impl Default for ResolveOptions {
    fn default() -> Self {
        ResolveOptions { stream_bytes_max: 1 << 30, stores: StoreOptions::default() }
    }
}

/// One input: a file, or bytes in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct InputFile(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    place: Place,
    bytes: u64,
    compression: Compression,
    /// Names and values of the folders `name=value` that it is in.
    keys: Vec<Key>,
}

#[derive(Debug)]
enum Place {
    Path(PathBuf),
    Memory(Bytes),
    /// Bytes that every process has.
    Program(Bytes),
    #[cfg(feature = "cloud")]
    Object(Arc<Object>),
}

impl Place {
    /// The bytes, if they are not in a file.
    fn bytes(&self) -> Option<&Bytes> {
        match self {
            Place::Path(_) => None,
            #[cfg(feature = "cloud")]
            Place::Object(_) => None,
            Place::Memory(bytes) | Place::Program(bytes) => Some(bytes),
        }
    }
}

impl InputFile {
    /// A regular file. Opens it once, to see that it can be read, how long it is and how it is packed.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(|e| Error::io(path, "open", &e))?;
        let about = file.metadata().map_err(|e| Error::io(path, "read", &e))?;
        if about.is_dir() {
            return Err(not_a_file(&path.display().to_string()));
        }
        let head = read_head(&mut file).map_err(|e| Error::io(path, "read", &e))?;
        let compression = Compression::detect(path, &head);
        let name = path.display().to_string();
        Ok(Self::new(name, Place::Path(path.to_path_buf()), about.len(), compression))
    }
    /// Bytes in memory, packed or not. `name` stands in messages, and its extension counts as that of a file.
    pub fn from_bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let (name, bytes) = (name.into(), bytes.into());
        let compression = Compression::detect(Path::new(&name), &bytes[..bytes.len().min(HEAD_BYTES)]);
        let len = bytes.len() as u64;
        Self::new(name, Place::Memory(bytes.into()), len, compression)
    }
    /// Bytes that are part of the program, which every process that runs it has.
    pub fn from_program(name: impl Into<String>, bytes: &'static [u8]) -> Self {
        let compression = Compression::detect(Path::new(""), &bytes[..bytes.len().min(HEAD_BYTES)]);
        Self::new(name.into(), Place::Program(Bytes::from_static(bytes)), bytes.len() as u64, compression)
    }
    /// An object whose first bytes are `head`.
    #[cfg(feature = "cloud")]
    pub(crate) fn from_object(name: String, object: Object, head: &[u8]) -> Self {
        let compression = Compression::detect(Path::new(&name), head);
        let bytes = object.bytes();
        Self::new(name, Place::Object(Arc::new(object)), bytes, compression)
    }
    fn new(name: String, place: Place, bytes: u64, compression: Compression) -> Self {
        InputFile(Arc::new(Inner { name, place, bytes, compression, keys: vec![] }))
    }
    /// The same file in folders with values.
    pub(crate) fn with_keys(self, keys: &[Key]) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => InputFile(Arc::new(Inner { keys: keys.to_vec(), ..inner })),
            Err(shared) => InputFile(shared),
        }
    }
    /// The names and values of folders `name=value`, below the one that was named as input, that it is in.
    pub(crate) fn keys(&self) -> &[Key] {
        &self.0.keys
    }
    /// What messages call it: the path as it was given.
    pub fn name(&self) -> &str {
        &self.0.name
    }
    /// Its length when it was resolved, in bytes as stored. What is appended later is not read.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }
    /// How it is packed.
    pub fn compression(&self) -> Compression {
        self.0.compression
    }
    /// True if it can be read from the middle.
    pub fn is_splittable(&self) -> bool {
        self.0.compression == Compression::None
    }
    /// True if it is a clone of `other`.
    pub(crate) fn is_same(&self, other: &InputFile) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
    /// True if this process alone has it: standard input, a pipe, bytes made while the program runs.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.0.place, Place::Memory(_))
    }
    /// Opens it for reading as stored, from byte `at`. Whoever reads needs what is before byte `until` for certain: an object store
    /// is asked for that in advance.
    pub(crate) fn open(&self, at: u64, until: u64) -> Result<RawReader> {
        let source = match &self.0.place {
            Place::Memory(_) | Place::Program(_) => RawSource::Memory,
            Place::Path(path) => {
                let mut file = File::open(path).map_err(|e| Error::io(path, "open", &e))?;
                file.seek(SeekFrom::Start(at)).map_err(|e| Error::io(path, "read", &e))?;
                RawSource::File(file)
            }
            #[cfg(feature = "cloud")]
            Place::Object(object) => RawSource::Object(Box::new(ObjectReader::new(object, at, until))),
        };
        #[cfg(not(feature = "cloud"))]
        let _ = until;
        Ok(RawReader { file: self.clone(), source, at: at.min(self.bytes()) })
    }
    /// The file itself, or what a packed one holds, unpacked into memory: at most `most` bytes.
    ///
    /// # Errors
    /// I/O; input, for a packed file that is damaged, or that is too large.
    pub(crate) fn unpacked(&self, most: u64, expansion: ExpansionLimit) -> Result<InputFile> {
        if self.is_splittable() {
            return Ok(self.clone());
        }
        let limit = ExpansionLimit { bytes_max: expansion.bytes_max.min(most), ..expansion };
        let mut decoder = Decoder::open(self, limit)?;
        let (mut bytes, mut piece) = (vec![], vec![0; 256 << 10]);
        loop {
            match decoder.read(&mut piece)? {
                0 => break,
                n => bytes.extend_from_slice(&piece[..n]),
            }
        }
        let len = bytes.len() as u64;
        let place = match self.is_in_memory() {
            true => Place::Memory(bytes.into()),
            false => Place::Program(bytes.into()),
        };
        Ok(Self::new(self.name().to_string(), place, len, Compression::None))
    }
    /// The first bytes as stored, at most `most`.
    pub(crate) fn head(&self, most: usize) -> Result<Bytes> {
        self.read_at(0, most.min(usize::try_from(self.bytes()).unwrap_or(usize::MAX)))
    }
    /// `length` bytes as stored, from byte `at`. Costs a copy, but for bytes in memory.
    ///
    /// # Errors
    /// I/O; also if the file does not have them, before anything is allocated for them.
    pub(crate) fn read_at(&self, at: u64, length: usize) -> Result<Bytes> {
        if at.checked_add(length as u64).is_none_or(|end| end > self.bytes()) {
            let e = format!("there are no {length} bytes at byte {at} of {}", self.bytes());
            return Err(self.read_error(&io::Error::new(io::ErrorKind::UnexpectedEof, e)));
        }
        if let Some(bytes) = self.0.place.bytes() {
            return Ok(bytes.slice(at as usize..at as usize + length));
        }
        #[cfg(feature = "cloud")]
        if let Place::Object(object) = &self.0.place {
            return object.read_at(at, length).map_err(|e| self.read_error(&e));
        }
        // Not zeroed first: that takes as long as reading.
        let mut bytes = Vec::with_capacity(length);
        if let Place::Path(path) = &self.0.place {
            let mut file = File::open(path).map_err(|e| Error::io(path, "open", &e))?;
            let read =
                file.seek(SeekFrom::Start(at)).and_then(|_| file.take(length as u64).read_to_end(&mut bytes));
            read.map_err(|e| self.read_error(&e))?;
        }
        match bytes.len() == length {
            true => Ok(bytes.into()),
            false => Err(self.read_error(&shorter(self.bytes(), at + bytes.len() as u64))),
        }
    }
    /// True if each read is a request, which costs time however little is read.
    pub(crate) fn is_far(&self) -> bool {
        #[cfg(feature = "cloud")]
        return matches!(self.0.place, Place::Object(_));
        #[cfg(not(feature = "cloud"))]
        false
    }
    /// Begins to read a range, if that can be done while something else is.
    pub(crate) fn ahead(&self, range: Range<u64>) -> Result<Ahead> {
        #[cfg(feature = "cloud")]
        if let Place::Object(object) = &self.0.place {
            let pending = Pending::begin(object, range).map_err(|e| self.read_error(&e))?;
            return Ok(Ahead::Asked(self.clone(), pending));
        }
        Ok(Ahead::Later(self.clone(), range))
    }
    /// The error for a failed read.
    pub(crate) fn read_error(&self, e: &io::Error) -> Error {
        Error::io(self.name(), "read", e)
    }
}

/// A range that was asked for, or that is read when it is needed.
#[derive(Debug)]
pub(crate) enum Ahead {
    #[cfg(feature = "cloud")]
    Asked(InputFile, Pending),
    Later(InputFile, Range<u64>),
}

impl Ahead {
    /// The bytes, as soon as they are there.
    pub(crate) fn bytes(self) -> Result<Bytes> {
        match self {
            #[cfg(feature = "cloud")]
            Ahead::Asked(file, pending) => pending.bytes().map_err(|e| file.read_error(&e)),
            Ahead::Later(file, range) => file.read_at(range.start, (range.end - range.start) as usize),
        }
    }
}

/// Reads a file as stored, never beyond the length it had when it was resolved.
#[derive(Debug)]
pub struct RawReader {
    file: InputFile,
    source: RawSource,
    at: u64,
}

#[derive(Debug)]
enum RawSource {
    File(File),
    Memory,
    #[cfg(feature = "cloud")]
    Object(Box<ObjectReader>),
}

impl RawReader {
    /// Goes on by `n` bytes without reading them.
    pub(crate) fn pass(&mut self, n: u64) -> io::Result<()> {
        match &mut self.source {
            RawSource::Memory => self.at = self.at.saturating_add(n).min(self.file.bytes()),
            RawSource::File(file) => {
                self.at = self.at.saturating_add(n).min(self.file.bytes());
                file.seek(SeekFrom::Start(self.at))?;
            }
            #[cfg(feature = "cloud")]
            RawSource::Object(reader) => {
                self.at += io::copy(&mut reader.as_mut().take(n), &mut io::sink())?;
            }
        }
        Ok(())
    }
}

impl Read for RawReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.file.bytes() - self.at;
        let want = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let into = &mut into[..want];
        let n = match &mut self.source {
            RawSource::File(file) => file.read(into)?,
            #[cfg(feature = "cloud")]
            RawSource::Object(reader) => reader.read(into)?,
            RawSource::Memory => {
                let bytes = self.file.0.place.bytes().expect("a file in memory has its bytes");
                (&bytes[self.at as usize..]).read(into)?
            }
        };
        if n == 0 && want > 0 {
            return Err(shorter(self.file.bytes(), self.at));
        }
        self.at += n as u64;
        Ok(n)
    }
}

fn shorter(then: u64, now: u64) -> io::Error {
    io::Error::other(format!("the file became shorter while it was read: {then} bytes then, {now} now"))
}

/// What is read, in a line: the format, the first few names, the bytes.
pub(crate) fn describe<'a>(format: &str, files: impl Iterator<Item = &'a InputFile>) -> String {
    const SHOWN: usize = 3;
    let (mut names, mut bytes, mut count) = (vec![], 0, 0usize);
    for file in files {
        if count < SHOWN {
            names.push(file.name());
        }
        bytes += file.bytes();
        count += 1;
    }
    let more = count.saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{format} {}{more}, {bytes} bytes", names.join(", "))
}

/// The files that `inputs` name, in the order given. See the [module](self) for the rules.
///
/// ```
/// use slackwater_loaders::{ResolveOptions, resolve};
/// let e = resolve(&["no-such-file.svm"], &ResolveOptions::default()).unwrap_err();
/// assert_eq!(e.exit_code(), 3);
/// ```
pub fn resolve<P: AsRef<Path>>(inputs: &[P], options: &ResolveOptions) -> Result<Vec<InputFile>> {
    resolve_with(inputs, options, &mut io::stdin())
}

/// [`resolve`] with another reader in the place of standard input.
pub fn resolve_with<P: AsRef<Path>>(
    inputs: &[P],
    options: &ResolveOptions,
    stdin: &mut dyn Read,
) -> Result<Vec<InputFile>> {
    if inputs.is_empty() {
        return Err(Error::input("no input files", "name at least one file"));
    }
    if inputs.iter().filter(|p| p.as_ref() == Path::new("-")).count() > 1 {
        return Err(Error::usage("`-` (standard input) can be given only once"));
    }
    let mut files = vec![];
    let mut stores = store::Stores::default();
    for input in inputs {
        let path = input.as_ref();
        if path == Path::new("-") {
            files.push(read_stream("<stdin>", stdin, options.stream_bytes_max)?);
            continue;
        }
        match path.to_str().and_then(Url::parse).filter(|_| !path.exists()) {
            Some(url) if url.is_local() => resolve_local(&url.local_path()?, options, &mut files)?,
            Some(url) => stores.resolve(&url, &options.stores, &mut files)?,
            None => resolve_local(path, options, &mut files)?,
        }
    }
    Ok(files)
}

fn resolve_local(path: &Path, options: &ResolveOptions, files: &mut Vec<InputFile>) -> Result<()> {
    if path.exists() {
        return resolve_path(path, options, files);
    }
    match path.to_str().filter(|s| s.contains(['*', '?', '['])) {
        Some(pattern) => resolve_pattern(pattern, options, files),
        // Not there: opening it gives the operating system's reason.
        None => {
            files.push(InputFile::from_path(path)?);
            Ok(())
        }
    }
}

fn resolve_path(path: &Path, options: &ResolveOptions, files: &mut Vec<InputFile>) -> Result<()> {
    let about = path.metadata().map_err(|e| Error::io(path, "open", &e))?;
    if about.is_dir() {
        resolve_folder(&Disk, &path.to_path_buf(), files)
    } else if about.is_file() {
        files.push(InputFile::from_path(path)?);
        Ok(())
    } else {
        let mut pipe = File::open(path).map_err(|e| Error::io(path, "open", &e))?;
        files.push(read_stream(&path.display().to_string(), &mut pipe, options.stream_bytes_max)?);
        Ok(())
    }
}

fn resolve_pattern(pattern: &str, options: &ResolveOptions, files: &mut Vec<InputFile>) -> Result<()> {
    let matches = glob::glob_with(pattern, MATCHING).map_err(|e| not_a_pattern(pattern, &e))?;
    let wants_marks = wants_marks(pattern);
    let mut paths = vec![];
    for path in matches {
        let path = path.map_err(|e| Error::io(e.path(), "read", e.error()))?;
        let mark = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"_"));
        if !mark || wants_marks {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(no_match(pattern));
    }
    paths.sort();
    paths.iter().try_for_each(|path| resolve_path(path, options, files))
}

fn read_stream(name: &str, stream: &mut dyn Read, limit: u64) -> Result<InputFile> {
    let mut bytes = vec![];
    stream.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| Error::io(name, "read", &e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::input(
            format!("{name} has more than {limit} bytes, the limit for input that is not a file"),
            "write it to a file first: files are read in pieces, without a limit",
        ));
    }
    Ok(InputFile::from_bytes(name, bytes))
}

/// The first [`HEAD_BYTES`], or fewer if the file is shorter.
fn read_head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
