//! `ENCODE JSON`: one JSON object a record, RFC 8259 to the letter.
//!
//! - A record is good only when all of it is: valid UTF-8, one JSON object, nothing after it, nested no deeper than the
//!   limit; every value that a declared column takes fits that column; NOT NULL columns and the event time are there.
//! - Of a repeated key the last value counts. A field that is absent, or NULL, or whose parent is absent or NULL, is NULL.
//! - TEXT takes a string's text, and of every other value its JSON text as it stands in the record. Integers take numbers
//!   without fraction and exponent; NUMERIC is exact and rounds halves away from zero; numbers in strings are refused.
//! - The rest of a record is an object of the fields that begin no column's path, their keys and values as they stand in the
//!   record, in the record's order; of a repeated key only the last is there.
//! - Numbers are times as `timestamp.format` says, a fraction allowed; digits beyond microseconds are cut off. ISO 8601
//!   text with a zone is converted to UTC, also for TIMESTAMP without time zone.

mod bytes;
pub(crate) mod convert;
pub(crate) mod field;
mod lanes;
mod number;
mod rest;
mod rows;
pub(crate) mod sample;
pub(crate) mod scan;
mod shape;
mod template;
pub(crate) mod time;

#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use dataflow::schema::{ColumnOrigin, SourceSchema};
use dataflow::{Result, Slab};

use crate::bad::{Bad, BadReason};
use crate::payloads::{Account, Payloads};
use crate::{Decoded, Decoder, Limits};
use convert::{Converter, not_json};
use field::{Field, Record, batch, fields, fill_all, reserve};
pub use lanes::LaneCounts;
use lanes::{BLOCK, Lanes};
use rest::Rest;
use rows::Block;
use scan::Kind;
use shape::Shapes;

/// Decodes JSON objects.
pub struct JsonDecoder {
    shapes: Shapes,
    /// The fast way for records like those before; what it does not take goes the general path.
    lanes: Option<Lanes>,
    converter: Converter,
    /// All declared columns in their order, so that what is good does not depend on what is wanted.
    fields: Vec<Field>,
    /// The output's columns as indexes into `fields`.
    wanted: Vec<usize>,
    schema: SchemaRef,
    limits: Limits,
}

impl JsonDecoder {
    /// A decoder with the columns `wanted` (indexes into `schema.columns`, in output order, repeats allowed) as output.
    ///
    /// # Errors
    /// `0A000` when a declared column has a type that JSON values are not decoded to, or a type other than that of its
    /// origin: TEXT for keys, headers and the rest, an integer for the partition, BIGINT for the offset, a timestamp for the time.
    pub fn new(schema: &SourceSchema, wanted: &[usize], limits: Limits) -> Result<Self> {
        let mut shapes = Shapes::new();
        let mut fields = fields(schema, wanted, |path| shapes.want(path))?;
        for (field, declared) in fields.iter_mut().zip(&schema.columns) {
            if declared.origin == ColumnOrigin::Rest {
                field.rest = Some(Box::new(Rest::new(schema.read_fields())));
            }
        }
        Ok(Self {
            lanes: Some(Lanes::new(shapes.slots(), limits.max_depth)),
            shapes,
            converter: Converter::new(schema.timestamps),
            fields,
            wanted: wanted.to_vec(),
            schema: Arc::new(schema.arrow().project(wanted)?),
            limits,
        })
    }

    /// Sends all records the general path, for comparison.
    pub(crate) fn without_lanes(mut self) -> Self {
        self.lanes = None;
        self
    }

    /// How many records took the fast way so far.
    pub fn lane_counts(&self) -> LaneCounts {
        self.lanes.as_ref().map(Lanes::counts).unwrap_or_default()
    }

    /// Weighs what the lanes find of the `count` records of a block, and gives the records that are good for sure.
    fn find(&mut self, block: Block<'_>, count: usize, payloads: &Payloads<'_>) -> u64 {
        let Some(lanes) = &mut self.lanes else {
            return 0;
        };
        let slab = block.slab;
        // Texts have offsets of 31 bits.
        if lanes.is_idle() || i32::try_from(slab.data.len()).is_err() {
            return 0;
        }
        let spans = &slab.values[block.first..block.first + count];
        let mut todo = 0;
        for (row, span) in spans.iter().enumerate() {
            let well = !span.is_null() && payloads.is_well(*span, self.limits.max_record_bytes);
            todo |= u64::from(well) << row;
        }
        let mut good = lanes.scan(&slab.data, spans, todo);
        for field in &mut self.fields {
            if good == 0 {
                break;
            }
            good = field.weigh(block, good, lanes, &mut self.converter);
        }
        good
    }

    /// Appends the rows `rows` of a block, which [`JsonDecoder::find`] has found good.
    fn append(&mut self, block: Block<'_>, rows: &Range<usize>) {
        let lanes = self
            .lanes
            .as_ref()
            .expect("the lanes have found these rows");
        for field in self.fields.iter_mut().filter(|field| field.kept) {
            field.append(block, rows.clone(), lanes);
        }
    }

    /// Decodes a record the general path, as the row after `rows` others.
    fn general(
        &mut self,
        block: Block<'_>,
        row: usize,
        payloads: &Payloads<'_>,
        rows: usize,
    ) -> Result<(), Bad> {
        let text = payloads.get(block.slab.values[row], self.limits.max_record_bytes)?;
        let record = Record {
            slab: block.slab,
            row,
            partition: block.partition,
            text,
        };
        self.record(record, rows)?;
        if let Some(lanes) = &mut self.lanes
            && lanes.would_learn()
        {
            lanes.learn(text, &self.shapes);
        }
        Ok(())
    }

    /// Appends one record's row after `rows` others, or leaves the columns as they were.
    fn record(&mut self, record: Record<'_>, rows: usize) -> Result<(), Bad> {
        match self.shapes.scan(record.text, self.limits.max_depth) {
            Ok(None) => {}
            Ok(Some(kind)) => return Err(no_object(kind)),
            Err(fault) => return Err(not_json(fault, record.text, self.limits.max_depth)),
        }
        let token = |slot| self.shapes.token(slot);
        fill_all(&mut self.fields, record, token, &mut self.converter, rows)
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, slab: &Slab, rows: Range<usize>, partition: i32) -> Decoded {
        reserve(&mut self.fields, rows.len(), slab);
        let payloads = Payloads::new(slab, rows.clone());
        let mut account = Account::new(rows.start);
        for first in rows.clone().step_by(BLOCK) {
            let block = Block {
                slab,
                partition,
                first,
            };
            let count = (rows.end - first).min(BLOCK);
            let found = self.find(block, count, &payloads);
            let mut at = 0;
            while at < count {
                let run = (found >> at).trailing_ones() as usize;
                if run > 0 {
                    self.append(block, &(at..at + run));
                    account.push(first + at, run);
                    at += run;
                    continue;
                }
                let row = first + at;
                at += 1;
                if slab.values[row].is_null() {
                    account.tombstone();
                    continue;
                }
                let filled = self.general(block, row, &payloads, account.count);
                account.note(row, filled);
            }
        }
        let rows = account.count;
        account.close(batch(&mut self.fields, &self.wanted, &self.schema, rows))
    }
}

#[cold]
fn no_object(kind: Kind) -> Bad {
    let found = match kind {
        Kind::Array => "an array",
        Kind::Plain | Kind::Escaped => "a string",
        Kind::Integer | Kind::Number => "a number",
        Kind::True | Kind::False => "a boolean",
        _ => "null",
    };
    Bad::new(
        BadReason::WrongType,
        format!("the record is {found}, not an object"),
    )
}
