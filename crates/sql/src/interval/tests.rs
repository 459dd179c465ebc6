//! Every accepted form of a constant interval, and the refusals.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::*;

fn expr(text: &str) -> Expr {
    let dialect = PostgreSqlDialect {};
    Parser::new(&dialect)
        .try_with_sql(text)
        .unwrap()
        .parse_expr()
        .unwrap()
}

#[test]
fn accepted_forms() {
    let second = 1_000_000;
    let minute = 60 * second;
    let hour = 60 * minute;
    let cases = [
        ("INTERVAL '5' SECOND", 5 * second),
        ("INTERVAL '5' SECONDS", 5 * second),
        ("INTERVAL '5 seconds'", 5 * second),
        ("INTERVAL '5'", 5 * second),
        ("INTERVAL 5 MINUTE", 5 * minute),
        ("INTERVAL '1.5' HOUR", 90 * minute),
        ("INTERVAL '1' WEEK", 7 * 24 * hour),
        ("INTERVAL '1' DAY", 24 * hour),
        ("INTERVAL '20' MILLISECOND", 20_000),
        ("INTERVAL '100 ms'", 100_000),
        ("INTERVAL '100ms'", 100_000),
        ("INTERVAL '7 us'", 7),
        ("INTERVAL '1 minute'", minute),
        ("interval '1 MINUTE'", minute),
        ("INTERVAL '1 hour 30 minutes'", 90 * minute),
        ("INTERVAL '1 hour -30 minutes'", 30 * minute),
        ("INTERVAL '1h30m'", 90 * minute),
        ("INTERVAL '00:05:00'", 5 * minute),
        ("INTERVAL '00:05'", 5 * minute),
        ("INTERVAL '100:00:00.25'", 100 * hour + 250_000),
        ("INTERVAL '-00:00:01.5'", -1_500_000),
        ("INTERVAL '1 day 02:00:00'", 26 * hour),
        ("INTERVAL '1 02:00:00'", 26 * hour),
        ("INTERVAL '0.5 seconds'", 500_000),
        ("INTERVAL '.5 s'", 500_000),
        ("INTERVAL '0.0000005 s'", 1),
        ("INTERVAL '5 minutes ago'", -5 * minute),
        ("- INTERVAL '5 minutes'", -5 * minute),
        ("INTERVAL '-5' MINUTE", -5 * minute),
        ("INTERVAL -5 MINUTE", -5 * minute),
        ("(INTERVAL '5 minutes')", 5 * minute),
        ("'00:05:00'::interval", 5 * minute),
        ("CAST('5 min' AS INTERVAL)", 5 * minute),
        ("'5 minutes'", 5 * minute),
        ("INTERVAL '0'", 0),
    ];
    for (text, micros) in cases {
        assert_eq!(interval_micros(&expr(text)).unwrap(), micros, "{text}");
    }
}

#[test]
fn refused_forms() {
    let cases = [
        ("INTERVAL '1' MONTH", "0A000"),
        ("INTERVAL '1 month'", "0A000"),
        ("INTERVAL '1 year 2 days'", "0A000"),
        ("INTERVAL '2' QUARTER", "0A000"),
        ("INTERVAL '1:30' MINUTE TO SECOND", "0A000"),
        ("INTERVAL '1' SECOND(3)", "0A000"),
        ("INTERVAL '5 ns'", "0A000"),
        ("ts", "0A000"),
        ("5", "0A000"),
        ("INTERVAL '1 minute' + INTERVAL '1 minute'", "0A000"),
        ("'5 minutes'::text", "0A000"),
        ("INTERVAL ''", "22007"),
        ("INTERVAL 'ago'", "22007"),
        ("INTERVAL 'five minutes'", "22007"),
        ("INTERVAL '5 minuets'", "22007"),
        ("INTERVAL '5 minutes!'", "22007"),
        ("INTERVAL '90 minutes' HOUR", "22007"),
        ("INTERVAL '1 2'", "22007"),
        ("INTERVAL '1.2.3 s'", "22007"),
        ("INTERVAL '1:2:3:4'", "22007"),
        ("INTERVAL '00:61'", "22007"),
        ("INTERVAL '00:00:60'", "22007"),
        ("INTERVAL '00:00:-5'", "22007"),
        ("INTERVAL '10000000000000000000 s'", "22007"),
        ("INTERVAL '999999999999999999 days'", "22008"),
    ];
    for (text, state) in cases {
        let error = interval_micros(&expr(text)).unwrap_err();
        assert_eq!(error.state().0, state, "{text}: {error}");
    }
}

#[test]
fn the_place_is_that_of_the_value() {
    let error = interval_micros(&expr("\n  INTERVAL 'x'")).unwrap_err();
    assert_eq!(error.location().map(|l| (l.line, l.column)), Some((2, 12)));
}

#[test]
fn a_size_must_be_positive() {
    let error =
        positive_interval_micros(&expr("INTERVAL '-1' HOUR"), "the size of a window").unwrap_err();
    assert_eq!(
        (error.state().0, error.message()),
        ("22023", "the size of a window must be longer than zero")
    );
    assert_eq!(
        positive_interval_micros(&expr("INTERVAL '1' HOUR"), "the size"),
        Ok(3_600_000_000)
    );
}
