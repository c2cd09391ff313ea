//! The dependency checker: which of the drawn variables may change in the same step.

use super::Selection;
use super::pool::Pool;
use slackwater_dataflow::rng;
use std::sync::Arc;

/// Which variables must not change in the same step.
#[derive(Debug, Clone)]
pub enum Dependencies {
    /// None keeps another from changing.
    None,
    /// Those whose dependency is `at_most` or more, as the program [measures](super::Program::dependency) it.
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

/// Dependencies of variables that are kept; of others they are measured again.
const KEPT_MAX: usize = 1 << 24;
/// No slot.
const NONE: u32 = u32::MAX;

/// Dependencies that were measured, by places among the variables of a scheduler.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    slots: Vec<u32>,
    /// Row `i` has those with the slots before it; not a number where nothing is known.
    rows: Vec<Vec<f32>>,
    entries: usize,
    /// Places among those that were asked for, and variables.
    unknown: Vec<(usize, u32)>,
}

impl Measured {
    #[inline]
    fn slot(&mut self, variable: u32) -> Option<usize> {
        match self.slots.get(variable as usize) {
            Some(slot) if *slot != NONE => Some(*slot as usize),
            _ => self.new_slot(variable),
        }
    }
    #[cold]
    fn new_slot(&mut self, variable: u32) -> Option<usize> {
        let at = variable as usize;
        if at >= self.slots.len() {
            self.slots.resize(at + 1, NONE);
        }
        if self.entries + self.rows.len() > KEPT_MAX {
            return None;
        }
        self.slots[at] = self.rows.len() as u32;
        self.entries += self.rows.len();
        self.rows.push(vec![f32::NAN; self.rows.len()]);
        Some(self.slots[at] as usize)
    }
    /// Appends by how much a variable depends on each of `others`, or a little more. What is not known is measured, all at once.
    pub fn get(
        &mut self,
        a: u32,
        others: &[u32],
        to: &mut Vec<f64>,
        measure: impl FnOnce(&[u32], &mut [f64]),
    ) {
        let up = |d: f64| if d == 0.0 { 0.0 } else { (d as f32).next_up() };
        let first = to.len();
        self.unknown.clear();
        let slot = self.slot(a);
        for (at, b) in others.iter().enumerate() {
            let known = match (slot, self.slot(*b)) {
                (Some(i), Some(k)) => self.rows[i.max(k)][i.min(k)],
                _ => f32::NAN,
            };
            to.push(f64::from(known));
            if known.is_nan() {
                self.unknown.push((at, *b));
            }
        }
        if self.unknown.is_empty() {
            return;
        }
        let unknown: Vec<u32> = self.unknown.iter().map(|(_, b)| *b).collect();
        let mut measured = vec![0.0; unknown.len()];
        measure(&unknown, &mut measured);
        for (k, depends) in measured.into_iter().enumerate() {
            let ((at, b), depends) = (self.unknown[k], up(depends));
            to[first + at] = f64::from(depends);
            if let (Some(i), Some(k)) = (slot, self.slot(b)) {
                self.rows[i.max(k)][i.min(k)] = depends;
            }
        }
    }
}

/// What is done in a step.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Chosen {
    /// Variables that change, by place, in the order of the draws.
    pub variables: Vec<u32>,
    /// Variables of which no change is expected. It is found out whether one would change, but it does not: so they may depend on
    /// whatever they like.
    pub probes: Vec<u32>,
    /// No two of those that change depend on each other more than this.
    pub certificate: f64,
}

impl Chosen {
    fn len(&self) -> usize {
        self.variables.len() + self.probes.len()
    }
}

/// Two variables that must not change in the same step, and by how much they depend on each other.
pub(super) type Conflict = (u32, u32, f64);

/// Draws for each place in a set.
const DRAWS: usize = 4;
/// Variables that another is compared with at once.
const LOOK: usize = 32;

