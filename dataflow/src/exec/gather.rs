//! Small messages of every process to every process, for agreement. One dataflow, 50-200 us.

use super::parcel::{Body, Head, Kind, Parcel, Payload, Route};
use crate::context::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::simulation;
use crate::time::Instant;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::ProbeHandle;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::{Operator, Probe};
use timely::worker::Worker;

/// A process whose program does something else for longer than this is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(600);

/// Messages are cut into pieces of this size, so that none is larger than a peer may send.
const PIECE_BYTES: usize = 32 << 20;

/// Raw bytes as a payload.
pub(crate) struct Bytes(pub Vec<u8>);

impl Payload for Bytes {
    fn records(&self) -> usize {
        1
    }
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
    fn decode(bytes: &mut &[u8], _: usize) -> Result<Self, String> {
        let all = std::mem::take(bytes);
        Ok(Bytes(all.to_vec()))
    }
}

/// The bytes of each process, by process, on every worker. Each process sends those of its first worker. Collective.
pub(crate) fn all_gather(worker: &mut Worker, engine: &Engine, mine: Vec<u8>) -> Result<Vec<Vec<u8>>> {
    let topology = engine.topology();
    let mut outgoing = vec![];
    if worker.index().is_multiple_of(topology.workers) {
        // A commit goes to every worker; here its body is the message.
        let head = Head { kind: Kind::Commit, map: topology.process as u32, ..Head::default() };
        outgoing.push(Parcel::control(head, mine, &topology));
    }
    let mut got: Vec<Option<Vec<u8>>> = vec![None; topology.processes];
    for (head, bytes) in exchange(worker, engine, outgoing)? {
        if let Some(slot) = got.get_mut(head.map as usize) {
            *slot = Some(bytes);
        }
    }
    let all: Option<Vec<Vec<u8>>> = got.into_iter().collect();
    all.ok_or_else(|| Error::new(ErrorKind::Cluster("a process sent nothing".to_string())))
}

/// Sends messages to processes; returns those that this one gets, by sender, on its first worker. What other workers
/// send is not looked at. Collective.
pub(crate) fn scatter(
    worker: &mut Worker,
    engine: &Engine,
    messages: Vec<(usize, Vec<u8>)>,
) -> Result<Vec<Vec<u8>>> {
    let topology = engine.topology();
    let mut outgoing = vec![];
    if worker.index().is_multiple_of(topology.workers) {
        for (number, (to, bytes)) in messages.into_iter().enumerate() {
            let head = Head {
                kind: Kind::Direct,
                part: (to * topology.workers) as u32,
                map: topology.process as u32,
                attempt: number as u32,
                ..Head::default()
            };
            // An empty message is one piece, too.
            let pieces = bytes.chunks(PIECE_BYTES).chain(bytes.is_empty().then_some(&[][..]));
            for (seq, piece) in pieces.enumerate() {
                outgoing.push(Parcel::control(Head { seq: seq as u32, ..head }, piece.to_vec(), &topology));
            }
        }
    }
    let mut arrived: BTreeMap<(u32, u32), BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    for (head, bytes) in exchange(worker, engine, outgoing)? {
        arrived.entry((head.map, head.attempt)).or_default().insert(head.seq, bytes);
    }
    Ok(arrived.into_values().map(|pieces| pieces.into_values().flatten().collect()).collect())
}

/// Sends parcels to where their heads say; what arrives at this worker.
fn exchange(
    worker: &mut Worker,
    engine: &Engine,
    outgoing: Vec<Parcel<Bytes>>,
) -> Result<Vec<(Head, Vec<u8>)>> {
    let topology = engine.topology();
    let got: Rc<RefCell<Vec<(Head, Vec<u8>)>>> = Rc::default();
    let (into, probe) = (got.clone(), ProbeHandle::<u64>::new());
    let seen = probe.clone();
    worker.dataflow_named::<u64, _, _>("gather", move |scope| {
        source::<_, NoopBuilder<Parcel<Bytes>>, _, _>(scope, "send", move |capability, _| {
            let (mut capability, mut outgoing) = (Some(capability), outgoing);
            move |output| {
                let Some(at) = capability.take() else { return };
                let mut session = output.session_with_builder(&at);
                outgoing.drain(..).for_each(|mut parcel| session.give_container(&mut parcel));
            }
        })
        .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
            DistributorPact(move |_| Route(topology)),
            "receive",
            move |_, _| {
                move |input, _| {
                    input.for_each(|_, parcel: &mut Parcel<Bytes>| {
                        let parcel = std::mem::take(parcel);
                        let bytes = if let Body::Sealed(b) = parcel.body { b } else { vec![] };
                        into.borrow_mut().push((parcel.head, bytes));
                    })
                }
            },
        )
        .probe_with(&seen);
    });
    engine.note_channels(worker);
    let start = Instant::now();
    while !probe.done() {
        if engine.board.is_interrupted() {
            return Err(Error::new(ErrorKind::Cluster("a process was lost".to_string())));
        }
        simulation::step(worker, Duration::from_millis(20), "gathers");
        if start.elapsed() > PATIENCE {
            let what = format!("another process did not answer for {PATIENCE:?}");
            return Err(Error::new(ErrorKind::Cluster(what)));
        }
    }
    Ok(got.take())
}
