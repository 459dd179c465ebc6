//! The rules of event time written a second time, as plainly as they can be: watermarks, idleness, lateness, sessions.

use std::collections::HashMap;

use super::query::{Mistake, Windowed};
use super::sim::Delivery;
use super::stream::{Row, Stream};
use super::window::Window;
use super::words::Condition;

/// Before anything is known.
pub(super) const NOTHING: i64 = i64::MIN;

/// A good row and the tick that it came in.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) row: Row,
    pub(super) tick: usize,
    /// The watermark before the tick.
    pub(super) watermark: i64,
    /// Rows of the small table that had its key when it came.
    pub(super) matches: usize,
}

/// A partition's event time.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartitionTime {
    highest: Option<i64>,
    /// Since when nothing came.
    since: i64,
    pub(super) idle: bool,
}

/// The source's event time, and where every row came.
#[derive(Debug)]
pub(super) struct Model {
    delay: i64,
    idle_after: i64,
    wall: bool,
    /// Keys of the small table's rows.
    pub(super) table: Vec<Option<String>>,
    pub(super) partitions: Vec<PartitionTime>,
    pub(super) watermark: i64,
    pub(super) tick: usize,
    pub(super) placed: Vec<Placed>,
    /// Some partition was idle.
    pub(super) was_idle: bool,
    /// All of them were.
    pub(super) was_silent: bool,
}

impl Model {
    pub(super) fn new(stream: &Stream) -> Self {
        Self {
            delay: stream.delay,
            idle_after: stream.idle_after,
            wall: stream.wall,
            table: Vec::new(),
            partitions: Vec::new(),
            watermark: NOTHING,
            tick: 0,
            placed: Vec::new(),
            was_idle: false,
            was_silent: false,
        }
    }

    /// A tick that ended at this time of the clock.
    pub(super) fn tick(
        &mut self,
        stream: &Stream,
        ended: i64,
        deliveries: &[Delivery],
        at_end: &[bool],
    ) {
        self.tick += 1;
        let new = PartitionTime {
            highest: None,
            since: ended,
            idle: false,
        };
        self.partitions.resize(at_end.len(), new);
        for delivery in deliveries {
            let time = &mut self.partitions[delivery.partition];
            for offset in delivery.offsets.clone() {
                let record = &stream.partitions[delivery.partition][offset as usize];
                if let Some(row) = &record.row {
                    time.highest = Some(time.highest.map_or(row.ts, |h| h.max(row.ts)));
                    time.since = ended;
                    let same = |id: &&Option<String>| id.is_some() && **id == row.k;
                    self.placed.push(Placed {
                        row: row.clone(),
                        tick: self.tick,
                        watermark: self.watermark,
                        matches: self.table.iter().filter(same).count(),
                    });
                }
            }
        }
        for (time, at_end) in self.partitions.iter_mut().zip(at_end) {
            time.idle = *at_end && ended - time.since >= self.idle_after;
            self.was_idle |= time.idle;
        }
        let active = self.partitions.iter().filter(|t| !t.idle);
        let own = active.map(|t| t.highest.map_or(NOTHING, |h| h - self.delay - 1));
        if let Some(least) = own.min() {
            self.watermark = self.watermark.max(least);
            return;
        }
        self.was_silent |= !self.partitions.is_empty();
        if self.wall && self.partitions.iter().any(|t| t.highest.is_some()) {
            self.watermark = self.watermark.max(ended - self.delay - 1);
        }
    }
}

/// The session of every placed row: its beginning and end, or `None` when the row is late or does not reach the window.
///
/// A row and a session, or two rows of one tick, belong together when they are less than the gap apart apart. What belongs together and holds no open session is late when it would have ended
/// by the watermark before the tick.
pub(super) struct Sessions {
    pub(super) of: Vec<Option<(i64, i64)>>,
}

/// A session, or some rows that may become one.
#[derive(Clone, Debug)]
struct Session {
    first: i64,
    last: i64,
    rows: Vec<usize>,
    open: bool,
}

