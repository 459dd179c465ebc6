//! psql 15's own statements, answered as PostgreSQL 15 answers them (`tests/record.py` records both).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Answer, run, sample};
use crate::CatalogSnapshot;

/// Parts of statements about things that PostgreSQL has and clickmill has not: they must run, whatever they give.
const RUN_ONLY: &[&str] = &[
    "pg_cast c",
    "pg_ts_config c",
    "pg_opclass",
    "version()",
    "pg_catalog.lower(name)",
    "p.prokind != 'p'",
];
/// PostgreSQL's templates are databases, too: rows about other databases than ours are left out.
const OF_DATABASES: &str = "FROM pg_catalog.pg_database";

pub(super) fn with_oids(text: &str, snapshot: &CatalogSnapshot) -> String {
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

/// Columns whose type is not PostgreSQL's. The aliases of `oid` are sent as the names that they show.
fn wrong_types(line: &Json, answer: &Answer) -> Option<String> {
    let alike = |expected: &str, given: &str| {
        let texts = [
            "text",
            "name",
            "regclass",
            "regproc",
            "regtype",
            "character varying(3)",
            "character varying",
            "json",
            "\"char\"",
        ];
        let lists = ["text[]", "name[]"];
        let numbers = ["integer", "bigint", "numeric"];
        expected == given
            || [&texts[..], &lists, &numbers]
                .iter()
                .any(|alike| alike.contains(&expected) && alike.contains(&given))
    };
    let types = line["columns"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|column| column[1].as_str());
    let wrong = types
        .zip(&answer.types)
        .find(|(expected, given)| !alike(expected, given));
    wrong.map(|(expected, given)| format!("type {given}, expected {expected}"))
}

/// What is wrong with the answer to one recorded statement.
pub(super) async fn problem(
    line: &Json,
    asker: &str,
    snapshot: &Arc<CatalogSnapshot>,
) -> Option<String> {
    let sql = with_oids(line["sql"].as_str().expect("sql is text"), snapshot);
    let answer = match run(snapshot, &sql).await {
        Ok(Some(answer)) => answer,
        Ok(None) => return Some(format!("{asker}: {sql}\nis not seen as a catalog query")),
        Err(error) => return Some(format!("{asker}: {sql}\n{error}")),
    };
    if RUN_ONLY.iter().any(|part| sql.contains(part)) {
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
            "{asker}: {sql}\ncolumns {:?}, expected {names:?}",
            answer.columns
        ));
    }
    if let Some(types) = wrong_types(line, &answer) {
        return Some(format!("{asker}: {sql}\n{types}"));
    }
    let mut expected = expected_rows(line, snapshot);
    if sql.contains(OF_DATABASES) {
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
        .then(|| format!("{asker}: {sql}\ngave     {given:?}\nexpected {expected:?}"))
}

#[tokio::test]
async fn answers_are_those_of_postgres() {
    let snapshot = sample::objects();
    let mut problems: BTreeMap<String, String> = BTreeMap::new();
    let lines = include_str!("../../tests/data/psql.jsonl").lines();
    let mut count = 0;
    for line in lines {
        count += 1;
        let line: Json = serde_json::from_str(line).expect("psql.jsonl has one object on a line");
        let command = line["command"].as_str().expect("command is text");
        if let Some(problem) = problem(&line, command, &snapshot).await {
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
