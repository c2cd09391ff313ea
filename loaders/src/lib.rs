//! Reading and writing data sets: where the bytes are, how they are packed, how they are divided, what they mean.
//!
//! Seven layers, each of which knows only the ones above it in this list:
//!
//! 1. [`source`] turns what a user types (a path, a pattern, a folder of parts, `-`) into [`InputFile`]s;
//!    [`codec`] knows how a file is packed and unpacks it as a stream, within limits.
//! 2. [`split`] divides files into byte ranges, the partitions of a dataset; [`lines`] reads the whole lines of one
//!    range in bounded memory.
//! 3. [`format`](mod@format) gives bytes a meaning: text, LIBSVM, ratings, matrices, graphs, models and so on.
//! 4. [`table`] gives records named, typed columns: expressions, frames, features. [`open`](mod@open) reads any file as a table.
//! 5. [`sink`] writes folders and files that are either whole or not there.
//! 6. [`read`], [`read_graph`] and [`save`] make datasets of all this: a partition is a split, or a file of a folder.
//! 7. [`write`](mod@write) makes files of tables.
//!
//! The first three need no running engine, nor do sinks: a reader over a [`Split`] is an ordinary value on an ordinary thread.
//!
//! Bad data is a value: a reader hands each [`BadRecord`](slackwater_dataflow::BadRecord), with file, line, column and
//! bytes, to a callback that says whether to go on. What concerns a whole file (it is missing, cut short, a
//! decompression bomb) is an [`Error`](slackwater_dataflow::Error).
//!
//! ```
//! use slackwater_loaders::{InputFile, format::libsvm::{LibsvmOptions, LibsvmReader}, split};
//!
//! let file = InputFile::from_bytes("tiny.svm", "+1 1:0.5 3:2 # a comment\n-1 2:1e-3\n");
//! let mut rows = 0;
//! for split in split::splits(&[file], 1) {
//!     let mut reader = LibsvmReader::open(&split, &LibsvmOptions::default())?;
//!     while let Some(block) = reader.next_block(&mut |bad| Err(bad.into()))? {
//!         rows += block.rows();
//!     }
//! }
//! assert_eq!(rows, 2);
//! # Ok::<(), slackwater_dataflow::Error>(())
//! ```

pub mod codec;
mod folders;
pub mod format;
mod guard;
pub mod lines;
mod murmur;
pub mod open;
pub mod read;
pub mod read_graph;
mod read_tables;
pub mod save;
pub mod sink;
pub mod source;
mod spans;
pub mod split;
pub mod store;
pub mod table;
pub mod write;

pub use codec::{Compression, ExpansionLimit};
pub use lines::ReadLimits;
pub use open::{Format, TableOptions, open_table};
pub use read::{ReadExt, Splitting};
pub use read_graph::ReadGraphExt;
pub use read_tables::ReadTables;
pub use save::{SaveLibsvm, SaveText};
pub use source::{InputFile, ResolveOptions, resolve};
pub use split::Split;
pub use store::StoreOptions;

/// What a reader does with a record that it cannot use: `Ok` leaves the record out and goes on, `Err` ends the reading.
pub type OnBadRecord<'a> = dyn FnMut(slackwater_dataflow::BadRecord) -> slackwater_dataflow::Result<()> + 'a;
