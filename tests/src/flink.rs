//! Apache Flink SQL of one test, run by `tests/flink/flink`.

use std::io::{Seek, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::tools::tests_folder;

/// What one query gave.
#[derive(Debug)]
pub struct FlinkRows {
    /// Name and Flink's type root of each column, as `page_url VARCHAR`.
    pub columns: Vec<String>,
    /// The rows in no order; times are `1970-01-01T00:00:00.000000Z`.
    pub rows: Vec<Vec<Option<String>>>,
}

/// Runs statements of Flink SQL in one JVM, one after another; gives the rows of each query in order. CREATE and ALTER
/// give none.
pub fn run(statements: &[String]) -> Vec<FlinkRows> {
    let mut input = tempfile::tempfile().unwrap();
    for statement in statements {
        writeln!(input, "{}", statement.replace('\n', " ")).unwrap();
    }
    input.rewind().unwrap();
    let output = Command::new(tests_folder().join("flink/flink"))
        .arg("run")
        .stdin(input)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let last = printed.lines().last();
    assert!(
        output.status.success(),
        "Flink ended with {} behind the line {last:?}",
        output.status
    );
    let mut all: Vec<FlinkRows> = Vec::new();
    for line in printed.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let query = line["query"].as_u64().unwrap();
        if let Some(columns) = line.get("columns") {
            assert_eq!(query, all.len() as u64);
            let columns = texts(columns).into_iter().map(Option::unwrap).collect();
            let rows = Vec::new();
            all.push(FlinkRows { columns, rows });
        } else {
            assert_eq!(query + 1, all.len() as u64);
            all.last_mut().unwrap().rows.push(texts(&line["row"]));
        }
    }
    all
}

fn texts(values: &Value) -> Vec<Option<String>> {
    let values = values.as_array().unwrap().iter();
    values
        .map(|value| value.as_str().map(str::to_owned))
        .collect()
}
