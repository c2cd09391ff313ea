//! The processes of a simulation, who is lost and replaced, and the generations that they form: what sockets and a supervisor are
//! elsewhere.

use super::baton::{Baton, Dice};
use super::faults::{Fault, Faults, Injected};
use super::slabs::Slabs;
use crate::cluster::Generation;
use crate::cluster::mesh::{Formation, Links, Mesh, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::board::Board;
use crate::hash::hash_bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use timely::communication::allocator::ProcessBuilder;

/// Steps, at most, until a process hears of what has happened to another, and until a replacement begins.
const LAG: u64 = 2000;
/// Steps for which others hear of a process that has failed from itself, before they are ended.
const PARTING: u64 = 3000;
/// Steps, at most, for which a process is not scheduled.
const FREEZE: u64 = 20_000;
/// A process that is not scheduled for as many steps, at most, is given up.
const PATIENCE: u64 = 4000;
/// Points of the program are in as many classes, so that rare ones are met as often as others.
const CLASSES: u64 = 24;
/// Steps for which a point of a class is waited for.
const AMBUSH: u64 = 4000;
/// Slots that there can be.
pub(super) const SLOTS: usize = 64;
/// As many generations may fail in a row without a job being finished, and without a fault.
const FUTILE_MAX: u32 = 16;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn lost(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Cluster(what.into()))
}

/// What a process is told.
#[derive(Default)]
pub(super) struct Desk {
    formation: Mutex<Option<Formation>>,
    ended: Mutex<Option<String>>,
}

impl Desk {
    /// The process takes part no longer.
    pub fn end(&self, why: &str) {
        lock(&self.ended).get_or_insert(why.to_string());
    }
}

/// A simulated process: the supervisor and the peers, as it knows them.
pub(super) struct Simulated {
    baton: Weak<Baton>,
    process: usize,
    desk: Arc<Desk>,
    generation: Mutex<Option<Arc<Generation>>>,
}

impl Mesh for Simulated {
    fn next_formation(&self) -> Result<Formation> {
        if let Some(baton) = self.baton.upgrade() {
            baton.lock().world.arrive(self.process);
        }
        let desk = self.desk.clone();
        super::seat::wait_calmly("waits for a generation", move || {
            lock(&desk.formation).is_some() || lock(&desk.ended).is_some()
        });
        // Others wait for the threads of a generation that has been formed, so it begins even if it is over already.
        if let Some(formation) = lock(&self.desk.formation).take() {
            *lock(&self.generation) = Some(formation.generation.clone());
            return Ok(formation);
        }
        let why = lock(&self.desk.ended).clone();
        Err(lost(why.unwrap_or_else(|| "this process was killed".to_string())))
    }
    fn say_formed(&self) {}
    fn say_left(&self, failed: bool) {
        if let Some(baton) = self.baton.upgrade() {
            baton.lock().world.leave(self.process, failed);
        }
    }
    fn close(&self) {
        self.desk.end("this process has left");
    }
    fn cut_off(&self, why: &str) {
        self.desk.end(why);
        let generation = lock(&self.generation).clone();
        if let Some(generation) = generation {
            generation.abort(why);
        }
    }
}

/// What is to be done while no lock is held.
pub(super) enum Action {
    Kill(Arc<Board>, Option<Arc<Generation>>),
    Abort(Arc<Generation>, String),
    End(Arc<Desk>, Option<Arc<Generation>>, String),
    Launch(usize),
    Form,
}

impl Action {
    /// Something of it for the hash of the schedule.
    pub fn mark(&self) -> u64 {
        match self {
            Action::Kill(..) => 1 << 32,
            Action::Abort(generation, _) => 2 << 32 | generation.number(),
            Action::End(..) => 3 << 32,
            Action::Launch(process) => 4 << 32 | *process as u64,
            Action::Form => 5 << 32,
        }
    }
}

