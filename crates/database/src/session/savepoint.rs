//! CREATE SAVEPOINT and DROP SAVEPOINT.

use std::sync::Arc;

use dataflow::{Error, Result, SqlState};
use sql::ast::Name;

use super::{Cancel, Session};
use crate::outcome::{Notice, Outcome};
use crate::query::canceled;
use crate::recovery::Savepoints;

impl Session {
    /// Asks the savepoints, where they are, about a name.
    async fn ask_savepoints<T: Send + 'static>(
        &self,
        name: &Name,
        ask: impl FnOnce(&Savepoints, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let history = Arc::clone(&self.shared.history);
        let asked = name.value.clone();
        let ask = move || match history.savepoints() {
            Some(savepoints) => ask(savepoints, &asked),
            None => Err(
                Error::unsupported("a savepoint of state that ends with the process")
                    .hint("serve --data-dir DIR keeps state"),
            ),
        };
        let answer = tokio::task::spawn_blocking(ask).await;
        let answer = answer.map_err(|e| Error::internal(format!("savepoints: {e}")))?;
        answer.map_err(|error| error.at(name.location))
    }

    /// Returns when the savepoint is on disk. It holds everything up to the newest version.
    pub(super) async fn create_savepoint(&self, name: &Name, cancel: &Cancel) -> Result<Outcome> {
        let answer = self.ask_savepoints(name, Savepoints::ask).await?;
        self.shared.engine.waker().wake();
        let kept = tokio::select! {
            kept = answer => kept,
            () = cancel.cancelled() => return Err(canceled()),
        };
        let stopped = |_| Error::new(SqlState::ADMIN_SHUTDOWN, "the engine has stopped");
        kept.map_err(stopped)??;
        Ok(Outcome::Done("CREATE SAVEPOINT".to_owned()))
    }

    pub(super) async fn drop_savepoint(&mut self, name: &Name, if_exists: bool) -> Result<Outcome> {
        if !self.ask_savepoints(name, Savepoints::drop).await? {
            let message = format!("savepoint \"{}\" does not exist", name.value);
            if !if_exists {
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message).at(name.location));
            }
            self.notices
                .push(Notice::plain(format!("{message}, skipping")));
        }
        Ok(Outcome::Done("DROP SAVEPOINT".to_owned()))
    }
}
