//! How large and how old a file becomes before it is finished.

use std::time::Duration;

use dataflow::Result;
use dataflow::options::{Options, bad_value};

/// Unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(10);
/// Unless told otherwise.
const SIZE: u64 = 64 << 20;

/// A file is finished when it has one of these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roll {
    /// How long rows are gathered.
    interval: Duration,
    /// Bytes.
    size: u64,
}

impl Roll {
    /// Reads `roll_interval` and `roll_size`, also under Flink's names.
    ///
    /// # Errors
    /// `22023` for what is no duration or size.
    pub(super) fn take(options: &mut Options) -> Result<Self> {
        let flink = "sink.rolling-policy.rollover-interval";
        let interval = options.take_duration("roll_interval", &[flink])?;
        Ok(Self {
            interval: interval.unwrap_or(INTERVAL),
            size: take_size(options)?.unwrap_or(SIZE),
        })
    }

    /// Whether a file of so many bytes, whose first row was written so long ago, is finished.
    pub(super) fn is_due(self, bytes: u64, written_for: Duration) -> bool {
        bytes >= self.size || written_for >= self.interval
    }
}

fn take_size(options: &mut Options) -> Result<Option<u64>> {
    let flink = "sink.rolling-policy.file-size";
    let Some(entry) = options.take_any("roll_size", &[flink])? else {
        return Ok(None);
    };
    parse_size(&entry.value).map(Some).ok_or_else(|| {
        bad_value(&entry, "is not a size")
            .hint("write a number of bytes, or a number and a unit: kB, MB or GB, as in '64 MB'")
    })
}

/// Reads `1000`, `64 MB`, `1GB`; a unit is 1024 of the one before, as in PostgreSQL and Flink.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (amount, unit) = text.split_at(end.unwrap_or(text.len()));
    let bytes = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        _ => return None,
    };
    let size = amount.parse::<u64>().ok()?.checked_mul(bytes)?;
    (size > 0).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, size) in [
            ("1000", Some(1000)),
            (" 64 MB ", Some(64 << 20)),
            ("1kb", Some(1024)),
            ("2 GB", Some(2 << 30)),
            ("0", None),
            ("", None),
            ("MB", None),
            ("1.5 MB", None),
            ("10 parsecs", None),
            ("99999999999999 GB", None),
        ] {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }
}
