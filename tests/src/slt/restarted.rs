//! Records asked in process, of a database that is ended and started again from its folder between them.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use sqllogictest::{AsyncDB, DBOutput};

use super::SqlError;
use super::direct::Direct;
use super::kind::Kind;
use crate::world::World;

/// After so many records the database is started again.
const EVERY: usize = 3;

/// The database, and how often it was started.
pub struct Lasting {
    world: World,
    starts: usize,
    records: usize,
}

impl Lasting {
    /// A new database with a folder of its own.
    pub fn start() -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            world: World::that_lasts(),
            starts: 0,
            records: 0,
        }))
    }

    /// How often it was started again.
    pub fn starts(&self) -> usize {
        self.starts
    }
}

/// A session that is opened again, with its settings, whenever the database has been started again.
pub struct Restarted {
    database: Arc<Mutex<Lasting>>,
    session: Option<Direct>,
    /// The database's count of starts when the session was opened.
    opened: usize,
    settings: Vec<String>,
}

impl Restarted {
    /// A new session.
    pub fn connect(database: &Arc<Mutex<Lasting>>) -> Self {
        Self {
            database: Arc::clone(database),
            session: None,
            opened: 0,
            settings: Vec::new(),
        }
    }

    /// Starts the database again if it is time, and opens the session if it is not open.
    async fn open(&mut self) -> Result<&mut Direct, SqlError> {
        let is_in_block = self.session.as_ref().is_some_and(Direct::is_in_block);
        let mut again = None;
        {
            let mut database = self.database.lock();
            database.records += 1;
            if database.records % EVERY == 0 && !is_in_block {
                self.session = None;
                database.world.start_again();
                database.starts += 1;
            }
            if self.session.is_none() || self.opened != database.starts {
                self.opened = database.starts;
                again = Some(Direct::connect(&database.world));
            }
        }
        if let Some(mut session) = again {
            for setting in &self.settings {
                session.run(setting).await?;
            }
            self.session = Some(session);
        }
        Ok(self.session.as_mut().expect("it was opened"))
    }
}

#[async_trait]
impl AsyncDB for Restarted {
    type Error = SqlError;
    type ColumnType = Kind;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Kind>, SqlError> {
        let result = self.open().await?.run(sql).await;
        let words = sql.trim_start().to_ascii_uppercase();
        let sets = ["SET ", "RESET ", "DISCARD "]
            .iter()
            .any(|word| words.starts_with(word));
        if sets && result.is_ok() {
            self.settings.push(sql.to_owned());
        }
        result
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "restarted"
    }

    fn error_sql_state(error: &SqlError) -> Option<String> {
        Some(error.state.clone())
    }
}
