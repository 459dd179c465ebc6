//! Parameters of Bind: from text or binary of a PostgreSQL type to a scalar of the type that the statement wants.

mod array;
mod number;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use datafusion::scalar::ScalarValue;

use dataflow::{Error, Result, SqlState};

use crate::encode::numeric;
use crate::encode::time::{EPOCH_DAYS, EPOCH_MICROS};
use crate::encode::{Format, Zone};
use crate::types::{element_of, is_oid, name_of, oid, parameter_type};

/// Decodes one parameter. `oid` is the type it comes in, `wanted` the type that the statement has for it; `zone` is what
/// a timestamp without zone is taken to be in. Bad text is `22P02`, bad binary `22P03`.
pub(crate) fn decode(
    bytes: Option<&[u8]>,
    format: Format,
    oid: u32,
    wanted: &DataType,
    zone: &Zone,
) -> Result<ScalarValue> {
    let Some(bytes) = bytes else {
        return ScalarValue::try_from(wanted).map_err(|e| Error::internal(e.to_string()));
    };
    let value = match format {
        Format::Text => from_text(utf8(bytes)?, oid, zone)?,
        Format::Binary => from_binary(bytes, oid)?,
    };
    if value.data_type() == *wanted || *wanted == DataType::Null {
        return Ok(value);
    }
    let refused = |_| {
        let shown = if format == Format::Text {
            String::from_utf8_lossy(bytes).into_owned()
        } else {
            value.to_string()
        };
        Error::new(
            SqlState::INVALID_TEXT,
            format!(
                "a parameter of type {} cannot be {wanted}: \"{shown}\"",
                name_of(oid)
            ),
        )
    };
    value.cast_to(wanted).map_err(refused)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| {
        Error::new(
            SqlState("22021"),
            "invalid byte sequence for encoding \"UTF8\" in a parameter",
        )
    })
}

fn bad_text(oid: u32, text: &str) -> Error {
    Error::new(
        SqlState::INVALID_TEXT,
        format!("invalid input syntax for type {}: \"{text}\"", name_of(oid)),
    )
}

fn bad_binary(oid: u32) -> Error {
    Error::new(
        SqlState("22P03"),
        format!(
            "incorrect binary data format for a parameter of type {}",
            name_of(oid)
        ),
    )
}

fn from_text(text: &str, oid: u32, zone: &Zone) -> Result<ScalarValue> {
    let trimmed = text.trim();
    Ok(match oid {
        oid::BOOL => {
            ScalarValue::Boolean(Some(boolean(trimmed).ok_or_else(|| bad_text(oid, text))?))
        }
        oid::INT2 => ScalarValue::Int16(Some(number::integer(text, oid)?)),
        oid::INT4 => ScalarValue::Int32(Some(number::integer(text, oid)?)),
        oid::INT8 => ScalarValue::Int64(Some(number::integer(text, oid)?)),
        other if is_oid(other) => ScalarValue::Int64(Some(number::integer(text, oid)?)),
        oid::FLOAT4 => {
            ScalarValue::Float32(Some(trimmed.parse().map_err(|_| bad_text(oid, text))?))
        }
        oid::FLOAT8 => {
            ScalarValue::Float64(Some(trimmed.parse().map_err(|_| bad_text(oid, text))?))
        }
        oid::NUMERIC => number::decimal(trimmed)?,
        oid::BYTEA => ScalarValue::Binary(Some(bytea(text).ok_or_else(|| bad_text(oid, text))?)),
        oid::DATE | oid::TIME | oid::TIMESTAMP | oid::INTERVAL => {
            let wanted = parameter_type(oid).unwrap_or(DataType::Utf8);
            let cast = ScalarValue::from(trimmed).cast_to(&wanted);
            cast.ok()
                .filter(|value| !value.is_null())
                .ok_or_else(|| bad_datetime(oid, text))?
        }
        oid::TIMESTAMPTZ => instant(trimmed, zone).ok_or_else(|| bad_datetime(oid, text))?,
        array if element_of(array).is_some() => array::from_text_form(text, array, zone)?,
        _ => ScalarValue::Utf8(Some(text.to_owned())),
    })
}

fn bad_datetime(oid: u32, text: &str) -> Error {
    Error::new(
        SqlState::INVALID_DATETIME,
        format!("invalid input syntax for type {}: \"{text}\"", name_of(oid)),
    )
}

fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let is = |word: &str, shortest: usize| text.len() >= shortest && word.starts_with(&text);
    if is("true", 1) || is("yes", 1) || is("on", 2) || text == "1" {
        Some(true)
    } else if is("false", 1) || is("no", 1) || is("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

fn bytea(text: &str) -> Option<Vec<u8>> {
    let Some(digits) = text.strip_prefix("\\x") else {
        // The older form: every byte is itself, a backslash is doubled.
        return (!text.replace("\\\\", "").contains('\\'))
            .then(|| text.replace("\\\\", "\\").into_bytes());
    };
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// A timestamp with zone. Text without an offset is local time of the session.
fn instant(text: &str, zone: &Zone) -> Option<ScalarValue> {
    use datafusion::arrow::compute::kernels::cast_utils::string_to_datetime;
    let micros = match zone {
        Zone::Utc => string_to_datetime(&chrono::Utc, text)
            .ok()?
            .timestamp_micros(),
        Zone::Named(zone) => string_to_datetime(zone, text).ok()?.timestamp_micros(),
    };
    Some(ScalarValue::TimestampMicrosecond(
        Some(micros),
        Some("UTC".into()),
    ))
}

fn from_binary(bytes: &[u8], oid: u32) -> Result<ScalarValue> {
    let bad = || bad_binary(oid);
    Ok(match oid {
        oid::BOOL => match bytes {
            [value] => ScalarValue::Boolean(Some(*value != 0)),
            _ => return Err(bad()),
        },
        oid::INT2 => ScalarValue::Int16(Some(i16::from_be_bytes(fixed(bytes, oid)?))),
        oid::INT4 => ScalarValue::Int32(Some(i32::from_be_bytes(fixed(bytes, oid)?))),
        oid::INT8 => ScalarValue::Int64(Some(i64::from_be_bytes(fixed(bytes, oid)?))),
        other if is_oid(other) => {
            ScalarValue::Int64(Some(i64::from(u32::from_be_bytes(fixed(bytes, oid)?))))
        }
        oid::FLOAT4 => ScalarValue::Float32(Some(f32::from_be_bytes(fixed(bytes, oid)?))),
        oid::FLOAT8 => ScalarValue::Float64(Some(f64::from_be_bytes(fixed(bytes, oid)?))),
        oid::NUMERIC => number::decimal(&numeric::read_binary(bytes)?)?,
        oid::BYTEA => ScalarValue::Binary(Some(bytes.to_vec())),
        oid::DATE => {
            let days = i32::from_be_bytes(fixed(bytes, oid)?);
            ScalarValue::Date32(Some(
                finite(days, i32::MIN, i32::MAX, oid)?
                    .checked_add(EPOCH_DAYS)
                    .ok_or_else(bad)?,
            ))
        }
        oid::TIME => ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(fixed(bytes, oid)?))),
        oid::TIMESTAMP => ScalarValue::TimestampMicrosecond(Some(micros(bytes, oid)?), None),
        oid::TIMESTAMPTZ => {
            ScalarValue::TimestampMicrosecond(Some(micros(bytes, oid)?), Some("UTC".into()))
        }
        oid::INTERVAL => {
            let bytes: [u8; 16] = fixed(bytes, oid)?;
            let (time, rest) = bytes.split_at(8);
            let nanos = i64::from_be_bytes(fixed(time, oid)?)
                .checked_mul(1000)
                .ok_or_else(bad)?;
            let (days, months) = rest.split_at(4);
            let (days, months) = (
                i32::from_be_bytes(fixed(days, oid)?),
                i32::from_be_bytes(fixed(months, oid)?),
            );
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanos)))
        }
        oid::UUID => ScalarValue::Utf8(Some(uuid_text(&fixed(bytes, oid)?))),
        oid::JSONB => match bytes {
            [1, text @ ..] => ScalarValue::Utf8(Some(utf8(text)?.to_owned())),
            _ => return Err(bad()),
        },
        array if element_of(array).is_some() => array::from_binary_form(bytes, array)?,
        _ => ScalarValue::Utf8(Some(utf8(bytes)?.to_owned())),
    })
}

fn fixed<const N: usize>(bytes: &[u8], oid: u32) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| bad_binary(oid))
}

/// PostgreSQL's `-infinity` and `infinity` are the least and greatest values.
fn finite<T: PartialEq>(value: T, least: T, greatest: T, oid: u32) -> Result<T> {
    if value == least || value == greatest {
        return Err(Error::unsupported(format_args!(
            "an infinite {}",
            name_of(oid)
        )));
    }
    Ok(value)
}

fn micros(bytes: &[u8], oid: u32) -> Result<i64> {
    let since_2000 = finite(
        i64::from_be_bytes(fixed(bytes, oid)?),
        i64::MIN,
        i64::MAX,
        oid,
    )?;
    since_2000
        .checked_add(EPOCH_MICROS)
        .ok_or_else(|| bad_binary(oid))
}

fn uuid_text(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// The wire type of a parameter whose type the client left open: what the statement has for it.
pub(crate) fn oid_of(wanted: &DataType) -> u32 {
    match wanted {
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => oid::NUMERIC,
        DataType::Interval(IntervalUnit::YearMonth | IntervalUnit::DayTime) => oid::INTERVAL,
        other => {
            let field = datafusion::arrow::datatypes::Field::new("parameter", other.clone(), true);
            crate::types::pg_type(&field).map_or(oid::TEXT, |found| found.oid)
        }
    }
}

#[cfg(test)]
mod tests;
