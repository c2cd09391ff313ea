//! How much of the staleness that it is allowed a worker makes use of.
//!
//! Fresh reads make a step worth more, waiting costs time. Where a table gives a range, a worker begins at its lower
//! end; when it waits for more than a tenth of its time it goes up by a clock, and when it hardly waits it goes down.
//! Each worker chooses for itself: a fast one beside a slow one needs more. What a read may miss is bounded by the upper
//! end in any case.

use std::time::Duration;

/// Clocks from one decision to the next.
const WINDOW: u32 = 16;
/// Shares of the time spent waiting above which a worker goes up, and below which it goes down.
const UP: f64 = 0.1;
const DOWN: f64 = 0.02;

/// The bound of one worker for one table.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    least: u64,
    most: u64,
    now: u64,
    clocks: u32,
    waited: Duration,
    worked: Duration,
}

impl Bound {
    /// Within `least` and `most` clocks, both included.
    pub fn new((least, most): (u64, u64)) -> Self {
        Bound { least, most, now: least, clocks: 0, waited: Duration::ZERO, worked: Duration::ZERO }
    }
    /// Clocks of others that a read may miss at the moment.
    pub fn get(&self) -> u64 {
        self.now
    }
    /// Counts a clock: time that the worker waited for this table, and time that it worked.
    pub fn count(&mut self, waited: Duration, worked: Duration) {
        self.waited += waited;
        self.worked += worked;
        self.clocks += 1;
        if self.clocks < WINDOW {
            return;
        }
        let share = self.waited.as_secs_f64() / (self.waited + self.worked).as_secs_f64().max(1e-9);
        if share > UP {
            self.now = (self.now + 1).min(self.most);
        } else if share < DOWN {
            self.now = self.now.saturating_sub(1).max(self.least);
        }
        *self = Bound { now: self.now, ..Bound::new((self.least, self.most)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(bound: &mut Bound, clocks: u32, waited: u64, worked: u64) -> u64 {
        (0..clocks).for_each(|_| bound.count(Duration::from_micros(waited), Duration::from_micros(worked)));
        bound.get()
    }

    #[test]
    fn waiting_raises_it_and_working_lowers_it() {
        let mut bound = Bound::new((1, 4));
        assert_eq!(bound.get(), 1);
        assert_eq!(after(&mut bound, WINDOW - 1, 50, 50), 1);
        assert_eq!(after(&mut bound, 1, 50, 50), 2);
        // Not beyond its range.
        assert_eq!(after(&mut bound, 10 * WINDOW, 50, 50), 4);
        // Between the two shares it stays.
        assert_eq!(after(&mut bound, 10 * WINDOW, 5, 95), 4);
        assert_eq!(after(&mut bound, WINDOW, 0, 100), 3);
        assert_eq!(after(&mut bound, 10 * WINDOW, 1, 99), 1);
        // Time of which nothing is known changes nothing.
        assert_eq!(after(&mut Bound::new((2, 2)), 3 * WINDOW, 100, 0), 2);
    }
}
