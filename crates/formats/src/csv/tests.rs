//! What the CSV decoder takes and refuses; rows that the csv crate writes are read back.

use arrow::datatypes::DataType;
use dataflow::Slab;
use dataflow::schema::{
    Column as Declared, ColumnOrigin, CsvOptions, Encoding, SourceSchema, TimestampFormat,
    WatermarkDecl, timestamp, timestamptz,
};

use crate::json::tests::random::Random;
use crate::json::tests::{field, meta, rows, schema, slab_of};
use crate::{BadReason, Decoded, Limits, decoder};

fn csv_schema(columns: Vec<Declared>, options: CsvOptions) -> SourceSchema {
    SourceSchema {
        encoding: Encoding::Csv(options),
        ..schema(columns)
    }
}

fn decode(schema: &SourceSchema, slab: &Slab) -> Decoded {
    let wanted: Vec<usize> = (0..schema.columns.len()).collect();
    let mut decoder = decoder(schema, &wanted, Limits::default()).unwrap();
    decoder.decode(slab, 0..slab.len(), 7)
}

fn texts(count: usize) -> Vec<Declared> {
    (0..count)
        .map(|at| field(&format!("c{at}"), DataType::Utf8))
        .collect()
}

/// The one field of `record` as `data_type`, or the code of the refusal.
fn one(data_type: DataType, format: TimestampFormat, record: &str) -> Result<String, &'static str> {
    let mut schema = csv_schema(vec![field("v", data_type)], CsvOptions::default());
    schema.timestamps = format;
    let decoded = decode(&schema, &slab_of(&[record]));
    match decoded.bad.as_slice() {
        [] => Ok(rows(&decoded.batch).remove(0)),
        [bad] => Err(bad.reason.code()),
        more => unreachable!("one record, {} refusals", more.len()),
    }
}

