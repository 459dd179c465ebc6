//! Formats of records: from a slab of bytes to Arrow columns, and an account of every record that is not good.
//!
//! A format is one file with a [`Decoder`] in it and one line in [`decoder`].
#![warn(missing_docs)]

mod bad;
mod columns;
mod csv;
mod dead;
mod encode;
pub mod fuzzing;
pub mod infer;
mod json;
mod parquet;
mod payloads;
mod sink;

use std::ops::Range;

use arrow::array::RecordBatch;
use dataflow::schema::{Encoding, SourceSchema};
use dataflow::{Result, Slab};

pub use bad::{BadReason, BadRecord};
pub use csv::CsvDecoder;
pub use dead::DeadLetterEncoder;
pub use encode::JsonEncoder;
pub use json::sample::JsonSample;
pub use json::{JsonDecoder, LaneCounts};
pub use parquet::ParquetDecoder;
pub use sink::{KeyFormat, SinkEncoder, SinkEncoding};

/// Turns records of one source into rows. Used from one thread; it keeps buffers and guesses from call to call, never
/// results: what a record decodes to does not depend on what was decoded before.
pub trait Decoder: Send {
    /// Decodes the records `rows` of `slab`; `partition` is the number of the slab's partition in its topic.
    ///
    /// # Panics
    /// When `rows` reaches beyond the slab.
    fn decode(&mut self, slab: &Slab, rows: Range<usize>, partition: i32) -> Decoded;
}

/// What became of a range of a slab's records: each is a row of `batch`, or in `bad`, or a tombstone.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The good records in the slab's order, with the wanted columns in the wanted order.
    pub batch: RecordBatch,
    /// The slab row of every row of `batch`, ascending; `None` when they are the whole range.
    pub good: Option<Vec<u32>>,
    /// The bad records, ascending by row.
    pub bad: Vec<BadRecord>,
    /// Number of records without a payload; they are neither rows nor bad.
    pub tombstones: u64,
}

impl Decoded {
    /// The slab row of row `index` of `batch`, where the decoded range began at `first`.
    pub fn slab_row(&self, index: usize, first: usize) -> usize {
        self.good
            .as_ref()
            .map_or(first + index, |good| good[index] as usize)
    }

    /// Makes bad records of the rows of `batch` that `keep` has as false, with their messages by index in the batch. The
    /// decoded range began at the slab's first record.
    ///
    /// # Errors
    /// When `keep` has not one entry for each row.
    pub fn refuse(&mut self, keep: Vec<bool>, refused: Vec<(usize, String)>) -> Result<()> {
        for (index, message) in refused {
            self.bad.push(BadRecord {
                row: payloads::as_u32(self.slab_row(index, 0)),
                reason: BadReason::FarFuture,
                message,
            });
        }
        self.bad.sort_by_key(|bad| bad.row);
        let kept = (0..keep.len()).filter(|index| keep[*index]);
        self.good = Some(
            kept.map(|i| payloads::as_u32(self.slab_row(i, 0)))
                .collect(),
        );
        self.batch = arrow::compute::filter_record_batch(&self.batch, &keep.into())?;
        Ok(())
    }
}

/// Bounds of one record; a record beyond them is a bad record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a payload.
    pub max_record_bytes: usize,
    /// Most levels of objects and arrays inside each other, the record itself being the first.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_record_bytes: 4 << 20,
            max_depth: 128,
        }
    }
}

/// A decoder of a source's records, in the encoding that its schema says.
///
/// `wanted` are the columns of the output: indexes into `schema.columns`, in output order. Whether a record is good is
/// judged on all declared columns, so that it does not depend on `wanted`.
///
/// # Errors
/// `0A000` when the encoding cannot fill a declared column.
pub fn decoder(
    schema: &SourceSchema,
    wanted: &[usize],
    limits: Limits,
) -> Result<Box<dyn Decoder>> {
    Ok(match &schema.encoding {
        Encoding::Json => Box::new(JsonDecoder::new(schema, wanted, limits)?),
        Encoding::Csv(options) => Box::new(CsvDecoder::new(schema, options, wanted, limits)?),
        Encoding::Parquet => Box::new(ParquetDecoder::new(schema, wanted, limits)?),
    })
}
