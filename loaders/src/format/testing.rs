//! What the tests of several formats need.

use super::records::{RecordReader, RecordSource};
use crate::source::InputFile;
use crate::split::Split;
use crate::table::{Scan, TableSource};
use arrow_array::RecordBatch;
use slackwater_dataflow::Error;
use slackwater_dataflow::block::Edge;

/// A plain file.
pub fn file(text: impl Into<Vec<u8>>) -> InputFile {
    InputFile::from_bytes("t", text)
}

/// Pieces of a file, cut at these places.
pub fn cut(file: &InputFile, cuts: &[proptest::sample::Index]) -> Vec<Split> {
    let mut cuts: Vec<u64> = cuts.iter().map(|c| c.index(file.bytes() as usize + 1) as u64).collect();
    cuts.extend([0, file.bytes()]);
    cuts.sort_unstable();
    cuts.dedup();
    if cuts.len() == 1 {
        return vec![Split::whole(file.clone())];
    }
    cuts.windows(2).map(|w| Split::new(file.clone(), w[0], w[1])).collect()
}

/// The records of a reader, and what was bad.
pub fn drain<T>(mut reader: impl RecordReader<Record = T>) -> Result<(Vec<T>, Vec<String>), Error> {
    let (mut records, mut bad) = (vec![], vec![]);
    let mut note = |record: slackwater_dataflow::BadRecord| {
        bad.push(record.to_string());
        Ok(())
    };
    while let Some(record) = reader.next_record(&mut note)? {
        records.push(record);
    }
    Ok((records, bad))
}

/// The edges of a graph as plain numbers, and what was bad; or why it cannot be read.
pub fn edges(
    source: &impl RecordSource<Record = Edge>,
) -> Result<(Vec<(u64, u64, f64)>, Vec<String>), String> {
    let (edges, bad) = read(source).map_err(|e| e.to_string())?;
    Ok((edges.into_iter().map(|e| (e.source, e.target, e.weight)).collect(), bad))
}

struct Boxed<T>(Box<dyn RecordReader<Record = T>>);

impl<T> RecordReader for Boxed<T> {
    type Record = T;
    fn next_record(&mut self, on_bad: &mut crate::OnBadRecord<'_>) -> Result<Option<T>, Error> {
        self.0.next_record(on_bad)
    }
}

/// The records of all pieces, and what was bad.
pub fn read<S: RecordSource>(source: &S) -> Result<(Vec<S::Record>, Vec<String>), Error> {
    let (mut records, mut bad) = (vec![], vec![]);
    for piece in 0..source.pieces() {
        let (more, worse) = drain(Boxed(source.open(piece)?))?;
        records.extend(more);
        bad.extend(worse);
    }
    Ok((records, bad))
}

/// All batches of a table, and what was bad.
pub fn read_table(table: &dyn TableSource, scan: &Scan) -> Result<(Vec<RecordBatch>, Vec<String>), Error> {
    let (mut batches, mut bad) = (vec![], vec![]);
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, scan)?;
        while let Some(batch) = reader.next_batch(&mut |record| {
            bad.push(record.to_string());
            Ok(())
        })? {
            assert!(batch.num_rows() > 0);
            assert_eq!(batch.schema(), scan.schema(table.schema()));
            batches.push(batch);
        }
    }
    Ok((batches, bad))
}
