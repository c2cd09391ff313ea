//! Libraries that read foreign bytes, kept from taking the program down.
//!
//! The decoders of Arrow and Parquet answer nearly every damaged file with an error, but not each: some arithmetic on
//! what a file claims, and some of their assertions, panic. That is a finding about the file, and becomes an error here.

use slackwater_dataflow::{Error, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `read` gives; if it panics, an error that says that `name` is damaged.
pub(crate) fn guarded<T>(name: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
    // What was read from is not used again after an error.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| Err(damaged(name, &message(&*panic))))
}

/// The error of a file that cannot be what it says it is.
pub(crate) fn damaged(name: &str, message: &str) -> Error {
    Error::input(
        format!("{name}: {message}"),
        "the file is damaged or cut short; get it again from where it came",
    )
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it cannot be decoded").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_errors() {
        let e = guarded("a.parquet", || -> Result<()> { panic!("no page {}", 3) }).unwrap_err();
        assert!(e.to_string().starts_with("a.parquet: no page 3\n  hint: the file is damaged"), "{e}");
        assert_eq!(guarded("a", || Ok(1)).unwrap(), 1);
    }
}
