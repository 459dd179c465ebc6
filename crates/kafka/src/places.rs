//! Places in a topic as options write them: times, times before now, and offsets of partitions.

use std::time::Duration;

use dataflow::options::{OptionEntry, Options, bad_value, parse_duration};
use dataflow::time::MILLI;
use dataflow::{Error, Micros, Result, SqlState};

/// Most partitions of a list of offsets.
const MAX_OFFSETS: usize = 10_000;

/// Names of the options that say a place.
pub(crate) struct Names {
    /// Our own option.
    pub(crate) own: &'static str,
    /// Flink's option for the kind of place.
    pub(crate) mode: &'static str,
    /// Flink's option for the time of mode `timestamp`.
    pub(crate) millis: &'static str,
    /// Flink's option for the offsets of mode `specific-offsets`.
    pub(crate) offsets: &'static str,
}

/// A place as it was written.
pub(crate) enum Place {
    /// A word in our own option: neither a time nor offsets.
    Word(OptionEntry),
    /// A word in Flink's option.
    Mode(OptionEntry),
    Time(When),
    /// By partition of the one topic.
    Offsets(Vec<(i32, i64)>),
}

impl Place {
    /// Takes the options that say it; `None` when none does.
    ///
    /// # Errors
    /// `22023` for times and offsets that are none, and for Flink's companion options without their mode.
    pub(crate) fn take(options: &mut Options, names: &Names) -> Result<Option<Self>> {
        let entry = options.take_any(names.own, &[names.mode])?;
        let millis = options.take_any(names.millis, &[])?;
        let offsets = options.take_any(names.offsets, &[])?;
        let mode = entry.as_ref().filter(|entry| entry.name == names.mode);
        let is = |word: &str| mode.is_some_and(|mode| mode.value.eq_ignore_ascii_case(word));
        for (companion, word) in [(&millis, "timestamp"), (&offsets, "specific-offsets")] {
            if let Some(entry) = companion.as_ref().filter(|_| !is(word)) {
                return Err(without_effect(
                    entry,
                    &format!("'{}' = '{word}'", names.mode),
                ));
            }
        }
        let Some(entry) = entry else { return Ok(None) };
        if entry.name != names.mode {
            return Self::own(entry).map(Some);
        }
        Ok(Some(match entry.value.to_ascii_lowercase().as_str() {
            "timestamp" => {
                let millis = millis.ok_or_else(|| lacks(names.millis, &entry))?;
                Self::Time(When::parse_millis(&millis)?)
            }
            "specific-offsets" => {
                let offsets = offsets.ok_or_else(|| lacks(names.offsets, &entry))?;
                let bad = || bad_value(&offsets, "is not a list of offsets");
                let found = parse_offsets(&offsets).ok_or_else(|| {
                    bad().hint("write 'partition:0,offset:42;partition:1,offset:300'")
                })?;
                Self::Offsets(found?)
            }
            _ => Self::Mode(entry),
        }))
    }

    fn own(entry: OptionEntry) -> Result<Self> {
        if let Some(when) = When::parse(&entry) {
            return when.map(Self::Time);
        }
        match parse_offsets(&entry) {
            Some(offsets) => offsets.map(Self::Offsets),
            None => Ok(Self::Word(entry)),
        }
    }
}

/// A time on the broker's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Milliseconds since 1970-01-01 UTC.
    At(i64),
    /// So long before the reader was opened.
    Ago(Duration),
}

impl When {
    /// Reads milliseconds since 1970, an RFC 3339 time, or `-2 hours`; `None` when it is none of them.
    ///
    /// # Errors
    /// `22023` for a time that Kafka does not have.
    fn parse(entry: &OptionEntry) -> Option<Result<Self>> {
        let text = entry.value.trim();
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let millis = text.parse().map(Self::At);
            return Some(millis.map_err(|_| bad_value(entry, "is too large")));
        }
        if let Some(rest) = text.strip_prefix('-') {
            return parse_duration(rest.trim_start()).map(|ago| Ok(Self::Ago(ago)));
        }
        let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        let millis = at.timestamp_millis();
        Some(if millis >= 0 {
            Ok(Self::At(millis))
        } else {
            let what = "is before 1970, where Kafka's timestamps begin";
            Err(bad_value(entry, what))
        })
    }

    /// Reads Flink's milliseconds since 1970 of option `name`, without which `mode` says nothing.
    fn parse_millis(entry: &OptionEntry) -> Result<Self> {
        match entry.value.trim().parse::<i64>() {
            Ok(at) if at >= 0 => Ok(Self::At(at)),
            _ => Err(bad_value(
                entry,
                "is not a number of milliseconds since 1970",
            )),
        }
    }

    /// In milliseconds since 1970, for a reader that is opened at `now`.
    pub(crate) fn millis(self, now: Micros) -> i64 {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                now.div_euclid(MILLI).saturating_sub(ago).max(0)
            }
        }
    }
}

