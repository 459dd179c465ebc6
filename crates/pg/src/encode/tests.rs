//! Values against what PostgreSQL 15 shows and what its send functions give (`encode(array_send(…), 'hex')`).

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Date64Array, Decimal128Array,
    Decimal256Array, DictionaryArray, DurationMillisecondArray, FixedSizeBinaryArray,
    FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    IntervalDayTimeArray, IntervalMonthDayNanoArray, IntervalYearMonthArray, LargeListArray,
    LargeStringArray, ListArray, MapBuilder, NullArray, StringArray, StringBuilder,
    StringViewArray, StructArray, Time32SecondArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Field, Int32Type, IntervalDayTime, IntervalMonthDayNano, Schema, UInt32Type, i256,
};

use super::*;
use crate::types::{OID_KEY, oid};

fn cells(
    array: ArrayRef,
    field: Field,
    format: Format,
    options: EncodeOptions,
) -> Result<Vec<Option<Vec<u8>>>> {
    let rows = array.len();
    let schema = Arc::new(Schema::new(vec![field]));
    let mut encoder = RowEncoder::new(columns(&schema, &[format])?, options);
    encoder.push(RecordBatch::try_new(schema, vec![array]).unwrap())?;
    let mut values = Vec::new();
    while let Some((cells, row)) = encoder.next_row()? {
        values.push(cells[0].get(row).map(<[u8]>::to_vec));
    }
    assert_eq!(values.len(), rows);
    Ok(values)
}

fn field_of(array: &ArrayRef) -> Field {
    Field::new("c", array.data_type().clone(), true)
}

/// The values as text, NULL as `~`.
fn text(array: impl Array + 'static) -> Vec<String> {
    text_in(Arc::new(array), EncodeOptions::default())
}

fn text_in(array: ArrayRef, options: EncodeOptions) -> Vec<String> {
    let field = field_of(&array);
    let values = cells(array, field, Format::Text, options).unwrap();
    values
        .into_iter()
        .map(|v| v.map_or("~".into(), |v| String::from_utf8(v).unwrap()))
        .collect()
}

/// The values in binary as hexadecimal digits, NULL as `~`.
fn binary(array: impl Array + 'static) -> Vec<String> {
    let array: ArrayRef = Arc::new(array);
    let field = field_of(&array);
    binary_as(array, field)
}

fn binary_as(array: ArrayRef, field: Field) -> Vec<String> {
    let values = cells(array, field, Format::Binary, EncodeOptions::default()).unwrap();
    let hex = |bytes: Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect();
    values
        .into_iter()
        .map(|v| v.map_or("~".into(), hex))
        .collect()
}

fn ints(rows: &[Option<Vec<Option<i32>>>]) -> ListArray {
    ListArray::from_iter_primitive::<Int32Type, _, _>(rows.to_vec())
}

#[test]
fn scalars_as_text() {
    assert_eq!(
        text(BooleanArray::from(vec![Some(true), Some(false), None])),
        ["t", "f", "~"]
    );
    assert_eq!(text(Int8Array::from(vec![-128, 127])), ["-128", "127"]);
    assert_eq!(
        text(UInt64Array::from(vec![u64::MAX])),
        ["18446744073709551615"]
    );
    assert_eq!(
        text(Float64Array::from(vec![0.1, 1e20, f64::NAN])),
        ["0.1", "1e+20", "NaN"]
    );
    assert_eq!(
        text(Float32Array::from(vec![1e6, f32::INFINITY])),
        ["1e+06", "Infinity"]
    );
    let decimal = Decimal128Array::from(vec![Some(-5), None])
        .with_precision_and_scale(10, 2)
        .unwrap();
    assert_eq!(text(decimal), ["-0.05", "~"]);
    let wide = Decimal256Array::from(vec![i256::from_i128(12345)])
        .with_precision_and_scale(60, 3)
        .unwrap();
    assert_eq!(text(wide), ["12.345"]);
    assert_eq!(
        text(StringArray::from(vec![Some("é"), Some(""), None])),
        ["é", "", "~"]
    );
    assert_eq!(text(LargeStringArray::from(vec!["a"])), ["a"]);
    assert_eq!(
        text(StringViewArray::from(vec!["a longer string than twelve"])),
        ["a longer string than twelve"]
    );
    assert_eq!(text(NullArray::new(2)), ["~", "~"]);
    assert_eq!(
        text(BinaryArray::from(vec![&b"\xde\xad\xbe\xef"[..]])),
        ["\\xdeadbeef"]
    );
    let fixed = FixedSizeBinaryArray::try_from_iter([[1_u8, 255]].into_iter()).unwrap();
    assert_eq!(text(fixed), ["\\x01ff"]);
    let dictionary: DictionaryArray<Int32Type> = [Some("b"), None, Some("a"), Some("b")]
        .into_iter()
        .collect();
    assert_eq!(text(dictionary), ["b", "~", "a", "b"]);
}

