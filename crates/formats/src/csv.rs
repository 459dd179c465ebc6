//! `ENCODE CSV`: one line of fields a record, RFC 4180.
//!
//! - Fields are taken by their order, which is that of the columns, or by the names in the first line of a file. A record has
//!   as many fields as there are columns or names; otherwise it is bad, and so is one with a quote that does not end, one
//!   within a field that does not begin with one, or anything between a closing quote and the delimiter.
//! - A field without quotes that holds the text of `csv.null` is NULL; one in quotes never is.
//! - TEXT takes a field as it is. Of other types, spaces around the value are passed over: BOOLEAN takes true, t, 1, false, f
//!   and 0 in any case, numbers may have a plus sign and zeros before. All else is as with JSON, where numbers stand for
//!   themselves and texts for strings.

mod split;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use dataflow::schema::{ColumnOrigin, CsvOptions, SourceSchema};
use dataflow::{Error, Result, Slab};

use crate::bad::{Bad, BadReason};
use crate::json::convert::Converter;
use crate::json::field::{Field, Record, batch, fields, fill_all, reserve};
use crate::json::scan::{Kind, Token};
use crate::payloads::{Account, Payloads};
use crate::{Decoded, Decoder, Limits};
use split::{Part, Splitter};

/// Most names in a line of names.
const MAX_NAMES: usize = 100_000;

/// Decodes lines of fields.
pub struct CsvDecoder {
    options: CsvOptions,
    splitter: Splitter,
    converter: Converter,
    /// All declared columns in their order.
    fields: Vec<Field>,
    /// The columns that are fields of the record, by slot.
    sources: Vec<Source>,
    /// The output's columns as indexes into `fields`.
    wanted: Vec<usize>,
    schema: SchemaRef,
    limits: Limits,
}

/// What a column takes of a record.
struct Source {
    /// The field's name in a line of names.
    name: String,
    takes: Takes,
}

/// How a field is read.
#[derive(Clone, Copy)]
enum Takes {
    Text,
    Boolean,
    Date,
    /// A number, or a time that may be one.
    Number,
}

/// Where the fields of records are.
struct Places {
    /// Fields of a record.
    count: usize,
    /// The field of each slot.
    by_slot: Vec<Option<usize>>,
}

impl CsvDecoder {
    /// A decoder with the columns `wanted` (indexes into `schema.columns`, in output order, repeats allowed) as output.
    ///
    /// # Errors
    /// `0A000` as [`crate::JsonDecoder::new`], and for a column that takes the rest of the record.
    pub fn new(
        schema: &SourceSchema,
        options: &CsvOptions,
        wanted: &[usize],
        limits: Limits,
    ) -> Result<Self> {
        let mut sources = Vec::new();
        for column in &schema.columns {
            match &column.origin {
                ColumnOrigin::Rest => return Err(Error::unsupported("INCLUDE REST of CSV")),
                ColumnOrigin::Field(path) => sources.push(Source {
                    name: path.join("."),
                    takes: Takes::of(&column.data_type),
                }),
                _ => {}
            }
        }
        let mut slots = 0..;
        let slot = |_: &[String]| slots.next().unwrap_or_default();
        Ok(Self {
            splitter: Splitter::new(options),
            options: options.clone(),
            converter: Converter::new(schema.timestamps),
            fields: fields(schema, wanted, slot)?,
            sources,
            wanted: wanted.to_vec(),
            schema: Arc::new(schema.arrow().project(wanted)?),
            limits,
        })
    }

    /// Where the fields of a slab's records are, or what is wrong with all of them.
    fn places(&mut self, slab: &Slab) -> Result<Places, Bad> {
        let count = self.sources.len();
        if !self.options.header {
            let by_slot = (0..count).map(Some).collect();
            return Ok(Places { count, by_slot });
        }
        let Some(line) = &slab.names else {
            let message = "the line of names is missing";
            return Err(Bad::new(BadReason::NotCsv, message));
        };
        if std::str::from_utf8(line).is_err() {
            let message = "the line of names is not UTF-8";
            return Err(Bad::new(BadReason::NotUtf8, message));
        }
        let split = self.splitter.split(without_end(line), MAX_NAMES);
        split
            .map_err(|fault| Bad::new(BadReason::NotCsv, format!("the line of names: {fault}")))?;
        let text = self.splitter.text(line);
        let parts = self.splitter.parts();
        // Of a repeated name the last counts, as of a key in JSON.
        let find = |name: &str| {
            parts
                .iter()
                .rposition(|part| part.of(text) == name.as_bytes())
        };
        Ok(Places {
            count: parts.len(),
            by_slot: self
                .sources
                .iter()
                .map(|source| find(&source.name))
                .collect(),
        })
    }