/// Chooses a set of up to `want` variables, or several sets that follow each other. None has two that depend on each
/// other by `at_most` or more; such ones that were met are appended to `conflicts`. `dependencies` appends by how much a variable
/// depends on each of others.
pub(super) fn choose(
    pool: &mut Pool,
    rng: &mut rng::Stream,
    want: usize,
    selection: Selection,
    at_most: f64,
    mut dependencies: impl FnMut(u32, &[u32], &mut Vec<f64>),
    conflicts: &mut Vec<Conflict>,
) -> Vec<Chosen> {
    let mut sets = vec![Chosen::default()];
    let (mut left_out, mut depends): (Vec<u32>, Vec<f64>) = (vec![], vec![]);
    let (colours, in_order) = (selection == Selection::Colours, selection == Selection::InOrder);
    for drawn in 0..DRAWS * want {
        let is_enough = if colours { drawn >= 2 * want } else { sets[0].len() >= want };
        let Some((variable, is_expected)) = (if is_enough { None } else { pool.draw(rng) }) else { break };
        if !is_expected {
            if colours && sets.iter().all(|s| s.len() >= want) {
                sets.push(Chosen::default());
            }
            match sets.iter_mut().find(|s| s.len() < want) {
                Some(set) => set.probes.push(variable),
                None => left_out.push(variable),
            }
            continue;
        }
        // The largest dependency on any of these, if none is too large.
        let mut largest = |others: &[u32]| {
            let mut largest: f64 = 0.0;
            for others in others.chunks(LOOK) {
                depends.clear();
                dependencies(variable, others, &mut depends);
                for (other, depends) in others.iter().zip(&depends) {
                    if *depends >= at_most {
                        conflicts.push((variable, *other, *depends));
                        return None;
                    }
                    largest = largest.max(*depends);
                }
            }
            Some(largest)
        };
        let may = !in_order || largest(&left_out).is_some();
        let mut place = None;
        if may {
            let mut all = sets.iter().enumerate().filter(|(_, set)| set.len() < want);
            place = all.find_map(|(s, set)| Some((s, largest(&set.variables)?)));
        }
        if place.is_none() && colours {
            sets.push(Chosen::default());
            place = Some((sets.len() - 1, 0.0));
        }
        match place {
            Some((s, depends)) => {
                sets[s].variables.push(variable);
                sets[s].certificate = sets[s].certificate.max(depends);
            }
            None => left_out.push(variable),
        }
    }
    match in_order {
        true => pool.put_first(&left_out),
        false => pool.put_back(&left_out),
    }
    sets
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
        let (mut kept, mut all) = (Measured::default(), vec![]);
        for _ in 0..60 {
            let mut conflicts = vec![];
            let mut depend = |a: u32, others: &[u32], to: &mut Vec<f64>| {
                kept.get(a, others, to, |others, to| {
                    to.iter_mut().zip(others).for_each(|(to, b)| *to = of(a, *b))
                });
            };
            let sets = choose(&mut pool, &mut rng, 8, selection, at_most, &mut depend, &mut conflicts);
            assert!(conflicts.iter().all(|(a, b, d)| *d >= at_most && (*d - of(*a, *b)).abs() < 1e-6));
            for set in &sets {
                assert!(set.len() <= 8);
                let pairs = set.variables.iter().flat_map(|a| set.variables.iter().map(move |b| (*a, *b)));
                let largest = pairs.filter(|(a, b)| a != b).map(|(a, b)| of(a, b)).fold(0.0, f64::max);
                assert!(largest <= set.certificate && set.certificate < at_most, "{largest} {set:?}");
                assert!(set.certificate - largest < 1e-6);
            }
            sets.iter().flat_map(|s| &s.probes).for_each(|v| pool.settle(*v, 1.0));
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
        let mean = all.iter().map(|s| s[0].len()).sum::<usize>() as f64 / 60.0;
        assert!(mean > 7.5, "{mean}");
    }

    #[test]
    fn colours_lose_nothing_that_was_drawn() {
        // All depend on all: each is a set of its own.
        let all = check(Selection::Colours, 30, 0.01, distance);
        assert!(all[10..].iter().flatten().all(|s| s.variables.len() <= 1));
        assert!(all[10..].iter().any(|sets| sets.len() > 10));
        let all = check(Selection::Colours, 100, 0.3, distance);
        let drawn = |sets: &Vec<Chosen>| sets.iter().map(Chosen::len).sum::<usize>();
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
