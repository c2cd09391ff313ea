//! All combinations of values of some parameters.

/// All combinations of values, from a base that the first value list changes slowest.
///
/// ```
/// use slackwater_mllib::tuning::Grid;
/// let grid = Grid::of((0.0, "")).vary(&[0.1, 1.0], |p, c| p.0 = *c).vary(&["a", "b"], |p, s| p.1 = *s);
/// assert_eq!(grid.candidates(), [(0.1, "a"), (0.1, "b"), (1.0, "a"), (1.0, "b")]);
/// ```
#[derive(Debug, Clone)]
pub struct Grid<P> {
    candidates: Vec<P>,
}

impl<P: Clone> Grid<P> {
    /// One candidate.
    pub fn of(base: P) -> Self {
        Grid { candidates: vec![base] }
    }
    /// Every candidate so far with every one of `values`, put there by `set`.
    #[must_use]
    pub fn vary<V>(self, values: &[V], set: impl Fn(&mut P, &V)) -> Self {
        let combine = |candidate: &P| {
            let with = |value: &V| {
                let mut changed = candidate.clone();
                set(&mut changed, value);
                changed
            };
            values.iter().map(with).collect::<Vec<P>>()
        };
        Grid { candidates: self.candidates.iter().flat_map(combine).collect() }
    }
    /// The candidates.
    pub fn candidates(&self) -> &[P] {
        &self.candidates
    }
}
