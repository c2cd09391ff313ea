//! Columns of texts that are stored as numbers of a dictionary.
//!
//! The library would write each text out by itself, and move the ends of all of them again for missing ones. Numbers are read
//! instead, and [written out](crate::table) a batch at a time.

use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Encoding;
use parquet::file::metadata::ColumnChunkMetaData;
use std::sync::Arc;

/// The same metadata, by which columns of texts are read as numbers wherever every page of the file has them so. `None`: there
/// is no such column, or the columns are encrypted.
pub(super) fn numbered(metadata: &ArrowReaderMetadata) -> Option<ArrowReaderMetadata> {
    let (file, schema) = (metadata.metadata(), metadata.schema());
    let descriptor = file.file_metadata().schema_descr();
    // By column: whether all row groups have numbers in it.
    let mut are_numbers = vec![file.num_row_groups() > 0; schema.fields().len()];
    for group in file.row_groups() {
        if group.columns().iter().any(|chunk| chunk.crypto_metadata().is_some()) {
            return None;
        }
        for (leaf, chunk) in group.columns().iter().enumerate() {
            if !has_numbers(chunk)
                && let Some(of_column) = are_numbers.get_mut(descriptor.get_column_root_idx(leaf))
            {
                *of_column = false;
            }
        }
    }
    let numbers = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut is_any = false;
    let field = |(field, are_numbers): (&Arc<Field>, bool)| match field.data_type() {
        DataType::Utf8 if are_numbers => {
            is_any = true;
            Arc::new(field.as_ref().clone().with_data_type(numbers.clone()))
        }
        _ => field.clone(),
    };
    let fields: Vec<_> = schema.fields().iter().zip(are_numbers).map(field).collect();
    if !is_any {
        return None;
    }
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    // Whoever refuses this reads texts.
    ArrowReaderMetadata::try_new(file.clone(), options).ok()
}

/// True if all pages with values of a column of a row group have numbers of its dictionary.
pub(super) fn has_numbers(chunk: &ColumnChunkMetaData) -> bool {
    let is_only = |kind| chunk.page_encoding_stats_mask().is_some_and(|pages| pages.is_only(kind));
    chunk.dictionary_page_offset().is_some()
        && (is_only(Encoding::RLE_DICTIONARY) || is_only(Encoding::PLAIN_DICTIONARY))
}
