//! Several processes that run the same program, each with a share of the partitions.

mod form;
mod secret;

// The parts of an authenticated mesh. They are complete and tested, but nothing forms a mesh from them yet, so the
// compiler would call them dead. The attributes go when `form` uses them.
#[allow(dead_code)]
mod channel;
#[allow(dead_code)]
mod frames;
#[allow(dead_code)]
mod handshake;
#[allow(dead_code)]
mod terms;
#[cfg(test)]
mod testing;
#[allow(dead_code)]
mod wire;

pub(crate) use form::connect;
pub use form::{Membership, Rendezvous};
pub use secret::Secret;
