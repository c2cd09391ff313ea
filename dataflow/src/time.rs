//! The time that the engine decides by: the machine's, or in a [simulation](crate::simulation) that of the simulation.
//!
//! # Guarantees
//! In a simulation time passes by steps and by looks at it, in amounts that follow from the seed; so whatever goes by it is the
//! same the second time. Everywhere else it is `std::time::Instant`.
//!
//! # Cost
//! One look at a flag more than the machine's clock.

use crate::simulation;
use std::ops::Add;
use std::time::Duration;

/// A moment, of the machine or of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// This moment.
    #[inline]
    pub fn now() -> Self {
        Instant(simulation::now().unwrap_or_else(std::time::Instant::now))
    }
    pub(crate) fn from_machine(moment: std::time::Instant) -> Self {
        Instant(moment)
    }
    /// Time since this moment.
    #[inline]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }
    /// Time from an earlier moment to this one; nothing if it is later.
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, time: Duration) -> Instant {
        Instant(self.0 + time)
    }
}
