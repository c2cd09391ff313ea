//! Small numbers in runs: the same number many times, or several packed in bits.
//!
//! Which rows have values is written so, and so are numbers of a dictionary.
//!
//! # Cost
//!
//! About half a nanosecond a number: 32 are taken out of their bits at once, by code for each width.
//!
//! # References
//!
//! Apache Parquet format 2.12, Encodings: "Run Length Encoding / Bit-Packing Hybrid".

use super::bits::Bits;
use super::fault::{Done, damaged};

/// Numbers that are taken out of their bits at once.
const BLOCK: usize = 32;
/// Bytes that so many numbers have at most, and the rest of the word that the last begins in.
const BLOCK_BYTES: usize = BLOCK * 4 + 8;
/// Most bits of a number.
const WIDTH_MAX: u32 = 32;

/// Where a reader of runs is in its bytes. They are given anew with each call, and must be the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hybrid {
    width: u32,
    /// What is read next.
    at: usize,
    run: Run,
}

#[derive(Debug, Clone, Copy)]
enum Run {
    Same {
        number: u32,
        left: usize,
    },
    /// From byte `at`; number `next` is the next.
    Packed {
        at: usize,
        next: usize,
        left: usize,
    },
}

impl Hybrid {
    /// Numbers of `width` bits, from byte `at`.
    pub(super) fn new(width: u32, at: usize) -> Done<Hybrid> {
        if width > WIDTH_MAX {
            return damaged(format!("numbers of {width} bits"));
        }
        // Numbers without bits are all 0, and some writers have no runs of them.
        let left = if width == 0 { usize::MAX } else { 0 };
        Ok(Hybrid { width, at, run: Run::Same { number: 0, left } })
    }
    /// Bits from byte `at` to the end, packed without runs.
    pub(super) fn packed_bits(at: usize, bytes: usize) -> Hybrid {
        Hybrid { width: 1, at: at + bytes, run: Run::Packed { at, next: 0, left: 8 * bytes } }
    }
    /// Goes to the next run if this one is at its end.
    #[inline(always)]
    fn advance(&mut self, bytes: &[u8]) -> Done<()> {
        while let Run::Same { left: 0, .. } | Run::Packed { left: 0, .. } = self.run {
            // Most runs are short.
            let head = match bytes.get(self.at) {
                Some(head) if *head < 0x80 => {
                    self.at += 1;
                    u64::from(*head)
                }
                _ => {
                    let (head, at) = varint(bytes, self.at)?;
                    self.at = at;
                    head
                }
            };
            let rest = bytes.len() - self.at;
            if head & 1 == 0 {
                let size = self.width.div_ceil(8) as usize;
                if size > rest {
                    return damaged("a run of numbers is cut");
                }
                let byte = |(i, byte): (usize, &u8)| u32::from(*byte) << (8 * i);
                let number =
                    bytes[self.at..self.at + size].iter().enumerate().map(byte).fold(0, |a, b| a | b);
                self.at += size;
                self.run = Run::Same { number, left: (head >> 1) as usize };
            } else {
                // Some writers end the last run where their numbers end.
                let size = (u64::from(self.width) * (head >> 1)).min(rest as u64) as usize;
                let said = head >> 1 << 3;
                let left = match size as u64 == u64::from(self.width) * (head >> 1) {
                    true => said,
                    false => said.min(size as u64 * 8 / u64::from(self.width)),
                };
                self.run = Run::Packed { at: self.at, next: 0, left: left as usize };
                self.at += size;
            }
        }
        Ok(())
    }
    /// The next numbers, as many as there is room for.
    pub(super) fn fill(&mut self, bytes: &[u8], mut out: &mut [u32]) -> Done<()> {
        let mut here = *self;
        while !out.is_empty() {
            here.advance(bytes)?;
            let filled = match &mut here.run {
                Run::Same { number, left } => {
                    let n = out.len().min(*left);
                    out[..n].fill(*number);
                    *left -= n;
                    n
                }
                Run::Packed { at, next, left } => {
                    let n = out.len().min(*left);
                    unpack(here.width as usize, &bytes[*at..], *next, &mut out[..n]);
                    (*next, *left) = (*next + n, *left - n);
                    n
                }
            };
            out = &mut out[filled..];
        }
        *self = here;
        Ok(())
    }
    /// The next `n` numbers as bits, of a reader of numbers of one bit.
    pub(super) fn fill_bits(&mut self, bytes: &[u8], mut n: usize, out: &mut Bits) -> Done<()> {
        // A run is short, and to wait for memory between two would take most of the time.
        let mut here = *self;
        out.grow(
            #[inline(always)]
            |end| {
                while n > 0 {
                    here.advance(bytes)?;
                    let filled = match &mut here.run {
                        Run::Same { number, left } => {
                            let n = n.min(*left);
                            end.push_same(*number != 0, n);
                            *left -= n;
                            n
                        }
                        Run::Packed { at, next, left } => {
                            let n = n.min(*left);
                            end.push_of(bytes, 8 * *at + *next, n);
                            (*next, *left) = (*next + n, *left - n);
                            n
                        }
                    };
                    n -= filled;
                }
                Ok(())
            },
        )?;
        *self = here;
        Ok(())
    }
}

/// The head of a run, of 32 bits, and where it ends.
#[cold]
fn varint(bytes: &[u8], mut at: usize) -> Done<(u64, usize)> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let Some(byte) = bytes.get(at) else {
            return damaged("there are fewer numbers than values");
        };
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value, at));
        }
    }
    damaged("a run of more numbers than there can be")
}

