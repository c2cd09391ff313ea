//! What goes wrong with a request, in words.

use object_store::client::{HttpError, HttpErrorKind};
use slackwater_dataflow::Error;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::ops::Range;
use std::time::Duration;

/// Why a request failed for good.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    /// Of a read: the bytes that were asked for.
    pub(super) range: Option<Range<u64>>,
    /// How often it was tried.
    pub(super) attempts: usize,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    NotFound,
    /// With the server's words.
    NotAllowed(String),
    OtherRegion,
    Changed,
    NoRanges,
    Refused(String),
    /// No byte for so long.
    Stalled(Duration),
    /// The body ends after so many bytes of so many.
    Short(u64, u64),
    /// Anything else, in the words of who found it.
    Other(String),
}

/// Longest part of a server's words that is shown, in characters.
const WORDS_MAX: usize = 300;

impl Cause {
    fn hint(&self) -> &'static str {
        match self {
            Cause::NotFound => "check the name of the file, and that of the bucket or server",
            Cause::NotAllowed(_) => {
                "check the credentials (settings such as aws_access_key_id, or AWS_ACCESS_KEY_ID in the environment of \
                 the command); public data need the setting skip_signature=true"
            }
            Cause::OtherRegion => "the bucket is in another region: say which with the setting region",
            Cause::Changed => "run again when nobody writes it; a dataset is one version of its files",
            Cause::NoRanges => "download the file, and read it from disk",
            Cause::Refused(_) => "check the address of the server, or the setting endpoint",
            Cause::Stalled(_) => {
                "check the network, and that credentials are given: without them, those of the machine are asked for"
            }
            Cause::Short(..) | Cause::Other(_) => "",
        }
    }
    /// True if the same request may succeed.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Cause::Stalled(_) | Cause::Short(..))
    }
    fn kind(&self) -> io::ErrorKind {
        match self {
            Cause::NotFound => io::ErrorKind::NotFound,
            Cause::NotAllowed(_) | Cause::OtherRegion | Cause::NoRanges => io::ErrorKind::PermissionDenied,
            Cause::Refused(_) => io::ErrorKind::ConnectionRefused,
            Cause::Stalled(_) => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NotFound => f.write_str("there is no such file (404)"),
            Cause::NotAllowed(words) => write!(f, "access is denied: {words}"),
            Cause::OtherRegion => f.write_str("the server redirects without saying where"),
            Cause::Changed => f.write_str("the file changed while it was read"),
            Cause::NoRanges => f.write_str("the server does not give parts of files"),
            Cause::Refused(words) => write!(f, "no connection: {words}"),
            Cause::Stalled(limit) => write!(f, "not a byte came for {limit:?}"),
            Cause::Short(got, of) => write!(f, "the body ended after {got} of {of} bytes"),
            Cause::Other(words) => f.write_str(words),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(range) = &self.range {
            write!(f, "bytes {} to {}: ", range.start, range.end)?;
        }
        write!(f, "{}", self.cause)?;
        if self.attempts > 1 {
            write!(f, ", after {} attempts", self.attempts)?;
        }
        match self.cause.hint() {
            "" => Ok(()),
            hint => write!(f, "\n  hint: {hint}"),
        }
    }
}

impl Fault {
    /// What the library's error means.
    pub(super) fn of(e: &object_store::Error, limit: Duration) -> Fault {
        let text = e.to_string();
        Fault { cause: cause(e, &text, limit), range: None, attempts: 1 + retries(&text) }
    }
    pub(super) fn of_range(self, range: &Range<u64>) -> Fault {
        Fault { range: Some(range.clone()), ..self }
    }
    /// As files have them.
    pub(super) fn into_io(self) -> io::Error {
        io::Error::new(self.cause.kind(), self.to_string())
    }
    /// The error on `name` while doing `action`.
    pub(super) fn into_error(self, name: &str, action: &str) -> Error {
        Error::io(name, action, &self.into_io())
    }
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        Fault { cause: Cause::Other(e.to_string()), range: None, attempts: 1 }
    }
}

