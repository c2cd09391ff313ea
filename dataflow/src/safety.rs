//! Switches for the benchmark of what safety costs; nothing else sets them, and no setting or variable can.
//!
//! Cost: a load where a connection is made and where a partition begins to be kept.

use std::sync::atomic::{AtomicBool, Ordering};

/// Something that can be left out.
#[derive(Debug)]
pub struct Measure(AtomicBool);

impl Measure {
    /// Leaves it out in contexts that this process makes from now on.
    pub fn leave_out(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
    pub(crate) fn is_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// Headers of what peers send are checked before timely sees them.
pub static FRAME_GUARD: Measure = Measure(AtomicBool::new(false));
/// Partitions that are kept have checksums that all processes know.
pub static CHECKSUMS: Measure = Measure(AtomicBool::new(false));
/// Queues to and from the network go on on disk.
pub static OVERFLOW: Measure = Measure(AtomicBool::new(false));
