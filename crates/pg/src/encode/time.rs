//! Dates, times, timestamps and intervals as PostgreSQL's ISO style writes them.

use std::io::Write;

use chrono::{DateTime, Offset, TimeZone};
use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::TimeUnit;

use dataflow::{Error, Result, SqlState};

/// Microseconds of a second.
pub(crate) const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's binary dates begin.
pub(crate) const EPOCH_DAYS: i32 = 10_957;
/// Microseconds from 1970-01-01 to 2000-01-01.
pub(crate) const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * DAY;

/// The session's time zone, in which timestamps with zone are shown.
#[derive(Clone, Debug)]
pub enum Zone {
    /// UTC.
    Utc,
    /// Any other, by name or fixed offset.
    Named(Tz),
}

impl Zone {
    /// A zone by its name (`Europe/Berlin`, any case of `utc`) or offset (`+02:00`).
    pub fn parse(name: &str) -> Result<Self> {
        if ["utc", "gmt", "etc/utc", "z", "zulu", "universal"]
            .contains(&name.to_ascii_lowercase().as_str())
        {
            return Ok(Self::Utc);
        }
        let unknown = |_| {
            Error::new(
                SqlState::INVALID_PARAMETER,
                format!("time zone \"{name}\" not recognized"),
            )
        };
        name.parse().map(Self::Named).map_err(unknown)
    }

    /// Seconds east of UTC at an instant, given in seconds since 1970-01-01 UTC.
    pub(crate) fn offset_at(&self, seconds: i64) -> i32 {
        match self {
            Self::Utc => 0,
            Self::Named(zone) => DateTime::from_timestamp(seconds, 0).map_or(0, |at| {
                zone.offset_from_utc_datetime(&at.naive_utc())
                    .fix()
                    .local_minus_utc()
            }),
        }
    }
}

/// A value of `unit` in microseconds. Nanoseconds are cut, as PostgreSQL keeps microseconds.
pub(crate) fn to_micros(value: i64, unit: TimeUnit) -> Result<i64> {
    let out_of_range = || Error::new(SqlState("22008"), "timestamp out of range");
    match unit {
        TimeUnit::Second => value.checked_mul(SECOND).ok_or_else(out_of_range),
        TimeUnit::Millisecond => value.checked_mul(1000).ok_or_else(out_of_range),
        TimeUnit::Microsecond => Ok(value),
        TimeUnit::Nanosecond => Ok(value.div_euclid(1000)),
    }
}

/// Writes a date given in days since 1970-01-01.
pub(crate) fn write_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    write_day(year, month, day, out);
    write_era(year, out);
}

/// Writes a time of day given in microseconds since midnight.
pub(crate) fn write_time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros.div_euclid(SECOND);
    let _ = write!(
        out,
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    write_fraction(micros.rem_euclid(SECOND), out);
}

/// Writes a timestamp without zone, in microseconds since 1970-01-01.
pub(crate) fn write_timestamp(micros: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(micros.div_euclid(DAY));
    write_day(year, month, day, out);
    out.push(b' ');
    write_time(micros.rem_euclid(DAY), out);
    write_era(year, out);
}

/// Writes an instant, in microseconds since 1970-01-01 UTC, as the zone's local time and offset.
pub(crate) fn write_timestamptz(micros: i64, zone: &Zone, out: &mut Vec<u8>) {
    let offset = zone.offset_at(micros.div_euclid(SECOND));
    let local = micros.saturating_add(i64::from(offset) * SECOND);
    let (year, month, day) = civil(local.div_euclid(DAY));
    write_day(year, month, day, out);
    out.push(b' ');
    write_time(local.rem_euclid(DAY), out);
    write_offset(offset, out);
    write_era(year, out);
}

/// Writes an interval in the style `postgres`: `1 year 2 mons -3 days +04:05:06.5`.
pub(crate) fn write_interval(months: i32, days: i32, micros: i64, out: &mut Vec<u8>) {
    let mut written = false;
    let mut after_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value != 0 {
            let space = if written { " " } else { "" };
            let plus = if after_negative && value > 0 { "+" } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            let _ = write!(out, "{space}{plus}{value} {unit}{plural}");
            after_negative = value < 0;
            written = true;
        }
    }
    if micros == 0 && written {
        return;
    }
    if written {
        out.push(b' ');
    }
    if micros < 0 {
        out.push(b'-');
    } else if after_negative {
        out.push(b'+');
    }
    let micros = micros.unsigned_abs();
    let (seconds, fraction) = (
        micros / SECOND.unsigned_abs(),
        micros % SECOND.unsigned_abs(),
    );
    let _ = write!(
        out,
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    );
    write_fraction(fraction.cast_signed(), out);
}

