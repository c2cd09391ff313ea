//! Keys of encrypted files.

use crate::guard::damaged;
use parquet::encryption::decrypt::FileDecryptionProperties;
use slackwater_dataflow::{Error, Result};
use std::fmt;
use std::sync::Arc;

/// What Parquet files are encrypted with: keys of 16 or 32 bytes. It prints without them.
#[derive(Clone, Default)]
pub struct ParquetKeys {
    /// The key of the footer, and of columns that have none of their own.
    pub footer: Vec<u8>,
    /// Columns, by their paths (`a.list.element`), with their keys.
    pub columns: Vec<(String, Vec<u8>)>,
    /// What the files must have been written with besides (their AAD prefix), where they do not say it themselves.
    pub prefix: Option<Vec<u8>>,
}

impl fmt::Debug for ParquetKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&String> = self.columns.iter().map(|(name, _)| name).collect();
        f.debug_struct("ParquetKeys").field("columns", &columns).finish_non_exhaustive()
    }
}

impl ParquetKeys {
    pub(super) fn properties(&self) -> Result<Arc<FileDecryptionProperties>> {
        let mut builder = FileDecryptionProperties::builder(self.footer.clone());
        for (column, key) in &self.columns {
            builder = builder.with_column_key(column, key.clone());
        }
        if let Some(prefix) = &self.prefix {
            builder = builder.with_aad_prefix(prefix.clone());
        }
        builder.build().map_err(|e| Error::config("keys", e.to_string()))
    }
}

/// The error of a file that cannot be read: it is damaged, or it is encrypted.
pub(super) fn unreadable(name: &str, message: &str) -> Error {
    let lower = message.to_lowercase();
    match ["crypt", "aad prefix"].iter().any(|word| lower.contains(word)) {
        true => Error::input(
            format!("{name}: {message}"),
            "it is encrypted; open it with the keys of its footer and its columns (`ParquetTable::open_encrypted`)",
        ),
        false => damaged(name, message),
    }
}
