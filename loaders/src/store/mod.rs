//! Inputs in object stores and on web servers, named by URL.
//!
//! | scheme | where |
//! |---|---|
//! | `s3://BUCKET/KEY`, `s3a://` | Amazon S3, and servers that speak like it (option `endpoint`) |
//! | `gs://BUCKET/KEY` | Google Cloud Storage |
//! | `az://CONTAINER/KEY`, `abfs://`, `abfss://`, `adl://`, `azure://` | Azure Blob Storage |
//! | `http://`, `https://` | any web server that gives ranges of files |
//! | `file:///PATH` | a local path, in every build |
//!
//! The others need feature `cloud`; a build without it says so. Keys are taken as they are; only URLs of the web have `%20`
//! for a blank. Folders, prefixes and patterns follow the rules of [`source`](crate::source), by listing. The web cannot be
//! listed: its files are named one by one.
//!
//! Guarantees: a file is what it was when it was resolved. Every later request says so (`If-Match`, or
//! `If-Unmodified-Since` where a server has no ETags), every answer is compared, and a file that changed while it was read is
//! an error. Secrets stand in no message.
//!
//! Costs: one request to open a file, then ranges of 256 KiB that double up to 8 MiB, two of them in flight, so a reader has
//! at most 16 MiB. It knows which byte is needed for certain (the end of a split), and asks for nothing beyond that in
//! advance. Parquet says which bytes it will read, and gets those once each, some ahead. All requests of a process are served
//! by one thread, which starts with the first of them.
//!
//! Fails as files do, with the range, the attempts, the cause and a hint. What is not there, or not allowed, is input
//! (exit code 3); a server that does not answer is the environment (exit code 4). No byte for
//! [`StoreOptions::deadline`] is an error (a job tries a partition again, as after other failures). A connection that breaks, or answers that it is busy, is tried again
//! [`StoreOptions::retries`] times, from the byte that was reached.
//!
//! Nothing is written to object stores: write to a file, and copy it.

#[cfg(feature = "cloud")]
mod bucket;
#[cfg(feature = "cloud")]
mod fault;
#[cfg(feature = "cloud")]
mod fetch;
#[cfg(feature = "cloud")]
mod listing;
#[cfg(feature = "cloud")]
mod object;
mod options;
#[cfg(feature = "cloud")]
mod runtime;
#[cfg(feature = "cloud")]
mod settings;
mod url;

#[cfg(feature = "cloud")]
pub(crate) use object::{Object, ObjectReader, Pending};
pub use options::StoreOptions;
pub(crate) use url::Url;

use crate::source::InputFile;
use slackwater_dataflow::{Error, Result};
use std::path::Path;

/// The stores that the inputs of one run are in.
#[derive(Default)]
pub(crate) struct Stores {
    #[cfg(feature = "cloud")]
    buckets: bucket::Buckets,
}

impl Stores {
    /// The files that a URL stands for.
    ///
    /// # Errors
    /// As [`resolve`](crate::resolve).
    pub(crate) fn resolve(
        &mut self,
        url: &Url,
        options: &StoreOptions,
        files: &mut Vec<InputFile>,
    ) -> Result<()> {
        url.served_by()?;
        #[cfg(feature = "cloud")]
        return listing::resolve(&self.buckets.of(url, options)?, url, files);
        #[cfg(not(feature = "cloud"))]
        {
            let _ = (options, files);
            Err(not_built(url))
        }
    }
}

/// True if `path` is written as a URL, of whatever scheme.
///
/// ```
/// use slackwater_loaders::store::is_url;
/// assert!(is_url("s3://bucket/a.svm"));
/// assert!(!is_url("data/a.svm"));
/// ```
pub fn is_url(path: impl AsRef<Path>) -> bool {
    path.as_ref().to_str().is_some_and(|text| Url::parse(text).is_some())
}

/// Refuses a URL as a place to write to; a folder called `s3:` is not what anyone means.
///
/// # Errors
/// Usage, for a URL.
pub fn check_output(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    match path.to_str().and_then(Url::parse) {
        Some(url) if !path.exists() => Err(Error::usage(format!(
            "`{}` is a URL, and nothing is written to object stores\n  hint: write to a file, and copy it there",
            url.shown()
        ))),
        _ => Ok(()),
    }
}

/// What a build without feature `cloud` says to a URL.
#[cfg_attr(feature = "cloud", allow(dead_code))]
pub(crate) fn not_built(url: &Url) -> Error {
    Error::input(
        format!(
            "`{}` is in an object store or on the web, and this program was built without them",
            url.shown()
        ),
        "build it with `--features cloud`, or download the file",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_without_stores_say_so() {
        let e = not_built(&Url::parse("https://host/a.svm?sig=secret").unwrap());
        assert_eq!(e.exit_code(), 3);
        let said = "`https://host/a.svm` is in an object store or on the web, and this program was built without \
                    them\n  hint: build it with `--features cloud`, or download the file";
        assert_eq!(e.to_string(), said);
    }

    #[test]
    fn nothing_is_written_to_a_url() {
        let e = check_output("s3://bucket/out.csv").unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains("`s3://bucket/out.csv` is a URL, and nothing is written"), "{e}");
        check_output("out/a.csv").unwrap();
    }
}
