//! Tests of the records of sinks.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use dataflow::DeltaBatch;
use dataflow::schema::{CsvOptions, Encoding, TimestampFormat};
use dataflow::sink::{RecordEncoder, Records, SinkFormat};

use super::{KeyFormat, SinkEncoder, SinkEncoding};

fn rows(pages: &[Option<&str>], counts: &[i64]) -> RecordBatch {
    let times = TimestampMicrosecondArray::from_iter_values(counts.iter().map(|c| c * 1_000_000));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("page", Arc::new(StringArray::from(pages.to_vec()))),
        ("count", Arc::new(Int64Array::from(counts.to_vec()))),
        ("at", Arc::new(times.with_timezone("UTC"))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn encoding(rows: &RecordBatch) -> SinkEncoding {
    SinkEncoding {
        schema: rows.schema(),
        format: SinkFormat::Plain,
        encoding: Encoding::Json,
        timestamps: TimestampFormat::EpochMillis,
        key: Vec::new(),
        key_format: KeyFormat::Json,
        time: None,
        headers: Vec::new(),
    }
}

fn shown(how: SinkEncoding, batches: &[DeltaBatch]) -> Vec<String> {
    let mut records = Records::default();
    let mut encoder = SinkEncoder::new(how).unwrap();
    encoder.encode(batches, &mut records).unwrap();
    let text = |bytes: Option<&[u8]>| {
        bytes
            .map_or("NULL", |b| str::from_utf8(b).unwrap())
            .to_owned()
    };
    let each = records.iter().map(|record| {
        let headers = record
            .headers
            .iter()
            .map(|(name, value)| format!(" {name}={}", text(*value)));
        let time = record.time.map_or_else(String::new, |t| format!(" @{t}"));
        let headers: String = headers.collect();
        format!(
            "{} <- {}{time}{headers}",
            text(record.key),
            text(record.value)
        )
    });
    each.collect()
}

#[test]
fn values_keys_times_and_headers() {
    let rows = rows(&[Some("/a \"b\""), None], &[3, 4]);
    let how = SinkEncoding {
        key: vec![0],
        time: Some((2, -1)),
        headers: vec![0, 1],
        ..encoding(&rows)
    };
    let raw = SinkEncoding {
        key_format: KeyFormat::Raw,
        headers: Vec::new(),
        ..how.clone()
    };
    let batch = [DeltaBatch::inserts(rows)];
    assert_eq!(
        shown(how, &batch),
        [
            r#"{"page":"/a \"b\""} <- {"page":"/a \"b\"","count":3,"at":3000} @2999999 page=/a "b" count=3"#,
            r#"{"page":null} <- {"page":null,"count":4,"at":4000} @3999999 page=NULL count=4"#,
        ]
    );
    assert_eq!(
        shown(raw, &batch),
        [
            r#"/a "b" <- {"page":"/a \"b\"","count":3,"at":3000} @2999999"#,
            r#"NULL <- {"page":null,"count":4,"at":4000} @3999999"#,
        ]
    );
}

#[test]
fn an_upsert_has_of_each_key_what_it_is_in_the_end() {
    let before = rows(
        &[
            Some("a"),
            Some("b"),
            Some("c"),
            Some("a"),
            Some("e"),
            Some("e"),
        ],
        &[1, 2, 3, 4, 8, 8],
    );
    let after = rows(&[Some("b"), Some("c"), Some("d")], &[5, 6, 7]);
    let how = SinkEncoding {
        format: SinkFormat::Upsert,
        key: vec![0],
        key_format: KeyFormat::Raw,
        ..encoding(&before)
    };
    let batches = [
        // The new row of `a` before the old one goes.
        DeltaBatch::new(before.clone(), vec![1, -1, -1, -1, 1, -1]),
        DeltaBatch::new(after, vec![1, 1, 1]),
        DeltaBatch::new(rows(&[Some("c")], &[6]), vec![-1]),
    ];
    assert_eq!(
        shown(how, &batches),
        [
            r#"a <- {"page":"a","count":1,"at":1000}"#,
            r#"b <- {"page":"b","count":5,"at":5000}"#,
            "c <- NULL",
            r#"d <- {"page":"d","count":7,"at":7000}"#,
        ]
    );
}

#[test]
fn lines_of_csv() {
    let rows = rows(
        &[Some("a,b"), None, Some("say \"x\""), Some("")],
        &[1, 2, 3, 4],
    );
    let csv = CsvOptions {
        header: true,
        ..CsvOptions::default()
    };
    let how = SinkEncoding {
        encoding: Encoding::Csv(csv),
        timestamps: TimestampFormat::Iso8601,
        ..encoding(&rows)
    };
    let encoder = SinkEncoder::new(how.clone()).unwrap();
    assert_eq!(encoder.preamble().unwrap(), b"page,count,at\n");
    assert_eq!(
        shown(how, &[DeltaBatch::inserts(rows)]),
        [
            "NULL <- \"a,b\",1,1970-01-01T00:00:01.000000Z",
            "NULL <- ,2,1970-01-01T00:00:02.000000Z",
            "NULL <- \"say \"\"x\"\"\",3,1970-01-01T00:00:03.000000Z",
            "NULL <- \"\",4,1970-01-01T00:00:04.000000Z",
        ]
    );
}
