//! What waits by a time until the watermark has passed it.

use std::collections::BTreeMap;

use dataflow::{Micros, Result, Watermark};

use crate::state::saved::Saved;

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

    /// All that waits, by time, for change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Micros, &mut T)> {
        self.by_time.iter_mut()
    }

    /// Puts the watermark and what waits, each as `put` does.
    ///
    /// # Errors
    /// Those of `put`.
    pub fn save(
        &self,
        saved: &mut Saved,
        put: impl Fn(&T, &mut Saved) -> Result<()>,
    ) -> Result<()> {
        saved.number(self.watermark.0);
        saved.numbers(self.by_time.keys().copied());
        self.by_time.values().try_for_each(|held| put(held, saved))
    }

    /// Takes what [`Waiting::save`] has put, each as `take` does.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn load(
        &mut self,
        saved: &mut Saved,
        mut take: impl FnMut(&mut Saved) -> Result<T>,
    ) -> Result<()> {
        self.watermark = saved.take_watermark()?;
        for at in saved.take_numbers()? {
            self.by_time.insert(at, take(saved)?);
        }
        Ok(())
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
