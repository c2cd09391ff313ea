//! The file of `--hosts`.
//!
//! One host a line: its name as the remote shell knows it, and `slots=K`, `address=IP`. `#` begins a comment. It fails with
//! the position of what is wrong. A name is passed to another command, so it may not look like an option, and has
//! letters, digits and `.-_@:[]%` only.

use slackwater_dataflow::{Error, Result};
use std::net::IpAddr;
use std::path::Path;

const FORM: &str = "a line is `HOST [slots=K] [address=IP]`; # begins a comment";
/// More processes than a run can have.
const SLOTS_MAX: usize = 256;

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    /// Its name.
    pub name: String,
    /// Processes that it may run.
    pub slots: usize,
    /// Where the others reach it, if that was said.
    pub address: Option<IpAddr>,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<Host>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "read", &e))?;
    parse(&path.display().to_string(), &text)
}

/// Words with the columns that they begin in, from 1.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let line = line.split('#').next().unwrap_or_default();
    line.split_whitespace().map(move |word| (word.as_ptr() as usize - line.as_ptr() as usize + 1, word))
}

fn parse(file: &str, text: &str) -> Result<Vec<Host>> {
    let mut hosts: Vec<Host> = vec![];
    for (number, line) in text.lines().enumerate() {
        let refuse = |column: usize, what: String, hint: &str| {
            Error::input(format!("{file}:{}:{column}: {what}", number + 1), hint)
        };
        let mut words = words(line);
        let Some((column, name)) = words.next() else { continue };
        let is_fine = |c: char| c.is_ascii_alphanumeric() || ".-_@:[]%".contains(c);
        if name.contains('=') || name.starts_with('-') || !name.chars().all(is_fine) {
            return Err(refuse(column, format!("`{name}` is no name of a host"), FORM));
        }
        if hosts.iter().any(|h| h.name == name) {
            let hint = "give it the slots of both lines in one";
            return Err(refuse(column, format!("`{name}` is there already"), hint));
        }
        let mut host = Host { name: name.to_string(), slots: 1, address: None };
        for (column, word) in words {
            match word.split_once('=') {
                Some(("slots", n)) => {
                    let slots = n.parse().ok().filter(|n| (1..=SLOTS_MAX).contains(n));
                    let wrong = || refuse(column, format!("`{n}` is no number of slots"), "from 1 to 256");
                    host.slots = slots.ok_or_else(wrong)?;
                }
                Some(("address", a)) => {
                    let wrong =
                        || refuse(column, format!("`{a}` is no IP address"), "as in address=10.0.0.7");
                    host.address = Some(a.parse().map_err(|_| wrong())?);
                }
                _ => return Err(refuse(column, format!("`{word}` has no meaning here"), FORM)),
            }
        }
        hosts.push(host);
    }
    if hosts.is_empty() {
        return Err(Error::input(format!("{file}:1:1: there is no host"), FORM));
    }
    Ok(hosts)
}

/// Where each process is at home: one after the other on each host in turn, as long as it has slots. Fewer than
/// `processes` if there are not so many slots.
pub(super) fn homes(hosts: &[Host], processes: usize) -> Vec<usize> {
    let most = hosts.iter().map(|h| h.slots).max().unwrap_or(0);
    let turns = (0..most).flat_map(|turn| (0..hosts.len()).filter(move |h| hosts[*h].slots > turn));
    turns.take(processes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_hosts() {
        let hosts = parse("h", "# two\n\na slots=2 # the first\n  b address=10.0.0.7\nroot@c.d\n").unwrap();
        let host = |name: &str, slots, address: Option<&str>| Host {
            name: name.to_string(),
            slots,
            address: address.map(|a| a.parse().unwrap()),
        };
        assert_eq!(hosts, [host("a", 2, None), host("b", 1, Some("10.0.0.7")), host("root@c.d", 1, None)]);
        assert_eq!(homes(&hosts, 4), [0, 1, 2, 0]);
        assert_eq!(homes(&hosts, 9).len(), 4);
    }

    #[test]
    fn what_is_wrong_has_a_position() {
        for (text, position) in [
            ("", "h:1:1: there is no host"),
            ("a\n  -oProxyCommand=x", "h:2:3: `-oProxyCommand=x` is no name"),
            ("a;b", "h:1:1: `a;b` is no name"),
            ("slots=2", "h:1:1: `slots=2` is no name"),
            ("a slots=0", "h:1:3: `0` is no number"),
            ("a slots=x", "h:1:3: `x` is no number"),
            ("a\nb  address=b", "h:2:4: `b` is no IP address"),
            ("a 2", "h:1:3: `2` has no meaning"),
            ("a\n\na", "h:3:1: `a` is there already"),
        ] {
            let e = parse("h", text).unwrap_err();
            assert!(e.to_string().starts_with(position) && e.to_string().contains("hint: "), "{text}: {e}");
            assert_eq!(e.exit_code(), 3);
        }
    }
}
