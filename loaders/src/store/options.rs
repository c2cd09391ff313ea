//! What is to be known of object stores, but for names.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How object stores and web servers are read.
///
/// Nothing is taken from the environment here: a program that wants that puts the variables it trusts into
/// [`settings`](StoreOptions::settings).
#[derive(Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Settings of the stores by name: `aws_access_key_id`, `region`, `endpoint`, `allow_http`, `google_service_account`,
    /// `azure_storage_account_key` and so on. Each store takes those that it knows.
    pub settings: BTreeMap<String, String>,
    /// Longest wait for a byte. Default: 30 s.
    pub deadline: Duration,
    /// How often a request is tried again without progress. Default: 5.
    pub retries: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { settings: BTreeMap::new(), deadline: Duration::from_secs(30), retries: 5 }
    }
}

/// Shows the names of settings. Their values may be secrets.
impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .field("deadline", &self.deadline)
            .field("retries", &self.retries)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut options = StoreOptions::default();
        options.settings.insert("aws_secret_access_key".into(), "hunter2".into());
        let shown = format!("{options:?}");
        assert!(shown.contains("aws_secret_access_key") && !shown.contains("hunter2"), "{shown}");
    }
}
