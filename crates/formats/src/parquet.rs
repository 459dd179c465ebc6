//! `ENCODE PARQUET`: rows that come as columns, each with a type of its own.
//!
//! - A column takes the field of its name, or of its path through structs, as written. Fields that no column takes are left
//!   out; a field that the file lacks is NULL.
//! - Numbers become numbers of other types if these hold them: integers never lose anything, DOUBLE and NUMERIC round. A text
//!   is no number, a number no BOOLEAN.
//! - TIMESTAMP takes times of every unit (finer than microseconds is cut off; without a zone they are UTC), dates, and what it
//!   takes of JSON: numbers since 1970 and ISO 8601 texts. DATE takes dates and `YYYY-MM-DD`.
//! - TEXT takes texts, bytes that are UTF-8, and the text of any other value; lists and structs become JSON.

mod convert;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StructArray,
    new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{filter, nullif};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::array_value_to_string;
use dataflow::schema::{ColumnOrigin, SourceSchema};
use dataflow::{Error, Result, Slab};

use crate::bad::{Bad, BadRecord};
use crate::json::convert::Converter;
use crate::json::field::{Field, Record, fields};
use crate::json::scan::{Kind, Token};
use crate::payloads::as_u32;
use crate::{Decoded, Decoder, Limits};
use convert::Converted;

/// Decodes rows of columns.
pub struct ParquetDecoder {
    converter: Converter,
    /// All declared columns in their order.
    fields: Vec<Field>,
    /// The paths of the columns that are fields of the record, by slot.
    paths: Vec<Vec<String>>,
    /// Types of all declared columns.
    types: Vec<DataType>,
    /// The output's columns as indexes into `fields`.
    wanted: Vec<usize>,
    schema: SchemaRef,
    limits: Limits,
}

impl ParquetDecoder {
    /// A decoder with the columns `wanted` (indexes into `schema.columns`, in output order, repeats allowed) as output.
    ///
    /// # Errors
    /// `0A000` as [`crate::JsonDecoder::new`], and for a column that takes the rest of the record.
    pub fn new(schema: &SourceSchema, wanted: &[usize], limits: Limits) -> Result<Self> {
        let mut columns = schema.columns.iter();
        if columns.any(|column| column.origin == ColumnOrigin::Rest) {
            return Err(Error::unsupported("INCLUDE REST of Parquet"));
        }
        let mut paths = Vec::new();
        let slot = |path: &[String]| {
            paths.push(path.to_vec());
            paths.len() - 1
        };
        Ok(Self {
            converter: Converter::new(schema.timestamps),
            fields: fields(schema, wanted, slot)?,
            paths,
            types: schema.columns.iter().map(|c| c.data_type.clone()).collect(),
            wanted: wanted.to_vec(),
            schema: Arc::new(schema.arrow().project(wanted)?),
            limits,
        })
    }

    /// The values of column `at` of all records; notes in `judged` which it makes bad.
    fn column(&mut self, at: usize, records: &Records<'_>, judged: &mut Judged) -> ArrayRef {
        match self.fields[at].slot() {
            Some(slot) => self.taken(at, slot, records, judged),
            None => self.beside(at, records, judged),
        }
    }

    /// A column beside the fields.
    fn beside(&mut self, at: usize, records: &Records<'_>, judged: &mut Judged) -> ArrayRef {
        for (index, row) in records.range.clone().enumerate() {
            let record = Record {
                slab: records.slab,
                row,
                partition: records.partition,
                text: b"",
            };
            if let Err(bad) = self.fields[at].fill_beside(record) {
                judged.note(index, || bad);
            }
        }
        self.fields[at].finish()
    }

    /// A column that takes a field.
    fn taken(
        &mut self,
        at: usize,
        slot: usize,
        records: &Records<'_>,
        judged: &mut Judged,
    ) -> ArrayRef {
        let (data_type, rows) = (&self.types[at], records.range.len());
        let field = &self.fields[at];
        let lacking = |found: &str, judged: &mut Judged, index: usize| {
            if let Some(bad) = field.lacking(found) {
                judged.note(index, || bad);
            }
        };
        let found = records.rows.as_ref().map(|r| find(r, &self.paths[slot]));
        let (values, is_blocked) = match found {
            None | Some(Found::Missing) => {
                for index in 0..rows {
                    lacking("missing", judged, index);
                }
                return new_null_array(data_type, rows);
            }
            Some(Found::Blocked(values)) => (values, true),
            Some(Found::Values(values)) => (values, false),
        };
        if let Some(nulls) = values.logical_nulls() {
            for index in (0..rows).filter(|index| nulls.is_null(*index)) {
                lacking("NULL", judged, index);
            }
        }
        let converted = if is_blocked {
            Converted::none(&values, data_type)
        } else {
            convert::convert(&values, data_type, &mut self.converter, self.limits)
        };
        for (index, reason) in converted.refused {
            judged.note(index, || {
                let (token, text) = shown(&values, index, is_blocked);
                let field = &self.fields[at];
                field.refusal(reason, token, &text, &self.converter)
            });
        }
        converted.values
    }
}

