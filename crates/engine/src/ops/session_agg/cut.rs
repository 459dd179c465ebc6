//! Where one session ends and the next begins.

use std::ops::Range;

use dataflow::{Micros, Watermark};

use super::pending::Pending;
use super::{Session, SessionAgg, as_row};
use crate::state::keys::KeyMap;

/// A row of a pending batch, in the order of (key, time).
pub(super) struct Row {
    pub(super) key: u32,
    pub(super) at: Micros,
    pub(super) batch: u32,
    pub(super) row: u32,
}

/// Sessions and rows that belong together after a tick.
pub(super) struct Segment {
    pub(super) key: u32,
    pub(super) first: Micros,
    pub(super) last: Micros,
    pub(super) end: Micros,
    /// Something other than a pause has ended it.
    pub(super) ended: bool,
    pub(super) old: Vec<Session>,
    pub(super) rows: Range<usize>,
    pub(super) passed: bool,
}

/// One key's rows of a tick: those of `all` from `from` on, in the order of their times.
#[derive(Clone, Copy)]
pub(super) struct Cut<'a> {
    pub(super) pending: &'a [Pending],
    pub(super) all: &'a [Row],
    pub(super) from: usize,
}

impl Cut<'_> {
    fn passes(&self, row: &Row) -> bool {
        let keep = &self.pending[row.batch as usize].keep;
        keep.as_ref().is_none_or(|k| k.value(row.row as usize))
    }

    fn ends(&self, row: &Row) -> bool {
        let ends = &self.pending[row.batch as usize].ends;
        ends.as_ref().is_some_and(|e| e.value(row.row as usize))
    }
}

impl SessionAgg {
    /// Cuts one key's open sessions and new rows into sessions.
    pub(super) fn cut(&mut self, rows: Cut<'_>, key: &[u8], segments: &mut Vec<Segment>) {
        let open = self.sessions.get_mut(key).map(std::mem::take);
        let open = open.unwrap_or_default();
        let untouched = if self.ends.is_ordered() {
            self.in_order(rows, open, segments)
        } else {
            self.at_gaps(rows, open, segments)
        };
        if !untouched.is_empty() {
            *self.sessions.entry(key, Vec::new) = untouched;
        } else if self.sessions.get(key).is_some_and(Vec::is_empty) {
            self.sessions.remove(key);
        }
    }

    /// Cuts at the gaps alone: rows of any time may come. Gives the sessions that no row came to.
    fn at_gaps(
        &mut self,
        cut: Cut<'_>,
        open: Vec<Session>,
        segments: &mut Vec<Segment>,
    ) -> Vec<Session> {
        let gap = self.ends.gap;
        let mut open = open.into_iter().peekable();
        let mut untouched = Vec::new();
        let mut next = cut.from;
        loop {
            let row_at = cut.all.get(next).map(|row| row.at);
            let session_at = open.peek().map(|s| s.first);
            let Some(first) = row_at.into_iter().chain(session_at).min() else {
                return untouched;
            };
            let begin = next;
            let mut old: Vec<Session> = Vec::new();
            let mut last = first;
            let mut passed = false;
            let joins = |at: Micros, last: Micros| at == first || at < last.saturating_add(gap);
            loop {
                if let Some(row) = cut.all.get(next).filter(|r| joins(r.at, last)) {
                    last = last.max(row.at);
                    passed |= cut.passes(row);
                    next += 1;
                } else if let Some(s) = open.next_if(|s| joins(s.first, last)) {
                    last = last.max(s.last);
                    passed |= s.passed;
                    old.push(s);
                } else {
                    break;
                }
            }
            let rows = begin..next;
            if rows.is_empty() {
                untouched.append(&mut old);
            } else if old.is_empty() && self.watermark.closes(last.saturating_add(gap)) {
                self.late += rows.len() as u64;
            } else {
                segments.push(Segment {
                    key: cut.all[begin].key,
                    first,
                    last,
                    end: last.saturating_add(gap),
                    ended: false,
                    old,
                    rows,
                    passed,
                });
            }
        }
    }

