//! Columns by name, and files that say how they belong together: trees and graphs.

use slackwater_dataflow::{Error, Result};
use slackwater_mllib::regression::structured::{Edge, Graph, Leaf, Node, Tree};
use std::collections::HashMap;
use std::path::PathBuf;

/// Names of columns, or their numbers from 1 if they have none.
#[derive(Debug)]
pub struct Columns<'a> {
    count: usize,
    names: Option<&'a [String]>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Columns<'a> {
    /// So many, which have these names, if they have any.
    pub fn new(count: usize, names: Option<&'a [String]>) -> Self {
        let named = names.unwrap_or_default().iter().enumerate();
        Columns { count, names, places: named.map(|(i, name)| (name.as_str(), i)).collect() }
    }
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }
    /// The place of a column.
    pub fn place(&self, name: &str) -> Option<usize> {
        let number = || name.parse::<usize>().ok().filter(|n| (1..=self.count).contains(n)).map(|n| n - 1);
        self.places.get(name).copied().or_else(|| self.names.is_none().then(number).flatten())
    }
    /// The name of a column.
    pub fn name(&self, place: usize) -> String {
        self.names.and_then(|n| n.get(place).cloned()).unwrap_or_else(|| (place + 1).to_string())
    }
    /// What names there are, for who has used another.
    pub fn hint(&self) -> String {
        match self.names {
            Some(names) => {
                format!("columns are {}, ..", names.iter().take(3).cloned().collect::<Vec<_>>().join(", "))
            }
            None => format!("columns have numbers from 1 to {}", self.count),
        }
    }
    /// True for what can only be meant to be a number of a column, and is none.
    fn is_beyond(&self, name: &str) -> bool {
        self.names.is_none() && name.parse::<i128>().is_ok() && self.place(name).is_none()
    }
}

/// A line, where it is, and its fields with the places where they begin, from 1.
struct Line<'a> {
    file: &'a str,
    number: usize,
    fields: Vec<(usize, &'a str)>,
}

impl<'a> Line<'a> {
    fn new(file: &'a str, number: usize, text: &'a str, is_separator: impl Fn(char) -> bool) -> Self {
        let mut at = 0;
        let fields = text.split(is_separator).map(|field| {
            let begin = at + field.len() - field.trim_start().len();
            at += field.len() + 1;
            (begin + 1, field.trim())
        });
        Line { file, number, fields: fields.collect() }
    }
    fn get(&self, field: usize) -> &'a str {
        self.fields.get(field).map_or("", |(_, text)| text)
    }
    fn fault<T>(&self, field: usize, message: &str, hint: &str) -> Result<T> {
        let end = self.fields.last().map_or(1, |(at, text)| at + text.len());
        let at = self.fields.get(field).map_or(end, |(at, _)| *at);
        Err(Error::input(format!("{}:{}:{at}: {message}", self.file, self.number), hint.to_string()))
    }
    /// The weight in the third field, if there is one; there is no fourth.
    fn weight(&self, is_good: impl Fn(f64) -> bool, hint: &str) -> Result<Option<f64>> {
        if self.fields.len() > 3 {
            return self.fault(
                3,
                &format!("`{}` is too much", self.get(3)),
                "two names and a weight make a line",
            );
        }
        let text = self.get(2);
        match text.parse() {
            _ if text.is_empty() => Ok(None),
            Ok(w) if f64::is_finite(w) && is_good(w) => Ok(Some(w)),
            _ => self.fault(2, &format!("`{text}` is no weight"), hint),
        }
    }
}

/// Reads a tree of these columns.
pub fn tree(path: &PathBuf, columns: &Columns<'_>) -> Result<Tree> {
    let lines = crate::data::vocabulary(path)?;
    parse_tree(&path.display().to_string(), lines.iter().map(String::as_str), columns)
}

