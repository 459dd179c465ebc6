//! The recorded statements of nine clients: how many plan and run.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::psql::problem;
use super::{run, sample};

/// Statements about the system in `client-statements.jsonl`: all of them run, or are planned where they have parameters.
const MUST_RUN: usize = 118;

#[tokio::test]
async fn recorded_statements_run() {
    let snapshot = sample::recorded();
    let (mut ran, mut other) = (0, 0);
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in include_str!("../../tests/data/client-statements.jsonl").lines() {
        let line: Json =
            serde_json::from_str(line).expect("client-statements.jsonl has one object on a line");
        let (client, sql) = (
            line["client"].as_str().expect("client is text"),
            line["sql"].as_str().expect("sql is text"),
        );
        match run(&snapshot, sql).await {
            Ok(Some(_)) => ran += 1,
            Ok(None) => other += 1,
            Err(error) => {
                let sql: String = sql
                    .split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .chars()
                    .take(300)
                    .collect();
                failed
                    .entry(client.to_owned())
                    .or_default()
                    .push(format!("{sql}\n    {error}"));
            }
        }
    }
    let mut report =
        format!("{ran} statements about the system run; {other} are about something else");
    for (client, statements) in &failed {
        report += &format!("\n{client}:\n  {}", statements.join("\n  "));
    }
    assert!(failed.is_empty(), "{report}");
    assert_eq!(ran, MUST_RUN, "{report}");
}

#[tokio::test]
async fn answers_are_those_of_postgres() {
    let snapshot = sample::recorded();
    let mut problems = Vec::new();
    for line in include_str!("../../tests/data/clients.jsonl").lines() {
        let line: Json =
            serde_json::from_str(line).expect("clients.jsonl has one object on a line");
        let client = line["client"].as_str().expect("client is text");
        problems.extend(problem(&line, client, &snapshot).await);
    }
    assert!(
        problems.is_empty(),
        "{} statements:\n\n{}",
        problems.len(),
        problems.join("\n\n")
    );
}
