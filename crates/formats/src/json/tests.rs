//! What the JSON decoder takes and refuses, value by value; `random` compares it with a reference decoder.

pub(crate) mod random;
mod reference;
mod streams;
mod times;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use dataflow::Slab;
use dataflow::schema::{
    Column as Declared, ColumnOrigin, SourceSchema, TimestampFormat, WatermarkDecl, timestamp,
    timestamptz,
};

use crate::{BadReason, Decoded, Decoder, JsonDecoder, Limits};

/// A nullable column with the field at `path` (steps joined by dots), named by its path.
pub(crate) fn field(path: &str, data_type: DataType) -> Declared {
    let steps = path.split('.').map(str::to_owned).collect();
    let origin = ColumnOrigin::Field(steps);
    Declared {
        name: path.to_owned(),
        data_type,
        nullable: true,
        origin,
    }
}

pub(crate) fn meta(name: &str, origin: ColumnOrigin, data_type: DataType) -> Declared {
    Declared {
        name: name.to_owned(),
        data_type,
        nullable: true,
        origin,
    }
}

pub(crate) fn schema(columns: Vec<Declared>) -> SourceSchema {
    SourceSchema {
        columns,
        ..SourceSchema::default()
    }
}

pub(crate) fn slab_of<T: AsRef<[u8]>>(records: &[T]) -> Slab {
    let mut slab = Slab::default();
    for (offset, record) in (100..).zip(records) {
        slab.push(Some(record.as_ref()), offset, 1_000 + offset);
    }
    slab
}

pub(super) fn decode_all(schema: &SourceSchema, slab: &Slab) -> Decoded {
    let wanted: Vec<usize> = (0..schema.columns.len()).collect();
    let mut decoder = JsonDecoder::new(schema, &wanted, Limits::default()).unwrap();
    decoder.decode(slab, 0..slab.len(), 7)
}

