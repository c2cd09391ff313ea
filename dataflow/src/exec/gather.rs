//! Small messages of every process to every process, for agreement. One dataflow, 50-200 us.

use super::parcel::{Body, Head, Kind, Parcel, Payload, Route};
use crate::context::Engine;
use crate::error::{Error, ErrorKind, Result};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::ProbeHandle;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::{Operator, Probe};
use timely::worker::Worker;

/// A process whose program does something else for longer than this is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(600);

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
    let got: Rc<RefCell<Vec<Option<Vec<u8>>>>> = Rc::new(RefCell::new(vec![None; topology.processes]));
    let (into, probe) = (got.clone(), ProbeHandle::<u64>::new());
    let seen = probe.clone();
    let send = worker.index().is_multiple_of(topology.workers).then_some(mine);
    worker.dataflow_named::<u64, _, _>("gather", move |scope| {
        source::<_, NoopBuilder<Parcel<Bytes>>, _, _>(scope, "send", move |capability, _| {
            let (mut capability, mut send) = (Some(capability), send);
            move |output| {
                let Some(at) = capability.take() else { return };
                if let Some(bytes) = send.take() {
                    // A commit goes to every worker; here its body is the message.
                    let head = Head { kind: Kind::Commit, map: topology.process as u32, ..Head::default() };
                    output
                        .session_with_builder(&at)
                        .give_container(&mut Parcel::control(head, bytes, &topology));
                }
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
                        if let Some(slot) = into.borrow_mut().get_mut(parcel.head.map as usize) {
                            *slot = Some(bytes);
                        }
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
        worker.step_or_park(Some(Duration::from_millis(20)));
        if start.elapsed() > PATIENCE {
            let what = format!("another process did not answer for {PATIENCE:?}");
            return Err(Error::new(ErrorKind::Cluster(what)));
        }
    }
    let all: Option<Vec<Vec<u8>>> = got.take().into_iter().collect();
    all.ok_or_else(|| Error::new(ErrorKind::Cluster("a process sent nothing".to_string())))
}
