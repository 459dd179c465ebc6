//! CREATE SAVEPOINT and DROP SAVEPOINT.

use dataflow::{Error, Result, SqlState};
use sql::ast::Name;

use super::{Cancel, Session};
use crate::outcome::{Notice, Outcome};
use crate::query::canceled;
use crate::recovery::Savepoints;

impl Session {
    fn savepoints(&self, name: &Name) -> Result<&Savepoints> {
        let savepoints = self.shared.history.savepoints();
        savepoints.ok_or_else(|| {
            Error::unsupported("a savepoint of state that ends with the process")
                .at(name.location)
                .hint("serve --data-dir DIR keeps state")
        })
    }

    /// Returns when the savepoint is on disk. It holds everything up to the newest version.
    pub(super) async fn create_savepoint(&self, name: &Name, cancel: &Cancel) -> Result<Outcome> {
        let asked = self.savepoints(name)?.ask(&name.value);
        let answer = asked.map_err(|error| error.at(name.location))?;
        self.shared.engine.waker().wake();
        let kept = tokio::select! {
            kept = answer => kept,
            () = cancel.cancelled() => return Err(canceled()),
        };
        let stopped = |_| Error::new(SqlState::ADMIN_SHUTDOWN, "the engine has stopped");
        kept.map_err(stopped)??;
        Ok(Outcome::Done("CREATE SAVEPOINT".to_owned()))
    }

    pub(super) fn drop_savepoint(&mut self, name: &Name, if_exists: bool) -> Result<Outcome> {
        let dropped = self.savepoints(name)?.drop(&name.value);
        if !dropped.map_err(|error| error.at(name.location))? {
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
