//! The database: one engine, one catalog, any number of sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dataflow::connector::Connectors;
use dataflow::{Clock, Error, Micros, Result};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use engine::{Engine, Limits, Status};
use parking_lot::RwLock;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::recovery::{self, Data, DataDir, History, Recovery, RecoveryStatus};
use crate::session::Session;
use crate::sinks::{Owned, Sinks};

/// Memory of all queries that end together, in bytes: what needs more fails, or goes to disk where DataFusion can.
const QUERY_MEMORY: usize = 2 << 30;

/// How long sinks may write what there is when the engine stops.
const DRAIN: Duration = Duration::from_secs(2);

/// Partitions of queries that end.
const PARALLEL: usize = 2;

/// What a database is made of.
pub struct Config {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The connectors that `CREATE SOURCE` may name.
    pub connectors: Connectors,
    /// clickmill's version, for `version()`.
    pub version: &'static str,
    /// Where state is kept; without it, state ends with the process.
    pub data_dir: Option<DataDir>,
}

/// Who opens a session.
#[derive(Clone, Debug, Default)]
pub struct SessionInit {
    /// Role name.
    pub user: String,
    /// Database name.
    pub database: String,
    /// `application_name`, empty when not given; `psql` gets a bare SUBSCRIBE in COPY form.
    pub application_name: String,
    /// Further settings from the startup packet, name and value.
    pub settings: Vec<(String, String)>,
}

/// A database. Cheap to clone; the engine stops with [`Database::shutdown`] or with the last clone.
#[derive(Clone)]
pub struct Database(pub(crate) Arc<Shared>);

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) connectors: Connectors,
    pub(crate) version: &'static str,
    pub(crate) engine: Engine,
    /// Why the engine ended by itself.
    failed: watch::Receiver<Option<Error>>,
    pub(crate) catalog: RwLock<Catalog>,
    /// DDL of one session at a time.
    pub(crate) ddl: Arc<tokio::sync::Mutex<()>>,
    /// Functions and defaults for planning.
    pub(crate) state: SessionState,
    next_ephemeral: AtomicU64,
    next_session: AtomicI32,
    /// Where queries that end compute.
    queries: Option<Runtime>,
    recovery: Option<Recovery>,
    /// Tells the state here from all other, in letters and digits.
    pub(crate) identity: String,
    /// Whether state outlives the process.
    pub(crate) is_lasting: bool,
    /// Says whether the state is still this process's.
    pub(crate) owned: Owned,
    pub(crate) sinks: Sinks,
    pub(crate) history: Arc<History>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.sinks.stop();
        if let Some(queries) = self.queries.take() {
            queries.shutdown_background();
        }
    }
}

impl Database {
    /// Starts the engine; see [`Database::start_until`].
    pub fn start(config: Config) -> Result<Self> {
        Self::start_until(config, &Arc::default())
    }

