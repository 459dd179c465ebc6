//! Records asked over the wire, by tokio-postgres.

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, pin_mut};
use sqllogictest::{AsyncDB, DBOutput};
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::kind::Kind;
use super::{SqlError, hide_version, is_copy, is_subscribe, shown};

/// A connection.
pub struct Wire {
    client: Client,
}

impl Wire {
    /// Connects to a server of this machine.
    pub async fn connect(port: u16) -> Result<Self, SqlError> {
        let config = format!("host=127.0.0.1 port={port} user=slt dbname=slt application_name=slt");
        let (client, connection) = tokio_postgres::connect(&config, NoTls)
            .await
            .map_err(|e| of_driver(&e, ""))?;
        tokio::spawn(connection);
        Ok(Self { client })
    }

    async fn simple(&self, sql: &str) -> Result<DBOutput<Kind>, tokio_postgres::Error> {
        let mut rows = Vec::new();
        let mut columns = None;
        let mut count = 0;
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(description) => {
                    columns = Some(description.len())
                }
                SimpleQueryMessage::Row(row) => rows.push(values(&row)),
                SimpleQueryMessage::CommandComplete(n) => count = n,
                _ => {}
            }
        }
        // The simple protocol of this driver does not tell the columns' types; the letters are checked in process.
        Ok(match columns {
            Some(width) => DBOutput::Rows {
                types: vec![Kind::Text; width],
                rows,
            },
            None => DBOutput::StatementComplete(count),
        })
    }

    async fn copy(&self, sql: &str) -> Result<DBOutput<Kind>, tokio_postgres::Error> {
        let chunks: Vec<_> = self.client.copy_out(sql).await?.try_collect().await?;
        let text = String::from_utf8(chunks.concat()).expect("clickmill sends UTF-8");
        let rows = text.lines().map(|line| vec![line.to_owned()]).collect();
        Ok(DBOutput::Rows {
            types: vec![Kind::Text],
            rows,
        })
    }

    /// Reads a SUBSCRIBE up to its first progress row, then cancels it.
    async fn subscribe(&self, sql: &str) -> Result<DBOutput<Kind>, tokio_postgres::Error> {
        let stream = self.client.simple_query_raw(sql).await?;
        pin_mut!(stream);
        let mut rows = Vec::new();
        let mut width = 0;
        while let Some(message) = stream.next().await {
            match message? {
                SimpleQueryMessage::RowDescription(description) => width = description.len(),
                SimpleQueryMessage::Row(row) => {
                    rows.push(values(&row));
                    if row.get("clickmill_progressed") == Some("t") {
                        break;
                    }
                }
                _ => {}
            }
        }
        self.client.cancel_token().cancel_query(NoTls).await?;
        while let Some(message) = stream.next().await {
            match message {
                Err(error) if error.code().is_some_and(|state| state.code() == "57014") => break,
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        hide_version(&mut rows);
        Ok(DBOutput::Rows {
            types: vec![Kind::Text; width],
            rows,
        })
    }
}

fn values(row: &SimpleQueryRow) -> Vec<String> {
    (0..row.len()).map(|at| shown(row.get(at))).collect()
}

#[async_trait]
impl AsyncDB for Wire {
    type Error = SqlError;
    type ColumnType = Kind;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Kind>, SqlError> {
        let result = if is_subscribe(sql) {
            self.subscribe(sql).await
        } else if is_copy(sql) {
            self.copy(sql).await
        } else {
            self.simple(sql).await
        };
        result.map_err(|error| of_driver(&error, sql))
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "wire"
    }

    fn error_sql_state(error: &SqlError) -> Option<String> {
        Some(error.state.clone())
    }
}

fn of_driver(error: &tokio_postgres::Error, sql: &str) -> SqlError {
    let Some(error) = error.as_db_error() else {
        return SqlError::new("-----", &format!("the driver: {error}"), None, None, None);
    };
    let place = match error.position() {
        Some(ErrorPosition::Original(at)) => Some(line_and_column(sql, *at as usize)),
        _ => None,
    };
    SqlError::new(
        error.code().code(),
        error.message(),
        place,
        error.detail(),
        error.hint(),
    )
}

/// The line and column of the character `at`, all counted from 1.
fn line_and_column(sql: &str, at: usize) -> (u64, u64) {
    let before: String = sql.chars().take(at.saturating_sub(1)).collect();
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
    (line, column)
}
