//! URLs, as far as inputs need them.

use slackwater_dataflow::{Error, Result};
use std::path::PathBuf;

/// What a URL is made of. Its parts are as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    /// The bucket, or the host with its port.
    pub(crate) authority: String,
    /// Without the slash at its start.
    pub(crate) path: String,
    /// Of the web alone; it may hold a signature, which is a secret.
    pub(crate) query: Option<String>,
}

/// Schemes and what serves them.
const SCHEMES: &[(&str, Scheme)] = &[
    ("s3", Scheme::S3),
    ("s3a", Scheme::S3),
    ("gs", Scheme::Google),
    ("az", Scheme::Azure),
    ("abfs", Scheme::Azure),
    ("abfss", Scheme::Azure),
    ("adl", Scheme::Azure),
    ("azure", Scheme::Azure),
    ("http", Scheme::Web),
    ("https", Scheme::Web),
    ("file", Scheme::File),
];

/// What serves a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    S3,
    Google,
    Azure,
    Web,
    File,
}

impl Url {
    /// The parts of a text that begins with a scheme and `://`.
    pub(crate) fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://")?;
        let mut letters = scheme.bytes();
        let is_scheme = letters.next().is_some_and(|b| b.is_ascii_lowercase())
            && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b));
        if !is_scheme {
            return None;
        }
        let is_web = matches!(scheme, "http" | "https");
        // A question mark belongs to a key of an object store.
        let (rest, query) = match rest.split_once('?').filter(|_| is_web) {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        // What follows `#` is for who looks at a page.
        let before_fragment = |text: &str| text.split('#').next().unwrap_or_default().to_string();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some(Url {
            scheme: scheme.to_string(),
            authority: authority.to_string(),
            path: if is_web { before_fragment(path) } else { path.to_string() },
            query: query.map(before_fragment),
        })
    }
    /// What serves it.
    ///
    /// # Errors
    /// Input, for a scheme that is not known.
    pub(crate) fn served_by(&self) -> Result<Scheme> {
        SCHEMES.iter().find(|(name, _)| *name == self.scheme).map(|(_, scheme)| *scheme).ok_or_else(|| {
            let names: Vec<String> = SCHEMES.iter().map(|(name, _)| format!("{name}://")).collect();
            Error::input(
                format!("`{}` has a scheme that is not known", self.shown()),
                format!("known are {}", names.join(", ")),
            )
        })
    }
    /// True for a path of this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.scheme == "file"
    }
    /// The local path of `file://`.
    ///
    /// # Errors
    /// Input, if it is on another machine.
    pub(crate) fn local_path(&self) -> Result<PathBuf> {
        match self.authority.as_str() {
            "" | "localhost" => Ok(PathBuf::from(format!("/{}", crate::folders::unescaped(&self.path)))),
            _ => Err(Error::input(
                format!("`{}` is on another machine", self.shown()),
                "three slashes begin a local path: file:///home/..",
            )),
        }
    }
    /// Without what may be secret: a user's name and password on the web, and a query. Azure's `container@account` has no secret.
    pub(crate) fn shown(&self) -> String {
        format!("{}://{}/{}", self.scheme, self.shown_authority(), self.path)
    }
    fn shown_authority(&self) -> &str {
        match (self.scheme.as_str(), self.authority.rsplit_once('@')) {
            ("http" | "https", Some((_, host))) => host,
            _ => &self.authority,
        }
    }
    /// The URL of another path in the same place.
    #[cfg(feature = "cloud")]
    pub(crate) fn with_path(&self, path: &str) -> Url {
        Url { path: path.to_string(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_parts() {
        let url = |text: &str| Url::parse(text).unwrap();
        let s3 = url("s3://bucket/a b/what?#1%20.svm");
        assert_eq!((s3.authority.as_str(), s3.path.as_str()), ("bucket", "a b/what?#1%20.svm"));
        assert_eq!(s3.served_by().unwrap(), Scheme::S3);
        let web = url("https://me:word@host:80/a.svm?X-Amz-Signature=abc#x");
        assert_eq!(web.query.as_deref(), Some("X-Amz-Signature=abc"));
        assert_eq!(web.shown(), "https://host:80/a.svm", "no secrets");
        assert_eq!(url("az://box@account/k").shown(), "az://box@account/k");
        assert_eq!(url("s3://bucket").path, "");
        for other in ["a.svm", "/a://b", "S3://b/k", "://b", "3s://b/k", "c:\\x", "a b://c"] {
            assert_eq!(Url::parse(other), None, "{other}");
        }
    }

    #[test]
    fn files_are_local() {
        let path = |text: &str| Url::parse(text).unwrap().local_path();
        assert_eq!(path("file:///a/b%20c").unwrap(), PathBuf::from("/a/b c"));
        assert_eq!(path("file://localhost/a").unwrap(), PathBuf::from("/a"));
        assert_eq!(path("file://other/a").unwrap_err().exit_code(), 3);
    }

    #[test]
    fn schemes_are_named() {
        let e = Url::parse("hdfs://node/a").unwrap().served_by().unwrap_err();
        assert!(
            e.to_string()
                .starts_with("`hdfs://node/a` has a scheme that is not known\n  hint: known are s3://"),
            "{e}"
        );
        assert_eq!(e.exit_code(), 3);
    }
}
