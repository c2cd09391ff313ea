//! What the tests of this folder share: sockets, secrets, and a deadline for everything that waits.

use super::channel::Channel;
use super::handshake::{Introduction, Purpose};
use super::secret::Secret;
use super::terms::Terms;
use std::net::{TcpListener, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

/// No test waits longer for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Two ends of a connection on the loopback address, with timeouts.
pub(super) fn pair() -> (TcpStream, TcpStream) {
    // One listener for all: every pair of its own would use up the ports.
    static LISTENER: OnceLock<std::sync::Mutex<TcpListener>> = OnceLock::new();
    let listener = LISTENER.get_or_init(|| TcpListener::bind("127.0.0.1:0").unwrap().into());
    let listener = listener.lock().unwrap_or_else(|e| e.into_inner());
    let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (b, from) = listener.accept().unwrap();
    assert_eq!(from, a.local_addr().unwrap());
    for socket in [&a, &b] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
    }
    (a, b)
}

/// The two ends of an authenticated pair as `handshake` leaves them, over two sockets that need not be connected to
/// each other.
pub(super) fn channels(a: TcpStream, b: TcpStream, encrypt: bool) -> (Channel, Channel) {
    if !encrypt {
        return (Channel::plain(a), Channel::plain(b));
    }
    let builder = || snow::Builder::new("Noise_NN_25519_AESGCM_SHA256".parse().unwrap());
    let (mut i, mut r) = (builder().build_initiator().unwrap(), builder().build_responder().unwrap());
    let (mut message, mut payload) = ([0; 100], [0; 100]);
    let n = i.write_message(&[], &mut message).unwrap();
    r.read_message(&message[..n], &mut payload).unwrap();
    let n = r.write_message(&[], &mut message).unwrap();
    i.read_message(&message[..n], &mut payload).unwrap();
    let state = |h: snow::HandshakeState| h.into_stateless_transport_mode().unwrap();
    (Channel::encrypted(a, state(i), 1, 0), Channel::encrypted(b, state(r), 0, 1))
}

/// A secret that is the same for the same number.
pub(super) fn secret(number: u8) -> Secret {
    Secret::from_text(&format!("{number:02x}").repeat(32)).unwrap()
}

/// An introduction of process 2 to process 1.
pub(super) fn introduction(encrypt: bool, terms: Terms) -> Introduction {
    Introduction { purpose: Purpose::Mesh, from: 2, to: 1, encrypt, terms, note: b"a note".to_vec() }
}

/// Deterministic bytes.
pub(super) struct Bytes(u64);

impl Bytes {
    pub(super) fn new(seed: u64) -> Self {
        Bytes(seed)
    }
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        crate::hash::hash_u64(self.0)
    }
    /// A number below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.word() % n as u64) as usize
    }
    pub(super) fn some(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.word() as u8).collect()
    }
}