#[test]
fn times_as_text() {
    assert_eq!(
        text(Date32Array::from(vec![20_454, -719_163])),
        ["2026-01-01", "0001-12-31 BC"]
    );
    assert_eq!(text(Date64Array::from(vec![-1])), ["1969-12-31"]);
    assert_eq!(text(Time32SecondArray::from(vec![45_296])), ["12:34:56"]);
    assert_eq!(
        text(Time64MicrosecondArray::from(vec![45_296_700_000])),
        ["12:34:56.7"]
    );
    assert_eq!(
        text(TimestampMicrosecondArray::from(vec![-1])),
        ["1969-12-31 23:59:59.999999"]
    );
    assert_eq!(
        text(TimestampMillisecondArray::from(vec![1_767_225_600_500])),
        ["2026-01-01 00:00:00.5"]
    );
    assert_eq!(
        text(TimestampNanosecondArray::from(vec![-1])),
        ["1969-12-31 23:59:59.999999"]
    );
    let zoned = TimestampSecondArray::from(vec![1_767_225_600]).with_timezone("America/New_York");
    assert_eq!(text(zoned.clone()), ["2026-01-01 00:00:00+00"]);
    let berlin = EncodeOptions {
        zone: Zone::parse("Europe/Berlin").unwrap(),
        ..EncodeOptions::default()
    };
    assert_eq!(text_in(Arc::new(zoned), berlin), ["2026-01-01 01:00:00+01"]);
    let interval =
        IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(14, 3, 14_706_789_000_000)]);
    assert_eq!(text(interval), ["1 year 2 mons 3 days 04:05:06.789"]);
    assert_eq!(
        text(IntervalYearMonthArray::from(vec![-13])),
        ["-1 years -1 mons"]
    );
    assert_eq!(
        text(IntervalDayTimeArray::from(vec![IntervalDayTime::new(
            1, -1000
        )])),
        ["1 day -00:00:01"]
    );
    assert_eq!(
        text(DurationMillisecondArray::from(vec![172_800_000])),
        ["48:00:00"]
    );
}

#[test]
fn a_timestamp_beyond_microseconds_is_an_error() {
    let array: ArrayRef = Arc::new(TimestampSecondArray::from(vec![i64::MAX]));
    let error = cells(
        array.clone(),
        field_of(&array),
        Format::Text,
        EncodeOptions::default(),
    )
    .unwrap_err();
    assert_eq!(error.state().0, "22008");
}

#[test]
fn arrays_as_text() {
    let words = [
        "a",
        "b c",
        "NULL",
        "null",
        "",
        "x\"y",
        "back\\slash",
        "{",
        "tab\tx",
    ];
    let mut strings = datafusion::arrow::array::ListBuilder::new(StringBuilder::new());
    for word in words {
        strings.values().append_value(word);
    }
    strings.values().append_null();
    strings.values().append_value("vvx");
    strings.values().append_value("é");
    strings.append(true);
    strings.append(true);
    strings.append(false);
    let wanted = "{a,\"b c\",\"NULL\",\"null\",\"\",\"x\\\"y\",\"back\\\\slash\",\"{\",\"tab\tx\",NULL,vvx,é}";
    assert_eq!(text(strings.finish()), [wanted, "{}", "~"]);
    let sliced = ints(&[Some(vec![Some(9)]), Some(vec![Some(1), None]), None]).slice(1, 2);
    assert_eq!(text(sliced), ["{1,NULL}", "~"]);
    assert_eq!(text(matrix(&[&[1, 2], &[3, 4]])), ["{{1,2},{3,4}}"]);
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
        [Some([Some(1), Some(2)]), None],
        2,
    );
    assert_eq!(text(fixed), ["{1,2}", "~"]);
    let large = LargeListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(7)])]);
    assert_eq!(text(large), ["{7}"]);
}

