//! The server side of tables: every worker owns a shard of each.

mod install;
mod manifests;
mod shard;
mod store;

pub(crate) use install::install;
pub(crate) use manifests::manifests;
pub(crate) use shard::{Shard, ShardMap};
pub(crate) use store::store;
