//! Where reading begins: the option `start`, or Flink's `scan.startup.mode`.

use dataflow::options::{OptionEntry, Options, bad_value};
use dataflow::{Error, Result};

/// The start of partitions that have no given position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Earliest,
    Latest,
    /// The first record whose broker timestamp, in milliseconds since 1970-01-01 UTC, is at or after this.
    Timestamp(i64),
}

const FORMS: &str = "write 'earliest', 'latest', an RFC 3339 time such as '2026-01-01T00:00:00Z', or milliseconds since 1970";

impl Start {
    /// Takes the options that say it.
    pub(crate) fn take(options: &mut Options) -> Result<Self> {
        let entry = options.take_any("start", &["scan.startup.mode"])?;
        let millis = options.take_any("scan.startup.timestamp-millis", &[])?;
        let flink = entry
            .as_ref()
            .is_some_and(|entry| entry.name == "scan.startup.mode");
        if flink
            && entry
                .as_ref()
                .is_some_and(|entry| entry.value.eq_ignore_ascii_case("timestamp"))
        {
            return Self::flink_timestamp(millis, entry.and_then(|entry| entry.location));
        }
        if let Some(millis) = millis {
            return Err(bad_value(&millis, "is without effect")
                .hint("it belongs to 'scan.startup.mode' = 'timestamp'"));
        }
        match entry {
            None => Ok(Self::Earliest),
            Some(entry) if flink => Self::flink_mode(&entry),
            Some(entry) => Self::parse(&entry),
        }
    }

    fn flink_timestamp(
        millis: Option<OptionEntry>,
        at: Option<dataflow::Location>,
    ) -> Result<Self> {
        let Some(millis) = millis else {
            let message = "option \"scan.startup.timestamp-millis\" is missing";
            return Err(Error::new(dataflow::SqlState::INVALID_PARAMETER, message)
                .at(at)
                .hint("'scan.startup.mode' = 'timestamp' needs it"));
        };
        match millis.value.trim().parse::<i64>() {
            Ok(at) if at >= 0 => Ok(Self::Timestamp(at)),
            _ => Err(bad_value(
                &millis,
                "is not a number of milliseconds since 1970",
            )),
        }
    }

    fn flink_mode(entry: &OptionEntry) -> Result<Self> {
        match entry.value.to_ascii_lowercase().as_str() {
            "earliest-offset" => Ok(Self::Earliest),
            "latest-offset" => Ok(Self::Latest),
            "group-offsets" | "specific-offsets" => Err(Error::unsupported(format_args!(
                "'scan.startup.mode' = '{}'",
                entry.value
            ))
            .at(entry.location)
            .hint("there are 'earliest-offset', 'latest-offset' and 'timestamp'")),
            _ => Err(bad_value(entry, "is not one of the choices")
                .hint("choices: earliest-offset, latest-offset, timestamp")),
        }
    }

    fn parse(entry: &OptionEntry) -> Result<Self> {
        let text = entry.value.trim();
        match text.to_ascii_lowercase().as_str() {
            "earliest" => return Ok(Self::Earliest),
            "latest" => return Ok(Self::Latest),
            "group" => return Err(unsupported(entry, "the offsets of the consumer group")),
            _ => {}
        }
        if let Ok(millis) = text.parse::<u64>() {
            return i64::try_from(millis)
                .map(Self::Timestamp)
                .map_err(|_| bad_value(entry, "is too large"));
        }
        if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
            let millis = at.timestamp_millis();
            return if millis >= 0 {
                Ok(Self::Timestamp(millis))
            } else {
                Err(bad_value(
                    entry,
                    "is before 1970, where Kafka's timestamps begin",
                ))
            };
        }
        let digits = text.trim_start_matches('-').trim_start();
        if text.starts_with('-') && dataflow::options::parse_duration(digits).is_some() {
            return Err(unsupported(entry, "a time relative to now"));
        }
        if is_offsets(text) {
            return Err(unsupported(entry, "offsets per partition"));
        }
        Err(bad_value(entry, "is not a place to start").hint(FORMS))
    }
}

fn unsupported(entry: &OptionEntry, what: &str) -> Error {
    Error::unsupported(format_args!("{} = '{}' ({what})", entry.name, entry.value))
        .at(entry.location)
        .hint(FORMS)
}

/// `0:42,1:50` or Flink's `partition:0,offset:42;partition:1,offset:50`.
fn is_offsets(text: &str) -> bool {
    let number = |part: &str| part.trim().parse::<u64>().is_ok();
    text.split([',', ';'])
        .all(|part| match part.split_once(':') {
            Some((left, right)) => {
                number(right) && (number(left) || matches!(left.trim(), "partition" | "offset"))
            }
            None => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (value, expected) in [
            ("earliest", Start::Earliest),
            ("LATEST", Start::Latest),
            ("1767225600000", Start::Timestamp(1_767_225_600_000)),
            ("2026-01-01T00:00:00Z", Start::Timestamp(1_767_225_600_000)),
            (
                "2026-01-01T01:00:00.5+01:00",
                Start::Timestamp(1_767_225_600_500),
            ),
        ] {
            assert_eq!(start(&[("start", value)]).unwrap(), expected, "{value}");
        }
        assert_eq!(start(&[]).unwrap(), Start::Earliest);
        assert_eq!(
            start(&[("scan.startup.mode", "latest-offset")]).unwrap(),
            Start::Latest
        );
        let timestamp = [
            ("scan.startup.mode", "timestamp"),
            ("scan.startup.timestamp-millis", "5"),
        ];
        assert_eq!(start(&timestamp).unwrap(), Start::Timestamp(5));
    }

    #[test]
    fn forms_of_the_dialect_that_are_not_supported_are_refused_by_name() {
        for value in [
            "-2 hours",
            "group",
            "0:42,1:50",
            "partition:0,offset:42;partition:1,offset:300",
        ] {
            let error = start(&[("start", value)]).unwrap_err();
            assert_eq!(error.state().0, "0A000", "{value}");
            assert!(error.message().contains(value), "{error}");
        }
        let error = start(&[("scan.startup.mode", "group-offsets")]).unwrap_err();
        assert_eq!(
            error.message(),
            "'scan.startup.mode' = 'group-offsets' is not supported"
        );
        assert_eq!(error.state().0, "0A000");
    }

    #[test]
    fn wrong_values_are_refused() {
        for pairs in [
            &[("start", "yesterday")][..],
            &[("start", "1960-01-01T00:00:00Z")],
            &[("start", "99999999999999999999")],
            &[("scan.startup.mode", "earliest")],
            &[("scan.startup.mode", "timestamp")],
            &[
                ("scan.startup.mode", "timestamp"),
                ("scan.startup.timestamp-millis", "x"),
            ],
            &[("scan.startup.timestamp-millis", "5")],
            &[
                ("start", "earliest"),
                ("scan.startup.mode", "earliest-offset"),
            ],
        ] {
            assert_eq!(start(pairs).unwrap_err().state().0, "22023", "{pairs:?}");
        }
    }
}
