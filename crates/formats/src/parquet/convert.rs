//! Whole columns into the declared types, with an account of the values that do not fit.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Date32Array, Float32Array, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Field, Float64Type, Int64Type, TimeUnit};
use arrow::json::writer::{EncoderOptions, make_encoder};
use arrow::util::display::FormatOptions;
use dataflow::schema::TimestampFormat;

use crate::Limits;
use crate::bad::BadReason;
use crate::json::convert::Converter;
use crate::json::scan::Kind;
use crate::json::time::{DAY, date, in_range};

/// Values of the declared type, NULL where the value was NULL or does not fit.
pub(super) struct Converted {
    pub(super) values: ArrayRef,
    /// What does not fit, ascending by index.
    pub(super) refused: Vec<(usize, BadReason)>,
}

impl Converted {
    /// Nothing of `from` fits.
    pub(super) fn none(from: &ArrayRef, to: &DataType) -> Self {
        Self::after(from, new_null_array(to, from.len()), BadReason::WrongType)
    }

    /// What became NULL has not fitted, all for the same reason.
    fn after(from: &ArrayRef, values: ArrayRef, reason: BadReason) -> Self {
        let (before, after) = (from.logical_nulls(), values.logical_nulls());
        let count = |nulls: &Option<NullBuffer>| nulls.as_ref().map_or(0, NullBuffer::null_count);
        let mut refused = Vec::new();
        if count(&after) > count(&before) {
            let is_null = |nulls: &Option<NullBuffer>, index: usize| {
                nulls.as_ref().is_some_and(|nulls| nulls.is_null(index))
            };
            let lost = |index: &usize| is_null(&after, *index) && !is_null(&before, *index);
            refused.extend((0..from.len()).filter(lost).map(|index| (index, reason)));
        }
        Self { values, refused }
    }

    /// The values of `each`, which is called for every value that is not NULL.
    fn each<T, A>(from: &ArrayRef, mut each: impl FnMut(usize) -> Result<T, BadReason>) -> Self
    where
        A: Array + FromIterator<Option<T>> + 'static,
    {
        let nulls = from.logical_nulls();
        let mut refused = Vec::new();
        let values = (0..from.len()).map(|index| {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(index)) {
                return None;
            }
            let value = each(index);
            value.map_err(|reason| refused.push((index, reason))).ok()
        });
        let values: ArrayRef = Arc::new(values.collect::<A>());
        Self { values, refused }
    }

    /// The values as another type with the same cells.
    fn typed(self, to: &DataType) -> Self {
        let values = cast(&self.values, to);
        Self { values, ..self }
    }
}

/// The values of `from` as the type `to`, which is one that columns may have.
pub(super) fn convert(
    from: &ArrayRef,
    to: &DataType,
    converter: &mut Converter,
    limits: Limits,
) -> Converted {
    match to {
        DataType::Utf8 | DataType::Utf8View => text(from, limits).typed(to),
        DataType::Timestamp(..) => timestamp(from, converter).typed(to),
        DataType::Date32 => day(from),
        DataType::Boolean if *from.data_type() == DataType::Boolean => Converted {
            values: Arc::clone(from),
            refused: Vec::new(),
        },
        DataType::Int16 | DataType::Int32 | DataType::Int64 if is_whole(from.data_type()) => {
            Converted::after(from, cast(from, to), BadReason::OutOfRange)
        }
        DataType::Float32 if *from.data_type() == DataType::Float64 => real(from),
        DataType::Float32 | DataType::Float64 | DataType::Decimal128(..)
            if from.data_type().is_numeric() =>
        {
            Converted::after(from, cast(from, to), BadReason::OutOfRange)
        }
        _ => Converted::none(from, to),
    }
}

fn is_whole(data_type: &DataType) -> bool {
    let is_decimal = matches!(
        data_type,
        DataType::Decimal32(_, ..=0)
            | DataType::Decimal64(_, ..=0)
            | DataType::Decimal128(_, ..=0)
            | DataType::Decimal256(_, ..=0)
    );
    data_type.is_integer() || is_decimal
}

/// A cast that gives NULL for what the type cannot hold.
fn cast(from: &ArrayRef, to: &DataType) -> ArrayRef {
    let options = CastOptions {
        safe: true,
        format_options: FormatOptions::default(),
    };
    cast_with_options(from, to, &options).unwrap_or_else(|_| new_null_array(to, from.len()))
}

#[expect(clippy::cast_possible_truncation, reason = "a REAL rounds")]
fn real(from: &ArrayRef) -> Converted {
    let numbers = from.as_primitive::<Float64Type>();
    Converted::each::<f32, Float32Array>(from, |index| {
        let (wide, narrow) = (numbers.value(index), numbers.value(index) as f32);
        let fits = narrow.is_finite() || !wide.is_finite();
        fits.then_some(narrow).ok_or(BadReason::OutOfRange)
    })
}

fn text(from: &ArrayRef, limits: Limits) -> Converted {
    match from.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => checked(from, limits, true),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            checked(from, limits, false)
        }
        data_type if data_type.is_nested() => json(from, limits),
        DataType::FixedSizeBinary(_) | DataType::Interval(_) => {
            Converted::none(from, &DataType::Utf8)
        }
        _ => Converted::after(from, cast(from, &DataType::Utf8), BadReason::WrongType),
    }
}

