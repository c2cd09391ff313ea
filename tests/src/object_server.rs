//! A folder as a web server and as an object store, with faults by script.
//!
//! Plain HTTP/1.1 with keep-alive, a thread a connection. `/bucket/KEY` is an object of S3 in path style: it wants a
//! signature by [`ACCESS_KEY`] and lists in pages. Any other path is a file of a web server. Both give ranges and ETags,
//! and heed `If-Match` and `If-Unmodified-Since`. What was asked and how many bytes were given is counted.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

/// The key that requests to `/bucket/` must be signed by.
pub const ACCESS_KEY: &str = "AKIDTEST";
/// Names that a page of a listing has.
const PAGE_NAMES: usize = 3;
/// Bytes that are written at a time.
const PIECE_BYTES: usize = 64 << 10;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `GET`, `HEAD`.
    pub method: String,
    /// Decoded, without the query.
    pub path: String,
    /// As it was sent.
    pub query: String,
    /// First byte and byte after the last.
    pub range: Option<(u64, u64)>,
    /// Of all requests to the server, from 0.
    pub number: u64,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// A header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// True unless it asks for the first bytes alone, as who opens a file does.
    pub fn is_read(&self) -> bool {
        self.method == "GET" && self.range.is_some_and(|(start, end)| start > 0 || end > 16)
    }
}

/// What is done about a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// What is right.
    Serve,
    /// Nothing but a status.
    Status(u16),
    /// The connection is cut after so many bytes of the body.
    Cut(u64),
    /// Nothing comes after so many bytes of the body.
    Stall(u64),
    /// So many bytes at a time, with pauses.
    Dribble(usize, Duration),
    /// A body, and its length, that are so many bytes too short.
    Short(u64),
    /// The whole file, whatever range was asked for.
    Whole,
    /// Another address.
    Redirect(String),
    /// The right bytes, with this for an ETag; nothing for none at all.
    Tagged(Option<String>),
    /// The right bytes, whatever the conditions.
    Unconditional,
}

type Script = Box<dyn Fn(&Asked) -> Act + Send + Sync>;

struct State {
    root: PathBuf,
    script: Mutex<Arc<Script>>,
    asked: Mutex<Vec<Asked>>,
    count: AtomicU64,
    served: AtomicU64,
    is_over: AtomicBool,
}

/// A server that ends when it is dropped.
pub struct ObjectServer {
    address: SocketAddr,
    state: Arc<State>,
}

