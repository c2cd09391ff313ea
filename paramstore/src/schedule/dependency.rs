//! The dependency checker: which of the drawn variables may change in the same step.

use super::Selection;
use super::pool::Pool;
use slackwater_dataflow::rng;
use std::collections::HashMap;
use std::sync::Arc;

/// Which variables must not change in the same step.
#[derive(Debug, Clone)]
pub enum Dependencies {
    /// None keeps another from changing.
    None,
    /// Those whose dependency is `at_most` or more, as the program [measures](super::Program::dependencies) it.
    Measured {
        /// The bound, above all dependencies of a set.
        at_most: f64,
    },
    /// Those that an edge joins.
    Graph(ConflictGraph),
    /// Those of the same group, by variable.
    Groups(Arc<[u32]>),
}

/// A graph over variables: an edge joins two that must not change in the same step.
#[derive(Debug, Clone)]
pub struct ConflictGraph {
    starts: Arc<[usize]>,
    ends: Arc<[u32]>,
}

impl ConflictGraph {
    /// From edges, each given once or in both directions. What is not below `variables` joins nothing.
    pub fn new(variables: usize, edges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut both: Vec<(u32, u32)> = edges
            .into_iter()
            .filter(|(a, b)| a != b && (*a.max(b) as usize) < variables)
            .flat_map(|(a, b)| [(a, b), (b, a)])
            .collect();
        both.sort_unstable();
        both.dedup();
        let mut starts = vec![0; variables + 1];
        both.iter().for_each(|(a, _)| starts[*a as usize + 1] += 1);
        (0..variables).for_each(|i| starts[i + 1] += starts[i]);
        ConflictGraph { starts: starts.into(), ends: both.into_iter().map(|(_, b)| b).collect() }
    }
    /// A tree or forest, by the parent of each variable: nobody changes together with its parent.
    pub fn tree(parents: &[Option<u32>]) -> Self {
        let edges = parents.iter().enumerate().filter_map(|(child, parent)| Some((child as u32, (*parent)?)));
        ConflictGraph::new(parents.len(), edges)
    }
    /// Variables that an edge joins with this one, ascending.
    pub fn neighbours(&self, variable: usize) -> &[u32] {
        match self.starts.get(variable..variable + 2) {
            Some(&[start, end]) => &self.ends[start..end],
            _ => &[],
        }
    }
}

/// What a variable depends on, among those of its scheduler.
#[derive(Debug, Clone, Default)]
pub(super) struct Neighbourhood {
    /// By place among them.
    pub neighbours: Vec<u32>,
    /// The largest dependency on any other.
    pub others: f64,
}

/// Entries of neighbourhoods that a scheduler keeps; beyond that they are found again.
const KEPT_MAX: usize = 1 << 24;

/// Neighbourhoods that were asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Neighbourhoods {
    kept: HashMap<u32, Arc<Neighbourhood>>,
    entries: usize,
}

impl Neighbourhoods {
    pub fn get(&mut self, variable: u32, find: impl FnOnce() -> Neighbourhood) -> Arc<Neighbourhood> {
        if let Some(kept) = self.kept.get(&variable) {
            return kept.clone();
        }
        let found = Arc::new(find());
        let entries = 4 + found.neighbours.len();
        if self.entries + entries <= KEPT_MAX {
            self.entries += entries;
            self.kept.insert(variable, found.clone());
        }
        found
    }
}

/// A set of variables that may change in the same step.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Chosen {
    /// By place among those of the scheduler, in the order of the draws.
    pub variables: Vec<u32>,
    /// No two of them depend on each other more than this.
    pub certificate: f64,
}

impl Chosen {
    /// Two variables depend on each other at most by the lesser of what each depends on all that it is not kept from, so the second
    /// largest of these bounds all pairs.
    fn add(&mut self, variable: u32, others: f64, largest: &mut f64) {
        if !self.variables.is_empty() {
            self.certificate = self.certificate.max(others.min(*largest));
        }
        *largest = largest.max(others);
        self.variables.push(variable);
    }
}

/// Draws for each place in a set.
const DRAWS: usize = 4;
/// Sets that are chosen at once, at most.
const SETS_MAX: usize = 64;

/// Which variables cannot be in which of the sets that are being chosen.
#[derive(Debug, Clone, Default)]
pub(super) struct Bars {
    /// By variable: for which choice its entry counts, and a bit for each set.
    of: Vec<(u32, u64)>,
    choice: u32,
}

impl Bars {
    fn begin(&mut self) {
        self.choice = self.choice.wrapping_add(1);
        if self.choice == 0 {
            self.of.clear();
            self.choice = 1;
        }
    }
    fn get(&self, variable: u32) -> u64 {
        self.of
            .get(variable as usize)
            .filter(|(choice, _)| *choice == self.choice)
            .map_or(0, |(_, sets)| *sets)
    }
    fn bar(&mut self, set: usize, neighbours: &[u32]) {
        for neighbour in neighbours {
            let at = *neighbour as usize;
            if at >= self.of.len() {
                self.of.resize(at + 1, (0, 0));
            }
            let entry = &mut self.of[at];
            if entry.0 != self.choice {
                *entry = (self.choice, 0);
            }
            entry.1 |= 1 << set;
        }
    }
}