/// Texts, or bytes that should be.
fn checked(from: &ArrayRef, limits: Limits, is_text: bool) -> Converted {
    let bytes = cast(from, &DataType::Binary);
    let bytes: &BinaryArray = bytes.as_binary();
    let well = |index: usize| {
        let value = bytes.value(index);
        if value.len() > limits.max_record_bytes {
            return Err(BadReason::TooLarge);
        }
        if value.contains(&0) {
            return Err(BadReason::NulCharacter);
        }
        std::str::from_utf8(value).map_err(|_| BadReason::NotUtf8)
    };
    let largest = bytes.offsets().lengths().max().unwrap_or(0);
    if is_text && largest <= limits.max_record_bytes && !bytes.value_data().contains(&0) {
        return Converted {
            values: cast(from, &DataType::Utf8),
            refused: Vec::new(),
        };
    }
    Converted::each::<&str, StringArray>(from, well)
}

/// Lists and structs as JSON.
fn json(from: &ArrayRef, limits: Limits) -> Converted {
    let field = Arc::new(Field::new("value", from.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let Ok(mut encoder) = make_encoder(&field, from, &options) else {
        return Converted::none(from, &DataType::Utf8);
    };
    Converted::each::<String, StringArray>(from, |index| {
        let mut text = Vec::new();
        encoder.encode(index, &mut text);
        if text.len() > limits.max_record_bytes {
            return Err(BadReason::TooLarge);
        }
        String::from_utf8(text).map_err(|_| BadReason::NotUtf8)
    })
}

fn day(from: &ArrayRef) -> Converted {
    match from.data_type() {
        DataType::Date32 => {
            let days = from.as_primitive::<Date32Type>();
            Converted::each::<i32, Date32Array>(from, |index| {
                let days = days.value(index);
                let fits = in_range(i64::from(days) * DAY);
                fits.then_some(days).ok_or(BadReason::OutOfRange)
            })
        }
        DataType::Utf8 => {
            let texts = from.as_string::<i32>();
            Converted::each::<i32, Date32Array>(from, |index| {
                let text = texts.value(index).as_bytes().try_into().ok();
                text.and_then(date).ok_or(BadReason::InvalidDatetime)
            })
        }
        _ => Converted::none(from, &DataType::Date32),
    }
}

/// Times in microseconds since 1970-01-01 UTC.
fn timestamp(from: &ArrayRef, converter: &mut Converter) -> Converted {
    let unit = match converter.timestamps() {
        TimestampFormat::EpochSeconds => Some(1_000_000),
        TimestampFormat::Auto | TimestampFormat::EpochMillis => Some(1000),
        TimestampFormat::EpochMicros => Some(1),
        TimestampFormat::Iso8601 => None,
    };
    match (from.data_type(), unit) {
        (DataType::Timestamp(TimeUnit::Second, _), _) => whole(from, 1_000_000, 1),
        (DataType::Timestamp(TimeUnit::Millisecond, _), _) => whole(from, 1000, 1),
        (DataType::Timestamp(TimeUnit::Microsecond, _), _) => whole(from, 1, 1),
        (DataType::Timestamp(TimeUnit::Nanosecond, _), _) => whole(from, 1, 1000),
        (DataType::Date32, _) => whole(&cast(from, &DataType::Int32), DAY, 1),
        (data_type, Some(unit)) if data_type.is_integer() => whole(from, unit, 1),
        (data_type, Some(unit)) if data_type.is_floating() => fractional(from, unit),
        (DataType::Utf8, _) => {
            let texts = from.as_string::<i32>();
            Converted::each::<i64, TimestampMicrosecondArray>(from, |index| {
                converter.timestamp(Kind::Plain, texts.value(index).as_bytes())
            })
        }
        _ => Converted::none(from, &DataType::Timestamp(TimeUnit::Microsecond, None)),
    }
}

fn ranged(micros: Option<i64>) -> Result<i64, BadReason> {
    let micros = micros.filter(|micros| in_range(*micros));
    micros.ok_or(BadReason::OutOfRange)
}

/// Whole numbers times `by`, or divided by `over` and rounded down.
fn whole(from: &ArrayRef, by: i64, over: i64) -> Converted {
    let numbers = cast(from, &DataType::Int64);
    let numbers = numbers.as_primitive::<Int64Type>();
    Converted::each::<i64, TimestampMicrosecondArray>(from, |index| {
        // A number that 64 bits do not hold is NULL here.
        let number = numbers.is_valid(index).then(|| numbers.value(index));
        ranged(number.and_then(|number| number.div_euclid(over).checked_mul(by)))
    })
}

/// Numbers times `unit`, rounded down.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "units are small, and what is beyond 64 bits becomes their end, which is out of range"
)]
fn fractional(from: &ArrayRef, unit: i64) -> Converted {
    let numbers = cast(from, &DataType::Float64);
    let numbers = numbers.as_primitive::<Float64Type>();
    Converted::each::<i64, TimestampMicrosecondArray>(from, |index| {
        let micros = numbers.value(index) * unit as f64;
        ranged((!micros.is_nan()).then_some(micros.floor() as i64))
    })
}