fn write_day(year: i64, month: u32, day: u32, out: &mut Vec<u8>) {
    // There is no year 0: the year before 1 is 1 BC.
    let shown = if year <= 0 { 1 - year } else { year };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}");
}

fn write_era(year: i64, out: &mut Vec<u8>) {
    if year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

/// A point and up to six digits, without trailing zeros.
fn write_fraction(micros: i64, out: &mut Vec<u8>) {
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

fn write_offset(seconds: i32, out: &mut Vec<u8>) {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let _ = write!(out, "{sign}{:02}", seconds / 3600);
    if !seconds.is_multiple_of(3600) {
        let _ = write!(out, ":{:02}", seconds / 60 % 60);
    }
    if !seconds.is_multiple_of(60) {
        let _ = write!(out, ":{:02}", seconds % 60);
    }
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar. Counts in eras of 400
/// years that begin on 1 March, so that leap days come last.
fn civil(days: i64) -> (i64, u32, u32) {
    const ERA_DAYS: i64 = 146_097;
    let days = days + 719_468;
    let era = days.div_euclid(ERA_DAYS);
    let day_of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let small = |value: i64| u32::try_from(value).unwrap_or(0);
    (year, small(month), small(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_and_timestamps_cover_all_of_time() {
        assert_eq!(shown(|o| write_date(0, o)), "1970-01-01");
        assert_eq!(shown(|o| write_date(-719_162 - 1, o)), "0001-12-31 BC");
        assert_eq!(shown(|o| write_date(11_016, o)), "2000-02-29");
        assert_eq!(
            shown(|o| write_timestamp(-1, o)),
            "1969-12-31 23:59:59.999999"
        );
        assert_eq!(
            shown(|o| write_timestamp(253_402_300_800 * SECOND, o)),
            "10000-01-01 00:00:00"
        );
        assert_eq!(
            shown(|o| write_timestamp(-719_162 * DAY, o)),
            "0001-01-01 00:00:00"
        );
        for extreme in [i64::MIN, i64::MAX] {
            shown(|o| write_timestamp(extreme, o));
            shown(|o| write_timestamptz(extreme, &Zone::parse("Asia/Tokyo").unwrap(), o));
        }
        shown(|o| write_date(i64::from(i32::MIN), o));
    }

    #[test]
    fn zones_show_local_time_and_offset() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let year_2026 = 1_767_225_600 * SECOND;
        assert_eq!(
            shown(|o| write_timestamptz(year_2026, &Zone::Utc, o)),
            "2026-01-01 00:00:00+00"
        );
        assert_eq!(
            shown(|o| write_timestamptz(year_2026, &berlin, o)),
            "2026-01-01 01:00:00+01"
        );
        let july = 1_782_864_000 * SECOND + 120_000;
        assert_eq!(
            shown(|o| write_timestamptz(july, &berlin, o)),
            "2026-07-01 02:00:00.12+02"
        );
        let long_ago = -2_524_521_600 * SECOND;
        assert_eq!(
            shown(|o| write_timestamptz(long_ago, &berlin, o)),
            "1890-01-01 00:53:28+00:53:28"
        );
        let kolkata = Zone::parse("Asia/Kolkata").unwrap();
        assert_eq!(
            shown(|o| write_timestamptz(year_2026, &kolkata, o)),
            "2026-01-01 05:30:00+05:30"
        );
        assert!(Zone::parse("Nowhere/Town").is_err());
    }

    #[test]
    fn intervals_carry_signs_as_postgres_does() {
        let cases = [
            ((14, 3, 14_706_789_000), "1 year 2 mons 3 days 04:05:06.789"),
            (
                (-14, 3, -14_706 * SECOND),
                "-1 years -2 mons +3 days -04:05:06",
            ),
            ((0, 1, -SECOND), "1 day -00:00:01"),
            ((0, 0, 0), "00:00:00"),
            ((0, 0, 48 * 3600 * SECOND), "48:00:00"),
            ((0, 0, -SECOND), "-00:00:01"),
            ((1, 0, 0), "1 mon"),
            ((-1, 1, 0), "-1 mons +1 day"),
            ((1, -1, 0), "1 mon -1 days"),
            ((0, -1, SECOND), "-1 days +00:00:01"),
        ];
        for ((months, days, micros), text) in cases {
            assert_eq!(shown(|o| write_interval(months, days, micros, o)), text);
        }
    }
}
