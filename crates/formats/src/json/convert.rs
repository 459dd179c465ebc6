//! One JSON value into one cell: what each column type takes, and what it says about the rest.

use dataflow::schema::TimestampFormat;

use super::number::{integer, scaled};
use super::scan::{Fault, Kind, Token, unescape};
use super::time::{date, epoch, in_range, timestamp};
use crate::bad::{Bad, BadReason};
use crate::columns::{Cells, Text};

/// Longest piece of a record that a message shows, in bytes.
const MAX_SHOWN_BYTES: usize = 40;

/// Puts values into cells.
pub(crate) struct Converter {
    timestamps: TimestampFormat,
    unescaped: Vec<u8>,
}

/// Whether a value fits a cell, or what is wrong with it.
type Fit = Result<(), BadReason>;

impl Converter {
    pub(crate) fn new(timestamps: TimestampFormat) -> Self {
        Self {
            timestamps,
            unescaped: Vec::new(),
        }
    }

    /// How times are written.
    pub(crate) fn timestamps(&self) -> TimestampFormat {
        self.timestamps
    }

    /// Appends the value of `token`, which is there and not NULL. On an error the cells may hold a part of it.
    #[inline]
    pub(super) fn put(&mut self, cells: &mut Cells, token: Token, record: &[u8]) -> Fit {
        let text = token.of(record);
        match cells {
            Cells::Text(out) => return put_text(out, token.kind, text),
            Cells::Timestamp(values) => values.push(self.timestamp(token.kind, text)?),
            Cells::Int64(values) => values.push(whole(token.kind, text)?),
            Cells::Int32(values) => values.push(narrow(whole(token.kind, text)?)?),
            Cells::Int16(values) => values.push(narrow(whole(token.kind, text)?)?),
            Cells::Float64(values) => {
                let value: f64 = float(token.kind, text)?;
                values.push(finite(value, value.is_finite())?);
            }
            Cells::Float32(values) => {
                let value: f32 = float(token.kind, text)?;
                values.push(finite(value, value.is_finite())?);
            }
            Cells::Boolean(values) => match token.kind {
                Kind::True => values.append(true),
                Kind::False => values.append(false),
                _ => return Err(BadReason::WrongType),
            },
            Cells::Decimal {
                units,
                precision,
                scale,
            } => {
                units.push(decimal(token.kind, text, *precision, *scale)?);
            }
            Cells::Date(values) => {
                let text = self.string(token.kind, text)?;
                let text = text.try_into().map_err(|_| BadReason::InvalidDatetime)?;
                values.push(date(text).ok_or(BadReason::InvalidDatetime)?);
            }
        }
        Ok(())
    }

    /// The time that a value stands for.
    pub(crate) fn timestamp(&mut self, kind: Kind, text: &[u8]) -> Result<i64, BadReason> {
        let scale = match self.timestamps {
            TimestampFormat::EpochSeconds => Some(6),
            TimestampFormat::Auto | TimestampFormat::EpochMillis => Some(3),
            TimestampFormat::EpochMicros => Some(0),
            TimestampFormat::Iso8601 => None,
        };
        let texts = matches!(
            self.timestamps,
            TimestampFormat::Auto | TimestampFormat::Iso8601
        );
        match (kind, scale) {
            (Kind::Integer | Kind::Number, Some(scale)) => {
                epoch(text, kind, scale).ok_or(BadReason::OutOfRange)
            }
            (Kind::Plain | Kind::Escaped, _) if texts => {
                let at = timestamp(self.string(kind, text)?).ok_or(BadReason::InvalidDatetime)?;
                if in_range(at) {
                    Ok(at)
                } else {
                    Err(BadReason::OutOfRange)
                }
            }
            _ => Err(BadReason::WrongType),
        }
    }

    /// The text that a string stands for.
    fn string<'a>(&'a mut self, kind: Kind, text: &'a [u8]) -> Result<&'a [u8], BadReason> {
        match kind {
            Kind::Plain => Ok(text),
            Kind::Escaped => {
                self.unescaped.clear();
                unescape(text, &mut self.unescaped).ok_or(BadReason::NotJson)?;
                Ok(&self.unescaped)
            }
            _ => Err(BadReason::WrongType),
        }
    }

    /// What cells take, for messages.
    fn takes(&self, cells: &Cells) -> &'static str {
        match cells {
            Cells::Text(_) => "a text",
            Cells::Boolean(_) => "true or false",
            Cells::Int16(_) | Cells::Int32(_) | Cells::Int64(_) => {
                "an integer (without fraction and exponent)"
            }
            Cells::Float32(_) | Cells::Float64(_) | Cells::Decimal { .. } => "a number",
            Cells::Date(_) => "a date (\"YYYY-MM-DD\")",
            Cells::Timestamp(_) => match self.timestamps {
                TimestampFormat::Auto => "a time (milliseconds since 1970 or ISO 8601 text)",
                TimestampFormat::EpochSeconds => "a time (a number of seconds since 1970)",
                TimestampFormat::EpochMillis => "a time (a number of milliseconds since 1970)",
                TimestampFormat::EpochMicros => "a time (a number of microseconds since 1970)",
                TimestampFormat::Iso8601 => "a time (ISO 8601 text)",
            },
        }
    }

    /// The whole story of a value that `put` refused for the column that takes `source`.
    #[cold]
    pub(super) fn refusal(
        &self,
        reason: BadReason,
        source: &str,
        cells: &Cells,
        token: Token,
        record: &[u8],
    ) -> Bad {
        let found = describe(token, record);
        let takes = self.takes(cells);
        let message = match reason {
            BadReason::WrongType if token.kind == Kind::Blocked => {
                format!("{source} should lie in an object, found {found}")
            }
            BadReason::OutOfRange => {
                format!("{source} is out of range for {}: {found}", name(cells))
            }
            BadReason::NulCharacter => format!("{source} has the character U+0000: {found}"),
            _ => format!("{source} should be {takes}, found {found}"),
        };
        Bad::new(reason, message)
    }
}

