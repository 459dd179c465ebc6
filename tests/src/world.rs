//! A database in this process, with or without its Postgres port, and an easy way to ask it.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use database::{
    Cancel, Config, DataDir, Database, Outcome, Place, Rows, Session, SessionInit,
    TransactionStatus,
};
use dataflow::connector::Connectors;
use dataflow::{Clock, ManualClock, Result, SystemClock};
use futures::StreamExt;
use kafka::KafkaConnector;
use pg::encode::{EncodeOptions, RowEncoder, Zone, columns};
use pg::{PgConfig, PgServer};
use tempfile::TempDir;

use crate::memory::MemoryConnector;

/// How long anything may take that should take a moment.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Time from one checkpoint to the next. The clock of most tests stands still, so that there is one at every end.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// Where a clock that stands still stands: 2026-01-01 00:00:00 UTC.
const BEGINNING: i64 = 1_767_225_600_000_000;

/// Runs a test that waits for things, on threads of its own.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let result = runtime.block_on(test);
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// A database.
pub struct World {
    /// The database itself.
    pub database: Database,
    /// Its clock, when that stands still by itself.
    pub clock: Option<ManualClock>,
    data: Option<Data>,
}

/// What is left of a database that is started again.
struct Data {
    folder: TempDir,
    clock: Arc<dyn Clock>,
    connectors: Connectors,
}

impl World {
    /// A database whose clock stands still.
    pub fn with_manual_clock() -> Self {
        let clock = ManualClock::new(BEGINNING);
        Self::new(Arc::new(clock.clone()), Some(clock), None)
    }

    /// A database under the machine's clock.
    pub fn with_system_clock() -> Self {
        Self::new(Arc::new(SystemClock), None, None)
    }

    /// A database whose clock stands still and whose state is kept in a folder.
    pub fn that_lasts() -> Self {
        let clock = ManualClock::new(BEGINNING);
        let folder = tempfile::tempdir().unwrap();
        Self::new(Arc::new(clock.clone()), Some(clock), Some(folder))
    }

    fn new(clock: Arc<dyn Clock>, manual: Option<ManualClock>, folder: Option<TempDir>) -> Self {
        let connectors = connectors(&clock);
        let path = folder.as_ref().map(TempDir::path);
        Self {
            database: start(Arc::clone(&clock), connectors.clone(), path),
            clock: manual,
            data: folder.map(|folder| Data {
                folder,
                clock,
                connectors,
            }),
        }
    }

    /// Ends the database without a word, and starts it again with what it has left in its folder.
    pub fn start_again(&mut self) {
        let data = self.data.as_ref().unwrap();
        self.database.shutdown();
        let (clock, connectors) = (Arc::clone(&data.clock), data.connectors.clone());
        self.database = start(clock, connectors, Some(data.folder.path()));
    }

    /// Opens the Postgres port of the database on a free port.
    pub async fn serve(&self) -> PgServer {
        let config = PgConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            ..PgConfig::default()
        };
        PgServer::start(config, Arc::new(self.database.clone()))
            .await
            .unwrap()
    }

    /// A new session.
    pub fn connect(&self) -> Client {
        Client::of(&self.database)
    }
}

fn connectors(clock: &Arc<dyn Clock>) -> Connectors {
    let mut connectors = connectors::all(clock);
    connectors.push(Arc::new(KafkaConnector::new(Arc::clone(clock))));
    connectors.push(Arc::new(MemoryConnector::default()));
    Connectors::new(connectors)
}

/// A database on a folder of state that outlives a loss of power, with checkpoints whenever something has happened.
pub fn start_synced(folder: &Path) -> Result<Database> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connectors = connectors(&clock);
    let data_dir = DataDir {
        sync: true,
        checkpoint_every: Duration::from_millis(1),
        ..data_dir(folder)
    };
    try_start(clock, connectors, Some(data_dir))
}

fn data_dir(folder: &Path) -> DataDir {
    DataDir {
        place: Place::Disk(folder.to_owned()),
        sync: false,
        journal_every: None,
        checkpoint_every: CHECKPOINT_EVERY,
        take_over: false,
        from_savepoint: None,
    }
}

fn start(clock: Arc<dyn Clock>, connectors: Connectors, folder: Option<&Path>) -> Database {
    try_start(clock, connectors, folder.map(data_dir)).unwrap()
}

fn try_start(
    clock: Arc<dyn Clock>,
    connectors: Connectors,
    data_dir: Option<DataDir>,
) -> Result<Database> {
    Database::start(Config {
        clock,
        connectors,
        version: env!("CARGO_PKG_VERSION"),
        data_dir,
    })
}

impl Drop for World {
    fn drop(&mut self) {
        self.database.shutdown();
    }
}

