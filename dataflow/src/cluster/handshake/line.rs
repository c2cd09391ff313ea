//! The messages of a handshake on a blocking socket, all within one deadline.
//!
//! Each message has a header of 12 bytes: 8 of magic, the version and the length in two bytes each. All versions keep
//! this header, so that different versions can say so. The magic is compared byte by byte as it arrives, so that a
//! stranger that waits for an answer is found out at once.
//!
//! Reads exactly the bytes of a message: what follows the handshake stays in the socket. Allocates a message after its
//! length was found to be at most 16 KiB. Costs two reads and one write a message, and one system call for the rest of
//! the time before each. Fails with [`Refused`]: a byte now and then does not extend the deadline.

use super::Refused;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Begins every message.
pub(super) const MAGIC: [u8; 8] = *b"slackwtr";
/// Version of the handshake. It changes with the encoding of any message.
pub(super) const VERSION: u16 = 1;
/// Bytes of magic, version and length.
pub(super) const HEADER: usize = MAGIC.len() + 4;
/// Longer messages are refused, in bytes.
pub(super) const MESSAGE_MAX: usize = 16 << 10;

/// A socket on which all reads and writes together have one deadline.
pub(super) struct Line {
    socket: TcpStream,
    end: Instant,
}

impl Line {
    /// Begins the deadline, from now. Fails if the socket is gone.
    pub(super) fn new(socket: TcpStream, deadline: Duration) -> Result<Line, Refused> {
        socket.set_nonblocking(false).and_then(|()| socket.set_nodelay(true)).map_err(Refused::Io)?;
        Ok(Line { socket, end: Instant::now() + deadline })
    }

    /// The socket, without a deadline.
    pub(super) fn finish(self) -> Result<TcpStream, Refused> {
        self.socket
            .set_read_timeout(None)
            .and_then(|()| self.socket.set_write_timeout(None))
            .map_err(Refused::Io)?;
        Ok(self.socket)
    }

    fn left(&self) -> Result<Option<Duration>, Refused> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Refused::Late) } else { Ok(Some(left)) }
    }

    /// Sends one message. It must not be longer than [`MESSAGE_MAX`].
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), Refused> {
        let length = u16::try_from(message.len()).map_err(|e| Refused::Io(io::Error::other(e)))?;
        let mut bytes = Vec::with_capacity(HEADER + message.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(message);
        let mut sent = 0;
        while sent < bytes.len() {
            self.socket.set_write_timeout(self.left()?).map_err(Refused::Io)?;
            match self.socket.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(e) => passed_over(e)?,
            }
        }
        Ok(())
    }

    /// The next message, of at least `shortest` bytes. Nothing if the other side hung up before its first byte.
    pub(super) fn receive(&mut self, shortest: usize) -> Result<Option<Vec<u8>>, Refused> {
        let mut header = [0; HEADER];
        let mut have = 0;
        while have < HEADER {
            match self.read(&mut header[have..])? {
                0 if have == 0 => return Ok(None),
                0 => return Err(cut_short(have, HEADER)),
                n => have += n,
            }
            // As early as possible: a stranger may send less than a header, and wait for an answer.
            let seen = &header[..have.min(MAGIC.len())];
            if *seen != MAGIC[..seen.len()] {
                let what = format!("it began with \"{}\"", header[..have].escape_ascii());
                return Err(Refused::Stranger(what));
            }
        }
        let number = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let (version, length) = (number(MAGIC.len()), usize::from(number(MAGIC.len() + 2)));
        if length > MESSAGE_MAX {
            return Err(Refused::Stranger(format!("a message of {length} bytes, more than {MESSAGE_MAX}")));
        }
        let mut message = vec![0; length];
        let read = self.fill(&mut message);
        if version != VERSION {
            // The message was read all the same: to close on unread bytes would take the answer back.
            let line = format!("protocol version: {VERSION} here, {version} there");
            return Err(Refused::Differs(vec![line]));
        }
        read?;
        if length < shortest {
            return Err(Refused::Stranger(format!("a message of {length} bytes, less than {shortest}")));
        }
        Ok(Some(message))
    }

    fn fill(&mut self, message: &mut [u8]) -> Result<(), Refused> {
        let mut have = 0;
        while have < message.len() {
            match self.read(&mut message[have..])? {
                0 => return Err(cut_short(have, message.len())),
                n => have += n,
            }
        }
        Ok(())
    }

    /// Reads some bytes, 0 if the other side hung up. A reset is no less an end than an end.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Refused> {
        loop {
            self.socket.set_read_timeout(self.left()?).map_err(Refused::Io)?;
            match self.socket.read(buf) {
                Ok(n) => return Ok(n),
                Err(e) if is_end(&e) => return Ok(0),
                Err(e) => passed_over(e)?,
            }
        }
    }
}

fn cut_short(have: usize, length: usize) -> Refused {
    Refused::Stranger(format!("it hung up after {have} of {length} bytes"))
}

fn is_end(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}

/// True if the other side closed the connection.
pub(super) fn hung_up(refused: &Refused) -> bool {
    matches!(refused, Refused::Io(e) if is_end(e))
}

/// Nothing for an interruption, after which to try again; otherwise what the error means.
fn passed_over(e: io::Error) -> Result<(), Refused> {
    match e.kind() {
        ErrorKind::Interrupted => Ok(()),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(Refused::Late),
        _ => Err(Refused::Io(e)),
    }
}
