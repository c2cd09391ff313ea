//! One line: an example.

use super::super::fault::Fault;
use super::super::records::{finite, is_blank, not_text};
use super::hash::hash;
use super::{VwFeatures, VwOptions};

/// What stands before the features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Target {
    pub label: Option<f64>,
    pub weight: f64,
    pub base: f64,
}

const LABEL: &str =
    "before the first bar stand `label importance base` and the tag, each of which may be missing";
const FEATURES: &str = "features are written `|namespace name:value name ...`";

/// Reads an example; its features go to `features`, in the order of the line and with repetitions. `None` for a blank line.
pub(super) fn read(
    line: &[u8],
    options: &VwOptions,
    features: &mut Vec<(u32, f64)>,
) -> Result<Option<Target>, Fault> {
    if line.iter().all(|b| is_blank(*b)) {
        return Ok(None);
    }
    let Some(bar) = memchr::memchr(b'|', line) else {
        return Err(Fault::new(0, line, "the example has no bar").hint(FEATURES));
    };
    let target = target(&line[..bar])?;
    let mut rest = Rest { line, at: bar, options, features };
    while rest.at < line.len() {
        rest.namespace()?;
    }
    Ok(Some(target))
}

/// Label, importance and base. The last word is the tag if it touches the bar or begins with an apostrophe.
fn target(head: &[u8]) -> Result<Target, Fault> {
    if let Some(at) = memchr::memchr(b'\t', head) {
        return Err(Fault::new(at, &head[at..], "a tab before the first bar")
            .hint("Vowpal Wabbit would drop what stands before it; put spaces there"));
    }
    let mut words = [(0, &b""[..]); 4];
    let mut count = 0;
    let mut at = 0;
    for word in head.split(|b| *b == b' ') {
        let column = at;
        at += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        if count == words.len() {
            return Err(Fault::new(column, word, "too much before the first bar").hint(LABEL));
        }
        words[count] = (column, word);
        count += 1;
    }
    let touches = head.last().is_some_and(|b| *b != b' ');
    if count > 0 && (touches || words[count - 1].1.starts_with(b"'")) {
        count -= 1;
    } else if count == words.len() {
        return Err(Fault::new(words[3].0, words[3].1, "too much before the first bar").hint(LABEL));
    }
    let number = |i: usize, what: &str| {
        let (column, word) = words[i];
        (i < count).then(|| finite(column, word, what).map_err(|fault| fault.hint(LABEL))).transpose()
    };
    let label = number(0, "the label")?;
    let weight = number(1, "the importance")?.unwrap_or(1.0);
    if weight < 0.0 {
        return Err(Fault::new(words[1].0, words[1].1, "the importance is negative").hint(LABEL));
    }
    Ok(Target { label, weight, base: number(2, "the base")?.unwrap_or(0.0) })
}

/// What is left of a line.
struct Rest<'a, 'b> {
    line: &'a [u8],
    at: usize,
    options: &'b VwOptions,
    features: &'b mut Vec<(u32, f64)>,
}

/// Where a namespace hashes to, and what its values are multiplied by.
struct Namespace {
    hash: u64,
    scale: f64,
    /// How many features without a name it had.
    unnamed: u64,
}

impl<'a> Rest<'a, '_> {
    /// The bytes up to one of `ends`, a blank or a bar, and where they begin.
    fn word(&mut self, colon_ends: bool) -> (usize, &'a [u8]) {
        let start = self.at;
        let ends = |b: &u8| is_blank(*b) || *b == b'|' || (colon_ends && *b == b':');
        self.at = self.line[start..].iter().position(ends).map_or(self.line.len(), |n| start + n);
        (start, &self.line[start..self.at])
    }

    fn namespace(&mut self) -> Result<(), Fault> {
        self.at += 1; // the bar
        let (start, name) = self.word(true);
        let mut namespace = Namespace { hash: 0, scale: 1.0, unnamed: 0 };
        if !name.is_empty() {
            namespace.hash = hash(name, 0);
        }
        if self.line.get(self.at) == Some(&b':') {
            if name.is_empty() {
                return Err(Fault::new(start, &self.line[start..], "a namespace has a value and no name")
                    .hint(FEATURES));
            }
            self.at += 1;
            let (column, value) = self.word(false);
            namespace.scale = finite(column, value, "the value of the namespace")?;
        }
        loop {
            while self.line.get(self.at).is_some_and(|b| is_blank(*b)) {
                self.at += 1;
            }
            match self.line.get(self.at) {
                None | Some(b'|') => return Ok(()),
                Some(_) => self.feature(&mut namespace)?,
            }
        }
    }

    fn feature(&mut self, namespace: &mut Namespace) -> Result<(), Fault> {
        let (start, name) = self.word(true);
        let mut text = None;
        let mut value = 1.0;
        if self.line.get(self.at) == Some(&b':') {
            self.at += 1;
            let (column, word) = self.word(false);
            if word.is_empty() {
                let fault = Fault::new(start, &self.line[start..self.at], "the feature has no value");
                return Err(fault
                    .hint("write no blank after the colon; without a colon, the value of a feature is 1"));
            }
            match fast_float2::parse::<f64, _>(word) {
                // Whatever may be meant as a number must be one.
                Err(_) if !matches!(word[0], b'0'..=b'9' | b'+' | b'-' | b'.') => text = Some(word),
                _ => value = finite(column, word, "the value of the feature")?,
            }
        }
        let column = match self.options.features {
            VwFeatures::Numbers => self.number(start, name, text.is_some())?,
            VwFeatures::Hashed { bits } => {
                let full = match (name, text) {
                    ([], None) => {
                        namespace.unnamed += 1;
                        namespace.hash.wrapping_add(namespace.unnamed - 1)
                    }
                    (name, None) => hash(name, namespace.hash),
                    (name, Some(text)) => hash(text, hash(name, namespace.hash)),
                };
                (full & ((1 << bits) - 1)) as u32
            }
        };
        // A text counts once, whatever its namespace says.
        let scaled = if text.is_some() { 1.0 } else { value * namespace.scale };
        if !scaled.is_finite() {
            let fault = Fault::new(
                start,
                &self.line[start..self.at],
                "the value times that of its namespace is too large",
            );
            return Err(fault.hint("scale the values"));
        }
        if scaled != 0.0 {
            self.features.push((column, scaled));
        }
        Ok(())
    }

    /// A feature that is called by its number.
    fn number(&self, start: usize, name: &[u8], has_text: bool) -> Result<u32, Fault> {
        if let Some(fault) = not_text(start, name) {
            return Err(fault);
        }
        let number = super::super::records::unsigned(name).filter(|_| !has_text);
        let Some(number) = number else {
            let fault = Fault::new(start, &self.line[start..self.at], "the feature is not a number");
            return Err(fault.hint("features with names are hashed: read the file with hashed features"));
        };
        let end = self.options.num_features.map_or(1 << 31, u64::from);
        match u32::try_from(number).ok().filter(|n| u64::from(*n) < end) {
            Some(column) => Ok(column),
            None => Err(Fault::new(start, name, format!("the feature is not below {end}"))
                .hint("raise the number of features, or hash them")),
        }
    }
}