fn parse_tree<'a>(
    file: &'a str,
    lines: impl Iterator<Item = &'a str>,
    columns: &Columns<'_>,
) -> Result<Tree> {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let (mut nodes, mut of_columns) = (vec![], vec![]);
    let mut taken = vec![false; columns.count()];
    for (number, text) in (1..).zip(lines).filter(|(_, text)| !text.is_empty()) {
        let line = Line::new(file, number, text, |c| c == ',' || c == '\t');
        let name = line.get(0);
        if number == 1 && (name, line.get(1)) == ("node", "parent") && columns.place(name).is_none() {
            continue;
        }
        if name.is_empty() {
            return line.fault(0, "nothing is named", "a node or column, the node above it, a weight");
        }
        if let Some(place) = columns.place(name) {
            let weight = line.weight(|w| w >= 0.0, "a column's is a number that is not negative")?;
            if line.get(1).is_empty() {
                return line.fault(
                    1,
                    &format!("column `{name}` is below no node"),
                    "name one after a comma or tab",
                );
            }
            if std::mem::replace(&mut taken[place], true) {
                return line.fault(
                    0,
                    &format!("column `{name}` is in the tree already"),
                    "a column is below one node",
                );
            }
            of_columns.push((place, weight.unwrap_or(0.0), line));
        } else if columns.is_beyond(name) {
            return line.fault(0, &format!("there is no column `{name}`"), &columns.hint());
        } else {
            let weight = line.weight(|w| w > 0.0, "a node's is a positive number")?;
            if names.insert(name, nodes.len()).is_some() {
                return line.fault(
                    0,
                    &format!("node `{name}` is in the tree already"),
                    "a node is below one other",
                );
            }
            nodes.push((weight, line));
        }
    }
    let above = |line: &Line<'_>| -> Result<Option<usize>> {
        let name = line.get(1);
        match names.get(name) {
            Some(node) => Ok(Some(*node)),
            None if name.is_empty() => Ok(None),
            None if columns.place(name).is_some() => {
                line.fault(1, &format!("`{name}` is a column"), "nothing is below a column")
            }
            None => line.fault(1, &format!("there is no node `{name}`"), "every node has a line of its own"),
        }
    };
    let parents = nodes.iter().map(|(_, line)| above(line)).collect::<Result<Vec<_>>>()?;
    // Whoever comes to a root is in no circle; by node: the walk that has been there.
    let mut walks = vec![usize::MAX; nodes.len()];
    for first in 0..nodes.len() {
        let mut at = Some(first);
        while let Some(v) = at.filter(|v| walks[*v] == usize::MAX) {
            walks[v] = first;
            at = parents[v];
        }
        if let Some(v) = at.filter(|v| walks[*v] == first) {
            let (_, line) = &nodes[v];
            return line.fault(
                1,
                &format!("node `{}` is below itself", line.get(0)),
                "leave the node above a root empty",
            );
        }
    }
    let mut leaves = vec![Leaf::default(); columns.count()];
    let mut has_columns = vec![false; nodes.len()];
    for (place, weight, line) in &of_columns {
        let node = above(line)?.unwrap_or_default();
        leaves[*place] = Leaf { node, weight: *weight };
        let mut at = Some(node);
        while let Some(v) = at.filter(|v| !has_columns[*v]) {
            has_columns[v] = true;
            at = parents[v];
        }
    }
    if let Some(v) = has_columns.iter().position(|has| !has) {
        let (_, line) = &nodes[v];
        return line.fault(
            0,
            &format!("`{}` is no column, and has none below it", line.get(0)),
            &columns.hint(),
        );
    }
    if let Some(place) = taken.iter().position(|taken| !taken) {
        let message = format!("{file}: column `{}` is not in the tree", columns.name(place));
        return Err(Error::input(message, "give every column a line with the node that it is below"));
    }
    let node = |((weight, _), parent): (&(Option<f64>, Line<'_>), &Option<usize>)| Node {
        parent: *parent,
        weight: *weight,
    };
    Tree::new(&nodes.iter().zip(&parents).map(node).collect::<Vec<_>>(), &leaves)
}

/// What an option says of edges.
#[derive(Debug, Clone)]
pub enum GraphOption {
    /// Each column and the next one.
    Chain,
    /// A file has them.
    File(PathBuf),
}

impl GraphOption {
    /// `chain`, or a path.
    pub fn of(text: &str) -> Self {
        if text == "chain" { GraphOption::Chain } else { GraphOption::File(PathBuf::from(text)) }
    }
    /// The graph of these columns.
    pub fn graph(&self, columns: &Columns<'_>) -> Result<Graph> {
        match self {
            GraphOption::Chain => Ok(Graph::chain(columns.count())),
            GraphOption::File(path) => {
                let lines = crate::data::vocabulary(path)?;
                parse_graph(&path.display().to_string(), lines.iter().map(String::as_str), columns)
            }
        }
    }
}

