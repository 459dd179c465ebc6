//! Rows of a sink as records: value, key, event time and headers.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use dataflow::schema::{CsvOptions, Encoding, TimestampFormat};
use dataflow::sink::{RecordEncoder, Records, SinkFormat};
use dataflow::upsert::{Change, newest};
use dataflow::{DeltaBatch, Error, Micros, Result, SqlState, Weights};

use crate::encode::{JsonEncoder, check_type};

/// How a record's key is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// A JSON object of the key's columns.
    #[default]
    Json,
    /// The text of the one column.
    Raw,
}

/// How a sink's rows become records.
#[derive(Clone, Debug)]
pub struct SinkEncoding {
    /// The sink's columns.
    pub schema: SchemaRef,
    /// PLAIN or UPSERT.
    pub format: SinkFormat,
    /// Of the value: JSON or CSV.
    pub encoding: Encoding,
    /// How timestamps are written.
    pub timestamps: TimestampFormat,
    /// Columns of the key; none without keys.
    pub key: Vec<usize>,
    /// How the key is written.
    pub key_format: KeyFormat,
    /// The column that is the record's event time, and what to add to it.
    pub time: Option<(usize, Micros)>,
    /// Columns that become headers.
    pub headers: Vec<usize>,
}

/// Writes rows as JSON objects or lines of CSV.
pub struct SinkEncoder {
    how: SinkEncoding,
    value: JsonEncoder,
    key: JsonEncoder,
    names: Arc<[String]>,
}

type Place = (usize, usize);

impl SinkEncoder {
    /// An encoder.
    ///
    /// # Errors
    /// `0A000` for columns whose types cannot be written.
    pub fn new(how: SinkEncoding) -> Result<Self> {
        for field in how.schema.fields() {
            let named = |error: Error| error.detail(format!("column \"{}\"", field.name()));
            check_type(field.data_type()).map_err(named)?;
        }
        let all: Vec<usize> = (0..how.schema.fields().len()).collect();
        let names = how.headers.iter();
        Ok(Self {
            value: JsonEncoder::of_columns(&how.schema, &all, how.timestamps),
            key: JsonEncoder::of_columns(&how.schema, &how.key, how.timestamps),
            names: names
                .map(|at| how.schema.field(*at).name().clone())
                .collect(),
            how,
        })
    }