/// The rows as text: columns joined by `|`, NULL as `-`.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<String> {
    let cell = |column: &dyn Array, row| match column.data_type() {
        _ if column.is_null(row) => "-".to_owned(),
        // Without chrono-tz, Arrow cannot print UTC.
        DataType::Timestamp(_, Some(_)) => {
            let local = column.as_primitive::<TimestampMicrosecondType>().clone();
            array_value_to_string(&local.with_timezone_opt(None::<&str>), row).unwrap() + "Z"
        }
        _ => array_value_to_string(column, row).unwrap(),
    };
    let row = |row| {
        batch
            .columns()
            .iter()
            .map(|c| cell(c, row))
            .collect::<Vec<_>>()
            .join("|")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Decodes `{"v": value}` into one column: its text, or the code and the message of the refusal.
fn one(data_type: DataType, timestamps: TimestampFormat, value: &str) -> Result<String, String> {
    let mut schema = schema(vec![field("v", data_type.clone())]);
    schema.timestamps = timestamps;
    let decoded = decode_all(&schema, &slab_of(&[format!(r#"{{"v": {value}}}"#)]));
    assert_eq!(*decoded.batch.schema().field(0).data_type(), data_type);
    match decoded.bad.as_slice() {
        [] => Ok(rows(&decoded.batch).remove(0)),
        [bad] => Err(format!("{}: {}", bad.reason.code(), bad.message)),
        more => unreachable!("one record, {} refusals", more.len()),
    }
}

/// Checks values of one type: the text, or the refusal's code.
fn check(data_type: &DataType, cases: &[(&str, Result<&str, BadReason>)]) {
    for (value, expected) in cases {
        let found = one(data_type.clone(), TimestampFormat::Auto, value);
        let code = |text: String| {
            text.split_once(':')
                .map_or(text.clone(), |(c, _)| c.to_owned())
        };
        let expected = expected
            .map(str::to_owned)
            .map_err(|reason| reason.code().to_owned());
        assert_eq!(found.map_err(code), expected, "{value} as {data_type}");
    }
}

#[test]
fn integers() {
    let range = Err(BadReason::OutOfRange);
    let wrong = Err(BadReason::WrongType);
    check(
        &DataType::Int16,
        &[("32767", Ok("32767")), ("32768", range), ("-32769", range)],
    );
    check(
        &DataType::Int32,
        &[("-2147483648", Ok("-2147483648")), ("2147483648", range)],
    );
    check(
        &DataType::Int64,
        &[
            ("9223372036854775807", Ok("9223372036854775807")),
            ("9223372036854775808", range),
            ("-0", Ok("0")),
            ("1.0", wrong),
            ("1e3", wrong),
            ("\"1\"", wrong),
            ("true", wrong),
            ("[1]", wrong),
            ("null", Ok("-")),
            ("01", Err(BadReason::NotJson)),
            ("+1", Err(BadReason::NotJson)),
        ],
    );
}

#[test]
fn floats() {
    let cases = [
        ("1", Ok("1.0")),
        ("-0.5e-3", Ok("-0.0005")),
        ("0.1", Ok("0.1")),
        ("1e-999", Ok("0.0")),
        ("1e999", Err(BadReason::OutOfRange)),
        ("\"1.5\"", Err(BadReason::WrongType)),
        ("NaN", Err(BadReason::NotJson)),
    ];
    check(&DataType::Float64, &cases);
    check(&DataType::Float32, &cases);
    check(
        &DataType::Float32,
        &[
            ("1e39", Err(BadReason::OutOfRange)),
            ("16777217", Ok("16777216.0")),
        ],
    );
}

#[test]
fn decimals_are_exact() {
    let range = Err(BadReason::OutOfRange);
    check(
        &DataType::Decimal128(10, 2),
        &[
            ("12.345", Ok("12.35")),
            ("-12.345", Ok("-12.35")),
            ("0.1", Ok("0.10")),
            ("99999999.99", Ok("99999999.99")),
            ("99999999.995", range),
            ("1e8", range),
            ("1e999", range),
            ("1e-999", Ok("0.00")),
            (
                "0.000000000000000000000000000000000000000000000001",
                Ok("0.00"),
            ),
            ("\"1.5\"", Err(BadReason::WrongType)),
        ],
    );
    let largest = "99999999999999999999999999999999999999";
    check(
        &DataType::Decimal128(38, 0),
        &[(largest, Ok(largest)), (&format!("{largest}0"), range)],
    );
}

#[test]
fn booleans_and_dates() {
    let wrong = Err(BadReason::WrongType);
    check(
        &DataType::Boolean,
        &[("true", Ok("true")), ("false", Ok("false")), ("1", wrong)],
    );
    check(
        &DataType::Boolean,
        &[("\"true\"", wrong), ("tru", Err(BadReason::NotJson))],
    );
    let bad = Err(BadReason::InvalidDatetime);
    check(
        &DataType::Date32,
        &[
            ("\"2024-02-29\"", Ok("2024-02-29")),
            ("\"2023-02-29\"", bad),
            ("\"2024-02-29T00:00:00\"", bad),
            ("\"2024\\u002d02-29\"", Ok("2024-02-29")),
            ("19000", wrong),
        ],
    );
}

#[test]
fn texts() {
    for data_type in [DataType::Utf8, DataType::Utf8View] {
        check(
            &data_type,
            &[
                ("\"\"", Ok("")),
                (
                    "\"a longer text than a view holds\"",
                    Ok("a longer text than a view holds"),
                ),
                (r#""\u00e9\n\"\ud83d\ude00é""#, Ok("é\n\"😀é")),
                (r#""\ud83d""#, Err(BadReason::NotJson)),
                (r#""a\u0000""#, Err(BadReason::NulCharacter)),
                ("\"a\u{1}\"", Err(BadReason::NotJson)),
                ("1.50", Ok("1.50")),
                ("1e999", Ok("1e999")),
                ("true", Ok("true")),
                ("null", Ok("-")),
                (r#"{"a" : [1, "x\u0000"]}"#, Ok(r#"{"a" : [1, "x\u0000"]}"#)),
                ("[1,]", Err(BadReason::NotJson)),
                ("[ ]", Ok("[ ]")),
            ],
        );
    }
}

#[test]
fn times_by_format() {
    use TimestampFormat::{Auto, EpochMicros, EpochMillis, EpochSeconds, Iso8601};
    let text = r#""2024-02-29T12:34:56.7891234+02:00""#;
    let (read, number) = ("2024-02-29T10:34:56.789123", "1709202896789");
    let at = |data_type: DataType, format, value: &str| {
        let code = |text: String| text.split(':').next().unwrap_or_default().to_owned();
        one(data_type, format, value).map_err(code)
    };
    assert_eq!(at(timestamp(), Auto, text), Ok(read.to_owned()));
    assert_eq!(at(timestamptz(), Auto, text), Ok(format!("{read}Z")));
    assert_eq!(at(timestamptz(), Iso8601, text), Ok(format!("{read}Z")));
    for format in [EpochSeconds, EpochMillis, EpochMicros] {
        assert_eq!(at(timestamp(), format, text), Err("wrong_type".to_owned()));
    }
    assert_eq!(
        at(timestamp(), Iso8601, number),
        Err("wrong_type".to_owned())
    );
    for format in [Auto, EpochMillis] {
        assert_eq!(
            at(timestamp(), format, number),
            Ok("2024-02-29T10:34:56.789".to_owned())
        );
    }
    assert_eq!(
        at(timestamp(), EpochSeconds, "1709202896.7891239"),
        Ok(read.to_owned())
    );
    assert_eq!(
        at(timestamp(), EpochSeconds, "1.7092028967891239e9"),
        Ok(read.to_owned())
    );
    assert_eq!(
        at(timestamp(), EpochMicros, "1709202896789123"),
        Ok(read.to_owned())
    );
    assert_eq!(
        at(timestamp(), EpochMillis, "-0.0001"),
        Ok("1969-12-31T23:59:59.999999".into())
    );
    // Microseconds taken for milliseconds: far beyond the year 9999.
    for wrong in ["1709202896789123", "9223372036854775807", "1e999"] {
        assert_eq!(
            at(timestamp(), Auto, wrong),
            Err("out_of_range".to_owned()),
            "{wrong}"
        );
    }
    for wrong in [
        "\"0000-01-01T00:00:00+00:01\"",
        "\"9999-12-31T23:59:59-00:01\"",
    ] {
        assert_eq!(
            at(timestamp(), Auto, wrong),
            Err("out_of_range".to_owned()),
            "{wrong}"
        );
    }
    assert_eq!(
        at(timestamp(), Auto, "\"noon\""),
        Err("invalid_datetime".to_owned())
    );
    assert_eq!(at(timestamp(), Auto, "true"), Err("wrong_type".to_owned()));
}

#[test]
fn paths_repeats_and_missing_parents() {
    let columns = vec![
        field("user.id", DataType::Int64),
        field("user.name", DataType::Utf8),
        field("user", DataType::Utf8),
        field("user.id", DataType::Utf8View),
    ];
    let decoded = decode_all(
        &schema(columns),
        &slab_of(&[
            r#"{"user":{"name":"x","id":5}}"#,
            r#"{"user":{"id":1},"user":{"name":"last"}}"#,
            r#"{"user":{"id":1,"id":2}}"#,
            r#"{"user":null}"#,
            "{}",
            r#"{"user":{"id":1},"user":null}"#,
            r#"{"\u0075ser":{"id":9}}"#,
            r#"{"user":"none"}"#,
            r#"{"user":[{"id":1}]}"#,
        ]),
    );
    let expected = [
        r#"5|x|{"name":"x","id":5}|5"#,
        r#"-|last|{"name":"last"}|-"#,
        r#"2|-|{"id":1,"id":2}|2"#,
        "-|-|-|-",
        "-|-|-|-",
        "-|-|-|-",
        r#"9|-|{"id":9}|9"#,
    ];
    assert_eq!(rows(&decoded.batch), expected);
    assert_eq!(decoded.good, Some(vec![0, 1, 2, 3, 4, 5, 6]));
    let bad: Vec<_> = decoded
        .bad
        .iter()
        .map(|b| (b.row, b.reason, b.message.as_str()))
        .collect();
    let message = r#"field "user.id" should lie in an object, found the string "none""#;
    assert_eq!(bad[0], (7, BadReason::WrongType, message));
    assert_eq!((bad[1].0, bad[1].1), (8, BadReason::WrongType));
}

#[test]
fn not_null_and_event_time() {
    let mut schema = schema(vec![
        field("n", DataType::Int32),
        field("ts", timestamptz()),
    ]);
    schema.columns[0].nullable = false;
    schema.watermark = Some(WatermarkDecl {
        column: 1,
        delay: 0,
    });
    let records = [
        r#"{"n":1,"ts":5}"#,
        r#"{"n":1}"#,
        r#"{"n":null,"ts":5}"#,
        r#"{"n":1,"ts":null}"#,
        r#"{"n":1,"ts":"?"}"#,
    ];
    let expected = [
        (
            1,
            "missing",
            r#"field "ts" is missing; it is the event time"#,
        ),
        (
            2,
            "missing",
            r#"field "n" is NULL; it is a NOT NULL column"#,
        ),
        (3, "missing", r#"field "ts" is NULL; it is the event time"#),
        (
            4,
            "invalid_datetime",
            r#"field "ts" should be a time (milliseconds since 1970 or ISO 8601 text), found the string "?""#,
        ),
    ];
    // What is bad does not depend on what is wanted.
    for wanted in [vec![0, 1], vec![0], vec![]] {
        let mut decoder = JsonDecoder::new(&schema, &wanted, Limits::default()).unwrap();
        let decoded = decoder.decode(&slab_of(&records), 0..records.len(), 0);
        let found: Vec<_> = decoded
            .bad
            .iter()
            .map(|b| (b.row, b.reason.code(), b.message.as_str()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(
            (decoded.batch.num_rows(), decoded.batch.num_columns()),
            (1, wanted.len())
        );
    }
    assert!(!schema.arrow().field(1).is_nullable());
}

#[test]
fn columns_from_the_slab() {
    let columns = vec![
        field("v", DataType::Int16),
        meta("k", ColumnOrigin::Key, DataType::Utf8),
        meta("p", ColumnOrigin::Partition, DataType::Int32),
        meta("o", ColumnOrigin::Offset, DataType::Int64),
        meta("t", ColumnOrigin::Timestamp, timestamptz()),
        meta("h", ColumnOrigin::Headers, DataType::Utf8View),
    ];
    let mut schema = schema(columns);
    let mut slab = slab_of(&[r#"{"v":1}"#, r#"{"v":2}"#, r#"{"v":3}"#]);
    slab.timestamps = vec![1_500, -1, i64::MAX];
    let plain = decode_all(&schema, &slab);
    assert_eq!(
        rows(&plain.batch),
        ["1|-|7|100|1970-01-01T00:00:01.500Z|-", "2|-|7|101|-|-"]
    );
    assert_eq!(plain.bad[0].reason, BadReason::OutOfRange);

    slab.timestamps[2] = 0;
    for key in [Some(&b"key"[..]), None, Some(b"\xff")] {
        let span = slab.put(key);
        slab.keys.push(span);
        let span = slab.put(Some(b"{}"));
        slab.headers.push(span);
    }
    let full = decode_all(&schema, &slab);
    assert_eq!(
        rows(&full.batch),
        ["1|key|7|100|1970-01-01T00:00:01.500Z|{}", "2|-|7|101|-|{}"]
    );
    assert_eq!(
        (full.bad[0].row, full.bad[0].reason),
        (2, BadReason::NotUtf8)
    );

    schema.columns[1].nullable = false;
    schema.watermark = Some(WatermarkDecl {
        column: 4,
        delay: 0,
    });
    let strict = decode_all(&schema, &slab);
    assert_eq!(rows(&strict.batch).len(), 1);
    assert_eq!(
        strict.bad[0].message,
        "the record's key is missing; it is a NOT NULL column"
    );
}

#[test]
fn whole_records() {
    let records: &[(&[u8], Option<BadReason>)] = &[
        (b" {\n} \t\r", None),
        (b"", Some(BadReason::NotJson)),
        (b"{}{}", Some(BadReason::NotJson)),
        (b"{} x", Some(BadReason::NotJson)),
        (b"{\"a\":1,}", Some(BadReason::NotJson)),
        (b"{\"a\" 1}", Some(BadReason::NotJson)),
        (b"{\"a\":1 \"b\":2}", Some(BadReason::NotJson)),
        (b"{\"skipped\":\"\xff\"}", Some(BadReason::NotUtf8)),
        (b"\xef\xbb\xbf{}", Some(BadReason::NotJson)),
        (b"{\0}", Some(BadReason::NotJson)),
        (b"[1]", Some(BadReason::WrongType)),
        (b"null", Some(BadReason::WrongType)),
        (b"{\"skipped\":[{\"x\":1e999,\"x\":-0.0E+1}]}", None),
    ];
    // Apart and together: one bad payload must not spoil its neighbours.
    let slab = slab_of(
        &records
            .iter()
            .map(|(record, _)| *record)
            .collect::<Vec<_>>(),
    );
    let schema = schema(vec![field("a", DataType::Int64)]);
    let mut decoder = JsonDecoder::new(&schema, &[0], Limits::default()).unwrap();
    let together = decoder.decode(&slab, 0..slab.len(), 0);
    for (row, (record, expected)) in records.iter().enumerate() {
        let apart = decoder.decode(&slab, row..row + 1, 0);
        let found = apart.bad.first().map(|bad| bad.reason);
        assert_eq!(found, *expected, "{:?}", String::from_utf8_lossy(record));
        let same = together.bad.iter().find(|bad| bad.row as usize == row);
        assert_eq!(same.map(|bad| bad.reason), *expected);
    }
    assert_eq!(together.good, Some(vec![0, 12]));
    assert_eq!(
        (together.slab_row(1, 0), together.batch.num_rows()),
        (12, 2)
    );
}

#[test]
fn a_character_split_over_two_records_is_two_bad_records() {
    let slab = slab_of(&[&b"{\"a\":\"\xc3"[..], &b"\xa9\"}"[..], &b"{}"[..]]);
    let decoded = decode_all(&schema(vec![field("a", DataType::Utf8)]), &slab);
    let found: Vec<_> = decoded.bad.iter().map(|bad| bad.reason).collect();
    assert_eq!(found, [BadReason::NotUtf8; 2]);
}

#[test]
fn tombstones_and_ranges() {
    let mut slab = Slab::default();
    for value in [
        Some("{\"a\":1}"),
        None,
        Some("{\"a\":2}"),
        Some("{\"a\":3}"),
    ] {
        slab.push(value.map(str::as_bytes), 0, 0);
    }
    let schema = schema(vec![field("a", DataType::Int64)]);
    let mut decoder = JsonDecoder::new(&schema, &[0, 0], Limits::default()).unwrap();
    let all = decoder.decode(&slab, 0..4, 0);
    assert_eq!(
        (all.tombstones, all.bad.len(), all.good.clone()),
        (1, 0, Some(vec![0, 2, 3]))
    );
    assert_eq!(rows(&all.batch), ["1|1", "2|2", "3|3"]);
    let tail = decoder.decode(&slab, 2..4, 0);
    assert_eq!((tail.tombstones, tail.good.clone()), (0, None));
    assert_eq!(
        (rows(&tail.batch), tail.slab_row(1, 2)),
        (vec!["2|2".into(), "3|3".into()], 3)
    );
    assert_eq!(decoder.decode(&slab, 4..4, 0).batch.num_rows(), 0);
    assert_eq!(decoder.decode(&slab, 1..2, 0).tombstones, 1);
}

#[test]
fn limits() {
    let schema = schema(vec![field("a", DataType::Utf8)]);
    let limits = Limits {
        max_record_bytes: 20,
        max_depth: 3,
    };
    let mut decoder = JsonDecoder::new(&schema, &[0], limits).unwrap();
    let records = [
        r#"{"a":[[]]}"#,
        r#"{"a":[[[]]]}"#,
        r#"{"b":[{"c":{}}]}"#,
        r#"{"a":"1234567890ab"}"#,
        r#"{"a":"1234567890abc"}"#,
    ];
    let decoded = decoder.decode(&slab_of(&records), 0..records.len(), 0);
    let found: Vec<_> = decoded
        .bad
        .iter()
        .map(|bad| (bad.row, bad.reason))
        .collect();
    let (deep, large) = (BadReason::TooDeep, BadReason::TooLarge);
    assert_eq!(found, [(1, deep), (2, deep), (4, large)]);

    // The default depth is safe on a small stack, and far deeper text is refused just so.
    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let mut decoder = JsonDecoder::new(&schema, &[0], Limits::default()).unwrap();
    let decoded = decoder.decode(
        &slab_of(&[deep(128), deep(129), "[".repeat(1 << 20)]),
        0..3,
        0,
    );
    assert_eq!(decoded.batch.num_rows(), 1);
    assert!(
        decoded
            .bad
            .iter()
            .all(|bad| bad.reason == BadReason::TooDeep)
    );
}

#[test]
fn messages_stay_short() {
    let long = "x".repeat(10_000);
    let path = format!("{long}.é{long}");
    let decoded = decode_all(
        &schema(vec![field(&path, DataType::Int64)]),
        &slab_of(&[format!(r#"{{"{long}":{{"é{long}":"é{long}"}}}}"#)]),
    );
    assert_eq!(decoded.bad[0].reason, BadReason::WrongType);
    assert!(
        decoded.bad[0].message.len() < 250,
        "{}",
        decoded.bad[0].message
    );
}

#[test]
fn types_and_formats_are_refused_by_name() {
    let refused = |column: Declared| {
        let error = JsonDecoder::new(&schema(vec![column]), &[], Limits::default())
            .err()
            .unwrap();
        assert_eq!(error.state().0, "0A000");
        error.message().to_owned()
    };
    assert_eq!(
        refused(field("a", DataType::Binary)),
        r#"type Binary for column "a" from a record is not supported"#
    );
    refused(field(
        "a",
        DataType::Timestamp(arrow::datatypes::TimeUnit::Second, None),
    ));
    refused(field("a", DataType::Decimal128(3, 9)));
    assert_eq!(
        refused(meta("k", ColumnOrigin::Key, DataType::Int64)),
        r#"type Int64 for column "k" from the record's key is not supported"#
    );
    refused(meta("o", ColumnOrigin::Offset, DataType::Int32));
    refused(meta("t", ColumnOrigin::Timestamp, DataType::Int64));
}

/// Many unknown keys neither grow the decoder without bound nor change results.
#[test]
fn learned_keys_are_bounded() {
    let schema = schema(vec![field("v", DataType::Int64)]);
    let records: Vec<String> = (0..2_000)
        .map(|i| format!(r#"{{"k{i}":{i},"v":{i},"k{}":[]}}"#, i % 90))
        .collect();
    let decoded = decode_all(&schema, &slab_of(&records));
    let expected: Vec<String> = (0..2_000).map(|i| i.to_string()).collect();
    assert_eq!(rows(&decoded.batch), expected);
}
