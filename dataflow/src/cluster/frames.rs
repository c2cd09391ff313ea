//! Follows timely's framing.

use std::io;

#[derive(Debug, Clone, Default)]
pub(crate) struct Limits;

const HEAD: usize = 48;

#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    have: usize,
    head: Vec<u8>,
    payload: u64,
    ended: bool,
}

impl Frames {
    pub fn new(_: Limits) -> Self {
        Frames::default()
    }
    pub fn has_ended(&self) -> bool {
        self.ended
    }
    /// How many bytes are safe to hand out, and what was refused.
    pub fn advance(&mut self, mut bytes: &[u8]) -> (usize, Option<io::Error>) {
        let all = bytes.len();
        while !bytes.is_empty() && !self.ended {
            if self.payload > 0 {
                let n = self.payload.min(bytes.len() as u64);
                self.payload -= n;
                bytes = &bytes[n as usize..];
                continue;
            }
            let n = (HEAD - self.have).min(bytes.len());
            self.head.extend_from_slice(&bytes[..n]);
            self.have += n;
            bytes = &bytes[n..];
            if self.have == HEAD {
                self.payload = u64::from_be_bytes(self.head[32..40].try_into().expect("eight bytes"));
                self.ended = self.payload == 0;
                self.have = 0;
                self.head.clear();
            }
        }
        (all, None)
    }
    pub fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let mut n = 0;
        while n < buffer.len() && !self.ended {
            let left = if self.payload > 0 { self.payload as usize } else { HEAD - self.have };
            let k = left.min(buffer.len() - n);
            buffer[n..n + k].fill(0);
            let zeros = vec![0; k];
            self.advance(&zeros);
            n += k;
        }
        n
    }
}
