//! Bits in words: which rows have values, and columns of truths.

/// Bits of a word.
pub(super) const WORD: usize = 64;

/// The lowest `n` bits, at most [`WORD`].
pub(super) fn low(n: usize) -> u64 {
    if n >= WORD { u64::MAX } else { (1 << n) - 1 }
}

/// 64 bits of `bytes` from bit `at`; what is beyond the end is 0.
pub(super) fn word_at(bytes: &[u8], at: usize) -> u64 {
    let (byte, shift) = (at / 8, at % 8);
    let rest = bytes.get(byte..).unwrap_or_default();
    let (word, next) = match rest.first_chunk::<9>() {
        Some([a, b, c, d, e, f, g, h, next]) => (u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), *next),
        None => {
            let mut padded = [0; 8];
            padded[..rest.len().min(8)].copy_from_slice(&rest[..rest.len().min(8)]);
            (u64::from_le_bytes(padded), 0)
        }
    };
    match shift {
        0 => word,
        _ => word >> shift | u64::from(next) << (WORD - shift),
    }
}

/// Bits that grow.
#[derive(Debug, Default)]
pub(super) struct Bits {
    /// Words that are full.
    words: Vec<u64>,
    /// The bits after them.
    tail: u64,
    len: usize,
}

impl Bits {
    pub(super) fn with_capacity(bits: usize) -> Bits {
        Bits { words: Vec::with_capacity(bits.div_ceil(WORD)), tail: 0, len: 0 }
    }
    pub(super) fn len(&self) -> usize {
        self.len
    }
    pub(super) fn clear(&mut self) {
        self.words.clear();
        (self.tail, self.len) = (0, 0);
    }
    /// Adds the lowest `n` bits of `word`, at most [`WORD`]; the others are 0.
    pub(super) fn push(&mut self, word: u64, n: usize) {
        self.grow(|end| end.push(word, n));
    }
    /// Adds what is added to their end, which is in registers meanwhile.
    #[inline(always)]
    pub(super) fn grow<R>(&mut self, add: impl FnOnce(&mut End<'_>) -> R) -> R {
        let mut end = End { words: &mut self.words, tail: self.tail, len: self.len };
        let result = add(&mut end);
        (self.tail, self.len) = (end.tail, end.len);
        result
    }
    /// 64 bits from bit `at`; what is beyond the end is 0.
    pub(super) fn word(&self, at: usize) -> u64 {
        let (word, shift) = (at / WORD, at % WORD);
        let get = |i: usize| match self.words.get(i) {
            Some(word) => *word,
            None if i == self.words.len() => self.tail,
            None => 0,
        };
        match shift {
            0 => get(word),
            _ => get(word) >> shift | get(word + 1) << (WORD - shift),
        }
    }
    /// Words of the bits from bit `at` on, each with how many bits it has.
    pub(super) fn words_from(&self, at: usize) -> impl Iterator<Item = (u64, usize)> + '_ {
        (at..self.len).step_by(WORD).map(|at| (self.word(at), (self.len - at).min(WORD)))
    }
    /// How many bits are set from bit `at` on.
    pub(super) fn ones_from(&self, at: usize) -> usize {
        self.words_from(at).map(|(word, _)| word.count_ones() as usize).sum()
    }
    /// The words, the lowest byte first.
    pub(super) fn into_words(mut self) -> Vec<u64> {
        if !self.len.is_multiple_of(WORD) {
            self.words.push(self.tail);
        }
        self.words.iter_mut().for_each(|word| *word = word.to_le());
        self.words
    }
}

/// Where bits are added.
pub(super) struct End<'a> {
    words: &'a mut Vec<u64>,
    tail: u64,
    len: usize,
}

impl End<'_> {
    /// Adds the lowest `n` bits of `word`, at most [`WORD`]; the others are 0.
    #[inline(always)]
    pub(super) fn push(&mut self, word: u64, n: usize) {
        let shift = self.len % WORD;
        self.tail |= word << shift;
        if shift + n >= WORD {
            self.words.push(self.tail);
            self.tail = if shift == 0 { 0 } else { word >> (WORD - shift) };
        }
        self.len += n;
    }
    /// Adds `n` bits that are all the same.
    #[inline(always)]
    pub(super) fn push_same(&mut self, bit: bool, mut n: usize) {
        while n > 0 {
            let part = n.min(WORD);
            self.push(if bit { low(part) } else { 0 }, part);
            n -= part;
        }
    }
    /// Adds `n` bits of `bytes`, from bit `at`.
    #[inline(always)]
    pub(super) fn push_of(&mut self, bytes: &[u8], mut at: usize, mut n: usize) {
        while n > 0 {
            let part = n.min(WORD);
            self.push(word_at(bytes, at) & low(part), part);
            (at, n) = (at + part, n - part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slackwater_dataflow::hash::hash_u64;

    #[test]
    fn bits_are_those_that_were_added() {
        let bytes: Vec<u8> = (0..64).map(|i| hash_u64(i) as u8).collect();
        let bit = |i: usize| bytes.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1);
        let (mut bits, mut want) = (Bits::default(), vec![]);
        for i in 0..200 {
            let (at, n) = ((hash_u64(i) % 300) as usize, (hash_u64(i + 1000) % 150) as usize);
            match i % 3 {
                0 => {
                    bits.grow(|end| end.push_of(&bytes, at, n));
                    want.extend((at..at + n).map(bit));
                }
                1 => {
                    bits.grow(|end| end.push_same(at % 2 == 0, n));
                    want.extend(vec![at % 2 == 0; n]);
                }
                _ => {
                    bits.push(word_at(&bytes, at) & low(n % 65), n % 65);
                    want.extend((at..at + n % 65).map(bit));
                }
            }
            assert_eq!(bits.len(), want.len());
        }
        for from in [0, 1, 63, 64, 77, want.len() - 1, want.len()] {
            let got: Vec<bool> =
                bits.words_from(from).flat_map(|(w, n)| (0..n).map(move |i| w >> i & 1 == 1)).collect();
            assert_eq!(got, want[from..]);
            assert_eq!(bits.ones_from(from), want[from..].iter().filter(|b| **b).count());
        }
        for at in 500..530 {
            let want = (0..64).fold(0, |word, i| word | u64::from(bit(at + i)) << i);
            assert_eq!(word_at(&bytes, at), want, "{at}");
        }
    }
}