/// What will happen.
enum Event {
    Fault,
    /// That of a process that has come to where it was waited for.
    FaultOf(usize),
    Abort(usize, Arc<Generation>, String),
    End(usize, String),
    Launch(usize),
    GiveUp(usize),
    Thaw(usize),
}

struct Process {
    slot: usize,
    board: Arc<Board>,
    desk: Arc<Desk>,
    progress: Arc<Progress>,
    generation: Option<Arc<Generation>>,
    /// Waits for the next generation.
    has_arrived: bool,
    /// The one of its slot; else it was lost, or given up.
    is_current: bool,
    is_killed: bool,
    /// It is not scheduled before this step.
    frozen_until: Option<u64>,
    left: Option<bool>,
    is_ending: bool,
    threads: usize,
    /// Results of jobs that it has seen.
    seen: BTreeMap<u64, u64>,
}

impl Process {
    fn is_gone(&self) -> bool {
        self.threads == 0
    }
}

pub(super) struct World {
    /// Slots that a generation must have.
    members: BTreeSet<usize>,
    /// Those of them that have not been in a generation yet.
    newcomers: BTreeSet<usize>,
    /// A member has come for which the generation that there is must end.
    has_grown: bool,
    workers: usize,
    processes: Vec<Process>,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    step: u64,
    generations: u64,
    faults: Faults,
    pub injected: Vec<Injected>,
    /// The next process that comes to a point of this class before that step is the next one that something happens to.
    ambush: Option<(u64, u64)>,
    futile: (u32, u64),
    /// Jobs of which anybody has had the result, and how often such a result was lost, so that the job ran once more.
    known_jobs: u64,
    era: u64,
    slabs: Slabs,
    /// Something is wrong that no process can say.
    pub verdict: Option<String>,
}

