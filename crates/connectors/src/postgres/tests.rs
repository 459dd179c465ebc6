//! Tests of what needs no server: statements, values as text, the newest row of a key; options are in a file of their own.
#![allow(clippy::unwrap_used, reason = "tests")]

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema};
use dataflow::DeltaBatch;
use dataflow::sink::may_pass;

use super::newest::newest;
use super::sql::Column;
use super::*;

mod options;

fn column(name: &str, given: &str, stored: &str) -> Column {
    Column {
        name: name.to_owned(),
        given: given.to_owned(),
        stored: stored.to_owned(),
    }
}

#[test]
fn statements() {
    let columns = [
        column("k", "int8", "integer"),
        column("say \"x\"", "text", "character varying"),
    ];
    let add = r#"INSERT INTO "s"."t" ("k", "say ""x""") SELECT * FROM unnest($1::text[]::int8[], $2::text[]::text[])"#;
    let table = r#""s"."t""#;
    assert_eq!(sql::insert(table, &columns, None), add);
    let replace = sql::insert(table, &columns, Some(&[0]));
    let sets = r#" ON CONFLICT ("k") DO UPDATE SET "say ""x""" = excluded."say ""x""""#;
    assert_eq!(replace.strip_prefix(add), Some(sets));
    let keys = sql::insert(table, &columns, Some(&[1, 0]));
    let nothing = r#" ON CONFLICT ("say ""x""", "k") DO NOTHING"#;
    assert_eq!(keys.strip_prefix(add), Some(nothing));
    assert_eq!(
        sql::delete(table, &columns),
        "DELETE FROM \"s\".\"t\" AS t USING unnest($1::text[]::int8[], $2::text[]::text[]) AS k(k0, k1) \
         WHERE t.\"k\" = k.k0::integer AND t.\"say \"\"x\"\"\" = k.k1::character varying"
    );
    let schema = Schema::new(vec![
        Field::new("k", DataType::Int64, false),
        Field::new("v", DataType::Utf8, true),
    ]);
    assert_eq!(
        sql::create_table(table, &schema, Some(&[0])),
        r#"CREATE TABLE "s"."t" ("k" int8, "v" text, PRIMARY KEY ("k"))"#
    );
    assert_eq!(
        sql::create_table(table, &schema, None),
        r#"CREATE TABLE "s"."t" ("k" int8, "v" text)"#
    );
}

#[test]
fn text_is_read_as_what_the_table_has() {
    assert_eq!(target::given(Some("text"), "jsonb", "U"), "jsonb");
    assert_eq!(
        target::given(Some("text"), "character varying", "S"),
        "text"
    );
    assert_eq!(target::given(Some("text"), "integer", "N"), "text");
    assert_eq!(target::given(Some("int8"), "jsonb", "U"), "int8");
}

#[test]
fn values_are_text_that_postgres_reads() {
    let day = 86_400_000_000_i64;
    let columns: Vec<(ArrayRef, [Option<&str>; 2])> = vec![
        (
            Arc::new(BooleanArray::from(vec![Some(true), None])),
            [Some("true"), None],
        ),
        (
            Arc::new(Int64Array::from(vec![i64::MIN, 7])),
            [Some("-9223372036854775808"), Some("7")],
        ),
        (
            Arc::new(UInt64Array::from(vec![u64::MAX, 0])),
            [Some("18446744073709551615"), Some("0")],
        ),
        (
            Arc::new(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY])),
            [Some("NaN"), Some("-inf")],
        ),
        (
            Arc::new(
                Decimal128Array::from(vec![-1, 12_345])
                    .with_precision_and_scale(10, 2)
                    .unwrap(),
            ),
            [Some("-0.01"), Some("123.45")],
        ),
        (
            Arc::new(StringArray::from(vec!["it's {\"a\"}", ""])),
            [Some("it's {\"a\"}"), Some("")],
        ),
        (
            Arc::new(Date32Array::from(vec![0, -719_163])),
            [Some("1970-01-01"), Some("0001-12-31 BC")],
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_001), None])),
            [Some("1970-01-01 00:00:01.500001"), None],
        ),
        (
            Arc::new(
                TimestampMicrosecondArray::from(vec![-719_163 * day, 2_932_897 * day])
                    .with_timezone("Europe/Berlin"),
            ),
            [
                Some("0001-12-31 00:00:00+00 BC"),
                Some("10000-01-01 00:00:00+00"),
            ],
        ),
        (
            Arc::new(TimestampMillisecondArray::from(vec![1, -1])),
            [
                Some("1970-01-01 00:00:00.001"),
                Some("1969-12-31 23:59:59.999"),
            ],
        ),
    ];
    for (values, expected) in columns {
        let data_type = values.data_type().clone();
        assert!(sql::type_of(&data_type).is_some(), "{data_type}");
        let rows = RecordBatch::try_from_iter([("v", values)]).unwrap();
        let texts = text::texts(&rows).unwrap();
        let texts: Vec<Option<&str>> = texts[0].iter().collect();
        assert_eq!(texts, expected, "{data_type}");
    }
}

