//! What a process on another machine has printed, on its way from its worker's connection to whoever prints it here.
//!
//! It reads like the pipe of a process of this machine. At most [`WINDOW`] bytes wait; what is taken is said to the worker,
//! so that a reader that is slow holds up the process that prints. A worker that sends more is refused. When the reader
//! is dropped before the end, the worker hears that, and what is still under way is thrown away.

use slackwater_dataflow::cluster::WINDOW;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

#[derive(Default)]
struct Queue {
    chunks: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
    /// Nobody reads.
    unheard: bool,
}

/// One stream of a process.
#[derive(Default)]
pub(super) struct Pipe {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Adds what was printed; false if that is more than was agreed on.
    pub fn push(&self, bytes: Vec<u8>) -> bool {
        let mut queue = self.lock();
        if queue.unheard {
            return true;
        }
        if queue.bytes + bytes.len() > WINDOW {
            return false;
        }
        queue.bytes += bytes.len();
        queue.chunks.push_back(bytes);
        self.changed.notify_all();
        true
    }
    /// Nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
    /// True if all that has come is taken.
    pub fn is_empty(&self) -> bool {
        self.lock().chunks.is_empty()
    }
}

/// What a reader says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is done with so many bytes.
    Taken(usize),
    /// It reads no more, and there was no end yet.
    Stopped,
}

/// Reads a pipe to its end. It is done with bytes when the next are asked for.
pub(super) struct PipeReader<F: Fn(Progress)> {
    pipe: Arc<Pipe>,
    chunk: Vec<u8>,
    at: usize,
    say: F,
}

impl<F: Fn(Progress)> PipeReader<F> {
    /// A reader, which is the only one. `say` hears what becomes of it.
    pub fn new(pipe: &Arc<Pipe>, say: F) -> Self {
        PipeReader { pipe: pipe.clone(), chunk: vec![], at: 0, say }
    }
}

impl<F: Fn(Progress)> Drop for PipeReader<F> {
    fn drop(&mut self) {
        let mut queue = self.pipe.lock();
        queue.unheard = true;
        queue.chunks.clear();
        let has_ended = queue.closed;
        drop(queue);
        if !has_ended {
            (self.say)(Progress::Stopped);
        }
    }
}

impl<F: Fn(Progress)> Read for PipeReader<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let done = std::mem::take(&mut self.chunk).len();
            self.at = 0;
            if done > 0 {
                self.pipe.lock().bytes -= done;
                (self.say)(Progress::Taken(done));
            }
            let mut queue = self.pipe.lock();
            loop {
                if let Some(chunk) = queue.chunks.pop_front() {
                    self.chunk = chunk;
                    break;
                }
                if queue.closed {
                    return Ok(0);
                }
                // Whoever has the connection closes the pipe, at the latest when the worker has been silent.
                let wait = self.pipe.changed.wait_timeout(queue, Duration::from_secs(1));
                queue = wait.unwrap_or_else(|e| e.into_inner()).0;
            }
        }
        let n = out.len().min(self.chunk.len() - self.at);
        out[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_are_bounded() {
        let pipe = Arc::<Pipe>::default();
        assert!(pipe.push(vec![1; 1000]) && pipe.push(vec![2; WINDOW - 1000]) && !pipe.push(vec![3]));
        pipe.close();
        let taken = Mutex::new(0);
        let count = |progress| match progress {
            Progress::Taken(n) => *taken.lock().unwrap() += n,
            Progress::Stopped => panic!("it has read to the end"),
        };
        let mut reader = PipeReader::new(&pipe, count);
        let mut all = vec![];
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, [vec![1; 1000], vec![2; WINDOW - 1000]].concat());
        assert_eq!((*taken.lock().unwrap(), pipe.is_empty()), (WINDOW, true));
    }
    #[test]
    fn a_reader_that_stops_is_said_to() {
        let pipe = Arc::<Pipe>::default();
        assert!(pipe.push(vec![1; WINDOW]));
        let said = Mutex::new(vec![]);
        let mut reader = PipeReader::new(&pipe, |progress| said.lock().unwrap().push(progress));
        assert_eq!(reader.read(&mut [0; 10]).unwrap(), 10);
        drop(reader);
        assert_eq!(*said.lock().unwrap(), [Progress::Stopped]);
        assert!(pipe.push(vec![2; WINDOW]) && pipe.is_empty());
    }
}
