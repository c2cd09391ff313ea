//! The queues between workers and the threads of the network, which timely does not bound: what is beyond a limit waits
//! on disk.
//!
//! # What
//! Stages and trainings have windows and never have much under way. A dataflow of the user's own has none, and a peer
//! whose workers are stuck takes nothing from its queues however long it lives. So every queue keeps its head in memory,
//! and what comes after it, but for the last entry, is written to a spill file and read again when its turn comes.
//!
//! # Guarantees
//! Order is kept. What cannot be read again, or is not what it was, ends the generation; nobody goes on without it. If the
//! disk is full the queue stays in memory, and a warning says so once.
//!
//! # Cost
//! A sum over the entries of a queue, mostly one or two, for every piece that is added. [`RESIDENT_MAX`] bytes in all
//! queues of a process; a file is removed when all that is in it was read.
//!
//! *From* `allocator/zero_copy/spill.rs` of timely_communication 0.32.0, whose own policy spills beyond 320 MiB a queue.

use super::Generation;
use crate::event::Event;
use crate::store::BlockStore;
use crate::store::spill::{Frame, SpillFile};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use timely::bytes::arc::{Bytes, BytesMut};
use timely::communication::allocator::zero_copy::bytes_exchange::QueueEntry;
use timely::communication::allocator::zero_copy::spill::{
    BytesFetch, PrefetchPolicy, SpillPolicy, SpillPolicyFn,
};

/// Bytes that all queues of a process may keep in memory.
const RESIDENT_MAX: usize = 32 << 20;
/// Bytes that a queue may in any case: timely hands over slabs of 1 MiB.
const RESIDENT_MIN: usize = 2 << 20;
/// A file that has become this long takes no more; it goes when it was read.
const FILE_BYTES: u64 = 256 << 20;

/// What makes the policies of each of `queues` queues of a generation.
pub(crate) fn overflow(
    store: &Arc<BlockStore>,
    generation: &Arc<Generation>,
    queues: usize,
) -> SpillPolicyFn {
    let (store, generation) = (store.clone(), generation.clone());
    let resident = (RESIDENT_MAX / queues.max(1)).max(RESIDENT_MIN);
    let warned = Arc::new(AtomicBool::new(false));
    Arc::new(move || {
        let (store, generation, warned) = (store.clone(), generation.clone(), warned.clone());
        let writer = Overflow { store, generation, resident, file: Weak::new(), warned };
        (Box::new(writer), Box::new(PrefetchPolicy::new(resident / 2)))
    })
}

/// The policy of who adds to a queue.
struct Overflow {
    store: Arc<BlockStore>,
    generation: Arc<Generation>,
    /// Bytes of the queue that may stay in memory.
    resident: usize,
    file: Weak<SpillFile>,
    warned: Arc<AtomicBool>,
}

impl Overflow {
    /// Writes a piece down; `None` if it must stay where it is.
    fn write(&mut self, bytes: &Bytes) -> Option<Page> {
        let file = self.file.upgrade().filter(|file| file.length() < FILE_BYTES);
        let file = file.map_or_else(|| self.store.dir.create().map(Arc::new), Ok);
        let written = file.and_then(|file| Ok((file.append(bytes)?, file)));
        match written {
            Ok((frame, file)) => {
                self.file = Arc::downgrade(&file);
                Some(Page { file, frame, generation: self.generation.clone() })
            }
            Err(e) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    let message = format!("what waits for another process stays in memory: {e}");
                    self.store.events().emit(|| Event::Warning { message });
                }
                None
            }
        }
    }
}

impl SpillPolicy for Overflow {
    fn apply(&mut self, queue: &mut VecDeque<QueueEntry>) {
        let bytes = |entry: &QueueEntry| match entry {
            QueueEntry::Bytes(bytes) => bytes.len(),
            QueueEntry::Paged(_) => 0,
        };
        if queue.iter().map(bytes).sum::<usize>() <= self.resident {
            return;
        }
        let (mut head, last) = (0, queue.len() - 1);
        // The last one may still be added to.
        for entry in queue.iter_mut().take(last) {
            let QueueEntry::Bytes(bytes) = entry else {
                head = self.resident;
                continue;
            };
            if head + bytes.len() <= self.resident / 2 {
                head += bytes.len();
                continue;
            }
            head = self.resident;
            match self.write(bytes) {
                Some(page) => *entry = QueueEntry::Paged(Box::new(page)),
                None => return,
            }
        }
    }
}

/// What is on disk of a queue.
struct Page {
    file: Arc<SpillFile>,
    frame: Frame,
    generation: Arc<Generation>,
}

