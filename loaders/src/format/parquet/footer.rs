//! Footers of Parquet files, and what writers are known to get wrong in them.
//!
//! * Some say that the file has no rows, while its row groups have some (parquet-rs 0.3): row groups count.
//! * Spark writes microseconds as 96 bits (`INT96`), also those beyond what 64 bits of nanoseconds can count, which would come out as
//!   other times. So they are read as microseconds from files of Spark, and as nanoseconds, which Impala and Hive mean by them, from others.

use super::chunks::Chunks;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type;
use parquet::errors::Result;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataBuilder};
use std::sync::Arc;

/// Reads a footer.
pub(super) fn load(chunks: &Chunks, options: ArrowReaderOptions) -> Result<ArrowReaderMetadata> {
    let read = ArrowReaderMetadata::load(chunks, options.clone())?;
    // What decrypts would be lost.
    let counted = options.file_decryption_properties().is_none().then(|| counted(read.metadata())).flatten();
    let times = spark_times(&read);
    if counted.is_none() && times.is_none() {
        return Ok(read);
    }
    let metadata = counted.map_or_else(|| read.metadata().clone(), Arc::new);
    let options = match times {
        Some(schema) => options.with_schema(schema),
        None => options,
    };
    ArrowReaderMetadata::try_new(metadata, options)
}

/// The same with as many rows as the row groups have, if it says otherwise.
fn counted(metadata: &ParquetMetaData) -> Option<ParquetMetaData> {
    let file = metadata.file_metadata();
    let rows = metadata.row_groups().iter().try_fold(0i64, |sum, g| sum.checked_add(g.num_rows()))?;
    let counted = || {
        FileMetaData::new(
            file.version(),
            rows,
            file.created_by().map(str::to_string),
            file.key_value_metadata().cloned(),
            file.schema_descr_ptr(),
            file.column_orders().cloned(),
        )
    };
    (rows != file.num_rows()).then(|| {
        ParquetMetaDataBuilder::new(counted())
            .set_row_groups(metadata.row_groups().to_vec())
            .set_page_index(metadata.page_index().cloned())
            .build()
    })
}

/// The schema with times of 96 bits as microseconds, if Spark wrote any.
fn spark_times(metadata: &ArrowReaderMetadata) -> Option<SchemaRef> {
    let file = metadata.metadata().file_metadata();
    let notes = file.key_value_metadata().into_iter().flatten();
    let spark = notes.into_iter().any(|note| note.key.starts_with("org.apache.spark."));
    let has_times = file.schema_descr().columns().iter().any(|c| c.physical_type() == Type::INT96);
    (spark && has_times).then(|| {
        let schema = metadata.schema();
        let fields = schema.fields().iter().map(micros).collect::<Vec<_>>();
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    })
}

/// Spark has no nanoseconds, so whatever is read as such is of 96 bits.
fn micros(field: &Arc<Field>) -> Arc<Field> {
    let kind = match field.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        DataType::List(item) => DataType::List(micros(item)),
        DataType::Map(entries, sorted) => DataType::Map(micros(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(micros).collect()),
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(kind))
}
