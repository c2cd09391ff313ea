//! Which files a folder stands for, wherever it is: on a disk or in an object store.
//!
//! The rules are in [`source`](crate::source). They look at names alone.

use crate::source::InputFile;
use slackwater_dataflow::{Error, Result};
use std::path::{Path, PathBuf};

/// A column and its value, by the name of a folder.
pub(crate) type Key = (String, Option<String>);

/// A place with folders.
pub(crate) trait Folders {
    /// Where a file or a folder is. Sorted as names are.
    type At: Clone + Ord;
    /// What is in a folder, in any order.
    fn entries(&self, folder: &Self::At) -> Result<Vec<Entry<Self::At>>>;
    /// Opens files.
    fn open(&self, files: &[Self::At]) -> Result<Vec<InputFile>>;
    /// What messages call it.
    fn shown(&self, at: &Self::At) -> String;
}

/// A file or a folder in a folder.
pub(crate) struct Entry<At> {
    pub(crate) name: String,
    pub(crate) is_folder: bool,
    pub(crate) at: At,
}

/// Files on disk.
pub(crate) struct Disk;

impl Folders for Disk {
    type At = PathBuf;

    fn entries(&self, folder: &PathBuf) -> Result<Vec<Entry<PathBuf>>> {
        let failed = |e: std::io::Error| Error::io(folder, "read", &e);
        let entry = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.map_err(failed)?;
            let at = entry.path();
            // A link is what it leads to.
            let is_folder = match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => kind.is_dir(),
                _ => at.is_dir(),
            };
            Ok(Entry { name: entry.file_name().to_string_lossy().into_owned(), is_folder, at })
        };
        folder.read_dir().map_err(failed)?.map(entry).collect()
    }
    fn open(&self, files: &[PathBuf]) -> Result<Vec<InputFile>> {
        files.iter().map(InputFile::from_path).collect()
    }
    fn shown(&self, at: &PathBuf) -> String {
        at.display().to_string()
    }
}

/// A folder as an engine writes it: files `part-*`, and `_SUCCESS` when it is complete.
pub(crate) fn resolve_folder<F: Folders>(
    place: &F,
    folder: &F::At,
    files: &mut Vec<InputFile>,
) -> Result<()> {
    let entries = place.entries(folder)?;
    let complete = entries.iter().any(|e| e.name == "_SUCCESS");
    let numbered =
        |e: &Entry<F::At>| Some((part_number(e.name.strip_prefix("part-")?.as_bytes()), e.at.clone()));
    let mut parts: Vec<_> = entries.iter().filter_map(numbered).collect();
    if parts.is_empty() && resolve_divided(place, folder, entries, &mut vec![], files)? {
        return Ok(());
    }
    // An empty dataset is a folder with the mark of success and no parts.
    if parts.is_empty() && !complete {
        return Err(not_a_file(&place.shown(folder)));
    }
    parts.sort();
    let parts: Vec<_> = parts.into_iter().map(|(_, part)| part).collect();
    files.extend(place.open(&parts)?);
    Ok(())
}

/// Most folders `name=value` within each other.
const DIVISIONS_MAX: usize = 32;

/// A folder's name for no value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The name and the value of a folder called `name=value`.
fn key_of(folder: &str) -> Option<Key> {
    let (name, value) = folder.split_once('=')?;
    let value = (value != NO_VALUE).then(|| unescaped(value));
    (!name.is_empty()).then(|| (unescaped(name), value))
}

/// Bytes that are written as `%3D`.
pub(crate) fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (vec![], text.as_bytes());
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .and_then(|t| std::str::from_utf8(t).ok())
            .and_then(|t| u8::from_str_radix(t, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_string())
}

/// True for the names of what is not data: marks and checksums.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// A folder that is divided by the values of columns, into folders `name=value`: all files in them that are not hidden, by
/// name. False if it is none.
fn resolve_divided<F: Folders>(
    place: &F,
    folder: &F::At,
    entries: Vec<Entry<F::At>>,
    keys: &mut Vec<Key>,
    files: &mut Vec<InputFile>,
) -> Result<bool> {
    let (mut folders, mut inside) = (vec![], vec![]);
    for entry in entries.into_iter().filter(|e| !is_hidden(&e.name)) {
        match key_of(&entry.name).filter(|_| entry.is_folder) {
            Some(key) => folders.push((entry.at, key)),
            None => inside.push(entry.at),
        }
    }
    folders.sort();
    inside.sort();
    if folders.is_empty() && !keys.is_empty() {
        files.extend(place.open(&inside)?.into_iter().map(|file| file.with_keys(keys)));
        return Ok(true);
    }
    if folders.is_empty() {
        return Ok(false);
    }
    if let Some(other) = inside.first() {
        return Err(Error::input(
            format!("`{}` is beside folders such as `{}`", place.shown(other), place.shown(&folders[0].0)),
            "a table that is divided by columns has files in its innermost folders alone",
        ));
    }
    if keys.len() >= DIVISIONS_MAX {
        return Err(Error::input(
            format!("`{}` is too deep", place.shown(folder)),
            "name a folder further in",
        ));
    }
    for (folder, key) in folders {
        keys.push(key);
        resolve_divided(place, &folder, place.entries(&folder)?, keys, files)?;
        keys.pop();
    }
    Ok(true)
}

/// The digits at the start of what follows `part-`: with five of them, part 100000 would sort before part 99999.
fn part_number(rest: &[u8]) -> u64 {
    let digits = rest.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0, |n: u64, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')))
}

/// How patterns match: within one folder, and hidden files only by a dot.
pub(crate) const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// True if a pattern asks for marks such as `_SUCCESS`, which are hidden from others.
pub(crate) fn wants_marks(pattern: &str) -> bool {
    Path::new(pattern).file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"_"))
}

/// The error for what `glob` does not take for a pattern.
pub(crate) fn not_a_pattern(pattern: &str, e: &glob::PatternError) -> Error {
    Error::input(format!("`{pattern}` is not a pattern: {}", e.msg), "a literal `[` is written `[[]`")
}

/// The error for a pattern without a match.
pub(crate) fn no_match(pattern: &str) -> Error {
    Error::input(
        format!("no file matches `{pattern}`"),
        "`*` and `?` match within one folder, `**/` matches folders",
    )
}

/// The error for a folder that may hold anything.
pub(crate) fn not_a_file(shown: &str) -> Error {
    let shown = shown.trim_end_matches('/');
    Error::input(
        format!("`{shown}` is a folder, and it has no files named part-*"),
        format!("name the files, for example `{shown}/*.svm`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_values() {
        assert_eq!(key_of("year=2024"), Some(("year".into(), Some("2024".into()))));
        assert_eq!(key_of("a=b=c%3D%2"), Some(("a".into(), Some("b=c=%2".into()))));
        assert_eq!(key_of("x=__HIVE_DEFAULT_PARTITION__"), Some(("x".into(), None)));
        assert_eq!((key_of("plain"), key_of("=x")), (None, None));
    }
}
