//! What travels between workers: a parcel is a block of records with an address, or a control message.
//!
//! Within a process a parcel moves as it is (a few `Vec` headers); between processes its body is sealed (encoded) by
//! the task that made it, where a type that cannot be written is that task's error, and opened by the receiver.

use crate::context::Topology;
use crate::store::spare::SPARE_BYTES_MIN;
use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

/// A block of records.
pub(crate) trait Payload: Send + Sync + Sized + 'static {
    /// Number of records.
    fn records(&self) -> usize;
    /// Bytes in memory, about.
    fn bytes(&self) -> u64;
    /// Appends the encoded records.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String>;
    /// Reads `records` records.
    fn decode(bytes: &mut &[u8], records: usize) -> Result<Self, String>;
    /// Takes the block away, emptied, with the records it has room for; `None` if it is not worth keeping.
    fn take_emptied(&mut self) -> Option<(usize, Self)> {
        None
    }
}

/// Records as two columns; for records that are not pairs the second is `()`.
#[derive(Debug, Clone)]
pub(crate) struct Pairs<K, V> {
    pub keys: Vec<K>,
    pub values: Vec<V>,
}

impl<K, V> Default for Pairs<K, V> {
    fn default() -> Self {
        Pairs { keys: vec![], values: vec![] }
    }
}

impl<K: crate::Record, V: crate::Record> Payload for Pairs<K, V> {
    fn records(&self) -> usize {
        self.keys.len()
    }
    fn bytes(&self) -> u64 {
        use super::codec::heap_bytes_mean;
        let flat = self.keys.capacity() * size_of::<K>() + self.values.capacity() * size_of::<V>();
        let heap = heap_bytes_mean(&self.keys) + heap_bytes_mean(&self.values);
        flat as u64 + (heap * self.keys.len() as f64) as u64
    }
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        super::codec::encode(&self.keys, out)?;
        super::codec::encode(&self.values, out)
    }
    fn decode(bytes: &mut &[u8], records: usize) -> Result<Self, String> {
        Ok(Pairs {
            keys: super::codec::decode(bytes, records)?,
            values: super::codec::decode(bytes, records)?,
        })
    }
    fn take_emptied(&mut self) -> Option<(usize, Self)> {
        let room = self.keys.capacity();
        let bytes = room * (size_of::<K>() + size_of::<V>());
        if (bytes as u64) < SPARE_BYTES_MIN || self.values.capacity() < room {
            return None;
        }
        let mut block = std::mem::take(self);
        block.keys.clear();
        block.values.clear();
        Some((room, block))
    }
}

/// What a parcel is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Records for the owner of partition `part`.
    #[default]
    Data = 0,
    /// Attempt `attempt` of task `map` is complete: its records count. Goes to every worker.
    Commit = 1,
    /// Task `map` has failed for good; the body says why. Goes to one worker of every other process.
    Abort = 2,
    /// Records for one worker of every other process.
    ToProcesses = 3,
    /// A message for worker number `part` of all.
    Direct = 4,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Head {
    pub kind: Kind,
    pub part: u32,
    pub map: u32,
    pub attempt: u32,
    /// Counts the parcels of a task: with `map` it restores the order that does not depend on arrival.
    pub seq: u32,
    pub records: u32,
}

pub(crate) enum Body<P> {
    Empty,
    Live(P),
    Sealed(Vec<u8>),
}

pub(crate) struct Parcel<P> {
    pub head: Head,
    pub body: Body<P>,
    /// How many parcels [`Route`] makes of this one. Progress tracking counts what an operator sends against what all
    /// workers receive, so a parcel that will be copied must count as many times.
    copies: u32,
}

impl<P> Default for Parcel<P> {
    fn default() -> Self {
        Parcel { head: Head::default(), body: Body::Empty, copies: 0 }
    }
}

