//! A connection to a server and the runtime that drives it; every wait has a bound.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::trouble::Trouble;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer; a little more than what the server gives a statement (see [`SETTINGS`]).
const ANSWER: Duration = Duration::from_secs(65);

/// What holds for the session. The server is to find soon that a client is gone, since a lock dies with its session, and what
/// is committed is to be on disk.
const SETTINGS: &str = "SET TimeZone = 'UTC';
    SET statement_timeout = '60s';
    SET tcp_keepalives_idle = 30;
    SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 3;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Values of a statement's parameters.
pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// An open session.
pub(super) struct Session {
    client: Client,
    /// Why the connection has ended.
    ended: Arc<Mutex<Option<tokio_postgres::Error>>>,
    runtime: Runtime,
}

impl Session {
    /// Connects.
    pub(super) fn open(config: &Config) -> Result<Self, Trouble> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Trouble::Local)?;
        let connected = runtime.block_on(async { timeout(CONNECT, config.connect(NoTls)).await });
        let (client, connection) = match connected {
            Ok(Ok(connected)) => connected,
            failed => {
                // A look-up of the host's name may still go on, and is not waited for.
                runtime.shutdown_background();
                return Err(match failed {
                    Ok(Err(error)) => Trouble::Server(error),
                    _ => Trouble::Late(CONNECT),
                });
            }
        };
        let ended = Arc::new(Mutex::new(None));
        let reason = Arc::clone(&ended);
        runtime.spawn(async move {
            if let Err(error) = connection.await {
                *reason.lock() = Some(error);
            }
        });
        let session = Self {
            client,
            ended,
            runtime,
        };
        session.run(SETTINGS)?;
        Ok(session)
    }

    /// Runs statements that have no parameters.
    pub(super) fn run(&self, statements: &str) -> Result<(), Trouble> {
        self.wait(self.client.batch_execute(statements))
    }

    /// Prepares a statement.
    pub(super) fn prepare(&self, statement: &str) -> Result<Statement, Trouble> {
        self.wait(self.client.prepare(statement))
    }

    /// Runs a statement and gives the number of rows that it concerned.
    pub(super) fn execute(
        &self,
        statement: &Statement,
        parameters: Parameters<'_>,
    ) -> Result<u64, Trouble> {
        self.wait(self.client.execute(statement, parameters))
    }

    /// The rows of a query.
    pub(super) fn query(
        &self,
        query: &str,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Trouble> {
        self.wait(self.client.query(query, parameters))
    }

    /// Waits for a moment.
    pub(super) fn pause(&self, moment: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(moment).await });
    }

    fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Trouble> {
        let answer = self
            .runtime
            .block_on(async { timeout(ANSWER, answer).await });
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let reason = self.ended.lock().take().filter(|_| error.is_closed());
                Err(Trouble::Server(reason.unwrap_or(error)))
            }
            Err(_) => Err(Trouble::Late(ANSWER)),
        }
    }
}
