//! Times and dates as records have them: ISO 8601 text, and numbers since 1970-01-01 UTC.

use dataflow::Micros;
use dataflow::time::{MINUTE, SECOND};

use super::number::{integer, scaled};
use super::scan::Kind;

pub(crate) const DAY: Micros = 24 * 60 * MINUTE;
/// 0000-01-01T00:00:00Z.
const EARLIEST: Micros = -719_528 * DAY;
/// The last microsecond of the year 9999.
const LATEST: Micros = 2_932_897 * DAY - 1;

/// Whether a time lies in the years 0000 to 9999. Beyond them is a wrong unit, and one such time would drive the
/// watermark past everything that follows.
pub(crate) fn in_range(at: Micros) -> bool {
    (EARLIEST..=LATEST).contains(&at)
}

/// The time that a JSON number stands for whose unit is 10^`scale` microseconds, rounded down; `None` when
/// it is not [`in_range`].
#[inline]
pub(super) fn epoch(text: &[u8], kind: Kind, scale: u32) -> Option<Micros> {
    let micros = if kind == Kind::Integer {
        integer(text)?.checked_mul(10i64.pow(scale))?
    } else {
        i64::try_from(scaled(text, i64::from(scale))?.floor()).ok()?
    };
    in_range(micros).then_some(micros)
}

/// Reads `YYYY-MM-DD[T ]HH:MM:SS[.fraction][Z|±hh[[:]mm]]`; without a zone it is UTC, digits beyond microseconds are cut
/// off, and a 60th second does not exist. `None` when the text is anything else. The result may lie up to a day outside
/// of the years 0000 to 9999.
#[inline]
pub(super) fn timestamp(text: &[u8]) -> Option<Micros> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let days = date(head.first_chunk::<10>()?)?;
    if !matches!(head[10], b'T' | b't' | b' ') || head[13] != b':' || head[16] != b':' {
        return None;
    }
    let hour = below(two(head[11], head[12])?, 24)?;
    let minute = below(two(head[14], head[15])?, 60)?;
    let second = below(two(head[17], head[18])?, 60)?;
    let (fraction, rest) = fraction(rest)?;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(i64::from(days) * DAY + seconds * SECOND + fraction - zone(rest)?)
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01.
pub(crate) fn date(text: &[u8; 10]) -> Option<i32> {
    if text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = two(text[0], text[1])? * 100 + two(text[2], text[3])?;
    let month = two(text[5], text[6])?;
    let day = two(text[8], text[9])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    (1..=length)
        .contains(&day)
        .then(|| days_from_civil(year, month, day))
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`, moved up by
/// one era of 400 years to stay positive).
fn days_from_civil(year: u32, month: u32, day: u32) -> i32 {
    let shifted = year + 400 - u32::from(month <= 2);
    let of_era = shifted % 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = shifted / 400 * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    days.cast_signed() - 719_468 - 146_097
}

/// An optional fraction of a second in microseconds, and what follows it.
fn fraction(text: &[u8]) -> Option<(Micros, &[u8])> {
    let Some(text) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let length = text
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(text.len());
    if length == 0 {
        return None;
    }
    let digit = |at: usize| {
        if at < length {
            Micros::from(text[at] - b'0')
        } else {
            0
        }
    };
    Some((
        (0..6).fold(0, |micros, at| micros * 10 + digit(at)),
        &text[length..],
    ))
}

/// How far the zone is ahead of UTC.
fn zone(text: &[u8]) -> Option<Micros> {
    let (ahead, hours, minutes) = match *text {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, a, b] => (sign, two(a, b)?, 0),
        [sign, a, b, b':', c, d] | [sign, a, b, c, d] => (sign, two(a, b)?, two(c, d)?),
        _ => return None,
    };
    let minutes = below(hours, 24)? * 60 + below(minutes, 60)?;
    match ahead {
        b'+' => Some(i64::from(minutes) * MINUTE),
        b'-' => Some(-i64::from(minutes) * MINUTE),
        _ => None,
    }
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then_some(u32::from(tens) * 10 + u32::from(ones))
}

fn below(value: u32, limit: u32) -> Option<u32> {
    (value < limit).then_some(value)
}