impl Decoder for ParquetDecoder {
    fn decode(&mut self, slab: &Slab, rows: Range<usize>, partition: i32) -> Decoded {
        let all = slab.rows.as_ref();
        let records = Records {
            slab,
            rows: all.map(|all| all.slice(rows.start, rows.len())),
            range: rows.clone(),
            partition,
        };
        let mut judged = Judged::new(rows.len());
        let columns = (0..self.fields.len()).map(|at| self.column(at, &records, &mut judged));
        let columns: Vec<ArrayRef> = columns.collect();
        let columns = self.wanted.iter().map(|at| Arc::clone(&columns[*at]));
        judged.decoded(columns.collect(), &self.schema, rows)
    }
}

/// A range of a slab's records.
struct Records<'a> {
    slab: &'a Slab,
    /// The slab's rows in the range.
    rows: Option<RecordBatch>,
    range: Range<usize>,
    partition: i32,
}

/// What is wrong with records, by their index in the range: what was found first.
struct Judged(Vec<Option<Bad>>);

impl Judged {
    fn new(rows: usize) -> Self {
        Self((0..rows).map(|_| None).collect())
    }

    fn note(&mut self, index: usize, bad: impl FnOnce() -> Bad) {
        self.0[index].get_or_insert_with(bad);
    }

    /// The good records of `columns`, and the bad ones.
    fn decoded(self, columns: Vec<ArrayRef>, schema: &SchemaRef, rows: Range<usize>) -> Decoded {
        let keep: Vec<bool> = self.0.iter().map(Option::is_none).collect();
        let mut bad = Vec::new();
        for (row, found) in rows.clone().zip(self.0) {
            if let Some(Bad { reason, message }) = found {
                bad.push(BadRecord {
                    row: as_u32(row),
                    reason,
                    message,
                });
            }
        }
        let (count, good) = if bad.is_empty() {
            (rows.len(), None)
        } else {
            let kept = rows.zip(&keep).filter(|(_, keep)| **keep);
            let good: Vec<u32> = kept.map(|(row, _)| as_u32(row)).collect();
            (good.len(), Some(good))
        };
        let fits = "every column has a value per record and the declared type";
        let mask = BooleanArray::from(keep);
        let columns = columns.into_iter().map(|column| match &good {
            Some(_) => filter(&column, &mask).expect(fits),
            None => column,
        });
        let columns = columns.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
        Decoded {
            batch: batch.expect(fits),
            good,
            bad,
            tombstones: 0,
        }
    }
}

/// What a path leads to.
enum Found {
    Missing,
    /// The values, NULL also where something on the way is.
    Values(ArrayRef),
    /// What lies on the way and has no fields.
    Blocked(ArrayRef),
}

/// Follows a path through structs; of fields with the same name the last counts, as in JSON.
fn find(rows: &RecordBatch, path: &[String]) -> Found {
    let mut steps = path.iter();
    let schema = rows.schema();
    let first = steps.next().and_then(|name| {
        let fields = schema.fields().iter();
        fields.rev().position(|field| field.name() == name)
    });
    let Some(from_end) = first else {
        return Found::Missing;
    };
    let mut values = Arc::clone(rows.column(rows.num_columns() - 1 - from_end));
    let mut nulls = values.logical_nulls();
    for name in steps {
        let Some(parent) = values.as_any().downcast_ref::<StructArray>() else {
            return Found::Blocked(values);
        };
        let Some(child) = parent.column_by_name(name) else {
            return Found::Missing;
        };
        nulls = NullBuffer::union(nulls.as_ref(), child.logical_nulls().as_ref());
        values = Arc::clone(child);
    }
    Found::Values(with_nulls(&values, nulls))
}

/// The values with NULL where `nulls` says so.
fn with_nulls(values: &ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    if values.logical_nulls() == nulls {
        return Arc::clone(values);
    }
    let mask = nulls.map(|nulls| BooleanArray::new(!nulls.inner(), None));
    let masked = mask.map(|mask| nullif(values, &mask));
    masked.map_or_else(
        || Arc::clone(values),
        |masked| masked.expect("both have a value per record"),
    )
}

/// A value as messages show it.
fn shown(values: &ArrayRef, index: usize, is_blocked: bool) -> (Token, Vec<u8>) {
    let kind = match values.data_type() {
        DataType::Boolean => Kind::True,
        data_type if data_type.is_numeric() => Kind::Number,
        DataType::Struct(_) | DataType::Map(..) => Kind::Object,
        data_type if data_type.is_nested() => Kind::Array,
        _ => Kind::Plain,
    };
    let text = match values.as_binary_opt::<i32>() {
        Some(bytes) => String::from_utf8_lossy(bytes.value(index)).into_owned(),
        None => array_value_to_string(values, index).unwrap_or_default(),
    };
    let text = text.replace('\0', "\\u0000");
    // What blocks a path is told by the byte before it.
    let text = format!("{}{text}", if kind == Kind::Plain { '"' } else { ' ' });
    let kind = match (is_blocked, kind) {
        (true, _) => Kind::Blocked,
        (false, Kind::True) if text == " false" => Kind::False,
        (false, kind) => kind,
    };
    let token = Token {
        kind,
        start: 1,
        end: as_u32(text.len()),
    };
    (token, text.into_bytes())
}
