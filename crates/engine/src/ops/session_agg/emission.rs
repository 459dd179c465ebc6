//! What sessions give: final rows when they close, or corrections while they are open.

use std::sync::Arc;

use dataflow::{DeltaBatch, Micros, Result};
use datafusion::arrow::array::{BooleanArray, RecordBatch};
use plan::Emit;

use super::{Session, SessionAgg};
use crate::changes::{concat_changes, correction};
use crate::operator::Out;
use crate::ops::pane_agg::assemble;
use crate::state::rows::Slot;
use crate::window::timestamps;

impl SessionAgg {
    /// Takes out the sessions that the watermark has closed, in the order of (end, key).
    pub(super) fn close(&mut self) -> Vec<(Box<[u8]>, Session)> {
        let now = self.watermark.shifted(1).0;
        let mut closed = Vec::new();
        let mut later = Vec::new();
        while let Some((_, mut keys)) = self.due.pop_due(now) {
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let Some(sessions) = self.sessions.get_mut(&key) else {
                    continue;
                };
                for session in std::mem::take(sessions) {
                    if self.watermark.closes(session.end) {
                        closed.push((key.clone(), session));
                    } else {
                        later.push((session.end, key.clone()));
                        sessions.push(session);
                    }
                }
                if sessions.is_empty() {
                    self.sessions.remove(&key);
                }
            }
        }
        for (at, key) in later {
            self.due.add(at, &key);
        }
        closed.sort_by(|a, b| (a.1.end, &a.0, a.1.first).cmp(&(b.1.end, &b.0, b.1.first)));
        closed
    }

    /// Sessions that give their rows now though late rows may still correct them.
    pub(super) fn wake_closing(&mut self) {
        let closing = self.closing_watermark();
        let mut later = Vec::new();
        while let Some((_, keys)) = self.closing.pop_due(closing.shifted(1).0) {
            for key in keys {
                for session in self.sessions.get(&key).into_iter().flatten() {
                    if closing.closes(session.end) {
                        self.dirty.insert(key.clone());
                    } else {
                        later.push((session.end, key.clone()));
                    }
                }
            }
        }
        for (at, key) in later {
            self.closing.add(at, &key);
        }
    }

    /// Output rows of sessions.
    fn rows_of(&self, sessions: &[(Box<[u8]>, Session)]) -> Result<RecordBatch> {
        let slots: Vec<Slot> = sessions.iter().map(|(_, s)| s.state).collect();
        let identity: Vec<usize> = (0..slots.len()).collect();
        let mut accumulators = self.aggregates.accumulators()?;
        accumulators.merge(self.states.get(&slots)?.columns(), &identity, slots.len())?;
        let results = accumulators.take_results()?;
        let keys = self
            .encoder
            .decode(sessions.iter().map(|(key, _)| key.as_ref()))?;
        assemble(
            &self.schema,
            &self.output,
            &keys,
            &results,
            |column, data_type| match column {
                Some(column) => {
                    let value = |(_, s): &(Box<[u8]>, Session)| column.value((s.first, s.end));
                    timestamps(
                        sessions.iter().map(value).collect::<Vec<Micros>>(),
                        data_type,
                    )
                }
                None => {
                    let complete = sessions
                        .iter()
                        .map(|(_, s)| Some(self.watermark.closes(s.end)));
                    Arc::new(complete.collect::<BooleanArray>())
                }
            },
        )
    }

    /// Final rows once, when sessions close.
    pub(super) fn emit_closed(
        &mut self,
        closed: &[(Box<[u8]>, Session)],
        out: &mut Out,
    ) -> Result<()> {
        let shown: Vec<_> = closed.iter().filter(|(_, s)| s.passed).cloned().collect();
        if !shown.is_empty() {
            out.push(DeltaBatch::inserts(self.rows_of(&shown)?));
        }
        Ok(())
    }

    /// Corrections for changed sessions, open or just closed.
    pub(super) fn emit_changes(
        &mut self,
        closed: &[(Box<[u8]>, Session)],
        out: &mut Out,
    ) -> Result<()> {
        let mut changed: Vec<(Box<[u8]>, Session)> = closed
            .iter()
            .filter(|(_, s)| (s.changed || self.tells_completeness) && s.passed)
            .cloned()
            .collect();
        let corrected = matches!(self.emit, Emit::Corrected { .. });
        let closing = self.closing_watermark();
        let mut dirty: Vec<_> = self.dirty.drain().collect();
        dirty.sort_unstable();
        for key in dirty {
            for session in self
                .sessions
                .get_mut(&key)
                .into_iter()
                .flatten()
                .filter(|s| s.changed && s.passed)
            {
                if corrected && !closing.closes(session.end) {
                    // It goes on: it has not been a whole session.
                    self.retired.extend(session.given.take());
                    continue;
                }
                session.changed = false;
                changed.push((key.clone(), session.clone()));
            }
        }
        // Sessions whose rows may be corrected, then those that are new.
        changed.sort_by_key(|(_, s)| s.given.is_none());
        let old: Vec<Slot> = changed.iter().filter_map(|(_, s)| s.given).collect();
        let retired = std::mem::take(&mut self.retired);
        if !retired.is_empty() {
            let nothing = RecordBatch::new_empty(Arc::clone(&self.schema));
            out.push(concat_changes(&self.given.get(&retired)?, &nothing)?);
        }
        for slot in retired {
            self.given.remove(slot);
        }
        if changed.is_empty() {
            return Ok(());
        }
        let after = self.rows_of(&changed)?;
        if !old.is_empty() {
            let before = self.given.get(&old)?;
            if let Some(change) = correction(&before, &after.slice(0, old.len()))? {
                out.push(change);
            }
        }
        out.push(DeltaBatch::inserts(
            after.slice(old.len(), changed.len() - old.len()),
        ));
        for slot in old {
            self.given.remove(slot);
        }
        self.remember(&changed, after)
    }

    /// Stores what was given for the sessions that stay open.
    fn remember(&mut self, changed: &[(Box<[u8]>, Session)], rows: RecordBatch) -> Result<()> {
        let mut slots = Vec::with_capacity(changed.len());
        for (key, session) in changed {
            let slot = self.given.reserve();
            slots.push(slot);
            if let Some(stored) = self
                .sessions
                .get_mut(key)
                .and_then(|all| all.iter_mut().find(|s| s.state == session.state))
            {
                stored.given = Some(slot);
                stored.given_end = session.end;
            }
        }
        self.given.put(&slots, rows)?;
        for (slot, (key, session)) in slots.iter().zip(changed) {
            let open = self
                .sessions
                .get(key)
                .is_some_and(|all| all.iter().any(|s| s.state == session.state));
            if !open {
                self.given.remove(*slot);
            }
        }
        Ok(())
    }
}
