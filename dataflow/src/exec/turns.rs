//! When each worker of a process last came round: whoever watches the process sees one that is stuck in user code.
//!
//! A worker that waits comes round about every second. It costs a look at the clock a step. Nothing here fails.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

thread_local! {
    static MARK: RefCell<Option<Arc<AtomicU64>>> = const { RefCell::new(None) };
}

fn now_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64
}

/// This thread is a worker that has come round, if it is one that is watched.
#[inline]
pub(crate) fn turn() {
    MARK.with_borrow(|mark| {
        if let Some(mark) = mark {
            mark.store(now_ms(), Ordering::Relaxed);
        }
    });
}

/// The workers of a process.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Vec<Arc<AtomicU64>>>);

/// A worker is watched until this is dropped, on its thread.
pub(crate) struct Watched<'a> {
    turns: &'a Turns,
    mark: Arc<AtomicU64>,
}

impl Turns {
    /// This thread is one of the workers.
    pub fn watch(&self) -> Watched<'_> {
        let mark = Arc::new(AtomicU64::new(now_ms()));
        self.0.lock().unwrap_or_else(|e| e.into_inner()).push(mark.clone());
        MARK.set(Some(mark.clone()));
        Watched { turns: self, mark }
    }
    /// How long ago the one came round of whom that is the longest ago; nothing if there are no workers.
    pub fn still(&self) -> Duration {
        let marks = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let last = marks.iter().map(|mark| mark.load(Ordering::Relaxed)).min();
        last.map_or(Duration::ZERO, |last| Duration::from_millis(now_ms().saturating_sub(last)))
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        MARK.set(None);
        self.turns.0.lock().unwrap_or_else(|e| e.into_inner()).retain(|mark| !Arc::ptr_eq(mark, &self.mark));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_stuck_is_seen() {
        let turns = Turns::default();
        assert_eq!(turns.still(), Duration::ZERO);
        let _watched = turns.watch();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _stuck = turns.watch();
                std::thread::sleep(Duration::from_millis(60));
                // The other has come round all the time.
                assert!(turns.still() >= Duration::from_millis(50));
            });
            for _ in 0..8 {
                turn();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        turn();
        assert!(turns.still() < Duration::from_millis(50), "it is gone");
    }
}
