//! Groups of columns, as an option says them: a size, or a file.

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
    /// The groups of so many columns, which have these names, if they have any.
    pub fn groups(&self, columns: usize, names: Option<&[String]>) -> Result<Groups> {
        match self {
            GroupsOption::Size(size) => Ok(Groups::of_size(columns, *size)),
            GroupsOption::File(path) => {
                let lines = crate::data::vocabulary(path)?;
                let lines = lines.iter().map(String::as_str);
                parse(&path.display().to_string(), lines, columns, names)
            }
        }
    }
}

fn parse<'a>(
    file: &str,
    lines: impl Iterator<Item = &'a str>,
    columns: usize,
    names: Option<&[String]>,
) -> Result<Groups> {
    let places: HashMap<&str, usize> =
        names.unwrap_or_default().iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut of: Vec<Option<u32>> = vec![None; columns];
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
        let by_number = || name.parse::<usize>().ok().filter(|n| (1..=columns).contains(n)).map(|n| n - 1);
        let Some(place) = places.get(name).copied().or_else(|| names.is_none().then(by_number).flatten())
        else {
            if line == 1 && name == "column" {
                continue;
            }
            let hint = match names {
                Some(names) => format!(
                    "columns are {}, ..",
                    names.iter().take(3).cloned().collect::<Vec<_>>().join(", ")
                ),
                None => format!("columns have numbers from 1 to {columns}"),
            };
            return fault(1, format!("there is no column `{name}`"), &hint);
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
        let name = names.and_then(|n| n.get(place).cloned()).unwrap_or_else(|| (place + 1).to_string());
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
        let groups = parse("f", "column,group\na,x\n\nc , y\nb\tx".lines(), 3, Some(&of)).unwrap();
        assert_eq!((groups.columns(0), groups.columns(1)), (&[0, 1][..], &[2][..]));
        let groups = parse("f", "2,x\n1,y\n3,x".lines(), 3, None).unwrap();
        assert_eq!((groups.columns(0), groups.columns(1)), (&[1, 2][..], &[0][..]));
        for (text, message) in [
            ("a,x\nd,x", "f:2:1: there is no column `d`"),
            ("a,x\nb", "f:2:1: `b` has no group"),
            ("a,x\nb,", "f:2:3: column `b` has no group"),
            ("a,x\na,y", "f:2:1: column `a` has a group already"),
            ("a,x\nb,x", "f: column `c` has no group"),
        ] {
            let e = parse("f", text.lines(), 3, Some(&of)).unwrap_err();
            assert!(e.to_string().contains(message), "{e}");
            assert_eq!(e.exit_code(), 3);
        }
        assert!(parse("f", "4,x".lines(), 3, None).is_err());
        assert!(GroupsOption::of("0").is_err());
    }
}
