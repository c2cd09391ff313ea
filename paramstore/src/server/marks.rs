//! A set of small numbers that is filled and emptied all the time.

/// Numbers below a bound, each at most once, in the order in which they came.
#[derive(Debug, Clone)]
pub(super) struct Marks {
    is_marked: Vec<bool>,
    list: Vec<u32>,
}

impl Marks {
    pub fn new(bound: usize) -> Self {
        Marks { is_marked: vec![false; bound], list: vec![] }
    }
    #[inline]
    pub fn mark(&mut self, number: usize) {
        if !std::mem::replace(&mut self.is_marked[number], true) {
            self.list.push(number as u32);
        }
    }
    #[inline]
    pub fn has(&self, number: usize) -> bool {
        self.is_marked[number]
    }
    pub fn list(&self) -> &[u32] {
        &self.list
    }
    pub fn clear(&mut self) {
        for number in self.list.drain(..) {
            self.is_marked[number as usize] = false;
        }
    }
}
