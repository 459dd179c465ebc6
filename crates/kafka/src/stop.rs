//! Where reading ends: the option `stop`, or Flink's `scan.bounded.mode`.

use dataflow::options::{OptionEntry, Options, bad_value};
use dataflow::{Error, Result};

use crate::places::{When, lacks, parse_offsets, without_effect};
use crate::start::bad_offsets;

/// The end of what a source reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Never,
    /// The ends that are found when connecting.
    Latest,
    /// Before the first record whose broker timestamp is at or after this; without one, at the end found when connecting.
    Time(When),
    /// Before these offsets, by partition of the one topic; partitions that are not listed are not read.
    Offsets(Vec<(i32, i64)>),
}

const MODE: &str = "scan.bounded.mode";
const MILLIS: &str = "scan.bounded.timestamp-millis";
const OFFSETS: &str = "scan.bounded.specific-offsets";
const FORMS: &str = "write 'latest', a time such as '2026-01-01T00:00:00Z' or '-2 hours', milliseconds since 1970, or offsets such as '0:42,1:50'";

impl Stop {
    /// Takes the options that say it.
    pub(crate) fn take(options: &mut Options) -> Result<Self> {
        let entry = options.take_any("stop", &[MODE])?;
        let millis = options.take_any(MILLIS, &[])?;
        let offsets = options.take_any(OFFSETS, &[])?;
        let mode = entry.as_ref().filter(|entry| entry.name == MODE);
        let is = |word: &str| mode.is_some_and(|mode| mode.value.eq_ignore_ascii_case(word));
        if let Some(entry) = millis.as_ref().filter(|_| !is("timestamp")) {
            return Err(without_effect(entry, "'scan.bounded.mode' = 'timestamp'"));
        }
        if let Some(entry) = offsets.as_ref().filter(|_| !is("specific-offsets")) {
            let mode = "'scan.bounded.mode' = 'specific-offsets'";
            return Err(without_effect(entry, mode));
        }
        match (mode, entry.as_ref()) {
            (Some(mode), _) => Self::flink(mode, millis.as_ref(), offsets.as_ref()),
            (None, Some(entry)) => Self::parse(entry),
            (None, None) => Ok(Self::Never),
        }
    }

    fn flink(
        mode: &OptionEntry,
        millis: Option<&OptionEntry>,
        offsets: Option<&OptionEntry>,
    ) -> Result<Self> {
        match mode.value.to_ascii_lowercase().as_str() {
            "unbounded" => Ok(Self::Never),
            "latest-offset" => Ok(Self::Latest),
            "group-offsets" => {
                let what = format!("'{}' = '{}'", mode.name, mode.value);
                Err(Error::unsupported(what)
                    .at(mode.location)
                    .hint("there are latest-offset, timestamp and specific-offsets"))
            }
            "timestamp" => {
                let millis = millis.ok_or_else(|| lacks(MILLIS, mode))?;
                When::parse_millis(millis).map(Self::Time)
            }
            "specific-offsets" => {
                let offsets = offsets.ok_or_else(|| lacks(OFFSETS, mode))?;
                parse_offsets(offsets)
                    .unwrap_or_else(|| Err(bad_offsets(offsets)))
                    .map(Self::Offsets)
            }
            _ => Err(bad_value(mode, "is not one of the choices")
                .hint("choices: unbounded, latest-offset, timestamp, specific-offsets")),
        }
    }

    fn parse(entry: &OptionEntry) -> Result<Self> {
        match entry.value.trim().to_ascii_lowercase().as_str() {
            "latest" => return Ok(Self::Latest),
            "group" => {
                let what = format!(
                    "stop = '{}' (the offsets of the consumer group)",
                    entry.value
                );
                return Err(Error::unsupported(what).at(entry.location).hint(FORMS));
            }
            _ => {}
        }
        if let Some(when) = When::parse(entry) {
            return when.map(Self::Time);
        }
        match parse_offsets(entry) {
            Some(offsets) => offsets.map(Self::Offsets),
            None => Err(bad_value(entry, "is not a place to stop").hint(FORMS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stop(pairs: &[(&str, &str)]) -> Result<Stop> {
        let entry = |(name, value): &(&str, &str)| OptionEntry {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            location: None,
        };
        Stop::take(&mut Options::new(pairs.iter().map(entry).collect()).unwrap())
    }

    #[test]
    fn all_forms() {
        for (value, expected) in [
            ("latest", Stop::Latest),
            ("5", Stop::Time(When::At(5))),
            ("-1 min", Stop::Time(When::Ago(Duration::from_secs(60)))),
            ("0:42", Stop::Offsets(vec![(0, 42)])),
        ] {
            assert_eq!(stop(&[("stop", value)]).unwrap(), expected, "{value}");
        }
        assert_eq!(stop(&[]).unwrap(), Stop::Never);
        assert_eq!(stop(&[(MODE, "unbounded")]).unwrap(), Stop::Never);
        assert_eq!(stop(&[(MODE, "latest-offset")]).unwrap(), Stop::Latest);
        let timestamp = [(MODE, "timestamp"), (MILLIS, "5")];
        assert_eq!(stop(&timestamp).unwrap(), Stop::Time(When::At(5)));
        let offsets = [
            (MODE, "specific-offsets"),
            (OFFSETS, "partition:1,offset:3"),
        ];
        assert_eq!(stop(&offsets).unwrap(), Stop::Offsets(vec![(1, 3)]));
    }

    #[test]
    fn wrong_values_are_refused() {
        for (pairs, state) in [
            (&[("stop", "earliest")][..], "22023"),
            (&[("stop", "group")], "0A000"),
            (&[(MODE, "group-offsets")], "0A000"),
            (&[(MODE, "latest")], "22023"),
            (&[(MODE, "timestamp")], "22023"),
            (&[(MODE, "specific-offsets")], "22023"),
            (&[(MODE, "unbounded"), (MILLIS, "5")], "22023"),
            (&[(OFFSETS, "0:1")], "22023"),
            (&[("stop", "latest"), (MODE, "unbounded")], "22023"),
        ] {
            assert_eq!(stop(pairs).unwrap_err().state().0, state, "{pairs:?}");
        }
    }
}
