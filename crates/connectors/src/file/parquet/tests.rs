//! Tests of files of rows: groups, positions, many files in turns, sizes, and files that are no Parquet.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs::write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use dataflow::connector::{OpenRequest, Position, SourceReader};
use dataflow::schema::{Column, ColumnOrigin, Encoding};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::*;
use crate::file::{FileConnector, MAX_OPEN};
use crate::testing::{request, source};

/// Writes the numbers `rows` as column `n`, in groups of `group` rows, beside a column that nobody asks for.
fn write_numbers(path: &Path, rows: std::ops::Range<i64>, group: usize) {
    let unused: ArrayRef = Arc::new(StringArray::from_iter_values(rows.clone().map(|_| "x")));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(rows));
    write_columns(path, [("unused", unused), ("n", numbers)], group);
}

fn write_columns<const N: usize>(path: &Path, columns: [(&str, ArrayRef); N], group: usize) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .build();
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn asked(field: &str) -> OpenRequest {
    let mut request = request(false);
    request.schema = Arc::new(SourceSchema {
        columns: vec![Column {
            name: "x".to_owned(),
            data_type: DataType::Int64,
            nullable: true,
            origin: ColumnOrigin::Field(vec![field.to_owned()]),
        }],
        encoding: Encoding::Parquet,
        ..SourceSchema::default()
    });
    request
}

fn open(path: &Path, request: OpenRequest) -> Box<dyn SourceReader> {
    let pairs = [("path", path.to_str().unwrap())];
    let source = source(&FileConnector::new("file"), &pairs).unwrap();
    source.open(request).unwrap()
}

const LIMITS: PollLimits = PollLimits {
    max_records: 7,
    max_bytes: 1 << 20,
};

/// What the next poll gives: partition, offsets, numbers.
fn step(reader: &mut dyn SourceReader, limits: PollLimits) -> (usize, Vec<i64>, Vec<i64>) {
    let mut slab = Slab::default();
    reader.poll(&mut slab, limits).unwrap();
    assert_eq!(slab.timestamps.len(), slab.len());
    let Some(rows) = slab.rows else {
        assert!(slab.is_empty());
        return Default::default();
    };
    assert_eq!(
        (rows.num_rows(), rows.num_columns()),
        (slab.values.len(), 1)
    );
    let numbers = rows.column(0).as_primitive::<Int64Type>();
    (slab.partition, slab.offsets, numbers.values().to_vec())
}

#[test]
fn rows_have_numbers_across_groups_and_only_what_is_declared_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.parquet");
    write_numbers(&file, 100..120, 6);
    let mut reader = open(&file, asked("n"));
    let (mut offsets, mut numbers) = (Vec::new(), Vec::new());
    loop {
        let (_, some, more) = step(&mut *reader, LIMITS);
        if some.is_empty() {
            break;
        }
        assert!(some.len() <= 7);
        offsets.extend(some);
        numbers.extend(more);
    }
    assert_eq!(offsets, (0..20).collect::<Vec<_>>());
    assert_eq!(numbers, (100..120).collect::<Vec<_>>());
    let partition = &reader.partitions()[0];
    assert!(partition.finished() && partition.at_end);
    assert_eq!((partition.position, partition.stop), (20, Some(20)));
}

#[test]
fn reading_goes_on_at_any_row_and_with_any_limit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.parquet");
    write_numbers(&file, 0..20, 6);
    for from in [0, 1, 5, 6, 7, 13, 19, 20, 21] {
        let mut request = asked("n");
        request.positions.push(Position {
            topic: file.to_str().unwrap().into(),
            partition: 0,
            offset: from,
        });
        let mut reader = open(&file, request);
        // The first limit stays the largest.
        let mut numbers = Vec::new();
        for max_records in [&[3, 1][..], &[20; 10]].concat() {
            let limits = PollLimits {
                max_records,
                ..LIMITS
            };
            let (_, offsets, more) = step(&mut *reader, limits);
            assert_eq!(offsets, more);
            assert!(more.len() <= max_records);
            numbers.extend(more);
        }
        assert_eq!(numbers, (from..20).collect::<Vec<_>>(), "from {from}");
        assert!(reader.partitions()[0].finished());
    }
}

#[test]
fn more_files_than_may_be_open_take_turns_of_whole_groups() {
    let folder = tempfile::tempdir().unwrap();
    let files = MAX_OPEN + 6;
    for at in 0..files {
        let first = i64::try_from(at * 100).unwrap();
        write_numbers(
            &folder.path().join(format!("{at:03}")),
            first..first + 20,
            10,
        );
    }
    let mut reader = open(folder.path(), asked("n"));
    let (mut turns, mut numbers) = (Vec::new(), BTreeMap::<usize, Vec<i64>>::new());
    loop {
        let (partition, offsets, more) = step(&mut *reader, LIMITS);
        if offsets.is_empty() {
            break;
        }
        if turns.last() != Some(&partition) {
            turns.push(partition);
        }
        numbers.entry(partition).or_default().extend(more);
    }
    let round: Vec<usize> = (0..files).collect();
    assert_eq!(turns, [round.clone(), round].concat());
    for (at, numbers) in numbers {
        let first = i64::try_from(at * 100).unwrap();
        assert_eq!(numbers, (first..first + 20).collect::<Vec<_>>());
    }
}

#[test]
fn large_rows_come_few_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.parquet");
    // One text that a dictionary holds once.
    let texts = StringArray::from_iter_values((0..50).map(|_| "x".repeat(10_000)));
    write_columns(&file, [("n", Arc::new(texts))], 50);
    let mut reader = open(&file, asked("n"));
    let limits = PollLimits {
        max_records: 50,
        max_bytes: 40_000,
    };
    let mut slab = Slab::default();
    let mut polls = 0;
    while !reader.partitions()[0].finished() {
        reader.poll(&mut slab, limits).unwrap();
        assert!((1..=4).contains(&slab.len()));
        assert!(slab.bytes_read() >= 10_000 * slab.len());
        polls += 1;
    }
    assert!(polls >= 13);
}

#[test]
fn rows_without_a_declared_column_are_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.parquet");
    write_numbers(&file, 0..3, 6);
    let mut reader = open(&file, asked("missing"));
    let mut slab = Slab::default();
    reader.poll(&mut slab, LIMITS).unwrap();
    assert_eq!(slab.len(), 3);
    assert_eq!(slab.rows.unwrap().num_columns(), 0);
}

#[test]
fn what_is_no_parquet_is_said_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    write_numbers(&whole, 0..1000, 100);
    let bytes = std::fs::read(&whole).unwrap();
    let cases: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("text", b"{\"a\": 1}\n"),
        ("cut", &bytes[..bytes.len() / 2]),
        ("tail", &[b"PAR1", &bytes[bytes.len() - 8..]].concat()),
    ];
    for (name, bytes) in cases {
        let file = folder.path().join(name);
        write(&file, bytes).unwrap();
        let mut reader = open(&file, asked("n"));
        let error = reader.poll(&mut Slab::default(), LIMITS).unwrap_err();
        assert_eq!(error.state().0, "58030", "{error}");
        let path = file.display();
        let message = format!("cannot read {path} as Parquet: ");
        assert!(error.message().starts_with(&message), "{error}");
    }
    // Pages that are damaged are found where they are read.
    let mut damaged = bytes.clone();
    damaged[8..200].fill(0xff);
    let file = folder.path().join("damaged");
    write(&file, damaged).unwrap();
    let mut reader = open(&file, asked("unused"));
    let error = reader.poll(&mut Slab::default(), LIMITS).unwrap_err();
    assert_eq!(error.state().0, "58030", "{error}");
}
