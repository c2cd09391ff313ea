//! Which bytes of a Parquet file a reader will read.

use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use std::ops::Range;

/// The bytes of columns (all, or those of these roots) of row groups, in the order of the file; if there are rows, of those of
/// the first row group alone, as far as the file says where its pages are.
pub(super) fn ranges(
    metadata: &ArrowReaderMetadata,
    groups: &[usize],
    rows: Option<&Range<usize>>,
    columns: Option<Vec<usize>>,
) -> Vec<Range<u64>> {
    let metadata = metadata.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let mut ranges = vec![];
    for group in groups.iter().filter(|g| **g < metadata.num_row_groups()) {
        let chunks = metadata.row_group(*group).columns().iter().enumerate();
        for (leaf, chunk) in chunks {
            let root = schema.get_column_root_idx(leaf);
            if columns.as_ref().is_some_and(|wanted| !wanted.contains(&root)) {
                continue;
            }
            let at = |n: i64| u64::try_from(n).unwrap_or(0);
            let first = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
            let start = at(first.min(chunk.data_page_offset()));
            let whole = start..start.saturating_add(at(chunk.compressed_size()));
            let pages = rows.zip(metadata.page_index().and_then(|index| index.offset_index(*group, leaf)));
            let Some((rows, pages)) = pages else {
                ranges.push(whole);
                continue;
            };
            let pages = pages.page_locations();
            let begins = |i: usize| pages.get(i).map_or(i64::MAX, |p| p.first_row_index);
            let wanted = (0..pages.len())
                .filter(|i| begins(*i) < rows.end as i64 && begins(i + 1) > rows.start as i64)
                .map(|i| {
                    at(pages[i].offset)
                        ..at(pages[i].offset).saturating_add(at(pages[i].compressed_page_size.into()))
                });
            let wanted = wanted.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
            // What is before the pages is their dictionary.
            let dictionary = start..pages.first().map_or(start, |p| at(p.offset));
            ranges.extend([Some(dictionary), wanted].into_iter().flatten().filter(|r| r.start < r.end));
        }
    }
    ranges
}
