//! What is fuzzed.

mod binary;
mod models;
mod stored;
mod text;

use crate::{Seen, Target};
use slackwater_dataflow::{BadRecord, Result};
use slackwater_loaders::table::{Scan, TableSource};
use slackwater_loaders::{InputFile, Split};

/// All targets.
pub fn all() -> Vec<Target> {
    let mut all = text::targets();
    all.extend(binary::targets());
    all.extend(stored::targets());
    all.extend(models::targets());
    all
}

/// Notes a bad record, which has to know where it is and what is wrong.
fn note_bad(bad: &BadRecord, seen: &mut Seen) {
    seen.bad += 1;
    seen.note(&bad.message);
    assert!(!bad.message.is_empty() && !bad.source.is_empty(), "a bad record says what and where: {bad:?}");
    assert!(bad.bytes.len() <= 4 * BadRecord::BYTES_MAX + 8, "few bytes are shown: {bad:?}");
}

/// Reads all pieces of a table, with the columns that `choice` says.
fn read_table<S: TableSource + ?Sized>(
    table: Result<impl std::ops::Deref<Target = S>>,
    choice: u64,
    seen: &mut Seen,
) {
    seen.note_error(&table);
    let Ok(table) = table else { return };
    let columns = table.schema().fields().len();
    let columns = match choice % 8 {
        0..5 => None,
        5 => Some((0..columns).rev().collect()),
        6 => Some((0..columns).step_by(2).collect()),
        _ => Some(vec![]),
    };
    let scan = Scan { columns, condition: None };
    let want = scan.schema(table.schema());
    assert!(table.pieces() > 0 && !table.describe().is_empty());
    for piece in 0..table.pieces() {
        let mut reader = match table.open(piece, &scan) {
            Ok(reader) => reader,
            Err(e) => {
                seen.note(&e.to_string());
                continue;
            }
        };
        loop {
            let batch = reader.next_batch(&mut |bad| {
                note_bad(&bad, seen);
                Ok(())
            });
            match batch {
                Ok(Some(batch)) => {
                    assert!(batch.num_rows() > 0, "a batch has rows");
                    assert_eq!(
                        batch.schema().fields(),
                        want.fields(),
                        "a batch has the columns that were asked for"
                    );
                    seen.rows += batch.num_rows() as u64;
                }
                Ok(None) => break,
                Err(e) => {
                    seen.note(&e.to_string());
                    break;
                }
            }
        }
    }
}

/// A file in up to three pieces, wherever `choice` says. Few are cut: the rest is read whole.
fn cut(file: &InputFile, choice: u64) -> Vec<Split> {
    let bytes = file.bytes();
    if choice & 3 != 3 || !file.is_splittable() || bytes < 2 {
        return vec![Split::whole(file.clone())];
    }
    let mut cuts = vec![0, 1 + (choice >> 2) % (bytes - 1), 1 + (choice >> 5) % (bytes - 1), bytes];
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|w| Split::new(file.clone(), w[0], w[1])).collect()
}

/// Reads records one by one.
fn drain<T>(
    mut next: impl FnMut(&mut slackwater_loaders::OnBadRecord<'_>) -> Result<Option<T>>,
    seen: &mut Seen,
    rows: impl Fn(&T) -> usize,
) -> bool {
    loop {
        let record = next(&mut |bad| {
            note_bad(&bad, seen);
            Ok(())
        });
        match record {
            Ok(Some(record)) => seen.rows += rows(&record) as u64,
            Ok(None) => return true,
            Err(e) => {
                seen.note(&e.to_string());
                return false;
            }
        }
    }
}

/// Reads a file as `choice` cuts it, and whole: there must be as many records and bad ones either way, if both go to the end.
fn as_whole(file: &InputFile, choice: u64, mut read: impl FnMut(&[Split], &mut Seen) -> bool) -> Seen {
    let mut seen = Seen::default();
    let whole = read(&[Split::whole(file.clone())], &mut seen);
    let splits = cut(file, choice);
    if splits.len() > 1 {
        let mut other = Seen::default();
        let in_pieces = read(&splits, &mut other);
        if whole && in_pieces {
            let (a, b) = ((seen.rows, seen.bad), (other.rows, other.bad));
            assert_eq!(a, b, "pieces have what the whole has (records, bad records)");
        }
    }
    seen
}

/// How an Arrow stream begins, its schema, and a batch of it, which may come any number of times.
pub fn arrow_stream_parts() -> (Vec<u8>, Vec<u8>) {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    let zeros: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![0; 8 << 10]));
    let batch = RecordBatch::try_from_iter([("a", zeros)]).expect("a column");
    let mut head = vec![];
    drop(arrow_ipc::writer::StreamWriter::try_new(&mut head, &batch.schema()).expect("a writer"));
    let mut bytes = vec![];
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &batch.schema()).expect("a writer");
    writer.write(&batch).expect("memory takes it");
    drop(writer);
    let batch = bytes.split_off(head.len());
    (head, batch)
}
