//! `explain`: the lineage and its stages, as text, as a graph, as JSON; with counts and times if it was run.

use crate::dataset::Dataset;
use crate::dataset::lineage::{Data, Dependency, Node, NodeId};
use crate::error::Result;
use crate::event::{Event, Metrics, Stamped};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

/// How a node reads another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// In the same stage.
    Narrow,
    /// Through a shuffle.
    Shuffle,
}

/// One dataset of the lineage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplainedNode {
    /// Its number.
    pub id: NodeId,
    /// The operation.
    pub operation: String,
    /// A file name, a range; may be empty.
    pub detail: String,
    /// A name given by the user.
    pub name: Option<String>,
    /// Number of partitions.
    pub partitions: usize,
    /// Where the program made it: file and line.
    pub site: String,
    /// How keys are partitioned, if that is known.
    pub partitioner: Option<String>,
    /// How and where partitions are kept, if they are.
    pub storage: Option<String>,
    /// Index of the stage that computes it, in [`Explanation::stages`].
    pub stage: usize,
    /// What it reads.
    pub parents: Vec<(NodeId, Edge)>,
}

/// One stage: what runs between two shuffles.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplainedStage {
    /// Node number of the shuffle it writes, or of the dataset itself for the last stage.
    pub node: NodeId,
    /// The shuffling operation, or `result`.
    pub operation: String,
    /// Tasks: partitions to compute.
    pub tasks: usize,
    /// What running it has shown; nothing if it was not run.
    pub analysis: Option<StageAnalysis>,
}

/// What running a stage has shown, in this process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StageAnalysis {
    /// Tasks that succeeded.
    pub tasks: usize,
    /// Attempts that failed.
    pub failed_attempts: usize,
    /// Counts of all successful tasks.
    pub metrics: Metrics,
    /// Wall time of the stage, in microseconds.
    pub wall_us: u64,
    /// Time of the longest task, in microseconds.
    pub task_us_max: u64,
    /// Time of the median task, in microseconds.
    pub task_us_median: u64,
}

impl StageAnalysis {
    /// How much longer the longest task took than the median one.
    pub fn skew(&self) -> f64 {
        self.task_us_max as f64 / self.task_us_median.max(1) as f64
    }
}

/// The lineage of a dataset. Its `Display` is a text for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The dataset explained.
    pub root: NodeId,
    /// All datasets it depends on and itself, parents first.
    pub nodes: Vec<ExplainedNode>,
    /// All stages, parents first; the last makes the result.
    pub stages: Vec<ExplainedStage>,
}

fn explain(root: &Arc<dyn Node>) -> Explanation {
    let mut nodes: HashMap<NodeId, ExplainedNode> = HashMap::new();
    let mut stages = vec![(root.info().id, "result".to_string(), root.info().partitions)];
    let mut done: HashSet<NodeId> = HashSet::new();
    // (node, index of its stage)
    let mut todo = vec![(root.clone(), 0usize)];
    while let Some((node, stage)) = todo.pop() {
        let info = node.info();
        let entry = nodes.entry(info.id).or_insert_with(|| ExplainedNode {
            id: info.id,
            operation: info.operation.to_string(),
            detail: info.detail.clone(),
            name: info.name.get().cloned(),
            partitions: info.partitions,
            site: format!("{}:{}", info.site.file(), info.site.line()),
            partitioner: info.partitioner.as_ref().map(|p| format!("{}({})", p.id.kind, p.id.partitions)),
            storage: node.storage(),
            stage,
            parents: vec![],
        });
        entry.stage = entry.stage.max(stage);
        let stage = entry.stage;
        if !done.insert(info.id) {
            continue;
        }
        for dependency in node.dependencies() {
            match dependency {
                Dependency::Narrow(parent) => {
                    nodes
                        .get_mut(&info.id)
                        .expect("just made")
                        .parents
                        .push((parent.info().id, Edge::Narrow));
                    todo.push((parent, stage));
                }
                Dependency::Shuffle(shuffle) => {
                    let parent = shuffle.parent().clone();
                    nodes
                        .get_mut(&info.id)
                        .expect("just made")
                        .parents
                        .push((parent.info().id, Edge::Shuffle));
                    let own =
                        (shuffle.info().id, shuffle.info().operation.to_string(), parent.info().partitions);
                    let index = stages.iter().position(|s| s.0 == own.0).unwrap_or_else(|| {
                        stages.push(own);
                        stages.len() - 1
                    });
                    todo.push((parent, index));
                }
            }
        }
    }
    // Stages were found from the result backwards; shuffles have numbers that ascend with dependency.
    let mut order: Vec<usize> = (0..stages.len()).collect();
    order.sort_by_key(|i| (*i == 0, stages[*i].0));
    let mut nodes: Vec<ExplainedNode> = nodes.into_values().collect();
    nodes.sort_by_key(|n| n.id);
    for node in &mut nodes {
        node.stage = order.iter().position(|i| *i == node.stage).expect("every stage is in the order");
    }
    let stages = order.into_iter().map(|i| {
        let (node, operation, tasks) = stages[i].clone();
        ExplainedStage { node, operation, tasks, analysis: None }
    });
    Explanation { root: root.info().id, stages: stages.collect(), nodes }
}

