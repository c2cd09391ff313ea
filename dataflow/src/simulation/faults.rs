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
    /// Steps from one fault to the next, about. A third of them come at once after the one before.
    pub apart_steps: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults { kills: 0, freezes: 0, apart_steps: 1000 }
    }
}

impl Faults {
    pub(super) fn left(&self) -> usize {
        self.kills + self.freezes
    }
    /// Takes one of those that are left.
    pub(super) fn draw(&mut self, dice: &mut Dice) -> Fault {
        if (dice.below(self.left() as u64) as usize) < self.kills {
            self.kills -= 1;
            return Fault::Kill;
        }
        self.freezes = self.freezes.saturating_sub(1);
        Fault::Freeze { steps: 0, is_given_up: false }
    }
}

/// Something that has gone wrong.
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
            Fault::Freeze { steps, is_given_up } => {
                let end = if *is_given_up { ", and is given up" } else { "" };
                write!(f, "step {step}: process {process} sleeps for {steps} steps{end} ({at})")
            }
        }
    }
}
