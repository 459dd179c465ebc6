//! Tests of rows that come as columns: what each type takes, paths through structs, and which rows are bad.
#![allow(clippy::unwrap_used, reason = "tests")]

use arrow::array::{
    BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, ListArray, StringArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Field as ArrowField, Fields, Int32Type, TimeUnit};
use dataflow::Span;
use dataflow::schema::{Column, Encoding, TimestampFormat, WatermarkDecl, timestamp};

use super::*;

fn slab(rows: RecordBatch) -> Slab {
    let count = rows.num_rows();
    Slab {
        topic: "file".into(),
        values: vec![Span { start: 0, end: 0 }; count],
        offsets: (10..).take(count).collect(),
        timestamps: vec![5; count],
        rows: Some(rows),
        ..Slab::default()
    }
}

fn column(name: &str, data_type: DataType, origin: ColumnOrigin) -> Column {
    Column {
        name: name.to_owned(),
        data_type,
        nullable: true,
        origin,
    }
}

fn field(path: &str) -> ColumnOrigin {
    ColumnOrigin::Field(path.split('.').map(str::to_owned).collect())
}

fn schema(columns: Vec<Column>) -> SourceSchema {
    SourceSchema {
        columns,
        encoding: Encoding::Parquet,
        ..SourceSchema::default()
    }
}

fn decode(schema: &SourceSchema, wanted: &[usize], slab: &Slab) -> Decoded {
    let mut decoder = ParquetDecoder::new(schema, wanted, Limits::default()).unwrap();
    decoder.decode(slab, 0..slab.len(), 3)
}

/// What becomes of a column as a type: its values and what is bad, as text.
fn taken(values: impl Array + 'static, to: DataType, timestamps: TimestampFormat) -> Vec<String> {
    let rows = RecordBatch::try_from_iter([("x", Arc::new(values) as ArrayRef)]).unwrap();
    let mut schema = schema(vec![column("c", to, field("x"))]);
    schema.timestamps = timestamps;
    let slab = slab(rows);
    let decoded = decode(&schema, &[0], &slab);
    let mut texts = vec![String::new(); slab.len()];
    for index in 0..decoded.batch.num_rows() {
        let value = decoded.batch.column(0);
        texts[decoded.slab_row(index, 0)] = if value.is_null(index) {
            "NULL".to_owned()
        } else {
            array_value_to_string(value, index).unwrap()
        };
    }
    for bad in decoded.bad {
        texts[bad.row as usize] = format!("{}: {}", bad.reason.code(), bad.message);
    }
    texts
}

fn auto(values: impl Array + 'static, to: DataType) -> Vec<String> {
    taken(values, to, TimestampFormat::Auto)
}

#[test]
fn integers_take_whole_numbers_that_they_hold() {
    let numbers = Int64Array::from(vec![Some(1), None, Some(-40_000), Some(1 << 40)]);
    assert_eq!(
        auto(numbers.clone(), DataType::Int16),
        [
            "1",
            "NULL",
            "out_of_range: field \"x\" is out of range for smallint: the number -40000",
            "out_of_range: field \"x\" is out of range for smallint: the number 1099511627776",
        ]
    );
    assert_eq!(
        auto(numbers, DataType::Int64),
        ["1", "NULL", "-40000", "1099511627776"]
    );
    assert_eq!(auto(Int8Array::from(vec![-7]), DataType::Int32), ["-7"]);
    let large = UInt64Array::from(vec![5, u64::MAX]);
    let large = auto(large, DataType::Int64);
    assert_eq!(large[0], "5");
    assert!(large[1].starts_with("out_of_range"), "{}", large[1]);
    let whole = Decimal128Array::from(vec![12])
        .with_precision_and_scale(20, 0)
        .unwrap();
    assert_eq!(auto(whole, DataType::Int64), ["12"]);
    let fraction = Decimal128Array::from(vec![120])
        .with_precision_and_scale(20, 1)
        .unwrap();
    assert_eq!(
        auto(fraction, DataType::Int64),
        [
            "wrong_type: field \"x\" should be an integer (without fraction and exponent), found the number 12.0"
        ]
    );
    for wrong in [
        auto(Float64Array::from(vec![1.0]), DataType::Int64),
        auto(StringArray::from(vec!["1"]), DataType::Int64),
        auto(BooleanArray::from(vec![true]), DataType::Int64),
        auto(Date32Array::from(vec![1]), DataType::Int64),
    ] {
        assert!(wrong[0].starts_with("wrong_type: "), "{}", wrong[0]);
    }
}

