//! Rows as JSON records: the other way round, so that what is written is read back as the same rows.

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io::Write as _;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DecimalType, Float32Type, Float64Type, Int16Type,
    Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta};
use dataflow::schema::{ColumnOrigin, SourceSchema, TimestampFormat};
use dataflow::{Error, Micros, Result, SqlState};

/// Writes rows as JSON objects under the fields of a source's columns.
pub struct JsonEncoder {
    fields: Vec<Field>,
    timestamps: TimestampFormat,
}

/// A field of an object that is written.
struct Field {
    name: String,
    /// The name as JSON text, with the colon.
    key: String,
    value: Value,
}

enum Value {
    /// The column of the batch.
    Column(usize),
    Object(Vec<Field>),
}

impl JsonEncoder {
    /// An encoder of batches whose columns are the columns `columns` of `schema`, each of them a field of the record.
    ///
    /// # Errors
    /// `22023` when two of them are one field, or one lies in the other.
    pub fn new(schema: &SourceSchema, columns: &[usize]) -> Result<Self> {
        let mut fields = Vec::new();
        for (at, column) in columns.iter().enumerate() {
            let column = &schema.columns[*column];
            let ColumnOrigin::Field(path) = &column.origin else {
                return Err(Error::internal(format!(
                    "column \"{}\" is no field of the record",
                    column.name
                )));
            };
            if !place(&mut fields, path, at) {
                let message = format!(
                    "column \"{}\" and another one are written to the same field '{}'",
                    column.name,
                    path.join(".")
                );
                return Err(Error::new(SqlState::INVALID_PARAMETER, message)
                    .hint("name the columns: INSERT INTO source (column, …)"));
            }
        }
        Ok(Self {
            fields,
            timestamps: schema.timestamps,
        })
    }

    /// An encoder of batches, each column under its name.
    pub fn of_columns(schema: &Schema, columns: &[usize], timestamps: TimestampFormat) -> Self {
        let field = |column: &usize| {
            let name = schema.field(*column).name();
            Field {
                name: name.clone(),
                key: quoted(name) + ":",
                value: Value::Column(*column),
            }
        };
        Self {
            fields: columns.iter().map(field).collect(),
            timestamps,
        }
    }

    /// Appends row `row` of a batch as a JSON object; NULL is `null`.
    ///
    /// # Errors
    /// `22023` for numbers that JSON cannot hold (NaN, infinity), `22007` for times that readers would not take.
    pub fn encode(&self, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
        self.object(&self.fields, batch, row, out)
    }

    fn object(
        &self,
        fields: &[Field],
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.push(b'{');
        for (number, field) in fields.iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            out.extend_from_slice(field.key.as_bytes());
            match &field.value {
                Value::Object(fields) => self.object(fields, batch, row, out)?,
                Value::Column(at) => self.value(batch.column(*at).as_ref(), row, out)?,
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends one value.
    pub(crate) fn value(&self, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if array.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        fn of<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
            array.as_primitive::<T>().value(row)
        }
        match array.data_type() {
            DataType::Utf8 => quote(array.as_string::<i32>().value(row), out),
            DataType::LargeUtf8 => quote(array.as_string::<i64>().value(row), out),
            DataType::Utf8View => quote(array.as_string_view().value(row), out),
            DataType::Boolean => show(array.as_boolean().value(row), out),
            DataType::Int16 => show(of::<Int16Type>(array, row), out),
            DataType::Int32 => show(of::<Int32Type>(array, row), out),
            DataType::Int64 => show(of::<Int64Type>(array, row), out),
            DataType::Float32 => {
                let value = of::<Float32Type>(array, row);
                show(
                    number(serde_json::to_string(&value), value.is_finite())?,
                    out,
                );
            }
            DataType::Float64 => {
                let value = of::<Float64Type>(array, row);
                show(
                    number(serde_json::to_string(&value), value.is_finite())?,
                    out,
                );
            }
            DataType::Decimal128(precision, scale) => {
                let value = of::<Decimal128Type>(array, row);
                show(
                    Decimal128Type::format_decimal(value, *precision, *scale),
                    out,
                );
            }
            DataType::Date32 => show(date(of::<Date32Type>(array, row))?, out),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let at = of::<TimestampMicrosecondType>(array, row);
                show(self.time(at, zone.is_some())?, out);
            }
            DataType::List(_) => {
                let items = array.as_list::<i32>().value(row);
                out.push(b'[');
                for at in 0..items.len() {
                    if at > 0 {
                        out.push(b',');
                    }
                    self.value(items.as_ref(), at, out)?;
                }
                out.push(b']');
            }
            other => return Err(unwritable(other)),
        }
        Ok(())
    }

