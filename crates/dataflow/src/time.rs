//! Event time: microseconds since 1970-01-01 UTC as `i64`, and the watermark over it.

/// A point in time or a duration in microseconds. Points are UTC; they may be negative.
pub type Micros = i64;

/// Microseconds in one millisecond.
pub const MILLI: Micros = 1_000;
/// Microseconds in one second.
pub const SECOND: Micros = 1_000_000;
/// Microseconds in one minute.
pub const MINUTE: Micros = 60 * SECOND;

/// A promise that no further row with an event time at or below it will come (Flink's meaning).
///
/// `Watermark::MIN` promises nothing; `Watermark::MAX` says that the input has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub Micros);

impl Watermark {
    /// Nothing is promised yet.
    pub const MIN: Self = Self(Micros::MIN);
    /// The input has ended: every window may close.
    pub const MAX: Self = Self(Micros::MAX);

    /// Whether a window that ends (exclusively) at `end` is complete.
    pub fn closes(self, end: Micros) -> bool {
        self.0 >= end.saturating_sub(1)
    }

    /// Whether the watermark carries any promise.
    pub fn is_known(self) -> bool {
        self != Self::MIN
    }

    /// The watermark seen through a column whose values are `offset` microseconds above event time.
    #[must_use]
    pub fn shifted(self, offset: Micros) -> Self {
        match self {
            Self::MIN | Self::MAX => self,
            Self(at) => Self(at.saturating_add(offset)),
        }
    }
}

/// The start of the interval of length `step` (from `origin`) that holds `at`; right for negative times too.
pub fn floor_to(at: Micros, step: Micros, origin: Micros) -> Micros {
    let shifted = at.wrapping_sub(origin);
    at.wrapping_sub(shifted.rem_euclid(step))
}

/// Formats a time as RFC 3339 with milliseconds, `2026-01-01T00:00:00.000Z`, for messages and status rows.
pub fn format_utc(at: Micros) -> String {
    let (days, of_day) = (
        at.div_euclid(86_400 * SECOND),
        at.rem_euclid(86_400 * SECOND),
    );
    let (year, month, day) = civil_from_days(days);
    let millis = of_day / MILLI;
    let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z",
        millis / 1000 % 60,
        millis % 1000
    )
}

/// Year, month and day of a day number counted from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + i64::from(month <= 2),
        month,
        doy - (153 * mp + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_is_right_below_zero() {
        assert_eq!(floor_to(-1, 10, 0), -10);
        assert_eq!(floor_to(-10, 10, 0), -10);
        assert_eq!(floor_to(7, 10, 5), 5);
        assert_eq!(floor_to(4, 10, 5), -5);
    }

    #[test]
    fn window_closes_at_its_last_microsecond() {
        assert!(Watermark(9).closes(10));
        assert!(!Watermark(8).closes(10));
        assert!(!Watermark::MIN.closes(Micros::MIN + 2));
    }

    #[test]
    fn utc_text() {
        assert_eq!(format_utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_utc(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            format_utc(1_709_210_096_789_000),
            "2024-02-29T12:34:56.789Z"
        );
    }
}
