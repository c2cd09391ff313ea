//! Room for frames on their way to and from disk.
//!
//! A frame may be as large as a partition. Allocators keep what was freed for a while, and one frame after the other would take
//! anew many times what is in use at once: so a frame takes the room of one before it.

use std::sync::{Mutex, MutexGuard};

/// No more is kept.
const KEPT_BYTES: usize = 64 << 20;

/// Empty vectors with room.
#[derive(Default)]
pub(crate) struct FrameRooms(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    rooms: Vec<Vec<u8>>,
    bytes: usize,
}

impl FrameRooms {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
    /// An empty vector, with room if there is any.
    pub fn take(&self) -> Vec<u8> {
        let mut kept = self.lock();
        let room = kept.rooms.pop().unwrap_or_default();
        kept.bytes -= room.capacity();
        room
    }
    /// Keeps the room of a vector for others.
    pub fn give(&self, mut room: Vec<u8>) {
        room.clear();
        let mut kept = self.lock();
        if room.capacity() > 0 && kept.bytes + room.capacity() <= KEPT_BYTES {
            kept.bytes += room.capacity();
            kept.rooms.push(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_up_to_a_limit() {
        let rooms = FrameRooms::default();
        assert_eq!(rooms.take().capacity(), 0);
        rooms.give(vec![]);
        assert_eq!(rooms.lock().rooms.len(), 0);
        let third = || Vec::with_capacity(KEPT_BYTES / 3);
        (0..4).for_each(|_| rooms.give(third()));
        assert_eq!(rooms.lock().rooms.len(), 3);
        let mut room = rooms.take();
        assert_eq!((room.len(), room.capacity()), (0, KEPT_BYTES / 3));
        room.extend([1, 2, 3]);
        rooms.give(room);
        assert_eq!(
            (0..4).map(|_| rooms.take()).map(|r| (r.len(), r.capacity() > 0)).collect::<Vec<_>>(),
            [(0, true), (0, true), (0, true), (0, false)]
        );
    }
}
