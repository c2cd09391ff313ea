//! A run that grows and shrinks: which slots come, which go, and when.
//!
//! A process that is added runs the program from its beginning with the results that the others have, as one that takes
//! the place of a lost one does; nobody waits for it. Processes that go do so one after another, with a generation in
//! between: so what only a process and its neighbour have is never lost.

use super::Run;
use nix::sys::signal::Signal;
use slackwater_dataflow::cluster::Leave;
use std::collections::{BTreeSet, VecDeque};

/// Which slots come and go.
pub(super) struct Size {
    /// A lost process is not replaced, unless it is the first.
    shrinks: bool,
    /// Slots that were added and have not worked yet.
    new: BTreeSet<usize>,
    /// Slots that are to be retired, in this order.
    going: VecDeque<usize>,
    retired: BTreeSet<usize>,
}

impl Size {
    pub fn new(shrinks: bool) -> Self {
        Size { shrinks, new: BTreeSet::new(), going: VecDeque::new(), retired: BTreeSet::new() }
    }
    pub fn is_retired(&self, slot: usize) -> bool {
        self.retired.contains(&slot)
    }
    pub fn is_new(&self, slot: usize) -> bool {
        self.new.contains(&slot)
    }
    /// True if the others go on without the process of a slot when it is lost. The first speaks for the run.
    pub fn shrinks_by(&self, slot: usize) -> bool {
        slot > 0 && (self.shrinks || self.new.contains(&slot) || self.going.contains(&slot))
    }
}

impl Run {
    /// Slots whose process is still to be started.
    pub(super) fn vacant(&self) -> Vec<usize> {
        let is_vacant = |slot: &usize| self.members[*slot].is_none() && !self.size.is_retired(*slot);
        (0..self.members.len()).filter(is_vacant).collect()
    }
    /// True if the run goes on without those that are still to be started.
    pub(super) fn awaits_new_only(&self) -> bool {
        self.vacant().iter().all(|slot| self.size.is_new(*slot))
    }
    fn is_ending(&self) -> bool {
        self.deadline.is_some() || (0..self.members.len()).any(|s| self.supervisor.left(s) != Leave::Lost)
    }
    /// Somebody wants so many processes.
    pub(super) fn scale(&mut self, processes: usize) {
        let stays = |slot: &usize| !self.size.is_retired(*slot) && !self.size.going.contains(slot);
        let mut staying: Vec<usize> = (0..self.members.len()).filter(stays).collect();
        self.note(&format!("{processes} processes are asked for, there are {}", staying.len()));
        if self.is_ending() {
            return self.note("the run is about to end: it stays as it is");
        }
        while staying.len() > processes.max(1)
            && let Some(slot) = staying.pop()
        {
            self.size.going.push_back(slot);
        }
        while staying.len() < processes {
            // Who was about to go stays.
            if let Some(slot) = self.size.going.pop_back() {
                staying.push(slot);
                continue;
            }
            let Some(slot) = self.supervisor.add() else { return self.note("there can be no more") };
            if slot == self.members.len() {
                self.members.push(None);
            }
            // If the one that was retired has not ended yet, it is nobody's any more.
            self.clear(slot);
            self.size.retired.remove(&slot);
            self.size.new.insert(slot);
            staying.push(slot);
        }
    }
    /// Lets go who is to go, and forgets that those who work are new.
    pub(super) fn resize(&mut self) {
        if self.size.new.is_empty() && self.size.going.is_empty() {
            return;
        }
        let supervisor = &self.supervisor;
        self.size.new.retain(|slot| !supervisor.has_worked(*slot));
        if self.is_ending() {
            // It would only be in the way.
            self.size.going.clear();
            let new: Vec<usize> = self.size.new.iter().copied().collect();
            return new.into_iter().for_each(|slot| self.retire(slot));
        }
        if let Some(slot) = self.size.going.front().copied()
            && (self.supervisor.is_settled() || self.members[slot].is_none())
        {
            self.note(&format!("process {slot} goes; the others have its share"));
            self.retire(slot);
        }
    }
    /// The others go on without the process of a slot, which is ended if it runs.
    pub(super) fn retire(&mut self, slot: usize) {
        self.supervisor.retire(slot);
        self.size.retired.insert(slot);
        self.size.new.remove(&slot);
        self.size.going.retain(|s| *s != slot);
        if let Some(member) = &self.members[slot] {
            member.signal(Signal::SIGKILL);
        }
    }
    /// Forgets the process of a slot when it has ended.
    pub(super) fn clear(&mut self, slot: usize) {
        self.tidy(slot);
        self.members[slot] = None;
    }
}
