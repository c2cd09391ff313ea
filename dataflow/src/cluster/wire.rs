//! The encoding of what processes tell each other when they meet.
//!
//! Big-endian numbers, and byte strings behind their length in two bytes. Decoding never trusts a length: it takes
//! slices of what is there, and so never allocates more than has arrived. It costs one pass. It fails with the name of
//! the field that is cut short or not text.

/// Appends to an encoding.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // Whoever encodes checks the total, which is below 16 KiB, so a longer string only ever makes a refused message.
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// What is left of an encoding.
pub(super) struct Decoder<'a>(pub(super) &'a [u8]);

impl<'a> Decoder<'a> {
    /// The next `n` bytes. Fails if there are fewer.
    pub(super) fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or_else(|| format!("{what}: cut short"))?;
        self.0 = rest;
        Ok(taken)
    }
    /// The next byte.
    pub(super) fn byte(&mut self, what: &str) -> Result<u8, String> {
        Ok(self.take(1, what)?[0])
    }
    /// The next two bytes, as a number.
    pub(super) fn short(&mut self, what: &str) -> Result<u16, String> {
        let bytes = self.take(2, what)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
    /// The next four bytes, as a number.
    pub(super) fn word(&mut self, what: &str) -> Result<u32, String> {
        let bytes = self.take(4, what)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
    /// The next byte string.
    pub(super) fn bytes(&mut self, what: &str) -> Result<&'a [u8], String> {
        let length = self.short(what)?;
        self.take(usize::from(length), what)
    }
    /// The next text, of at most `limit` bytes.
    pub(super) fn text(&mut self, limit: usize, what: &str) -> Result<&'a str, String> {
        let bytes = self.bytes(what)?;
        if bytes.len() > limit {
            return Err(format!("{what}: {} bytes, more than {limit}", bytes.len()));
        }
        std::str::from_utf8(bytes).map_err(|_| format!("{what}: not text"))
    }
    /// Fails if anything is left.
    pub(super) fn end(&self, what: &str) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("{what}: {} bytes too many", self.0.len())) }
    }
}

/// A peer's text as it may be shown on a terminal: control characters are replaced.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Lower-case hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('?'))
        .collect()
}

/// `N` bytes from exactly twice as many hexadecimal digits; nothing for any other text.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |b, d| b << 4 | d)).collect();
    if digits.len() == 2 * N { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_both_ways() {
        let bytes = [0x00, 0x0f, 0xf0, 0xa5];
        assert_eq!(to_hex(&bytes), "000ff0a5");
        assert_eq!(from_hex("000FF0a5"), Some(bytes));
        for wrong in ["", "000ff0a", "000ff0a51", "000ff0ag", "é0ff0a5", "+00ff0a5"] {
            assert_eq!(from_hex::<4>(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn decoding_names_what_is_cut_short() {
        let mut out = vec![7];
        put_bytes(&mut out, b"abc");
        for cut in 0..out.len() {
            let mut decoder = Decoder(&out[..cut]);
            let e = decoder.byte("kind").and_then(|_| decoder.text(9, "name")).unwrap_err();
            assert_eq!(e, if cut == 0 { "kind: cut short" } else { "name: cut short" });
        }
        let mut decoder = Decoder(&out);
        assert_eq!(decoder.byte("kind"), Ok(7));
        assert!(decoder.end("message").is_err());
        assert_eq!(Decoder(decoder.0).text(2, "name"), Err("name: 3 bytes, more than 2".to_string()));
        assert_eq!(decoder.text(3, "name"), Ok("abc"));
        assert_eq!(decoder.end("message"), Ok(()));
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