impl<P: Payload> Parcel<P> {
    pub fn data(head: Head, payload: P) -> Self {
        Parcel {
            head: Head { records: payload.records() as u32, ..head },
            body: Body::Live(payload),
            copies: 1,
        }
    }
    /// A message to those that `head.kind` names.
    pub fn control(head: Head, note: Vec<u8>, topology: &Topology) -> Self {
        let body = if note.is_empty() { Body::Empty } else { Body::Sealed(note) };
        Parcel { head, body, copies: topology.copies(head.kind) }
    }
    /// Records for one worker of every other process, sealed.
    pub fn to_processes(head: Head, payload: P, topology: &Topology) -> Result<Self, String> {
        let mut parcel = Parcel::data(Head { kind: Kind::ToProcesses, ..head }, payload);
        parcel.seal()?;
        parcel.copies = topology.copies(Kind::ToProcesses);
        Ok(parcel)
    }
    /// Encodes the body, for another process.
    pub fn seal(&mut self) -> Result<(), String> {
        if let Body::Live(payload) = &self.body {
            let mut bytes = Vec::with_capacity(payload.bytes() as usize);
            payload.encode(&mut bytes)?;
            self.body = Body::Sealed(bytes);
        }
        Ok(())
    }
    /// The records, decoded if need be.
    pub fn open(self) -> Result<P, String> {
        match self.body {
            Body::Live(payload) => Ok(payload),
            Body::Sealed(bytes) => P::decode(&mut &bytes[..], self.head.records as usize),
            Body::Empty => Err("a parcel without a body".to_string()),
        }
    }
    fn copy(&self) -> Self {
        let body = match &self.body {
            Body::Sealed(bytes) => Body::Sealed(bytes.clone()),
            _ => Body::Empty,
        };
        Parcel { head: self.head, body, copies: 1 }
    }
}

impl<P: Payload> Accountable for Parcel<P> {
    /// Progress tracking needs "empty or not" only: one parcel counts as one record.
    fn record_count(&self) -> i64 {
        self.copies as i64
    }
}

const HEAD_BYTES: usize = 24;

impl<P: Payload> ContainerBytes for Parcel<P> {
    fn from_bytes(bytes: Bytes) -> Self {
        let word = |i: usize| u32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().expect("four bytes"));
        let kind = match word(0) {
            1 => Kind::Commit,
            2 => Kind::Abort,
            3 => Kind::ToProcesses,
            4 => Kind::Direct,
            _ => Kind::Data,
        };
        let head =
            Head { kind, part: word(1), map: word(2), attempt: word(3), seq: word(4), records: word(5) };
        let rest = &bytes[HEAD_BYTES..];
        let body = if rest.is_empty() && kind != Kind::Data && kind != Kind::ToProcesses {
            Body::Empty
        } else {
            Body::Sealed(rest.to_vec())
        };
        Parcel { head, body, copies: 1 }
    }
    fn length_in_bytes(&self) -> usize {
        HEAD_BYTES + if let Body::Sealed(b) = &self.body { b.len() } else { 0 }
    }
    fn into_bytes<W: std::io::Write>(&self, writer: &mut W) {
        let h = &self.head;
        for word in [h.kind as u32, h.part, h.map, h.attempt, h.seq, h.records] {
            writer.write_all(&word.to_le_bytes()).expect("timely lends a buffer of the asked length");
        }
        if let Body::Sealed(bytes) = &self.body {
            writer.write_all(bytes).expect("timely lends a buffer of the asked length");
        }
    }
}

/// Sends each parcel as a whole to where its head says.
pub(crate) struct Route(pub Topology);

impl<P: Payload> Distributor<Parcel<P>> for Route {
    fn partition<T: Clone, Q: Push<Message<T, Parcel<P>>>>(
        &mut self,
        parcel: &mut Parcel<P>,
        stamp: &Stamp<T>,
        to: &mut [Q],
    ) {
        let parcel = std::mem::take(parcel);
        let topology = self.0;
        match parcel.head.kind {
            Kind::Data => {
                let index = topology.worker_of(parcel.head.part as usize);
                to[index].push(&mut Some(Message::new(stamp.clone(), parcel)));
            }
            Kind::Direct => {
                to[parcel.head.part as usize].push(&mut Some(Message::new(stamp.clone(), parcel)));
            }
            Kind::Commit => {
                for q in to {
                    q.push(&mut Some(Message::new(stamp.clone(), parcel.copy())));
                }
            }
            Kind::Abort | Kind::ToProcesses => {
                for process in (0..topology.processes).filter(|p| *p != topology.process) {
                    let index = process * topology.workers;
                    to[index].push(&mut Some(Message::new(stamp.clone(), parcel.copy())));
                }
            }
        }
    }
    fn flush<T: Clone, Q: Push<Message<T, Parcel<P>>>>(&mut self, _: &Stamp<T>, _: &mut [Q]) {}
    fn relax(&mut self) {}
}