impl Explanation {
    fn node(&self, id: NodeId) -> &ExplainedNode {
        let i = self.nodes.binary_search_by_key(&id, |n| n.id).expect("parents are explained too");
        &self.nodes[i]
    }
    /// The lineage in the language of Graphviz: one box a stage, dashed arrows for shuffles.
    pub fn to_dot(&self) -> String {
        let mut out =
            String::from("digraph lineage {\n  rankdir=BT; node [shape=box, fontname=\"sans-serif\"];\n");
        for (i, stage) in self.stages.iter().enumerate() {
            let _ = writeln!(out, "  subgraph cluster_{i} {{ label=\"stage {i}: {}\";", stage.operation);
            for node in self.nodes.iter().filter(|n| n.stage == i) {
                let fill = if node.storage.is_some() { ", style=filled, fillcolor=\"#cfe8cf\"" } else { "" };
                let label = format!("{} [{}]\\n{} partitions", node.operation, node.id, node.partitions);
                let _ = writeln!(out, "    n{} [label=\"{label}\"{fill}];", node.id);
            }
            out.push_str("  }\n");
        }
        for node in &self.nodes {
            for (parent, edge) in &node.parents {
                let style = if *edge == Edge::Shuffle { " [style=dashed]" } else { "" };
                let _ = writeln!(out, "  n{parent} -> n{}{style};", node.id);
            }
        }
        out.push_str("}\n");
        out
    }
    /// The lineage as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and strings can be written")
    }
    fn write_node(
        &self,
        f: &mut fmt::Formatter<'_>,
        id: NodeId,
        indent: &str,
        seen: &mut HashSet<NodeId>,
    ) -> fmt::Result {
        let mut at = id;
        // A chain of narrow parents is written without deeper indentation, in a loop: lineages can be long.
        loop {
            let node = self.node(at);
            write!(f, "{indent}({}) {} [{}]", node.partitions, node.operation, node.id)?;
            if let Some(name) = &node.name {
                write!(f, " \"{name}\"")?;
            }
            if !node.detail.is_empty() {
                write!(f, " {}", node.detail)?;
            }
            write!(f, " at {}", node.site)?;
            if let Some(storage) = &node.storage {
                write!(f, " [{storage}]")?;
            }
            if !seen.insert(at) {
                return writeln!(f, " (see above)");
            }
            writeln!(f)?;
            match &node.parents[..] {
                [(parent, Edge::Narrow)] => at = *parent,
                parents => {
                    for (parent, edge) in parents {
                        let mark = if *edge == Edge::Shuffle { "+-" } else { "|-" };
                        writeln!(f, "{indent} {mark}")?;
                        self.write_node(f, *parent, &format!("{indent} |  "), seen)?;
                    }
                    return Ok(());
                }
            }
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_node(f, self.root, "", &mut HashSet::new())?;
        writeln!(f, "stages:")?;
        for (i, stage) in self.stages.iter().enumerate() {
            write!(f, "  {i}: {} [{}], {} tasks", stage.operation, stage.node, stage.tasks)?;
            match &stage.analysis {
                None => writeln!(f)?,
                Some(a) if a.tasks == 0 && a.failed_attempts == 0 => {
                    writeln!(f, ", skipped: its output was there")?
                }
                Some(a) => {
                    let m = &a.metrics;
                    writeln!(
                        f,
                        ": {} -> {} records, {} bytes out, {} bytes spilled, {:.3} ms wall, {:.3} ms busy, \
                         slowest task {:.3} ms = {:.1} x median{}",
                        m.records_in,
                        m.records_out,
                        m.bytes_out,
                        m.bytes_spilled,
                        a.wall_us as f64 / 1e3,
                        m.busy_us as f64 / 1e3,
                        a.task_us_max as f64 / 1e3,
                        a.skew(),
                        if a.failed_attempts > 0 {
                            format!(", {} attempts failed", a.failed_attempts)
                        } else {
                            String::new()
                        }
                    )?;
                }
            }
        }
        Ok(())
    }
}

