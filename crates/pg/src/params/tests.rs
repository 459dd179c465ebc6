//! Parameters in text and binary, good and bad.

use super::array::list_of;
use super::*;

fn text(value: &str, oid: u32) -> Result<ScalarValue> {
    decode(
        Some(value.as_bytes()),
        Format::Text,
        oid,
        &parameter_type(oid).unwrap(),
        &Zone::Utc,
    )
}

fn binary(value: &[u8], oid: u32) -> Result<ScalarValue> {
    decode(
        Some(value),
        Format::Binary,
        oid,
        &parameter_type(oid).unwrap(),
        &Zone::Utc,
    )
}

fn state(result: Result<ScalarValue>) -> &'static str {
    result.unwrap_err().state().0
}

#[test]
fn text_of_every_kind() {
    assert_eq!(text("yes", oid::BOOL).unwrap(), ScalarValue::from(true));
    assert_eq!(text(" -7 ", oid::INT2).unwrap(), ScalarValue::from(-7_i16));
    assert_eq!(text("1e3", oid::FLOAT8).unwrap(), ScalarValue::from(1000.0));
    assert_eq!(
        text("12.5", oid::NUMERIC).unwrap(),
        ScalarValue::Decimal128(Some(12_500_000_000_000), 38, 12)
    );
    assert_eq!(
        text("-1.2e-2", oid::NUMERIC).unwrap(),
        ScalarValue::Decimal128(Some(-12_000_000_000), 38, 12)
    );
    assert_eq!(
        text("\\x01fF", oid::BYTEA).unwrap(),
        ScalarValue::Binary(Some(vec![1, 255]))
    );
    assert_eq!(
        text("2026-01-02", oid::DATE).unwrap(),
        ScalarValue::Date32(Some(20_455))
    );
    let instant =
        ScalarValue::TimestampMicrosecond(Some(1_767_225_600_000_000), Some("UTC".into()));
    for shown in [
        "2026-01-01 00:00:00+00",
        "2026-01-01T01:00:00+01:00",
        "2026-01-01 00:00:00",
        "2026-01-01",
    ] {
        assert_eq!(text(shown, oid::TIMESTAMPTZ).unwrap(), instant, "{shown}");
    }
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    let wanted = parameter_type(oid::TIMESTAMPTZ).unwrap();
    let local = decode(
        Some(b"2026-01-01 01:00:00"),
        Format::Text,
        oid::TIMESTAMPTZ,
        &wanted,
        &berlin,
    );
    assert_eq!(local.unwrap(), instant);
}

#[test]
fn bad_text_says_what_it_was() {
    assert_eq!(state(text("abc", oid::INT4)), "22P02");
    assert_eq!(state(text("99999999999", oid::INT4)), "22003");
    assert_eq!(state(text("maybe", oid::BOOL)), "22P02");
    assert_eq!(state(text("1.2.3", oid::NUMERIC)), "22P02");
    assert_eq!(state(text("0.0000000000001", oid::NUMERIC)), "22003");
    assert_eq!(state(text("1e2147483647", oid::NUMERIC)), "22003");
    assert_eq!(state(text("1e-2147483648", oid::NUMERIC)), "22003");
    assert_eq!(state(text("tomorrowish", oid::TIMESTAMP)), "22007");
    assert_eq!(state(text("\\x1", oid::BYTEA)), "22P02");
    assert_eq!(
        text("abc", oid::INT4).unwrap_err().message(),
        "invalid input syntax for type integer: \"abc\""
    );
}

#[test]
fn binary_of_every_kind() {
    assert_eq!(binary(&[1], oid::BOOL).unwrap(), ScalarValue::from(true));
    assert_eq!(
        binary(&(-2_i64).to_be_bytes(), oid::INT8).unwrap(),
        ScalarValue::from(-2_i64)
    );
    assert_eq!(
        binary(&[0; 8], oid::TIMESTAMP).unwrap(),
        ScalarValue::TimestampMicrosecond(Some(EPOCH_MICROS), None)
    );
    assert_eq!(
        binary(&[0; 4], oid::DATE).unwrap(),
        ScalarValue::Date32(Some(EPOCH_DAYS))
    );
    assert_eq!(
        binary(b"\x01{}", oid::JSONB).unwrap(),
        ScalarValue::from("{}")
    );
    assert_eq!(state(binary(&[0; 3], oid::INT4)), "22P03");
    assert_eq!(
        state(binary(&i64::MAX.to_be_bytes(), oid::TIMESTAMPTZ)),
        "0A000"
    );
    assert_eq!(state(binary(&[0xff], oid::TEXT)), "22021");
}

#[test]
fn arrays_in_both_forms() {
    let wanted = list_of(
        &[
            ScalarValue::from(1),
            ScalarValue::Int32(None),
            ScalarValue::from(3),
        ],
        oid::INT4,
    )
    .unwrap();
    assert_eq!(text("{1,NULL, 3}", 1007).unwrap(), wanted);
    let mut bytes = Vec::new();
    for word in [1_i32, 1, 23, 3, 1, 4, 1, -1, 4, 3] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    assert_eq!(binary(&bytes, 1007).unwrap(), wanted);
    bytes.pop();
    assert_eq!(state(binary(&bytes, 1007)), "22P03");
    let words = list_of(
        &[
            ScalarValue::from("a,b"),
            ScalarValue::from("NULL"),
            ScalarValue::from("q\""),
        ],
        oid::TEXT,
    );
    assert_eq!(
        text(r#"{"a,b","NULL","q\""}"#, 1009).unwrap(),
        words.unwrap()
    );
    assert_eq!(state(text("{1", 1007)), "22P02");
    assert_eq!(text("{}", 1007).unwrap(), list_of(&[], oid::INT4).unwrap());
}

#[test]
fn a_value_is_cast_to_what_the_statement_wants() {
    let found = decode(
        Some(b"5"),
        Format::Text,
        oid::INT4,
        &DataType::Int64,
        &Zone::Utc,
    )
    .unwrap();
    assert_eq!(found, ScalarValue::from(5_i64));
    let null = decode(None, Format::Text, oid::INT4, &DataType::Int64, &Zone::Utc).unwrap();
    assert_eq!(null, ScalarValue::Int64(None));
}
