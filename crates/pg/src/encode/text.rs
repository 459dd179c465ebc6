//! Columns as text, as PostgreSQL's output functions write them.

use std::io::Write;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DecimalType, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use dataflow::{Error, Result};

use super::time::{
    to_micros, write_date, write_interval, write_time, write_timestamp, write_timestamptz,
};
use super::{Cells, EncodeOptions, array, float, numeric};

/// Appends every value of `array`.
pub(crate) fn column(array: &dyn Array, options: &EncodeOptions, cells: &mut Cells) -> Result<()> {
    use DataType as T;
    let digits = options.extra_float_digits;
    match array.data_type() {
        T::Null => cells.rows(array.len(), |_, _| Ok(false)),
        T::Boolean => cells.each(array.as_boolean(), |v, out| {
            put(out, if v { b"t" } else { b"f" })
        }),
        T::Int8 => integers::<Int8Type>(array, cells),
        T::Int16 => integers::<Int16Type>(array, cells),
        T::Int32 => integers::<Int32Type>(array, cells),
        T::Int64 => integers::<Int64Type>(array, cells),
        T::UInt8 => integers::<UInt8Type>(array, cells),
        T::UInt16 => integers::<UInt16Type>(array, cells),
        T::UInt32 => integers::<UInt32Type>(array, cells),
        T::UInt64 => integers::<UInt64Type>(array, cells),
        T::Float16 => cells.each(array.as_primitive::<Float16Type>(), |v, out| {
            float::write_f32(v.to_f32(), digits, out);
            Ok(())
        }),
        T::Float32 => cells.each(array.as_primitive::<Float32Type>(), |v, out| {
            float::write_f32(v, digits, out);
            Ok(())
        }),
        T::Float64 => cells.each(array.as_primitive::<Float64Type>(), |v, out| {
            float::write_f64(v, digits, out);
            Ok(())
        }),
        T::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale, cells),
        T::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale, cells),
        T::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale, cells),
        T::Decimal256(_, scale) => decimals::<Decimal256Type>(array, *scale, cells),
        T::Utf8 => cells.each(array.as_string::<i32>(), |v, out| put(out, v.as_bytes())),
        T::LargeUtf8 => cells.each(array.as_string::<i64>(), |v, out| put(out, v.as_bytes())),
        T::Utf8View => cells.each(array.as_string_view(), |v, out| put(out, v.as_bytes())),
        T::Binary => cells.each(array.as_binary::<i32>(), hex),
        T::LargeBinary => cells.each(array.as_binary::<i64>(), hex),
        T::BinaryView => cells.each(array.as_binary_view(), hex),
        T::FixedSizeBinary(_) => cells.each(array.as_fixed_size_binary(), hex),
        T::Date32 | T::Date64 => dates(array, cells),
        T::Time32(_) | T::Time64(_) => each_micros(array, cells, |micros, out| {
            write_time(micros, out);
            Ok(())
        }),
        T::Timestamp(_, None) => each_micros(array, cells, |micros, out| {
            write_timestamp(micros, out);
            Ok(())
        }),
        T::Timestamp(_, Some(_)) => each_micros(array, cells, |micros, out| {
            write_timestamptz(micros, &options.zone, out);
            Ok(())
        }),
        T::Interval(_) | T::Duration(_) => {
            each_interval(array, cells, |(months, days, micros), out| {
                write_interval(months, days, micros, out);
                Ok(())
            })
        }
        T::Dictionary(_, value) => column(&plain(array, value)?, options, cells),
        T::RunEndEncoded(_, value) => column(&plain(array, value.data_type())?, options, cells),
        T::Struct(_) => array::records_as_text(array.as_struct(), options, cells),
        _ => array::lists_as_text(array, options, cells),
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    out.extend_from_slice(bytes);
    Ok(())
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\x");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    Ok(())
}

fn integers<T>(array: &dyn Array, cells: &mut Cells) -> Result<()>
where
    T: ArrowPrimitiveType,
    T::Native: std::fmt::Display,
{
    cells.each(array.as_primitive::<T>(), |v, out| {
        let _ = write!(out, "{v}");
        Ok(())
    })
}

