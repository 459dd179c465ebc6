//! Window arithmetic shared by the operators: event times, and arrays of window columns.

use std::sync::Arc;

use dataflow::time::MILLI;
use dataflow::{Error, Micros, Result, Watermark};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use plan::Window;

/// The event times of a batch's time column.
pub fn times(column: &ArrayRef) -> Result<&PrimitiveArray<TimestampMicrosecondType>> {
    column
        .as_primitive_opt::<TimestampMicrosecondType>()
        .filter(|times| times.null_count() == 0)
        .ok_or_else(|| {
            Error::internal(format!(
                "a time column of {} is not a filled timestamp",
                column.data_type()
            ))
        })
}

/// The watermark of `window_time`: just below that of the next aligned window that can close.
pub fn window_time_watermark(window: &Window, watermark: Watermark) -> Watermark {
    match watermark {
        Watermark::MIN | Watermark::MAX => watermark,
        Watermark(at) => {
            // The first end at or after at + 2.
            let next = window.next_end(at.saturating_add(1));
            Watermark(next.saturating_sub(MILLI + 1))
        }
    }
}

/// `window_complete` for rows that are all final, or all not.
pub fn complete(rows: usize, complete: bool) -> ArrayRef {
    Arc::new(BooleanArray::from(vec![complete; rows]))
}

/// A column of timestamps of `data_type` (microseconds, with or without zone).
pub fn timestamps(values: impl Into<Vec<Micros>>, data_type: &DataType) -> ArrayRef {
    let zone = match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => zone.clone(),
        _ => None,
    };
    Arc::new(TimestampMicrosecondArray::from(values.into()).with_timezone_opt(zone))
}
