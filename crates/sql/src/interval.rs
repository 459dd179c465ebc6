//! Constant intervals: `INTERVAL '5' SECOND`, `INTERVAL '1 hour 30 minutes'`, `'00:05:00'::interval`, in microseconds.

use dataflow::{Error, Micros, Result, SqlState};
use sqlparser::ast::{CastKind, DataType, DateTimeField, Expr, Interval, UnaryOperator, Value};

use crate::location::location_of;

const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;
const DAY: i128 = 24 * HOUR;
const WEEK: i128 = 7 * DAY;

/// The length of a constant interval in microseconds; it may be negative.
///
/// Accepts an `INTERVAL` literal with or without a unit behind it, a string that is cast to `interval`, a plain string,
/// and a sign before or parentheses around any of them. A day is 24 hours. Errors: `0A000` for months and years (their
/// length varies) and for anything that is not a constant, `22007` for text that is no interval, `22008` out of range.
pub fn interval_micros(expr: &Expr) -> Result<Micros> {
    let at = location_of(expr);
    let micros = constant(expr).map_err(|error| error.at(at))?;
    Micros::try_from(micros).map_err(|_| out_of_range().at(at))
}

/// A constant interval that must be longer than nothing, for sizes and gaps; `what` names it in the error.
pub fn positive_interval_micros(expr: &Expr, what: &str) -> Result<Micros> {
    let at = location_of(expr);
    let micros = interval_micros(expr)?;
    if micros > 0 {
        return Ok(micros);
    }
    Err(Error::new(
        SqlState::INVALID_PARAMETER,
        format!("{what} must be longer than zero"),
    )
    .at(at))
}

/// Reads the text of an interval as PostgreSQL does: `1 day 02:30:00`, `1 hour 30 minutes`, `90 s`, `5 minutes ago`.
/// A number without a unit counts seconds. Errors as in [`interval_micros`], without a place.
pub fn parse_interval_text(text: &str) -> Result<Micros> {
    Micros::try_from(parse_text(text, None)?).map_err(|_| out_of_range())
}

fn constant(expr: &Expr) -> Result<i128> {
    match expr {
        Expr::Nested(inner) => constant(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => Ok(-constant(expr)?),
        Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr,
        } => constant(expr),
        Expr::Interval(interval) => interval_literal(interval),
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr,
            data_type,
            array: false,
            format: None,
        } if plain_interval_type(data_type) => constant(expr),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text) => parse_text(text, None),
            _ => Err(not_constant()),
        },
        Expr::TypedString(typed) if plain_interval_type(&typed.data_type) => {
            match &typed.value.value {
                Value::SingleQuotedString(text) => parse_text(text, None),
                _ => Err(not_constant()),
            }
        }
        _ => Err(not_constant()),
    }
}

fn plain_interval_type(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Interval {
            fields: None,
            precision: None
        }
    )
}

fn interval_literal(interval: &Interval) -> Result<i128> {
    if interval.last_field.is_some() {
        return Err(
            Error::unsupported("INTERVAL with a range of units (… TO …)")
                .hint("write it with units inside, as in INTERVAL '1 hour 30 minutes'"),
        );
    }
    if interval.leading_precision.is_some() || interval.fractional_seconds_precision.is_some() {
        return Err(Error::unsupported("INTERVAL with a precision").hint("leave the precision out"));
    }
    let unit = interval
        .leading_field
        .as_ref()
        .map(field_length)
        .transpose()?;
    signed_value(&interval.value, unit)
}

fn signed_value(value: &Expr, unit: Option<i128>) -> Result<i128> {
    match value {
        Expr::Nested(inner) => signed_value(inner, unit),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => Ok(-signed_value(expr, unit)?),
        Expr::UnaryOp {
            op: UnaryOperator::Plus,
            expr,
        } => signed_value(expr, unit),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                parse_text(text, unit)
            }
            Value::Number(digits, false) => parse_text(digits, unit),
            _ => Err(not_constant()),
        },
        _ => Err(not_constant()),
    }
}

fn not_constant() -> Error {
    Error::unsupported("an interval that is not a constant")
        .hint("write it out, as in INTERVAL '5 minutes'")
}

fn out_of_range() -> Error {
    Error::new(SqlState("22008"), "interval out of range")
}

fn invalid(text: &str) -> Error {
    Error::new(
        SqlState::INVALID_DATETIME,
        format!("invalid input syntax for type interval: \"{text}\""),
    )
}

fn varying() -> Error {
    Error::unsupported("an interval of months or years")
        .detail("their length varies")
        .hint("use days, hours, minutes or seconds")
}

/// The length of the unit written behind an INTERVAL literal.
fn field_length(field: &DateTimeField) -> Result<i128> {
    match field {
        DateTimeField::Week(None) => Ok(WEEK),
        other => match unit_length(&other.to_string().to_ascii_lowercase()) {
            Some(Unit::Fixed(micros)) => Ok(micros),
            Some(Unit::Nanosecond) => {
                Err(Error::unsupported("an interval of nanoseconds").hint("use microseconds"))
            }
            Some(Unit::Varying) => Err(varying()),
            None => Err(Error::unsupported(format!("INTERVAL … {other}"))),
        },
    }
}

enum Unit {
    Fixed(i128),
    Nanosecond,
    Varying,
}

