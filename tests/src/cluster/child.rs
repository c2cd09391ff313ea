//! What a test's child says, and what the test hears: lines on the standard output, read by a thread each.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

/// A line, and when it was read.
pub type Line = (Instant, String);

/// One process. It is killed and reaped when this is dropped.
pub(super) struct Process {
    child: Child,
    pub status: Option<ExitStatus>,
    out: Arc<Mutex<Vec<Line>>>,
    err: Arc<Mutex<Vec<Line>>>,
    readers: Vec<JoinHandle<()>>,
}

fn lines(mut from: impl Read + Send + 'static, into: &Arc<Mutex<Vec<Line>>>) -> JoinHandle<()> {
    let into = into.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(&mut from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            into.lock().unwrap_or_else(|e| e.into_inner()).push((Instant::now(), line));
        }
    })
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the test's own program can be started");
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            lines(child.stdout.take().expect("a pipe"), &out),
            lines(child.stderr.take().expect("a pipe"), &err),
        ];
        Process { child, status: None, out, err, readers }
    }
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// Asks whether it has ended; true the first time that it has. All that it has said is there then.
    pub fn has_ended_now(&mut self) -> bool {
        if self.status.is_some() {
            return false;
        }
        self.status = self.child.try_wait().expect("a child can be asked");
        if self.status.is_some() {
            self.readers.drain(..).for_each(|r| r.join().expect("a reader does not panic"));
        }
        self.status.is_some()
    }
    pub fn kill(&mut self) {
        if self.status.is_none() {
            // It may have ended in between.
            let _ = self.child.kill();
        }
    }
    /// What it has said on the standard output.
    pub fn out(&self) -> Vec<Line> {
        self.out.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
    /// What it has said on standard error.
    pub fn err(&self) -> String {
        let lines = self.err.lock().unwrap_or_else(|e| e.into_inner());
        lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }
    /// The rest of the last line that begins with this word.
    pub fn said(&self, word: &str) -> Option<String> {
        self.out().iter().rev().find_map(|(_, line)| after(line, word))
    }
}

/// What follows a word in a line. The first line of a test's output has the test's name before it.
pub(super) fn after(line: &str, word: &str) -> Option<String> {
    line.find(word).map(|at| line[at + word.len()..].trim_start().to_string())
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.kill();
            let _ = self.child.wait();
        }
        self.readers.drain(..).for_each(|r| drop(r.join()));
    }
}
