//! Names of types and what becomes of them.

use sqlparser::parser::Parser;

use super::*;
use crate::dialect::ClickmillDialect;

fn sql_type(text: &str) -> SqlType {
    let dialect = ClickmillDialect::default();
    Parser::new(&dialect)
        .try_with_sql(text)
        .unwrap()
        .parse_data_type()
        .unwrap()
}

#[test]
fn column_types() {
    let cases = [
        ("TEXT", DataType::Utf8),
        ("text", DataType::Utf8),
        ("VARCHAR", DataType::Utf8),
        ("CHARACTER VARYING", DataType::Utf8),
        ("STRING", DataType::Utf8),
        ("pg_catalog.text", DataType::Utf8),
        ("BOOLEAN", DataType::Boolean),
        ("BOOL", DataType::Boolean),
        ("SMALLINT", DataType::Int16),
        ("INT2", DataType::Int16),
        ("INT", DataType::Int32),
        ("INTEGER", DataType::Int32),
        ("INT4", DataType::Int32),
        ("BIGINT", DataType::Int64),
        ("INT8", DataType::Int64),
        ("REAL", DataType::Float32),
        ("FLOAT4", DataType::Float32),
        ("FLOAT(24)", DataType::Float32),
        ("FLOAT", DataType::Float64),
        ("FLOAT8", DataType::Float64),
        ("DOUBLE", DataType::Float64),
        ("DOUBLE PRECISION", DataType::Float64),
        ("NUMERIC(18, 2)", DataType::Decimal128(18, 2)),
        ("DECIMAL(38)", DataType::Decimal128(38, 0)),
        ("DATE", DataType::Date32),
        ("TIMESTAMP", timestamp()),
        ("TIMESTAMP(3)", timestamp()),
        ("TIMESTAMP WITHOUT TIME ZONE", timestamp()),
        ("TIMESTAMPTZ", timestamptz()),
        ("TIMESTAMP(6) WITH TIME ZONE", timestamptz()),
        ("TIMESTAMP_LTZ", timestamptz()),
        ("TIMESTAMP_LTZ(3)", timestamptz()),
    ];
    for (text, expected) in cases {
        assert_eq!(
            column_type(&sql_type(text), None).unwrap(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn refused_types() {
    let cases = [
        (
            "NUMERIC",
            "0A000",
            "NUMERIC without precision is not supported",
        ),
        (
            "DECIMAL",
            "0A000",
            "NUMERIC without precision is not supported",
        ),
        (
            "NUMERIC(39, 2)",
            "22023",
            "NUMERIC(39, 2): precision must be 1 to 38, scale 0 to the precision",
        ),
        (
            "NUMERIC(5, 6)",
            "22023",
            "NUMERIC(5, 6): precision must be 1 to 38, scale 0 to the precision",
        ),
        (
            "NUMERIC(5, -1)",
            "22023",
            "NUMERIC(5, -1): precision must be 1 to 38, scale 0 to the precision",
        ),
        ("VARCHAR(10)", "0A000", "VARCHAR(10) is not supported"),
        (
            "CHARACTER VARYING(10)",
            "0A000",
            "VARCHAR(10) is not supported",
        ),
        ("CHAR", "0A000", "CHAR is not supported"),
        ("CHAR(3)", "0A000", "CHAR(3) is not supported"),
        ("TIMESTAMP(9)", "0A000", "TIMESTAMP(9) is not supported"),
        ("TIMESTAMP_LTZ(9)", "0A000", "TIMESTAMP(9) is not supported"),
        (
            "FLOAT(99)",
            "22023",
            "precision for type float must be between 1 and 53 bits",
        ),
        ("JSONB", "0A000", "type JSONB is not supported"),
        ("JSON", "0A000", "type JSON is not supported"),
        ("TEXT[]", "0A000", "array type TEXT[] is not supported"),
        ("UUID", "0A000", "type UUID is not supported"),
        ("TINYINT", "0A000", "type TINYINT is not supported"),
        ("INTERVAL", "0A000", "type INTERVAL is not supported"),
        ("TIME", "0A000", "type TIME is not supported"),
        ("BYTEA", "0A000", "type BYTEA is not supported"),
        ("ROW", "0A000", "type ROW is not supported"),
        ("txet", "42704", "type \"txet\" does not exist"),
        ("\"Text\"", "42704", "type \"Text\" does not exist"),
        ("foo.bar", "42704", "type \"foo.bar\" does not exist"),
    ];
    let at = Some(Location { line: 3, column: 7 });
    for (text, state, message) in cases {
        let error = column_type(&sql_type(text), at).unwrap_err();
        assert_eq!(
            (error.state().0, error.message()),
            (state, message),
            "{text}"
        );
        assert_eq!(error.location(), at, "{text}");
    }
}

#[test]
fn casts_leave_the_rest_to_datafusion() {
    for text in ["INTERVAL", "TEXT[]", "NUMERIC", "BYTEA", "TIME", "regclass"] {
        assert_eq!(cast_type(&sql_type(text)).unwrap(), None, "{text}");
    }
    assert_eq!(
        cast_type(&sql_type("FLOAT")).unwrap(),
        Some(DataType::Float64)
    );
    assert!(cast_type(&sql_type("VARCHAR(3)")).is_err());
}
