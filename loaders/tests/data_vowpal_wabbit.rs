//! The RCV1 samples of Vowpal Wabbit, when `SLACKWATER_DATA` says where they are.

mod common;

use common::data;
use slackwater_loaders::format::vowpal_wabbit::{VwFeatures, VwOptions, VwReader};
use slackwater_loaders::{InputFile, Split};

/// Rows, columns as Vowpal Wabbit's numbers go (the largest), non-zeros, labels: as in the index.
#[test]
fn rcv1_by_number() {
    let Some(data) = data() else { return };
    for (name, want) in [
        ("rcv1_small.dat.gz", (1000, 47_117, 77_739)),
        ("rcv1_multiclass.dat.gz", (1000, 47_117, 77_739)),
        ("rcv1_small_test.data.gz", (500, 47_042, 39_448)),
    ] {
        let file = InputFile::from_path(data.join("rcv1_small_vw").join(name)).expect(name);
        let options = VwOptions { features: VwFeatures::Numbers, ..VwOptions::default() };
        let mut reader = VwReader::open(&Split::whole(file), &options).expect(name);
        let (mut rows, mut columns, mut nnz) = (0, 0, 0);
        while let Some(block) = reader.next_labeled(&mut |bad| Err(bad.into())).expect(name) {
            rows += block.rows();
            columns = columns.max(block.features.columns());
            nnz += block.features.nnz();
        }
        // The index has the largest number, and columns begin with 0.
        assert_eq!((rows, columns - 1, nnz), want, "{name}");
    }
}

/// Features and the sum of their columns in the first 50 examples, as Vowpal Wabbit 9.11.9 parses them with `--noconstant` (its own
/// hash, 18 bits; it multiplies columns by 4).
#[test]
fn rcv1_by_hash() {
    let Some(data) = data() else { return };
    for (name, features, columns) in
        [("rcv1_small.dat.gz", 4201, 630_509_452 / 4), ("rcv1_small_test.data.gz", 3775, 569_358_156 / 4)]
    {
        let file = InputFile::from_path(data.join("rcv1_small_vw").join(name)).expect(name);
        let mut reader =
            VwReader::open(&Split::whole(file), &VwOptions::default()).expect(name).block_nonzeros(1);
        let (mut found, mut sum) = (0, 0);
        for _ in 0..50 {
            let block =
                reader.next_block(&mut |bad| Err(bad.into())).expect(name).expect("more than 50 rows");
            found += block.features.nnz();
            sum += block.features.indices().iter().map(|i| u64::from(*i)).sum::<u64>();
        }
        assert_eq!((found, sum), (features, columns), "{name}");
    }
}