    /// Starts the engine, with everything as it was before if there is a data folder. That takes a while, and ends with an
    /// error when `stop` is set.
    pub fn start_until(config: Config, stop: &Arc<AtomicBool>) -> Result<Self> {
        let history = Arc::<History>::default();
        let place = config.data_dir.as_ref();
        let (failing, failed) = watch::channel(None);
        let lost = failing.clone();
        let ends = Arc::clone(stop);
        let on_lost = move |error| {
            // Also while it is still being started.
            ends.store(true, Ordering::Relaxed);
            tracing::error!(%error, "the engine stops");
            // Nobody waits any more when the database is gone.
            let _ = lost.send(Some(error));
        };
        let data = place.map(|place| Data::open(place, &history, on_lost));
        let data = data.transpose()?;
        let queries = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(PARALLEL)
            .thread_name("queries")
            .enable_all()
            .build()
            .map_err(|e| Error::internal(format!("the threads of queries did not start: {e}")))?;
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(QUERY_MEMORY, 1.0)
            .build_arc()
            .map_err(sql::errors::from_datafusion)?;
        let identity = match &data {
            Some(data) => data.identity().to_owned(),
            None => recovery::new_identity()?,
        };
        let (engine, mut idle) = Engine::prepare(Arc::clone(&config.clock), Limits::default());
        let mut shared = Shared {
            clock: config.clock,
            connectors: config.connectors,
            version: config.version,
            engine,
            failed,
            catalog: RwLock::new(Catalog::default()),
            ddl: Arc::default(),
            state: sql::planner::session_state(PARALLEL, runtime),
            next_ephemeral: AtomicU64::new(1),
            next_session: AtomicI32::new(1),
            queries: Some(queries),
            recovery: None,
            identity,
            is_lasting: data.is_some(),
            owned: match &data {
                Some(data) => {
                    let claim = data.claim();
                    Arc::new(move || claim.check())
                }
                None => Arc::new(|| Ok(())),
            },
            sinks: Sinks::default(),
            history: Arc::clone(&history),
        };
        if let Some(mut data) = data {
            let begun = Instant::now();
            let recovery = data.recover(&shared, &mut idle.core, stop)?;
            if recovery.found_something() {
                let took = begun.elapsed().as_micros();
                history.recovered(RecoveryStatus {
                    at: shared.clock.now(),
                    took: Micros::try_from(took).unwrap_or(Micros::MAX),
                    what: recovery.clone(),
                });
            }
            shared.recovery = Some(recovery);
            idle.core.set_journal(Box::new(data));
        }
        (shared.owned)()?;
        // Before there are new versions: a target can have none that is not known by now.
        shared.follow_sinks()?;
        shared.engine.start(idle, move |error| {
            if let Some(error) = &error {
                tracing::error!(%error, "the engine stops");
            }
            // Nobody waits any more when the database is gone.
            let _ = failing.send(error);
        })?;
        Ok(Self(Arc::new(shared)))
    }

    /// What was done to have everything as it was before; `None` without a data folder.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.0.recovery.as_ref()
    }

    /// Opens a session.
    pub fn session(&self, init: SessionInit) -> Result<Session> {
        let pid = self.0.next_session.fetch_add(1, Ordering::Relaxed);
        Session::new(Arc::clone(&self.0), pid, init)
    }

    /// The engine's status: sources, partitions, views.
    pub async fn status(&self) -> Result<Status> {
        self.0.status().await
    }

    /// Waits until the engine has ended by itself, which it does only when it cannot go on, and says why.
    pub async fn failed(&self) -> Error {
        let mut failed = self.0.failed.clone();
        match failed.wait_for(Option::is_some).await {
            Ok(error) => error
                .clone()
                .unwrap_or_else(|| Error::internal("the engine has stopped")),
            // Stopped as it was told to.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops the engine. Sessions that are still open get errors.
    pub fn shutdown(&self) {
        if (self.0.owned)().is_ok() {
            self.0.sinks.drain(DRAIN);
        }
        self.0.sinks.stop();
        self.0.engine.stop();
    }
}

impl Shared {
    /// Where queries that end compute.
    pub(crate) fn query_threads(&self) -> &Handle {
        let queries = self.queries.as_ref();
        queries
            .expect("the runtime is there until the last drop")
            .handle()
    }

    pub(crate) async fn status(&self) -> Result<Status> {
        let answer = self.engine.status()?;
        blocking(move || answer.recv()).await
    }

    /// Has the sinks of the catalog run, and no others.
    pub(crate) fn follow_sinks(&self) -> Result<()> {
        let catalog = self.catalog.read().clone();
        self.sinks.follow(self, &catalog)
    }

    /// A name for what a SUBSCRIBE runs; no user can write it.
    pub(crate) fn ephemeral_name(&self) -> String {
        format!(
            "\u{0}subscribe{}",
            self.next_ephemeral.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Applies changes and waits until they can be seen.
    pub(crate) async fn apply(&self, changes: Vec<engine::Change>) -> Result<u64> {
        let answer = self.engine.apply(changes)?;
        blocking(move || answer.recv()).await?
    }
}

/// Waits for the engine's answer off the async threads.
async fn blocking<T: Send + 'static>(
    wait: impl FnOnce() -> std::result::Result<T, crossbeam_channel::RecvError> + Send + 'static,
) -> Result<T> {
    let stopped = || Error::new(dataflow::SqlState::ADMIN_SHUTDOWN, "the engine has stopped");
    match tokio::task::spawn_blocking(wait).await {
        Ok(Ok(value)) => Ok(value),
        _ => Err(stopped()),
    }
}
