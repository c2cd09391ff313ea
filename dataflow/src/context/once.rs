//! What one process does for all.

use super::Context;
use crate::dataset::lineage::Record;
use crate::error::{Error, ErrorKind, Result};

impl Context {
    /// Runs `f` in one process, the lowest, and returns what it returned in every process, when it has. For what touches
    /// the world outside: making a folder, writing a file. It must not call actions.
    ///
    /// What has been done is not done again when a process is lost afterwards; if the lowest process is lost *while* it
    /// does it, its replacement does it again. So `f` must be something that may be done twice.
    ///
    /// # Errors
    /// That of `f`, in every process.
    #[track_caller]
    pub fn once<R: Record>(&self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        if !self.is_member() {
            return f();
        }
        let cluster = |why| Error::new(ErrorKind::Cluster(why));
        self.engine().board.await_open().map_err(cluster)?;
        let result = if self.is_past() { None } else { self.on_driver(f) };
        // A job of one partition, which the lowest process owns, carries the result to the others.
        let result = result.map(|r| r.map_err(|e| e.kind().clone()));
        let shared = self
            .range(0..1, 1)
            .map(move |_| result.clone().expect("the first partition is the lowest process's"));
        let mut results: Vec<Result<R, ErrorKind>> = shared.collect()?;
        Ok(results.pop().ok_or_else(|| Error::usage("the lowest process has said nothing"))??)
    }
}
