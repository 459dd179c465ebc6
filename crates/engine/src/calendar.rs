//! What is due when: keys by the time at which to look at them again. An entry may be stale; who takes it checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use dataflow::{Micros, Result};

use crate::state::saved::Saved;

/// Keys by due time.
#[derive(Default)]
pub struct Calendar {
    due: BTreeMap<Micros, Arc<Vec<Box<[u8]>>>>,
}

impl Calendar {
    /// Looks at `key` again at `at`.
    pub fn add(&mut self, at: Micros, key: &[u8]) {
        Arc::make_mut(self.due.entry(at).or_default()).push(key.into());
    }

    /// Takes the earliest entry when it is due by `now` (inclusive).
    pub fn pop_due(&mut self, now: Micros) -> Option<(Micros, Vec<Box<[u8]>>)> {
        let first = self.due.first_entry()?;
        if *first.key() > now {
            return None;
        }
        let (at, keys) = first.remove_entry();
        Some((at, Arc::unwrap_or_clone(keys)))
    }

    /// Puts all of it.
    pub fn save(&self, saved: &mut Saved) {
        let due = self.due.clone();
        saved.later(move |saved| {
            saved.numbers(due.iter().flat_map(|(at, keys)| {
                let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
                [*at, count]
            }));
            let keys = due.values().flat_map(|keys| keys.iter());
            saved.keys(keys.map(AsRef::as_ref));
            Ok(())
        });
    }

    /// Takes what [`Calendar::save`] has put.
    ///
    /// # Errors
    /// `XX001` when it is something else.
    pub fn load(&mut self, saved: &mut Saved) -> Result<()> {
        let counts = saved.take_pairs()?;
        let keys = saved.take_keys()?;
        let mut keys = keys.boxed();
        for (at, count) in counts {
            let of_time = keys.by_ref().take(usize::try_from(count).unwrap_or(0));
            self.due.insert(at, Arc::new(of_time.collect()));
        }
        Ok(())
    }

    /// The earliest due time.
    pub fn next(&self) -> Option<Micros> {
        self.due.first_key_value().map(|(at, _)| *at)
    }
}