/// What the events of a job say about its stages.
#[derive(Default)]
struct Watch {
    /// Stage number -> (node, tasks' times, analysis).
    stages: HashMap<u32, (NodeId, Vec<u64>, StageAnalysis)>,
}

impl Watch {
    fn see(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::StageStart { stage, node, .. } => {
                self.stages.entry(*stage).or_default().0 = *node;
            }
            Event::TaskEnd { stage, error, metrics, .. } => {
                let entry = self.stages.entry(*stage).or_default();
                if error.is_some() {
                    entry.2.failed_attempts += 1;
                } else {
                    entry.1.push(metrics.busy_us);
                    entry.2.tasks += 1;
                    entry.2.metrics.add(metrics);
                }
            }
            Event::StageEnd { stage, wall_us, .. } => {
                self.stages.entry(*stage).or_default().2.wall_us = *wall_us
            }
            _ => {}
        }
    }
}

impl<T: Data> Dataset<T> {
    /// The lineage of this dataset: what it is computed from, in which stages, what is kept. Runs nothing.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// let counts = cx.range(0..100, 4).map(|x| (x % 7, 1u64)).reduce_by_key(|a, b| *a += b);
    /// let text = counts.explain().to_string();
    /// assert!(text.contains("reduce_by_key") && text.contains("+-"));
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    pub fn explain(&self) -> Explanation {
        explain(&self.erased())
    }
    /// Counts the records and explains with what that has shown: records, bytes, time and skew of every stage of this
    /// process. Stages whose output was there already are marked as skipped.
    pub fn explain_analyze(&self) -> Result<Explanation> {
        let watch: Arc<Mutex<Watch>> = Arc::default();
        let (seen, id) = (watch.clone(), self.id());
        let job: Arc<Mutex<Option<u64>>> = Arc::default();
        let subscription = self.context().events().subscribe(move |stamped| {
            let mut mine = job.lock().unwrap_or_else(|e| e.into_inner());
            match &stamped.event {
                Event::JobStart { job: number, dataset, action, .. }
                    if *dataset == id && action == "analyze" =>
                {
                    *mine = Some(*number);
                }
                Event::StageStart { job, .. } | Event::TaskEnd { job, .. } | Event::StageEnd { job, .. }
                    if *mine == Some(*job) =>
                {
                    seen.lock().unwrap_or_else(|e| e.into_inner()).see(stamped);
                }
                _ => {}
            }
        });
        self.run_action("analyze", |cursor, task| {
            let n = crate::action::count_records(cursor)?;
            task.metrics.borrow_mut().records_out += n;
            Ok(n)
        })?;
        drop(subscription);
        let mut explanation = self.explain();
        let watch = watch.lock().unwrap_or_else(|e| e.into_inner());
        for stage in &mut explanation.stages {
            let found = watch.stages.values().find(|(node, _, _)| *node == stage.node);
            let (mut times, mut analysis) = found.map(|(_, t, a)| (t.clone(), a.clone())).unwrap_or_default();
            times.sort_unstable();
            analysis.task_us_max = times.last().copied().unwrap_or(0);
            analysis.task_us_median = times.get(times.len() / 2).copied().unwrap_or(0);
            stage.analysis = Some(analysis);
        }
        Ok(explanation)
    }
}
