//! What a Parquet file says of the values in its row groups and pages.

use crate::table::expr::{ColumnBounds, Expr, Stretches};
use arrow_array::UInt64Array;
use arrow_schema::Schema;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, RowSelection};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

fn converter<'a>(
    metadata: &'a ParquetMetaData,
    schema: &'a Schema,
    column: &str,
) -> Option<StatisticsConverter<'a>> {
    let file = metadata.file_metadata();
    let converter = StatisticsConverter::try_new(column, schema, file.schema_descr()).ok()?;
    Some(
        converter
            // A missing count is not known, whatever old writers meant by it.
            .with_missing_null_counts_as_zero(false)
            .with_column_orders(file.column_orders().map(Vec::as_slice)),
    )
}

/// Row groups.
pub(super) struct Groups<'a> {
    pub(super) metadata: &'a ArrowReaderMetadata,
    pub(super) groups: &'a [usize],
}

impl Groups<'_> {
    fn groups(&self) -> impl Iterator<Item = &RowGroupMetaData> {
        self.groups.iter().map(|g| self.metadata.metadata().row_group(*g))
    }
}

impl Stretches for Groups<'_> {
    fn count(&self) -> usize {
        self.groups.len()
    }
    fn bounds(&self, column: &str) -> Option<ColumnBounds> {
        let converter = converter(self.metadata.metadata(), self.metadata.schema(), column)?;
        Some(ColumnBounds {
            min: converter.row_group_mins(self.groups()).ok()?,
            max: converter.row_group_maxes(self.groups()).ok()?,
            nulls: converter.row_group_null_counts(self.groups()).ok()?,
            rows: self.groups().map(|g| u64::try_from(g.num_rows()).ok()).collect(),
        })
    }
}

/// The pages of one column in one row group.
struct Pages<'a> {
    metadata: &'a ArrowReaderMetadata,
    group: usize,
    column: &'a str,
    count: usize,
}

impl Stretches for Pages<'_> {
    fn count(&self) -> usize {
        self.count
    }
    fn bounds(&self, column: &str) -> Option<ColumnBounds> {
        if column != self.column {
            return None;
        }
        let metadata = self.metadata.metadata();
        let converter = converter(metadata, self.metadata.schema(), column)?;
        let (index, group) = (metadata.page_index()?, &[self.group]);
        let bounds = ColumnBounds {
            min: converter.data_page_mins(&**index, group).ok()?,
            max: converter.data_page_maxes(&**index, group).ok()?,
            nulls: converter.data_page_null_counts(&**index, group).ok()?,
            rows: converter
                .data_page_row_counts(&**index, metadata.row_groups(), group)
                .ok()?
                .unwrap_or_else(|| UInt64Array::new_null(self.count)),
        };
        let counts = [bounds.min.len(), bounds.max.len(), bounds.nulls.len(), bounds.rows.len()];
        counts.iter().all(|n| *n == self.count).then_some(bounds)
    }
}

/// The rows of a row group that are on pages where the condition may hold, by what is known of each column's pages alone.
/// `None`: all.
pub(super) fn pages(metadata: &ArrowReaderMetadata, group: usize, condition: &Expr) -> Option<RowSelection> {
    let index = metadata.metadata().page_index()?;
    let rows = usize::try_from(metadata.metadata().row_group(group).num_rows()).ok()?;
    let mut selected: Option<RowSelection> = None;
    for column in condition.columns() {
        let converter = converter(metadata.metadata(), metadata.schema(), column)?;
        let Some(leaf) = converter.parquet_column_index() else { continue };
        let Some(offsets) = index.offset_index(group, leaf) else { continue };
        let starts: Vec<usize> = offsets
            .page_locations()
            .iter()
            .map(|p| usize::try_from(p.first_row_index).unwrap_or(0))
            .collect();
        let ascends = starts.first() == Some(&0) && starts.windows(2).all(|w| w[0] <= w[1]);
        if !ascends || starts.last().is_some_and(|s| *s > rows) {
            continue;
        }
        let may = condition.may_hold(&Pages { metadata, group, column, count: starts.len() });
        let ends = starts.iter().skip(1).copied().chain([rows]);
        let ranges =
            starts.iter().zip(ends).zip(may).filter(|(_, may)| *may).map(|((start, end), _)| *start..end);
        let here = RowSelection::from_consecutive_ranges(ranges, rows);
        selected = Some(match selected {
            Some(before) => before.intersection(&here),
            None => here,
        });
    }
    selected
}
