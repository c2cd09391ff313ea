//! Keys of encrypted files.

use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::errors::ParquetError;
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

/// The error of a file that is encrypted, where that is what is wrong.
pub(super) fn locked(name: &str, e: &ParquetError) -> Option<Error> {
    let text = e.to_string();
    let lower = text.to_lowercase();
    ["crypt", "aad prefix"].iter().any(|word| lower.contains(word)).then(|| {
        Error::input(
            format!("{name}: {text}"),
            "it is encrypted; open it with the keys of its footer and its columns (`ParquetTable::open_encrypted`)",
        )
    })
}
