//! How two processes prove to each other that they belong together, before anything else is said.
//!
//! `Noise_NNpsk0_25519_AESGCM_SHA256` over a blocking socket, three messages. The initiator's introduction is the
//! payload of the first, the responder's answer that of the second; both are encrypted with the shared secret and bound
//! into the transcript. The third is the initiator's first transport message: it proves that it knows the secret *now*,
//! which a recording of the first message does not.
//!
//! *Guarantees.* A [`Channel`] comes only of a peer that holds the secret, that agreed on all [`Terms`], and whose
//! introduction is what it sent. Recordings of earlier handshakes never give one, and earlier traffic stays unreadable
//! when the secret leaks later. Nothing of a stranger's makes it panic, wait beyond the *total* deadline, or allocate
//! more than 16 KiB. Every refusal closes the connection.
//!
//! *Does not guarantee* that a peer is who its introduction says: all that hold the secret are equal. `decide` must
//! look at `to` (someone may have relayed an introduction that was meant for another), and it must change nothing:
//! it also runs for recordings. Whoever comes back from [`accept`] is there.
//!
//! *Costs.* Three messages, of 50 bytes to 16 KiB; on either side one key pair and one key agreement. Together 0.5 ms on
//! the loopback address, connecting included.
//!
//! *Fails* with [`Refused`].
//! *From* the Noise protocol framework, revision 34, sections 7.4 (pattern NN), 9 (pre-shared keys) and 6 (prologue).

mod line;

use super::channel::Channel;
use super::secret::Secret;
use super::terms::Terms;
use super::wire::{Decoder, printable, put_bytes};
use line::{Line, MESSAGE_MAX, hung_up};
use snow::{Builder, HandshakeState};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::time::Duration;

/// Default for the total time of a handshake.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
/// The pattern and its primitives.
const NOISE: &str = "Noise_NNpsk0_25519_AESGCM_SHA256";
/// Mixed into the transcript: the same messages of another protocol would not be understood.
const PROLOGUE: &[u8] = b"slackwater handshake 1";
/// Bytes of an authentication tag.
const TAG: usize = 16;
/// The first two messages are an ephemeral key and an encrypted payload.
const SHAKE_MIN: usize = 32 + TAG;
/// The third message.
const CONFIRMATION: &[u8] = b"I hold the secret now";
/// A longer reason is cut, in bytes.
const REASON_MAX: usize = 1024;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Membership and heartbeats.
    Control,
    /// Data between the workers of two members.
    Mesh,
    /// A worker that offers itself.
    Worker,
    /// Somebody who asks how the run is.
    Status,
    /// Somebody who wants it to have another number of processes.
    Scale,
}

/// What the initiator says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// What the connection is for.
    pub(crate) purpose: Purpose,
    /// Number of the initiator's process.
    pub(crate) from: u32,
    /// Number of the process that it means to reach.
    pub(crate) to: u32,
    /// Whether the channel is encrypted after the handshake. Plain bytes are for the loopback address only.
    pub(crate) encrypt: bool,
    /// What both must agree on.
    pub(crate) terms: Terms,
    /// Anything else; all together must stay below 16 KiB.
    pub(crate) note: Vec<u8>,
}

