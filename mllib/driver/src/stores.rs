//! What is known of object stores: from the environment, and from `--store`.

use crate::args::Globals;
use slackwater_dataflow::{Error, OnBad, Result};
use slackwater_loaders::store::check_output;
use slackwater_loaders::{ResolveOptions, StoreOptions};
use std::sync::OnceLock;

/// What variables of providers begin with.
const PROVIDERS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// Of this process: every command that reads files means the same stores by their names.
static OPTIONS: OnceLock<ResolveOptions> = OnceLock::new();

/// Notes what was said of stores, before a command begins.
///
/// # Errors
/// Usage: a setting that there is not, a secret in the command line, or a URL as a place to write to.
pub fn note(globals: &Globals) -> Result<()> {
    if let Some(OnBad::Quarantine(folder)) = &globals.on_bad {
        check_output(folder)?;
    }
    let mut stores = StoreOptions::default();
    // Those that are not text, or are for other programs, are none of ours.
    let variables = std::env::vars_os().filter_map(|(n, v)| n.into_string().ok().zip(v.into_string().ok()));
    for (name, value) in variables.filter(|(name, _)| PROVIDERS.iter().any(|p| name.starts_with(p))) {
        if StoreOptions::knows(&name.to_ascii_lowercase()) {
            stores.set(&name, &value)?;
        }
    }
    for setting in globals.store.iter().filter(|setting| !setting.is_empty()) {
        let Some((name, value)) = setting.split_once('=') else {
            return Err(Error::config("store", format!("`{setting}` is not of the form KEY=VALUE")));
        };
        if StoreOptions::is_secret(&name.to_ascii_lowercase()) {
            let variable = name.to_ascii_uppercase();
            let message = format!(
                "{name} is a secret, and others can see a command line\n  hint: set {variable} in the environment"
            );
            return Err(Error::config("store", message));
        }
        stores.set(name, value)?;
    }
    let _ = OPTIONS.set(ResolveOptions { stores, ..ResolveOptions::default() });
    Ok(())
}

/// How names of files are resolved.
pub fn resolve_options() -> &'static ResolveOptions {
    OPTIONS.get_or_init(ResolveOptions::default)
}