    /// Appends one record's row after `rows` others, or leaves the columns as they were.
    fn record(&mut self, record: Record<'_>, places: &Places, rows: usize) -> Result<(), Bad> {
        if record.text.contains(&0) {
            let message = "the record has the character U+0000";
            return Err(Bad::new(BadReason::NulCharacter, message));
        }
        let line = without_end(record.text);
        let split = self.splitter.split(line, places.count);
        split.map_err(|fault| Bad::new(BadReason::NotCsv, fault.to_string()))?;
        let (parts, text) = (self.splitter.parts(), self.splitter.text(line));
        if parts.len() < places.count {
            let message = format!(
                "the record has {} fields, not {}",
                parts.len(),
                places.count
            );
            return Err(Bad::new(BadReason::NotCsv, message));
        }
        let record = Record { text, ..record };
        let token = |slot: usize| match places.by_slot[slot] {
            Some(at) => token(
                parts[at],
                text,
                self.sources[slot].takes,
                &self.options.null,
            ),
            None => Token::MISSING,
        };
        fill_all(&mut self.fields, record, token, &mut self.converter, rows)
    }
}

impl Decoder for CsvDecoder {
    fn decode(&mut self, slab: &Slab, rows: Range<usize>, partition: i32) -> Decoded {
        reserve(&mut self.fields, rows.len(), slab);
        let payloads = Payloads::new(slab, rows.clone());
        let places = self.places(slab);
        let mut account = Account::new(rows.start);
        for row in rows {
            let span = slab.values[row];
            if span.is_null() {
                account.tombstone();
                continue;
            }
            let filled = match &places {
                Err(Bad { reason, message }) => Err(Bad::new(*reason, message)),
                Ok(places) => payloads
                    .get(span, self.limits.max_record_bytes)
                    .and_then(|text| {
                        let record = Record {
                            slab,
                            row,
                            partition,
                            text,
                        };
                        self.record(record, places, account.count)
                    }),
            };
            account.note(row, filled);
        }
        let rows = account.count;
        account.close(batch(&mut self.fields, &self.wanted, &self.schema, rows))
    }
}

impl Takes {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8 | DataType::Utf8View => Self::Text,
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date,
            _ => Self::Number,
        }
    }
}

/// A record without the end of its line.
fn without_end(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

/// A field as the value that it stands for.
fn token(part: Part, text: &[u8], takes: Takes, null: &str) -> Token {
    if !part.quoted && part.of(text) == null.as_bytes() {
        return part.token(Kind::Null);
    }
    if matches!(takes, Takes::Text) {
        return part.token(Kind::Plain);
    }
    let part = part.trimmed(text);
    let value = part.of(text);
    match takes {
        Takes::Boolean => part.token(boolean(value)),
        Takes::Number => match value.split_first() {
            Some((b'+', [first, ..])) if *first != b'-' => {
                let part = part.without_first();
                part.token(number(part.of(text)))
            }
            _ => part.token(number(value)),
        },
        Takes::Text | Takes::Date => part.token(Kind::Plain),
    }
}

fn boolean(value: &[u8]) -> Kind {
    let is = |words: [&str; 3]| {
        words
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(["true", "t", "1"]) {
        Kind::True
    } else if is(["false", "f", "0"]) {
        Kind::False
    } else {
        Kind::Plain
    }
}

/// Whether a text is a number: `-1`, `007`, `.5`, `5.`, `1e-3`.
fn number(value: &[u8]) -> Kind {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = value.strip_prefix(b"-").unwrap_or(value);
    let whole = digits(rest);
    let rest = &rest[whole..];
    if rest.is_empty() && whole > 0 {
        return Kind::Integer;
    }
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => (digits(rest), &rest[digits(rest)..]),
        _ => (0, rest),
    };
    let exponent = match rest.split_first() {
        None => true,
        Some((b'e' | b'E', rest)) => {
            let rest = rest
                .strip_prefix(b"-")
                .or(rest.strip_prefix(b"+"))
                .unwrap_or(rest);
            !rest.is_empty() && digits(rest) == rest.len()
        }
        Some(_) => false,
    };
    if exponent && whole + fraction > 0 {
        Kind::Number
    } else {
        Kind::Plain
    }
}
