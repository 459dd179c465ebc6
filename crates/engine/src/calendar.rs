//! What is due when: keys by the time at which to look at them again. An entry may be stale; who takes it checks.

use std::collections::BTreeMap;

use dataflow::Micros;

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

    /// The earliest due time.
    pub fn next(&self) -> Option<Micros> {
        self.due.first_key_value().map(|(at, _)| *at)
    }
}
