//! Groups of variables: who is updated after whom, and who at the same time.

mod dispatch;
mod lane;
mod program;
mod run;
mod shared;

pub use dispatch::Dispatch;
pub use program::GroupProgram;
pub use run::{GroupOutcome, GroupScheduling, GroupsExt, SweepPoint};
pub use shared::Shared;

use super::dependency::ConflictGraph;
use slackwater_dataflow::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Variables `0..n` in groups: each is in one group, and has a place in it.
///
/// Groups have numbers from 0, in their order. The order inside of a group is that of updates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Where each group begins in `order`, and where the last one ends.
    starts: Arc<[usize]>,
    order: Arc<[u32]>,
}

impl Groups {
    /// Groups as they are listed. Empty ones are left out.
    ///
    /// # Errors
    /// Input, unless each of the variables from 0 to the largest is listed, and once.
    pub fn new(groups: Vec<Vec<u32>>) -> Result<Self> {
        let groups: Vec<Vec<u32>> = groups.into_iter().filter(|g| !g.is_empty()).collect();
        let variables: usize = groups.iter().map(Vec::len).sum();
        let mut group_of: Vec<Option<usize>> = vec![None; variables];
        for (g, group) in groups.iter().enumerate() {
            for variable in group {
                let Some(known) = group_of.get_mut(*variable as usize) else {
                    let message = format!(
                        "variable {variable} is in group {g}, but there are {variables} places in all groups"
                    );
                    let hint = "variables are numbered from 0 without gaps, and each is in one group; what depends on nothing \
                                is a group by itself";
                    return Err(Error::input(message, hint));
                };
                if let Some(other) = known.replace(g) {
                    let message = match other == g {
                        true => format!("variable {variable} is twice in group {g}"),
                        false => format!("variable {variable} is in groups {other} and {g}"),
                    };
                    return Err(Error::input(message, "each variable is in one group, once"));
                }
            }
        }
        // As many places as variables, none out of range and none twice: so none is missing.
        Ok(Self::of(groups))
    }
    /// The connected components of a graph over `variables` variables, by their least variable: what depends on each other,
    /// whether or not by way of others, is updated one after the other. Inside a group variables ascend.
    pub fn components(variables: usize, graph: &ConflictGraph) -> Self {
        let (mut seen, mut groups) = (vec![false; variables], vec![]);
        for first in 0..variables {
            if std::mem::replace(&mut seen[first], true) {
                continue;
            }
            let mut group = vec![first as u32];
            let mut next = 0;
            while let Some(variable) = group.get(next) {
                for other in graph.neighbours(*variable as usize) {
                    if seen.get(*other as usize) == Some(&false) {
                        seen[*other as usize] = true;
                        group.push(*other);
                    }
                }
                next += 1;
            }
            group.sort_unstable();
            groups.push(group);
        }
        Self::of(groups)
    }
    /// The trees of a forest, given the parent of each variable: a group for each root, by its number. Parents come before
    /// their children, those nearer to the root first, and among them the lower numbers.
    ///
    /// # Errors
    /// Input, for a parent that is no variable, and for variables that are their own ancestors.
    pub fn forest(parents: &[Option<u32>]) -> Result<Self> {
        let mut children: Vec<Vec<u32>> = vec![vec![]; parents.len()];
        let mut groups = vec![];
        for (child, parent) in parents.iter().enumerate() {
            let Some(parent) = parent else {
                groups.push(vec![child as u32]);
                continue;
            };
            let Some(siblings) = children.get_mut(*parent as usize) else {
                let message =
                    format!("the parent of variable {child} is {parent}, of {} variables", parents.len());
                return Err(Error::input(message, "variables are numbered from 0; roots have no parent"));
            };
            siblings.push(child as u32);
        }
        for group in &mut groups {
            let mut level = 0..1;
            while !level.is_empty() {
                let mut below: Vec<u32> =
                    group[level.clone()].iter().flat_map(|v| &children[*v as usize]).copied().collect();
                below.sort_unstable();
                level = level.end..level.end + below.len();
                group.extend(below);
            }
        }
        let found: BTreeSet<u32> = groups.iter().flatten().copied().collect();
        if let Some(lost) = (0..parents.len() as u32).find(|v| !found.contains(v)) {
            let message = format!("variable {lost} has no root: its parents lead in a circle");
            return Err(Error::input(message, "a forest has a variable without a parent in each tree"));
        }
        Ok(Self::of(groups))
    }
    fn of(groups: Vec<Vec<u32>>) -> Self {
        let mut starts = vec![0];
        for group in &groups {
            starts.push(starts[starts.len() - 1] + group.len());
        }
        Groups { starts: starts.into(), order: groups.concat().into() }
    }
    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }
    /// True if there are no variables.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
    /// How many variables there are.
    pub fn variables(&self) -> usize {
        self.order.len()
    }
    /// Variables of a group, in the order of updates.
    ///
    /// # Panics
    /// If there is no such group.
    pub fn group(&self, group: usize) -> &[u32] {
        &self.order[self.starts[group]..self.starts[group + 1]]
    }
    /// All groups, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).map(|g| self.group(g))
    }
    /// By variable: its group.
    fn group_of(&self) -> Vec<u32> {
        let mut group_of = vec![0; self.variables()];
        for (g, group) in self.iter().enumerate() {
            group.iter().for_each(|v| group_of[*v as usize] = g as u32);
        }
        group_of
    }
    /// By group: the least number that no group before it has which an edge of the graph joins with it. So there are at most
    /// as many numbers as a group has such neighbours, and one.
    fn colours(&self, graph: &ConflictGraph) -> Vec<u32> {
        let group_of = self.group_of();
        let mut colours: Vec<u32> = vec![];
        for (g, group) in self.iter().enumerate() {
            let around = group.iter().flat_map(|v| graph.neighbours(*v as usize));
            let before =
                around.filter_map(|v| group_of.get(*v as usize)).filter(|other| (**other as usize) < g);
            let taken: BTreeSet<u32> = before.map(|other| colours[*other as usize]).collect();
            let free = (0..).zip(&taken).take_while(|(i, t)| i == *t).count();
            colours.push(free as u32);
        }
        colours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_variable_is_in_one_group() {
        let groups = Groups::new(vec![vec![3, 1], vec![], vec![0], vec![4, 2]]).unwrap();
        assert_eq!((groups.len(), groups.variables()), (3, 5));
        assert_eq!(groups.iter().collect::<Vec<_>>(), [vec![3, 1], vec![0], vec![4, 2]]);
        assert!(Groups::new(vec![]).unwrap().is_empty());
        for (wrong, message) in [
            (vec![vec![0, 1], vec![3]], "variable 3 is in group 1, but there are 3 places"),
            (vec![vec![0, 1], vec![2, 1]], "variable 1 is in groups 0 and 1"),
            (vec![vec![0, 0], vec![1]], "variable 0 is twice in group 0"),
        ] {
            let error = Groups::new(wrong).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains("hint"), "{error}");
        }
    }

    #[test]
    fn components_of_a_graph() {
        let graph = ConflictGraph::new(7, [(5, 0), (0, 3), (2, 6)]);
        let groups = Groups::components(7, &graph);
        assert_eq!(groups.iter().collect::<Vec<_>>(), [vec![0, 3, 5], vec![1], vec![2, 6], vec![4]]);
        // A graph over other variables than there are joins those that there are.
        assert_eq!(Groups::components(3, &graph).len(), 3);
    }

    #[test]
    fn trees_of_a_forest() {
        let groups =
            Groups::forest(&[Some(4), None, Some(4), Some(0), None, Some(1), Some(0), Some(2)]).unwrap();
        assert_eq!(groups.iter().collect::<Vec<_>>(), [vec![1, 5], vec![4, 0, 2, 3, 6, 7]]);
        let circle = Groups::forest(&[None, Some(2), Some(1)]).unwrap_err().to_string();
        assert!(circle.contains("variable 1 has no root") && circle.contains("hint"), "{circle}");
        let nobody = Groups::forest(&[None, Some(2)]).unwrap_err().to_string();
        assert!(nobody.contains("the parent of variable 1 is 2, of 2 variables"), "{nobody}");
    }

    #[test]
    fn groups_that_depend_on_each_other_have_two_colours() {
        let groups = Groups::new((0..6).map(|g| vec![2 * g, 2 * g + 1]).collect()).unwrap();
        let edges: Vec<(u32, u32)> = (0..11).map(|v| (v, v + 1)).chain([(0, 11)]).collect();
        let ring = ConflictGraph::new(12, edges);
        assert_eq!(groups.colours(&ring), [0, 1, 0, 1, 0, 1]);
        let all = (0..12).flat_map(|a| (0..a).map(move |b| (a, b)));
        assert_eq!(groups.colours(&ConflictGraph::new(12, all)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(groups.colours(&ConflictGraph::new(12, [])), [0; 6]);
    }
}
