//! Whether Flink's rows and clickmill's are the same, as multisets of canonical texts, with the types of their columns.

use std::collections::BTreeMap;
use std::fmt::Write;

use e2e::flink::FlinkRows;
use e2e::world::Answer;

/// Rows of one kind that a complaint shows.
const SHOWN: usize = 5;

/// A canonical row to how often it is there.
type Multiset = BTreeMap<Vec<Option<String>>, usize>;

/// What differs, or nothing.
pub(super) fn differences(flink: &FlinkRows, clickmill: &Answer) -> Option<String> {
    let Answer::Rows { oids, rows } = clickmill else {
        panic!("no rows: {clickmill:?}")
    };
    let types: Vec<&str> = flink
        .columns
        .iter()
        .map(|column| flink_type(column))
        .collect();
    let found: Vec<&str> = oids.iter().map(|oid| clickmill_type(*oid)).collect();
    if types != found {
        return Some(format!("{:?}; clickmill's types: {found:?}", flink.columns));
    }
    let (expected, found) = (multiset(&flink.rows, &types), multiset(rows, &types));
    if expected == found {
        return None;
    }
    let mut said = format!(
        "{} rows of Flink, {} of clickmill",
        flink.rows.len(),
        rows.len()
    );
    show(&mut said, "Flink's alone", &expected, &found);
    show(&mut said, "clickmill's alone", &found, &expected);
    Some(said)
}

fn show(said: &mut String, whose: &str, these: &Multiset, those: &Multiset) {
    let alone = these
        .iter()
        .filter(|(row, times)| those.get(*row) != Some(times));
    for (row, times) in alone.take(SHOWN) {
        let cells: Vec<&str> = row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect();
        write!(said, "\n  {whose}: {} ({times} times)", cells.join(" | ")).unwrap();
    }
}

fn multiset(rows: &[Vec<Option<String>>], types: &[&str]) -> Multiset {
    let mut counts = Multiset::new();
    for row in rows {
        assert_eq!(row.len(), types.len());
        let cells = row.iter().zip(types);
        let row = cells
            .map(|(value, kind)| value.as_deref().map(|value| canonical(value, kind)))
            .collect();
        *counts.entry(row).or_default() += 1;
    }
    counts
}

/// The type that a column of Flink must have in clickmill. Flink gives the borders of windows as times without a zone, in the
/// zone of the session, which is UTC here; clickmill gives them the type of the event time.
fn flink_type(column: &str) -> &str {
    match column.rsplit_once(' ').unwrap().1 {
        "TIMESTAMP_WITHOUT_TIME_ZONE" | "TIMESTAMP_WITH_LOCAL_TIME_ZONE" => "time",
        "BIGINT" => "bigint",
        "INTEGER" => "int",
        "DOUBLE" => "double",
        "VARCHAR" => "text",
        other => panic!("no column has the type {other}"),
    }
}

fn clickmill_type(oid: u32) -> &'static str {
    match oid {
        1114 | 1184 => "time",
        20 => "bigint",
        23 => "int",
        701 => "double",
        1700 => "numeric",
        25 => "text",
        other => panic!("no column has the type {other}"),
    }
}

/// Of Flink's text and of clickmill's for the same value.
fn canonical(value: &str, kind: &str) -> String {
    match kind {
        "double" => format!("{:?}", value.parse::<f64>().unwrap()),
        // `1970-01-01 00:00:00.5+00`, or Flink's `1970-01-01T00:00:00.500000Z`.
        "time" => {
            let value = value.trim_end_matches("+00").trim_end_matches('Z');
            let (seconds, fraction) = value.split_once('.').unwrap_or((value, ""));
            assert!(seconds.len() == 19 && fraction.len() <= 6, "{value}");
            format!("{}.{fraction:0<6}", seconds.replace('T', " "))
        }
        _ => value.to_owned(),
    }
}
