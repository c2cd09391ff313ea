//! A set of small numbers that is filled and emptied all the time.

use foldhash::fast::FixedState;
use std::collections::HashSet;

/// Numbers below a bound, each at most once, in the order in which they came.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    /// Empty if there are very many numbers and few marks.
    is_marked: Vec<bool>,
    others: HashSet<u32, FixedState>,
    list: Vec<u32>,
}

impl Marks {
    pub fn new(bound: usize) -> Self {
        Marks { is_marked: vec![false; bound], others: HashSet::default(), list: vec![] }
    }
    /// For any numbers, of which few will be marked.
    pub fn sparse() -> Self {
        Marks::new(0)
    }
    #[inline]
    pub fn mark(&mut self, number: usize) {
        let is_new = match self.is_marked.get_mut(number) {
            Some(is_marked) => !std::mem::replace(is_marked, true),
            None => self.others.insert(number as u32),
        };
        if is_new {
            self.list.push(number as u32);
        }
    }
    #[inline]
    pub fn has(&self, number: usize) -> bool {
        self.is_marked.get(number).copied().unwrap_or_else(|| self.others.contains(&(number as u32)))
    }
    /// Puts the largest first.
    pub fn sort_descending(&mut self) {
        self.list.sort_unstable_by(|a, b| b.cmp(a));
    }
    pub fn list(&self) -> &[u32] {
        &self.list
    }
    pub fn clear(&mut self) {
        let some = !self.is_marked.is_empty();
        for number in self.list.drain(..).filter(|_| some) {
            self.is_marked[number as usize] = false;
        }
        self.others.clear();
    }
}
