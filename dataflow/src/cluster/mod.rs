//! Several processes that run the same program, each with a share of the partitions.

mod control;
mod frames;
pub(crate) mod generation;
mod link;
pub(crate) mod member;
pub(crate) mod placement;
mod supervisor;

pub use crate::store::spill::remove_spill_files;
pub use control::Standing;
pub(crate) use generation::{Generation, QuietStream};
pub(crate) use member::Member;
pub use member::Membership;
pub use supervisor::{Happening, Leave, Supervisor};
