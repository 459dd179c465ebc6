//! The generator: who, where, what and when, written as one line of JSON.

use std::ops::Range;

use crate::MAX_DISORDER_MS;
use crate::mix::{EventType, Mix};
use crate::pages::Pages;
use crate::rng::{Rng, mix};
use crate::sessions::{Sessions, Visitor};
use crate::zipf::Zipf;

/// What to generate. Rates and times are the caller's.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickConfig {
    /// The same seed gives the same events.
    pub seed: u64,
    /// Shares of the kinds of event.
    pub mix: Mix,
    /// Number of users, at least 1.
    pub users: u32,
    /// Number of pages, at least 1.
    pub pages: u32,
    /// Number of sessions going on at a time, at least 1; with r events a second a session's events are about
    /// `active_sessions / r` seconds apart.
    pub active_sessions: u32,
    /// Share of events, 0 to 1, that are 6 to 60 seconds old when they are sent.
    pub late: f64,
    /// Share of records, 0 to 1, that are not valid events.
    pub bad: f64,
}

impl Default for ClickConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            mix: Mix::default(),
            users: 100_000,
            pages: 1_000,
            active_sessions: 5_000,
            late: 0.001,
            bad: 0.0005,
        }
    }
}

/// What a generated record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An event at most [`MAX_DISORDER_MS`] old.
    Good,
    /// A valid event that is older than [`MAX_DISORDER_MS`].
    Late,
    /// Not a valid event: cut off, not UTF-8, `timestamp` of the wrong type, or without `timestamp`.
    Bad,
}

/// What is known of a generated record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventMeta {
    /// The bytes of the record that are its Kafka key: the user's id.
    pub key: Range<usize>,
    /// Its event time in milliseconds since 1970-01-01 UTC (of a bad record: the one it should have had).
    pub event_time_ms: i64,
    /// What it is.
    pub kind: EventKind,
}

/// Makes events one after the other.
#[derive(Clone, Debug)]
pub struct ClickGenerator {
    rng: Rng,
    mix: Mix,
    pages: Pages,
    page_ranks: Zipf,
    sessions: Sessions,
    /// A random 64-bit number below this is a bad record's, one below `late_below` (and not bad) a late event's.
    bad_below: u64,
    late_below: u64,
}

#[derive(Clone, Copy)]
enum Defect {
    CutOff,
    NotUtf8,
    TimestampIsText,
    NoTimestamp,
}