/// Appends every decimal as plain text.
pub(crate) fn decimals<T>(array: &dyn Array, scale: i8, cells: &mut Cells) -> Result<()>
where
    T: DecimalType,
    T::Native: std::fmt::Display,
{
    cells.each(array.as_primitive::<T>(), |v, out| {
        numeric::write_decimal(&v.to_string(), scale, out);
        Ok(())
    })
}

fn dates(array: &dyn Array, cells: &mut Cells) -> Result<()> {
    each_day(array, cells, |days, out| {
        write_date(days, out);
        Ok(())
    })
}

/// Writes every date, given as days since 1970-01-01.
pub(crate) fn each_day(
    array: &dyn Array,
    cells: &mut Cells,
    mut write: impl FnMut(i64, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    const DAY_MILLIS: i64 = 86_400_000;
    if *array.data_type() == DataType::Date32 {
        cells.each(array.as_primitive::<Date32Type>(), |v, out| {
            write(i64::from(v), out)
        })
    } else {
        cells.each(array.as_primitive::<Date64Type>(), |v, out| {
            write(v.div_euclid(DAY_MILLIS), out)
        })
    }
}

/// Writes every time or timestamp, given in microseconds.
pub(crate) fn each_micros(
    array: &dyn Array,
    cells: &mut Cells,
    mut write: impl FnMut(i64, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    macro_rules! with {
        ($type:ty, $unit:expr) => {
            cells.each(array.as_primitive::<$type>(), |v, out| {
                write(to_micros(i64::from(v), $unit)?, out)
            })
        };
    }
    use TimeUnit as U;
    match array.data_type() {
        DataType::Time32(U::Second) => with!(Time32SecondType, U::Second),
        DataType::Time32(_) => with!(Time32MillisecondType, U::Millisecond),
        DataType::Time64(U::Nanosecond) => with!(Time64NanosecondType, U::Nanosecond),
        DataType::Time64(_) => with!(Time64MicrosecondType, U::Microsecond),
        DataType::Timestamp(U::Second, _) => with!(TimestampSecondType, U::Second),
        DataType::Timestamp(U::Millisecond, _) => with!(TimestampMillisecondType, U::Millisecond),
        DataType::Timestamp(U::Microsecond, _) => with!(TimestampMicrosecondType, U::Microsecond),
        DataType::Timestamp(U::Nanosecond, _) => with!(TimestampNanosecondType, U::Nanosecond),
        DataType::Duration(U::Second) => with!(DurationSecondType, U::Second),
        DataType::Duration(U::Millisecond) => with!(DurationMillisecondType, U::Millisecond),
        DataType::Duration(U::Microsecond) => with!(DurationMicrosecondType, U::Microsecond),
        DataType::Duration(U::Nanosecond) => with!(DurationNanosecondType, U::Nanosecond),
        other => Err(Error::internal(format!("{other} is not a time"))),
    }
}

/// Writes every interval or duration, given as months, days and microseconds.
pub(crate) fn each_interval(
    array: &dyn Array,
    cells: &mut Cells,
    mut write: impl FnMut((i32, i32, i64), &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => cells.each(
            array.as_primitive::<IntervalYearMonthType>(),
            |months, out| write((months, 0, 0), out),
        ),
        DataType::Interval(IntervalUnit::DayTime) => cells
            .each(array.as_primitive::<IntervalDayTimeType>(), |v, out| {
                write((0, v.days, i64::from(v.milliseconds) * 1000), out)
            }),
        DataType::Interval(IntervalUnit::MonthDayNano) => cells.each(
            array.as_primitive::<IntervalMonthDayNanoType>(),
            |v, out| write((v.months, v.days, v.nanoseconds / 1000), out),
        ),
        _ => each_micros(array, cells, |micros, out| write((0, 0, micros), out)),
    }
}

/// A dictionary or run-end encoded array as a plain one.
pub(crate) fn plain(array: &dyn Array, value: &DataType) -> Result<ArrayRef> {
    Ok(cast(array, value)?)
}
