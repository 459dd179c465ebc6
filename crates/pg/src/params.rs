//! Parameters of Bind: from text or binary of a PostgreSQL type to a scalar of the type that the statement wants.

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use datafusion::scalar::ScalarValue;

use dataflow::{Error, Result, SqlState};

use crate::encode::numeric;
use crate::encode::time::{EPOCH_DAYS, EPOCH_MICROS};
use crate::encode::{Format, Zone};
use crate::types::{NUMERIC_PARAMETER, element_of, is_oid, name_of, oid, parameter_type};

/// Elements that a binary array parameter may have.
const MAX_ELEMENTS: usize = 1 << 20;

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
        oid::INT2 => ScalarValue::Int16(Some(integer(text, oid)?)),
        oid::INT4 => ScalarValue::Int32(Some(integer(text, oid)?)),
        oid::INT8 => ScalarValue::Int64(Some(integer(text, oid)?)),
        other if is_oid(other) => ScalarValue::Int64(Some(integer(text, oid)?)),
        oid::FLOAT4 => {
            ScalarValue::Float32(Some(trimmed.parse().map_err(|_| bad_text(oid, text))?))
        }
        oid::FLOAT8 => {
            ScalarValue::Float64(Some(trimmed.parse().map_err(|_| bad_text(oid, text))?))
        }
        oid::NUMERIC => decimal(trimmed)?,
        oid::BYTEA => ScalarValue::Binary(Some(bytea(text).ok_or_else(|| bad_text(oid, text))?)),
        oid::DATE | oid::TIME | oid::TIMESTAMP | oid::INTERVAL => {
            let wanted = parameter_type(oid).unwrap_or(DataType::Utf8);
            let cast = ScalarValue::from(trimmed).cast_to(&wanted);
            cast.ok()
                .filter(|value| !value.is_null())
                .ok_or_else(|| bad_datetime(oid, text))?
        }
        oid::TIMESTAMPTZ => instant(trimmed, zone).ok_or_else(|| bad_datetime(oid, text))?,
        array if element_of(array).is_some() => array_from_text(text, array, zone)?,
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

fn integer<T: TryFrom<i128>>(text: &str, oid: u32) -> Result<T> {
    let wide: i128 = text.trim().parse().map_err(|_| bad_text(oid, text))?;
    T::try_from(wide).map_err(|_| {
        let message = format!("value \"{text}\" is out of range for type {}", name_of(oid));
        Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message)
    })
}

/// Decimal text, with or without an exponent, as the numeric type of parameters. Nothing is rounded.
fn decimal(text: &str) -> Result<ScalarValue> {
    let (precision, scale) = NUMERIC_PARAMETER;
    let syntax = || bad_text(oid::NUMERIC, text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| syntax())?),
        None => (text, 0),
    };
    let negative = mantissa.starts_with('-');
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all: String = [whole, fraction].concat();
    if all.eq_ignore_ascii_case("nan") || all.to_ascii_lowercase().starts_with("inf") {
        return Err(Error::unsupported(format_args!("the numeric value {text}")));
    }
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return Err(syntax());
    }
    let overflow = || {
        Error::new(
            SqlState::NUMERIC_OUT_OF_RANGE,
            format!("numeric value out of range: \"{text}\""),
        )
        .detail(format!(
            "A numeric parameter has at most {precision} digits, {scale} of them after the point."
        ))
    };
    let all = all.trim_start_matches('0');
    if all.is_empty() {
        return Ok(ScalarValue::Decimal128(Some(0), precision, scale));
    }
    let places = i32::try_from(fraction.len())
        .map_err(|_| overflow())?
        .saturating_sub(exponent);
    let zeros = i32::from(scale).saturating_sub(places);
    let digits = if zeros >= 0 {
        let zeros = usize::try_from(zeros)
            .ok()
            .filter(|z| *z <= usize::from(precision))
            .ok_or_else(overflow)?;
        format!("{all}{}", "0".repeat(zeros))
    } else {
        let extra = usize::try_from(-zeros).map_err(|_| overflow())?;
        let kept = all.len().checked_sub(extra).ok_or_else(overflow)?;
        let (kept, cut) = all.split_at(kept);
        if cut.bytes().any(|b| b != b'0') {
            return Err(overflow());
        }
        if kept.is_empty() {
            "0".to_owned()
        } else {
            kept.to_owned()
        }
    };
    if digits.len() > usize::from(precision) {
        return Err(overflow());
    }
    let value: i128 = digits.parse().map_err(|_| overflow())?;
    Ok(ScalarValue::Decimal128(
        Some(if negative { -value } else { value }),
        precision,
        scale,
    ))
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
        oid::NUMERIC => decimal(&numeric::read_binary(bytes)?)?,
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
        array if element_of(array).is_some() => array_from_binary(bytes, array)?,
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