impl World {
    pub fn new(slots: usize, workers: usize, faults: Faults, dice: &mut Dice) -> Self {
        let mut world = World {
            members: (0..slots).collect(),
            newcomers: BTreeSet::new(),
            has_grown: false,
            workers,
            processes: vec![],
            events: BTreeMap::new(),
            sequence: 0,
            step: 0,
            generations: 0,
            faults,
            injected: vec![],
            ambush: None,
            futile: (0, 0),
            known_jobs: 0,
            era: 0,
            slabs: Slabs::default(),
            verdict: None,
        };
        for slot in 0..slots {
            world.later(0, Event::Launch(slot));
        }
        world.plan_fault(dice);
        world
    }
    fn later(&mut self, steps: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((self.step + steps, self.sequence), event);
    }
    /// All processes so far.
    pub fn processes(&self) -> usize {
        self.processes.len()
    }
    pub fn generations(&self) -> u64 {
        self.generations
    }
    /// How often results were lost with all that had them.
    pub fn era(&self) -> u64 {
        self.era
    }
    pub fn slot(&self, process: usize) -> usize {
        self.processes.get(process).map_or(0, |p| p.slot)
    }
    /// True if nobody has been put in the process's place.
    pub fn is_current(&self, process: usize) -> bool {
        self.processes.get(process).is_some_and(|p| p.is_current)
    }
    /// True if the process was told that it cannot go on since others have ended.
    pub fn is_ending(&self, process: usize) -> bool {
        self.processes.get(process).is_some_and(|p| p.is_ending)
    }
    pub fn is_killed(&self, process: usize) -> bool {
        self.processes.get(process).is_some_and(|p| p.is_killed)
    }
    pub fn is_frozen(&self, process: usize) -> bool {
        self.processes.get(process).is_some_and(|p| p.frozen_until.is_some())
    }
    pub fn describe(&self, process: usize) -> String {
        let Some(p) = self.processes.get(process) else { return "nobody".to_string() };
        let before = self.processes[..process].iter().filter(|q| q.slot == p.slot).count();
        let mut text = format!("process {}", p.slot);
        if before > 0 {
            text.push_str(&format!(", replacement {before}"));
        }
        if p.is_killed {
            text.push_str(", killed");
        } else if !p.is_current {
            text.push_str(", given up");
        }
        text
    }
    /// What a process needs to take part.
    pub fn mesh(&self, baton: &Arc<Baton>, process: usize) -> (Arc<Board>, Arc<Progress>, Arc<Simulated>) {
        let p = &self.processes[process];
        let generation = Mutex::default();
        let mesh = Simulated { baton: Arc::downgrade(baton), process, desk: p.desk.clone(), generation };
        (p.board.clone(), p.progress.clone(), Arc::new(mesh))
    }
    pub fn came(&mut self, process: usize) {
        self.processes[process].threads += 1;
    }
    pub fn went(&mut self, process: usize) {
        self.processes[process].threads -= 1;
    }
    fn arrive(&mut self, process: usize) {
        let has_left = self.has_left();
        let p = &mut self.processes[process];
        p.has_arrived = true;
        if p.is_current && !has_left && self.members.insert(p.slot) {
            self.newcomers.insert(p.slot);
            self.has_grown = true;
        }
    }
    /// Slots that have a result. Who came when others left has none.
    pub fn members(&self) -> BTreeSet<usize> {
        self.members.difference(&self.newcomers).copied().collect()
    }
    fn leave(&mut self, process: usize, failed: bool) {
        let p = &mut self.processes[process];
        p.left = Some(failed);
        let slot = p.slot;
        if failed && p.is_current {
            for other in 0..self.processes.len() {
                if other != process && self.processes[other].left.is_none() {
                    self.later(PARTING, Event::End(other, format!("process {slot} has failed")));
                }
            }
        }
    }
    /// A process has the result of a job; all must have the same.
    pub fn saw(&mut self, process: usize, job: u64, result: u64) {
        self.processes[process].seen.insert(job, result);
        if self.processes[process].is_current {
            self.known_jobs = self.known_jobs.max(job);
        }
        let here = self.processes.iter().filter(|p| p.is_current);
        let of_job: Vec<(usize, u64)> = here.filter_map(|p| Some((p.slot, *p.seen.get(&job)?))).collect();
        if self.processes[process].is_current
            && let Some((other, _)) = of_job.iter().find(|(_, r)| *r != result)
        {
            let slot = self.processes[process].slot;
            let what = format!("job {job} has given different results in process {slot} and process {other}");
            self.verdict.get_or_insert(what);
        }
    }
    /// Makes what is next happen although its time has not come. Not a fault: what waits must not wait for one.
    pub fn hurry(&mut self) -> bool {
        let next = self
            .events
            .iter()
            .find(|(_, event)| !matches!(event, Event::Fault | Event::FaultOf(_)))
            .map(|(at, _)| *at);
        let Some(event) = next.and_then(|at| self.events.remove(&at)) else { return false };
        self.sequence += 1;
        self.events.insert((0, self.sequence), event);
        true
    }
    /// No process goes on.
    pub fn end(&mut self) -> Vec<Arc<Board>> {
        self.events.clear();
        self.processes.iter().map(|p| p.board.clone()).collect()
    }

