//! What both sides of a connection must agree on before they talk.
//!
//! A list of names with values: protocol version, run, generation, build, configuration digest, slots. Two processes
//! whose terms differ would not fail, they would compute different graphs and wait for each other for ever; so the
//! handshake compares terms, and a difference names the value of either side.
//!
//! A decoded list has at most [`TERMS_MAX`] terms, each of distinct name, and names and values of at most [`TEXT_MAX`]
//! bytes. To compare costs the product of the two lengths, at most 4096 comparisons of names, once a connection.

use super::wire::{Decoder, printable, put_bytes};

/// More terms are refused.
pub(super) const TERMS_MAX: usize = 64;
/// Longer names and values are refused, in bytes.
pub(super) const TEXT_MAX: usize = 256;

/// Names and values on which both sides must agree, in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms(Vec<(String, String)>);

impl Terms {
    /// No terms: agrees with no terms.
    pub(crate) fn new() -> Self {
        Terms::default()
    }

    /// Adds a term, or replaces the value of one that is there. Terms above the bounds of this module are refused
    /// when the handshake encodes them.
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        let (name, value) = (name.into(), value.to_string());
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some(term) => term.1 = value,
            None => self.0.push((name, value)),
        }
        self
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a term, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// One line for each difference, like `build: 3f2a here, 91bc there`. A term that only one side has is one.
    /// Empty if both agree, whatever the order.
    pub(crate) fn differences(&self, theirs: &Terms) -> Vec<String> {
        const NONE: &str = "nothing";
        let line =
            |name: &str, here: &str, there: &str| printable(&format!("{name}: {here} here, {there} there"));
        let ours = self.0.iter().filter_map(|(name, here)| match theirs.get(name) {
            Some(there) if there == here => None,
            there => Some(line(name, here, there.unwrap_or(NONE))),
        });
        let others = theirs.0.iter().filter(|(name, _)| self.get(name).is_none());
        ours.chain(others.map(|(name, there)| line(name, NONE, there))).collect()
    }

    /// Appends the encoding. Fails if there are too many terms or too long ones.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Result<(), String> {
        let count = u8::try_from(self.0.len()).ok().filter(|n| usize::from(*n) <= TERMS_MAX);
        out.push(count.ok_or_else(|| format!("{} terms, more than {TERMS_MAX}", self.0.len()))?);
        for (name, value) in &self.0 {
            for text in [name, value] {
                if text.len() > TEXT_MAX {
                    return Err(format!("the term {name} has {} bytes, more than {TEXT_MAX}", text.len()));
                }
                put_bytes(out, text.as_bytes());
            }
        }
        Ok(())
    }

    /// Reads what [`Terms::encode`] wrote. Fails, with what is wrong, for anything above the bounds.
    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Terms, String> {
        let count = usize::from(from.byte("number of terms")?);
        if count > TERMS_MAX {
            return Err(format!("{count} terms, more than {TERMS_MAX}"));
        }
        let mut terms = Terms::new();
        for _ in 0..count {
            let name = from.text(TEXT_MAX, "name of a term")?;
            let value = from.text(TEXT_MAX, "value of a term")?;
            if terms.get(name).is_some() {
                return Err(format!("the term {name} comes twice"));
            }
            terms = terms.with(name, value);
        }
        Ok(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(terms: &Terms) -> Vec<u8> {
        let mut out = vec![];
        terms.encode(&mut out).unwrap();
        out
    }

    #[test]
    fn every_difference_names_both_sides() {
        let ours = Terms::new().with("protocol", 1).with("build", "3f2a").with("slots", 4);
        let theirs = Terms::new().with("build", "91bc").with("protocol", 1).with("run", "blue");
        assert_eq!(
            ours.differences(&theirs),
            ["build: 3f2a here, 91bc there", "slots: 4 here, nothing there", "run: nothing here, blue there"]
        );
        assert_eq!(
            theirs.differences(&ours),
            ["build: 91bc here, 3f2a there", "run: blue here, nothing there", "slots: nothing here, 4 there"]
        );
        assert_eq!(ours.differences(&ours.clone()), Vec::<String>::new());
        // An empty value is not the same as none.
        assert_eq!(Terms::new().with("a", "").differences(&Terms::new()).len(), 1);
        // The order is of no matter, and what a peer says does not control the terminal.
        let (ab, ba) = (Terms::new().with("a", 1).with("b", 2), Terms::new().with("b", 2).with("a", 1));
        assert!(ab.differences(&ba).is_empty());
        let hostile = Terms::new().with("a", "\u{1b}[2J");
        assert!(!ab.differences(&hostile)[0].contains('\u{1b}'));
    }

    #[test]
    fn bounds_hold_both_ways() {
        let many = |n: usize| (0..n).fold(Terms::new(), |t, i| t.with(format!("{i}"), i));
        assert!(many(TERMS_MAX).encode(&mut vec![]).is_ok());
        assert!(many(TERMS_MAX + 1).encode(&mut vec![]).is_err());
        let long = |n: usize| Terms::new().with("a", "x".repeat(n));
        assert!(Terms::decode(&mut Decoder(&encoded(&long(TEXT_MAX)))).is_ok());
        let e = long(TEXT_MAX + 1).encode(&mut vec![]).unwrap_err();
        assert!(e.contains("257 bytes, more than 256"), "{e}");
        // A peer that does not keep them.
        let mut forged = vec![TERMS_MAX as u8 + 1];
        (0..=TERMS_MAX).for_each(|i| {
            put_bytes(&mut forged, format!("{i}").as_bytes());
            put_bytes(&mut forged, b"");
        });
        assert!(Terms::decode(&mut Decoder(&forged)).unwrap_err().contains("65 terms"));
        for (name, value, wrong) in [
            (&[b'x'; 257][..], &b""[..], "name of a term: 257"),
            (b"a", &[b'x'; 300], "value of a term: 300"),
            (b"a", &[0xff], "value of a term: not text"),
        ] {
            let mut forged = vec![1];
            put_bytes(&mut forged, name);
            put_bytes(&mut forged, value);
            let e = Terms::decode(&mut Decoder(&forged)).unwrap_err();
            assert!(e.starts_with(wrong), "{e}");
        }
        let twice: Vec<u8> = [&[2][..], &encoded(&long(1))[1..], &encoded(&long(2))[1..]].concat();
        assert!(Terms::decode(&mut Decoder(&twice)).unwrap_err().contains("twice"));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(pairs in prop::collection::vec((".{0,20}", ".{0,60}"), 0..20), cut in 0usize..400) {
            let terms = pairs.into_iter().fold(Terms::new(), |t, (n, v)| t.with(n, v));
            let bytes = encoded(&terms);
            let mut decoder = Decoder(&bytes);
            prop_assert_eq!(Terms::decode(&mut decoder).unwrap(), terms);
            prop_assert!(decoder.end("").is_ok());
            if cut < bytes.len() {
                prop_assert!(Terms::decode(&mut Decoder(&bytes[..cut])).is_err());
            }
        }

        #[test]
        fn random_bytes_are_terms_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(terms) = Terms::decode(&mut Decoder(&bytes)) {
                prop_assert!(terms.0.len() <= TERMS_MAX);
            }
        }
    }
}
