//! One record of CSV into its fields, strictly: RFC 4180 without its leniencies.
//!
//! csv-core always finds some fields, also where a quote does not end, and does not tell which of them were quoted.

use std::fmt;

use dataflow::schema::CsvOptions;

use crate::json::scan::{Kind, Token};
use crate::payloads::as_u32;

/// A field's range in [`Splitter::text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    start: u32,
    end: u32,
    pub(super) quoted: bool,
}

/// What is wrong with a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The quote at this byte has no end.
    NoEnd(usize),
    /// At this byte, behind a closing quote, there is no delimiter.
    NoDelimiter(usize),
    /// A quote at this byte, in a field that does not begin with one.
    StrayQuote(usize),
    /// More fields than this.
    TooMany(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEnd(at) => write!(f, "the quote at byte {at} has no end in the record"),
            Self::NoDelimiter(at) => {
                write!(f, "expected a delimiter after the quote, at byte {at}")
            }
            Self::StrayQuote(at) => {
                write!(
                    f,
                    "a quote at byte {at}, in a field that does not begin with one"
                )
            }
            Self::TooMany(most) => write!(f, "the record has more than {most} fields"),
        }
    }
}

/// Splits records; its buffers are used again.
pub(super) struct Splitter {
    delimiter: u8,
    quote: Option<u8>,
    parts: Vec<Part>,
    /// The fields' texts, when the record has quotes.
    unquoted: Vec<u8>,
    has_quotes: bool,
}

impl Splitter {
    pub(super) fn new(options: &CsvOptions) -> Self {
        Self {
            delimiter: options.delimiter,
            quote: options.quote,
            parts: Vec::new(),
            unquoted: Vec::new(),
            has_quotes: false,
        }
    }

    /// Finds the fields of a record, at most `most`.
    pub(super) fn split(&mut self, record: &[u8], most: usize) -> Result<(), Fault> {
        self.parts.clear();
        self.unquoted.clear();
        let quote = self.quote.filter(|quote| record.contains(quote));
        self.has_quotes = quote.is_some();
        match quote {
            Some(quote) => self.split_quoted(record, quote, most),
            None => self.split_plain(record, most),
        }
    }

    /// The fields that were found.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What the fields are ranges of, where `record` was split.
    pub(super) fn text<'a>(&'a self, record: &'a [u8]) -> &'a [u8] {
        if self.has_quotes {
            &self.unquoted
        } else {
            record
        }
    }

    fn push(&mut self, start: usize, end: usize, quoted: bool, most: usize) -> Result<(), Fault> {
        if self.parts.len() == most {
            return Err(Fault::TooMany(most));
        }
        self.parts.push(Part {
            start: as_u32(start),
            end: as_u32(end),
            quoted,
        });
        Ok(())
    }

    fn split_plain(&mut self, record: &[u8], most: usize) -> Result<(), Fault> {
        let mut start = 0;
        for (at, byte) in record.iter().enumerate() {
            if *byte == self.delimiter {
                self.push(start, at, false, most)?;
                start = at + 1;
            }
        }
        self.push(start, record.len(), false, most)
    }

    fn split_quoted(&mut self, record: &[u8], quote: u8, most: usize) -> Result<(), Fault> {
        let mut at = 0;
        loop {
            let start = self.unquoted.len();
            let quoted = record.get(at) == Some(&quote);
            at = if quoted {
                self.quoted(record, quote, at)?
            } else {
                self.bare(record, quote, at)?
            };
            self.push(start, self.unquoted.len(), quoted, most)?;
            if at == record.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    /// Takes the field whose quote is at `open`; gives where its delimiter is, or the record's end.
    fn quoted(&mut self, record: &[u8], quote: u8, open: usize) -> Result<usize, Fault> {
        let mut at = open + 1;
        loop {
            let inside = &record[at..];
            let end = inside.iter().position(|byte| *byte == quote);
            let end = end.ok_or(Fault::NoEnd(open))?;
            self.unquoted.extend_from_slice(&inside[..end]);
            at += end + 1;
            match record.get(at) {
                Some(next) if *next == quote => self.unquoted.push(quote),
                Some(next) if *next != self.delimiter => return Err(Fault::NoDelimiter(at)),
                _ => return Ok(at),
            }
            at += 1;
        }
    }

    /// As [`Splitter::quoted`], of a field without quotes.
    fn bare(&mut self, record: &[u8], quote: u8, start: usize) -> Result<usize, Fault> {
        let rest = &record[start..];
        let stop = |byte: &u8| *byte == self.delimiter || *byte == quote;
        let end = rest.iter().position(stop).unwrap_or(rest.len());
        if rest.get(end) == Some(&quote) {
            return Err(Fault::StrayQuote(start + end));
        }
        self.unquoted.extend_from_slice(&rest[..end]);
        Ok(start + end)
    }
}

impl Part {
    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }

    /// Without the spaces around it.
    pub(super) fn trimmed(self, text: &[u8]) -> Self {
        let own = self.of(text);
        let (before, inside) = (own.len() - own.trim_ascii_start().len(), own.trim_ascii());
        let start = self.start + as_u32(before);
        Self {
            start,
            end: start + as_u32(inside.len()),
            ..self
        }
    }

    pub(super) fn without_first(self) -> Self {
        Self {
            start: self.start + 1,
            ..self
        }
    }

    pub(super) fn token(self, kind: Kind) -> Token {
        Token {
            kind,
            start: self.start,
            end: self.end,
        }
    }
}
