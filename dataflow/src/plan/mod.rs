//! From lineage to stages: what has to be computed, given what is there.
//!
//! The planner walks back from the wanted partitions and stops at partitions that are cached or checkpointed and at
//! shuffle output that is retained. What is left is a list of shuffles to run, parents first. A plan is made from an
//! inventory, so every process that has the same inventories makes the same plan.

pub mod explain;

use crate::dataset::lineage::{Dependency, Input, Node, NodeId};
use crate::exec::shuffle::ShuffleStage;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A shuffle whose map side must run, and the reduce partitions to make.
pub(crate) struct StagePlan {
    pub shuffle: Arc<dyn ShuffleStage>,
    pub missing: Vec<bool>,
}

/// What one process has of the blocks that a job could read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Inventory {
    /// (node, partitions that can be read without their inputs).
    pub partitions: Vec<(NodeId, Vec<usize>)>,
    /// (shuffle, reduce partitions that are there).
    pub shuffles: Vec<(NodeId, Vec<usize>)>,
}

/// Everything that the root depends on, each node once.
fn walk(
    root: &Arc<dyn Node>,
    mut visit: impl FnMut(&Arc<dyn Node>),
    mut shuffle: impl FnMut(&Arc<dyn ShuffleStage>),
) {
    let mut seen = HashSet::new();
    let mut todo = vec![root.clone()];
    while let Some(node) = todo.pop() {
        if !seen.insert(node.info().id) {
            continue;
        }
        visit(&node);
        for dependency in node.dependencies() {
            match dependency {
                Dependency::Narrow(parent) => todo.push(parent),
                Dependency::Shuffle(stage) => {
                    if seen.insert(stage.info().id) {
                        shuffle(&stage);
                        todo.push(stage.parent().clone());
                    }
                }
            }
        }
    }
}

/// What this process has, of the partitions that it owns.
pub(crate) fn inventory(root: &Arc<dyn Node>, owns: impl Fn(usize) -> bool) -> Inventory {
    let (mut partitions, mut shuffles) = (vec![], vec![]);
    walk(
        root,
        |node| {
            let have: Vec<usize> =
                (0..node.info().partitions).filter(|p| owns(*p) && node.is_available(*p)).collect();
            if !have.is_empty() {
                partitions.push((node.info().id, have));
            }
        },
        |stage| {
            let have: Vec<usize> =
                (0..stage.info().partitions).filter(|r| owns(*r) && stage.is_ready(*r)).collect();
            if !have.is_empty() {
                shuffles.push((stage.info().id, have));
            }
        },
    );
    Inventory { partitions, shuffles }
}

/// Answers whether a block is there: by looking, or from the inventories of all processes.
pub(crate) enum Known {
    /// One process: look.
    Local,
    /// Several: what all of them said.
    Gathered { partitions: HashSet<(NodeId, usize)>, shuffles: HashSet<(NodeId, usize)> },
}

impl Known {
    pub fn from(all: impl Iterator<Item = Inventory>) -> Self {
        let (mut partitions, mut shuffles) = (HashSet::new(), HashSet::new());
        for inventory in all {
            for (node, have) in inventory.partitions {
                partitions.extend(have.into_iter().map(|p| (node, p)));
            }
            for (node, have) in inventory.shuffles {
                shuffles.extend(have.into_iter().map(|p| (node, p)));
            }
        }
        Known::Gathered { partitions, shuffles }
    }
    fn has(&self, node: &Arc<dyn Node>, partition: usize) -> bool {
        match self {
            Known::Local => node.is_available(partition),
            Known::Gathered { partitions, .. } => partitions.contains(&(node.info().id, partition)),
        }
    }
    fn is_ready(&self, stage: &Arc<dyn ShuffleStage>, reduce: usize) -> bool {
        match self {
            Known::Local => stage.is_ready(reduce),
            Known::Gathered { shuffles, .. } => shuffles.contains(&(stage.info().id, reduce)),
        }
    }
}

/// The stages that must run before `partitions` of `root` can be computed, parents first.
pub(crate) fn plan(root: &Arc<dyn Node>, partitions: &[usize], known: &Known) -> Vec<StagePlan> {
    struct Found {
        shuffle: Arc<dyn ShuffleStage>,
        missing: Vec<bool>,
        parents: HashSet<NodeId>,
    }
    let mut found: HashMap<NodeId, Found> = HashMap::new();
    let mut seen: HashSet<(NodeId, usize, NodeId)> = HashSet::new();
    // (node, partition, the shuffle whose map side reads it; 0 for the result)
    let mut todo: Vec<(Arc<dyn Node>, usize, NodeId)> =
        partitions.iter().map(|p| (root.clone(), *p, 0)).collect();
    while let Some((node, partition, reader)) = todo.pop() {
        if !seen.insert((node.info().id, partition, reader)) || known.has(&node, partition) {
            continue;
        }
        node.inputs(partition, &mut |input| match input {
            Input::Narrow(parent, p) => todo.push((parent.clone(), p, reader)),
            Input::Shuffle(stage, reduce) => {
                if known.is_ready(stage, reduce) {
                    return;
                }
                let id = stage.info().id;
                let fresh = !found.contains_key(&id);
                let entry = found.entry(id).or_insert_with(|| Found {
                    shuffle: stage.clone(),
                    missing: vec![false; stage.info().partitions],
                    parents: HashSet::new(),
                });
                entry.missing[reduce] = true;
                if fresh {
                    let parent = stage.parent();
                    todo.extend((0..parent.info().partitions).map(|p| (parent.clone(), p, id)));
                }
                if reader != 0 {
                    found
                        .get_mut(&reader)
                        .expect("a reader is found before what it reads")
                        .parents
                        .insert(id);
                }
            }
        });
    }
    // A shuffle has a higher number than all it depends on, so ascending numbers are an order.
    let mut stages: Vec<(NodeId, Found)> = found.into_iter().collect();
    stages.sort_by_key(|(id, _)| *id);
    debug_assert!(stages.iter().all(|(id, f)| f.parents.iter().all(|p| p < id)));
    stages.into_iter().map(|(_, f)| StagePlan { shuffle: f.shuffle, missing: f.missing }).collect()
}
