//! A declared column, and how a record fills it: from a field of the JSON object or from the slab beside it.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use dataflow::schema::{Column as Declared, ColumnOrigin, SourceSchema};
use dataflow::time::MILLI;
use dataflow::{Error, Micros, Result, Slab};

use super::convert::{Converter, shown};
use super::rest::Rest;
use super::rows::Weighed;
use super::scan::{Kind, Token};
use super::time;
use crate::bad::{Bad, BadReason};
use crate::columns::{Cells, Column};

/// A declared column and how it is filled.
pub(crate) struct Field {
    pub(super) from: From,
    /// What messages call it: `field "user.id"`.
    source: String,
    /// Why it may not be NULL, if so: `a NOT NULL column`.
    pub(super) required: Option<&'static str>,
    /// Whether it is in the output; otherwise its values are checked and forgotten.
    pub(super) kept: bool,
    pub(super) column: Column,
    /// The values of the block that the lanes have found last.
    pub(super) weighed: Weighed,
    /// Writes the rest of records, for a column that takes it.
    pub(super) rest: Option<Box<Rest>>,
    /// Bytes of text a row in the last batch, rounded up.
    pub(super) bytes_a_row: usize,
}

/// Where a column's values come from.
#[derive(Clone, Copy)]
pub(super) enum From {
    /// The token with this slot.
    Field(usize),
    Key,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
    Rest,
    Proctime,
}

/// One record with its surroundings.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) slab: &'a Slab,
    pub(crate) row: usize,
    pub(crate) partition: i32,
    /// The payload, valid UTF-8.
    pub(crate) text: &'a [u8],
}

/// The fields of all declared columns; `slot` gives the slot of a path.
pub(crate) fn fields(
    schema: &SourceSchema,
    wanted: &[usize],
    mut slot: impl FnMut(&[String]) -> usize,
) -> Result<Vec<Field>> {
    let mut fields = Vec::with_capacity(schema.columns.len());
    for (at, declared) in schema.columns.iter().enumerate() {
        fields.push(Field::new(declared, wanted.contains(&at), &mut slot)?);
    }
    if let Some(watermark) = &schema.watermark {
        fields[watermark.column].required = Some("the event time");
    }
    Ok(fields)
}

/// Makes room for `rows` records of a slab.
pub(crate) fn reserve(fields: &mut [Field], rows: usize, slab: &Slab) {
    for field in fields.iter_mut().filter(|field| field.kept) {
        // The bound keeps one large record from asking for its size times the rows.
        let bytes = (field.bytes_a_row * rows).min(slab.data.len());
        field.column.reserve(rows, bytes);
    }
}

/// Appends one record's row after `rows` others, or leaves the columns as they were. `token` gives the value of a slot.
#[inline]
pub(crate) fn fill_all(
    fields: &mut [Field],
    record: Record<'_>,
    token: impl Fn(usize) -> Token,
    converter: &mut Converter,
    rows: usize,
) -> Result<(), Bad> {
    for at in 0..fields.len() {
        if let Err(bad) = fields[at].fill(record, &token, converter) {
            for field in &mut fields[..=at] {
                field.column.truncate(if field.kept { rows } else { 0 });
            }
            return Err(bad);
        }
    }
    Ok(())
}

/// The `rows` rows so far, with the columns `wanted`; the fields are empty again.
pub(crate) fn batch(
    fields: &mut [Field],
    wanted: &[usize],
    schema: &SchemaRef,
    rows: usize,
) -> RecordBatch {
    let mut arrays: Vec<Option<ArrayRef>> = vec![None; fields.len()];
    let columns = wanted.iter().map(|at| {
        let field = &mut fields[*at];
        let array = arrays[*at].get_or_insert_with(|| {
            field.bytes_a_row = field.column.text_bytes().div_ceil(rows.max(1));
            field.column.finish()
        });
        Arc::clone(array)
    });
    let columns = columns.collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .expect("every column has a row per good record and the declared type")
}