    fn key_of(&self, rows: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<Option<Place>> {
        let from = out.len();
        match (self.how.key_format, self.how.key.as_slice()) {
            (_, []) => return Ok(None),
            (KeyFormat::Raw, [column, ..]) => {
                let column = rows.column(*column);
                if column.is_null(row) {
                    return match self.how.format {
                        SinkFormat::Plain => Ok(None),
                        SinkFormat::Upsert => Err(self.null_in_key()),
                    };
                }
                self.text(column.as_ref(), row, out)?;
            }
            (KeyFormat::Json, _) => self.key.encode(rows, row, out)?,
        }
        Ok(Some((from, out.len())))
    }

    fn null_in_key(&self) -> Error {
        let column = self.how.schema.field(self.how.key[0]).name();
        let message = format!("column \"{column}\" of the sink's key is NULL");
        Error::new(SqlState::NOT_NULL_VIOLATION, message)
            .hint("key.format = 'json' has keys with NULL; or leave such rows out with WHERE")
    }

    /// A value as text, without the quotes of JSON.
    fn text(&self, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let from = out.len();
        self.value.value(array, row, out)?;
        if out.get(from) == Some(&b'"') {
            let text: String = serde_json::from_slice(&out[from..])
                .map_err(|error| Error::internal(format!("a string of JSON: {error}")))?;
            out.truncate(from);
            out.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }

    fn value_of(&self, rows: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<Place> {
        let from = out.len();
        match &self.how.encoding {
            Encoding::Csv(csv) => self.line(csv, rows, row, out)?,
            Encoding::Json | Encoding::Parquet => self.value.encode(rows, row, out)?,
        }
        Ok((from, out.len()))
    }

    fn line(
        &self,
        csv: &CsvOptions,
        rows: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut text = Vec::new();
        for (number, column) in rows.columns().iter().enumerate() {
            if number > 0 {
                out.push(csv.delimiter);
            }
            if column.is_null(row) {
                out.extend_from_slice(csv.null.as_bytes());
                continue;
            }
            text.clear();
            self.text(column.as_ref(), row, &mut text)?;
            field(csv, &text, out)?;
        }
        Ok(())
    }

    fn time_of(&self, rows: &RecordBatch, row: usize) -> Option<Micros> {
        let (column, offset) = self.how.time?;
        let times = rows.column(column);
        let times = times.as_primitive_opt::<TimestampMicrosecondType>()?;
        let known = times.is_valid(row);
        known.then(|| times.value(row).saturating_add(offset))
    }

    fn push(&self, rows: &RecordBatch, row: usize, out: &mut Records) -> Result<()> {
        let key = self.key_of(rows, row, &mut out.bytes)?;
        let value = Some(self.value_of(rows, row, &mut out.bytes)?);
        self.finish(rows, row, key, value, out)
    }

    fn finish(
        &self,
        rows: &RecordBatch,
        row: usize,
        key: Option<Place>,
        value: Option<Place>,
        out: &mut Records,
    ) -> Result<()> {
        let mut headers = Vec::with_capacity(self.how.headers.len());
        for column in &self.how.headers {
            let column = rows.column(*column);
            headers.push(match column.is_null(row) {
                true => None,
                false => {
                    let from = out.bytes.len();
                    self.text(column.as_ref(), row, &mut out.bytes)?;
                    Some((from, out.bytes.len()))
                }
            });
        }
        out.push(key, value, self.time_of(rows, row), &headers);
        Ok(())
    }

    /// Of each key what it is in the end: its row, or none.
    fn upserts(&self, batches: &[DeltaBatch], out: &mut Records) -> Result<()> {
        // Rows that only come need not be told apart: the last one of a key counts.
        let goes = batches.iter().any(|batch| batch.weights != Weights::Ones);
        let mut changes = Vec::new();
        for (at, batch) in batches.iter().enumerate() {
            for row in 0..batch.len() {
                let (mut key, mut value) = (Vec::new(), Vec::new());
                self.key_of(&batch.rows, row, &mut key)?;
                if goes {
                    self.value_of(&batch.rows, row, &mut value)?;
                }
                changes.push(Change {
                    key,
                    row: value,
                    place: (at, row),
                    weight: batch.weights.get(row),
                });
            }
        }
        for ((at, row), is_there) in newest(changes.into_iter()) {
            let rows = &batches[at].rows;
            if is_there {
                self.push(rows, row, out)?;
            } else {
                let key = self.key_of(rows, row, &mut out.bytes)?;
                self.finish(rows, row, key, None, out)?;
            }
        }
        Ok(())
    }
}

impl RecordEncoder for SinkEncoder {
    fn encode(&mut self, batches: &[DeltaBatch], out: &mut Records) -> Result<()> {
        out.headers = Arc::clone(&self.names);
        if self.how.format == SinkFormat::Upsert {
            return self.upserts(batches, out);
        }
        for batch in batches {
            for row in 0..batch.len() {
                for _ in 0..batch.weights.get(row) {
                    self.push(&batch.rows, row, out)?;
                }
            }
        }
        Ok(())
    }

    fn preamble(&self) -> Option<Vec<u8>> {
        let Encoding::Csv(csv) = &self.how.encoding else {
            return None;
        };
        if !csv.header {
            return None;
        }
        let mut line = Vec::new();
        for (number, column) in self.how.schema.fields().iter().enumerate() {
            if number > 0 {
                line.push(csv.delimiter);
            }
            // Names without quotes may hold anything but that; then they are as they are.
            if field(csv, column.name().as_bytes(), &mut line).is_err() {
                line.extend_from_slice(column.name().as_bytes());
            }
        }
        line.push(b'\n');
        Some(line)
    }
}

/// Appends one field of CSV, in quotes where it needs them.
fn field(csv: &CsvOptions, text: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let special = |byte: &u8| {
        *byte == csv.delimiter || Some(*byte) == csv.quote || matches!(byte, b'\n' | b'\r')
    };
    let is_plain = !text.iter().any(special) && text != csv.null.as_bytes();
    match csv.quote {
        _ if is_plain => out.extend_from_slice(text),
        Some(quote) => {
            out.push(quote);
            for byte in text {
                if *byte == quote {
                    out.push(quote);
                }
                out.push(*byte);
            }
            out.push(quote);
        }
        None => {
            return Err(Error::unsupported(
                "a value with a delimiter or an end of line in CSV without quotes",
            ));
        }
    }
    Ok(())
}
