//! The operator that makes snapshots valid: its frontier says which are on disk, on all shards.

use crate::run::Run;
use crate::snapshot::write_manifest;
use crate::value::Value;
use slackwater_dataflow::{Bridge, Data};
use std::collections::VecDeque;
use std::sync::Arc;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;

/// Writes manifests, on the first of all workers.
pub(crate) fn manifests<T: Data, V: Value>(
    durable: Stream<'_, u64, Vec<()>>,
    run: Arc<Run<T, V>>,
    index: usize,
    bridge: Bridge,
) {
    let clocks = run.snapshots.as_ref().filter(|_| index == 0).map(|s| s.clocks.clone());
    let mut waiting: VecDeque<u64> = clocks.into_iter().flatten().collect();
    durable.sink(Pipeline, "manifests", move |(input, frontier)| {
        input.for_each(|_, _: &mut Vec<()>| {});
        while waiting.front().is_some_and(|clock| !frontier.less_equal(clock)) {
            let (Some(clock), Some(snapshots)) = (waiting.pop_front(), &run.snapshots) else { return };
            if bridge.must_stop() {
                return;
            }
            let manifest = run.manifest(snapshots, clock);
            if let Err(e) = write_manifest(&snapshots.dir, &manifest, snapshots.keep) {
                bridge.fail(0, &e);
            }
        }
    });
}