/// Why a handshake gave no channel.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The terms differ: a line for each, with the value here and the value there.
    Differs(Vec<String>),
    /// The secrets differ, as far as one can tell.
    Secret,
    /// The responder did not want this connection.
    Declined(String),
    /// The other side does not speak this protocol.
    Stranger(String),
    /// The deadline has passed.
    Late,
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Differs(lines) => {
                write!(f, "the two processes do not fit together; start both alike: {}", lines.join("; "))
            }
            Refused::Secret => f.write_str(
                "the shared secret may differ: it cannot be read with ours, or the other side hung up on it; \
                 check that both processes were given the same secret",
            ),
            Refused::Declined(reason) => write!(f, "the connection was declined: {reason}"),
            Refused::Stranger(what) => write!(
                f,
                "the other side is no process of this cluster: {what}; check the address and the port"
            ),
            Refused::Late => f.write_str(
                "the other side took too long over the handshake; check that it runs and that it can be reached",
            ),
            Refused::Io(e) => write!(f, "the connection failed during the handshake: {e}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Connects as the side that speaks first. `deadline` bounds the whole handshake.
///
/// Fails with any [`Refused`]: the responder closes without an answer if it cannot read ours, which is
/// [`Refused::Secret`] here. An introduction above 16 KiB is [`Refused::Io`].
pub(crate) fn initiate(
    socket: TcpStream,
    secret: &Secret,
    introduction: &Introduction,
    deadline: Duration,
) -> Result<Channel, Refused> {
    let mut line = Line::new(socket, deadline)?;
    let mut noise = builder(secret)?.build_initiator().map_err(broken)?;
    let hello = seal(&mut noise, &introduction.encode().map_err(too_large)?)?;
    // A peer that hangs up now, instead of answering, could not read it.
    line.send(&hello).map_err(|e| if hung_up(&e) { Refused::Secret } else { e })?;
    let answer = line.receive(SHAKE_MIN)?.ok_or(Refused::Secret)?;
    let answer = open(&mut noise, &answer)?;
    match Answer::decode(&answer).map_err(|e| Refused::Stranger(format!("its answer has no meaning: {e}")))? {
        Answer::Accepted => {}
        Answer::Differs(theirs) => return Err(Refused::Differs(introduction.terms.differences(&theirs))),
        Answer::Declined(reason) => return Err(Refused::Declined(reason)),
    }
    let state = noise.into_stateless_transport_mode().map_err(broken)?;
    let mut confirmation = [0; CONFIRMATION.len() + TAG];
    let length = state.write_message(0, CONFIRMATION, &mut confirmation).map_err(broken)?;
    line.send(&confirmation[..length])?;
    let socket = line.finish()?;
    Ok(if introduction.encrypt { Channel::encrypted(socket, state, 1, 0) } else { Channel::plain(socket) })
}

/// Answers a connection. `deadline` bounds the whole handshake. `decide` sees the introduction and says this side's
/// terms, or why it does not want the connection; it must change nothing, because a recording may have sent it.
///
/// Fails with any [`Refused`]. The initiator is told of [`Refused::Differs`] and [`Refused::Declined`], and of nothing
/// else.
pub(crate) fn accept(
    socket: TcpStream,
    secret: &Secret,
    deadline: Duration,
    decide: impl FnOnce(&Introduction) -> Result<Terms, String>,
) -> Result<(Introduction, Channel), Refused> {
    let mut line = Line::new(socket, deadline)?;
    let mut noise = builder(secret)?.build_responder().map_err(broken)?;
    let hello = match line.receive(SHAKE_MIN) {
        Ok(Some(hello)) => hello,
        Ok(None) => return Err(Refused::Stranger("it hung up without a word".to_string())),
        Err(Refused::Differs(lines)) => {
            // Only the header, which all versions understand. Whether it arrives is of no matter here.
            let _ = line.send(&[]);
            return Err(Refused::Differs(lines));
        }
        Err(e) => return Err(e),
    };
    let hello = open(&mut noise, &hello)?;
    let introduction = Introduction::decode(&hello)
        .map_err(|e| Refused::Stranger(format!("its introduction has no meaning: {e}")))?;
    let (answer, refused) = match decide(&introduction) {
        Err(reason) => (Answer::Declined(reason.clone()), Some(Refused::Declined(reason))),
        Ok(ours) => match ours.differences(&introduction.terms) {
            lines if lines.is_empty() => (Answer::Accepted, None),
            lines => (Answer::Differs(ours), Some(Refused::Differs(lines))),
        },
    };
    let answer = seal(&mut noise, &answer.encode().map_err(too_large)?)?;
    line.send(&answer).map_err(|e| if hung_up(&e) { gone() } else { e })?;
    if let Some(refused) = refused {
        return Err(refused);
    }
    let state = noise.into_stateless_transport_mode().map_err(broken)?;
    let sealed = line.receive(TAG)?.ok_or_else(gone)?;
    let mut confirmation = vec![0; sealed.len()];
    let length = state.read_message(0, &sealed, &mut confirmation).map_err(|_| Refused::Secret)?;
    if confirmation[..length] != *CONFIRMATION {
        return Err(Refused::Stranger("its confirmation has no meaning".to_string()));
    }
    let socket = line.finish()?;
    let channel =
        if introduction.encrypt { Channel::encrypted(socket, state, 0, 1) } else { Channel::plain(socket) };
    Ok((introduction, channel))
}

/// The initiator went away after our answer.
fn gone() -> Refused {
    Refused::Stranger("it hung up without confirming that it holds the secret".to_string())
}

fn builder(secret: &Secret) -> Result<Builder<'_>, Refused> {
    let pattern = NOISE.parse().map_err(broken)?;
    Builder::new(pattern).psk(0, secret.bytes()).and_then(|b| b.prologue(PROLOGUE)).map_err(broken)
}

