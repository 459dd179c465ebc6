//! Names: of columns for fields, and what a field's name says about time.

/// Words that speak of a point in time.
const TIME_WORDS: [&str; 13] = [
    "time",
    "timestamp",
    "ts",
    "date",
    "datetime",
    "at",
    "when",
    "epoch",
    "millis",
    "ms",
    "created",
    "updated",
    "on",
];
/// Names that speak of the time of the event itself.
const EVENT_NAMES: [&str; 8] = [
    "event_time",
    "event_timestamp",
    "event_ts",
    "event_at",
    "event_date",
    "occurred_at",
    "happened_at",
    "event_datetime",
];
const PLAIN_NAMES: [&str; 6] = ["timestamp", "ts", "time", "datetime", "date_time", "at"];
/// Words of times that something else than the event has.
const OTHER_TIMES: [&str; 12] = [
    "created",
    "updated",
    "modified",
    "received",
    "processed",
    "ingested",
    "ingestion",
    "signup",
    "registered",
    "first",
    "last",
    "previous",
];
/// Words of times that the event does not have at all.
const NEVER: [&str; 14] = [
    "birth",
    "birthday",
    "birthdate",
    "dob",
    "expires",
    "expiry",
    "expire",
    "expiration",
    "due",
    "until",
    "valid",
    "scheduled",
    "planned",
    "deadline",
];

/// How well a name fits an event time, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventRank {
    Event,
    Plain,
    TimeLike,
    OtherTime,
    NoTime,
}

impl EventRank {
    /// Why the column was chosen, behind "and".
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Event | Self::Plain => "its name says so",
            Self::TimeLike => "its name speaks of time",
            Self::OtherTime => "no time has a better name",
            Self::NoTime => "there is no other time",
        }
    }
}

/// A field's name in words: lower case, with `_` between.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            if !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase()
                    || b.is_numeric()
                    || b.is_uppercase() && after.is_some_and(|a| a.is_lowercase())
            });
        if begins && !out.ends_with('_') {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    let out = out.trim_end_matches('_');
    match out.chars().next() {
        None => "field".to_owned(),
        Some(first) if first.is_numeric() => format!("_{out}"),
        Some(_) => out.to_owned(),
    }
}

/// A name for the column of the field at `path` that is not `taken` yet.
pub(super) fn column_name(path: &[String], taken: &[String]) -> String {
    let steps: Vec<String> = path.iter().map(|step| snake(step)).collect();
    let name = steps.join("_");
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .unwrap_or(name)
}

/// Whether the name of a field speaks of a point in time.
pub(super) fn is_time_like(name: &str) -> bool {
    snake(name).split('_').any(|word| {
        TIME_WORDS.contains(&word)
            // Names without any mark between their words.
            || word.ends_with("timestamp")
            || word.ends_with("time")
    })
}

/// How well the field of this name fits an event time; `None` when it does not at all.
pub(super) fn event_rank(name: &str) -> Option<EventRank> {
    let name = snake(name);
    let has = |words: &[&str]| name.split('_').any(|word| words.contains(&word));
    if has(&NEVER) {
        return None;
    }
    Some(if EVENT_NAMES.contains(&name.as_str()) {
        EventRank::Event
    } else if PLAIN_NAMES.contains(&name.as_str()) {
        EventRank::Plain
    } else if has(&OTHER_TIMES) {
        EventRank::OtherTime
    } else if is_time_like(&name) {
        EventRank::TimeLike
    } else {
        EventRank::NoTime
    })
}
