//! Values as text that PostgreSQL reads.

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use arrow::temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime};
use chrono::{Datelike, NaiveDate, NaiveDateTime};
use dataflow::{Error, Result, SqlState};

/// The columns of a batch as text.
pub(super) fn texts(rows: &RecordBatch) -> Result<Vec<StringArray>> {
    rows.columns().iter().map(text).collect()
}

fn text(column: &ArrayRef) -> Result<StringArray> {
    match column.data_type() {
        DataType::Timestamp(_, zone) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            let micros = cast(column, &micros)?;
            let offset = if zone.is_some() { "+00" } else { "" };
            timestamps(micros.as_primitive::<TimestampMicrosecondType>(), offset)
        }
        DataType::Date32 => dates(column.as_primitive::<Date32Type>()),
        _ => Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone()),
    }
}

fn timestamps(values: &TimestampMicrosecondArray, offset: &str) -> Result<StringArray> {
    each(values.iter(), |micros| {
        let time = timestamp_us_to_datetime(micros)?;
        Some(timestamp(time, offset))
    })
}

fn dates(values: &Date32Array) -> Result<StringArray> {
    each(values.iter(), |days| {
        let (day, era) = date(date32_to_datetime(days)?.date());
        Some(format!("{day}{era}"))
    })
}

fn each<T>(
    values: impl Iterator<Item = Option<T>>,
    show: impl Fn(T) -> Option<String>,
) -> Result<StringArray> {
    let mut out = StringBuilder::new();
    for value in values {
        match value.map(&show) {
            None => out.append_null(),
            Some(Some(text)) => out.append_value(text),
            Some(None) => {
                let message = "date or time out of range";
                return Err(Error::new(SqlState("22008"), message));
            }
        }
    }
    Ok(out.finish())
}

fn timestamp(time: NaiveDateTime, offset: &str) -> String {
    let (day, era) = date(time.date());
    format!("{day} {}{offset}{era}", time.time())
}

/// A day and its era: PostgreSQL knows no years before 1.
fn date(day: NaiveDate) -> (String, &'static str) {
    let (year, era) = match day.year() {
        year if year > 0 => (year, ""),
        year => (1 - year, " BC"),
    };
    let text = format!("{year:04}-{:02}-{:02}", day.month(), day.day());
    (text, era)
}
