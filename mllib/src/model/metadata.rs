//! What `metadata.json` says.

use serde::{Deserialize, Serialize};

/// The `format` of every model.
pub const FORMAT: &str = "slackwater-model";
/// The version that is written, and the highest that is read.
pub const FORMAT_VERSION: u32 = 1;

/// What `metadata.json` says, with attributes of type `A` (from [`super::inspect`]: JSON text).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata<A> {
    /// [`FORMAT`].
    pub format: String,
    /// Version of the format.
    pub format_version: u32,
    /// Version of the library that wrote it.
    pub library_version: String,
    /// Name of the algorithm.
    pub algorithm: String,
    /// What the algorithm stores: parameters, seed, classes, training summary.
    pub attributes: A,
    /// How rows of features are made of the columns of a table, if the model was trained on one: written and read by who
    /// reads tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<serde_json::Value>,
    /// The numbers.
    pub data: DataFile,
}

/// The file with the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Relative to the model.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// CRC-32 of the file.
    pub crc32: u32,
    /// Names and types of the columns.
    pub schema: Vec<(String, String)>,
}