impl Sessions {
    /// Of the rows before a look, with the watermark `now` behind it.
    pub(super) fn assign(query: &Windowed, placed: &[Placed], now: i64, mistake: Mistake) -> Self {
        let window = match mistake {
            Mistake::Size => query.window.longer(),
            _ => query.window,
        };
        let Window::Session {
            gap,
            max,
            ends_when,
        } = window
        else {
            return Self { of: Vec::new() };
        };
        let mut of = vec![None; placed.len()];
        let near = gap + i64::from(mistake == Mistake::Gap);
        let by = match mistake {
            Mistake::Lateness => 0,
            Mistake::NoLateness => i64::MIN / 2,
            _ => 1,
        };
        let mut by_key: HashMap<Vec<Option<String>>, Vec<usize>> = HashMap::new();
        for (at, p) in placed
            .iter()
            .enumerate()
            .filter(|(_, p)| query.copies(p) > 0)
        {
            let key = query.keys.iter().map(|k| (k.of)(&p.row)).collect();
            by_key.entry(key).or_default().push(at);
        }
        let ends = Ends {
            gap: near,
            max: max.filter(|_| mistake != Mistake::NoEnds),
            when: ends_when.filter(|_| mistake != Mistake::NoEnds),
        };
        let lateness = query.allowed(mistake);
        for rows in by_key.into_values() {
            if window.is_ordered() {
                let taken = |at: &usize| {
                    let p = &placed[*at];
                    let (late, now) = (p.watermark, now.saturating_sub(lateness));
                    p.row.ts - by >= late.saturating_sub(lateness) && p.row.ts <= now
                };
                in_order(
                    rows.into_iter().filter(taken).collect(),
                    placed,
                    ends,
                    &mut of,
                );
                continue;
            }
            let mut ended: Vec<Session> = Vec::new();
            let mut open: Vec<Session> = Vec::new();
            for tick in rows.chunk_by(|a, b| placed[*a].tick == placed[*b].tick) {
                let watermark = placed[tick[0]].watermark.saturating_sub(lateness);
                let closes = |s: &Session| s.last + gap - by <= watermark;
                ended.extend(open.extract_if(.., |s| closes(s)));
                open.extend(tick.iter().map(|at| Session {
                    first: placed[*at].row.ts,
                    last: placed[*at].row.ts,
                    rows: vec![*at],
                    open: false,
                }));
                while join_two(&mut open, near) {}
                // What ended before it began is late.
                open.retain(|s| s.open || !closes(s));
                open.iter_mut().for_each(|s| s.open = true);
            }
            for session in ended.into_iter().chain(open) {
                for at in session.rows {
                    of[at] = Some((session.first, session.last + gap));
                }
            }
        }
        Self { of }
    }
}

/// What ends a session.
#[derive(Clone, Copy)]
struct Ends {
    gap: i64,
    max: Option<i64>,
    when: Option<Condition>,
}

/// Sessions of one key's rows, taken in the order of their times; rows of one time are in one session.
fn in_order(mut rows: Vec<usize>, placed: &[Placed], ends: Ends, of: &mut [Option<(i64, i64)>]) {
    rows.sort_by_key(|at| placed[*at].row.ts);
    let mut session: Option<(i64, i64, Vec<usize>)> = None;
    let mut sessions = Vec::new();
    for same in rows.chunk_by(|a, b| placed[*a].row.ts == placed[*b].row.ts) {
        let ts = placed[same[0]].row.ts;
        sessions.extend(session.take_if(|(_, end, _)| ts >= *end));
        let (first, end, rows) = session.get_or_insert_with(|| (ts, ts, Vec::new()));
        *end = ends
            .max
            .map_or(ts + ends.gap, |max| (*first + max).min(ts + ends.gap));
        rows.extend(same);
        let ended = |at: &usize| ends.when.is_some_and(|c| c.holds(&placed[*at].row));
        if same.iter().any(ended) {
            *end = ts + 1;
            sessions.extend(session.take());
        }
    }
    for (first, end, rows) in sessions.into_iter().chain(session) {
        rows.into_iter().for_each(|at| of[at] = Some((first, end)));
    }
}

/// Joins the first two sessions that are near; says whether there were any.
fn join_two(sessions: &mut Vec<Session>, gap: i64) -> bool {
    for a in 0..sessions.len() {
        for b in a + 1..sessions.len() {
            let (one, other) = (&sessions[a], &sessions[b]);
            if one.first < other.last + gap && other.first < one.last + gap {
                let other = sessions.swap_remove(b);
                let one = &mut sessions[a];
                one.first = one.first.min(other.first);
                one.last = one.last.max(other.last);
                one.rows.extend(other.rows);
                one.open |= other.open;
                return true;
            }
        }
    }
    false
}

