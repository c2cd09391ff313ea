//! What honest timely processes say to each other passes: two of them, two workers each, over encrypted channels.

use super::*;
use crate::cluster::channel::Channel;
use crate::cluster::testing::{PATIENCE, channels, pair};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use timely::WorkerConfig;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::zero_copy::stream::Stream;
use timely::communication::{AllocatorBuilder, Hooks};
use timely::dataflow::operators::vec::{Broadcast, ToStream};
use timely::dataflow::operators::{Exchange, Inspect, Probe};

const WORKERS: usize = 2;
const RECORDS: u64 = 100_000;

/// A channel whose frames are checked, and nothing else: a refusal makes timely panic.
struct Checked(Channel, Frames);

impl Read for Checked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buf)?;
        let (safe, result) = self.1.advance(&buf[..n]);
        result?;
        assert_eq!(safe, n);
        assert!(n > 0 || self.1.has_ended(), "an end of file only after the end of the stream");
        Ok(n)
    }
}

impl Write for Checked {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Stream for Checked {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Checked(self.0.try_clone()?, Frames::new(self.1.limits.clone())))
    }
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.raw().set_nonblocking(nonblocking)
    }
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }
}

/// One process: each worker sends all numbers to all workers, and to one by its value. Returns what its workers got.
fn process(me: usize, channel: Channel) -> u64 {
    let workers = |process: usize| (process * WORKERS) as u64..((process + 1) * WORKERS) as u64;
    let limits = Limits::new(workers(me), workers(1 - me), Arc::default());
    let mut sockets = vec![None, None];
    sockets[1 - me] = Some(Checked(channel, Frames::new(limits)));
    let hooks = Hooks::default();
    let local = ProcessBuilder::new_typed_vector(WORKERS, hooks.refill.clone(), None);
    let (builders, guard) = initialize_networking_from_sockets(local, sockets, me, WORKERS, hooks).unwrap();
    let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
    let (sender, receiver) = mpsc::channel();
    let run =
        timely::execute::execute_from(builders, Box::new(guard), WorkerConfig::default(), move |worker| {
            let sender = sender.clone();
            let (probe, _) = worker.dataflow::<u64, _, _>(|scope| {
                let numbers = (0..RECORDS).to_stream(scope);
                let few = (0..10u64).to_stream(scope).broadcast();
                let few = few.inspect({
                    let sender = sender.clone();
                    move |_| sender.send(1_000_000).unwrap()
                });
                let (one, _) = numbers.exchange(|x| *x).inspect(move |_| sender.send(1).unwrap()).probe();
                let (two, _) = few.probe();
                ((one, two), ())
            });
            while !(probe.0.done() && probe.1.done()) {
                worker.step();
            }
        });
    drop(run.unwrap());
    receiver.try_iter().sum()
}

#[test]
fn real_timely_traffic_passes() {
    let (x, y) = pair();
    let (a, b) = channels(x, y, true);
    let (sender, received) = mpsc::channel();
    for (me, channel) in [a, b].into_iter().enumerate() {
        let sender = sender.clone();
        // Not joined, so that a mesh that hangs fails the test instead of stopping it.
        std::thread::spawn(move || sender.send(process(me, channel)));
    }
    let mut total = 0;
    for _ in 0..2 {
        total += received.recv_timeout(PATIENCE).expect("both processes end");
    }
    let workers = 2 * WORKERS as u64;
    assert_eq!(total, workers * RECORDS + workers * workers * 10 * 1_000_000);
}
