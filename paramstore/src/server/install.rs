//! The operator that puts refreshed values into the replica of its process.

use crate::block::{ADD, Block, ByDest, WHOLE};
use crate::consistency::Refresh;
use crate::run::Run;
use crate::value::Value;
use slackwater_dataflow::Data;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::Operator;

/// Installs refreshes; only the frontier of what it returns means something.
pub(crate) fn install<'scope, T: Data, V: Value>(
    refreshes: Stream<'scope, u64, Block<V>>,
    run: Arc<Run<T, V>>,
    _worker: usize,
) -> Stream<'scope, u64, Vec<()>> {
    refreshes.unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
        DistributorPact(|_| ByDest),
        "install",
        move |_, _| {
            move |input, _| {
                input.for_each(|_, block: &mut Block<V>| {
                    let table = &run.tables[block.table as usize];
                    if block.how == WHOLE {
                        table.replica.clear_rows(table.map.rows_of(block.source as usize));
                    }
                    for (element, value) in block.elements.iter().zip(&block.values) {
                        match block.how {
                            ADD => table.replica.add(*element as usize, *value),
                            _ => table.replica.set(*element as usize, *value),
                        }
                    }
                    for [partition, clocks] in &block.witnesses {
                        table.replica.add_witness(*partition as usize, *clocks);
                    }
                    let columns = table.columns.max(1);
                    for (row, values) in block.rows.iter().zip(block.row_values.chunks_exact(columns)) {
                        match block.how {
                            ADD => table.replica.add_range(*row as usize * columns, values),
                            _ => table.replica.set_range(*row as usize * columns, values),
                        }
                    }
                    if table.refresh() == Refresh::Pull {
                        table.replica.raise_version(block.source as usize, block.version);
                    }
                });
            }
        },
    )
}
