//! Readers of this crate's files over bytes in memory, for the fuzz targets; nothing else calls them.

pub use crate::snapshot::{fuzzed_part as part, fuzzed_parts as parts};