fn list_of(values: &[ScalarValue], element: u32) -> Result<ScalarValue> {
    let data_type = parameter_type(element)
        .ok_or_else(|| Error::unsupported(format_args!("an array parameter of type {element}")))?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(
        values, &data_type,
    )))
}

fn null_of(element: u32) -> Result<ScalarValue> {
    let data_type = parameter_type(element).unwrap_or(DataType::Utf8);
    ScalarValue::try_from(&data_type).map_err(|e| Error::internal(e.to_string()))
}

/// `{1,NULL,"a b"}`, of one dimension.
fn array_from_text(text: &str, array: u32, zone: &Zone) -> Result<ScalarValue> {
    let element = element_of(array).unwrap_or(oid::TEXT);
    let bad = || {
        Error::new(
            SqlState::INVALID_TEXT,
            format!("malformed array literal: \"{text}\""),
        )
    };
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .ok_or_else(bad)?;
    if inner.starts_with('{') {
        return Err(Error::unsupported("a multidimensional array parameter"));
    }
    let mut values = Vec::new();
    let mut rest = inner.chars().peekable();
    while rest.peek().is_some() {
        let (mut value, mut quoted, mut open) = (String::new(), false, false);
        loop {
            match rest.next() {
                Some('"') => {
                    open = !open;
                    quoted = true;
                }
                Some('\\') => value.push(rest.next().ok_or_else(bad)?),
                Some(',') if !open => break,
                Some('{' | '}') if !open => return Err(bad()),
                Some(other) => value.push(other),
                None if open => return Err(bad()),
                None => break,
            }
        }
        let null = !quoted && value.trim().eq_ignore_ascii_case("null");
        let shown = if quoted { value.as_str() } else { value.trim() };
        values.push(if null {
            null_of(element)?
        } else {
            from_text(shown, element, zone)?
        });
    }
    list_of(&values, element)
}

/// An array of one dimension in binary.
fn array_from_binary(bytes: &[u8], array: u32) -> Result<ScalarValue> {
    let element = element_of(array).unwrap_or(oid::TEXT);
    let bad = || bad_binary(array);
    let mut rest = bytes;
    let mut next = || -> Result<u32> {
        let (word, tail) = rest.split_at_checked(4).ok_or_else(bad)?;
        rest = tail;
        Ok(u32::from_be_bytes(fixed(word, array)?))
    };
    let (dimensions, _has_null, given) = (next()?, next()?, next()?);
    if given != element {
        return Err(bad());
    }
    match dimensions {
        0 => return list_of(&[], element),
        1 => {}
        _ => return Err(Error::unsupported("a multidimensional array parameter")),
    }
    let (count, _lower_bound) = (next()?, next()?);
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_ELEMENTS)
        .ok_or_else(bad)?;
    let mut values = Vec::new();
    for _ in 0..count {
        let (length, tail) = rest.split_at_checked(4).ok_or_else(bad)?;
        let length = i32::from_be_bytes(fixed(length, array)?);
        let Ok(length) = usize::try_from(length) else {
            values.push(null_of(element)?);
            rest = tail;
            continue;
        };
        let (value, tail) = tail.split_at_checked(length).ok_or_else(bad)?;
        values.push(from_binary(value, element)?);
        rest = tail;
    }
    if !rest.is_empty() {
        return Err(bad());
    }
    list_of(&values, element)
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
mod tests {
    use super::*;

    fn text(value: &str, oid: u32) -> Result<ScalarValue> {
        decode(
            Some(value.as_bytes()),
            Format::Text,
            oid,
            &parameter_type(oid).unwrap(),
            &Zone::Utc,
        )
    }

    fn binary(value: &[u8], oid: u32) -> Result<ScalarValue> {
        decode(
            Some(value),
            Format::Binary,
            oid,
            &parameter_type(oid).unwrap(),
            &Zone::Utc,
        )
    }

