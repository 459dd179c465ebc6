//! What is written is read back as the same rows.

use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch, TimestampMicrosecondArray};
use dataflow::Slab;
use dataflow::schema::{TimestampFormat, timestamptz};

use super::{JsonEncoder, epoch};
use crate::json::tests::{field, random, schema, slab_of};
use crate::{Decoder, JsonDecoder, Limits};

/// The records of a batch of a schema's columns `columns`.
fn encoded(encoder: &JsonEncoder, batch: &RecordBatch) -> Vec<Vec<u8>> {
    let row = |row| {
        let mut record = Vec::new();
        encoder.encode(batch, row, &mut record).unwrap();
        record
    };
    (0..batch.num_rows()).map(row).collect()
}

#[test]
fn rows_come_back() {
    let (mut rows, mut schemas) = (0, 0);
    for seed in 0..400 {
        println!("seed {seed}");
        let mut random = random::Random(seed);
        let (schema, slab) = random::known_slab(&mut random);
        let columns: Vec<usize> = (0..schema.columns.len()).collect();
        // Schemas whose columns share fields cannot be written whole.
        let Ok(encoder) = JsonEncoder::new(&schema, &columns) else {
            continue;
        };
        schemas += 1;
        let mut decoder = JsonDecoder::new(&schema, &columns, Limits::default()).unwrap();
        let before = decoder.decode(&slab, 0..slab.len(), 0).batch;
        let again: Slab = slab_of(&encoded(&encoder, &before));
        let after = decoder.decode(&again, 0..again.len(), 0);
        assert!(after.bad.is_empty(), "{:?}\n{schema:#?}", after.bad);
        assert_eq!(after.batch, before);
        rows += before.num_rows();
    }
    assert!(
        rows > 1_000 && schemas > 60,
        "{rows} rows, {schemas} schemas"
    );
}

#[test]
fn times_by_format() {
    use TimestampFormat::{Auto, EpochMicros, EpochMillis, EpochSeconds, Iso8601};
    let times = [1_767_225_600_123_456, 1_767_225_600_000_000, -1_500_000, -1];
    let expected = [
        (
            Auto,
            ["1767225600123.456", "1767225600000", "-1500", "-0.001"],
        ),
        (
            EpochMillis,
            ["1767225600123.456", "1767225600000", "-1500", "-0.001"],
        ),
        (
            EpochSeconds,
            ["1767225600.123456", "1767225600", "-1.5", "-0.000001"],
        ),
        (
            EpochMicros,
            ["1767225600123456", "1767225600000000", "-1500000", "-1"],
        ),
        (
            Iso8601,
            [
                "\"2026-01-01T00:00:00.123456Z\"",
                "\"2026-01-01T00:00:00.000000Z\"",
                "\"1969-12-31T23:59:58.500000Z\"",
                "\"1969-12-31T23:59:59.999999Z\"",
            ],
        ),
    ];
    for (format, expected) in expected {
        let mut schema = schema(vec![field("a.b", timestamptz())]);
        schema.timestamps = format;
        let array = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
        let batch = RecordBatch::try_new(schema.arrow(), vec![Arc::new(array)]).unwrap();
        let encoder = JsonEncoder::new(&schema, &[0]).unwrap();
        let expected: Vec<String> = expected
            .iter()
            .map(|value| format!("{{\"a\":{{\"b\":{value}}}}}"))
            .collect();
        let found: Vec<String> = encoded(&encoder, &batch)
            .into_iter()
            .map(|record| String::from_utf8(record).unwrap())
            .collect();
        assert_eq!(found, expected, "{format:?}");
    }
    assert_eq!(epoch(0, 3), "0");
}

#[test]
fn fields_that_lie_in_each_other_are_refused() {
    let text = arrow::datatypes::DataType::Utf8;
    for (first, second) in [("a", "a"), ("a", "a.b"), ("a.b", "a"), ("a.b.c", "a.b")] {
        let schema = schema(vec![
            field(first, text.clone()),
            field(second, text.clone()),
        ]);
        let error = JsonEncoder::new(&schema, &[0, 1]).err().unwrap();
        assert_eq!(error.state().0, "22023", "{first} {second}");
        assert!(JsonEncoder::new(&schema, &[1]).is_ok());
    }
    let siblings = schema(vec![field("a.b", text.clone()), field("a.c", text)]);
    assert!(JsonEncoder::new(&siblings, &[0, 1]).is_ok());
}

#[test]
fn numbers_that_json_lacks_are_refused() {
    let schema = schema(vec![field("a", arrow::datatypes::DataType::Float64)]);
    let encoder = JsonEncoder::new(&schema, &[0]).unwrap();
    for value in [f64::NAN, f64::INFINITY] {
        let array = Arc::new(Float64Array::from(vec![value]));
        let batch = RecordBatch::try_new(schema.arrow(), vec![array]).unwrap();
        let error = encoder.encode(&batch, 0, &mut Vec::new()).unwrap_err();
        assert_eq!(error.state().0, "22023");
    }
}
