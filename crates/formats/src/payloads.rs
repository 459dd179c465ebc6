//! What every format needs around its records: the payloads as checked text, and what became of each.

use std::ops::Range;

use arrow::array::RecordBatch;
use dataflow::{Slab, Span};

use crate::Decoded;
use crate::bad::{Bad, BadReason, BadRecord};

/// The payloads of a range of records, checked for UTF-8 at one go if they are all well.
pub(crate) struct Payloads<'a> {
    slab: &'a Slab,
    /// Where `all` begins in the slab's buffer.
    start: usize,
    all: All<'a>,
}

/// What the bytes from the first payload to the last are.
enum All<'a> {
    Ascii,
    Utf8(&'a str),
    Other,
}

impl<'a> Payloads<'a> {
    /// The payloads of the records `rows`.
    pub(crate) fn new(slab: &'a Slab, rows: Range<usize>) -> Self {
        let there = slab.values[rows].iter().filter(|span| !span.is_null());
        let (start, end) = there.fold((u32::MAX, 0), |(start, end), span| {
            (start.min(span.start), end.max(span.end))
        });
        let bytes = slab
            .data
            .get(start as usize..end as usize)
            .unwrap_or_default();
        // Several times faster than the check for UTF-8.
        let all = if bytes.is_ascii() {
            All::Ascii
        } else {
            std::str::from_utf8(bytes).map_or(All::Other, All::Utf8)
        };
        Self {
            slab,
            start: start as usize,
            all,
        }
    }

    /// The payload at `span` (not NULL), of at most `limit` bytes.
    #[inline]
    pub(crate) fn get(&self, span: Span, limit: usize) -> Result<&'a [u8], Bad> {
        let (start, end) = (span.start as usize, span.end as usize);
        if end - start > limit {
            let message = format!("the record has {} bytes, more than {limit}", end - start);
            return Err(Bad::new(BadReason::TooLarge, message));
        }
        if self.is_utf8(span) {
            Ok(&self.slab.data[start..end])
        } else {
            Err(Bad::new(BadReason::NotUtf8, "the record is not UTF-8"))
        }
    }

    /// Whether [`Payloads::get`] gives the payload at `span` (not NULL).
    #[inline]
    pub(crate) fn is_well(&self, span: Span, limit: usize) -> bool {
        (span.end - span.start) as usize <= limit && self.is_utf8(span)
    }

    #[inline]
    fn is_utf8(&self, span: Span) -> bool {
        let (start, end) = (span.start as usize, span.end as usize);
        match self.all {
            All::Ascii => true,
            All::Utf8(all) => {
                all.is_char_boundary(start - self.start) && all.is_char_boundary(end - self.start)
            }
            All::Other => std::str::from_utf8(&self.slab.data[start..end]).is_ok(),
        }
    }
}

/// What became of the records of a range so far.
pub(crate) struct Account {
    first: usize,
    /// How many are good.
    pub(crate) count: usize,
    /// The good rows one by one, once one was skipped.
    listed: Option<Vec<u32>>,
    bad: Vec<BadRecord>,
    tombstones: u64,
}

impl Account {
    /// No records yet of a range that begins at `first`.
    pub(crate) fn new(first: usize) -> Self {
        Self {
            first,
            count: 0,
            listed: None,
            bad: Vec::new(),
            tombstones: 0,
        }
    }

    /// The next `rows` records, from `row` on, are good.
    pub(crate) fn push(&mut self, row: usize, rows: usize) {
        self.count += rows;
        if let Some(listed) = &mut self.listed {
            listed.extend((row..row + rows).map(as_u32));
        }
    }

    /// The next record, `row`, is good, or what it says.
    pub(crate) fn note(&mut self, row: usize, filled: Result<(), Bad>) {
        match filled {
            Ok(()) => self.push(row, 1),
            Err(Bad { reason, message }) => {
                self.skip();
                self.bad.push(BadRecord {
                    row: as_u32(row),
                    reason,
                    message,
                });
            }
        }
    }

    /// The next record has no payload.
    pub(crate) fn tombstone(&mut self) {
        self.tombstones += 1;
        self.skip();
    }

    /// The next record is no row.
    fn skip(&mut self) {
        let all = self.first..self.first + self.count;
        self.listed.get_or_insert_with(|| all.map(as_u32).collect());
    }

    /// The account of the whole range, whose good records are `batch`.
    pub(crate) fn close(self, batch: RecordBatch) -> Decoded {
        Decoded {
            batch,
            good: self.listed,
            bad: self.bad,
            tombstones: self.tombstones,
        }
    }
}

/// A row as reports have it.
pub(crate) fn as_u32(row: usize) -> u32 {
    u32::try_from(row).expect("a slab has fewer than 2^32 records")
}