/// The cryptography itself failed, for example for want of randomness.
fn broken(e: snow::Error) -> Refused {
    Refused::Io(io::Error::other(format!("cryptography: {e}")))
}

fn too_large(what: String) -> Refused {
    Refused::Io(io::Error::new(ErrorKind::InvalidInput, what))
}

/// The next message of the handshake with this payload.
fn seal(noise: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut message = vec![0; SHAKE_MIN + payload.len()];
    let length = noise.write_message(payload, &mut message).map_err(broken)?;
    message.truncate(length);
    Ok(message)
}

/// The payload of the handshake's next message.
fn open(noise: &mut HandshakeState, message: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut payload = vec![0; message.len()];
    let length = noise.read_message(message, &mut payload).map_err(|_| Refused::Secret)?;
    payload.truncate(length);
    Ok(payload)
}

/// Fails if a payload would make a message longer than the other side takes.
fn bounded(payload: Vec<u8>) -> Result<Vec<u8>, String> {
    let limit = MESSAGE_MAX - SHAKE_MIN;
    if payload.len() <= limit {
        return Ok(payload);
    }
    Err(format!("the introduction or the terms have {} bytes, more than {limit}", payload.len()))
}

impl Introduction {
    fn encode(&self) -> Result<Vec<u8>, String> {
        let purpose = match self.purpose {
            Purpose::Control => 0,
            Purpose::Mesh => 1,
            Purpose::Worker => 2,
            Purpose::Status => 3,
            Purpose::Scale => 4,
        };
        let mut out = vec![purpose, u8::from(self.encrypt)];
        out.extend_from_slice(&self.from.to_be_bytes());
        out.extend_from_slice(&self.to.to_be_bytes());
        self.terms.encode(&mut out)?;
        put_bytes(&mut out, &self.note);
        bounded(out)
    }

    fn decode(bytes: &[u8]) -> Result<Introduction, String> {
        let mut from = Decoder(bytes);
        let purpose = match from.byte("purpose")? {
            0 => Purpose::Control,
            1 => Purpose::Mesh,
            2 => Purpose::Worker,
            3 => Purpose::Status,
            4 => Purpose::Scale,
            other => return Err(format!("purpose: {other} is none")),
        };
        let encrypt = match from.byte("encrypt")? {
            0 => false,
            1 => true,
            other => return Err(format!("encrypt: {other} is neither yes nor no")),
        };
        let introduction = Introduction {
            purpose,
            encrypt,
            from: from.word("from")?,
            to: from.word("to")?,
            terms: Terms::decode(&mut from)?,
            note: from.bytes("note")?.to_vec(),
        };
        from.end("introduction")?;
        Ok(introduction)
    }
}

/// What the responder says to an introduction.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    /// Not with these terms, which are the responder's.
    Differs(Terms),
    Declined(String),
}

impl Answer {
    fn encode(&self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        match self {
            Answer::Accepted => out.push(0),
            Answer::Differs(terms) => {
                out.push(1);
                terms.encode(&mut out)?;
            }
            Answer::Declined(reason) => {
                out.push(2);
                put_bytes(&mut out, &reason.as_bytes()[..reason.floor_char_boundary(REASON_MAX)]);
            }
        }
        bounded(out)
    }

    fn decode(bytes: &[u8]) -> Result<Answer, String> {
        let mut from = Decoder(bytes);
        let answer = match from.byte("answer")? {
            0 => Answer::Accepted,
            1 => Answer::Differs(Terms::decode(&mut from)?),
            2 => Answer::Declined(printable(from.text(REASON_MAX, "reason")?)),
            other => return Err(format!("answer: {other} is none")),
        };
        from.end("answer")?;
        Ok(answer)
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