    fn time(&self, at: Micros, zoned: bool) -> Result<String> {
        let time = DateTime::from_timestamp_micros(at);
        let Some(time) = time.filter(|time| (0..10_000).contains(&time.year())) else {
            return Err(out_of_range());
        };
        Ok(match self.timestamps {
            TimestampFormat::EpochSeconds => epoch(at, 6),
            TimestampFormat::Auto | TimestampFormat::EpochMillis => epoch(at, 3),
            TimestampFormat::EpochMicros => at.to_string(),
            TimestampFormat::Iso8601 => {
                let zone = if zoned { "Z" } else { "" };
                format!("\"{}{zone}\"", time.format("%Y-%m-%dT%H:%M:%S%.6f"))
            }
        })
    }
}

/// Puts a column at its path; says whether that was free.
fn place(fields: &mut Vec<Field>, path: &[String], column: usize) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    let found = fields.iter().position(|field| field.name == *first);
    let at = match (found, rest) {
        (Some(_), []) => return false,
        (Some(at), _) => at,
        (None, _) => {
            let value = match rest {
                [] => Value::Column(column),
                _ => Value::Object(Vec::new()),
            };
            fields.push(Field {
                name: first.clone(),
                key: quoted(first) + ":",
                value,
            });
            fields.len() - 1
        }
    };
    match (&mut fields[at].value, rest) {
        (Value::Column(_), []) => true,
        (Value::Column(_), _) => false,
        (Value::Object(fields), rest) => place(fields, rest, column),
    }
}

/// Whether values of a type can be written.
pub(crate) fn check_type(data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Date32
        | DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(()),
        DataType::List(item) => check_type(item.data_type()),
        other => Err(unwritable(other)),
    }
}

fn unwritable(data_type: &DataType) -> Error {
    Error::unsupported(format!("type {data_type} in a JSON record"))
        .hint("cast the column to text or a number")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quote(text: &str, out: &mut Vec<u8>) {
    // Bytes that stand for themselves, as nearly always, need no look at each.
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(quoted(text).as_bytes());
    }
}

fn show(value: impl Display, out: &mut Vec<u8>) {
    // A buffer in memory takes everything.
    let _ = write!(out, "{value}");
}

fn number(text: serde_json::Result<String>, is_finite: bool) -> Result<String> {
    match text {
        Ok(text) if is_finite => Ok(text),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER,
            "a JSON record cannot hold NaN or infinity",
        )),
    }
}

fn date(days: i32) -> Result<String> {
    let epoch = NaiveDate::default();
    let date = epoch.checked_add_signed(TimeDelta::days(days.into()));
    match date.filter(|date| (0..10_000).contains(&date.year())) {
        Some(date) => Ok(format!("\"{}\"", date.format("%Y-%m-%d"))),
        None => Err(out_of_range()),
    }
}

fn out_of_range() -> Error {
    Error::new(
        SqlState::INVALID_DATETIME,
        "a time outside of the years 0000 to 9999 cannot be written",
    )
}

/// A time as a number whose unit is 10^`digits` microseconds, with a fraction only where there is one.
fn epoch(at: Micros, digits: u32) -> String {
    let unit = 10i64.pow(digits);
    let (whole, fraction) = (at.unsigned_abs() / unit.unsigned_abs(), at % unit);
    let sign = if at < 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let width = digits as usize;
    let fraction = format!("{:0width$}", fraction.unsigned_abs());
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}
