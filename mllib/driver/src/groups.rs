//! Groups of columns, as an option says them: a size, or a file.

use crate::structures::Columns;
use slackwater_dataflow::{Error, Result};
use slackwater_mllib::regression::Groups;
use std::collections::HashMap;
use std::path::PathBuf;

/// What the option says.
#[derive(Debug, Clone)]
pub enum GroupsOption {
    /// So many neighbouring columns make a group.
    Size(usize),
    /// A file says it, column by column.
    File(PathBuf),
}

impl GroupsOption {
    /// A number that is no file is a size.
    pub fn of(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(0) => Err(Error::config("groups", "a group has at least 1 column")),
            Ok(size) => Ok(GroupsOption::Size(size)),
            Err(_) => Ok(GroupsOption::File(PathBuf::from(text))),
        }
    }
    /// The groups of these columns.
    pub fn groups(&self, columns: &Columns<'_>) -> Result<Groups> {
        match self {
            GroupsOption::Size(size) => Ok(Groups::of_size(columns.count(), *size)),
            GroupsOption::File(path) => {
                let lines = crate::data::vocabulary(path)?;
                let lines = lines.iter().map(String::as_str);
                parse(&path.display().to_string(), lines, columns)
            }
        }
    }
}

fn parse<'a>(file: &str, lines: impl Iterator<Item = &'a str>, columns: &Columns<'_>) -> Result<Groups> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut of: Vec<Option<u32>> = vec![None; columns.count()];
    for (line, text) in (1..).zip(lines) {
        let fault = |at: usize, message: String, hint: &str| {
            Err(Error::input(format!("{file}:{line}:{at}: {message}"), hint.to_string()))
        };
        let Some((name, group)) = text.split_once([',', '\t']) else {
            if text.is_empty() {
                continue;
            }
            return fault(1, format!("`{text}` has no group"), "a column, a comma or tab, a group");
        };
        let (name, group) = (name.trim(), group.trim());
        let Some(place) = columns.place(name) else {
            if line == 1 && name == "column" {
                continue;
            }
            return fault(1, format!("there is no column `{name}`"), &columns.hint());
        };
        if group.is_empty() {
            return fault(text.len() + 1, format!("column `{name}` has no group"), "name one");
        }
        let next = numbers.len() as u32;
        let number = *numbers.entry(group).or_insert(next);
        if of[place].replace(number).is_some() {
            return fault(1, format!("column `{name}` has a group already"), "a column is in one group");
        }
    }
    let missing = of.iter().position(Option::is_none);
    if let Some(place) = missing {
        let name = columns.name(place);
        return Err(Error::input(
            format!("{file}: column `{name}` has no group"),
            "give every column one, if need be of its own",
        ));
    }
    Groups::by_column(&of.into_iter().flatten().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|n| n.to_string()).collect()
    }

    #[test]
    fn files_are_read() {
        let of = names(&["a", "b", "c"]);
        let of = Columns::new(3, Some(&of));
        let numbers = Columns::new(3, None);
        let groups = parse("f", "column,group\na,x\n\nc , y\nb\tx".lines(), &of).unwrap();
        assert_eq!((groups.columns(0), groups.columns(1)), (&[0, 1][..], &[2][..]));
        let groups = parse("f", "2,x\n1,y\n3,x".lines(), &numbers).unwrap();
        assert_eq!((groups.columns(0), groups.columns(1)), (&[1, 2][..], &[0][..]));
        for (text, message) in [
            ("a,x\nd,x", "f:2:1: there is no column `d`"),
            ("a,x\nb", "f:2:1: `b` has no group"),
            ("a,x\nb,", "f:2:3: column `b` has no group"),
            ("a,x\na,y", "f:2:1: column `a` has a group already"),
            ("a,x\nb,x", "f: column `c` has no group"),
        ] {
            let e = parse("f", text.lines(), &of).unwrap_err();
            assert!(e.to_string().contains(message), "{e}");
            assert_eq!(e.exit_code(), 3);
        }
        assert!(parse("f", "4,x".lines(), &numbers).is_err());
        assert!(GroupsOption::of("0").is_err());
    }
}
