//! What is due when: keys by the time at which to look at them again. An entry may be stale; who takes it checks.

use std::collections::BTreeMap;

use dataflow::{Micros, Result};

use crate::state::saved::Saved;

/// Keys by due time.
#[derive(Default)]
pub struct Calendar {
    due: BTreeMap<Micros, Vec<Box<[u8]>>>,
}

impl Calendar {
    /// Looks at `key` again at `at`.
    pub fn add(&mut self, at: Micros, key: &[u8]) {
        self.due.entry(at).or_default().push(key.into());
    }

    /// Takes the earliest entry when it is due by `now` (inclusive).
    pub fn pop_due(&mut self, now: Micros) -> Option<(Micros, Vec<Box<[u8]>>)> {
        let first = self.due.first_entry()?;
        (*first.key() <= now).then(|| first.remove_entry())
    }

    /// Puts all of it.
    pub fn save(&self, saved: &mut Saved) {
        saved.numbers(self.due.iter().flat_map(|(at, keys)| {
            let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
            [*at, count]
        }));
        saved.keys(self.due.values().flatten().map(AsRef::as_ref));
    }

    /// Takes what [`Calendar::save`] has put.
    ///
    /// # Errors
    /// `XX001` when it is something else.
    pub fn load(&mut self, saved: &mut Saved) -> Result<()> {
        let counts = saved.take_pairs()?;
        let mut keys = saved.take_keys()?.into_iter();
        for (at, count) in counts {
            let of_time = keys.by_ref().take(usize::try_from(count).unwrap_or(0));
            self.due.insert(at, of_time.collect());
        }
        Ok(())
    }

    /// The earliest due time.
    pub fn next(&self) -> Option<Micros> {
        self.due.first_key_value().map(|(at, _)| *at)
    }
}