/// Event times of the rows that reach the query's window too late for all windows that hold them.
pub(super) fn late_times(query: &Windowed, placed: &[Placed]) -> Vec<i64> {
    let sessions = Sessions::assign(query, placed, i64::MAX, Mistake::None);
    let is_late = |at: usize, p: &Placed| match query.window {
        Window::Session { .. } => sessions.of[at].is_none(),
        _ => open_spans(query, p).is_empty(),
    };
    let late = placed.iter().enumerate().filter(|(at, p)| is_late(*at, p));
    late.flat_map(|(_, p)| std::iter::repeat_n(p.row.ts, query.copies(p)))
        .collect()
}

/// The aligned windows that hold the row and were open when it came.
pub(super) fn open_spans(query: &Windowed, placed: &Placed) -> Vec<(i64, i64)> {
    let mut spans = query.window.spans(placed.row.ts);
    spans.retain(|(_, end)| end - 1 + query.lateness > placed.watermark);
    spans
}

/// Rows that a window holds because it takes them in the order of their times and the watermark `now` has not passed them.
pub(super) fn waiting(query: &Windowed, placed: &[Placed], now: i64) -> usize {
    let passed = now.saturating_sub(query.lateness);
    let mut waiting = 0;
    for p in placed {
        if query.window.is_ordered() && p.row.ts > passed {
            waiting += query.copies(p);
        }
    }
    waiting
}

/// How often the rows of a query without HAVING together count a row, when the watermark is `now` and only windows that
/// have `closed` are there.
pub(super) fn counted(query: &Windowed, placed: &[Placed], now: i64, closed: bool) -> usize {
    let sessions = Sessions::assign(query, placed, now, Mistake::None);
    let there = |span: &(i64, i64)| !closed || span.1 - 1 <= now;
    let windows = |at: usize, p: &Placed| match query.window {
        Window::Session { .. } => usize::from(sessions.of[at].as_ref().is_some_and(there)),
        _ => open_spans(query, p).iter().filter(|s| there(s)).count(),
    };
    let rows = placed.iter().enumerate();
    rows.map(|(at, p)| windows(at, p) * query.copies(p)).sum()
}

/// Windows that got rows, by how many ticks the rows came in: all of them, and those of three ticks or more.
pub(super) fn spread(query: &Windowed, placed: &[Placed]) -> (usize, usize) {
    let mut ticks: HashMap<(Vec<Option<String>>, i64, i64), Vec<usize>> = HashMap::new();
    let mut note = |key: (Vec<Option<String>>, i64, i64), tick: usize| {
        let ticks = ticks.entry(key).or_default();
        if !ticks.contains(&tick) {
            ticks.push(tick);
        }
    };
    let sessions = Sessions::assign(query, placed, i64::MAX, Mistake::None);
    for (at, p) in placed
        .iter()
        .enumerate()
        .filter(|(_, p)| query.copies(p) > 0)
    {
        if let Some(Some((start, end))) = sessions.of.get(at) {
            let key = query.keys.iter().map(|k| (k.of)(&p.row)).collect();
            note((key, *start, *end), p.tick);
        }
        for (start, end) in open_spans(query, p) {
            note((Vec::new(), start, end), p.tick);
        }
    }
    (ticks.len(), ticks.values().filter(|t| t.len() >= 3).count())
}

/// Whether some row came when a window of it had closed, and was not late because that is allowed.
pub(super) fn corrects(query: &Windowed, placed: &[Placed]) -> bool {
    let sessions = Sessions::assign(query, placed, i64::MAX, Mistake::None);
    let mut rows = placed.iter().enumerate();
    rows.any(|(at, p)| {
        let closed = |end: i64| end - 1 <= p.watermark;
        let in_session = |gap: i64| closed(p.row.ts + gap) && sessions.of[at].is_some();
        query.copies(p) > 0
            && match query.window {
                Window::Session { gap, .. } => !query.window.is_ordered() && in_session(gap),
                _ => open_spans(query, p).iter().any(|s| closed(s.1)),
            }
    })
}
