//! Which topics a source reads: one, several, or all whose names match a pattern.

use std::fmt;
use std::sync::Arc;

use dataflow::options::{OptionEntry, Options, bad_value};
use dataflow::{Error, Result, SqlState};
use regex::Regex;

/// Most topics of one source.
pub(crate) const MAX_TOPICS: usize = 1_000;
/// Most bytes of a compiled pattern.
const PATTERN_BYTES: usize = 1 << 20;

/// The topics of a source.
#[derive(Clone, Debug)]
pub(crate) enum Topics {
    /// By their names.
    Named(Vec<Arc<str>>),
    /// All whose whole names match, now and later, but for those of Kafka's own (`__…`).
    Matching(Regex),
}

impl Topics {
    /// Takes the options that say it: `topic`, or `topic-pattern`.
    pub(crate) fn take(options: &mut Options) -> Result<Self> {
        let topic = options.take_any("topic", &[])?;
        let pattern = options.take_any("topic-pattern", &[])?;
        match (topic, pattern) {
            (Some(topic), None) => Self::named(&topic),
            (None, Some(pattern)) => Self::matching(&pattern),
            (Some(_), Some(pattern)) => {
                let message = "options \"topic\" and \"topic-pattern\" exclude each other";
                Err(Error::new(SqlState::INVALID_PARAMETER, message).at(pattern.location))
            }
            (None, None) => Err(Error::new(
                SqlState::INVALID_PARAMETER,
                "option \"topic\" is missing",
            )
            .hint("add topic = 'clicks' to WITH (…), or topic-pattern")),
        }
    }

    /// The one topic, if there is just one.
    pub(crate) fn only(&self) -> Option<&str> {
        match self {
            Self::Named(names) => match names.as_slice() {
                [name] => Some(name),
                _ => None,
            },
            Self::Matching(_) => None,
        }
    }

    fn named(entry: &OptionEntry) -> Result<Self> {
        let mut names: Vec<Arc<str>> = Vec::new();
        for name in entry.value.split([',', ';']).map(str::trim) {
            if !is_name(name) {
                return Err(bad_value(entry, "is not a name of a Kafka topic").hint(
                    "1 to 249 ASCII letters, digits, '.', '_' and '-'; several with commas between",
                ));
            }
            if names.iter().any(|other| **other == *name) {
                return Err(bad_value(entry, &format!("names topic {name} twice")));
            }
            names.push(name.into());
        }
        if names.len() > MAX_TOPICS {
            let what = format!("has more than {MAX_TOPICS} topics");
            return Err(bad_value(entry, &what));
        }
        Ok(Self::Named(names))
    }

    fn matching(entry: &OptionEntry) -> Result<Self> {
        let whole = format!("^(?:{})$", entry.value);
        let regex = regex::RegexBuilder::new(&whole)
            .size_limit(PATTERN_BYTES)
            .build();
        // The pattern alone must be one too: `a)|(b` is not.
        match (regex, Regex::new(&entry.value)) {
            (Ok(regex), Ok(_)) if !entry.value.is_empty() => Ok(Self::Matching(regex)),
            (_, Err(error)) => {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().to_owned();
                Err(bad_value(entry, "is not a regular expression").detail(reason))
            }
            _ => Err(bad_value(entry, "is not a regular expression")),
        }
    }

    /// Whether the source reads exactly one topic.
    pub(crate) fn is_one(&self) -> bool {
        matches!(self, Self::Named(names) if names.len() == 1)
    }

    /// Whether a topic of this name is one of the source's.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|own| **own == *name),
            Self::Matching(regex) => !name.starts_with("__") && regex.is_match(name),
        }
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => f.write_str(&names.join(",")),
            Self::Matching(regex) => {
                let whole = regex.as_str();
                f.write_str(&whole["^(?:".len()..whole.len() - ")$".len()])
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty()
        && name.len() <= 249
        && !matches!(name, "." | "..")
        && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(name: &str, value: &str) -> Result<Topics> {
        let entry = OptionEntry {
            name: name.to_owned(),
            value: value.to_owned(),
            location: None,
        };
        Topics::take(&mut Options::new(vec![entry]).unwrap())
    }

    #[test]
    fn lists_in_both_spellings() {
        for text in ["b,a", "b;a", " b , a "] {
            let topics = topics("topic", text).unwrap();
            assert_eq!(topics.to_string(), "b,a");
            assert!(topics.has("a") && !topics.has("c") && !topics.is_one());
        }
        assert!(topics("topic", "a").unwrap().is_one());
        for wrong in ["", "a,", "a,,b", "a,a", "a b", ".."] {
            let error = topics("topic", wrong).unwrap_err();
            assert_eq!(error.state(), SqlState::INVALID_PARAMETER, "{wrong}");
        }
    }

    #[test]
    fn patterns_match_whole_names_and_leave_kafkas_own_alone() {
        let topics = topics("topic-pattern", "clicks-.*|__x").unwrap();
        assert!(topics.has("clicks-eu"));
        for other in ["old-clicks-eu", "clicks", "__x"] {
            assert!(!topics.has(other), "{other}");
        }
        assert_eq!(topics.to_string(), "clicks-.*|__x");
        assert!(!topics.is_one());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for wrong in ["", "(", "a)|(b", "[z-a]", "(x{500}){500}"] {
            let error = topics("topic-pattern", wrong).unwrap_err();
            assert!(error.message().contains("regular expression"), "{wrong}");
        }
    }
}
