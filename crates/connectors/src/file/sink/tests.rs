//! Tests of sinks of files: names, what is left of earlier writers, when a file is due, Parquet, and what is refused.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, IntervalUnit, Schema};
use dataflow::schema::CsvOptions;
use dataflow::sink::may_pass;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::file::FileConnector;
use crate::sink_testing::{FirstColumn, declared, numbers, request, sink};

fn factory(folder: &Path, pairs: &[(&str, &str)]) -> Arc<dyn SinkFactory> {
    let path = [("path", folder.to_str().unwrap())];
    let pairs: Vec<(&str, &str)> = path.iter().chain(pairs).copied().collect();
    sink(
        &FileConnector::new("file"),
        &pairs,
        &declared(Encoding::Json),
    )
    .unwrap()
}

/// A writer of JSON.
fn writer(folder: &Path, identity: &str) -> Box<dyn SinkWriter> {
    factory(folder, &[]).open(request(identity)).unwrap()
}

/// Names and contents of all files, in order.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .filter(|(name, _)| !name.ends_with(".progress"))
        .collect();
    files.sort_unstable();
    files
}

fn pair(name: &str, contents: &str) -> (String, String) {
    (name.to_owned(), contents.to_owned())
}

#[test]
fn rows_become_files_at_commits_and_the_last_version_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("made").join("out");
    let mut first = writer(&folder, "s");
    assert!(!folder.exists(), "nothing is done before it begins");
    assert_eq!(first.begin().unwrap(), None);
    first.write(3, &[numbers(&[1]), numbers(&[2])]).unwrap();
    first.write(4, &[numbers(&[])]).unwrap();
    first.write(5, &[numbers(&[3])]).unwrap();
    let names: Vec<String> = files(&folder).into_iter().map(|(name, _)| name).collect();
    assert!(
        names[0].starts_with(".s-000000000003-") && names.len() == 1,
        "{names:?}"
    );
    first.commit(7).unwrap();
    // A version without rows makes no file.
    first.write(8, &[numbers(&[])]).unwrap();
    first.commit(8).unwrap();
    first.write(10, &[numbers(&[4])]).unwrap();
    first.commit(10).unwrap();
    let expected = [
        pair("s-000000000003-000000000007.jsonl", "1\n2\n3\n"),
        pair("s-000000000010-000000000010.jsonl", "4\n"),
    ];
    assert_eq!(files(&folder), expected);
    assert_eq!(writer(&folder, "s").begin().unwrap(), Some(10));
    assert_eq!(writer(&folder, "s2").begin().unwrap(), None);
    assert_eq!(files(&folder), expected);
}

#[test]
fn what_is_unfinished_is_gone_when_a_writer_begins_and_files_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let others = [
        pair(".s-1.unfinished", "x"),
        pair(".s-1-000000000001-7-1.unfinished", "x"),
        pair("notes.txt", "x"),
        pair("s-1-000000000001-000000000099.jsonl", "x"),
        pair("s-999.jsonl", "x"),
    ];
    let own = pair("s-000000000001-000000000004.jsonl", "1\n");
    for (name, contents) in others.iter().chain([&own]) {
        fs::write(folder.join(name), contents).unwrap();
    }
    fs::write(folder.join(".s-000000000005-7-1.unfinished"), "2\n").unwrap();
    assert_eq!(writer(folder, "s").begin().unwrap(), Some(4));
    let mut expected = others.to_vec();
    expected.push(own);
    expected.sort_unstable();
    assert_eq!(files(folder), expected);
}

#[test]
fn an_earlier_writer_cannot_commit_after_a_later_one_has_begun() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut earlier = writer(folder, "s");
    earlier.begin().unwrap();
    earlier.write(1, &[numbers(&[1])]).unwrap();
    let mut later = writer(folder, "s");
    assert_eq!(later.begin().unwrap(), None);
    later.write(1, &[numbers(&[1])]).unwrap();
    let error = earlier.commit(1).unwrap_err();
    assert_eq!(error.state().0, "58030", "{error}");
    drop(earlier);
    later.commit(2).unwrap();
    let expected = [pair("s-000000000001-000000000002.jsonl", "1\n")];
    assert_eq!(files(folder), expected);
}

