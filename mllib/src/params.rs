//! What checks of parameters share.

use slackwater_dataflow::{Error, Result};

/// A config error that names the parameter, unless it is as it must be.
pub(crate) fn require(holds: bool, name: &str, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::config(name, message())) }
}