/// Chooses a set of up to `want` variables, or several sets that follow each other.
pub(super) fn choose(
    pool: &mut Pool,
    bars: &mut Bars,
    rng: &mut rng::Stream,
    want: usize,
    selection: Selection,
    mut neighbourhood: impl FnMut(u32) -> Arc<Neighbourhood>,
) -> Vec<Chosen> {
    bars.begin();
    let mut sets = vec![(Chosen::default(), 0.0)];
    let mut left_out = vec![];
    let colours = selection == Selection::Colours;
    for drawn in 0..DRAWS * want {
        let is_enough = if colours { drawn >= 2 * want } else { sets[0].0.variables.len() >= want };
        let Some(variable) = (if is_enough { None } else { pool.draw(rng) }) else { break };
        let barred = bars.get(variable);
        let has_room = |s: &usize| barred >> s & 1 == 0 && sets[*s].0.variables.len() < want;
        let mut place = (0..sets.len()).find(has_room);
        if place.is_none() && colours && sets.len() < SETS_MAX {
            sets.push((Chosen::default(), 0.0));
            place = Some(sets.len() - 1);
        }
        let Some(place) = place else {
            left_out.push(variable);
            if selection == Selection::InOrder {
                bars.bar(0, &neighbourhood(variable).neighbours);
            }
            continue;
        };
        let around = neighbourhood(variable);
        bars.bar(place, &around.neighbours);
        let (set, largest) = &mut sets[place];
        set.add(variable, around.others, largest);
    }
    match selection {
        Selection::InOrder => pool.put_first(&left_out),
        _ => pool.put_back(&left_out),
    }
    sets.into_iter().map(|(set, _)| set).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Priority;
    use super::*;

    /// Variables depend on each other by a table.
    fn check(selection: Selection, n: u32, at_most: f64, of: impl Fn(u32, u32) -> f64) -> Vec<Vec<Chosen>> {
        let mut rng = rng::stream(5, 0);
        let mut pool = Pool::new(n as usize, Priority::Change { uniform: 0.5 }, &mut rng);
        if selection == Selection::InOrder {
            pool = Pool::new(n as usize, Priority::Cyclic, &mut rng);
        }
        let (mut bars, mut all) = (Bars::default(), vec![]);
        for _ in 0..60 {
            let sets = choose(&mut pool, &mut bars, &mut rng, 8, selection, |v| {
                let others = || (0..n).filter(|k| *k != v);
                let neighbours = others().filter(|k| of(v, *k) >= at_most).collect();
                let rest = others().map(|k| of(v, k)).filter(|d| *d < at_most);
                Arc::new(Neighbourhood { neighbours, others: rest.fold(0.0, f64::max) })
            });
            for set in &sets {
                assert!(set.variables.len() <= 8);
                let pairs = set.variables.iter().flat_map(|a| set.variables.iter().map(move |b| (*a, *b)));
                let largest = pairs.filter(|(a, b)| a != b).map(|(a, b)| of(a, b)).fold(0.0, f64::max);
                assert!(largest <= set.certificate && set.certificate < at_most, "{largest} {set:?}");
            }
            sets.iter().flat_map(|s| &s.variables).for_each(|v| pool.settle(*v, f64::from(v % 3)));
            all.push(sets);
        }
        all
    }

    fn distance(a: u32, b: u32) -> f64 {
        1.0 / f64::from(a.abs_diff(b))
    }

    #[test]
    fn sets_are_independent_and_certified() {
        let all = check(Selection::Independent, 100, 0.3, distance);
        assert!(all.iter().all(|sets| sets.len() == 1));
        let mean = all.iter().map(|s| s[0].variables.len()).sum::<usize>() as f64 / 60.0;
        assert!(mean > 7.5, "{mean}");
    }

    #[test]
    fn colours_lose_nothing_that_was_drawn() {
        // All depend on all: each is a set of its own.
        let all = check(Selection::Colours, 30, 0.01, distance);
        assert!(all.iter().all(|sets| sets.len() == 16 && sets.iter().all(|s| s.variables.len() == 1)));
        let all = check(Selection::Colours, 100, 0.3, distance);
        let drawn = |sets: &Vec<Chosen>| sets.iter().map(|s| s.variables.len()).sum::<usize>();
        assert!(all.iter().all(|sets| drawn(sets) == 16));
    }

    /// What depends on each other keeps the order of a cycle, whatever is computed together.
    #[test]
    fn order_is_kept() {
        let all = check(Selection::InOrder, 40, 0.4, distance);
        let mut turns = [0usize; 40];
        for set in all.iter().map(|sets| &sets[0]) {
            for v in &set.variables {
                let near = (0..40u32).filter(|k| *k != *v && distance(*v, *k) >= 0.4);
                for k in near {
                    // A neighbour before it in the cycle has had its turn, one after it has not.
                    let expected = turns[*v as usize] + usize::from(k < *v);
                    assert_eq!(turns[k as usize], expected, "{v} before {k}");
                }
                turns[*v as usize] += 1;
            }
        }
        assert!(turns.iter().all(|t| *t >= 2), "{turns:?}");
    }

    #[test]
    fn graphs() {
        let graph = ConflictGraph::new(4, [(0, 1), (1, 0), (2, 1), (3, 3), (3, 9)]);
        assert_eq!(
            [0, 1, 2, 3, 7].map(|v| graph.neighbours(v).to_vec()),
            [vec![1], vec![0, 2], vec![1], vec![], vec![]]
        );
        let tree = ConflictGraph::tree(&[None, Some(0), Some(0), Some(1)]);
        assert_eq!(tree.neighbours(0), [1, 2]);
        assert_eq!(tree.neighbours(1), [0, 3]);
    }
}
