//! What the supervisor and the members say to each other, and how it is framed.
//!
//! A message is a length of four bytes and a postcard record; one is a few hundred bytes at most. Reading keeps what has
//! arrived of a message that is not complete, so a read may time out in its middle.

use super::channel::Channel;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Read, Write};

/// Longest message. The longest there is has the addresses of all members.
const BYTES_MAX: usize = 1 << 20;

/// How far a process is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The generation that it works in; 0 before the first.
    pub generation: u64,
    /// The last job of its program that has ended.
    pub jobs: u64,
    /// For how long one of its workers has been in one step, in milliseconds.
    pub still_ms: u64,
}

/// To the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The process can take part; others reach it at this address.
    Join { address: String, pid: u32 },
    /// It is alive.
    Beat(Standing),
    /// It works in the generation.
    Formed(Standing),
    /// The generation has ended for it, or could not be formed.
    Broken { generation: u64, why: String, standing: Standing },
    /// Its program has ended in order, or with an error that the others have heard: it will be missed by nobody.
    Left { failed: bool },
}

/// To a member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Leave the generation that you are in, and form this one with these members: slots, ascending, and addresses.
    Form { generation: u64, members: Vec<(u32, String)> },
    /// The supervisor is alive.
    Beat,
    /// The run has ended, for this reason.
    End { why: String },
}

/// Writes one message.
pub(crate) fn send<M: Serialize>(link: &mut Channel, message: &M) -> io::Result<()> {
    let body = postcard::to_stdvec(message).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
    let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    link.write_all(&bytes)
}

/// Reads messages.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
}

impl Inbox {
    /// The next message, or `None` if it has not arrived before the link's read timeout.
    pub fn receive<M: DeserializeOwned>(&mut self, link: &mut Channel) -> io::Result<Option<M>> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            let mut buffer = [0u8; 4096];
            match link.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.bytes.extend_from_slice(&buffer[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
    fn take<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        let Some(head) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > BYTES_MAX {
            let message = format!("a message of {length} bytes, more than {BYTES_MAX}");
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        let Some(body) = self.bytes.get(4..4 + length) else { return Ok(None) };
        let message = postcard::from_bytes(body).map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }
}