/// One row: an array of arrays.
fn matrix(rows: &[&[i32]]) -> ListArray {
    let inner = ints(
        &rows
            .iter()
            .map(|row| Some(row.iter().map(|v| Some(*v)).collect()))
            .collect::<Vec<_>>(),
    );
    let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths([rows.len()]);
    let field = Arc::new(Field::new("item", inner.data_type().clone(), true));
    ListArray::new(field, offsets, Arc::new(inner), None)
}

fn record() -> StructArray {
    let column = |name: &str, array: ArrayRef| {
        (
            Arc::new(Field::new(name, array.data_type().clone(), true)),
            array,
        )
    };
    StructArray::from(vec![
        column("a", Arc::new(Int32Array::from(vec![1]))),
        column("b", Arc::new(StringArray::from(vec!["a b"]))),
        column("c", Arc::new(StringArray::from(vec!["q\"uote"]))),
        column("d", Arc::new(StringArray::from(vec!["back\\slash"]))),
        column("e", Arc::new(StringArray::from(vec![None::<&str>]))),
        column("f", Arc::new(StringArray::from(vec![""]))),
        column("g", Arc::new(BooleanArray::from(vec![true]))),
        column("h", Arc::new(StringArray::from(vec!["x,y"]))),
        column("i", Arc::new(ints(&[Some(vec![Some(1), Some(2)])]))),
    ])
}