#[test]
fn files_that_are_moved_away_are_known_and_a_commit_that_was_begun_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut first = writer(folder, "s");
    first.begin().unwrap();
    first.write(3, &[numbers(&[1])]).unwrap();
    first.commit(4).unwrap();
    fs::remove_file(folder.join("s-000000000003-000000000004.jsonl")).unwrap();
    assert_eq!(writer(folder, "s").begin().unwrap(), Some(4));
    // The process ended when the commit was told of and the file had no name yet.
    fs::write(folder.join(".s-000000000006-9-0.unfinished"), "2\n").unwrap();
    fs::write(folder.join(".s-000000000009-9-1.unfinished"), "3\n").unwrap();
    let progress = "6 8 .s-000000000006-9-0.unfinished\n";
    fs::write(folder.join(".s.progress"), progress).unwrap();
    assert_eq!(writer(folder, "s").begin().unwrap(), Some(8));
    let expected = [pair("s-000000000006-000000000008.jsonl", "2\n")];
    assert_eq!(files(folder), expected);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), "s");
    writer.begin().unwrap();
    writer.write(1, &[numbers(&[1])]).unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    drop(writer);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_file_is_due_by_its_size_or_its_age() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = [("roll_size", "6"), ("roll_interval", "5 s")];
    let sink = factory(folder.path(), &pairs);
    let mut writer = sink.open(request("s")).unwrap();
    writer.begin().unwrap();
    writer.write(1, &[numbers(&[1, 2])]).unwrap();
    assert!(!writer.is_due(Duration::from_millis(4_999)));
    assert!(writer.is_due(Duration::from_secs(5)));
    writer.write(2, &[numbers(&[3])]).unwrap();
    assert!(writer.is_due(Duration::ZERO));
    writer.commit(2).unwrap();
    assert!(!writer.is_due(Duration::ZERO));
}

#[test]
fn every_file_of_csv_begins_with_the_line_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let csv = CsvOptions {
        header: true,
        ..CsvOptions::default()
    };
    let pairs = [("path", folder.to_str().unwrap()), ("csv.header", "true")];
    let sink = sink(
        &FileConnector::new("filesystem"),
        &pairs,
        &declared(Encoding::Csv(csv)),
    );
    for (identity, preamble) in [("a", &b"n"[..]), ("b", b"n\n")] {
        let mut request = request(identity);
        let preamble = Some(preamble.to_vec());
        request.encoder = Box::new(FirstColumn { preamble });
        let mut writer = sink.as_ref().unwrap().open(request).unwrap();
        writer.begin().unwrap();
        for version in [1, 2] {
            writer.write(version, &[numbers(&[7])]).unwrap();
            writer.commit(version).unwrap();
        }
    }
    let expected = [
        pair("a-000000000001-000000000001.csv", "n\n7\n"),
        pair("a-000000000002-000000000002.csv", "n\n7\n"),
        pair("b-000000000001-000000000001.csv", "n\n7\n"),
        pair("b-000000000002-000000000002.csv", "n\n7\n"),
    ];
    assert_eq!(files(folder), expected);
}