    /// Lets happen what is due at a step; what is to be done for it.
    pub fn advance(
        &mut self,
        baton: &Arc<Baton>,
        step: u64,
        dice: &mut Dice,
        doing: &dyn Fn(usize) -> String,
    ) -> Vec<Action> {
        self.step = step;
        while self.events.first_key_value().is_some_and(|((due, _), _)| *due <= step) {
            let Some((_, event)) = self.events.pop_first() else { break };
            let actions = self.happen(event, dice, doing);
            if !actions.is_empty() {
                return actions;
            }
        }
        self.part(dice);
        if std::mem::take(&mut self.has_grown) {
            self.broken(self.generations, "another process has come", dice);
        }
        self.form(baton).into_iter().collect()
    }
    fn happen(&mut self, event: Event, dice: &mut Dice, doing: &dyn Fn(usize) -> String) -> Vec<Action> {
        match event {
            Event::Fault if self.ambush.is_none() && dice.below(3) == 0 => {
                self.ambush = Some((dice.below(CLASSES), self.step + AMBUSH));
                self.later(AMBUSH, Event::Fault);
                vec![]
            }
            Event::Fault => {
                self.ambush = None;
                self.inject(None, dice, doing)
            }
            Event::FaultOf(process) => self.inject(Some(process), dice, doing),
            Event::Abort(process, generation, why) => match self.processes[process].frozen_until {
                Some(until) => {
                    self.later(until.saturating_sub(self.step) + 1, Event::Abort(process, generation, why));
                    vec![]
                }
                None if generation.is_aborted() => vec![],
                None => vec![Action::Abort(generation, why)],
            },
            Event::End(process, why) => {
                let p = &mut self.processes[process];
                if let Some(until) = p.frozen_until {
                    self.later(until.saturating_sub(self.step) + 1, Event::End(process, why));
                    return vec![];
                }
                if p.is_gone() || p.is_killed {
                    return vec![];
                }
                p.is_ending = true;
                vec![Action::End(p.desk.clone(), p.generation.clone(), why)]
            }
            Event::Launch(slot) => self.launch(slot),
            Event::GiveUp(process) => {
                if self.processes[process].frozen_until.is_some() {
                    let slot = self.processes[process].slot;
                    self.lose(process, format!("process {slot} has been silent for too long"), dice);
                }
                vec![]
            }
            Event::Thaw(process) => {
                let p = &mut self.processes[process];
                p.frozen_until = None;
                let (is_given_up, generation) = (!p.is_current, p.generation.clone());
                if is_given_up {
                    // It finds its connections closed.
                    if let Some(generation) = generation {
                        let why = "the connection was closed".to_string();
                        self.later(dice.up_to(LAG) - 1, Event::Abort(process, generation, why));
                    }
                    let why = "the supervisor has given this process up".to_string();
                    self.later(dice.up_to(LAG) - 1, Event::End(process, why));
                }
                vec![]
            }
        }
    }
    fn launch(&mut self, slot: usize) -> Vec<Action> {
        if self.has_left() {
            // It could not take part any more: nobody would form a generation with it.
            return vec![];
        }
        self.processes.push(Process {
            slot,
            board: Arc::default(),
            desk: Arc::default(),
            progress: Arc::default(),
            generation: None,
            has_arrived: false,
            is_current: true,
            is_killed: false,
            frozen_until: None,
            left: None,
            is_ending: false,
            threads: 0,
            seen: BTreeMap::new(),
        });
        vec![Action::Launch(self.processes.len() - 1)]
    }
    fn has_left(&self) -> bool {
        self.processes.iter().any(|p| p.is_current && p.left.is_some())
    }
    fn plan_fault(&mut self, dice: &mut Dice) {
        if self.faults.left() == 0 {
            return;
        }
        // Some while what the last one has brought about is under way.
        let most = if dice.below(3) == 0 { 64 } else { 2 * self.faults.apart_steps.max(1) };
        let steps = 1 + dice.below(most);
        self.later(steps, Event::Fault);
    }
    /// A process has come to a point.
    pub fn reached(&mut self, process: usize, at: u64) {
        if self.ambush.is_some_and(|(class, until)| at % CLASSES == class && self.step < until) {
            self.ambush = None;
            // The one that was to follow in any case comes now.
            self.events.retain(|_, event| !matches!(event, Event::Fault));
            self.later(0, Event::FaultOf(process));
        }
    }
    fn inject(
        &mut self,
        whom: Option<usize>,
        dice: &mut Dice,
        doing: &dyn Fn(usize) -> String,
    ) -> Vec<Action> {
        let can = |p: &Process| {
            p.is_current && !p.is_killed && p.frozen_until.is_none() && p.left.is_none() && !p.is_gone()
        };
        let victims: Vec<usize> = (0..self.processes.len()).filter(|p| can(&self.processes[*p])).collect();
        if victims.is_empty() || (self.faults.left() == self.faults.grows && self.has_left()) {
            if !self.has_left() {
                self.later(1 + dice.below(64), Event::Fault);
            }
            return vec![];
        }
        let can_go = |p: &usize| {
            let slot = self.processes[*p].slot;
            slot > 0 && self.members.contains(&slot)
        };
        let Some(fault) = self.faults.draw(victims.iter().any(can_go), dice) else { return vec![] };
        let victims: Vec<usize> = match fault {
            Fault::Shrink => victims.into_iter().filter(can_go).collect(),
            _ => victims,
        };
        let any = victims[dice.below(victims.len() as u64) as usize];
        let process = whom.filter(|p| victims.contains(p)).unwrap_or(any);
        let (mut slot, mut at) = (self.processes[process].slot, doing(process));
        let (mut actions, mut fault) = (vec![], fault);
        self.futile.0 = 0;
        match &mut fault {
            Fault::Kill | Fault::Shrink => {
                let p = &mut self.processes[process];
                p.is_killed = true;
                actions.push(Action::Kill(p.board.clone(), p.generation.clone()));
                if fault == Fault::Shrink {
                    self.members.remove(&slot);
                    self.newcomers.remove(&slot);
                }
                self.lose(process, format!("the connection to process {slot} was closed"), dice);
            }
            Fault::Freeze { steps, is_given_up } => {
                let patience = 100 + dice.below(PATIENCE);
                *steps = dice.up_to(FREEZE);
                self.processes[process].frozen_until = Some(self.step + *steps);
                self.later(*steps, Event::Thaw(process));
                *is_given_up = patience < *steps;
                if *is_given_up {
                    self.later(patience, Event::GiveUp(process));
                }
            }
            Fault::Grow => {
                let is_free = |n: &usize| self.processes.iter().all(|p| p.slot != *n || !p.is_current);
                let free = (0..SLOTS).find(|n| !self.members.contains(n) && is_free(n));
                (slot, at) = (free.unwrap_or(0), String::new());
                if free.is_some() {
                    actions = self.launch(slot);
                }
            }
        }
        self.injected.push(Injected { step: self.step, process: slot, fault, at });
        self.plan_fault(dice);
        actions
    }
    /// A process is lost, or given up: another comes in its place.
    fn lose(&mut self, process: usize, why: String, dice: &mut Dice) {
        let p = &mut self.processes[process];
        p.is_current = false;
        let (slot, generation) = (p.slot, p.generation.clone());
        if let Some(generation) = generation {
            self.broken(generation.number(), &why, dice);
        }
        if self.members.contains(&slot) {
            self.later(dice.up_to(LAG) - 1, Event::Launch(slot));
        }
    }
    /// A generation is broken somewhere: its members notice one after the other.
    pub fn broken(&mut self, number: u64, why: &str, dice: &mut Dice) {
        for process in 0..self.processes.len() {
            let p = &self.processes[process];
            let generation = p.generation.clone().filter(|g| g.number() == number && !g.is_aborted());
            if let Some(generation) = generation.filter(|_| p.is_current && !p.is_killed) {
                self.later(dice.up_to(LAG) - 1, Event::Abort(process, generation, why.to_string()));
            }
        }
    }
    /// Who has left comes to no generation any more, so who waits for one waits in vain.
    fn part(&mut self, dice: &mut Dice) {
        if !self.has_left() {
            return;
        }
        for process in 0..self.processes.len() {
            let p = &mut self.processes[process];
            if p.is_current && p.left.is_none() && p.has_arrived && !p.is_ending && p.frozen_until.is_none() {
                p.is_ending = true;
                let why = "a process was lost when another had left already".to_string();
                self.later(dice.up_to(LAG) - 1, Event::End(process, why));
            }
        }
    }
    /// Forms a generation if all that should be there wait for one.
    fn form(&mut self, baton: &Arc<Baton>) -> Option<Action> {
        let is_here = |p: &Process| {
            p.is_current && p.has_arrived && p.frozen_until.is_none() && p.left.is_none() && !p.is_ending
        };
        let mut members: Vec<usize> =
            (0..self.processes.len()).filter(|p| is_here(&self.processes[*p])).collect();
        members.retain(|p| self.members.contains(&self.processes[*p].slot));
        if members.len() < self.members.len() || members.is_empty() {
            return None;
        }
        members.sort_by_key(|p| self.processes[*p].slot);
        self.generations += 1;
        let number = self.generations;
        let jobs = members.iter().map(|p| self.processes[*p].progress.jobs()).max().unwrap_or(0);
        if jobs < self.known_jobs {
            (self.era, self.known_jobs) = (self.era + 1, jobs);
        }
        self.futile = if jobs > self.futile.1 { (0, jobs) } else { (self.futile.0 + 1, jobs) };
        if self.futile.0 > FUTILE_MAX {
            let what = format!("{FUTILE_MAX} generations have failed in a row, in job {}", jobs + 1);
            for process in members {
                self.later(0, Event::End(process, what.clone()));
            }
            return None;
        }
        let builders =
            ProcessBuilder::new_bytes_vector(members.len() * self.workers, self.slabs.refill(), None);
        let (mut builders, ready) = (builders.into_iter(), Arc::<AtomicUsize>::default());
        self.newcomers.clear();
        let slots: Vec<usize> = members.iter().map(|p| self.processes[*p].slot).collect();
        let all = members.len();
        for process in members {
            let (weak, p) = (Arc::downgrade(baton), &mut self.processes[process]);
            let board = p.board.clone();
            let on_abort = Box::new(move |why: &str| {
                board.interrupt();
                if let Some(baton) = weak.upgrade() {
                    baton.lock().generation_broken(number, why);
                }
            });
            let generation = Generation::new(number, self.workers, on_abort);
            let started = ready.clone();
            let all_started = Arc::new(move || started.load(Ordering::Acquire) >= all);
            let links = Links::Simulated {
                builders: builders.by_ref().take(self.workers).collect(),
                started: ready.clone(),
                all_started,
            };
            (p.has_arrived, p.generation) = (false, Some(generation.clone()));
            *lock(&p.desk.formation) = Some(Formation { generation, members: slots.clone(), links });
        }
        Some(Action::Form)
    }
}

