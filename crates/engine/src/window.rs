//! Window arithmetic shared by the operators: event times, and arrays of window columns.

use std::sync::Arc;

use dataflow::{Error, Micros, Result};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, PrimitiveArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};

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

/// A column of timestamps of `data_type` (microseconds, with or without zone).
pub fn timestamps(values: impl Into<Vec<Micros>>, data_type: &DataType) -> ArrayRef {
    let zone = match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => zone.clone(),
        _ => None,
    };
    Arc::new(TimestampMicrosecondArray::from(values.into()).with_timezone_opt(zone))
}