fn put_text(out: &mut Text, kind: Kind, text: &[u8]) -> Fit {
    if kind != Kind::Escaped {
        // A plain string, or the JSON text of any other value.
        out.push(text);
        return Ok(());
    }
    let pushed = out.push_with(|bytes| unescape(text, bytes).ok_or(BadReason::NotJson));
    match pushed {
        Ok(pushed) if pushed.contains(&0) => Err(BadReason::NulCharacter),
        Ok(_) => Ok(()),
        Err(reason) => Err(reason),
    }
}

/// Whether the inside of a valid string with escapes may stand for a text with U+0000; without the escape it does not.
pub(super) fn may_have_nul(inside: &[u8]) -> bool {
    inside.windows(5).any(|window| window == b"u0000")
}

#[inline]
fn whole(kind: Kind, text: &[u8]) -> Result<i64, BadReason> {
    if kind != Kind::Integer {
        return Err(BadReason::WrongType);
    }
    integer(text).ok_or(BadReason::OutOfRange)
}

fn narrow<T: TryFrom<i64>>(value: i64) -> Result<T, BadReason> {
    T::try_from(value).map_err(|_| BadReason::OutOfRange)
}

fn float<T: std::str::FromStr>(kind: Kind, text: &[u8]) -> Result<T, BadReason> {
    if !matches!(kind, Kind::Integer | Kind::Number) {
        return Err(BadReason::WrongType);
    }
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or(BadReason::WrongType)
}

fn finite<T>(value: T, is_finite: bool) -> Result<T, BadReason> {
    if is_finite {
        Ok(value)
    } else {
        Err(BadReason::OutOfRange)
    }
}

fn decimal(kind: Kind, text: &[u8], precision: u8, scale: i8) -> Result<i128, BadReason> {
    if !matches!(kind, Kind::Integer | Kind::Number) {
        return Err(BadReason::WrongType);
    }
    let units = scaled(text, i64::from(scale))
        .ok_or(BadReason::OutOfRange)?
        .rounded();
    if units.unsigned_abs() < 10u128.pow(u32::from(precision)) {
        Ok(units)
    } else {
        Err(BadReason::OutOfRange)
    }
}

/// The SQL name of a type, for messages.
fn name(cells: &Cells) -> String {
    let name = match cells {
        Cells::Text(_) => "text",
        Cells::Boolean(_) => "boolean",
        Cells::Int16(_) => "smallint",
        Cells::Int32(_) => "integer",
        Cells::Int64(_) => "bigint",
        Cells::Float32(_) => "real",
        Cells::Float64(_) => "double precision",
        Cells::Decimal {
            precision, scale, ..
        } => return format!("numeric({precision},{scale})"),
        Cells::Date(_) => "date",
        Cells::Timestamp(_) => "a time (years 0000 to 9999; a wrong timestamp.format?)",
    };
    name.to_owned()
}

/// A value as messages show it.
fn describe(token: Token, record: &[u8]) -> String {
    let text = token.of(record);
    let what = match token.kind {
        Kind::Plain | Kind::Escaped => return format!("the string \"{}\"", shown(text)),
        Kind::Integer | Kind::Number => "the number",
        Kind::Object => "the object",
        Kind::Array => "the array",
        // A value on the path to the field, and its first byte tells which.
        Kind::Blocked => match record.get((token.start as usize).wrapping_sub(1)) {
            Some(b'"') => return format!("the string \"{}\"", shown(text)),
            _ => "the value",
        },
        Kind::True => return "true".to_owned(),
        Kind::False => return "false".to_owned(),
        Kind::Null => return "NULL".to_owned(),
        Kind::Missing => return "nothing".to_owned(),
    };
    format!("{what} {}", shown(text))
}

/// The beginning of a text, cut at a character.
pub(crate) fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(MAX_SHOWN_BYTES + 4)]).into_owned();
    if text.len() <= MAX_SHOWN_BYTES {
        return text;
    }
    format!("{}…", &text[..text.floor_char_boundary(MAX_SHOWN_BYTES)])
}

/// A record that is not acceptable JSON.
#[cold]
pub(super) fn not_json(fault: Fault, record: &[u8], max_depth: usize) -> Bad {
    match fault {
        Fault::TooDeep => {
            let message =
                format!("objects and arrays are nested more than {max_depth} levels deep");
            Bad::new(BadReason::TooDeep, message)
        }
        Fault::Expected { at, what } => {
            let rest = record.get(at..).unwrap_or_default();
            let next = String::from_utf8_lossy(&rest[..rest.len().min(4)])
                .chars()
                .next();
            let found = next.map_or("the end".to_owned(), |c| format!("{c:?}"));
            Bad::new(
                BadReason::NotJson,
                format!("expected {what} at byte {at}, found {found}"),
            )
        }
    }
}