/// PostgreSQL's unit words and abbreviations.
fn unit_length(word: &str) -> Option<Unit> {
    Some(match word {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds" => {
            Unit::Fixed(1)
        }
        "ms" | "msec" | "msecs" | "mseconds" | "millisecond" | "milliseconds" => Unit::Fixed(1_000),
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Fixed(SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Fixed(MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Fixed(HOUR),
        "d" | "day" | "days" => Unit::Fixed(DAY),
        "w" | "week" | "weeks" => Unit::Fixed(WEEK),
        "ns" | "nanosecond" | "nanoseconds" => Unit::Nanosecond,
        "mon" | "mons" | "month" | "months" | "y" | "yr" | "yrs" | "year" | "years" | "quarter"
        | "quarters" | "decade" | "decades" | "c" | "cent" | "century" | "centuries" | "mil"
        | "mils" | "millennium" | "millennia" | "millenium" => Unit::Varying,
        _ => return None,
    })
}

/// Sums the fields of an interval's text. `unit` is the unit written behind the literal: then the text is one number.
fn parse_text(text: &str, unit: Option<i128>) -> Result<i128> {
    let mut rest = text.trim();
    if let Some(unit) = unit {
        let (amount, after) = take_number(rest).ok_or_else(|| invalid(text))?;
        let whole = after
            .is_empty()
            .then(|| amount.times(unit))
            .ok_or_else(|| invalid(text))?;
        return whole.ok_or_else(out_of_range);
    }
    let mut total: i128 = 0;
    let mut fields = 0;
    while !rest.is_empty() {
        if fields > 0 && rest.eq_ignore_ascii_case("ago") {
            return Ok(-total);
        }
        let (micros, after) = take_field(rest, text)?;
        total = total.checked_add(micros).ok_or_else(out_of_range)?;
        fields += 1;
        rest = after.trim_start();
    }
    if fields == 0 {
        Err(invalid(text))
    } else {
        Ok(total)
    }
}

/// One field at the beginning of `rest`: `[+-]h:mm[:ss[.f]]`, or a number and perhaps a unit. A number without a unit
/// counts days before `h:mm` and seconds at the end.
fn take_field<'a>(rest: &'a str, text: &str) -> Result<(i128, &'a str)> {
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    if rest[..end].contains(':') {
        return Ok((
            clock(&rest[..end]).ok_or_else(|| invalid(text))?,
            &rest[end..],
        ));
    }
    let (amount, after) = take_number(rest).ok_or_else(|| invalid(text))?;
    let word = after.trim_start();
    let length = word
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(word.len());
    let (unit, after) = match word[..length].to_ascii_lowercase().as_str() {
        "" if word.is_empty() => (Unit::Fixed(SECOND), after),
        "" if after.len() > word.len() && word.contains(':') => (Unit::Fixed(DAY), after),
        name => (
            unit_length(name).ok_or_else(|| invalid(text))?,
            &word[length..],
        ),
    };
    let next = after.chars().next().unwrap_or(' ');
    if !(next.is_whitespace() || next.is_ascii_digit() || "+-".contains(next)) {
        return Err(invalid(text));
    }
    match unit {
        Unit::Fixed(micros) => Ok((amount.times(micros).ok_or_else(out_of_range)?, after)),
        Unit::Nanosecond => {
            Err(Error::unsupported("an interval of nanoseconds").hint("use microseconds"))
        }
        Unit::Varying => Err(varying()),
    }
}

/// A decimal number as digits and the power of ten that divides them.
struct Amount {
    digits: i128,
    divisor: i128,
}

impl Amount {
    /// The amount in microseconds when its unit has `unit` of them, rounded half away from zero.
    fn times(&self, unit: i128) -> Option<i128> {
        let scaled = self.digits.checked_mul(unit)?;
        let half = self.divisor / 2;
        Some(if scaled < 0 {
            (scaled - half) / self.divisor
        } else {
            (scaled + half) / self.divisor
        })
    }
}

/// A sign, digits and perhaps a fraction at the beginning of `text`, and what follows.
fn take_number(text: &str) -> Option<(Amount, &str)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(digits.len());
    let (whole, fraction) = digits[..end]
        .split_once('.')
        .unwrap_or((&digits[..end], ""));
    if whole.is_empty() && fraction.is_empty()
        || fraction.contains('.')
        || whole.len() > 18
        || fraction.len() > 12
    {
        return None;
    }
    let divisor = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let fraction: i128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let value = whole * divisor + fraction;
    Some((
        Amount {
            digits: if negative { -value } else { value },
            divisor,
        },
        &digits[end..],
    ))
}

/// `[+-]hours:minutes[:seconds[.fraction]]`; the sign holds for the whole.
fn clock(text: &str) -> Option<i128> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = body.split(':');
    let hours = unsigned(parts.next()?)?;
    let minutes = unsigned(parts.next()?)?;
    let seconds = match parts.next() {
        Some(part) if part.starts_with(|c: char| c.is_ascii_digit()) => {
            let (amount, rest) = take_number(part)?;
            (rest.is_empty() && amount.digits < 60 * amount.divisor)
                .then(|| amount.times(SECOND))??
        }
        Some(_) => return None,
        None => 0,
    };
    if parts.next().is_some() || minutes > 59 {
        return None;
    }
    let total = hours * HOUR + minutes * MINUTE + seconds;
    Some(if negative { -total } else { total })
}

fn unsigned(text: &str) -> Option<i128> {
    let plain = !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