impl Field {
    /// The field of a column; `kept` when it is in the output. `slot` gives the slot of a path.
    fn new(declared: &Declared, kept: bool, slot: impl FnOnce(&[String]) -> usize) -> Result<Self> {
        let name = &declared.name;
        let refused = |from: &str| {
            let what = format!(
                "type {} for column \"{name}\" from {from}",
                declared.data_type
            );
            Error::unsupported(what)
        };
        let column = Column::new(&declared.data_type).ok_or_else(|| refused("a record"))?;
        let cells = Cells::new(&declared.data_type).ok_or_else(|| refused("a record"))?;
        let is_text = matches!(column.cells, Cells::Text(_));
        let is_integer = matches!(column.cells, Cells::Int32(_) | Cells::Int64(_));
        let (from, source, fits) = match &declared.origin {
            ColumnOrigin::Field(path) if path.is_empty() => {
                return Err(Error::internal(format!(
                    "column \"{name}\" has an empty path"
                )));
            }
            ColumnOrigin::Field(path) => {
                let source = format!("field \"{}\"", shown(path.join(".").as_bytes()));
                (From::Field(slot(path)), source, true)
            }
            ColumnOrigin::Key => (From::Key, "the record's key".to_owned(), is_text),
            ColumnOrigin::Headers => (From::Headers, "the record's headers".to_owned(), is_text),
            ColumnOrigin::Topic => (From::Topic, "the record's topic".to_owned(), is_text),
            ColumnOrigin::Rest => (From::Rest, "the record's rest".to_owned(), is_text),
            ColumnOrigin::Partition => (
                From::Partition,
                "the record's partition".to_owned(),
                is_integer,
            ),
            ColumnOrigin::Offset => {
                let fits = matches!(column.cells, Cells::Int64(_));
                (From::Offset, "the record's offset".to_owned(), fits)
            }
            ColumnOrigin::Proctime => {
                let fits = matches!(column.cells, Cells::Timestamp(_));
                (From::Proctime, "PROCTIME()".to_owned(), fits)
            }
            ColumnOrigin::Timestamp => {
                let fits = matches!(column.cells, Cells::Timestamp(_));
                (From::Timestamp, "the record's timestamp".to_owned(), fits)
            }
        };
        if !fits {
            return Err(refused(&source));
        }
        let required = (!declared.nullable).then_some("a NOT NULL column");
        Ok(Self {
            from,
            source,
            required,
            kept,
            column,
            weighed: Weighed::new(cells),
            rest: None,
            bytes_a_row: 0,
        })
    }

    /// The slot of the field that the column takes; otherwise it takes something beside the fields.
    pub(crate) fn slot(&self) -> Option<usize> {
        match self.from {
            From::Field(slot) => Some(slot),
            _ => None,
        }
    }

    /// Appends this column's value, which is beside the fields, of a record, or NULL for a bad record.
    pub(crate) fn fill_beside(&mut self, record: Record<'_>) -> Result<(), Bad> {
        let rows = self.column.len();
        let filled = self.fill_meta(record);
        if filled.is_err() || self.column.len() == rows {
            self.column.truncate(rows);
            self.column.push_null();
        }
        filled
    }

