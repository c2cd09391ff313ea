//! Records that were refused: counted once a partition, and written to the quarantine folder if there is one.

use super::accumulator::{BAD_RECORDS, Contribution};
use crate::dataset::lineage::NodeId;
use crate::error::{BadRecord, Error, OnBad, Result};
use crate::event::Event;
use crate::exec::stage::JobControl;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;

/// Examples kept for reports.
const EXAMPLES: usize = 5;

#[derive(Default)]
pub(crate) struct BadRecords {
    seen: Mutex<HashMap<(NodeId, usize), (u64, Vec<BadRecord>)>>,
}

impl BadRecords {
    /// Takes the bad records of a successful task; what other processes must be told. A partition that is computed again
    /// replaces its own.
    pub fn publish(
        &self,
        job: &JobControl,
        partition: usize,
        bad: Vec<(NodeId, BadRecord)>,
    ) -> Result<Vec<Contribution>> {
        let mut told = vec![];
        let engine = &job.engine;
        let mut by_node: HashMap<NodeId, Vec<BadRecord>> = HashMap::new();
        for (node, record) in bad {
            engine.events.emit(|| Event::BadRecord { partition, record: record.clone() });
            by_node.entry(node).or_default().push(record);
        }
        for (node, records) in by_node {
            if let OnBad::Quarantine(dir) = &engine.config.on_bad {
                let path = dir.join(format!("node-{node:04}-part-{partition:05}.jsonl"));
                let temporary = path.with_extension("jsonl.tmp");
                let io = |e: std::io::Error| Error::io(&path, "write", &e);
                std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "create", &e))?;
                let mut text = vec![];
                for record in &records {
                    serde_json::to_writer(&mut text, record).map_err(|e| io(e.into()))?;
                    text.push(b'\n');
                }
                let mut file = std::fs::File::create(&temporary).map_err(io)?;
                file.write_all(&text).map_err(io)?;
                std::fs::rename(&temporary, &path).map_err(io)?;
            }
            let count = records.len() as u64;
            let examples: Vec<BadRecord> = records.into_iter().take(EXAMPLES).collect();
            if engine.config.membership.is_some() {
                let bytes =
                    postcard::to_stdvec(&(count, &examples)).map_err(|e| Error::usage(e.to_string()))?;
                told.push(Contribution {
                    accumulator: BAD_RECORDS,
                    node,
                    partition: partition as u64,
                    bytes,
                });
            }
            self.note(node, partition, count, examples);
        }
        Ok(told)
    }
    fn note(&self, node: NodeId, partition: usize, count: u64, examples: Vec<BadRecord>) {
        let mut seen = self.seen.lock().unwrap_or_else(|e| e.into_inner());
        seen.insert((node, partition), (count, examples));
    }
    /// Takes the bad records of a partition of another process.
    pub fn absorb(&self, node: NodeId, partition: u64, bytes: &[u8]) -> Result<()> {
        let (count, examples) =
            postcard::from_bytes(bytes).map_err(|e| Error::usage(format!("bad records: {e}")))?;
        self.note(node, partition as usize, count, examples);
        Ok(())
    }
    /// How many records have been refused, and the first few by partition.
    pub fn report(&self) -> (u64, Vec<BadRecord>) {
        let seen = self.seen.lock().unwrap_or_else(|e| e.into_inner());
        let mut all: Vec<_> = seen.iter().collect();
        all.sort_by_key(|(key, _)| **key);
        let examples = all.iter().flat_map(|(_, (_, e))| e.iter().cloned()).take(EXAMPLES).collect();
        (all.iter().map(|(_, (n, _))| n).sum(), examples)
    }
}
