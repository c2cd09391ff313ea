//! Fingerprints of partitions that were computed, so that a closure that gives something else the second time is found.
//!
//! A partition that is kept is computed again when its process is lost. If its closures depend on anything but their
//! input (the clock, random numbers without a seed, the order of a hash map), what was computed from the first version
//! and what is computed from the second do not fit together, and nobody would see it. So processes of a cluster tell
//! each other the fingerprints of what they keep, and compare.
//!
//! Cost: encoding and a CRC-32 of every partition that is kept, once; twelve bytes a partition.

use crate::dataset::lineage::{NodeId, NodeInfo};
use crate::error::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

/// The accumulator number under which fingerprints travel.
pub(crate) const CHECKSUMS: u64 = u64::MAX;

#[derive(Default)]
pub(crate) struct Checksums(Mutex<HashMap<(NodeId, u64), u64>>);

impl Checksums {
    fn lock(&self) -> MutexGuard<'_, HashMap<(NodeId, u64), u64>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// Compares the fingerprint of a partition of `node` with what it was before. `of` is what computes it.
    pub fn check(&self, node: NodeId, of: &NodeInfo, partition: usize, checksum: u64) -> Result<()> {
        match self.lock().get(&(node, partition as u64)) {
            Some(before) if *before != checksum => Err(Error::new(ErrorKind::NotDeterministic {
                operation: of.operation.to_string(),
                place: format!("{}:{}", of.site.file(), of.site.line()),
                partition,
            })),
            _ => Ok(()),
        }
    }
    /// Notes the fingerprint of a partition.
    pub fn note(&self, node: NodeId, partition: u64, checksum: u64) {
        self.lock().insert((node, partition), checksum);
    }
    /// Takes what another process has noted.
    pub fn absorb(&self, node: NodeId, partition: u64, bytes: &[u8]) {
        if let Ok(bytes) = bytes.try_into() {
            self.note(node, partition, u64::from_le_bytes(bytes));
        }
    }
}
