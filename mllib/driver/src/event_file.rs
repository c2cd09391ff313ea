//! The file of events: a JSON object a line, as they come.
//!
//! *Guarantees.* When a job has ended, all up to its end is in the file. In a cluster the process that takes the place of
//! the one that wrote goes on in the same file; any other run begins it anew. The end of a run that was not killed is
//! its last event.

use slackwater_dataflow::event::{Event, Stamped, Subscription};
use slackwater_dataflow::{Context, Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

/// A file that is written to.
pub struct EventFile {
    path: PathBuf,
    subscription: Subscription,
    writer: Arc<Mutex<BufWriter<File>>>,
}

fn lock(writer: &Mutex<BufWriter<File>>) -> MutexGuard<'_, BufWriter<File>> {
    writer.lock().unwrap_or_else(|e| e.into_inner())
}

impl EventFile {
    /// Begins to write, or goes on.
    ///
    /// # Errors
    /// I/O.
    pub fn open(cx: &Context, path: &Path) -> Result<Self> {
        let (run, processes) =
            cx.config().membership.as_ref().map_or((String::new(), 1), |m| (m.run.clone(), m.processes));
        let io = |e: std::io::Error| Error::io(path, "create", &e);
        let file = match go_on(path, &run) {
            Some(file) => file,
            None => File::create(path).map_err(io)?,
        };
        let writer = Arc::new(Mutex::new(BufWriter::new(file)));
        let to = writer.clone();
        let subscription = cx.events().subscribe(move |event| {
            let mut to = lock(&to);
            // A full disk shows when the file is flushed at the end.
            let _ = serde_json::to_writer(&mut *to, event);
            let _ = to.write_all(b"\n");
            if is_flushed(&event.event) {
                let _ = to.flush();
            }
        });
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        cx.emit(|| Event::RunStart { run, processes, began_ms: began.as_millis() as u64 });
        Ok(EventFile { path: path.to_path_buf(), subscription, writer })
    }
    /// Ends the file.
    ///
    /// # Errors
    /// I/O.
    pub fn close(self, cx: &Context, error: Option<&Error>) -> Result<()> {
        cx.emit(|| Event::RunEnd { error: error.map(|e| e.to_string()) });
        drop(self.subscription);
        lock(&self.writer).flush().map_err(|e| Error::io(&self.path, "write", &e))
    }
}

/// Whoever reads the file of a run that was killed finds it up to one of these.
fn is_flushed(event: &Event) -> bool {
    matches!(
        event,
        Event::RunStart { .. }
            | Event::JobEnd { .. }
            | Event::JobInterrupted { .. }
            | Event::GenerationFormed { .. }
            | Event::Warning { .. }
    )
}

/// The file of this run, if another process has begun it: behind its last whole line.
fn go_on(path: &Path, run: &str) -> Option<File> {
    if run.is_empty() {
        return None;
    }
    let mut file = File::options().read(true).write(true).open(path).ok()?;
    let mut first = String::new();
    BufReader::new(&file).read_line(&mut first).ok()?;
    let begun: Stamped = serde_json::from_str(&first).ok()?;
    if !matches!(&begun.event, Event::RunStart { run: before, .. } if before == run) {
        return None;
    }
    let mut length = file.seek(SeekFrom::End(0)).ok()?;
    while length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(length - 1)).ok()?;
        file.read_exact(&mut last).ok()?;
        if last == *b"\n" {
            break;
        }
        length -= 1;
    }
    file.set_len(length).ok()?;
    file.seek(SeekFrom::End(0)).ok()?;
    Some(file)
}