#[test]
fn numbers_take_all_numbers_and_round() {
    let doubles = || Float64Array::from(vec![2.345, f64::NAN, 1e300, -0.5]);
    assert_eq!(
        auto(doubles(), DataType::Float32),
        [
            "2.345",
            "NaN",
            "out_of_range: field \"x\" is out of range for real: the number 1e300",
            "-0.5"
        ]
    );
    assert_eq!(auto(doubles(), DataType::Float64)[..2], ["2.345", "NaN"]);
    let decimals = auto(doubles(), DataType::Decimal128(10, 2));
    assert_eq!((&*decimals[0], &*decimals[3]), ("2.35", "-0.50"));
    assert!(decimals[1].starts_with("out_of_range: "), "{}", decimals[1]);
    assert!(decimals[2].starts_with("out_of_range: "), "{}", decimals[2]);
    let exact = Decimal128Array::from(vec![1005, -1005]);
    let exact = exact.with_precision_and_scale(10, 3).unwrap();
    assert_eq!(
        auto(exact.clone(), DataType::Decimal128(10, 2)),
        ["1.01", "-1.01"]
    );
    assert_eq!(auto(exact, DataType::Float64), ["1.005", "-1.005"]);
    assert_eq!(
        auto(Int64Array::from(vec![7]), DataType::Decimal128(4, 1)),
        ["7.0"]
    );
    assert_eq!(
        auto(Float32Array::from(vec![1.5]), DataType::Float64),
        ["1.5"]
    );
    let text = auto(StringArray::from(vec!["1.5"]), DataType::Float64);
    assert_eq!(
        text,
        ["wrong_type: field \"x\" should be a number, found the string \"1.5\""]
    );
}

#[test]
fn booleans_take_booleans() {
    let values = BooleanArray::from(vec![Some(true), None, Some(false)]);
    assert_eq!(
        auto(values.clone(), DataType::Boolean),
        ["true", "NULL", "false"]
    );
    let number = auto(Int64Array::from(vec![1]), DataType::Boolean);
    assert_eq!(
        number,
        ["wrong_type: field \"x\" should be true or false, found the number 1"]
    );
    let wrong = auto(values, DataType::Float64);
    assert_eq!(
        wrong[2],
        "wrong_type: field \"x\" should be a number, found false"
    );
}

#[test]
fn texts_take_everything_but_what_is_no_text() {
    let text = |values: ArrayRef| auto_ref(&values, DataType::Utf8);
    let bytes: Vec<Option<&[u8]>> = vec![Some(b"a"), None, Some(b"\xff"), Some(b"a\0")];
    let bytes = text(Arc::new(BinaryArray::from(bytes)));
    assert_eq!(bytes[..2], ["a", "NULL"]);
    assert!(bytes[2].starts_with("not_utf8: "), "{}", bytes[2]);
    assert_eq!(
        bytes[3],
        "nul_character: field \"x\" has the character U+0000: the string \"a\\u0000\""
    );
    let long = "x".repeat(Limits::default().max_record_bytes + 1);
    let long = text(Arc::new(StringArray::from(vec!["a", long.as_str()])));
    assert_eq!(long[0], "a");
    assert!(long[1].starts_with("too_large: "), "{}", long[1]);
    assert_eq!(text(Arc::new(Int64Array::from(vec![5]))), ["5"]);
    assert_eq!(text(Arc::new(BooleanArray::from(vec![true]))), ["true"]);
    assert_eq!(text(Arc::new(Date32Array::from(vec![0]))), ["1970-01-01"]);
    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![])];
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(lists);
    assert_eq!(text(Arc::new(lists)), ["[1,null]", "NULL", "[]"]);
    assert_eq!(
        text(Arc::new(position(None))),
        ["{\"lat\":1.5}", "{\"lat\":null}", "{\"lat\":2.5}"]
    );
}

