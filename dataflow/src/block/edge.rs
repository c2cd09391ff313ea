//! Edges of graphs.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

/// A directed edge, or an arc. An undirected one is two, unless its file is read as it is.
///
/// 24 bytes without padding, so that arrays of edges can be moved as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, Pod, Zeroable)]
#[repr(C)]
pub struct Edge {
    /// The vertex that it comes from.
    pub source: u64,
    /// The vertex that it goes to.
    pub target: u64,
    /// Its weight, finite; 1 where a graph has none.
    pub weight: f64,
}

impl Edge {
    /// An edge with a weight.
    pub fn new(source: u64, target: u64, weight: f64) -> Self {
        Edge { source, target, weight }
    }
    /// The same edge the other way.
    pub fn reversed(self) -> Self {
        Edge { source: self.target, target: self.source, weight: self.weight }
    }
}