impl ClickGenerator {
    /// A generator at its first event. Counts of 0 are taken as 1.
    pub fn new(config: &ClickConfig) -> Self {
        let mut rng = Rng::new(config.seed);
        let (users, pages) = (config.users.max(1), config.pages.max(1));
        let sessions = Sessions::new(users, config.active_sessions.max(1), config.seed, &mut rng);
        let share = |share: f64| (share.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        let bad_below = share(config.bad);
        Self {
            rng,
            mix: config.mix,
            pages: Pages::new(pages),
            page_ranks: Zipf::new(pages, 0),
            sessions,
            bad_below,
            late_below: bad_below.saturating_add(share(config.late)),
        }
    }

    /// Replaces what is in `record` by the next record, as sent at `now_ms` (milliseconds since 1970-01-01 UTC).
    pub fn next_event(&mut self, now_ms: i64, record: &mut Vec<u8>) -> EventMeta {
        let fate = self.rng.next();
        let (kind, defect) = if fate < self.bad_below {
            (EventKind::Bad, Some(self.defect()))
        } else if fate < self.late_below {
            (EventKind::Late, None)
        } else {
            (EventKind::Good, None)
        };
        let visitor = self.sessions.next(&mut self.rng);
        let what = self.mix.pick(self.rng.below(self.mix.total()));
        let page = self.page(what);
        let event_time_ms = now_ms.saturating_sub(self.age(kind));
        record.clear();
        let key = write_event(
            record,
            visitor,
            self.pages.name(page),
            what,
            event_time_ms,
            defect,
        );
        EventMeta {
            key,
            event_time_ms,
            kind,
        }
    }

    fn page(&mut self, what: EventType) -> u32 {
        let rank = self.page_ranks.draw(&mut self.rng);
        match what {
            EventType::PageView | EventType::Click => rank,
            EventType::AddToCart => self.pages.product(rank),
            EventType::Purchase => self.pages.checkout(),
        }
    }

    /// Milliseconds between the event and its sending: mostly well below a second, at most five.
    fn age(&mut self, kind: EventKind) -> i64 {
        if kind == EventKind::Late {
            return 6_000 + i64::from(self.rng.below(54_001));
        }
        let u = self.rng.next() >> 44;
        let cube = (((u * u) >> 20) * u) >> 20;
        ((cube * (MAX_DISORDER_MS as u64 + 1)) >> 20) as i64
    }

    fn defect(&mut self) -> Defect {
        match self.rng.below(4) {
            0 => Defect::CutOff,
            1 => Defect::NotUtf8,
            2 => Defect::TimestampIsText,
            _ => Defect::NoTimestamp,
        }
    }
}

/// Writes the six fields in their fixed order and gives the place of the user's id.
fn write_event(
    out: &mut Vec<u8>,
    visitor: Visitor,
    page: &str,
    what: EventType,
    event_time_ms: i64,
    defect: Option<Defect>,
) -> Range<usize> {
    out.extend_from_slice(b"{\"userId\":\"");
    let start = out.len();
    out.extend_from_slice(b"user_");
    write_decimal(out, u64::from(visitor.user), 6);
    let key = start..out.len();
    out.extend_from_slice(b"\",\"pageUrl\":\"");
    out.extend_from_slice(page.as_bytes());
    if matches!(defect, Some(Defect::NotUtf8)) {
        out.extend_from_slice(b"\xff\xfe");
    }
    out.extend_from_slice(b"\",\"eventType\":\"");
    out.extend_from_slice(what.name().as_bytes());
    match defect {
        Some(Defect::NoTimestamp) => out.extend_from_slice(b"\",\"sessionId\":\"sess_"),
        Some(Defect::TimestampIsText) => {
            out.extend_from_slice(b"\",\"timestamp\":\"a moment ago\",\"sessionId\":\"sess_");
        }
        _ => {
            out.extend_from_slice(b"\",\"timestamp\":");
            if event_time_ms < 0 {
                out.push(b'-');
            }
            write_decimal(out, event_time_ms.unsigned_abs(), 1);
            out.extend_from_slice(b",\"sessionId\":\"sess_");
        }
    }
    write_hex(out, visitor.session);
    out.extend_from_slice(b"\",\"ipAddress\":\"");
    write_address(out, visitor.user);
    out.extend_from_slice(b"\"}");
    if matches!(defect, Some(Defect::CutOff)) {
        let spare = out.len() - key.end;
        out.truncate(key.end + 1 + mix(visitor.session) as usize % (spare - 1));
    }
    key
}

/// Every user has one address, `10.a.b.c` with `c` from 1 to 254.
fn write_address(out: &mut Vec<u8>, user: u32) {
    let hash = mix(u64::from(user) ^ 0x0a00_0000);
    out.extend_from_slice(b"10.");
    write_decimal(out, hash & 0xff, 1);
    out.push(b'.');
    write_decimal(out, (hash >> 8) & 0xff, 1);
    out.push(b'.');
    write_decimal(out, 1 + (hash >> 16) % 254, 1);
}

fn write_decimal(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while number > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

/// Sixteen hexadecimal digits.
fn write_hex(out: &mut Vec<u8>, number: u64) {
    for shift in (0..16).rev() {
        out.push(b"0123456789abcdef"[(number >> (shift * 4)) as usize & 15]);
    }
}

#[cfg(test)]
mod tests;
