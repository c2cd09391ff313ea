//! Transformations: a dataset from a dataset, one operation a file.

mod borrowed;
mod cogroup;
mod combine_by_key;
mod exchange;
mod expand;
mod filter;
mod flat_map;
mod flat_map_ref;
mod fuse;
mod map;
mod map_partitions;
mod map_values;
mod partitioner;
mod repartition;
mod sample;
mod sort;
mod step;
mod try_map;
mod union;
mod zip;

pub use borrowed::Emit;
pub use fuse::{Start, Steps};
pub use partitioner::{HashPartitioner, Partitioner, PartitionerId, Partitioning};
pub use sample::split_bounds;
pub use sort::RangePartitioner;
