//! Records as they come from a source: one buffer of bytes and lists of ranges beside it, never an object per record.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use crate::error::Result;
use crate::time::{MILLI, Micros};

/// A range of bytes in a slab's buffer; [`Span::NULL`] stands for an absent key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// An absent key or value (a tombstone's value).
    pub const NULL: Self = Self {
        start: u32::MAX,
        end: u32::MAX,
    };

    /// Whether the key or value is absent.
    pub fn is_null(self) -> bool {
        self.start == u32::MAX
    }
}

/// Records of one partition in offset order. Readers fill it, decoders read it; its buffers are reused.
///
/// `values`, `offsets` and `timestamps` have one entry a record; `keys` and `headers` either have one entry a record or
/// are empty, when nobody asked for them ([`crate::connector::Wants`]).
#[derive(Debug, Default, Clone)]
pub struct Slab {
    /// Index into [`crate::connector::SourceReader::partitions`].
    pub partition: usize,
    /// The partition's topic.
    pub topic: Arc<str>,
    /// The line that names the fields of all records, where the source begins with one (a CSV file).
    pub names: Option<Arc<[u8]>>,
    /// The records as rows of columns, where they are stored as such (a Parquet file): one row a record. Their payloads are
    /// empty.
    pub rows: Option<RecordBatch>,
    /// All bytes that the spans point into.
    pub data: Vec<u8>,
    /// The records' payloads.
    pub values: Vec<Span>,
    /// The records' keys.
    pub keys: Vec<Span>,
    /// The records' headers, each span the UTF-8 text of one JSON object (name to text; bytes that are not UTF-8 as
    /// `\x…` in hex; of a repeated name the last).
    pub headers: Vec<Span>,
    /// The records' offsets, ascending, possibly with gaps (compaction, transaction markers).
    pub offsets: Vec<i64>,
    /// The records' broker timestamps in milliseconds since 1970-01-01 UTC; -1 when the record has none.
    pub timestamps: Vec<i64>,
    /// The wall clock of the tick that reads the records, in microseconds; set by who reads them, not by readers.
    pub read_at: Micros,
}

impl Slab {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the slab holds no records.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets the records, keeps the buffers.
    pub fn clear(&mut self) {
        self.names = None;
        self.rows = None;
        self.data.clear();
        self.values.clear();
        self.keys.clear();
        self.headers.clear();
        self.offsets.clear();
        self.timestamps.clear();
    }

    /// Bytes that the records take.
    pub fn bytes_read(&self) -> usize {
        let rows = self.rows.as_ref();
        self.data.len() + rows.map_or(0, RecordBatch::get_array_memory_size)
    }

    /// The bytes of a span, or `None` for [`Span::NULL`].
    pub fn bytes(&self, span: Span) -> Option<&[u8]> {
        if span.is_null() {
            None
        } else {
            Some(&self.data[span.start as usize..span.end as usize])
        }
    }

    /// The payload of record `row`.
    pub fn value(&self, row: usize) -> Option<&[u8]> {
        self.bytes(self.values[row])
    }

    /// The key of record `row`; `None` also when keys were not asked for.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.keys.get(row).and_then(|span| self.bytes(*span))
    }

    /// The headers of record `row` as JSON text; `None` also when headers were not asked for.
    pub fn header(&self, row: usize) -> Option<&[u8]> {
        self.headers.get(row).and_then(|span| self.bytes(*span))
    }

    /// The broker's timestamp of record `row` in microseconds, if it has one.
    pub fn timestamp_micros(&self, row: usize) -> Option<i64> {
        let millis = self.timestamps[row];
        (millis >= 0).then(|| millis.checked_mul(MILLI)).flatten()
    }

    /// Copies `bytes` into the buffer and gives their span.
    pub fn put(&mut self, bytes: Option<&[u8]>) -> Span {
        let Some(bytes) = bytes else {
            return Span::NULL;
        };
        let start = self.data.len();
        self.data.extend_from_slice(bytes);
        Span {
            start: as_u32(start),
            end: as_u32(self.data.len()),
        }
    }

    /// Appends the records of another slab of the same partition.
    ///
    /// # Errors
    /// When their rows have other columns.
    pub fn append(&mut self, other: &Self) -> Result<()> {
        self.take_in(other, 0..other.len())
    }

    /// Takes the first `count` records out, or all.
    ///
    /// # Errors
    /// None.
    pub fn take_front(&mut self, count: usize) -> Result<Self> {
        let count = count.min(self.len());
        let (mut front, mut rest) = (Self::default(), Self::default());
        front.take_in(self, 0..count)?;
        rest.take_in(self, count..self.len())?;
        *self = rest;
        Ok(front)
    }

    /// Appends some records of another slab of the same partition.
    fn take_in(&mut self, other: &Self, range: Range<usize>) -> Result<()> {
        self.partition = other.partition;
        self.topic = Arc::clone(&other.topic);
        self.read_at = other.read_at;
        self.names = other.names.clone().or(self.names.take());
        let copy = |spans: &[Span], data: &mut Vec<u8>, copies: &mut Vec<Span>| {
            for span in spans.get(range.clone()).unwrap_or_default() {
                let start = as_u32(data.len());
                let bytes = other.bytes(*span);
                data.extend_from_slice(bytes.unwrap_or_default());
                let end = as_u32(data.len());
                copies.push(bytes.map_or(Span::NULL, |_| Span { start, end }));
            }
        };
        copy(&other.values, &mut self.data, &mut self.values);
        copy(&other.keys, &mut self.data, &mut self.keys);
        copy(&other.headers, &mut self.data, &mut self.headers);
        self.offsets
            .extend_from_slice(&other.offsets[range.clone()]);
        self.timestamps
            .extend_from_slice(&other.timestamps[range.clone()]);
        if let Some(rows) = &other.rows {
            let rows = rows.slice(range.start, range.len());
            self.rows = Some(match self.rows.take() {
                Some(before) => concat_batches(&rows.schema(), [&before, &rows])?,
                None => rows,
            });
        }
        Ok(())
    }

    /// Appends one record without key and headers (tests and small sources).
    pub fn push(&mut self, value: Option<&[u8]>, offset: i64, timestamp_ms: i64) {
        let span = self.put(value);
        self.values.push(span);
        self.offsets.push(offset);
        self.timestamps.push(timestamp_ms);
    }
}

fn as_u32(at: usize) -> u32 {
    u32::try_from(at).expect("readers keep a slab far below 4 GiB (PollLimits::max_bytes)")
}
