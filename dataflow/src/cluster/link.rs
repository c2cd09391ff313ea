//! A connection between two members that know each other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// A stranger has this long to say who it is.
const GREETING: Duration = Duration::from_secs(2);
/// Begins every connection.
const MAGIC: [u8; 8] = *b"slackw02";

/// A socket after its greeting.
pub(crate) struct Link(TcpStream);

/// Connects as `slot` of a generation; generation 0 is the supervisor's.
pub(crate) fn connect(address: &str, token: u64, generation: u64, slot: u32) -> io::Result<Link> {
    let mut socket = TcpStream::connect(address)?;
    let mut hello = MAGIC.to_vec();
    for word in [token, generation, u64::from(slot)] {
        hello.extend_from_slice(&word.to_le_bytes());
    }
    socket.set_nodelay(true)?;
    socket.write_all(&hello)?;
    Ok(Link(socket))
}

/// The generation and slot of who has connected, or an error if it is a stranger.
pub(crate) fn accept(mut socket: TcpStream, token: u64) -> io::Result<(u64, u32, Link)> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(GREETING))?;
    let mut hello = [0u8; 32];
    socket.read_exact(&mut hello)?;
    let word = |i: usize| u64::from_le_bytes(hello[i..i + 8].try_into().expect("eight bytes"));
    if hello[..8] != MAGIC || word(8) != token {
        return Err(ErrorKind::PermissionDenied.into());
    }
    socket.set_read_timeout(None)?;
    socket.set_nodelay(true)?;
    Ok((word(16), word(24) as u32, Link(socket)))
}

impl Link {
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Link(self.0.try_clone()?))
    }
    pub fn raw(&self) -> io::Result<TcpStream> {
        self.0.try_clone()
    }
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.set_nonblocking(nonblocking)
    }
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
