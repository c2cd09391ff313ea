//! What is to be known of object stores, but for names.

use slackwater_dataflow::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How object stores and web servers are read.
///
/// Nothing is taken from the environment here, but for what HTTP clients look up by themselves (`HTTPS_PROXY`,
/// `SSL_CERT_FILE`): a program that wants that puts the variables it trusts into [`settings`](StoreOptions::settings).
///
/// ```
/// use slackwater_loaders::ResolveOptions;
/// let mut options = ResolveOptions::default();
/// options.stores.settings.insert("region".into(), "eu-north-1".into());
/// // `resolve(&["s3://bucket/day-*.svm"], &options)` gives files for `read_libsvm_files` and the like.
/// ```
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

impl StoreOptions {
    /// True for the name of a setting of some store. A build without feature `cloud` knows none.
    pub fn knows(name: &str) -> bool {
        #[cfg(feature = "cloud")]
        return super::settings::is_known(name);
        #[cfg(not(feature = "cloud"))]
        {
            let _ = name;
            false
        }
    }
    /// True for a setting that is a password by another name: nothing for a command line, which others can see.
    pub fn is_secret(name: &str) -> bool {
        let secrets = ["secret", "token", "password", "sas"];
        (secrets.iter().any(|s| name.contains(s)) || name.ends_with("_key")) && !name.ends_with("_file")
    }
    /// Sets a setting by its name, or by another name of it; `deadline`, in seconds, and `retries` are settings, too.
    ///
    /// # Errors
    /// Configuration: a name that no store knows, or a value that is none.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let name = name.trim().to_ascii_lowercase();
        let no_number = |_| Error::config("store", format!("`{value}` is no value of {name}"));
        match name.as_str() {
            "deadline" => {
                let seconds = value.parse().ok().filter(|s: &f64| *s > 0.0 && *s <= DEADLINE_SECONDS_MAX);
                self.deadline = Duration::from_secs_f64(seconds.ok_or(()).map_err(no_number)?);
            }
            "retries" => self.retries = value.parse().map_err(|_| no_number(()))?,
            _ if Self::knows(&name) => {
                #[cfg(feature = "cloud")]
                self.settings.retain(|other, _| !super::settings::is_same(other, &name));
                self.settings.insert(name, value.to_string());
            }
            _ => return Err(unknown(&name)),
        }
        Ok(())
    }
}

/// A day.
const DEADLINE_SECONDS_MAX: f64 = 86_400.0;

/// Settings that are used most.
const USUAL: [&str; 14] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "region",
    "endpoint",
    "allow_http",
    "skip_signature",
    "google_service_account",
    "azure_storage_account_name",
    "azure_storage_account_key",
    "azure_storage_sas_key",
    "proxy_url",
    "deadline",
    "retries",
];

/// The error for a setting that no store knows.
pub(crate) fn unknown(name: &str) -> Error {
    let hint = match cfg!(feature = "cloud") {
        true => {
            let shared = |usual: &str| usual.split('_').filter(|word| name.contains(word)).count();
            let most = USUAL.iter().map(|u| shared(u)).max().unwrap_or(0);
            let alike = USUAL.iter().filter(|u| shared(u) == most).copied().collect::<Vec<_>>();
            format!("there are {}", alike.join(", "))
        }
        false => "build the program with `--features cloud`".to_string(),
    };
    Error::config("store", format!("no object store has a setting `{name}`\n  hint: {hint}"))
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

    #[cfg(feature = "cloud")]
    #[test]
    fn settings_have_names() {
        let mut options = StoreOptions::default();
        for (name, value) in [("AWS_REGION", "a"), ("region", "b"), ("deadline", "0.5"), ("retries", "7")] {
            options.set(name, value).unwrap();
        }
        let settings: Vec<_> = options.settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(settings, [("region", "b")], "the last prevails, whatever its name");
        assert_eq!((options.deadline, options.retries), (Duration::from_millis(500), 7));
        let e = options.set("aws_acces_key", "x").unwrap_err();
        assert_eq!(e.exit_code(), 2);
        assert!(
            e.to_string().contains("no object store has a setting `aws_acces_key`\n  hint: there are aws_"),
            "{e}"
        );
        for (name, value) in [("deadline", "0"), ("deadline", "NaN"), ("retries", "-1")] {
            assert_eq!(options.set(name, value).unwrap_err().exit_code(), 2, "{name}={value}");
        }
    }

    #[test]
    fn some_settings_are_secrets() {
        for name in [
            "aws_secret_access_key",
            "aws_session_token",
            "azure_storage_account_key",
            "azure_storage_sas_key",
        ] {
            assert!(StoreOptions::is_secret(name), "{name}");
        }
        for name in ["aws_access_key_id", "region", "aws_web_identity_token_file", "google_service_account"] {
            assert!(!StoreOptions::is_secret(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut options = StoreOptions::default();
        options.settings.insert("aws_secret_access_key".into(), "hunter2".into());
        let shown = format!("{options:?}");
        assert!(shown.contains("aws_secret_access_key") && !shown.contains("hunter2"), "{shown}");
    }
}