/// A number for the result of a job.
pub(crate) fn saw(job: u64, result: &[u8]) {
    if let Some(seat) = super::seat::seat() {
        let result = hash_bytes(result);
        seat.baton.lock().world.saw(seat.process, job, result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(processes: usize) -> World {
        let mut world = World::new(processes, 1, Faults::default(), &mut Dice::new(1));
        (0..processes).for_each(|slot| drop(world.launch(slot)));
        world
    }

    #[test]
    fn jobs_with_different_results_are_found() {
        let mut world = world(3);
        (0..3).for_each(|process| world.saw(process, 1, 10));
        world.saw(0, 2, 20);
        assert_eq!(world.verdict, None);
        world.saw(2, 2, 21);
        let verdict = world.verdict.take().unwrap();
        assert!(verdict.contains("job 2") && verdict.contains("process 2"), "{verdict}");
        // What one knew that is given up has no meaning.
        world.lose(2, "a test".to_string(), &mut Dice::new(2));
        world.saw(1, 2, 20);
        world.saw(2, 3, 31);
        world.saw(1, 3, 30);
        assert_eq!(world.verdict, None);
    }

    #[test]
    fn nothing_that_was_to_happen_is_skipped_but_faults() {
        let mut world = World::new(0, 1, Faults { kills: 1, ..Faults::default() }, &mut Dice::new(3));
        assert!(!world.hurry(), "a fault is not what others wait for");
        world.later(1000, Event::Launch(0));
        assert!(world.hurry());
        assert!(world.events.keys().any(|(due, _)| *due == 0));
    }
}
