//! A table that a command writes: to one file, or to a folder of parts.

use crate::args::TableOutArgs;
use crate::session::Session;
use slackwater_dataflow::{Error, Result};
use slackwater_loaders::format::csv::CsvWriteOptions;
use slackwater_loaders::sink::Existing;
use slackwater_loaders::store::check_output;
use slackwater_loaders::table::Frame;
use slackwater_loaders::write::WriteOptions;
use slackwater_loaders::{Compression, Format};
use std::path::{Path, PathBuf};

/// Where a table goes, and how.
pub(super) struct TableOut {
    /// The file, or the folder.
    pub path: PathBuf,
    /// What is written.
    pub format: Format,
    is_folder: bool,
    existing: Existing,
    options: WriteOptions,
}

impl TableOut {
    /// What the options say, before anything is read.
    ///
    /// # Errors
    /// Usage, if they do not say what to write, or if it is there already; config, for an option of another format.
    pub fn of(out: &Path, args: &TableOutArgs) -> Result<TableOut> {
        check_output(out)?;
        let is_folder = out.to_string_lossy().ends_with('/') || (out.is_dir() && args.to.is_some());
        let format = match (args.to, Format::of_path(out)) {
            (Some(format), _) => format,
            (None, Some(format)) if !is_folder => format,
            _ => {
                return Err(Error::usage(format!(
                    "`{}` does not say what to write\n  hint: say it with --to, as in --to parquet",
                    out.display()
                )));
            }
        };
        for (name, given) in [("out-delimiter", args.out_delimiter.is_some()), ("no-header", args.no_header)]
        {
            if given && !matches!(format, Format::Csv | Format::Tsv) {
                return Err(Error::config(name, format!("is for CSV, and this writes {}", format.name())));
            }
        }
        if out.exists() && !args.overwrite && !is_folder && !out.is_dir() {
            let shown = out.display();
            return Err(Error::usage(format!("`{shown}` is there already\n  hint: --overwrite replaces it")));
        }
        let csv = CsvWriteOptions { delimiter: args.out_delimiter.unwrap_or(b','), header: !args.no_header };
        let compression = args.compression.or_else(|| match is_folder {
            true => None,
            false => Some(Compression::from_extension(out)).filter(|c| *c != Compression::None),
        });
        Ok(TableOut {
            path: out.to_path_buf(),
            format,
            is_folder,
            existing: if args.overwrite { Existing::Overwrite } else { Existing::Refuse },
            options: WriteOptions { compression, csv, ..WriteOptions::default() },
        })
    }

    /// Writes it. Returns how many rows it has.
    ///
    /// # Errors
    /// I/O; what reading the table fails with; interruption.
    pub fn write(&self, session: &Session, frame: &Frame) -> Result<u64> {
        match self.is_folder {
            true => frame.save(&self.path, self.existing, self.format, &self.options),
            false => frame
                .save_file(&self.path, self.existing, self.format, &self.options, &mut |_| session.check()),
        }
    }
}
