//! What the views must show, computed from the generated events without any of the engine: plain loops over plain structs.

use std::collections::{BTreeSet, HashMap};

/// A good event.
pub(super) struct Event {
    user: String,
    page: String,
    kind: String,
    /// Milliseconds since 1970-01-01 UTC.
    ts: i64,
}

/// All events sent.
#[derive(Default)]
pub(super) struct Model {
    pub(super) events: Vec<Event>,
    /// Records that are no events.
    pub(super) bad: u64,
}

const MINUTE: i64 = 60_000;
const HOP_SLIDE: i64 = 10_000;
const HOP_SIZE: i64 = 300_000;
const SESSION_GAP: i64 = 60_000;

impl Model {
    /// Adds a record as it was sent.
    pub(super) fn add(&mut self, record: &[u8]) {
        let json: serde_json::Value = serde_json::from_slice(record).expect("a good event is JSON");
        let text = |name: &str| json[name].as_str().expect("a text").to_owned();
        self.events.push(Event {
            user: text("userId"),
            page: text("pageUrl"),
            kind: text("eventType"),
            ts: json["timestamp"].as_i64().expect("a number"),
        });
    }

    /// Per page and minute: events, users, first time.
    pub(super) fn minutes(&self) -> Vec<String> {
        let mut groups: HashMap<(&str, i64), (u64, BTreeSet<&str>, i64)> = HashMap::new();
        for event in &self.events {
            let start = event.ts - event.ts % MINUTE;
            let group =
                groups
                    .entry((&event.page, start))
                    .or_insert((0, BTreeSet::new(), i64::MAX));
            group.0 += 1;
            group.1.insert(&event.user);
            group.2 = group.2.min(event.ts);
        }
        let line =
            |((page, start), (n, users, first)): (&(&str, i64), &(u64, BTreeSet<&str>, i64))| {
                format!(
                    "{page}|{}|{n}|{}|{}",
                    time(*start),
                    users.len(),
                    time(*first)
                )
            };
        groups.iter().map(line).collect()
    }

    /// Per kind of event and hop of five minutes every ten seconds: events.
    pub(super) fn hops(&self) -> Vec<String> {
        let mut groups: HashMap<(&str, i64), u64> = HashMap::new();
        for event in &self.events {
            let last = event.ts - event.ts % HOP_SLIDE;
            for start in (last - HOP_SIZE + HOP_SLIDE..=last).step_by(HOP_SLIDE as usize) {
                *groups.entry((&event.kind, start)).or_default() += 1;
            }
        }
        groups
            .iter()
            .map(|((kind, start), n)| format!("{kind}|{}|{n}", time(*start)))
            .collect()
    }

    /// Per user and session of a minute's gap: its first time, its end, events.
    pub(super) fn sessions(&self) -> Vec<String> {
        let mut times: HashMap<&str, Vec<i64>> = HashMap::new();
        for event in &self.events {
            times.entry(&event.user).or_default().push(event.ts);
        }
        let mut lines = Vec::new();
        for (user, mut times) in times {
            times.sort_unstable();
            for session in times.chunk_by(|a, b| b - a < SESSION_GAP) {
                let (first, last) = (session[0], session[session.len() - 1]);
                lines.push(format!(
                    "{user}|{}|{}|{}",
                    time(first),
                    time(last + SESSION_GAP),
                    session.len()
                ));
            }
        }
        lines
    }
}

/// A time of 2026-01-01 or the days around it as psql shows a TIMESTAMPTZ in UTC.
fn time(millis: i64) -> String {
    const FIRST: i64 = super::FIRST_MS;
    let since = millis - FIRST;
    let day = match since.div_euclid(86_400_000) {
        -1 => "2025-12-31",
        0 => "2026-01-01",
        1 => "2026-01-02",
        days => unreachable_day(days),
    };
    let within = since.rem_euclid(86_400_000);
    let (hours, minutes, seconds) = (within / 3_600_000, within / 60_000 % 60, within / 1000 % 60);
    let fraction = match within % 1000 {
        0 => String::new(),
        fraction => format!(".{fraction:03}").trim_end_matches('0').to_owned(),
    };
    format!("{day} {hours:02}:{minutes:02}:{seconds:02}{fraction}+00")
}

fn unreachable_day(days: i64) -> ! {
    unreachable!("the events span a day; {days} days is too far")
}

/// Compares sorted lines; the message shows the first differences only.
pub(super) fn assert_same(what: &str, found: &[String], expected: &[String]) {
    if found == expected {
        return;
    }
    let only = |these: &[String], those: &[String]| {
        let missing = these
            .iter()
            .filter(|line| those.binary_search(line).is_err());
        missing.take(5).cloned().collect::<Vec<_>>().join("\n  ")
    };
    panic!(
        "{what}: {} rows, expected {}\nonly found:\n  {}\nonly expected:\n  {}",
        found.len(),
        expected.len(),
        only(found, expected),
        only(expected, found)
    );
}
