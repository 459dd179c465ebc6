//! What waits by a time until the watermark has passed it.

use std::collections::BTreeMap;

use dataflow::{Micros, Watermark};

/// Things by time, and the watermark that they wait for.
pub struct Waiting<T> {
    by_time: BTreeMap<Micros, T>,
    watermark: Watermark,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            by_time: BTreeMap::new(),
            watermark: Watermark::MIN,
        }
    }
}

impl<T> Waiting<T> {
    /// The watermark so far.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// Whether the watermark has passed a time.
    pub fn has_passed(&self, at: Micros) -> bool {
        self.watermark.is_known() && at <= self.watermark.0
    }

    /// Rows by their times, and those whose time has passed.
    pub fn split(&self, at: &[Micros]) -> (BTreeMap<Micros, Vec<u32>>, Vec<u32>) {
        let mut parts: BTreeMap<Micros, Vec<u32>> = BTreeMap::new();
        let mut late = Vec::new();
        for (row, at) in (0..).zip(at) {
            if self.has_passed(*at) {
                late.push(row);
            } else {
                parts.entry(*at).or_default().push(row);
            }
        }
        (parts, late)
    }

    /// What waits for a time, made by `make` when nothing does.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn at<E>(&mut self, at: Micros, make: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
        use std::collections::btree_map::Entry;
        match self.by_time.entry(at) {
            Entry::Occupied(held) => Ok(held.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(make()?)),
        }
    }

    /// Moves the watermark, never back, and takes out what it has passed, in the order of time.
    pub fn advance(&mut self, to: Watermark) -> Vec<T> {
        self.watermark = self.watermark.max(to);
        let mut passed = Vec::new();
        while let Some(first) = self.by_time.first_entry() {
            if *first.key() > self.watermark.0 {
                break;
            }
            passed.push(first.remove());
        }
        passed
    }

    /// The earliest time that something waits for.
    pub fn next(&self) -> Option<Micros> {
        self.by_time.first_key_value().map(|(at, _)| *at)
    }

    /// All that waits.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.by_time.values()
    }
}