    /// Cuts rows that come in the order of their times. Rows of one time are in one session.
    fn in_order(
        &self,
        cut: Cut<'_>,
        mut open: Vec<Session>,
        segments: &mut Vec<Segment>,
    ) -> Vec<Session> {
        let begin = segments.len();
        let mut next = cut.from;
        while next < cut.all.len() {
            let at = cut.all[next].at;
            let to = next + cut.all[next..].partition_point(|row| row.at == at);
            let now = &cut.all[next..to];
            let goes_on = segments[begin..]
                .last()
                .is_some_and(|s| !s.ended && at < s.end);
            if !goes_on {
                // The one open session is that of the rows before, so only the first rows can go on with it.
                let old: Vec<Session> = match segments.len() == begin {
                    true => open.extract_if(.., |s| at < s.end).collect(),
                    false => Vec::new(),
                };
                segments.push(Segment {
                    key: now[0].key,
                    first: old.first().map_or(at, |s| s.first),
                    last: at,
                    end: at,
                    ended: false,
                    passed: old.iter().any(|s| s.passed),
                    old,
                    rows: next..next,
                });
            }
            if let Some(segment) = segments.last_mut() {
                segment.last = at;
                segment.rows.end = to;
                segment.passed |= now.iter().any(|row| cut.passes(row));
                segment.ended = now.iter().any(|row| cut.ends(row));
                segment.end = self.end_of(segment.first, at, segment.ended);
            }
            next = to;
        }
        open
    }

    /// First instant after a session whose last row so far is at `last`.
    fn end_of(&self, first: Micros, last: Micros, ended: bool) -> Micros {
        if ended {
            return last.saturating_add(1);
        }
        let by_pause = last.saturating_add(self.ends.gap);
        let longest = self.ends.max.map(|max| first.saturating_add(max));
        longest.map_or(by_pause, |end| end.min(by_pause))
    }
}

impl Pending {
    /// Takes the rows whose time has come, by their places: all of them, unless they are taken in order.
    pub(super) fn take_ready(&mut self, watermark: Watermark) -> Range<usize> {
        let Some((order, taken)) = &mut self.order else {
            return 0..self.at.len();
        };
        let from = *taken;
        let passed = |row: &u32| self.at[*row as usize] <= watermark.0;
        *taken += order[from..].partition_point(passed);
        from..*taken
    }

    /// The row at a place.
    fn row_at(&self, place: usize) -> u32 {
        match &self.order {
            Some((order, _)) => order[place],
            None => as_row(place),
        }
    }
}

/// Indexes of times in their order.
pub(super) fn by_time(at: &[Micros]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..).zip(at).map(|(row, _)| row).collect();
    order.sort_by_key(|row| at[*row as usize]);
    order
}

/// The rows at the places `ready` of pending batches by (key, time, arrival), and the keys that their numbers mean.
pub(super) fn sorted_rows(
    pending: &[Pending],
    ready: &[Range<usize>],
) -> (Vec<Row>, Vec<Box<[u8]>>) {
    let mut numbers: KeyMap<u32> = KeyMap::default();
    let mut keys: Vec<Box<[u8]>> = Vec::new();
    let mut rows = Vec::with_capacity(ready.iter().map(Range::len).sum());
    for (batch, (p, ready)) in (0..).zip(pending.iter().zip(ready)) {
        for place in ready.clone() {
            let row = p.row_at(place);
            let at = p.at[row as usize];
            let bytes: &[u8] = p.keys.as_ref().map_or(&[], |k| k.row(row as usize).data());
            let key = *numbers.entry(bytes, || {
                keys.push(bytes.into());
                u32::try_from(keys.len() - 1).expect("fewer than 2^32 keys in a tick")
            });
            rows.push(Row {
                key,
                at,
                batch,
                row,
            });
        }
    }
    rows.sort_by_key(|r| (r.key, r.at));
    (rows, keys)
}
