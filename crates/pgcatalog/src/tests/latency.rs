//! How long psql's statements take with a hundred relations.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::psql::with_oids;
use super::{run, sample};

/// What a statement may take at most, ten times what it takes on an idle machine: machines that run tests are busy.
const LIMIT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn statements_over_a_hundred_relations_are_quick() {
    let snapshot = sample::many(100);
    let mut times = Vec::new();
    for line in include_str!("../../tests/data/psql.jsonl").lines() {
        let line: Json = serde_json::from_str(line).expect("psql.jsonl has one object on a line");
        let sql = line["sql"].as_str().expect("sql is text");
        let sql =
            ["clicks", "recent", "pages", "page_views"]
                .iter()
                .fold(sql.to_owned(), |sql, name| {
                    with_oids(
                        &sql.replace(&format!("{{oid:{name}}}"), "{oid:source_7}"),
                        &snapshot,
                    )
                });
        let start = Instant::now();
        // Some statements name tables that are not here.
        let _ = run(&snapshot, &sql).await;
        times.push((start.elapsed(), sql));
    }
    times.sort();
    let (median, _) = &times[times.len() / 2];
    let (slowest, sql) = times.last().expect("there are statements");
    assert!(
        *slowest < LIMIT,
        "{slowest:?} (the median is {median:?}): {sql}"
    );
}