/// What a statement gave, as text.
#[derive(Debug)]
pub enum Answer {
    /// Rows with the oids of their columns' types.
    Rows {
        /// `pg_type.oid` of each column.
        oids: Vec<u32>,
        /// The values as psql shows them; `None` is NULL.
        rows: Vec<Vec<Option<String>>>,
    },
    /// Rows for COPY.
    Copy(Vec<Vec<Option<String>>>),
    /// A command tag.
    Done(String),
}

/// A session that is asked in process.
pub struct Client {
    session: Session,
}

impl Client {
    /// A new session of a database.
    pub fn of(database: &Database) -> Self {
        Self {
            session: database.session(SessionInit::default()).unwrap(),
        }
    }

    /// Runs the statements of one message; gives the last one's answer. SUBSCRIBE ends at its first progress row.
    pub async fn run(&mut self, text: &str) -> Result<Answer> {
        let result = self.run_batch(text).await;
        let finished = self.session.finish_batch().await;
        let answer = result?;
        finished?;
        Ok(answer)
    }

    async fn run_batch(&mut self, text: &str) -> Result<Answer> {
        let statements = self
            .session
            .parse(text)
            .inspect_err(|_| self.session.fail())?;
        let mut answer = Answer::Done(String::new());
        for statement in &statements {
            answer = match self.session.execute(statement, &[], &Cancel::new()).await? {
                Outcome::Rows(rows) => {
                    let (oids, rows) = self.texts(rows).await?;
                    Answer::Rows { oids, rows }
                }
                Outcome::Copy(rows, _) => Answer::Copy(self.texts(rows).await?.1),
                Outcome::Done(tag) => Answer::Done(tag),
            };
        }
        Ok(answer)
    }

    async fn texts(&self, rows: Rows) -> Result<(Vec<u32>, Vec<Vec<Option<String>>>)> {
        let zone = Zone::parse(&self.session.setting("timezone").unwrap_or_default())?;
        let columns = columns(&rows.schema, &[])?;
        let oids = columns.iter().map(|column| column.pg_type.oid).collect();
        let width = columns.len();
        let progressed = rows
            .schema
            .fields()
            .iter()
            .position(|f| f.name() == "clickmill_progressed");
        let mut encoder = RowEncoder::new(
            columns,
            EncodeOptions {
                zone,
                ..EncodeOptions::default()
            },
        );
        let mut stream = rows.stream;
        let mut texts = Vec::new();
        while let Some(batch) = stream.next().await {
            encoder.push(batch?)?;
            while let Some((cells, row)) = encoder.next_row()? {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                texts.push(
                    (0..width)
                        .map(|c| cells[c].get(row).map(text))
                        .collect::<Vec<_>>(),
                );
            }
            if let (Some(at), Some(last)) = (progressed, texts.last())
                && last[at].as_deref() == Some("t")
            {
                break;
            }
        }
        Ok((oids, texts))
    }

    /// Whether a transaction block is open.
    pub fn is_in_block(&self) -> bool {
        self.session.transaction_status() != TransactionStatus::Idle
    }

    /// The notices since the last call, as text.
    pub fn notices(&mut self) -> Vec<String> {
        let notices = self.session.take_notices().into_iter();
        notices.map(|notice| notice.message).collect()
    }

    /// Runs statements that must succeed.
    pub async fn execute(&mut self, text: &str) {
        self.run(text)
            .await
            .unwrap_or_else(|error| panic!("{text}\n{error:?}"));
    }

    /// The rows of a query that must succeed, NULL as `NULL`.
    pub async fn query(&mut self, text: &str) -> Vec<Vec<String>> {
        let answer = self
            .run(text)
            .await
            .unwrap_or_else(|error| panic!("{text}\n{error:?}"));
        let (Answer::Rows { rows, .. } | Answer::Copy(rows)) = answer else {
            panic!("no rows: {text}")
        };
        rows.into_iter()
            .map(|row| {
                row.into_iter()
                    .map(|v| v.unwrap_or_else(|| "NULL".to_owned()))
                    .collect()
            })
            .collect()
    }

    /// The one value of a query, NULL as `NULL`.
    pub async fn value(&mut self, text: &str) -> String {
        let rows = self.query(text).await;
        assert!(rows.len() == 1 && rows[0].len() == 1, "{text}: {rows:?}");
        rows[0][0].clone()
    }

    /// Asks `query` until its value fulfils `done`; panics after `patience`.
    pub async fn until(
        &mut self,
        query: &str,
        patience: Duration,
        done: impl Fn(&str) -> bool,
    ) -> String {
        let begun = Instant::now();
        loop {
            let value = self.value(query).await;
            if done(&value) {
                return value;
            }
            assert!(
                begun.elapsed() < patience,
                "waited {patience:?} for {query}; it is {value}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
