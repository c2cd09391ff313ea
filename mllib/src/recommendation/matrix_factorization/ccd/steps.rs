//! What is done in which clock.

/// What a step of an epoch moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Biases,
    /// A feature, by its number.
    Feature(usize),
}

/// The steps of an epoch: the biases, if there are any, and each feature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub rank: usize,
    pub biases: bool,
    /// How often each feature of users and items is moved before the next.
    pub inner: usize,
}

/// What a clock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Visit {
    pub of_items: bool,
    pub step: Step,
    /// The first time that this end is moved in this step.
    pub is_first: bool,
    /// The last time.
    pub is_last: bool,
    /// The step before; nothing at the very beginning.
    pub before: Option<Step>,
    pub next: Step,
    /// The last of its epoch.
    pub ends_epoch: bool,
}

impl Steps {
    fn count(self) -> usize {
        usize::from(self.biases) + self.rank
    }
    /// Users and then items, for each inner iteration of each step. Those of biases are never repeated.
    pub fn clocks_per_epoch(self) -> u64 {
        2 * (u64::from(self.biases) + self.rank as u64 * self.inner as u64)
    }
    fn step(self, number: usize) -> Step {
        match (number % self.count()).checked_sub(usize::from(self.biases)) {
            None => Step::Biases,
            Some(feature) => Step::Feature(feature),
        }
    }
    /// Of a clock, by its number.
    pub fn visit(self, clock: u64) -> Visit {
        let in_epoch = clock % self.clocks_per_epoch();
        let (pair, of_items) = (in_epoch / 2, in_epoch % 2 == 1);
        let biases = u64::from(self.biases);
        let (number, inner, last) = match pair.checked_sub(biases) {
            None => (0, 0, 0),
            Some(pair) => {
                let inner = self.inner as u64;
                ((biases + pair / inner) as usize, pair % inner, inner - 1)
            }
        };
        Visit {
            of_items,
            step: self.step(number),
            is_first: inner == 0,
            is_last: inner == last,
            before: (clock >= 2).then(|| self.step(number + self.count() - 1)),
            next: self.step(number + 1),
            ends_epoch: in_epoch + 1 == self.clocks_per_epoch(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_biases_and_then_feature_by_feature() {
        let steps = Steps { rank: 2, biases: true, inner: 2 };
        assert_eq!(steps.clocks_per_epoch(), 10);
        let [b, f, g] = [Step::Biases, Step::Feature(0), Step::Feature(1)];
        let expected =
            [(b, true, true), (f, true, false), (f, false, true), (g, true, false), (g, false, true)];
        for (clock, (step, is_first, is_last)) in (10..).step_by(2).zip(expected) {
            for of_items in [false, true] {
                let visit = steps.visit(clock + u64::from(of_items));
                let (before, next) = match step {
                    Step::Biases => (g, f),
                    Step::Feature(0) => (b, g),
                    Step::Feature(_) => (f, b),
                };
                let ends_epoch = clock == 18 && of_items;
                let before = Some(before);
                assert_eq!(visit, Visit { of_items, step, is_first, is_last, before, next, ends_epoch });
            }
        }
        assert!(steps.visit(0).before.is_none() && steps.visit(1).before.is_none());
        let one = Steps { rank: 1, biases: false, inner: 1 };
        assert_eq!((one.clocks_per_epoch(), one.visit(2).before, one.visit(0).next), (2, Some(f), f));
    }
}
