//! Where reading ends: the option `stop`, or Flink's `scan.bounded.mode`.

use dataflow::options::{Options, bad_value};
use dataflow::{Error, Result};

use crate::places::{Names, Place, When};

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

const NAMES: Names = Names {
    own: "stop",
    mode: "scan.bounded.mode",
    millis: "scan.bounded.timestamp-millis",
    offsets: "scan.bounded.specific-offsets",
};
const FORMS: &str = "write 'latest', a time such as '2026-01-01T00:00:00Z' or '-2 hours', milliseconds since 1970, or offsets such as '0:42,1:50'";

impl Stop {
    /// Takes the options that say it.
    pub(crate) fn take(options: &mut Options) -> Result<Self> {
        let Some(place) = Place::take(options, &NAMES)? else {
            return Ok(Self::Never);
        };
        match place {
            Place::Time(when) => Ok(Self::Time(when)),
            Place::Offsets(offsets) => Ok(Self::Offsets(offsets)),
            Place::Word(entry) => match entry.value.trim().to_ascii_lowercase().as_str() {
                "latest" => Ok(Self::Latest),
                "group" => {
                    let what = format!(
                        "stop = '{}' (the offsets of the consumer group)",
                        entry.value
                    );
                    Err(Error::unsupported(what).at(entry.location).hint(FORMS))
                }
                _ => Err(bad_value(&entry, "is not a place to stop").hint(FORMS)),
            },
            Place::Mode(entry) => match entry.value.to_ascii_lowercase().as_str() {
                "unbounded" => Ok(Self::Never),
                "latest-offset" => Ok(Self::Latest),
                "group-offsets" => {
                    let what = format!("'{}' = '{}'", entry.name, entry.value);
                    Err(Error::unsupported(what)
                        .at(entry.location)
                        .hint("there are latest-offset, timestamp and specific-offsets"))
                }
                _ => Err(bad_value(&entry, "is not one of the choices")
                    .hint("choices: unbounded, latest-offset, timestamp, specific-offsets")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dataflow::options::OptionEntry;

    use super::*;

    const MODE: &str = NAMES.mode;
    const MILLIS: &str = NAMES.millis;
    const OFFSETS: &str = NAMES.offsets;

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
