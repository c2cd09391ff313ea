//! MNIST, when `SLACKWATER_DATA` says where it is.

mod common;

use common::data;
use slackwater_loaders::format::idx::{Element, IdxTable};
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, ReadLimits};

/// Records and shape, how often each digit is there, and the sum of all pixels of the test set, which
/// give LeCun's page and the means that everybody scales by (0.1307 on the training set).
#[test]
fn images_and_labels() {
    let Some(data) = data() else { return };
    for (set, records, ones, mean) in [("train", 60_000, 6742, 0.1307), ("t10k", 10_000, 1135, 0.1325)] {
        let file =
            |kind| InputFile::from_path(data.join(format!("mnist/{set}-{kind}-ubyte.gz"))).expect("the file");
        let table =
            IdxTable::open(&file("images-idx3"), Some(&file("labels-idx1")), ReadLimits::default(), 4)
                .expect("MNIST");
        assert_eq!((table.records(), table.shape(), table.element()), (records, &[28, 28][..], Element::U8));
        let mut reader = table.open(0, &Scan::default()).expect("a piece");
        let (mut rows, mut of_one, mut sum) = (0, 0, 0u64);
        while let Some(batch) = reader.next_batch(&mut |bad| Err(bad.into())).expect("good data") {
            rows += batch.num_rows();
            let labels = batch.column(0).to_data();
            of_one +=
                labels.buffers()[0][labels.offset()..][..labels.len()].iter().filter(|b| **b == 1).count();
            let lists = batch.column(1).to_data();
            let pixels = &lists.child_data()[0];
            sum += pixels.buffers()[0][pixels.offset()..][..pixels.len()]
                .iter()
                .map(|b| u64::from(*b))
                .sum::<u64>();
        }
        assert_eq!((rows, of_one), (records as usize, ones), "{set}");
        let found = sum as f64 / (rows * 784) as f64 / 255.0;
        assert!((found - mean).abs() < 5e-5, "{set}: {found}");
    }
}
