//! What goes wrong in a simulation.

use super::baton::Dice;
use std::fmt;

/// How much goes wrong in a simulation, at most: as much as there is time for before the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Processes that are killed.
    pub kills: usize,
    /// Processes that are not scheduled for a while. If that is too long for the others, they are given up and replaced, and
    /// wake up later.
    pub freezes: usize,
    /// Processes that are killed and not replaced: the others go on without them. The first one stays.
    pub shrinks: usize,
    /// Processes that come in addition.
    pub grows: usize,
    /// Steps from one fault to the next, about. A third of them come at once after the one before, and a third where threads
    /// seldom are.
    pub apart_steps: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults { kills: 0, freezes: 0, shrinks: 0, grows: 0, apart_steps: 1000 }
    }
}

impl Faults {
    pub(super) fn left(&self) -> usize {
        self.kills + self.freezes + self.shrinks + self.grows
    }
    /// Takes one of those that are left and that are possible.
    pub(super) fn draw(&mut self, can_shrink: bool, dice: &mut Dice) -> Option<Fault> {
        let shrinks = if can_shrink { self.shrinks } else { 0 };
        let mut drawn = dice.below((self.kills + self.freezes + shrinks + self.grows) as u64) as usize;
        let kinds = [
            (Fault::Kill, &mut self.kills, usize::MAX),
            (Fault::Freeze { steps: 0, is_given_up: false }, &mut self.freezes, usize::MAX),
            (Fault::Shrink, &mut self.shrinks, shrinks),
            (Fault::Grow, &mut self.grows, usize::MAX),
        ];
        for (fault, left, most) in kinds {
            let n = (*left).min(most);
            if drawn < n {
                *left -= 1;
                return Some(fault);
            }
            drawn -= n;
        }
        None
    }
}

/// Something that has gone wrong, or has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process was killed.
    Kill,
    /// A process was not scheduled.
    Freeze {
        /// For how many steps.
        steps: u64,
        /// The others have not waited for it.
        is_given_up: bool,
    },
    /// A process was killed, and no other has taken its place.
    Shrink,
    /// Another process has come.
    Grow,
}

/// A fault, and where it was injected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// Step of the simulation.
    pub step: u64,
    /// The process.
    pub process: usize,
    /// What it was.
    pub fault: Fault,
    /// Where the threads of the process were.
    pub at: String,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Injected { step, process, fault, at } = self;
        match fault {
            Fault::Kill => write!(f, "step {step}: process {process} is killed ({at})"),
            Fault::Shrink => write!(f, "step {step}: process {process} is killed and not replaced ({at})"),
            Fault::Grow => write!(f, "step {step}: process {process} comes in addition"),
            Fault::Freeze { steps, is_given_up } => {
                let end = if *is_given_up { ", and is given up" } else { "" };
                write!(f, "step {step}: process {process} sleeps for {steps} steps{end} ({at})")
            }
        }
    }
}