fn check(data_type: &DataType, cases: &[(&str, Result<&str, &'static str>)]) {
    for (record, expected) in cases {
        let found = one(data_type.clone(), TimestampFormat::Auto, record);
        assert_eq!(
            found.as_deref(),
            expected.as_deref(),
            "{record} as {data_type}"
        );
    }
}

#[test]
fn fields_are_taken_by_their_order_and_metadata_stays_beside_them() {
    let mut columns = texts(2);
    columns.insert(1, meta("o", ColumnOrigin::Offset, DataType::Int64));
    let schema = csv_schema(columns, CsvOptions::default());
    let slab = slab_of(&["a,b\n", "\"x,\"\"y\"\"\nz\",\r\n", "é,\"\""]);
    let decoded = decode(&schema, &slab);
    assert_eq!(
        rows(&decoded.batch),
        ["a|100|b", "x,\"y\"\nz|101|-", "é|102|"]
    );
    assert_eq!((decoded.bad, decoded.good), (vec![], None));
}

#[test]
fn what_is_no_record_is_bad_and_loses_nothing_else() {
    let mut columns = texts(2);
    columns[0].nullable = false;
    columns.push(field("n", DataType::Int32));
    let schema = csv_schema(columns, CsvOptions::default());
    let records: [&[u8]; 12] = [
        b"a,b,1",
        b"a,\"b,2",
        b"a,b",
        b"a,b,3,",
        b"a,\xff,4",
        b"a,b,x",
        b"a,\"b\"c,5",
        b"a,b\"c\",6",
        b"a,b,99999999999",
        b",b,7",
        b"a\0,b,8",
        b"\"\",b,9",
    ];
    let decoded = decode(&schema, &slab_of(&records));
    assert_eq!(rows(&decoded.batch), ["a|b|1", "|b|9"]);
    let bad: Vec<(u32, BadReason, &str)> = decoded
        .bad
        .iter()
        .map(|bad| (bad.row, bad.reason, bad.message.as_str()))
        .collect();
    let int =
        "field \"n\" should be an integer (without fraction and exponent), found the string \"x\"";
    assert_eq!(
        bad,
        [
            (
                1,
                BadReason::NotCsv,
                "the quote at byte 2 has no end in the record"
            ),
            (2, BadReason::NotCsv, "the record has 2 fields, not 3"),
            (3, BadReason::NotCsv, "the record has more than 3 fields"),
            (4, BadReason::NotUtf8, "the record is not UTF-8"),
            (5, BadReason::WrongType, int),
            (
                6,
                BadReason::NotCsv,
                "expected a delimiter after the quote, at byte 5"
            ),
            (
                7,
                BadReason::NotCsv,
                "a quote at byte 3, in a field that does not begin with one"
            ),
            (
                8,
                BadReason::OutOfRange,
                "field \"n\" is out of range for integer: the number 99999999999"
            ),
            (
                9,
                BadReason::Missing,
                "field \"c0\" is NULL; it is a NOT NULL column"
            ),
            (
                10,
                BadReason::NulCharacter,
                "the record has the character U+0000"
            ),
        ]
    );
}

#[test]
fn values_of_each_type() {
    check(
        &DataType::Int16,
        &[
            ("7", Ok("7")),
            (" -007 ", Ok("-7")),
            ("+7", Ok("7")),
            ("\"7\"", Ok("7")),
            ("", Ok("-")),
            ("\"\"", Err("wrong_type")),
            ("+-7", Err("wrong_type")),
            ("7.0", Err("wrong_type")),
            ("32768", Err("out_of_range")),
        ],
    );
    check(
        &DataType::Int64,
        &[
            ("9223372036854775807", Ok("9223372036854775807")),
            ("9223372036854775808", Err("out_of_range")),
            ("00000000000000000000000000001", Ok("1")),
        ],
    );
    check(
        &DataType::Float64,
        &[
            (".5", Ok("0.5")),
            ("5.", Ok("5.0")),
            ("1e3", Ok("1000.0")),
            ("1e999", Err("out_of_range")),
            (".", Err("wrong_type")),
            ("1e", Err("wrong_type")),
            ("NaN", Err("wrong_type")),
            ("0x10", Err("wrong_type")),
        ],
    );
    check(
        &DataType::Decimal128(5, 2),
        &[
            ("12.345", Ok("12.35")),
            ("-.005", Ok("-0.01")),
            ("1000", Err("out_of_range")),
        ],
    );
    check(
        &DataType::Boolean,
        &[
            ("true", Ok("true")),
            ("F", Ok("false")),
            ("1", Ok("true")),
            ("yes", Err("wrong_type")),
        ],
    );
    check(
        &DataType::Date32,
        &[
            ("2026-01-31", Ok("2026-01-31")),
            ("2026-02-31", Err("invalid_datetime")),
            ("20260131", Err("invalid_datetime")),
        ],
    );
    check(&DataType::Utf8, &[(" a ", Ok(" a ")), ("007", Ok("007"))]);
    check(
        &timestamptz(),
        &[
            (
                "2026-01-01 10:00:00.5+02:00",
                Ok("2026-01-01T08:00:00.500Z"),
            ),
            ("1767225600000", Ok("2026-01-01T00:00:00Z")),
            ("yesterday", Err("invalid_datetime")),
        ],
    );
    let at = |format, text| one(timestamp(), format, text);
    let new_year = Ok("2026-01-01T00:00:00".to_owned());
    assert_eq!(at(TimestampFormat::EpochSeconds, "1767225600"), new_year);
    assert_eq!(
        at(TimestampFormat::EpochMicros, "1767225600000000"),
        new_year
    );
    assert_eq!(
        at(TimestampFormat::Iso8601, "2026-01-01T00:00:00Z"),
        new_year
    );
    assert_eq!(
        at(TimestampFormat::Iso8601, "1767225600"),
        Err("wrong_type")
    );
    assert_eq!(
        at(TimestampFormat::EpochMillis, "2026-01-01T00:00:00Z"),
        Err("wrong_type")
    );
}

#[test]
fn delimiters_quotes_and_nulls_are_as_the_options_say() {
    let options = CsvOptions {
        delimiter: b'\t',
        quote: Some(b'\''),
        null: "\\N".to_owned(),
        header: false,
    };
    let decoded = decode(
        &csv_schema(texts(3), options),
        &slab_of(&["a,\"b\t'it''s'\t\\N", "\t'\\N'\t"]),
    );
    assert_eq!(rows(&decoded.batch), ["a,\"b|it's|-", "|\\N|"]);
    let options = CsvOptions {
        delimiter: b';',
        quote: None,
        ..CsvOptions::default()
    };
    let decoded = decode(&csv_schema(texts(2), options), &slab_of(&["\"a;b\""]));
    assert_eq!(rows(&decoded.batch), ["\"a|b\""]);
}

#[test]
fn names_say_where_fields_are() {
    let options = CsvOptions {
        header: true,
        ..CsvOptions::default()
    };
    let columns = vec![
        field("page", DataType::Utf8),
        field("geo.city", DataType::Utf8),
        field("absent", DataType::Int32),
    ];
    let schema = csv_schema(columns, options);
    let named = |names: Option<&[u8]>| {
        let mut slab = slab_of(&["1,2,3", "1,2"]);
        slab.names = names.map(Into::into);
        decode(&schema, &slab)
    };
    let decoded = named(Some(b"\"geo.city\",other,page"));
    assert_eq!(rows(&decoded.batch), ["3|1|-"]);
    assert_eq!(decoded.bad[0].message, "the record has 2 fields, not 3");
    // Of a repeated name the last counts.
    assert_eq!(rows(&named(Some(b"page,page\r\n")).batch), ["2|-|-"]);
    let message = |names| {
        let decoded = named(names);
        assert_eq!((decoded.batch.num_rows(), decoded.bad.len()), (0, 2));
        decoded.bad[1].message.clone()
    };
    assert_eq!(message(None), "the line of names is missing");
    assert_eq!(message(Some(b"a\xff")), "the line of names is not UTF-8");
    assert_eq!(
        message(Some(b"a,\"b")),
        "the line of names: the quote at byte 2 has no end in the record"
    );
}

#[test]
fn what_is_good_does_not_depend_on_what_is_wanted() {
    let mut schema = csv_schema(
        vec![
            field("a", DataType::Utf8),
            field("n", DataType::Int64),
            field("at", timestamptz()),
        ],
        CsvOptions::default(),
    );
    schema.watermark = Some(WatermarkDecl {
        column: 2,
        delay: 0,
    });
    let mut slab = slab_of(&["x,1,0", "y,z,0", "v,2,", "w,3,0"]);
    slab.push(None, 104, -1);
    for wanted in [vec![], vec![0], vec![2, 0, 0], vec![1]] {
        let mut decoder = decoder(&schema, &wanted, Limits::default()).unwrap();
        let decoded = decoder.decode(&slab, 0..slab.len(), 0);
        let bad: Vec<(u32, BadReason)> = decoded.bad.iter().map(|b| (b.row, b.reason)).collect();
        assert_eq!(bad, [(1, BadReason::WrongType), (2, BadReason::Missing)]);
        assert_eq!(decoded.good, Some(vec![0, 3]));
        assert_eq!(decoded.tombstones, 1);
        assert_eq!(decoded.batch.num_columns(), wanted.len());
        // The buffers hold nothing of the records before.
        assert_eq!(decoder.decode(&slab, 3..4, 0).batch.num_rows(), 1);
    }
    let rest = meta("r", ColumnOrigin::Rest, DataType::Utf8);
    let error = decoder(
        &csv_schema(vec![rest], CsvOptions::default()),
        &[0],
        Limits::default(),
    );
    assert_eq!(
        error.err().unwrap().message(),
        "INCLUDE REST of CSV is not supported"
    );
}

/// Pieces that random fields and records are made of.
const PIECES: [&str; 11] = ["a", "bc", ",", ";", "\"", "'", "\r", "\n", " ", "é", "1.5"];

fn random_text(random: &mut Random, pieces: &[&str], most: usize) -> String {
    let count = random.below(most + 1);
    (0..count).map(|_| random.pick(pieces)).collect()
}

/// Rows written by the csv crate come back, whatever is broken beside them.
#[test]
fn written_rows_are_read_back() {
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let delimiter = if random.percent(50) { b';' } else { b',' };
        let style = if random.percent(50) {
            csv::QuoteStyle::Always
        } else {
            csv::QuoteStyle::Necessary
        };
        let write = |row: &[String]| {
            let mut writer = csv::WriterBuilder::new()
                .delimiter(delimiter)
                .quote_style(style)
                .from_writer(Vec::new());
            writer.write_record(row).unwrap();
            writer.into_inner().unwrap()
        };
        let width = 1 + random.below(4);
        let (mut records, mut expected, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..1 + random.below(20) {
            let row: Vec<String> = (0..width)
                .map(|_| random_text(&mut random, &PIECES, 5))
                .collect();
            let mut record = write(&row);
            if random.percent(80) {
                records.push(record);
                expected.push(row.join("|"));
                continue;
            }
            record.pop();
            let reason = match random.below(5) {
                0 => {
                    record.extend([delimiter, b'"', b'x']);
                    BadReason::NotCsv
                }
                1 => {
                    record.extend([delimiter, b'x']);
                    BadReason::NotCsv
                }
                2 => {
                    record.push(0xff);
                    BadReason::NotUtf8
                }
                3 => {
                    record = b"\"\"x".to_vec();
                    BadReason::NotCsv
                }
                _ => {
                    record.push(0);
                    BadReason::NulCharacter
                }
            };
            records.push(record);
            bad.push((at as u32, reason));
        }
        let options = CsvOptions {
            delimiter,
            null: "NULL".to_owned(),
            ..CsvOptions::default()
        };
        let decoded = decode(&csv_schema(texts(width), options), &slab_of(&records));
        assert_eq!(rows(&decoded.batch), expected, "seed {seed}");
        let found: Vec<(u32, BadReason)> = decoded.bad.iter().map(|b| (b.row, b.reason)).collect();
        assert_eq!(found, bad, "seed {seed}");
    }
}

/// Any text is a row or has a reason why not, whatever stands beside it.
#[test]
fn any_record_is_a_row_or_bad() {
    let columns = vec![field("a", DataType::Utf8), field("n", DataType::Float64)];
    let schema = csv_schema(columns, CsvOptions::default());
    let (mut good, mut bad) = (0, 0);
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let pieces = [PIECES.as_slice(), &[",", "\"", "\0"]].concat();
        let records: Vec<String> = (0..random.below(12))
            .map(|_| random_text(&mut random, &pieces, 6))
            .collect();
        let decoded = decode(&schema, &slab_of(&records));
        assert_eq!(decoded.batch.num_rows() + decoded.bad.len(), records.len());
        for found in &decoded.bad {
            let alone = decode(&schema, &slab_of(&[&records[found.row as usize]]));
            assert_eq!(alone.bad[0].message, found.message, "seed {seed}");
        }
        good += decoded.batch.num_rows();
        bad += decoded.bad.len();
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
}
