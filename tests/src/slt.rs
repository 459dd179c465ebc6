//! Runs a `.slt` file on one engine and reports every record that fails.

pub mod direct;
pub mod kind;
pub mod restarted;
pub mod wire;

use std::fmt;
use std::path::Path;

use sqllogictest::{AsyncDB, MakeConnection, Record, Runner};

use kind::Kind;

/// An error as the records see it: `SQLSTATE message at line:column`, then lines `DETAIL: …` and `HINT: …`.
#[derive(Debug)]
pub struct SqlError {
    /// SQLSTATE.
    pub state: String,
    /// The whole text.
    pub text: String,
}

impl SqlError {
    /// An error from its parts.
    pub fn new(
        state: &str,
        message: &str,
        place: Option<(u64, u64)>,
        detail: Option<&str>,
        hint: Option<&str>,
    ) -> Self {
        let mut text = format!("{state} {message}");
        if let Some((line, column)) = place {
            text.push_str(&format!(" at {line}:{column}"));
        }
        for (name, part) in [("DETAIL", detail), ("HINT", hint)] {
            if let Some(part) = part {
                text.push_str(&format!("\n{name}: {part}"));
            }
        }
        Self {
            state: state.to_owned(),
            text,
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SqlError {}

/// A value as the records show it.
pub(crate) fn shown(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.to_owned(),
    }
}

/// A row of COPY's text format as the one value of a row.
pub(crate) fn copy_line(values: &[Option<&str>]) -> String {
    values
        .iter()
        .map(|value| value.unwrap_or("\\N"))
        .collect::<Vec<_>>()
        .join("\t")
}

/// The version in the first column of a SUBSCRIBE depends on how the engine cut its ticks: it is shown as `-`.
pub(crate) fn hide_version(rows: &mut [Vec<String>]) {
    for row in rows {
        "-".clone_into(&mut row[0]);
    }
}

pub(crate) fn is_subscribe(sql: &str) -> bool {
    sql.trim_start()
        .get(..9)
        .is_some_and(|word| word.eq_ignore_ascii_case("SUBSCRIBE"))
}

pub(crate) fn is_copy(sql: &str) -> bool {
    sql.trim_start()
        .get(..5)
        .is_some_and(|word| word.eq_ignore_ascii_case("COPY "))
}

/// Runs all records of a file; the failures of all of them together are the error.
pub async fn run_file<D, M>(mut runner: Runner<D, M>, file: &Path) -> Result<(), String>
where
    D: AsyncDB<ColumnType = Kind>,
    M: MakeConnection<Conn = D>,
{
    let records: Vec<Record<Kind>> =
        sqllogictest::parse_file(file).map_err(|error| error.to_string())?;
    let mut failures = Vec::new();
    for record in records {
        if let Err(error) = runner.run_async(record).await {
            failures.push(error.display(false).to_string());
        }
    }
    runner.shutdown_async().await;
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n\n"))
    }
}
