//! Bad records as dead letters: the original bytes, with where they come from and what is wrong with them in headers.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use dataflow::sink::{RecordEncoder, Records};
use dataflow::{DeltaBatch, Error, Result};

/// Headers, each a column of the table of bad records.
const HEADERS: [&str; 5] = ["topic", "partition", "offset", "reason", "error"];

/// Turns rows of a table of bad records into the records that they were: `topic`, `partition`, `offset`, `reason` and
/// `error` are headers, `payload` the value, `timestamp` the record's.
#[derive(Debug, Default)]
pub struct DeadLetterEncoder;

impl RecordEncoder for DeadLetterEncoder {
    fn encode(&mut self, batches: &[DeltaBatch], out: &mut Records) -> Result<()> {
        let names = HEADERS.iter().map(|name| format!("clickmill.{name}"));
        out.headers = names.collect();
        batches.iter().try_for_each(|batch| add(&batch.rows, out))
    }
}

fn add(rows: &RecordBatch, out: &mut Records) -> Result<()> {
    let column = |name: &str| {
        let missing = || Error::internal(format!("bad records without {name}"));
        rows.column_by_name(name).ok_or_else(missing)
    };
    let mut headers = Vec::with_capacity(HEADERS.len());
    for name in HEADERS {
        headers.push(Arc::new(cast(column(name)?, &DataType::Utf8)?));
    }
    let payloads = column("payload")?.as_binary::<i32>();
    let times = column("timestamp")?.as_primitive::<TimestampMicrosecondType>();
    let mut places = Vec::with_capacity(HEADERS.len());
    for row in 0..rows.num_rows() {
        places.clear();
        for header in &headers {
            let text = header.as_string::<i32>().value(row);
            places.push(Some(put(text.as_bytes(), out)));
        }
        let value = payloads
            .is_valid(row)
            .then(|| put(payloads.value(row), out));
        let time = times.is_valid(row).then(|| times.value(row));
        out.push(None, value, time, &places);
    }
    Ok(())
}

fn put(bytes: &[u8], out: &mut Records) -> (usize, usize) {
    let from = out.bytes.len();
    out.bytes.extend_from_slice(bytes);
    (from, out.bytes.len())
}
