//! psql 15's own statements, answered as PostgreSQL 15 answers them (`tests/record.py` records both).

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{run, sample};
use crate::CatalogSnapshot;

/// Commands about things that PostgreSQL has and clickmill has not: their statements must run, whatever they give.
const RUN_ONLY: &[&str] = &["\\dC", "\\dF"];
/// Commands whose rows about other databases than ours are left out.
const OF_DATABASES: &[&str] = &["\\l", "\\l+"];

fn with_oids(text: &str, snapshot: &CatalogSnapshot) -> String {
    let put = |text: String, (name, oid): (&str, u32)| {
        text.replace(&format!("{{oid:{name}}}"), &oid.to_string())
    };
    snapshot
        .relations
        .iter()
        .map(|relation| (relation.name.as_str(), relation.oid))
        .fold(text.to_owned(), put)
}

/// Sizes on disk differ.
fn without_size(cell: &str) -> String {
    let is_size = cell.split_once(' ').is_some_and(|(number, unit)| {
        number.chars().all(|c| c.is_ascii_digit()) && ["bytes", "kB", "MB"].contains(&unit)
    });
    if is_size {
        "some bytes".to_owned()
    } else {
        cell.to_owned()
    }
}

fn expected_rows(line: &Json, snapshot: &CatalogSnapshot) -> Vec<Vec<Option<String>>> {
    let cell = |cell: &Json| {
        cell.as_str()
            .map(|text| without_size(&with_oids(text, snapshot)))
    };
    let rows = line["rows"].as_array().expect("rows is an array");
    rows.iter()
        .map(|row| {
            row.as_array()
                .expect("a row is an array")
                .iter()
                .map(cell)
                .collect()
        })
        .collect()
}

/// What is wrong with the answer to one recorded statement.
async fn problem(line: &Json) -> Option<String> {
    let snapshot = sample::objects();
    let command = line["command"].as_str().expect("command is text");
    let sql = with_oids(line["sql"].as_str().expect("sql is text"), &snapshot);
    let answer = match run(&snapshot, &sql).await {
        Ok(Some(answer)) => answer,
        Ok(None) => return Some(format!("{command}: {sql}\nis not seen as a catalog query")),
        Err(error) => return Some(format!("{command}: {sql}\n{error}")),
    };
    if RUN_ONLY.contains(&command) {
        return None;
    }
    let names: Vec<&str> = line["columns"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|column| column[0].as_str())
        .collect();
    if names != answer.columns {
        return Some(format!(
            "{command}: {sql}\ncolumns {:?}, expected {names:?}",
            answer.columns
        ));
    }
    let types: Vec<String> = line["columns"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|column| column[1].as_str())
        .map(str::to_owned)
        .collect();
    let zipped = types.iter().zip(&answer.types).filter(|(a, b)| a != b);
    for (expected, given) in zipped {
        println!("TYPE {expected} given {given}: {}", sql.replace('\n', " "));
    }
    let mut expected = expected_rows(line, &snapshot);
    if OF_DATABASES.contains(&command) {
        expected.retain(|row| row[0].as_deref() == Some("clickmill"));
    }
    let shown = |row: Vec<Option<String>>| {
        row.into_iter()
            .map(|cell| cell.map(|cell| without_size(&cell)))
            .collect()
    };
    let mut given: Vec<Vec<Option<String>>> = answer.rows.into_iter().map(shown).collect();
    if !sql.to_uppercase().contains("ORDER BY") {
        expected.sort();
        given.sort();
    }
    (expected != given)
        .then(|| format!("{command}: {sql}\ngave     {given:?}\nexpected {expected:?}"))
}

#[tokio::test]
async fn answers_are_those_of_postgres() {
    let mut problems: BTreeMap<String, String> = BTreeMap::new();
    let lines = include_str!("../../tests/data/psql.jsonl").lines();
    let mut count = 0;
    for line in lines {
        count += 1;
        let line: Json = serde_json::from_str(line).expect("psql.jsonl has one object on a line");
        if let Some(problem) = problem(&line).await {
            let sql = line["sql"].as_str().expect("sql is text").to_owned();
            problems.insert(sql, problem);
        }
    }
    let report: Vec<&str> = problems.values().map(String::as_str).collect();
    assert!(
        problems.is_empty(),
        "{} of {count} statements:\n\n{}",
        problems.len(),
        report.join("\n\n")
    );
    assert!(count >= 140, "{count} statements are recorded");
}