impl BytesFetch for Page {
    fn fetch(self: Box<Self>) -> Result<Vec<Bytes>, Box<dyn BytesFetch>> {
        let mut bytes = vec![];
        if !self.generation.is_aborted() {
            match self.file.read(&self.frame, &mut bytes) {
                Ok(()) => return Ok(vec![BytesMut::from(bytes).freeze()]),
                Err(e) => self.generation.abort(&format!("what was sent between processes is lost: {e}")),
            }
        }
        // A worker must not go on without it: it asks again until it sees that the generation has ended. The thread that
        // sends has nobody to send to any more, but ends only when its queues are empty.
        if self.generation.is_worker() { Err(self) } else { Ok(vec![]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventBus;
    use crate::store::memory::Memory;
    use crate::store::spill::SpillDir;
    use timely::communication::allocator::zero_copy::bytes_exchange::{BytesPull, BytesPush, MergeQueue};
    use timely::communication::buzzer::Buzzer;

    struct Setting {
        generation: Arc<Generation>,
        store: Arc<BlockStore>,
        events: Arc<EventBus>,
        _parent: tempfile::TempDir,
    }

    fn setting() -> Setting {
        let parent = tempfile::tempdir().unwrap();
        let (memory, events) = (Memory::new(1 << 20), EventBus::new(0));
        let store = BlockStore::new(&memory, SpillDir::new(parent.path()), &events);
        Setting { generation: Generation::new(1, 1, Box::new(|_| {})), store, events, _parent: parent }
    }

    fn queue(setting: &Setting) -> (MergeQueue, MergeQueue) {
        let (writer, reader) = overflow(&setting.store, &setting.generation, usize::MAX)();
        MergeQueue::new_pair(Buzzer::default(), Some(writer), Some(reader))
    }

    fn piece(i: usize) -> Bytes {
        BytesMut::from(vec![i as u8; 100_000]).freeze()
    }

    fn files(setting: &Setting) -> usize {
        std::fs::read_dir(setting.store.dir.path()).map_or(0, |files| files.count())
    }

    #[test]
    fn a_long_queue_is_on_disk_and_comes_back_in_order() {
        let setting = setting();
        let (mut to, mut from) = queue(&setting);
        (0..15).for_each(|i| to.extend([piece(i)]));
        assert_eq!(files(&setting), 0, "it is short");
        (15..500).for_each(|i| to.extend([piece(i)]));
        assert_eq!(files(&setting), 1);
        let (mut all, mut some) = (vec![], vec![]);
        // More comes while it is read.
        for i in 500..3000 {
            from.drain_into(&mut some);
            let bytes: usize = some.iter().map(|b| b.len()).sum();
            assert!(bytes <= RESIDENT_MIN + 200_000, "{bytes} bytes at once");
            all.append(&mut some);
            to.extend([piece(i)]);
        }
        while all.len() < 3000 {
            from.drain_into(&mut some);
            assert!(!some.is_empty());
            all.append(&mut some);
        }
        for (i, bytes) in all.iter().enumerate() {
            assert!(bytes.len() == 100_000 && bytes.iter().all(|b| *b == i as u8), "{i}");
        }
        assert_eq!(files(&setting), 0, "what was read is gone");
    }

    #[test]
    fn what_is_damaged_ends_the_generation() {
        let setting = setting();
        let (mut to, mut from) = queue(&setting);
        (0..100).for_each(|i| to.extend([piece(i)]));
        for file in std::fs::read_dir(setting.store.dir.path()).unwrap() {
            let file = std::fs::File::options().write(true).open(file.unwrap().path()).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"x", 5_000_000).unwrap();
        }
        let worker = setting.generation.clone();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                worker.enter();
                let mut all = vec![];
                while !worker.is_aborted() {
                    from.drain_into(&mut all);
                }
                let n = all.len();
                assert!((20..100).contains(&n), "{n} pieces before the damaged one");
                from.drain_into(&mut all);
                assert_eq!(all.len(), n, "nothing comes after it");
            });
        });
        assert!(setting.generation.why().unwrap().contains("the checksum does not fit"));
        // The thread that sends is rid of it.
        let mut all = vec![];
        from.drain_into(&mut all);
        drop(to);
        assert!(from.is_complete());
    }

    #[test]
    fn without_a_disk_it_stays_in_memory() {
        let setting = setting();
        std::fs::write(setting.store.dir.path(), "no folder").unwrap();
        let heard = Arc::new(std::sync::Mutex::new(vec![]));
        let said = heard.clone();
        let _subscription = setting.events.subscribe(move |e| {
            if let Event::Warning { message } = &e.event {
                said.lock().unwrap().push(message.clone());
            }
        });
        let (mut to, mut from) = queue(&setting);
        (0..100).for_each(|i| to.extend([piece(i)]));
        let mut all = vec![];
        from.drain_into(&mut all);
        assert_eq!(all.len(), 100);
        let heard = heard.lock().unwrap();
        assert!(heard.len() == 1 && heard[0].contains("stays in memory"), "{heard:?}");
    }
}
