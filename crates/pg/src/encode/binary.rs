//! Columns in binary, as PostgreSQL's send functions write them.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};

use dataflow::{Error, Result, SqlState};

use super::text::{self, decimals, each_day, each_interval, each_micros, plain};
use super::time::{EPOCH_DAYS, EPOCH_MICROS};
use super::{Cells, EncodeOptions, array, numeric};
use crate::types::{PgType, is_oid, oid};

/// Version byte before the text of a binary `jsonb`.
const JSONB_VERSION: u8 = 1;

/// Appends every value of `array` in the binary form of `pg_type`.
pub(crate) fn column(array: &dyn Array, pg_type: &PgType, cells: &mut Cells) -> Result<()> {
    use DataType as T;
    match array.data_type() {
        T::Null => cells.rows(array.len(), |_, _| Ok(false)),
        T::Boolean => cells.each(array.as_boolean(), |v, out| put(out, &[u8::from(v)])),
        T::Int8 => integers::<Int8Type>(array, pg_type, cells),
        T::Int16 => integers::<Int16Type>(array, pg_type, cells),
        T::Int32 => integers::<Int32Type>(array, pg_type, cells),
        T::Int64 => integers::<Int64Type>(array, pg_type, cells),
        T::UInt8 => integers::<UInt8Type>(array, pg_type, cells),
        T::UInt16 => integers::<UInt16Type>(array, pg_type, cells),
        T::UInt32 => integers::<UInt32Type>(array, pg_type, cells),
        T::UInt64 => cells.each(array.as_primitive::<UInt64Type>(), |v, out| {
            numeric::write_binary(v.to_string().as_bytes(), out);
            Ok(())
        }),
        T::Float16 => cells.each(array.as_primitive::<Float16Type>(), |v, out| {
            put(out, &v.to_f32().to_be_bytes())
        }),
        T::Float32 => cells.each(array.as_primitive::<Float32Type>(), |v, out| {
            put(out, &v.to_be_bytes())
        }),
        T::Float64 => cells.each(array.as_primitive::<Float64Type>(), |v, out| {
            put(out, &v.to_be_bytes())
        }),
        T::Decimal32(..) | T::Decimal64(..) | T::Decimal128(..) | T::Decimal256(..) => {
            numerics(array, cells)
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => strings(array, pg_type, cells),
        T::Binary => cells.each(array.as_binary::<i32>(), |v, out| put(out, v)),
        T::LargeBinary => cells.each(array.as_binary::<i64>(), |v, out| put(out, v)),
        T::BinaryView => cells.each(array.as_binary_view(), |v, out| put(out, v)),
        T::FixedSizeBinary(_) => cells.each(array.as_fixed_size_binary(), |v, out| put(out, v)),
        T::Date32 | T::Date64 => each_day(array, cells, |days, out| {
            let days =
                i32::try_from(days - i64::from(EPOCH_DAYS)).map_err(|_| out_of_range("date"))?;
            put(out, &days.to_be_bytes())
        }),
        T::Time32(_) | T::Time64(_) => {
            each_micros(array, cells, |micros, out| put(out, &micros.to_be_bytes()))
        }
        T::Timestamp(..) => each_micros(array, cells, |micros, out| {
            let micros = micros
                .checked_sub(EPOCH_MICROS)
                .ok_or_else(|| out_of_range("timestamp"))?;
            put(out, &micros.to_be_bytes())
        }),
        T::Interval(_) | T::Duration(_) => {
            each_interval(array, cells, |(months, days, micros), out| {
                put(out, &micros.to_be_bytes())?;
                put(out, &days.to_be_bytes())?;
                put(out, &months.to_be_bytes())
            })
        }
        T::Dictionary(_, value) => column(&plain(array, value)?, pg_type, cells),
        T::RunEndEncoded(_, value) => column(&plain(array, value.data_type())?, pg_type, cells),
        T::Struct(_) => array::records_as_binary(array.as_struct(), cells),
        _ => array::lists_as_binary(array, pg_type, cells),
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    out.extend_from_slice(bytes);
    Ok(())
}

fn out_of_range(what: &str) -> Error {
    Error::new(SqlState("22008"), format!("{what} out of range"))
}

/// Integers in the width that the announced type has.
fn integers<T>(array: &dyn Array, pg_type: &PgType, cells: &mut Cells) -> Result<()>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64>,
{
    let unsigned = is_oid(pg_type.oid);
    cells.each(array.as_primitive::<T>(), |value, out| {
        let value: i64 = value.into();
        let too_large = |_| {
            Error::new(
                SqlState::NUMERIC_OUT_OF_RANGE,
                format!("{value} is out of range for its type"),
            )
        };
        match pg_type.len {
            2 => put(out, &i16::try_from(value).map_err(too_large)?.to_be_bytes()),
            4 if unsigned => put(out, &u32::try_from(value).map_err(too_large)?.to_be_bytes()),
            4 => put(out, &i32::try_from(value).map_err(too_large)?.to_be_bytes()),
            8 => put(out, &value.to_be_bytes()),
            _ => put(out, value.to_string().as_bytes()),
        }
    })
}

fn numerics(array: &dyn Array, cells: &mut Cells) -> Result<()> {
    let mut shown = Cells::default();
    match array.data_type() {
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale, &mut shown)?,
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale, &mut shown)?,
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale, &mut shown)?,
        DataType::Decimal256(_, scale) => decimals::<Decimal256Type>(array, *scale, &mut shown)?,
        other => return Err(Error::internal(format!("{other} is no decimal"))),
    }
    cells.rows(array.len(), |row, out| {
        let value = shown.get(row);
        if let Some(value) = value {
            numeric::write_binary(value, out);
        }
        Ok(value.is_some())
    })
}

/// Strings: their bytes, but for the announced types whose binary form is another.
fn strings(array: &dyn Array, pg_type: &PgType, cells: &mut Cells) -> Result<()> {
    if !matches!(pg_type.oid, oid::JSONB | oid::UUID) {
        return text::column(array, &EncodeOptions::default(), cells);
    }
    let mut shown = Cells::default();
    text::column(array, &EncodeOptions::default(), &mut shown)?;
    cells.rows(array.len(), |row, out| {
        let Some(value) = shown.get(row) else {
            return Ok(false);
        };
        if pg_type.oid == oid::JSONB {
            out.push(JSONB_VERSION);
            put(out, value)?;
        } else {
            put(out, &uuid(value)?)?;
        }
        Ok(true)
    })
}

/// The sixteen bytes of a UUID's text.
fn uuid(text: &[u8]) -> Result<[u8; 16]> {
    let broken = || Error::new(SqlState::INVALID_TEXT, "invalid input syntax for type uuid");
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let digits: Option<Vec<u8>> = text.iter().filter(|b| **b != b'-').map(digit).collect();
    let digits = digits
        .filter(|digits| digits.len() == 32)
        .ok_or_else(broken)?;
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(bytes)
}