/// Rows with a text that may be NULL and a time.
fn visits(from: i64, to: i64) -> RecordBatch {
    let texts = (from..to).map(|n| (n % 2 == 0).then(|| format!("user {n}")));
    let times = TimestampMicrosecondArray::from_iter_values(from..to).with_timezone("UTC");
    let columns: [(&str, ArrayRef, bool); 3] = [
        ("n", Arc::new(Int64Array::from_iter_values(from..to)), false),
        ("user", Arc::new(texts.collect::<StringArray>()), true),
        ("at", Arc::new(times), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

#[test]
fn rows_of_parquet_are_read_as_they_were_written() {
    for compression in ["zstd", "snappy", "none"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let pairs = [("path", path), ("parquet.compression", compression)];
        let mut declared = declared(Encoding::Parquet);
        declared.schema = visits(0, 0).schema();
        let sink = sink(&FileConnector::new("file"), &pairs, &declared).unwrap();
        let mut writer = sink.open(request("s")).unwrap();
        writer.begin().unwrap();
        let batches = [visits(0, 5), visits(5, 5), visits(5, 2_000)];
        let changes = batches.clone().map(DeltaBatch::inserts);
        writer.write(1, &changes[..2]).unwrap();
        writer.write(2, &changes[2..]).unwrap();
        assert!(!writer.is_due(Duration::ZERO));
        writer.commit(2).unwrap();
        writer.write(3, &changes[1..2]).unwrap();
        writer.commit(3).unwrap();
        assert_eq!(
            fs::read_dir(path).unwrap().count(),
            2,
            "a file, and how far it goes"
        );
        let file = folder.path().join("s-000000000001-000000000002.parquet");
        let file = fs::File::open(file).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let read: Vec<RecordBatch> = reader.build().unwrap().map(|b| b.unwrap()).collect();
        let whole = concat_batches(&declared.schema, &batches).unwrap();
        let read = concat_batches(&read[0].schema(), &read).unwrap();
        assert_eq!(read.columns(), whole.columns(), "{compression}");
        assert_eq!(read.schema().fields(), whole.schema().fields());
    }
}

#[test]
fn a_folder_that_cannot_be_made_may_pass() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("inner")] {
        let error = writer(&path, "s").begin().unwrap_err();
        assert_eq!(error.state().0, "58030", "{error}");
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        assert!(may_pass(&error));
    }
}

#[test]
fn wrong_options_are_refused() {
    for (pairs, state) in [
        (&[][..], "22023"),
        (&[("path", "s3://bucket/x")], "0A000"),
        (&[("path", "/x"), ("roll_size", "much")], "22023"),
        (&[("path", "/x"), ("roll_interval", "10")], "22023"),
        (&[("path", "/x"), ("csv.header", "true")], "22023"),
        (&[("path", "/x"), ("parquet.compression", "zstd")], "22023"),
    ] {
        let declared = declared(Encoding::Json);
        let error = sink(&FileConnector::new("file"), pairs, &declared).unwrap_err();
        assert_eq!(error.state().0, state, "{pairs:?}");
    }
    let pairs = [("path", "/x"), ("parquet.compression", "zip")];
    let declared = declared(Encoding::Parquet);
    let error = sink(&FileConnector::new("file"), &pairs, &declared).unwrap_err();
    assert_eq!(error.state().0, "22023");
}

#[test]
fn the_names_of_flink_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let pairs = [
        ("sink.rolling-policy.file-size", "1MB"),
        ("sink.rolling-policy.rollover-interval", "1 min"),
    ];
    let sink = factory(folder.path(), &pairs);
    assert_eq!(sink.delivery(), Delivery::ExactlyOnce);
    assert_eq!(sink.target(), folder.path().to_str().unwrap());
    let writer = sink.open(request("s")).unwrap();
    assert!(!writer.is_due(Duration::from_secs(59)));
    assert!(writer.is_due(Duration::from_secs(60)));
}

#[test]
fn rows_that_a_file_cannot_hold_are_refused() {
    let connector = FileConnector::new("file");
    let refusal = |declared: &SinkDeclaration| {
        let error = sink(&connector, &[("path", "/x")], declared).unwrap_err();
        assert_eq!(error.state().0, "0A000");
        error.message().to_owned()
    };
    let mut upsert = declared(Encoding::Json);
    upsert.format = SinkFormat::Upsert;
    let expected = "FORMAT UPSERT with connector \"file\" is not supported";
    assert_eq!(refusal(&upsert), expected);
    let mut updating = declared(Encoding::Parquet);
    updating.updating = true;
    let expected = "a sink of rows that are taken back with connector \"file\" is not supported";
    assert_eq!(refusal(&updating), expected);
    let mut interval = declared(Encoding::Parquet);
    let data_type = DataType::Interval(IntervalUnit::MonthDayNano);
    let field = Field::new("i", data_type, true);
    interval.schema = Arc::new(Schema::new(vec![field]));
    let expected = "column \"i\" of type interval in Parquet is not supported";
    assert_eq!(refusal(&interval), expected);
}
