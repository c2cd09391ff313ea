//! What the engine writes and reads again: checkpoints, snapshots, events, blocks of records.
//!
//! Checksums are put right before these are read, or nothing behind them would ever be reached.

use super::binary::batch;
use crate::engine::MEMORY_BYTES;
use crate::{Seen, Target};
use slackwater_dataflow::history::History;
use slackwater_dataflow::{Context, fuzzing};
use slackwater_loaders::table::RecordBlock;
use slackwater_paramstore::fuzzing as snapshots;

/// Frames with right checksums: `length, records, crc32` (u32 each), bytes.
fn right_frames(input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 12) {
        let length = u32::from_le_bytes(head[..4].try_into().expect("four bytes")) as usize;
        let Some(content) = bytes.get(at + 12..at + 12 + length) else { break };
        let crc = crc32fast::hash(content);
        bytes[at + 8..at + 12].copy_from_slice(&crc.to_le_bytes());
        at += 12 + length;
    }
    bytes
}

type Nested = (u32, Option<String>, Vec<(u8, f32)>);

fn checkpoint(input: &[u8], choice: u64) -> Seen {
    let bytes = right_frames(input);
    let read = match choice >> 8 & 7 {
        0 | 1 => fuzzing::checkpoint_records::<Nested>(&bytes),
        2 => fuzzing::checkpoint_records::<String>(&bytes),
        3 => fuzzing::checkpoint_records::<u64>(&bytes),
        4 => fuzzing::checkpoint_records::<[f64; 2]>(&bytes),
        5 => fuzzing::checkpoint_records::<RecordBlock>(&bytes),
        6 => fuzzing::checkpoint_records::<slackwater_dataflow::block::LabeledBlock>(&bytes),
        _ => fuzzing::checkpoint_records::<()>(&bytes),
    };
    let mut seen = Seen::default();
    seen.note_error(&read);
    seen.rows = read.unwrap_or(0) as u64;
    seen
}

fn snapshot_part(input: &[u8], choice: u64) -> Seen {
    let mut bytes = input.to_vec();
    if let Some((content, crc)) = bytes.split_last_chunk_mut::<4>() {
        *crc = crc32fast::hash(content).to_le_bytes();
    }
    let mut seen = Seen::default();
    let read = match choice >> 8 & 1 {
        0 => snapshots::part::<f64>(&bytes),
        _ => snapshots::part::<f32>(&bytes),
    };
    seen.note_error(&read);
    seen.rows = read.unwrap_or(0) as u64;
    seen
}

fn events(input: &[u8], _: u64) -> Seen {
    let mut seen = Seen::default();
    match History::read("events.jsonl", input) {
        Ok((history, cut)) => {
            seen.rows = history.jobs.len() as u64;
            seen.bad = u64::from(cut) + history.unknown;
        }
        Err(e) => seen.note(&e.to_string()),
    }
    seen
}

fn record_block(input: &[u8], _: u64) -> Seen {
    let mut seen = Seen::default();
    match postcard::from_bytes::<RecordBlock>(input) {
        Ok(block) => seen.rows = block.num_rows() as u64,
        Err(e) => seen.note(&e.to_string()),
    }
    seen
}

fn frame<T: slackwater_dataflow::Record>(records: Vec<T>) -> Vec<u8> {
    fuzzing::checkpoint_frame(&records).expect("records can be written")
}

fn written_events() -> Vec<u8> {
    use std::sync::{Arc, Mutex};
    let lines = Arc::new(Mutex::new(String::new()));
    let cx = Context::local(1).expect("a worker");
    let heard = lines.clone();
    let subscription = cx.events().subscribe(move |stamped| {
        let line = serde_json::to_string(stamped).expect("an event can be written");
        heard.lock().expect("nobody panics with it").push_str(&(line + "\n"));
    });
    cx.range(0..100, 2).map(|x| (x % 10, x)).reduce_by_key(|a, b| *a += b).count().expect("a job goes well");
    drop(subscription);
    drop(cx);
    let lines = lines.lock().expect("nobody panics with it");
    lines.as_bytes().to_vec()
}

/// All of them.
pub fn targets() -> Vec<Target> {
    let nested: Vec<Nested> = vec![
        (1, Some("a".into()), vec![(1, 0.5)]),
        (2, None, vec![]),
        (3, Some(String::new()), vec![(9, 1.0); 5]),
    ];
    let batch = batch();
    let frames = vec![
        [frame(nested.clone()), frame(nested)].concat(),
        frame(vec!["a".to_string(), "word".into(), String::new()]),
        frame(vec![1u64, u64::MAX, 3]),
        frame(vec![RecordBlock(batch.clone())]),
        frame(vec![()]),
    ];
    let make = |name, corpus, words, run, share| Target {
        name,
        corpus,
        words,
        run,
        share,
        repeats: false,
        memory: MEMORY_BYTES,
    };
    vec![
        make("checkpoint", frames, &[] as &[&[u8]], checkpoint as fn(&[u8], u64) -> Seen, 30),
        make(
            "snapshot",
            snapshots::parts(),
            &[
                b"\"elements\":[",
                b"18446744073709551615",
                b"4611686018427387905",
                b"[[",
                b"\"states\":[[",
                b"\"locals\":[[",
            ],
            snapshot_part,
            30,
        ),
        make(
            "events",
            vec![written_events()],
            &[b"\"event\":", b"18446744073709551615", b"-1", b"null", b"}\n{", b"[[[[[[[["],
            events,
            30,
        ),
        make(
            "record_block",
            vec![
                postcard::to_stdvec(&RecordBlock(batch.clone())).expect("a batch can be written"),
                postcard::to_stdvec(&RecordBlock(batch.slice(0, 0))).expect("a batch can be written"),
            ],
            &[],
            record_block,
            30,
        ),
    ]
}
