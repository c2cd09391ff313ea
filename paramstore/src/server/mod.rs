//! The server side of tables: every worker owns a shard of each.

mod install;
mod manifests;
mod map;
mod marks;
mod ruled;
mod shard;
mod store;

pub(crate) use install::install;
pub(crate) use manifests::manifests;
pub(crate) use map::ShardMap;
pub(crate) use shard::Shard;
pub(crate) use store::store;
