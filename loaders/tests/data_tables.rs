//! Real tables that are not CSV, when `SLACKWATER_DATA` says where they are.

mod common;

use common::data;
use slackwater_loaders::format::arff::ArffTable;
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, ReadLimits};

/// Rows of a table, all of which must be good.
fn rows(table: &dyn TableSource) -> usize {
    let mut rows = 0;
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &Scan::default()).unwrap_or_else(|e| panic!("{e}"));
        while let Some(batch) =
            reader.next_batch(&mut |bad| Err(bad.into())).unwrap_or_else(|e| panic!("{e}"))
        {
            rows += batch.num_rows();
        }
    }
    rows
}

#[test]
fn arff() {
    let Some(data) = data() else { return };
    for (name, want, columns) in [
        ("clustering_birch/birch-rg1.arff.gz", 100_000, 2),
        ("clustering_s_sets/s-set1.arff.gz", 5000, 3),
        ("clustering_s_sets/s-set2.arff.gz", 5000, 3),
        ("clustering_s_sets/s-set3.arff.gz", 5000, 2),
        ("clustering_s_sets/s-set4.arff.gz", 5000, 2),
    ] {
        let file = InputFile::from_path(data.join(name)).expect(name);
        let table = ArffTable::open(&[file], ReadLimits::default(), 1).expect(name);
        assert_eq!((rows(&table), table.schema().fields().len()), (want, columns), "{name}");
    }
}