impl From<Cause> for Fault {
    fn from(cause: Cause) -> Self {
        Fault { cause, range: None, attempts: 1 }
    }
}

fn cause(e: &object_store::Error, text: &str, limit: Duration) -> Cause {
    use object_store::Error as E;
    match e {
        E::NotFound { .. } => return Cause::NotFound,
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            return Cause::NotAllowed(
                answer(text).unwrap_or_else(|| "the server does not say why".to_string()),
            );
        }
        E::Precondition { .. } => return Cause::Changed,
        E::NotSupported { .. } => return Cause::NoRanges,
        _ => {}
    }
    if text.contains("non-partial response") {
        return Cause::NoRanges;
    }
    if text.contains("redirect without LOCATION") || matches!(status(text), Some(301 | 307)) {
        return Cause::OtherRegion;
    }
    if let Some(answer) = answer(text) {
        return Cause::Other(format!("the server answers {answer}"));
    }
    let (mut kind, mut innermost): (_, &dyn StdError) = (None, e);
    while let Some(source) = innermost.source() {
        kind = source.downcast_ref::<HttpError>().map(HttpError::kind).or(kind);
        innermost = source;
    }
    let words = shortened(&innermost.to_string());
    match kind {
        Some(HttpErrorKind::Connect) => Cause::Refused(words),
        Some(HttpErrorKind::Timeout) => Cause::Stalled(limit),
        _ => Cause::Other(words),
    }
}

/// The status of an answer that is an error. The library has it in its words alone.
pub(super) fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// An answer that is an error, with the code and the message that stores put into its body. The rest of a body may repeat
/// what was sent, such as a signature.
fn answer(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("status code: ")?;
    let line = rest.split(": ").next().unwrap_or(rest).trim();
    let element = |name: &str| {
        let (_, rest) = rest.split_once(&format!("<{name}>"))?;
        rest.split_once("</").map(|(words, _)| shortened(words))
    };
    Some(match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{line} ({code}: {message})"),
        (Some(words), None) | (None, Some(words)) => format!("{line} ({words})"),
        (None, None) => line.to_string(),
    })
}

/// How often the library tried again.
fn retries(text: &str) -> usize {
    let number = || text.split_once(", after ")?.1.split_once(" retries")?.0.parse().ok();
    number().unwrap_or(0)
}

fn shortened(words: &str) -> String {
    words.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_without_what_was_sent() {
        let text = "Generic S3 error: Error performing GET http://h/b/k in 2s, after 5 retries, max_retries: 5, \
                    retry_timeout: 30s  - Server returned non-2xx status code: 503 Service Unavailable: <Error>\
                    <Code>SlowDown</Code><Message>less</Message><StringToSign>secret</StringToSign></Error>";
        assert_eq!(answer(text).unwrap(), "503 Service Unavailable (SlowDown: less)");
        assert_eq!((status(text), retries(text)), (Some(503), 5));
        assert_eq!((status("x"), answer("x"), retries("x")), (None, None, 0));
    }

    #[test]
    fn faults_say_what_to_do() {
        let fault = Fault { attempts: 3, ..Fault::from(Cause::Changed).of_range(&(0..9)) };
        let said = "bytes 0 to 9: the file changed while it was read, after 3 attempts\n  hint: run again when nobody \
                    writes it; a dataset is one version of its files";
        assert_eq!(fault.to_string(), said);
        let not_there = Fault::from(Cause::NotFound).into_error("s3://b/k", "open");
        assert_eq!((not_there.exit_code(), not_there.is_retryable()), (3, false));
        let stalled = Fault::from(Cause::Stalled(Duration::from_secs(1))).into_error("s3://b/k", "read");
        assert_eq!((stalled.exit_code(), stalled.is_retryable()), (4, true));
    }
}
