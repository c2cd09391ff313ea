//! What the processes of a cluster say, on its way out.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard};

/// Passes standard error on, line by line, each with the name of where it is from.
pub(super) fn relay_lines(from: &str, stderr: impl Read) {
    let mut lines = BufReader::new(stderr);
    let mut line = vec![];
    while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        let text = [format!("[{from}] ").as_bytes(), &line].concat();
        let _ = std::io::stderr().lock().write_all(&text);
        line.clear();
    }
}

/// Standard output so far: how much, and a fingerprint of it.
#[derive(Default)]
pub(super) struct Printed {
    state: Mutex<(u64, crc32fast::Hasher)>,
    /// One process prints at a time: a replacement begins when all that its predecessor said is out.
    busy: Mutex<bool>,
    free: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Passes standard output on. What a process says that has taken the place of another, and that the other had said
/// already, is left out; if it is not the same, that is said.
pub(super) fn relay_output(mut stdout: impl Read, printed: &Printed) {
    {
        let mut busy = lock(&printed.busy);
        while *busy {
            busy = printed.free.wait(busy).unwrap_or_else(|e| e.into_inner());
        }
        *busy = true;
    }
    let (mut again, before) = {
        let state = lock(&printed.state);
        (state.0, state.1.clone().finalize())
    };
    let mut said = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n) = stdout.read(&mut buffer)
        && n > 0
    {
        let known = (n as u64).min(again) as usize;
        if known > 0 {
            said.update(&buffer[..known]);
            again -= known as u64;
            if again == 0 && said.clone().finalize() != before {
                eprintln!(
                    "[cluster] warning: the process in the place of a lost one has printed something else"
                );
            }
        }
        let new = &buffer[known..n];
        let mut out = std::io::stdout().lock();
        if new.is_empty() {
            continue;
        }
        if out.write_all(new).and_then(|()| out.flush()).is_err() {
            // Nobody reads it: the process hears that when its pipe is closed.
            break;
        }
        let mut state = lock(&printed.state);
        state.0 += new.len() as u64;
        state.1.update(new);
    }
    *lock(&printed.busy) = false;
    printed.free.notify_all();
}
