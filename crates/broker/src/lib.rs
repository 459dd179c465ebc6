//! The embedded broker: one process, loopback only, in memory and if wanted on disk, too, speaking enough of the Kafka protocol
//! for demos and trials.
//!
//! What it has: topics with partitions, produce (with idempotent producers), fetch with long poll, offsets by
//! time, consumer groups of the classic protocol with committed offsets, topic creation and deletion.
//! What it has not, and refuses: transactions, replicas, static group members, log compaction, security.
//! A partition keeps what it received, up to a number of bytes and an age; then the oldest batches go.
#![warn(missing_docs)]

mod api;
mod batch;
mod disk;
mod groups;
mod log;
mod producers;
mod records;
mod server;
mod shape;
mod shared;
mod store;
mod topics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dataflow::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::shared::Shared;
use crate::store::Store;

/// How an embedded broker is set up.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Where to listen: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bytes that a partition keeps, bookkeeping included; beyond them the oldest batches are dropped.
    pub max_partition_bytes: u64,
    /// Age, counted from arrival, after which a batch is dropped.
    pub max_age: Duration,
    /// Connections at one time; one more is closed at once.
    pub max_connections: usize,
    /// Partitions of a topic that is created because a client asked for it; `None`: no topic comes into being so.
    pub auto_create_partitions: Option<i32>,
    /// The clock that ages batches.
    pub clock: Arc<dyn Clock>,
    /// A folder for topics, batches and commits of groups, so that they outlive the process; `None`: they end with it.
    pub folder: Option<PathBuf>,
    /// Whether another process that uses the folder loses it.
    pub take_over: bool,
}

impl Default for BrokerConfig {
    /// A free port of 127.0.0.1, 256 MiB and one day per partition, 256 connections, no automatic topics.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            max_partition_bytes: 256 << 20,
            max_age: Duration::from_secs(24 * 60 * 60),
            max_connections: 256,
            auto_create_partitions: None,
            clock: Arc::new(SystemClock),
            folder: None,
            take_over: false,
        }
    }
}

/// How long one that is taken over has to let its address go.
const TAKING_OVER: Duration = Duration::from_secs(10);

/// Does what may wait for a disk.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> dataflow::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(std::io::Error::other)?;
    done.map_err(std::io::Error::other)
}

async fn bind(config: &BrokerConfig) -> std::io::Result<TcpListener> {
    let begun = tokio::time::Instant::now();
    loop {
        match TcpListener::bind(config.listen).await {
            Err(error)
                if config.take_over
                    && error.kind() == std::io::ErrorKind::AddrInUse
                    && begun.elapsed() < TAKING_OVER =>
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            bound => return bound,
        }
    }
}

/// A running broker. Dropping it stops it without waiting; [`Broker::shutdown`] waits.
pub struct Broker {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Broker {
    /// Listens and serves on the current tokio runtime.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not a loopback address, what binding the address gives, or why the folder cannot
    /// be used.
    pub async fn start(config: BrokerConfig) -> std::io::Result<Self> {
        if !config.listen.ip().is_loopback() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                format!(
                    "the embedded broker listens on loopback addresses only, not on {}",
                    config.listen.ip()
                ),
            ));
        }
        let (stop, stopped) = watch::channel(false);
        // Whoever is taken over lets the address go.
        let store = match config.folder.clone() {
            Some(folder) => {
                let lost = stop.clone();
                let on_lost = move || {
                    // Nobody listens any more when it has stopped.
                    let _ = lost.send(true);
                };
                let open = move || Store::open(&folder, config.take_over, on_lost);
                Some(off_thread(open).await?)
            }
            None => None,
        };
        let listener = bind(&config).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(off_thread(move || Shared::new(config, address, store)).await?);
        let server = tokio::spawn(server::run(listener, Arc::clone(&shared), stopped));
        Ok(Self {
            shared,
            stop,
            server,
        })
    }

    /// The address to give to clients as `bootstrap.servers`.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Creates an empty topic.
    ///
    /// # Errors
    /// A topic of that name exists, the name is not one that Kafka takes, or there would be too many partitions.
    pub fn create_topic(&self, name: &str, partitions: i32) -> dataflow::Result<()> {
        self.shared
            .topics
            .create(name, partitions)
            .map_err(|error| error.of_topic(name))
    }

    /// Bytes of all fetch responses sent so far.
    pub fn bytes_out(&self) -> u64 {
        self.shared.bytes_out.load(Ordering::Relaxed)
    }

    /// Records accepted so far, repeated batches of idempotent producers not counted.
    pub fn records_in(&self) -> u64 {
        self.shared.records_in.load(Ordering::Relaxed)
    }

    /// Stops listening, closes every connection and waits until that is done.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.server.await {
            tracing::warn!(%error, "the embedded broker did not stop cleanly");
        }
    }
}
