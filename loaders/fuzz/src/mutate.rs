//! Changes to inputs: bits, bytes, numbers, words, pieces that are cut, doubled, moved or taken from another input.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Random numbers of a seed.
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Random {
        Random(Xoshiro256PlusPlus::seed_from_u64(seed))
    }
    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0.next_u64()
    }
    /// A number below `n`, or 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.any()) * n as u128) >> 64) as usize
    }
    /// One of some.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Bytes that no input is longer than, but for those that are repeated.
pub const INPUT_BYTES_MAX: usize = 16 << 10;

/// Words that trouble parsers of text.
const WORDS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"1",
    b"255",
    b"65536",
    b"2147483647",
    b"2147483648",
    b"-2147483648",
    b"4294967295",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"18446744073709551616",
    b"1e308",
    b"1e309",
    b"-1e-400",
    b"nan",
    b"inf",
    b"-infinity",
    b"0x10",
    b".",
    b"-",
    b"+",
    b"1.",
    b".5",
    b"00000000000000000000001",
    b"1e",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"\0",
    b"\x0b",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\"",
    b"'",
    b",",
    b";",
    b":",
    b"::",
    b"|",
    b"#",
    b"%",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b"\\",
    b"/",
    b"\xc2\xa0",
];

/// Numbers that trouble readers of binary data.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    16,
    63,
    64,
    127,
    128,
    255,
    256,
    1 << 10,
    0x7fff,
    0x8000,
    0xffff,
    1 << 16,
    1 << 20,
    1 << 24,
    0x7fff_fff8,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    1 << 60,
    0x7fff_ffff_ffff_fff8,
    0x7fff_ffff_ffff_ffff,
    1 << 63,
    0xffff_ffff_ffff_fff8,
    u64::MAX - 1,
    u64::MAX,
];

/// Changes `input` in one to several ways; `other` is what pieces are taken from.
pub fn mutate(input: &mut Vec<u8>, other: &[u8], words: &[&[u8]], random: &mut Random) {
    let changes = 1 + (random.any().trailing_zeros() as usize).min(6);
    for _ in 0..changes {
        change(input, other, words, random);
    }
    input.truncate(INPUT_BYTES_MAX);
}

fn range(length: usize, most: usize, random: &mut Random) -> (usize, usize) {
    let at = random.below(length + 1);
    (at, at + random.below((length - at).min(most) + 1))
}

fn change(input: &mut Vec<u8>, other: &[u8], words: &[&[u8]], random: &mut Random) {
    let length = input.len();
    let at = random.below(length.max(1)).min(length);
    match random.below(13) {
        0 if length > 0 => input[at] ^= 1 << random.below(8),
        1 if length > 0 => input[at] = random.any() as u8,
        2 if length > 0 => input[at] = input[at].wrapping_add(*random.pick(&[1, 255, 16, 240])),
        // A number over what is there, in one of four sizes and either order of bytes.
        3 if length > 0 => {
            let number = match random.one_in(3) {
                true => random.any() % (2 * length as u64 + 16),
                false => *random.pick(NUMBERS),
            };
            let size = (1 << random.below(4)).min(length - at);
            let bytes = number.to_le_bytes();
            input[at..at + size].copy_from_slice(&bytes[..size]);
            if random.one_in(2) {
                input[at..at + size].reverse();
            }
        }
        4 | 5 => {
            let pool = if random.one_in(3) || words.is_empty() { WORDS } else { words };
            let word = *random.pick(pool);
            let to = match random.one_in(2) {
                true => at,
                false => (at + word.len()).min(length),
            };
            input.splice(at..to, word.iter().copied());
        }
        // A word or a number of the text itself, replaced.
        6 if length > 0 => {
            let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_');
            let from = input[..at].iter().rposition(|b| !is_word(b)).map_or(0, |p| p + 1);
            let to = at + input[at..].iter().position(|b| !is_word(b)).unwrap_or(length - at);
            let pool = if random.one_in(2) || words.is_empty() { WORDS } else { words };
            let word = *random.pick(pool);
            input.splice(from.min(to)..to, word.iter().copied());
        }
        7 => {
            let (from, to) = range(length, 64, random);
            input.drain(from..to);
        }
        8 if random.one_in(3) => input.truncate(at),
        9 => {
            let (from, to) = range(length, 256, random);
            let piece = input[from..to].to_vec();
            input.splice(at..at, piece);
        }
        10 => {
            let (from, to) = range(other.len(), 512, random);
            let over = random.below(2) * (to - from);
            let end = (at + over).min(length);
            input.splice(at..end, other[from..to].iter().copied());
        }
        // The same byte or piece many times: nesting, long numbers, many columns.
        11 if length > 0 => {
            let (from, to) = range(length, 8, random);
            let times = 1 << random.below(10);
            let piece = input[from..to].repeat(times);
            input.splice(at..at, piece);
        }
        // Two lines change places, or pieces do.
        12 if length > 1 => {
            let (from, to) = range(length, 128, random);
            let piece: Vec<u8> = input.drain(from..to).collect();
            let at = random.below(input.len() + 1);
            input.splice(at..at, piece);
        }
        _ => {}
    }
}
