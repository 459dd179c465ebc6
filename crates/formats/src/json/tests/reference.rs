//! A slow decoder that shares no code with the real one: serde_json for the text, chrono for times, digits for decimals.

use arrow::datatypes::DataType;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};
use dataflow::Slab;
use dataflow::schema::{Column, ColumnOrigin, SourceSchema, TimestampFormat};
use serde_json::Value;

use crate::BadReason;

/// serde_json loses the spelling of numbers, so they are made strings with this in front before it sees them.
const NUMBER: &str = "\u{f8ff}number:";

/// What should become of one record.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Row(Vec<Cell>),
    Bad(BadReason),
    Tombstone,
}

#[derive(Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    /// A text that is the JSON text of this object or array.
    Json(Value),
    /// A text that is the JSON text of this object, though no piece of the record.
    Rest(Value),
    Boolean(bool),
    Integer(i128),
    Float64(f64),
    Float32(f32),
}

/// Decodes record `row` into all declared columns; `max_depth` is serde_json's: 127.
pub(super) fn decode(schema: &SourceSchema, slab: &Slab, row: usize, partition: i32) -> Outcome {
    let Some(bytes) = slab.value(row) else {
        return Outcome::Tombstone;
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Outcome::Bad(BadReason::NotUtf8);
    };
    let value = match parse(text) {
        Ok(value @ Value::Object(_)) => value,
        Ok(_) => return Outcome::Bad(BadReason::WrongType),
        Err(reason) => return Outcome::Bad(reason),
    };
    let event_time = schema.watermark.as_ref().map(|watermark| watermark.column);
    let mut cells = Vec::new();
    for (at, column) in schema.columns.iter().enumerate() {
        let cell = match column.origin {
            ColumnOrigin::Rest => Ok(Cell::Rest(rest(schema, &value))),
            _ => cell(column, schema.timestamps, &value, slab, row, partition),
        };
        match cell {
            Err(reason) => return Outcome::Bad(reason),
            Ok(Cell::Null) if !column.nullable || event_time == Some(at) => {
                return Outcome::Bad(BadReason::Missing);
            }
            Ok(cell) => cells.push(cell),
        }
    }
    Outcome::Row(cells)
}

/// The value of a text, with numbers as marked strings.
pub(super) fn parse(text: &str) -> Result<Value, BadReason> {
    serde_json::from_str(&mark_numbers(text)).map_err(|error| {
        let deep = error.to_string().contains("recursion limit");
        if deep {
            BadReason::TooDeep
        } else {
            BadReason::NotJson
        }
    })
}

