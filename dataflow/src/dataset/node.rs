//! Helpers that make nodes.

use super::lineage::{AnyPartitioner, NodeId, NodeInfo};
use crate::context::Engine;
use crate::hash::{HASH_VERSION, hash_of};
use std::panic::Location;
use std::sync::OnceLock;

/// Describes a new node. The digest covers the operation, the closure's type, the number of partitions, the node's
/// number and the digests of its parents.
pub(crate) struct NewNode<'a> {
    pub operation: &'static str,
    pub detail: String,
    pub partitions: usize,
    pub site: &'static Location<'static>,
    /// `type_name` of the closure, or "".
    pub closure: &'static str,
    pub parents: &'a [u64],
    pub partitioner: Option<AnyPartitioner>,
}

impl<'a> NewNode<'a> {
    pub fn of(operation: &'static str, partitions: usize, site: &'static Location<'static>) -> Self {
        NewNode {
            operation,
            detail: String::new(),
            partitions,
            site,
            closure: "",
            parents: &[],
            partitioner: None,
        }
    }
    pub fn finish(self, engine: &Engine) -> NodeInfo {
        self.finish_as(engine.next_id())
    }
    pub fn finish_as(self, id: NodeId) -> NodeInfo {
        let place = (self.site.file(), self.site.line());
        let what = (self.operation, &self.detail, self.closure, self.partitions as u64, self.parents);
        NodeInfo {
            id,
            operation: self.operation,
            partitions: self.partitions,
            site: self.site,
            digest: hash_of(&(HASH_VERSION, id, what, place)),
            partitioner: self.partitioner,
            detail: self.detail,
            name: OnceLock::new(),
        }
    }
}

/// The info of a narrow operation on one parent: same partitions, and the same partitioner if it keeps keys.
pub(crate) fn narrow<F>(
    engine: &Engine,
    operation: &'static str,
    parent: &NodeInfo,
    site: &'static Location<'static>,
    keeps_keys: bool,
) -> NodeInfo {
    NewNode {
        closure: std::any::type_name::<F>(),
        parents: &[parent.digest],
        partitioner: if keeps_keys { parent.partitioner.clone() } else { None },
        ..NewNode::of(operation, parent.partitions, site)
    }
    .finish(engine)
}

/// Implements `Node` for a node whose partition p reads partition p of its one parent `self.up`.
macro_rules! one_to_one {
    () => {
        fn info(&self) -> &$crate::dataset::lineage::NodeInfo {
            &self.info
        }
        fn dependencies(&self) -> Vec<$crate::dataset::lineage::Dependency> {
            vec![$crate::dataset::lineage::Dependency::Narrow(self.up.clone())]
        }
        fn inputs(&self, partition: usize, visit: &mut dyn FnMut($crate::dataset::lineage::Input<'_>)) {
            let up: std::sync::Arc<dyn $crate::dataset::lineage::Node> = self.up.clone();
            visit($crate::dataset::lineage::Input::Narrow(&up, partition));
        }
    };
}
pub(crate) use one_to_one;

/// Implements `Node` for a node that reads nothing.
macro_rules! no_inputs {
    () => {
        fn info(&self) -> &$crate::dataset::lineage::NodeInfo {
            &self.info
        }
        fn dependencies(&self) -> Vec<$crate::dataset::lineage::Dependency> {
            vec![]
        }
        fn inputs(&self, _: usize, _: &mut dyn FnMut($crate::dataset::lineage::Input<'_>)) {}
    };
}
pub(crate) use no_inputs;
