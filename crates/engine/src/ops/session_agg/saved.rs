//! Sessions on their way to a checkpoint and back.

use dataflow::Result;

use super::{Session, SessionAgg};
use crate::state::rows::Slot;
use crate::state::saved::{Saved, wrong};

/// Numbers of a session.
const NUMBERS: usize = 5;
const PASSED: i64 = 1;
const CHANGED: i64 = 2;
const GIVEN: i64 = 4;

impl SessionAgg {
    /// Puts everything.
    pub(super) fn put(&self, saved: &mut Saved) -> Result<()> {
        saved.number(self.watermark.0);
        saved.counter(self.late);
        saved.time(self.last_emission);
        saved.time(self.stale);
        self.due.save(saved);
        self.closing.save(saved);
        let (sessions, states, given) = (
            self.sessions.freeze(),
            self.states.freeze(),
            self.given.freeze(),
        );
        let retired = self.retired.clone();
        saved.later(move |saved| {
            let by_key = sessions.all();
            saved.keys(by_key.iter().map(|(key, _)| *key));
            let count =
                |(_, all): &(&[u8], &Vec<Session>)| i64::try_from(all.len()).unwrap_or(i64::MAX);
            saved.numbers(by_key.iter().map(count));
            let all: Vec<&Session> = by_key.iter().flat_map(|(_, all)| all.iter()).collect();
            saved.numbers(all.iter().flat_map(|session| numbers(session)));
            let slots: Vec<Slot> = all.iter().map(|session| session.state).collect();
            saved.rows(&states.get(&slots)?);
            let slots: Vec<Slot> = all.iter().filter_map(|session| session.given).collect();
            saved.rows(&given.get(&slots)?);
            saved.rows(&given.get(&retired)?);
            Ok(())
        });
        let mut dirty: Vec<&[u8]> = self.dirty.iter().map(AsRef::as_ref).collect();
        dirty.sort_unstable();
        saved.keys(dirty.into_iter());
        saved.count(self.pending.len());
        for batch in &self.pending {
            saved.rows(&batch.rows);
            saved.count(batch.order.as_ref().map_or(0, |(_, taken)| *taken));
        }
        Ok(())
    }

    /// Takes what [`SessionAgg::put`] has put.
    pub(super) fn take(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = saved.take_watermark()?;
        self.late = saved.take_counter()?;
        self.last_emission = saved.take_time()?;
        self.stale = saved.take_time()?;
        self.due.load(saved)?;
        self.closing.load(saved)?;
        self.take_sessions(saved)?;
        let retired = saved.take_rows()?;
        self.retired = (0..retired.num_rows())
            .map(|_| self.given.reserve())
            .collect();
        self.given.put(&self.retired, retired)?;
        self.dirty = saved.take_keys()?.boxed().collect();
        for _ in 0..saved.take_count()? {
            let mut batch = self.pend(saved.take_rows()?, None)?;
            let taken = saved.take_count()?;
            if let Some((_, at)) = &mut batch.order {
                *at = taken;
            }
            self.pending.push(batch);
        }
        Ok(())
    }

    fn take_sessions(&mut self, saved: &mut Saved) -> Result<()> {
        let keys = saved.take_keys()?;
        let counts = saved.take_numbers()?;
        let numbers = saved.take_numbers()?;
        let (sessions, rest) = numbers.as_chunks::<NUMBERS>();
        if !rest.is_empty() {
            return Err(wrong("sessions", None::<()>));
        }
        let (mut states, mut given) = (Vec::new(), Vec::new());
        let mut sessions = sessions.iter().map(|[first, last, end, given_end, flags]| {
            let state = self.states.reserve();
            states.push(state);
            let slot = (flags & GIVEN != 0).then(|| self.given.reserve());
            given.extend(slot);
            Session {
                first: *first,
                last: *last,
                end: *end,
                state,
                given: slot,
                given_end: *given_end,
                passed: flags & PASSED != 0,
                changed: flags & CHANGED != 0,
            }
        });
        for (key, count) in keys.iter().zip(counts) {
            let count = usize::try_from(count).unwrap_or(0);
            let of_key: Vec<Session> = sessions.by_ref().take(count).collect();
            self.open += of_key.len();
            *self.sessions.entry(key, Vec::new) = of_key;
        }
        drop(sessions);
        self.states.put(&states, saved.take_rows()?)?;
        self.given.put(&given, saved.take_rows()?)
    }
}

fn numbers(session: &Session) -> [i64; NUMBERS] {
    let flag = |is: bool, flag: i64| if is { flag } else { 0 };
    let flags = flag(session.passed, PASSED)
        | flag(session.changed, CHANGED)
        | flag(session.given.is_some(), GIVEN);
    [
        session.first,
        session.last,
        session.end,
        session.given_end,
        flags,
    ]
}
