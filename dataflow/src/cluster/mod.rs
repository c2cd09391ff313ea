//! Several processes that run the same program, each with a share of the partitions.
//!
//! # What
//! A [`Supervisor`] knows who belongs to a run. Each process is a member: it proves that it has the run's secret, and forms
//! one generation after another with the others, as the supervisor orders. A generation lasts until a process is lost;
//! those that are left keep what they have computed, and form the next one with its replacement.
//!
//! # Where to begin
//! `supervisor.rs` decides, `member.rs` obeys, `generation.rs` is what timely gets and how it ends, `handshake.rs` is who may come in,
//! `worker.rs` what those say that start processes on other machines, `status.rs` what anybody with the secret may ask.

mod build;
pub(crate) mod channel;
mod control;
mod frames;
pub(crate) mod generation;
mod handshake;
mod link;
pub(crate) mod member;
pub(crate) mod mesh;
mod overflow;
pub(crate) mod placement;
mod secret;
mod status;
mod supervisor;
mod terms;
#[cfg(test)]
mod testing;
mod wire;
mod worker;

pub use crate::store::spill::remove_spill_files;
pub(crate) use build::build;
pub use control::Standing;
pub(crate) use frames::Limits;
pub(crate) use generation::{Generation, QuietStream};
pub(crate) use member::Member;
pub use member::Membership;
pub(crate) use overflow::overflow;
pub use secret::Secret;
pub use status::{SlotState, SlotStatus, Status};
pub use supervisor::{Happening, Leave, Supervisor};
pub(crate) use terms::Terms;
pub use worker::{Candidate, Offer, Receiver, Sender, Task, Voice, WINDOW, WorkerOrder, WorkerReport, offer};