    /// The values that were appended; the column is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        self.column.finish()
    }

    /// What is wrong with a value that is absent, or NULL, if it may not be.
    pub(crate) fn lacking(&self, found: &str) -> Option<Bad> {
        let why = self.required?;
        let message = format!("{} is {found}; it is {why}", self.source);
        Some(Bad::new(BadReason::Missing, message))
    }

    /// What is wrong with a value that the column does not take.
    pub(crate) fn refusal(
        &self,
        reason: BadReason,
        token: Token,
        text: &[u8],
        converter: &Converter,
    ) -> Bad {
        converter.refusal(reason, &self.source, &self.column.cells, token, text)
    }

    /// Appends this column's value of a record, or checks it only.
    #[inline]
    pub(super) fn fill(
        &mut self,
        record: Record<'_>,
        token: impl FnOnce(usize) -> Token,
        converter: &mut Converter,
    ) -> Result<(), Bad> {
        match self.from {
            From::Field(slot) => {
                let token = token(slot);
                if !self.kept && self.takes_anyway(token.kind) {
                    return Ok(());
                }
                self.fill_field(token, record.text, converter)?;
            }
            // Every good record has a rest.
            From::Rest if !self.kept => return Ok(()),
            _ => self.fill_meta(record)?,
        }
        if !self.kept {
            self.column.truncate(0);
        }
        Ok(())
    }

    /// Whether a value of this kind is good for the column, whatever it is.
    #[inline]
    fn takes_anyway(&self, kind: Kind) -> bool {
        match kind {
            Kind::Missing | Kind::Null => self.required.is_none(),
            Kind::Blocked | Kind::Escaped => false,
            _ => matches!(self.column.cells, Cells::Text(_)),
        }
    }

    #[inline]
    fn fill_field(
        &mut self,
        token: Token,
        text: &[u8],
        converter: &mut Converter,
    ) -> Result<(), Bad> {
        let cells = &mut self.column.cells;
        let fit = match token.kind {
            Kind::Missing => return self.fill_null("missing"),
            Kind::Null => return self.fill_null("NULL"),
            Kind::Blocked => Err(BadReason::WrongType),
            _ => converter.put(cells, token, text),
        };
        match fit {
            Ok(()) => {
                self.column.valid();
                Ok(())
            }
            Err(reason) => Err(self.refusal(reason, token, text, converter)),
        }
    }

    fn fill_null(&mut self, found: &str) -> Result<(), Bad> {
        if let Some(bad) = self.lacking(found) {
            return Err(bad);
        }
        self.column.push_null();
        Ok(())
    }

    pub(super) fn fill_meta(&mut self, record: Record<'_>) -> Result<(), Bad> {
        let Record { slab, row, .. } = record;
        match (self.from, &mut self.column.cells) {
            (From::Partition, Cells::Int32(values)) => values.push(record.partition),
            (From::Partition, Cells::Int64(values)) => values.push(record.partition.into()),
            (From::Offset, Cells::Int64(values)) => values.push(slab.offsets[row]),
            (From::Proctime, Cells::Timestamp(values)) => values.push(slab.read_at),
            (From::Timestamp, Cells::Timestamp(values)) => {
                let millis = slab.timestamps[row];
                if millis < 0 {
                    return self.fill_null("missing");
                }
                let Some(micros) = broker_time(millis) else {
                    let message = format!("{} is out of range: {millis}", self.source);
                    return Err(Bad::new(BadReason::OutOfRange, message));
                };
                values.push(micros);
            }
            (From::Topic, _) => return self.fill_text(Some(slab.topic.as_bytes()), false),
            (From::Rest, Cells::Text(out)) => {
                if let Some(rest) = &mut self.rest {
                    rest.push(record.text, out);
                }
            }
            (From::Key, _) => return self.fill_text(slab.key(row), slab.keys.is_empty()),
            (From::Headers, _) => return self.fill_text(slab.header(row), slab.headers.is_empty()),
            _ => unreachable!("Field::new has refused other types"),
        }
        self.column.valid();
        Ok(())
    }

    /// Whether [`Field::fill_meta`] would take what a row of the slab has.
    pub(super) fn takes_meta(&self, slab: &Slab, row: usize) -> bool {
        let text = |bytes: Option<&[u8]>, not_asked_for: bool| match bytes {
            _ if not_asked_for && !self.kept => true,
            None => self.required.is_none(),
            Some(bytes) => std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0),
        };
        match self.from {
            From::Key => text(slab.key(row), slab.keys.is_empty()),
            From::Headers => text(slab.header(row), slab.headers.is_empty()),
            From::Timestamp if slab.timestamps[row] < 0 => self.required.is_none(),
            From::Timestamp => broker_time(slab.timestamps[row]).is_some(),
            _ => true,
        }
    }

    fn fill_text(&mut self, bytes: Option<&[u8]>, not_asked_for: bool) -> Result<(), Bad> {
        if not_asked_for && !self.kept {
            return Ok(());
        }
        let Some(bytes) = bytes else {
            return self.fill_null("missing");
        };
        if std::str::from_utf8(bytes).is_err() {
            return Err(Bad::new(
                BadReason::NotUtf8,
                format!("{} is not UTF-8", self.source),
            ));
        }
        if bytes.contains(&0) {
            let message = format!("{} has the character U+0000", self.source);
            return Err(Bad::new(BadReason::NulCharacter, message));
        }
        if let Cells::Text(out) = &mut self.column.cells {
            out.push(bytes);
        }
        self.column.valid();
        Ok(())
    }
}

/// A broker's timestamp as a time that columns hold.
fn broker_time(millis: i64) -> Option<Micros> {
    let micros = millis.checked_mul(MILLI)?;
    time::in_range(micros).then_some(micros)
}
