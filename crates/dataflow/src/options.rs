//! `WITH (name = 'value', …)`: typed reading, and a refusal by name of whatever nobody read.

use std::time::Duration;

use crate::error::{Error, Location, Result, SqlState};
use crate::time::Micros;

/// One option as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionEntry {
    /// Name, lower-case unless it was quoted.
    pub name: String,
    /// Value, without quotes.
    pub value: String,
    /// Where the name stands.
    pub location: Option<Location>,
}

/// The options of one statement. Each `take_*` marks what it read; [`Options::finish`] refuses the rest.
#[derive(Clone, Debug, Default)]
pub struct Options {
    entries: Vec<(OptionEntry, bool)>,
    asked: Vec<&'static str>,
    written_at: Micros,
}

impl Options {
    /// Wraps parsed options; refuses a name given twice.
    pub fn new(entries: Vec<OptionEntry>) -> Result<Self> {
        for (i, entry) in entries.iter().enumerate() {
            if entries[..i].iter().any(|e| e.name == entry.name) {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("option \"{}\" is given twice", entry.name),
                )
                .at(entry.location));
            }
        }
        Ok(Self {
            entries: entries.into_iter().map(|e| (e, false)).collect(),
            asked: Vec::new(),
            written_at: 0,
        })
    }

    /// With the time at which their statement was given, which stays the same when the statement is carried out again after
    /// a restart.
    #[must_use]
    pub fn written_at(mut self, at: Micros) -> Self {
        self.written_at = at;
        self
    }

    /// The time at which their statement was given, in microseconds since 1970.
    pub fn time(&self) -> Micros {
        self.written_at
    }

    /// All entries as written.
    pub fn entries(&self) -> impl Iterator<Item = &OptionEntry> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    /// The option under `name`, or under one of its `synonyms`; both given is an error.
    pub fn take_any(
        &mut self,
        name: &'static str,
        synonyms: &[&'static str],
    ) -> Result<Option<OptionEntry>> {
        self.asked.push(name);
        let mut found: Option<OptionEntry> = None;
        for (entry, used) in &mut self.entries {
            if entry.name != name && !synonyms.contains(&entry.name.as_str()) {
                continue;
            }
            *used = true;
            if let Some(first) = &found {
                let message = format!(
                    "options \"{}\" and \"{}\" mean the same; give one",
                    first.name, entry.name
                );
                return Err(Error::new(SqlState::INVALID_PARAMETER, message).at(entry.location));
            }
            found = Some(entry.clone());
        }
        Ok(found)
    }

    /// The text of option `name`.
    pub fn take(&mut self, name: &'static str) -> Result<Option<String>> {
        Ok(self.take_any(name, &[])?.map(|e| e.value))
    }

    /// The text of option `name`, which must be given.
    pub fn require(&mut self, name: &'static str, synonyms: &[&'static str]) -> Result<String> {
        self.take_any(name, synonyms)?
            .map(|e| e.value)
            .ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_PARAMETER,
                    format!("option \"{name}\" is missing"),
                )
                .hint(format!("add {name} = '…' to WITH (…)"))
            })
    }

    /// One of a few words.
    pub fn take_choice(&mut self, name: &'static str, choices: &[&str]) -> Result<Option<String>> {
        let Some(entry) = self.take_any(name, &[])? else {
            return Ok(None);
        };
        let value = entry.value.to_ascii_lowercase();
        if choices.contains(&value.as_str()) {
            return Ok(Some(value));
        }
        Err(bad_value(&entry, "is not one of the choices")
            .hint(format!("choices: {}", choices.join(", "))))
    }

    /// `true` or `false` (also on/off, yes/no, 1/0).
    pub fn take_bool(&mut self, name: &'static str) -> Result<Option<bool>> {
        let Some(entry) = self.take_any(name, &[])? else {
            return Ok(None);
        };
        bool_value(&entry).map(Some)
    }

    /// A duration such as `30 s`, `1 min`, `500 ms`, `2 hours`, `1 day`.
    pub fn take_duration(
        &mut self,
        name: &'static str,
        synonyms: &[&'static str],
    ) -> Result<Option<Duration>> {
        let Some(entry) = self.take_any(name, synonyms)? else {
            return Ok(None);
        };
        parse_duration(&entry.value).map(Some).ok_or_else(|| {
            bad_value(&entry, "is not a duration")
                .hint("write a number and a unit: ms, s, min, h or d, as in '30 s'")
        })
    }

    /// All options whose name begins with `prefix`, without the prefix.
    pub fn take_prefixed(&mut self, prefix: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (entry, used) in &mut self.entries {
            if let Some(rest) = entry.name.strip_prefix(prefix) {
                *used = true;
                found.push((rest.to_owned(), entry.value.clone()));
            }
        }
        found
    }

    /// Refuses the first option that nobody read, by name and position, with the nearest known name.
    pub fn finish(self) -> Result<()> {
        let Some((entry, _)) = self.entries.iter().find(|(_, used)| !used) else {
            return Ok(());
        };
        let error = Error::new(
            SqlState::INVALID_PARAMETER,
            format!("unknown option \"{}\"", entry.name),
        )
        .at(entry.location);
        Err(match nearest(&entry.name, &self.asked) {
            Some(name) => error.hint(format!("did you mean \"{name}\"?")),
            None => error.hint(format!("options here: {}", self.asked.join(", "))),
        })
    }
}

/// `true` or `false` (also on/off, yes/no, 1/0).
pub fn bool_value(entry: &OptionEntry) -> Result<bool> {
    match entry.value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(bad_value(entry, "is not a boolean")),
    }
}

/// An error about the value of an option, at its position.
pub fn bad_value(entry: &OptionEntry, what: &str) -> Error {
    let message = format!(
        "value '{}' of option \"{}\" {what}",
        entry.value, entry.name
    );
    Error::new(SqlState::INVALID_PARAMETER, message).at(entry.location)
}

/// Reads `30 s`, `1min`, `500 milliseconds`; `None` when it is not a duration.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let amount: u64 = text[..split].parse().ok()?;
    let millis = match text[split..].trim().to_ascii_lowercase().as_str() {
        "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    amount.checked_mul(millis).map(Duration::from_millis)
}

/// The candidate closest to `name`, when it is close enough to be a slip of the pen.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .iter()
        .map(|candidate| (edit_distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance (Wagner and Fischer, 1974), one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        let entry = |(name, value): &(&str, &str)| OptionEntry {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            location: None,
        };
        Options::new(pairs.iter().map(entry).collect()).unwrap()
    }

    #[test]
    fn an_unread_option_is_refused_with_the_nearest_name() {
        let mut o = options(&[("topic", "t"), ("brokerz", "b")]);
        o.take("topic").unwrap();
        o.take("brokers").unwrap();
        let error = o.finish().unwrap_err();
        assert_eq!(error.message(), "unknown option \"brokerz\"");
        assert_eq!(error.hint_text(), Some("did you mean \"brokers\"?"));
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("30 s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("1min"), Some(Duration::from_secs(60)));
        assert_eq!(parse_duration("s"), None);
        assert_eq!(parse_duration("10"), None);
        assert_eq!(parse_duration("10 parsecs"), None);
    }
}