#[test]
fn a_time_that_no_calendar_has_is_refused() {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX]));
    let rows = RecordBatch::try_from_iter([("v", times)]).unwrap();
    assert_eq!(text::texts(&rows).unwrap_err().state().0, "22008");
}

fn changes(rows: &[(Option<&str>, i64, i8)]) -> DeltaBatch {
    let keys = StringArray::from(rows.iter().map(|r| r.0).collect::<Vec<_>>());
    let values = Int64Array::from(rows.iter().map(|r| r.1).collect::<Vec<_>>());
    let keys: ArrayRef = Arc::new(keys);
    let values: ArrayRef = Arc::new(values);
    let batch = RecordBatch::try_from_iter([("k", keys), ("v", values)]).unwrap();
    DeltaBatch::new(batch, rows.iter().map(|r| r.2).collect())
}

#[test]
fn the_last_added_row_of_a_key_counts() {
    let batches = [
        changes(&[
            (Some("a"), 1, -1),
            (Some("a"), 2, 1),
            (Some("b"), 1, -1),
            (Some("c"), 1, 1),
        ]),
        changes(&[
            (Some("c"), 2, 1),
            (Some("c"), 1, -1),
            (Some("d"), 1, -1),
            (Some("b"), 9, -1),
        ]),
    ];
    let by_one = newest(&batches, &[0]).unwrap();
    assert_eq!(by_one.upserts, [(0, 1), (1, 0)]);
    assert_eq!(by_one.deletes, [(1, 3), (1, 2)]);
    let by_both = newest(&batches, &[0, 1]).unwrap();
    // One that came and went is nothing.
    assert_eq!(by_both.upserts, [(0, 1), (1, 0)]);
    assert_eq!(by_both.deletes, [(0, 0), (0, 2), (1, 2), (1, 3)]);
}

#[test]
fn null_in_a_key_is_refused() {
    let batches = [changes(&[(Some("a"), 1, 1), (None, 2, 1)])];
    let error = newest(&batches, &[0]).unwrap_err();
    assert_eq!(error.state().0, "23502");
    assert_eq!(error.message(), "column \"k\" of the sink's key is NULL");
    assert_eq!(newest(&batches, &[1]).unwrap().upserts.len(), 2);
}

#[test]
fn a_statement_has_at_least_one_row_and_no_more_than_fit() {
    let long = "x".repeat(writer::MOST_BYTES / 2);
    let texts = [
        StringArray::from(vec!["", &long, &long, "y", &long]),
        StringArray::from(vec![None, Some("z"), None, Some(&*long), Some(&*long)]),
    ];
    assert_eq!(writer::fitting(&texts, 0, 5), 2);
    assert_eq!(writer::fitting(&texts, 2, 5), 1);
    assert_eq!(writer::fitting(&texts, 3, 5), 1);
    assert_eq!(writer::fitting(&texts, 4, 5), 1);
    assert_eq!(writer::fitting(&texts, 0, 1), 1);
}

#[test]
fn states_of_connections_and_resources_may_pass() {
    for (code, expected, passes) in [
        ("57P01", "57P01", true),
        ("53XXX", "53000", true),
        ("40P01", "40P01", true),
        ("25006", "08006", true),
        ("25P03", "08006", true),
        ("58P01", "58000", true),
        ("23505", "23505", false),
        ("28P01", "28P01", false),
        ("0A000", "22023", false),
        ("55006", "22023", false),
        ("é", "22023", false),
    ] {
        let state = trouble::state(code);
        assert_eq!(state.0, expected, "{code}");
        assert_eq!(may_pass(&Error::new(state, "")), passes, "{code}");
    }
}

#[test]
fn the_lock_of_a_sink_is_always_the_same() {
    assert_eq!(
        commits::lock_number("mill.out"),
        commits::lock_number("mill.out")
    );
    assert_ne!(
        commits::lock_number("mill.out"),
        commits::lock_number("mill.in")
    );
    // FNV-1a of "clickmill sink ".
    assert_eq!(commits::lock_number(""), 4_247_521_872_392_808_824);
}
