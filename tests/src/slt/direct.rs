//! Records asked in process, under a clock that stands still.

use async_trait::async_trait;
use dataflow::ManualClock;
use dataflow::options::parse_duration;
use sqllogictest::{AsyncDB, DBOutput};

use super::kind::Kind;
use super::{SqlError, copy_line, hide_version, is_subscribe, shown};
use crate::world::{Answer, Client, World};

/// A session in process.
pub struct Direct {
    client: Client,
    clock: Option<ManualClock>,
}

impl Direct {
    /// A new session.
    pub fn connect(world: &World) -> Self {
        Self {
            client: world.connect(),
            clock: world.clock.clone(),
        }
    }

    /// Whether a transaction block is open.
    pub(super) fn is_in_block(&self) -> bool {
        self.client.is_in_block()
    }

    /// Carries out `ADVANCE CLOCK 2 days`, which is no SQL but a word to this runner; says whether it was that.
    fn advance_clock(&self, sql: &str) -> bool {
        let Some(by) = sql.trim().strip_prefix("ADVANCE CLOCK ") else {
            return false;
        };
        let by = parse_duration(by).expect("ADVANCE CLOCK is followed by a duration");
        let clock = self
            .clock
            .as_ref()
            .expect("the clock of this database can be moved");
        clock.advance(i64::try_from(by.as_micros()).expect("a clock is moved by years at most"));
        true
    }
}

#[async_trait]
impl AsyncDB for Direct {
    type Error = SqlError;
    type ColumnType = Kind;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Kind>, SqlError> {
        if self.advance_clock(sql) {
            return Ok(DBOutput::StatementComplete(0));
        }
        Ok(
            match self
                .client
                .run(sql)
                .await
                .map_err(|error| of_database(&error))?
            {
                Answer::Rows { oids, rows } => {
                    let mut rows: Vec<Vec<String>> = rows
                        .iter()
                        .map(|row| row.iter().map(|value| shown(value.as_deref())).collect())
                        .collect();
                    if is_subscribe(sql) {
                        hide_version(&mut rows);
                    }
                    DBOutput::Rows {
                        types: oids.into_iter().map(Kind::of).collect(),
                        rows,
                    }
                }
                Answer::Copy(rows) => {
                    let line = |row: &Vec<Option<String>>| {
                        vec![copy_line(
                            &row.iter().map(Option::as_deref).collect::<Vec<_>>(),
                        )]
                    };
                    DBOutput::Rows {
                        types: vec![Kind::Text],
                        rows: rows.iter().map(line).collect(),
                    }
                }
                Answer::Done(tag) => {
                    let count = tag.rsplit(' ').next().and_then(|word| word.parse().ok());
                    DBOutput::StatementComplete(count.unwrap_or(0))
                }
            },
        )
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "direct"
    }

    fn error_sql_state(error: &SqlError) -> Option<String> {
        Some(error.state.clone())
    }
}

fn of_database(error: &dataflow::Error) -> SqlError {
    let place = error.location().map(|at| (at.line, at.column));
    SqlError::new(
        error.state().0,
        error.message(),
        place,
        error.detail_text(),
        error.hint_text(),
    )
}