/// Numbers of `width` bits each out of `bytes`, from number `next`. What is beyond the end is 0.
fn unpack(width: usize, bytes: &[u8], mut next: usize, mut out: &mut [u32]) {
    let mut block = [0; BLOCK];
    // Eight numbers end with a byte.
    while !out.is_empty() {
        let before = next % 8;
        let from = bytes.get((next - before) / 8 * width..).unwrap_or_default();
        let mut padded;
        let source = match from.first_chunk::<BLOCK_BYTES>() {
            Some(source) => source,
            None => {
                padded = [0; BLOCK_BYTES];
                padded[..from.len()].copy_from_slice(from);
                &padded
            }
        };
        let n = out.len().min(BLOCK - before);
        match out.first_chunk_mut::<BLOCK>() {
            Some(whole) if before == 0 => UNPACK[width](source, whole),
            _ => {
                UNPACK[width](source, &mut block);
                out[..n].copy_from_slice(&block[before..before + n]);
            }
        }
        next += n;
        out = &mut out[n..];
    }
}

/// A block of numbers of `WIDTH` bits.
fn unpack_block<const WIDTH: usize>(bytes: &[u8; BLOCK_BYTES], out: &mut [u32; BLOCK]) {
    let mask = (1u64 << WIDTH) - 1;
    for (i, number) in out.iter_mut().enumerate() {
        let bit = i * WIDTH;
        let word = bytes[bit / 8..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        *number = (word >> (bit % 8) & mask) as u32;
    }
}

macro_rules! by_width {
    ($($width:literal)*) => { [$(unpack_block::<$width>),*] };
}

/// For each width.
const UNPACK: [fn(&[u8; BLOCK_BYTES], &mut [u32; BLOCK]); WIDTH_MAX as usize + 1] =
    by_width!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32);

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::hash::hash_u64;

    /// Runs as a writer makes them, and the numbers in them.
    fn runs(width: u32, seed: u64) -> (Vec<u8>, Vec<u32>) {
        let (mut bytes, mut numbers) = (vec![], vec![]);
        let number = |i: u64| (hash_u64(i ^ seed) & ((1 << width) - 1)) as u32;
        for run in 0..30u64 {
            let n = hash_u64(run + seed) % 40 + 1;
            if run % 2 == 0 {
                bytes.push((n << 1) as u8);
                bytes.extend(&number(run).to_le_bytes()[..width.div_ceil(8) as usize]);
                numbers.extend(vec![number(run); n as usize]);
            } else {
                let groups = n.div_ceil(8);
                bytes.push((groups << 1 | 1) as u8);
                let mut bits = vec![0u8; groups as usize * width as usize];
                for i in 0..groups * 8 {
                    let value = number(run * 1000 + i);
                    numbers.push(value);
                    for bit in 0..u64::from(width) {
                        let place = (i * u64::from(width) + bit) as usize;
                        bits[place / 8] |= ((value >> bit & 1) as u8) << (place % 8);
                    }
                }
                bytes.extend(bits);
            }
        }
        (bytes, numbers)
    }

    #[test]
    fn numbers_are_those_that_were_written() {
        for width in 1..=32 {
            let (bytes, want) = runs(width, u64::from(width));
            for step in [1, 3, 8, 31, 32, 100, want.len()] {
                let (mut hybrid, mut got) = (Hybrid::new(width, 0).unwrap(), vec![]);
                while got.len() < want.len() {
                    let mut part = vec![0; step.min(want.len() - got.len())];
                    hybrid.fill(&bytes, &mut part).unwrap();
                    got.extend(part);
                }
                assert_eq!(got, want, "{width} bits, {step} at once");
                assert!(hybrid.fill(&bytes, &mut [0]).is_err());
            }
        }
    }

    #[test]
    fn bits_are_numbers_of_one_bit() {
        let (bytes, want) = runs(1, 5);
        for step in [1, 7, 64, 65, want.len()] {
            let (mut hybrid, mut bits, mut left) = (Hybrid::new(1, 0).unwrap(), Bits::default(), want.len());
            while left > 0 {
                hybrid.fill_bits(&bytes, step.min(left), &mut bits).unwrap();
                left -= step.min(left);
            }
            let got: Vec<u32> =
                bits.words_from(0).flat_map(|(w, n)| (0..n).map(move |i| (w >> i & 1) as u32)).collect();
            assert_eq!(got, want);
            assert!(hybrid.fill_bits(&bytes, 1, &mut bits).is_err());
        }
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        assert!(Hybrid::new(33, 0).is_err());
        for bytes in [&b""[..], b"\x04", b"\x04\x01", b"\xff\xff\xff\xff\xff\x01", b"\x03"] {
            assert!(Hybrid::new(9, 0).unwrap().fill(bytes, &mut [0; 3]).is_err(), "{bytes:?}");
        }
        let mut zeros = [1; 9];
        Hybrid::new(0, 0).unwrap().fill(b"", &mut zeros).unwrap();
        assert_eq!(zeros, [0; 9]);
        // The last run says eight, and has five.
        let mut five = [0; 5];
        let mut cut = Hybrid::new(3, 0).unwrap();
        cut.fill(b"\x03\xff\xff", &mut five).unwrap();
        assert_eq!(five, [7; 5]);
        assert!(cut.fill(b"\x03\xff\xff", &mut five).is_err());
    }
}