/// Puts every valid number outside of strings into a marked string, unless it stands in a key's place.
fn mark_numbers(text: &str) -> String {
    let (mut out, mut inside, mut rest) = (String::new(), false, text);
    while let Some(c) = rest.chars().next() {
        let is_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let length = rest.find(|c| !is_number(c)).unwrap_or(rest.len());
        if inside && c == '\\' {
            let two = rest.char_indices().nth(2).map_or(rest.len(), |(at, _)| at);
            out.push_str(&rest[..two]);
            rest = &rest[two..];
        } else if !inside && length > 0 {
            let (number, after) = rest.split_at(length);
            let key = after
                .trim_start_matches([' ', '\t', '\r', '\n'])
                .starts_with(':');
            if !key && is_json_number(number) {
                out.push_str(&format!("\"{NUMBER}{number}\""));
            } else {
                out.push_str(number);
            }
            rest = after;
        } else {
            inside ^= c == '"';
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn is_json_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let unsigned = |t: &str| digits(t.strip_prefix(['+', '-']).unwrap_or(t));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(unsigned)
}

type Read = Result<Cell, BadReason>;

fn cell(
    column: &Column,
    format: TimestampFormat,
    record: &Value,
    slab: &Slab,
    row: usize,
    partition: i32,
) -> Read {
    match &column.origin {
        ColumnOrigin::Field(path) => field(column, format, record, path),
        ColumnOrigin::Key => plain_text(slab.key(row)),
        ColumnOrigin::Headers => plain_text(slab.header(row)),
        ColumnOrigin::Topic => plain_text(Some(slab.topic.as_bytes())),
        ColumnOrigin::Rest => unreachable!("made of the whole schema"),
        ColumnOrigin::Proctime => Ok(Cell::Integer(slab.read_at.into())),
        ColumnOrigin::Partition => Ok(Cell::Integer(partition.into())),
        ColumnOrigin::Offset => Ok(Cell::Integer(slab.offsets[row].into())),
        ColumnOrigin::Timestamp if slab.timestamps[row] < 0 => Ok(Cell::Null),
        ColumnOrigin::Timestamp => in_years(i128::from(slab.timestamps[row]) * 1000),
    }
}

/// The fields of the record that begin no column's path.
fn rest(schema: &SourceSchema, record: &Value) -> Value {
    let mut fields = record.as_object().unwrap().clone();
    for column in &schema.columns {
        if let ColumnOrigin::Field(path) = &column.origin {
            fields.remove(&path[0]);
        }
    }
    Value::Object(fields)
}

fn plain_text(bytes: Option<&[u8]>) -> Read {
    let Some(bytes) = bytes else {
        return Ok(Cell::Null);
    };
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| BadReason::NotUtf8)?;
    if text.contains('\0') {
        Err(BadReason::NulCharacter)
    } else {
        Ok(Cell::Text(text))
    }
}

fn field(column: &Column, format: TimestampFormat, record: &Value, path: &[String]) -> Read {
    let mut value = record;
    for step in path {
        match value {
            Value::Null => return Ok(Cell::Null),
            Value::Object(fields) => match fields.get(step) {
                Some(inner) => value = inner,
                None => return Ok(Cell::Null),
            },
            _ => return Err(BadReason::WrongType),
        }
    }
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let number = value.as_str().and_then(|text| text.strip_prefix(NUMBER));
    let text = value.as_str().filter(|_| number.is_none());
    let wrong = BadReason::WrongType;
    match &column.data_type {
        DataType::Utf8 | DataType::Utf8View => match value {
            Value::Bool(value) => Ok(Cell::Text(value.to_string())),
            Value::Object(_) | Value::Array(_) => Ok(Cell::Json(value.clone())),
            _ => plain_text(number.or(text).map(str::as_bytes)),
        },
        DataType::Boolean => value.as_bool().map(Cell::Boolean).ok_or(wrong),
        DataType::Int16 => integer(number, i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => integer(number, i32::MIN.into(), i32::MAX.into()),
        DataType::Int64 => integer(number, i64::MIN.into(), i64::MAX.into()),
        DataType::Float64 => {
            let value: f64 = number.ok_or(wrong)?.parse().unwrap();
            if value.is_finite() {
                Ok(Cell::Float64(value))
            } else {
                Err(BadReason::OutOfRange)
            }
        }
        DataType::Float32 => {
            let value: f32 = number.ok_or(wrong)?.parse().unwrap();
            if value.is_finite() {
                Ok(Cell::Float32(value))
            } else {
                Err(BadReason::OutOfRange)
            }
        }
        DataType::Decimal128(precision, scale) => {
            let units = shift(number.ok_or(wrong)?, (*scale).into(), true)?;
            let limit = 10i128.pow((*precision).into());
            if units.abs() < limit {
                Ok(Cell::Integer(units))
            } else {
                Err(BadReason::OutOfRange)
            }
        }
        DataType::Date32 => {
            let text = text.ok_or(wrong)?;
            let bad = BadReason::InvalidDatetime;
            let day = like(text, "0000-00-00").then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d"));
            let day = day.ok_or(bad)?.map_err(|_| bad)?;
            let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
            Ok(Cell::Integer((day - epoch).num_days().into()))
        }
        DataType::Timestamp(..) => time(format, number, text),
        other => unreachable!("no such column: {other}"),
    }
}

fn integer(number: Option<&str>, least: i128, most: i128) -> Read {
    let number = number
        .filter(|n| !n.contains(['.', 'e', 'E']))
        .ok_or(BadReason::WrongType)?;
    let value = number
        .parse::<i128>()
        .ok()
        .filter(|value| (least..=most).contains(value));
    value.map(Cell::Integer).ok_or(BadReason::OutOfRange)
}

/// A number times 10^scale as an integer: rounded (halves away from zero) or the floor. Works on the written digits.
fn shift(number: &str, scale: i64, round: bool) -> Result<i128, BadReason> {
    let lower = number.to_lowercase();
    let (negative, lower) = (lower.starts_with('-'), lower.trim_start_matches('-'));
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((lower, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.bytes().all(|b| b == b'0') {
        return Ok(0);
    }
    // Exponents beyond 400 differ from 400 only for mantissas longer than the tests make.
    let shortened = exponent
        .parse()
        .unwrap_or(if exponent.starts_with('-') { -400 } else { 400 });
    let places = whole.len() as i64 + i64::clamp(shortened, -400, 400) + scale;
    let padded = format!("{}{digits}{}", "0".repeat(1000), "0".repeat(1000));
    let (kept, cut) = padded.split_at((1000 + places) as usize);
    let kept = kept.trim_start_matches('0');
    if kept.len() > 38 {
        return Err(BadReason::OutOfRange);
    }
    let mut units: i128 = if kept.is_empty() {
        0
    } else {
        kept.parse().unwrap()
    };
    if round {
        units += i128::from(cut.as_bytes()[0] >= b'5');
        return Ok(if negative { -units } else { units });
    }
    let inexact = i128::from(cut.bytes().any(|b| b != b'0'));
    Ok(if negative { -units - inexact } else { units })
}

fn time(format: TimestampFormat, number: Option<&str>, text: Option<&str>) -> Read {
    let scale = match format {
        TimestampFormat::EpochSeconds => 6,
        TimestampFormat::Auto | TimestampFormat::EpochMillis => 3,
        TimestampFormat::EpochMicros => 0,
        TimestampFormat::Iso8601 => -1,
    };
    if let Some(number) = number.filter(|_| scale >= 0) {
        return in_years(shift(number, scale, false)?);
    }
    let texts = matches!(format, TimestampFormat::Auto | TimestampFormat::Iso8601);
    let text = text.filter(|_| texts).ok_or(BadReason::WrongType)?;
    in_years(iso8601(text).ok_or(BadReason::InvalidDatetime)?)
}

fn in_years(micros: i128) -> Read {
    let first = NaiveDate::from_ymd_opt(0, 1, 1)
        .unwrap()
        .and_hms_opt(0, 0, 0)
        .unwrap();
    let end = NaiveDate::from_ymd_opt(10_000, 1, 1)
        .unwrap()
        .and_hms_opt(0, 0, 0)
        .unwrap();
    let at = |time: NaiveDateTime| i128::from(time.and_utc().timestamp_micros());
    if (at(first)..at(end)).contains(&micros) {
        Ok(Cell::Integer(micros))
    } else {
        Err(BadReason::OutOfRange)
    }
}

/// Whether a text has the pattern's length and its characters, with any digit for 0.
fn like(text: &str, pattern: &str) -> bool {
    let fits = |(c, p): (char, char)| if p == '0' { c.is_ascii_digit() } else { c == p };
    text.chars().count() == pattern.len() && text.chars().zip(pattern.chars()).all(fits)
}

fn iso8601(text: &str) -> Option<i128> {
    let text = text.to_ascii_uppercase();
    let (head, tail) = text.split_at_checked(19)?;
    let head = head.replacen(' ', "T", 1);
    if !like(&head, "0000-00-00T00:00:00") || head.ends_with(":60") {
        return None;
    }
    let cut = tail.find(['Z', '+', '-']).unwrap_or(tail.len());
    let (fraction, zone) = tail.split_at(cut);
    let digits = fraction.strip_prefix('.').unwrap_or(fraction);
    if fraction.len() == 1 || fraction.len() == digits.len() && !fraction.is_empty() {
        return None;
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros: i64 = format!("{digits:0<6}")[..6].parse().ok()?;
    let zone = match zone {
        "" | "Z" => "+00:00".to_owned(),
        _ if like(&zone[1..], "00") => format!("{zone}:00"),
        _ if like(&zone[1..], "0000") => format!("{}:{}", &zone[..3], &zone[3..]),
        _ if like(&zone[1..], "00:00") => zone.to_owned(),
        _ => return None,
    };
    // chrono's own range of zones is the same: below 24 hours.
    let at = DateTime::parse_from_rfc3339(&format!("{head}{zone}")).ok()?;
    let at = at.to_utc() + TimeDelta::microseconds(micros);
    Some(at.timestamp_micros().into())
}
