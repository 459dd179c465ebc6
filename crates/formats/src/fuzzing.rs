//! Entries for fuzzers: bytes in, a comparison of the decoder with itself out.
//!
//! The targets in `fuzz/` call them with what cargo-fuzz invents; the crate's tests call them with the files of
//! `fuzz/corpus/`, which needs no nightly compiler.

#[cfg(test)]
mod tests;

use std::ops::Range;

use arrow::datatypes::DataType;
use dataflow::Slab;
use dataflow::schema::{
    Column, ColumnOrigin, SourceSchema, TimestampFormat, WatermarkDecl, timestamptz,
};

use crate::{Decoder, JsonDecoder, LaneCounts, Limits};

/// Stands between two records: a control character, so that it is not needed within one.
pub const SEPARATOR: u8 = 0x1e;
/// A record of this one byte stands for one without a payload.
pub const TOMBSTONE: u8 = 0x00;

/// Decodes a stream of JSON records the fast way and the general way, and compares all that comes out.
///
/// The first byte chooses the declared columns, the second those that are wanted, the third the limits; records follow with
/// [`SEPARATOR`] between them. They are decoded three times by the same decoder, the third time not from the first record
/// on, so that what was learned from a record meets all the others.
///
/// # Panics
/// When the two ways differ, or one of them panics.
pub fn check_record_stream(bytes: &[u8]) {
    record_stream(bytes);
}

/// Does what [`check_record_stream`] says, and gives how many records took the fast way.
fn record_stream(bytes: &[u8]) -> LaneCounts {
    let Some(([columns, wanted, limits], records)) = bytes.split_first_chunk() else {
        return LaneCounts::default();
    };
    let schema = schema(*columns);
    let is_wanted = |at: &usize| wanted >> (at % 8) & 1 == 1;
    let wanted: Vec<usize> = (0..schema.columns.len()).filter(is_wanted).collect();
    let limits = Limits {
        max_record_bytes: if limits & 1 == 1 { 160 } else { 1 << 20 },
        max_depth: [127, 1, 2, 4][usize::from(limits >> 1) % 4],
    };
    let mut slab = Slab::default();
    for (offset, record) in (0..).zip(records.split(|byte| *byte == SEPARATOR)) {
        let record = (record != [TOMBSTONE]).then_some(record);
        slab.push(record, offset, offset - 1);
    }
    let mut pair = Pair::new(&schema, &wanted, limits);
    let from = usize::from(*columns) % slab.len();
    for rows in [0..slab.len(), 0..slab.len(), from..slab.len()] {
        pair.check(&slab, rows);
    }
    pair.fast.lane_counts()
}

/// The decoder, and the same one with the general way only.
pub(crate) struct Pair {
    fast: JsonDecoder,
    general: JsonDecoder,
}

impl Pair {
    pub(crate) fn new(schema: &SourceSchema, wanted: &[usize], limits: Limits) -> Self {
        let decoder = || {
            JsonDecoder::new(schema, wanted, limits).expect("the schema has only types of columns")
        };
        Self {
            fast: decoder(),
            general: decoder().without_lanes(),
        }
    }

    /// Asserts that both make the same of the records `rows`.
    pub(crate) fn check(&mut self, slab: &Slab, rows: Range<usize>) {
        let fast = self.fast.decode(slab, rows.clone(), 5);
        let general = self.general.decode(slab, rows, 5);
        assert_eq!(fast.bad, general.bad);
        assert_eq!(fast.good, general.good);
        assert_eq!(fast.tombstones, general.tombstones);
        assert_eq!(fast.batch, general.batch);
    }
}

/// One of a few schemas: click events, or a column of each type; with and without NOT NULL.
fn schema(choice: u8) -> SourceSchema {
    let columns: &[(&str, DataType)] = if choice & 1 == 0 {
        &[
            ("userId", DataType::Utf8),
            ("pageUrl", DataType::Utf8),
            ("eventType", DataType::Utf8View),
            ("timestamp", timestamptz()),
            ("sessionId", DataType::Utf8),
            ("ipAddress", DataType::Utf8),
        ]
    } else {
        &[
            ("s", DataType::Utf8),
            ("at", timestamptz()),
            ("n", DataType::Int64),
            ("i", DataType::Int32),
            ("d", DataType::Float64),
            ("b", DataType::Boolean),
            ("user.id", DataType::Int64),
            ("user.name", DataType::Utf8View),
            ("price", DataType::Decimal128(10, 2)),
            ("day", DataType::Date32),
            ("small", DataType::Int16),
            ("real", DataType::Float32),
        ]
    };
    let declared = columns.iter().enumerate().map(|(at, (path, data_type))| {
        let steps = path.split('.').map(str::to_owned).collect();
        Column {
            name: (*path).to_owned(),
            data_type: data_type.clone(),
            nullable: choice & 2 == 0 || at % 3 != 0,
            origin: ColumnOrigin::Field(steps),
        }
    });
    let mut columns: Vec<Column> = declared.collect();
    if choice & 4 != 0 {
        columns.push(Column {
            name: "broker_time".to_owned(),
            data_type: timestamptz(),
            nullable: choice & 2 == 0,
            origin: ColumnOrigin::Timestamp,
        });
    }
    if choice & 32 != 0 {
        columns.insert(
            2,
            Column {
                name: "rest".to_owned(),
                data_type: DataType::Utf8,
                nullable: false,
                origin: ColumnOrigin::Rest,
            },
        );
    }
    let time = columns.iter().position(|c| c.data_type == timestamptz());
    let watermark = time.map(|column| WatermarkDecl { column, delay: 0 });
    SourceSchema {
        columns,
        watermark: watermark.filter(|_| choice & 8 != 0),
        timestamps: if choice & 16 == 0 {
            TimestampFormat::Auto
        } else {
            TimestampFormat::EpochSeconds
        },
        ..SourceSchema::default()
    }
}