/// Reads `0:42,1:50`, or Flink's `partition:0,offset:42;partition:1,offset:50`; `None` when it is neither.
///
/// # Errors
/// `22023` for a partition given twice.
fn parse_offsets(entry: &OptionEntry) -> Option<Result<Vec<(i32, i64)>>> {
    let text = entry.value.trim();
    let offsets: Option<Vec<(i32, i64)>> = if text.starts_with("partition") {
        text.split(';').map(flink_offset).collect()
    } else {
        text.split(',').map(|part| offset(part, ':')).collect()
    };
    let offsets = offsets?;
    for (at, (id, _)) in offsets.iter().enumerate() {
        if offsets[..at].iter().any(|(other, _)| other == id) {
            let what = format!("names partition {id} twice");
            return Some(Err(bad_value(entry, &what)));
        }
    }
    if offsets.len() > MAX_OFFSETS {
        return Some(Err(bad_value(entry, "has too many partitions")));
    }
    Some(Ok(offsets))
}

/// `partition:0,offset:42`.
fn flink_offset(text: &str) -> Option<(i32, i64)> {
    let (id, at) = text.split_once(',')?;
    let id = id.trim().strip_prefix("partition")?.trim_start();
    let at = at.trim().strip_prefix("offset")?.trim_start();
    let plain = format!("{}:{}", id.strip_prefix(':')?, at.strip_prefix(':')?);
    offset(&plain, ':')
}

/// `0:42`.
fn offset(text: &str, between: char) -> Option<(i32, i64)> {
    let (id, at) = text.split_once(between)?;
    let id = id.trim().parse().ok().filter(|id| *id >= 0)?;
    let at = at.trim().parse().ok().filter(|at| *at >= 0)?;
    Some((id, at))
}

/// The option that gives the place for Flink's `mode` is missing.
fn lacks(name: &str, mode: &OptionEntry) -> Error {
    let message = format!("option \"{name}\" is missing");
    Error::new(SqlState::INVALID_PARAMETER, message)
        .at(mode.location)
        .hint(format!("'{}' = '{}' needs it", mode.name, mode.value))
}

/// An option that belongs to another mode is given.
fn without_effect(entry: &OptionEntry, mode: &str) -> Error {
    bad_value(entry, "is without effect").hint(format!("it belongs to {mode}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &str) -> OptionEntry {
        OptionEntry {
            name: "start".to_owned(),
            value: value.to_owned(),
            location: None,
        }
    }

    #[test]
    fn offsets_in_both_forms() {
        let parse = |text: &str| parse_offsets(&entry(text)).and_then(Result::ok);
        assert_eq!(parse("0:42, 1:50"), Some(vec![(0, 42), (1, 50)]));
        assert_eq!(
            parse("partition:0,offset:42; partition:1,offset:300"),
            Some(vec![(0, 42), (1, 300)])
        );
        for wrong in [
            "",
            "0",
            "0:-1",
            "-1:0",
            "0:1;1:2",
            "partition:0",
            "partition:0,offset",
            "offset:0,partition:1",
            "0:99999999999999999999",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        let twice = parse_offsets(&entry("0:1,0:2")).unwrap().unwrap_err();
        assert!(twice.message().ends_with("names partition 0 twice"));
    }

    #[test]
    fn times_and_times_before_now() {
        let parse = |text: &str| When::parse(&entry(text)).and_then(Result::ok);
        let now = 10_000_000;
        for (text, millis) in [
            ("1767225600000", 1_767_225_600_000),
            ("2026-01-01T01:00:00.5+01:00", 1_767_225_600_500),
            ("-2 s", 8_000),
            ("- 3 s", 7_000),
            ("-1 hour", 0),
        ] {
            assert_eq!(parse(text).unwrap().millis(now), millis, "{text}");
        }
        for wrong in ["", "-", "-5", "2 hours", "yesterday", "--1 s"] {
            assert_eq!(When::parse(&entry(wrong)), None, "{wrong}");
        }
        for refused in ["1960-01-01T00:00:00Z", "99999999999999999999"] {
            assert!(When::parse(&entry(refused)).unwrap().is_err(), "{refused}");
        }
    }
}
