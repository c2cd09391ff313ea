//! Words and values of a line, quoted or not.

use super::super::fault::Fault;
use super::super::records::is_blank;
use std::borrow::Cow;

/// A line, and how far it is read.
pub(super) struct Tokens<'a> {
    pub line: &'a [u8],
    pub at: usize,
}

/// A value.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub bytes: Cow<'a, [u8]>,
    pub quoted: bool,
}

const QUOTES: &str = "what begins with a quotation mark ends with the same one, on the same line";

impl<'a> Tokens<'a> {
    pub fn of(line: &'a [u8]) -> Self {
        Tokens { line, at: 0 }
    }
    pub fn rest(&self) -> &'a [u8] {
        &self.line[self.at..]
    }
    pub fn skip_blanks(&mut self) {
        self.at += self.rest().iter().take_while(|b| is_blank(**b)).count();
    }
    /// The bytes up to a blank.
    pub fn word(&mut self) -> (usize, &'a [u8]) {
        self.until(is_blank)
    }
    fn until(&mut self, ends: impl Fn(u8) -> bool) -> (usize, &'a [u8]) {
        self.skip_blanks();
        let start = self.at;
        self.at += self.rest().iter().take_while(|b| !ends(**b)).count();
        (start, &self.line[start..self.at])
    }
    /// A name, which may be quoted.
    pub fn name(&mut self) -> Result<(usize, Cow<'a, [u8]>), Fault> {
        self.skip_blanks();
        if let Some(value) = self.quoted()? {
            return Ok(value);
        }
        let (at, word) = self.until(|b| is_blank(b) || b == b'{');
        Ok((at, Cow::Borrowed(word)))
    }
    /// A value up to a comma or `end`, without the blanks around it. What it ends with is left.
    pub fn value(&mut self, end: u8) -> Result<(usize, Value<'a>), Fault> {
        self.skip_blanks();
        if let Some((at, bytes)) = self.quoted()? {
            self.skip_blanks();
            return match self.rest().first() {
                Some(b) if *b != b',' && *b != end => {
                    Err(Fault::new(self.at, self.rest(), "something follows a quotation mark").hint(QUOTES))
                }
                _ => Ok((at, Value { bytes, quoted: true })),
            };
        }
        let (at, bytes) = self.until(|b| b == b',' || b == end);
        let bytes = bytes.trim_ascii_end();
        Ok((at, Value { bytes: Cow::Borrowed(bytes), quoted: false }))
    }
    /// A value up to a blank.
    pub fn blank_value(&mut self) -> Result<(usize, Value<'a>), Fault> {
        self.skip_blanks();
        if let Some((at, bytes)) = self.quoted()? {
            return Ok((at, Value { bytes, quoted: true }));
        }
        let (at, word) = self.word();
        Ok((at, Value { bytes: Cow::Borrowed(word), quoted: false }))
    }
    /// What is in quotation marks, if they are next.
    fn quoted(&mut self) -> Result<Option<(usize, Cow<'a, [u8]>)>, Fault> {
        let Some(&quote @ (b'\'' | b'"')) = self.rest().first() else { return Ok(None) };
        let start = self.at;
        let inside = &self.line[start + 1..];
        let mut owned: Option<Vec<u8>> = None;
        let mut i = 0;
        while let Some(&byte) = inside.get(i) {
            match byte {
                b'\\' if i + 1 < inside.len() => {
                    let owned = owned.get_or_insert_with(|| inside[..i].to_vec());
                    owned.push(match inside[i + 1] {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        other => other,
                    });
                    i += 2;
                    continue;
                }
                byte if byte == quote => {
                    self.at = start + i + 2;
                    let bytes = owned.map_or(Cow::Borrowed(&inside[..i]), Cow::Owned);
                    return Ok(Some((start, bytes)));
                }
                byte => owned.iter_mut().for_each(|owned| owned.push(byte)),
            }
            i += 1;
        }
        Err(Fault::new(start, &self.line[start..], "the quotation mark has no end").hint(QUOTES))
    }
}