#[test]
fn records_as_text() {
    assert_eq!(
        text(record()),
        [r#"(1,"a b","q""uote","back\\slash",,"",t,"x,y","{1,2}")"#]
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("k");
    map.values().append_value("b c");
    map.append(true).unwrap();
    assert_eq!(text(map.finish()), [r#"{"(k,\"b c\")"}"#]);
}

#[test]
fn scalars_in_binary() {
    assert_eq!(
        binary(BooleanArray::from(vec![Some(true), None])),
        ["01", "~"]
    );
    assert_eq!(binary(Int8Array::from(vec![-2])), ["fffe"]);
    assert_eq!(binary(Int64Array::from(vec![1])), ["0000000000000001"]);
    assert_eq!(
        binary(UInt32Array::from(vec![u32::MAX])),
        ["00000000ffffffff"]
    );
    assert_eq!(
        binary(UInt64Array::from(vec![u64::MAX])),
        ["000500040000000007341a5802e103bb064f"]
    );
    assert_eq!(binary(Float64Array::from(vec![1.5])), ["3ff8000000000000"]);
    assert_eq!(binary(Float32Array::from(vec![1.5])), ["3fc00000"]);
    let decimal = Decimal128Array::from(vec![-12_345_678])
        .with_precision_and_scale(10, 3)
        .unwrap();
    assert_eq!(binary(decimal), ["0003000140000003000109291a7c"]);
    assert_eq!(binary(StringArray::from(vec!["ab"])), ["6162"]);
    assert_eq!(binary(Date32Array::from(vec![10_956])), ["ffffffff"]);
    assert_eq!(
        binary(Time64MicrosecondArray::from(vec![45_296_700_000])),
        ["0000000a8be4ca60"]
    );
    let zoned = TimestampMicrosecondArray::from(vec![1_767_225_600_500_000]).with_timezone("UTC");
    assert_eq!(binary(zoned), ["0002ea470af00120"]);
    let interval =
        IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(14, 3, 14_706_789_000_000)]);
    assert_eq!(binary(interval), ["000000036c97ca88000000030000000e"]);
}

#[test]
fn arrays_and_records_in_binary() {
    assert_eq!(
        binary(ints(&[
            Some(vec![Some(1), None, Some(3)]),
            Some(vec![]),
            None
        ])),
        [
            "00000001000000010000001700000003000000010000000400000001ffffffff0000000400000003",
            "000000000000000000000017",
            "~",
        ]
    );
    assert_eq!(
        binary(matrix(&[&[1, 2], &[3, 4]])),
        ["00000002000000000000001700000002000000010000000200000001\
          0000000400000001000000040000000200000004000000030000000400000004"]
    );
    let column = |array: ArrayRef| {
        (
            Arc::new(Field::new("f", array.data_type().clone(), true)),
            array,
        )
    };
    let record = StructArray::from(vec![
        column(Arc::new(Int32Array::from(vec![1]))),
        column(Arc::new(StringArray::from(vec!["ab"]))),
        column(Arc::new(Int64Array::from(vec![None]))),
    ]);
    assert_eq!(
        binary(record),
        ["000000030000001700000004000000010000001900000002616200000014ffffffff"]
    );
}

#[test]
fn ragged_arrays_have_no_binary_form() {
    let array: ArrayRef = Arc::new(matrix(&[&[1, 2], &[3]]));
    let error = cells(
        array.clone(),
        field_of(&array),
        Format::Binary,
        EncodeOptions::default(),
    )
    .unwrap_err();
    assert_eq!(error.state().0, "2202E");
}

#[test]
fn metadata_decides_the_binary_form() {
    let named = |data_type: DataType, oid: u32| {
        Field::new("c", data_type, true)
            .with_metadata([(OID_KEY.to_owned(), oid.to_string())].into())
    };
    let oids: ArrayRef = Arc::new(Int64Array::from(vec![4_294_967_295]));
    assert_eq!(
        binary_as(oids, named(DataType::Int64, oid::OID)),
        ["ffffffff"]
    );
    let list = |oids: &[u32]| {
        let values = oids.iter().map(|oid| Some(*oid)).collect::<Vec<_>>();
        Arc::new(ListArray::from_iter_primitive::<UInt32Type, _, _>([Some(
            values,
        )])) as ArrayRef
    };
    let field = named(list(&[]).data_type().clone(), oid::OIDVECTOR);
    let one = binary_as(list(&[7]), field.clone());
    assert_eq!(
        one,
        ["0000000100000000".to_owned() + "0000001a" + "0000000100000001" + "0000000400000007"]
    );
    let shown = cells(list(&[7, 8]), field, Format::Text, EncodeOptions::default()).unwrap();
    assert_eq!(shown, [Some(b"7 8".to_vec())]);
    let json: ArrayRef = Arc::new(StringArray::from(vec!["{}"]));
    assert_eq!(
        binary_as(json, named(DataType::Utf8, oid::JSONB)),
        ["017b7d"]
    );
    let uuid: ArrayRef = Arc::new(StringArray::from(vec![
        "00112233-4455-6677-8899-aabbccddeeff",
    ]));
    assert_eq!(
        binary_as(uuid, named(DataType::Utf8, oid::UUID)),
        ["00112233445566778899aabbccddeeff"]
    );
}

#[test]
fn rows_come_in_chunks_whatever_the_batch() {
    let array: ArrayRef = Arc::new(Int32Array::from_iter_values(0..5000));
    let values = text_in(array, EncodeOptions::default());
    assert_eq!((values[0].as_str(), values[4999].as_str()), ("0", "4999"));
    let wide: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..40).map(|i| i.to_string().repeat(200_000)),
    ));
    assert_eq!(text_in(wide, EncodeOptions::default())[39].len(), 400_000);
}

#[test]
fn a_union_is_refused_by_name() {
    let union = DataType::Union(
        datafusion::arrow::datatypes::UnionFields::empty(),
        datafusion::arrow::datatypes::UnionMode::Dense,
    );
    let error = columns(&Schema::new(vec![Field::new("u", union, true)]), &[]).unwrap_err();
    assert_eq!(error.state().0, "0A000");
}
