//! The thread that serves all requests of a process.
//!
//! It starts with the first request and stays until the process ends. Names of hosts are looked up by short-lived threads
//! beside it. Who asks waits for an answer in a channel: a request that panics drops its end of it, which is an error there.

use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::task::AbortHandle;

static HANDLE: OnceLock<Result<Handle, String>> = OnceLock::new();

/// A request that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Request(AbortHandle);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn handle() -> io::Result<&'static Handle> {
    HANDLE.get_or_init(start).as_ref().map_err(|e| io::Error::other(e.clone()))
}

fn start() -> Result<Handle, String> {
    let failed = |e: io::Error| format!("the thread for object stores cannot start: {e}");
    // An error means that the program has chosen one, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(failed)?;
    let handle = runtime.handle().clone();
    let serve = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name("object-stores".to_string()).spawn(serve).map_err(failed)?;
    Ok(handle)
}

/// Starts a request.
pub(super) fn begin(request: impl Future<Output = ()> + Send + 'static) -> io::Result<Request> {
    Ok(Request(handle()?.spawn(request).abort_handle()))
}

/// Waits for a request, at most for `limit`. `make` runs where the runtime is known, as clients need.
pub(super) fn wait<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    limit: Duration,
    request: F,
) -> io::Result<T> {
    let (answer, answered) = sync_channel(1);
    let _request = begin(async move {
        let _ = answer.send(request.await);
    })?;
    answered.recv_timeout(limit).map_err(stopped)
}

/// Why no answer comes.
pub(super) fn stopped(e: RecvTimeoutError) -> io::Error {
    match e {
        RecvTimeoutError::Timeout => {
            io::Error::new(io::ErrorKind::TimedOut, "the thread for object stores does not answer")
        }
        RecvTimeoutError::Disconnected => {
            io::Error::other("a request to an object store ended without an answer")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_end_in_answers() {
        assert_eq!(wait(Duration::from_secs(9), async { 7 }).unwrap(), 7);
        let e = wait(Duration::from_secs(9), async { panic!("it breaks") }).map(|()| 0).unwrap_err();
        assert!(e.to_string().contains("ended without an answer"), "{e}");
        let e = wait(Duration::from_millis(9), std::future::pending::<()>()).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::TimedOut);
        assert_eq!(wait(Duration::from_secs(9), async { 8 }).unwrap(), 8, "it goes on");
    }
}