fn auto_ref(values: &ArrayRef, to: DataType) -> Vec<String> {
    auto(arrow::array::make_array(values.to_data()), to)
}

#[test]
fn times_take_times_of_every_unit_numbers_and_texts() {
    let noon = 1_767_182_400_000_i64;
    let told = "2025-12-31T12:00:00";
    assert_eq!(
        auto(TimestampSecondArray::from(vec![noon / 1000]), timestamp()),
        [told]
    );
    let zoned = TimestampMillisecondArray::from(vec![Some(noon), None]).with_timezone("+01:00");
    assert_eq!(auto(zoned, timestamp()), [told, "NULL"]);
    let nanos = TimestampNanosecondArray::from(vec![-1, noon * 1_000_000 + 1999]);
    assert_eq!(
        auto(nanos, timestamp()),
        ["1969-12-31T23:59:59.999999", "2025-12-31T12:00:00.000001"]
    );
    assert_eq!(
        auto(Date32Array::from(vec![-1]), timestamp()),
        ["1969-12-31T00:00:00"]
    );
    assert_eq!(auto(Int64Array::from(vec![noon]), timestamp()), [told]);
    let seconds = taken(
        Float64Array::from(vec![1_767_182_400.25, f64::NAN, 1e30]),
        timestamp(),
        TimestampFormat::EpochSeconds,
    );
    assert_eq!(seconds[0], "2025-12-31T12:00:00.250");
    assert!(seconds[1].starts_with("out_of_range: "), "{}", seconds[1]);
    assert!(seconds[2].starts_with("out_of_range: "), "{}", seconds[2]);
    let number = |format| taken(Int64Array::from(vec![noon * 1000]), timestamp(), format);
    assert_eq!(number(TimestampFormat::EpochMicros), [told]);
    assert!(number(TimestampFormat::Auto)[0].starts_with("out_of_range: "));
    assert!(number(TimestampFormat::Iso8601)[0].starts_with("wrong_type: "));
    let texts = StringArray::from(vec!["2025-12-31T13:00:00+01:00", "noon"]);
    let texts = auto(texts, timestamp());
    assert_eq!(texts[0], told);
    assert!(texts[1].starts_with("invalid_datetime: "), "{}", texts[1]);
    let far = auto(TimestampSecondArray::from(vec![i64::MAX]), timestamp());
    assert!(far[0].starts_with("out_of_range: "), "{}", far[0]);
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(
        auto(Int64Array::from(vec![0]), zoned),
        ["1970-01-01T00:00:00Z"]
    );
}

#[test]
fn dates_take_dates_and_texts() {
    let days = auto(Date32Array::from(vec![0, 10_000_000]), DataType::Date32);
    assert_eq!(days[0], "1970-01-01");
    assert!(days[1].starts_with("out_of_range: "), "{}", days[1]);
    let texts = StringArray::from(vec!["2024-02-29", "2025-02-29", "x"]);
    let texts = auto(texts, DataType::Date32);
    assert_eq!(texts[0], "2024-02-29");
    assert!(texts[1].starts_with("invalid_datetime: "), "{}", texts[1]);
    assert!(texts[2].starts_with("invalid_datetime: "), "{}", texts[2]);
    let time = auto(TimestampSecondArray::from(vec![0]), DataType::Date32);
    assert!(time[0].starts_with("wrong_type: "), "{}", time[0]);
}

/// Structs of latitudes: 1.5, NULL, 2.5.
fn position(nulls: Option<NullBuffer>) -> StructArray {
    let fields: Fields = vec![ArrowField::new("lat", DataType::Float64, true)].into();
    let latitudes = Float64Array::from(vec![Some(1.5), None, Some(2.5)]);
    StructArray::new(fields, vec![Arc::new(latitudes)], nulls)
}

