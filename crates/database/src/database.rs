//! The database: one engine, one catalog, any number of sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use dataflow::connector::Connectors;
use dataflow::{Clock, Error, Result};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use engine::{Engine, Limits, MemoryCuts, Status};
use parking_lot::RwLock;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

use crate::catalog::Catalog;
use crate::session::Session;

/// Memory of all queries that end together, in bytes: what needs more fails, or goes to disk where DataFusion can.
const QUERY_MEMORY: usize = 2 << 30;

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
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(queries) = self.queries.take() {
            queries.shutdown_background();
        }
    }
}

impl Database {
    /// Starts the engine.
    pub fn start(config: Config) -> Result<Self> {
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
        let (failing, failed) = watch::channel(None);
        let engine = Engine::start(
            Arc::clone(&config.clock),
            Box::new(MemoryCuts::default()),
            Limits::default(),
            move |error| {
                if let Some(error) = &error {
                    tracing::error!(%error, "the engine stops");
                }
                // Nobody waits any more when the database is gone.
                let _ = failing.send(error);
            },
        )?;
        Ok(Self(Arc::new(Shared {
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
        })))
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