impl ObjectServer {
    /// Serves a folder.
    pub fn start(root: impl AsRef<Path>) -> ObjectServer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            root: root.as_ref().to_path_buf(),
            script: Mutex::new(Arc::new(Box::new(|_| Act::Serve))),
            asked: Mutex::default(),
            count: AtomicU64::new(0),
            served: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let state = shared.clone();
                // A client that goes away is its own business.
                thread::spawn(move || drop(serve(&state, stream)));
            }
        });
        ObjectServer { address, state }
    }
    /// The URL of a file of the web server.
    pub fn web(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
    /// What a store needs to be known to reach `s3://bucket/`.
    pub fn s3(&self) -> [(&'static str, String); 5] {
        [
            ("aws_endpoint", format!("http://{}", self.address)),
            ("aws_allow_http", "true".to_string()),
            ("aws_access_key_id", ACCESS_KEY.to_string()),
            ("aws_secret_access_key", "a secret that nobody may see".to_string()),
            ("aws_region", "eu-north-1".to_string()),
        ]
    }
    /// What is done about requests from now on.
    pub fn script(&self, script: impl Fn(&Asked) -> Act + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(Box::new(script));
    }
    /// The requests since this was last called.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }
    /// The bytes of files that were given since this was last called.
    pub fn served(&self) -> u64 {
        self.state.served.swap(0, Ordering::SeqCst)
    }
}

impl Drop for ObjectServer {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(state: &State, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(asked) = read_request(&mut reader)? {
        let asked = {
            let asked = Asked { number: state.count.fetch_add(1, Ordering::SeqCst), ..asked };
            state.asked.lock().unwrap().push(asked.clone());
            asked
        };
        let script = state.script.lock().unwrap().clone();
        let goes_on = answer(state, &mut stream, &asked, script(&asked))?;
        if !goes_on || state.is_over.load(Ordering::SeqCst) {
            return stream.shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut asked = Asked {
        method: method.to_string(),
        path: decoded(path),
        query: query.to_string(),
        ..Asked::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => asked.headers.push((name.to_ascii_lowercase(), value.trim().to_string())),
            None => break,
        }
    }
    let range = asked.header("range").and_then(|r| r.strip_prefix("bytes=")?.split_once('-'));
    asked.range = range.and_then(|(a, b)| Some((a.parse().ok()?, b.parse::<u64>().ok()? + 1)));
    Ok(Some(asked))
}

/// A file as it is now.
struct File {
    path: PathBuf,
    size: u64,
    tag: String,
    modified: u64,
}

impl File {
    fn read(path: &Path) -> Option<File> {
        let about = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let since = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        let tag = format!("\"{:x}-{:x}\"", since.as_nanos(), about.len());
        Some(File { path: path.to_path_buf(), size: about.len(), tag, modified: since.as_secs() })
    }
    fn bytes(&self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (end - start) as usize];
        let mut file = fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Answers a request; false if the connection is of no use any more.
fn answer(state: &State, stream: &mut TcpStream, asked: &Asked, act: Act) -> io::Result<bool> {
    match &act {
        Act::Status(status) => return plain(stream, asked, *status, "<Error><Code>Scripted</Code></Error>"),
        Act::Redirect(to) => {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            return stream.write_all(head.as_bytes()).map(|()| true);
        }
        _ => {}
    }
    let path = match asked.path.strip_prefix("/bucket") {
        Some(key) => {
            let signature = asked.header("authorization").unwrap_or_default();
            let is_signed = signature.starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/"))
                && asked.header("x-amz-date").is_some()
                && asked.header("x-amz-content-sha256").is_some();
            if !is_signed {
                let why = "<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist.</Message>\
                           <StringToSign>what was sent</StringToSign></Error>";
                return plain(stream, asked, 403, why);
            }
            if asked.query.contains("list-type=2") {
                let listing = list(&state.root, &asked.query);
                return plain(stream, asked, 200, &listing);
            }
            key
        }
        None => &asked.path,
    };
    let Some(file) = File::read(&state.root.join(path.trim_start_matches('/'))) else {
        return plain(stream, asked, 404, "<Error><Code>NoSuchKey</Code></Error>");
    };
    let tag = match &act {
        Act::Tagged(tag) => tag.clone(),
        _ => Some(file.tag.clone()),
    };
    let is_other = asked.header("if-match").is_some_and(|wanted| Some(wanted) != tag.as_deref());
    let since = asked.header("if-unmodified-since").is_some_and(|date| date != http_date(file.modified));
    if (is_other || since) && act != Act::Unconditional {
        return plain(stream, asked, 412, "");
    }
    give(state, stream, asked, &act, &file, tag)
}

fn give(
    state: &State,
    stream: &mut TcpStream,
    asked: &Asked,
    act: &Act,
    file: &File,
    tag: Option<String>,
) -> io::Result<bool> {
    let size = file.size;
    let range = asked.range.filter(|_| *act != Act::Whole);
    let (start, mut end) = range.map_or((0, size), |(start, end)| (start, end.min(size)));
    if range.is_some() && start >= size {
        return plain(stream, asked, 416, "");
    }
    let last = end - u64::from(range.is_some());
    if let Act::Short(by) = act {
        end = end.saturating_sub(*by).max(start);
    }
    let mut head = format!("HTTP/1.1 {}\r\n", if range.is_some() { "206 Partial Content" } else { "200 OK" });
    if range.is_some() {
        write!(head, "Content-Range: bytes {start}-{last}/{size}\r\n").unwrap();
    }
    if let Some(tag) = tag {
        write!(head, "ETag: {tag}\r\n").unwrap();
    }
    write!(head, "Last-Modified: {}\r\n", http_date(file.modified)).unwrap();
    write!(head, "Content-Length: {}\r\n\r\n", end - start).unwrap();
    stream.write_all(head.as_bytes())?;
    if asked.method == "HEAD" {
        return Ok(true);
    }
    let body = &file.bytes(start, end)?[..];
    let send = |stream: &mut TcpStream, body: &[u8], piece: usize, pause: Duration| -> io::Result<()> {
        for piece in body.chunks(piece) {
            stream.write_all(piece)?;
            state.served.fetch_add(piece.len() as u64, Ordering::SeqCst);
            if !pause.is_zero() {
                thread::sleep(pause);
            }
        }
        Ok(())
    };
    let first = |n: u64| &body[..body.len().min(usize::try_from(n).unwrap_or(usize::MAX))];
    match act {
        Act::Cut(after) if (*after as usize) < body.len() => {
            send(stream, first(*after), PIECE_BYTES, Duration::ZERO)?;
            Ok(false)
        }
        Act::Stall(after) if (*after as usize) < body.len() => {
            send(stream, first(*after), PIECE_BYTES, Duration::ZERO)?;
            // Until the client gives up.
            let _ = stream.read(&mut [0]);
            Ok(false)
        }
        Act::Dribble(piece, pause) => send(stream, body, *piece, *pause).map(|()| true),
        _ => send(stream, body, PIECE_BYTES, Duration::ZERO).map(|()| true),
    }
}

fn plain(stream: &mut TcpStream, asked: &Asked, status: u16, body: &str) -> io::Result<bool> {
    let mut text = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n", body.len());
    if asked.method != "HEAD" {
        text.push_str(body);
    }
    stream.write_all(text.as_bytes()).map(|()| true)
}

/// `%20` as a blank.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (vec![], text.as_bytes());
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|t| u8::from_str_radix(std::str::from_utf8(t).ok()?, 16).ok());
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
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Keys of the files in a folder, with slashes.
fn keys(folder: &Path, prefix: &str, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let key = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => keys(&entry.path(), &format!("{key}/"), into),
            false => drop(into.insert(key)),
        }
    }
}

/// A page of names: ListObjectsV2.
fn list(root: &Path, query: &str) -> String {
    let field = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(n, _)| *n == name)
            .map(|(_, value)| decoded(&value.replace('+', " ")))
            .unwrap_or_default()
    };
    let (prefix, delimiter, token) = (field("prefix"), field("delimiter"), field("continuation-token"));
    let mut all = BTreeSet::new();
    keys(root, "", &mut all);
    let mut names = BTreeSet::new();
    for key in all.iter().filter(|key| key.starts_with(&prefix)) {
        let end = key[prefix.len()..].find(&delimiter).filter(|_| !delimiter.is_empty());
        names.insert(match end {
            Some(at) => key[..prefix.len() + at + delimiter.len()].to_string(),
            None => key.clone(),
        });
    }
    let from = token.parse().unwrap_or(0);
    let mut xml = String::from("<ListBucketResult>");
    for name in names.iter().skip(from).take(PAGE_NAMES) {
        let escaped = name.replace('&', "&amp;").replace('<', "&lt;");
        match name.ends_with('/') {
            true => write!(xml, "<CommonPrefixes><Prefix>{escaped}</Prefix></CommonPrefixes>").unwrap(),
            false => {
                let size = fs::metadata(root.join(name)).map_or(0, |about| about.len());
                write!(
                    xml,
                    "<Contents><Key>{escaped}</Key><LastModified>2024-01-02T03:04:05.000Z</LastModified>\
                     <ETag>\"listed\"</ETag><Size>{size}</Size></Contents>"
                )
                .unwrap();
            }
        }
    }
    if from + PAGE_NAMES < names.len() {
        let next = from + PAGE_NAMES;
        write!(xml, "<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>")
            .unwrap();
    } else {
        xml.push_str("<IsTruncated>false</IsTruncated>");
    }
    xml + "</ListBucketResult>"
}

/// Seconds since 1970 as HTTP writes them.
///
/// From: Hinnant, `chrono`-compatible low-level date algorithms, `civil_from_days`.
fn http_date(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!(
        "{weekday}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        months[month as usize - 1],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_web() {
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        // The example of RFC 9110.
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