fn parse_graph<'a>(
    file: &'a str,
    lines: impl Iterator<Item = &'a str>,
    columns: &Columns<'_>,
) -> Result<Graph> {
    let mut edges = vec![];
    let mut known: HashMap<(usize, usize), usize> = HashMap::new();
    for (number, text) in (1..).zip(lines).filter(|(_, text)| !text.is_empty()) {
        let has_separators = text.contains([',', '\t']);
        let line =
            Line::new(file, number, text, |c| if has_separators { c == ',' || c == '\t' } else { c == ' ' });
        if number == 1 && line.get(0) == "from" && columns.place("from").is_none() {
            continue;
        }
        let mut ends = [0; 2];
        for (field, end) in ends.iter_mut().enumerate() {
            let name = line.get(field);
            *end = match columns.place(name) {
                Some(place) => place,
                None if name.is_empty() => {
                    return line.fault(field, "an edge has two columns", "a column, another, a weight");
                }
                None => return line.fault(field, &format!("there is no column `{name}`"), &columns.hint()),
            };
        }
        let weight = line.weight(|w| w != 0.0, "an edge's is a number other than 0")?.unwrap_or(1.0);
        let [from, to] = ends;
        if from == to {
            return line.fault(
                1,
                &format!("`{}` has an edge to itself", line.get(0)),
                "an edge is between two columns",
            );
        }
        if let Some(before) = known.insert((from.min(to), from.max(to)), number) {
            return line.fault(0, &format!("this edge is in line {before} already"), "give one weight");
        }
        edges.push(Edge { from: from as u32, to: to as u32, weight });
    }
    Graph::new(columns.count(), edges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["a", "b", "c"].map(String::from).to_vec()
    }

    #[test]
    fn trees_are_read() {
        let names = names();
        let columns = Columns::new(3, Some(&names));
        let text = "node,parent,weight\na, x ,0.5\n\nx\ttop\ntop,\nb,x\nc,top\n";
        let tree = parse_tree("f", text.lines().map(str::trim), &columns).unwrap();
        let node = |parent| Node { parent, weight: None };
        let leaf = |node, weight| Leaf { node, weight };
        let same = [leaf(0, 0.5), leaf(0, 0.0), leaf(1, 0.0)];
        assert_eq!(tree, Tree::new(&[node(Some(1)), node(None)], &same).unwrap());
        let numbers = Columns::new(2, None);
        assert_eq!(parse_tree("f", "x,,2\n1,x\n2,x".lines(), &numbers).unwrap().len(), 1);
        for (text, message) in [
            ("a,x\nx,", "f: column `b` is not in the tree"),
            ("a,y\nx,", "f:1:3: there is no node `y`"),
            ("a,b\nx,", "f:1:3: `b` is a column"),
            ("a,x\n x , y\ny,z\nz,x", "f:2:6: node `x` is below itself"),
            ("a,x\nx,x", "f:2:3: node `x` is below itself"),
            ("x,\na,x\na,x", "f:3:1: column `a` is in the tree already"),
            ("x,\nx,", "f:2:1: node `x` is in the tree already"),
            ("x,,0", "f:1:4: `0` is no weight"),
            ("x,,-1", "f:1:4: `-1` is no weight"),
            ("a,x,nan", "f:1:5: `nan` is no weight"),
            ("a,x,1,2", "f:1:7: `2` is too much"),
            ("a", "f:1:2: column `a` is below no node"),
            (",x", "f:1:1: nothing is named"),
            ("x,\nd,x\na,x\nb,x\nc,x", "f:2:1: `d` is no column, and has none below it"),
        ] {
            let e = parse_tree("f", text.lines(), &columns).unwrap_err();
            assert!(e.to_string().contains(message), "{text}: {e}");
            assert_eq!(e.exit_code(), 3);
        }
        let e = parse_tree("f", "x,\n3,x".lines(), &numbers).unwrap_err();
        assert!(e.to_string().contains("f:2:1: there is no column `3`"), "{e}");
    }

    #[test]
    fn graphs_are_read() {
        let names = names();
        let columns = Columns::new(3, Some(&names));
        let graph = parse_graph("f", "from,to,weight\nb,a,-2\na c".lines(), &columns).unwrap();
        let edge = |from, to, weight| Edge { from, to, weight };
        assert_eq!(graph.edges(), [edge(0, 1, -2.0), edge(0, 2, 1.0)]);
        for (text, message) in [
            ("a,b\na,d", "f:2:3: there is no column `d`"),
            ("a,b\nb,a", "f:2:1: this edge is in line 1 already"),
            ("a,a", "f:1:3: `a` has an edge to itself"),
            ("a", "f:1:2: an edge has two columns"),
            ("a,b,x", "f:1:5: `x` is no weight"),
            ("a,b,0", "f:1:5: `0` is no weight"),
            ("a,b,1,", "f:1:7: `` is too much"),
        ] {
            let e = parse_graph("f", text.lines(), &columns).unwrap_err();
            assert!(e.to_string().contains(message), "{text}: {e}");
            assert_eq!(e.exit_code(), 3);
        }
        assert!(matches!(GraphOption::of("chain"), GraphOption::Chain));
    }
}
