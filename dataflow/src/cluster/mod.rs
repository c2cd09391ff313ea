//! Several processes that run the same program, each with a share of the partitions.

mod form;

pub(crate) use form::connect;
pub use form::{Membership, Rendezvous};
