//! Faults of the machine: networks, disks, processors. Each tool says so and gives nothing where it cannot be had, and takes
//! away all that it has made when it is dropped.

mod network;
mod quota;
mod shim;
mod tmpfs;

pub use network::Network;
pub use quota::Quota;
pub use shim::shim;
pub use tmpfs::Tmpfs;

use std::process::Command;

/// Runs a command; true if it went well. What it says is nobody's concern.
fn run(words: &[&str]) -> bool {
    Command::new(words[0]).args(&words[1..]).output().is_ok_and(|out| out.status.success())
}

/// Says why a test does nothing.
pub fn absent(what: &str) {
    println!("left out: {what}");
}
