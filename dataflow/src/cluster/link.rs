//! Connections between processes that have proved that they belong together.

use super::channel::{Channel, protect};
use super::handshake::{DEADLINE, Introduction, Purpose, Refused, accept as shake, initiate};
use super::member::Membership;
use super::secret::Secret;
use super::terms::Terms;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};

/// The number by which a supervisor is addressed.
pub(super) const SUPERVISOR: u32 = u32::MAX;
/// The term that says which generation a connection is of.
pub(super) const GENERATION: &str = "generation";

/// Connects to `to` at an address. `terms` are what both must agree on.
pub(super) fn connect(
    address: &str,
    membership: &Membership,
    purpose: Purpose,
    to: u32,
    terms: Terms,
) -> Result<Channel, Refused> {
    let (from, encrypt) = (membership.process as u32, membership.encrypt);
    let introduction = Introduction { purpose, from, to, encrypt, terms, note: vec![] };
    introduce(address, &membership.secret, &introduction)
}

/// Connects to the supervisor as one that is no member. That is always encrypted.
pub(super) fn visit(
    address: &str,
    secret: &Secret,
    purpose: Purpose,
    terms: Terms,
    note: Vec<u8>,
) -> Result<Channel, Refused> {
    let introduction = Introduction { purpose, from: 0, to: SUPERVISOR, encrypt: true, terms, note };
    introduce(address, secret, &introduction)
}

fn introduce(address: &str, secret: &Secret, introduction: &Introduction) -> Result<Channel, Refused> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs().map_err(Refused::Io)? {
        let socket = match TcpStream::connect_timeout(&address, DEADLINE) {
            Ok(socket) => socket,
            Err(e) => {
                last = e;
                continue;
            }
        };
        protect(&socket).map_err(Refused::Io)?;
        return initiate(socket, secret, introduction, DEADLINE);
    }
    Err(Refused::Io(last))
}

/// Lets a process in that has connected, if `decide` finds its terms; it must change nothing.
pub(super) fn accept(
    socket: TcpStream,
    membership: &Membership,
    decide: impl FnOnce(&Introduction) -> Result<Terms, String>,
) -> Result<(Introduction, Channel), Refused> {
    socket.set_nonblocking(false).map_err(Refused::Io)?;
    protect(&socket).map_err(Refused::Io)?;
    shake(socket, &membership.secret, DEADLINE, |introduction| {
        let is_visit = matches!(introduction.purpose, Purpose::Worker | Purpose::Status | Purpose::Scale);
        let encrypt = membership.encrypt || is_visit;
        if introduction.encrypt != encrypt {
            let says = |e: bool| if e { "encrypts" } else { "does not encrypt" };
            return Err(format!("that process {}, this one {}", says(introduction.encrypt), says(encrypt)));
        }
        decide(introduction)
    })
}

/// Which generation a connection is of; 0 if it does not say.
pub(super) fn generation_of(introduction: &Introduction) -> u64 {
    introduction.terms.get(GENERATION).and_then(|g| g.parse().ok()).unwrap_or(0)
}