    fn state(result: Result<ScalarValue>) -> &'static str {
        result.unwrap_err().state().0
    }

    #[test]
    fn text_of_every_kind() {
        assert_eq!(text("yes", oid::BOOL).unwrap(), ScalarValue::from(true));
        assert_eq!(text(" -7 ", oid::INT2).unwrap(), ScalarValue::from(-7_i16));
        assert_eq!(text("1e3", oid::FLOAT8).unwrap(), ScalarValue::from(1000.0));
        assert_eq!(
            text("12.5", oid::NUMERIC).unwrap(),
            ScalarValue::Decimal128(Some(12_500_000_000_000), 38, 12)
        );
        assert_eq!(
            text("-1.2e-2", oid::NUMERIC).unwrap(),
            ScalarValue::Decimal128(Some(-12_000_000_000), 38, 12)
        );
        assert_eq!(
            text("\\x01fF", oid::BYTEA).unwrap(),
            ScalarValue::Binary(Some(vec![1, 255]))
        );
        assert_eq!(
            text("2026-01-02", oid::DATE).unwrap(),
            ScalarValue::Date32(Some(20_455))
        );
        let instant =
            ScalarValue::TimestampMicrosecond(Some(1_767_225_600_000_000), Some("UTC".into()));
        for shown in [
            "2026-01-01 00:00:00+00",
            "2026-01-01T01:00:00+01:00",
            "2026-01-01 00:00:00",
            "2026-01-01",
        ] {
            assert_eq!(text(shown, oid::TIMESTAMPTZ).unwrap(), instant, "{shown}");
        }
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let wanted = parameter_type(oid::TIMESTAMPTZ).unwrap();
        let local = decode(
            Some(b"2026-01-01 01:00:00"),
            Format::Text,
            oid::TIMESTAMPTZ,
            &wanted,
            &berlin,
        );
        assert_eq!(local.unwrap(), instant);
    }

    #[test]
    fn bad_text_says_what_it_was() {
        assert_eq!(state(text("abc", oid::INT4)), "22P02");
        assert_eq!(state(text("99999999999", oid::INT4)), "22003");
        assert_eq!(state(text("maybe", oid::BOOL)), "22P02");
        assert_eq!(state(text("1.2.3", oid::NUMERIC)), "22P02");
        assert_eq!(state(text("0.0000000000001", oid::NUMERIC)), "22003");
        assert_eq!(state(text("1e2147483647", oid::NUMERIC)), "22003");
        assert_eq!(state(text("1e-2147483648", oid::NUMERIC)), "22003");
        assert_eq!(state(text("tomorrowish", oid::TIMESTAMP)), "22007");
        assert_eq!(state(text("\\x1", oid::BYTEA)), "22P02");
        assert_eq!(
            text("abc", oid::INT4).unwrap_err().message(),
            "invalid input syntax for type integer: \"abc\""
        );
    }

    #[test]
    fn binary_of_every_kind() {
        assert_eq!(binary(&[1], oid::BOOL).unwrap(), ScalarValue::from(true));
        assert_eq!(
            binary(&(-2_i64).to_be_bytes(), oid::INT8).unwrap(),
            ScalarValue::from(-2_i64)
        );
        assert_eq!(
            binary(&[0; 8], oid::TIMESTAMP).unwrap(),
            ScalarValue::TimestampMicrosecond(Some(EPOCH_MICROS), None)
        );
        assert_eq!(
            binary(&[0; 4], oid::DATE).unwrap(),
            ScalarValue::Date32(Some(EPOCH_DAYS))
        );
        assert_eq!(
            binary(b"\x01{}", oid::JSONB).unwrap(),
            ScalarValue::from("{}")
        );
        assert_eq!(state(binary(&[0; 3], oid::INT4)), "22P03");
        assert_eq!(
            state(binary(&i64::MAX.to_be_bytes(), oid::TIMESTAMPTZ)),
            "0A000"
        );
        assert_eq!(state(binary(&[0xff], oid::TEXT)), "22021");
    }

    #[test]
    fn arrays_in_both_forms() {
        let wanted = list_of(
            &[
                ScalarValue::from(1),
                ScalarValue::Int32(None),
                ScalarValue::from(3),
            ],
            oid::INT4,
        )
        .unwrap();
        assert_eq!(text("{1,NULL, 3}", 1007).unwrap(), wanted);
        let mut bytes = Vec::new();
        for word in [1_i32, 1, 23, 3, 1, 4, 1, -1, 4, 3] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        assert_eq!(binary(&bytes, 1007).unwrap(), wanted);
        bytes.pop();
        assert_eq!(state(binary(&bytes, 1007)), "22P03");
        let words = list_of(
            &[
                ScalarValue::from("a,b"),
                ScalarValue::from("NULL"),
                ScalarValue::from("q\""),
            ],
            oid::TEXT,
        );
        assert_eq!(
            text(r#"{"a,b","NULL","q\""}"#, 1009).unwrap(),
            words.unwrap()
        );
        assert_eq!(state(text("{1", 1007)), "22P02");
        assert_eq!(text("{}", 1007).unwrap(), list_of(&[], oid::INT4).unwrap());
    }

    #[test]
    fn a_value_is_cast_to_what_the_statement_wants() {
        let found = decode(
            Some(b"5"),
            Format::Text,
            oid::INT4,
            &DataType::Int64,
            &Zone::Utc,
        )
        .unwrap();
        assert_eq!(found, ScalarValue::from(5_i64));
        let null = decode(None, Format::Text, oid::INT4, &DataType::Int64, &Zone::Utc).unwrap();
        assert_eq!(null, ScalarValue::Int64(None));
    }
}