#[test]
fn paths_lead_through_structs() {
    let inner = position(None);
    let fields: Fields = vec![ArrowField::new("pos", inner.data_type().clone(), true)].into();
    let nulls = NullBuffer::from(vec![true, true, false]);
    let geo = StructArray::new(fields, vec![Arc::new(inner)], Some(nulls));
    let text = StringArray::from(vec![Some("here"), None, Some("there")]);
    let rows = RecordBatch::try_from_iter([
        ("geo", Arc::new(geo) as ArrayRef),
        ("place", Arc::new(text) as ArrayRef),
    ]);
    let slab = slab(rows.unwrap());
    let paths = ["geo.pos.lat", "geo.pos.none", "none.lat"];
    let columns = paths.map(|path| column(path, DataType::Float64, field(path)));
    let decoded = decode(&schema(columns.to_vec()), &[0, 1, 2], &slab);
    assert_eq!(decoded.bad, []);
    let latitudes = decoded.batch.column(0);
    assert_eq!(array_value_to_string(latitudes, 0).unwrap(), "1.5");
    assert_eq!(latitudes.null_count(), 2);
    assert_eq!(decoded.batch.column(1).null_count(), 3);
    assert_eq!(decoded.batch.column(2).null_count(), 3);
    let blocked = schema(vec![column("c", DataType::Float64, field("place.lat"))]);
    let decoded = decode(&blocked, &[0], &slab);
    assert_eq!(decoded.good, Some(vec![1]));
    assert_eq!(
        decoded.bad[0].message,
        "field \"place.lat\" should lie in an object, found the string \"here\""
    );
}

#[test]
fn what_must_be_there_is_asked_of_every_column_and_the_first_fault_counts() {
    let rows = RecordBatch::try_from_iter([
        (
            "a",
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)])) as ArrayRef,
        ),
        (
            "t",
            Arc::new(StringArray::from(vec![
                None,
                None,
                Some("x"),
                Some("2025-12-31 12:00:00"),
            ])),
        ),
    ]);
    let slab = slab(rows.unwrap());
    let mut a = column("a", DataType::Int32, field("a"));
    a.nullable = false;
    let mut schema = schema(vec![
        a,
        column("t", timestamp(), field("t")),
        column("o", DataType::Int64, ColumnOrigin::Offset),
        column("k", DataType::Utf8, ColumnOrigin::Key),
        column("p", DataType::Int32, ColumnOrigin::Partition),
    ]);
    schema.watermark = Some(WatermarkDecl {
        column: 1,
        delay: 0,
    });
    for wanted in [&[2_usize, 4, 3, 2][..], &[], &[0, 1]] {
        let decoded = decode(&schema, wanted, &slab);
        let bad: Vec<String> = decoded
            .bad
            .iter()
            .map(|bad| format!("{} {}", bad.row, bad.message))
            .collect();
        assert_eq!(
            bad,
            [
                "0 field \"t\" is NULL; it is the event time",
                "1 field \"a\" is NULL; it is a NOT NULL column",
                "2 field \"t\" should be a time (milliseconds since 1970 or ISO 8601 text), found the string \"x\"",
            ]
        );
        assert_eq!(decoded.good, Some(vec![3]));
        assert_eq!(
            (decoded.batch.num_rows(), decoded.batch.num_columns()),
            (1, wanted.len())
        );
    }
    let decoded = decode(&schema, &[2, 4, 3], &slab);
    let cells = [0, 1].map(|at| array_value_to_string(decoded.batch.column(at), 0).unwrap());
    assert_eq!(cells, ["13", "3"]);
    assert!(decoded.batch.column(2).is_null(0));
    // A part of the slab.
    let mut decoder = ParquetDecoder::new(&schema, &[0], Limits::default()).unwrap();
    let decoded = decoder.decode(&slab, 2..4, 3);
    assert_eq!((decoded.bad[0].row, decoded.good), (2, Some(vec![3])));
    // A field that the file lacks.
    schema.columns[0].origin = field("none");
    let decoded = decode(&schema, &[0], &slab);
    assert_eq!(decoded.batch.num_rows(), 0);
    assert_eq!(
        decoded.bad[3].message,
        "field \"none\" is missing; it is a NOT NULL column"
    );
}

#[test]
fn the_rest_of_a_row_is_refused() {
    let schema = schema(vec![column("r", DataType::Utf8, ColumnOrigin::Rest)]);
    let error = ParquetDecoder::new(&schema, &[0], Limits::default()).map(drop);
    assert_eq!(
        error.unwrap_err().message(),
        "INCLUDE REST of Parquet is not supported"
    );
}
