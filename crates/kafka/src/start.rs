//! Where reading begins: the option `start`, or Flink's `scan.startup.mode`.

use dataflow::Result;
use dataflow::options::{Options, bad_value};

use crate::places::{Names, Place, When};

/// The start of partitions that have no given position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Earliest,
    Latest,
    /// The first record whose broker timestamp is at or after this.
    Time(When),
    /// At these offsets, by partition of the one topic; partitions that are not listed at the earliest.
    Offsets(Vec<(i32, i64)>),
    /// Where the consumer group has committed; partitions without at the earliest.
    Group,
}

const NAMES: Names = Names {
    own: "start",
    mode: "scan.startup.mode",
    millis: "scan.startup.timestamp-millis",
    offsets: "scan.startup.specific-offsets",
};
const FORMS: &str = "write 'earliest', 'latest', 'group', a time such as '2026-01-01T00:00:00Z' or '-2 hours', milliseconds since 1970, or offsets such as '0:42,1:50'";

impl Start {
    /// Takes the options that say it.
    pub(crate) fn take(options: &mut Options) -> Result<Self> {
        let Some(place) = Place::take(options, &NAMES)? else {
            return Ok(Self::Earliest);
        };
        match place {
            Place::Time(when) => Ok(Self::Time(when)),
            Place::Offsets(offsets) => Ok(Self::Offsets(offsets)),
            Place::Word(entry) => match entry.value.trim().to_ascii_lowercase().as_str() {
                "earliest" => Ok(Self::Earliest),
                "latest" => Ok(Self::Latest),
                "group" => Ok(Self::Group),
                _ => Err(bad_value(&entry, "is not a place to start").hint(FORMS)),
            },
            Place::Mode(entry) => match entry.value.to_ascii_lowercase().as_str() {
                "earliest-offset" => Ok(Self::Earliest),
                "latest-offset" => Ok(Self::Latest),
                "group-offsets" => Ok(Self::Group),
                _ => Err(bad_value(&entry, "is not one of the choices").hint(
                    "choices: earliest-offset, latest-offset, group-offsets, timestamp, specific-offsets",
                )),
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

    fn start(pairs: &[(&str, &str)]) -> Result<Start> {
        let entry = |(name, value): &(&str, &str)| OptionEntry {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            location: None,
        };
        Start::take(&mut Options::new(pairs.iter().map(entry).collect()).unwrap())
    }

    #[test]
    fn all_forms() {
        let at = |millis| Start::Time(When::At(millis));
        for (value, expected) in [
            ("earliest", Start::Earliest),
            ("LATEST", Start::Latest),
            ("group", Start::Group),
            ("1767225600000", at(1_767_225_600_000)),
            ("2026-01-01T00:00:00Z", at(1_767_225_600_000)),
            (
                "-2 hours",
                Start::Time(When::Ago(Duration::from_secs(7_200))),
            ),
            ("0:42,1:50", Start::Offsets(vec![(0, 42), (1, 50)])),
            ("partition:0,offset:42", Start::Offsets(vec![(0, 42)])),
        ] {
            assert_eq!(start(&[("start", value)]).unwrap(), expected, "{value}");
        }
        assert_eq!(start(&[]).unwrap(), Start::Earliest);
    }

    #[test]
    fn flinks_modes() {
        assert_eq!(start(&[(MODE, "latest-offset")]).unwrap(), Start::Latest);
        assert_eq!(start(&[(MODE, "group-offsets")]).unwrap(), Start::Group);
        let timestamp = [(MODE, "timestamp"), (MILLIS, "5")];
        assert_eq!(start(&timestamp).unwrap(), Start::Time(When::At(5)));
        let offsets = [
            (MODE, "specific-offsets"),
            (OFFSETS, "partition:0,offset:42;partition:1,offset:300"),
        ];
        let expected = Start::Offsets(vec![(0, 42), (1, 300)]);
        assert_eq!(start(&offsets).unwrap(), expected);
    }

    #[test]
    fn wrong_values_are_refused() {
        for pairs in [
            &[("start", "yesterday")][..],
            &[("start", "1960-01-01T00:00:00Z")],
            &[("start", "99999999999999999999")],
            &[("start", "0:1,0:2")],
            &[(MODE, "earliest")],
            &[(MODE, "timestamp")],
            &[(MODE, "timestamp"), (MILLIS, "x")],
            &[(MILLIS, "5")],
            &[(MODE, "specific-offsets")],
            &[(MODE, "specific-offsets"), (OFFSETS, "0")],
            &[(MODE, "latest-offset"), (OFFSETS, "0:1")],
            &[("start", "earliest"), (MODE, "earliest-offset")],
        ] {
            assert_eq!(start(pairs).unwrap_err().state().0, "22023", "{pairs:?}");
        }
    }
}
