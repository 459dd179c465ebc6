//! The listener: accepts clients up to a limit, serves each in a task of its own, and ends them all at shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::Message;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use dataflow::{Error, Result, SqlState};

use crate::backend::Backend;
use crate::connection::{Shared, serve};
use crate::error::{Severity, response};
use crate::opening::too_many;

/// Ports that are tried when the first is taken.
const PORTS_TRIED: u16 = 100;
/// Sockets beyond twice the sessions: clients that are opening, and cancel requests.
const SPARE_SOCKETS: usize = 32;
/// Silence after which a client is probed, how often, and how many probes may go unanswered.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// How long clients get to end at shutdown, before their connections are cut.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(4);
/// Pause after a failed accept, such as when file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How the server listens.
#[derive(Clone, Debug)]
pub struct PgConfig {
    /// Address and port; port 0 takes any.
    pub listen: SocketAddr,
    /// When the port is taken, take the next free one.
    pub next_free_port: bool,
    /// Sessions at a time.
    pub max_connections: usize,
    /// How long a client may take to open its session.
    pub startup_timeout: Duration,
    /// Greatest Query, Parse or Bind message, in bytes.
    pub max_message_bytes: usize,
    /// Let clients of other hosts in. There is no authentication yet: whoever reaches the port may do everything.
    pub trust_remote: bool,
}

impl Default for PgConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5433)),
            next_free_port: false,
            max_connections: 100,
            startup_timeout: Duration::from_secs(10),
            max_message_bytes: 16 << 20,
            trust_remote: false,
        }
    }
}

/// A running server. Dropped without [`PgServer::shutdown`] it cuts its connections.
pub struct PgServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<JoinSet<()>>,
}

impl PgServer {
    /// Binds the port and begins to accept, on the tokio runtime that it is called on. A port that cannot be bound is
    /// `08006`.
    pub async fn start(config: PgConfig, backend: Arc<dyn Backend>) -> Result<Self> {
        let listener = bind(&config).await?;
        let address = listener
            .local_addr()
            .map_err(|error| cannot_listen(config.listen, &error))?;
        let sessions = Arc::new(Semaphore::new(config.max_connections));
        let shutdown = CancellationToken::new();
        let shared = Arc::new(Shared {
            config,
            backend,
            registry: Arc::default(),
            shutdown,
            sessions,
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sessions that are open now.
    pub fn sessions(&self) -> usize {
        self.shared.config.max_connections - self.shared.sessions.available_permits()
    }

    /// Stops accepting and ends every session with `57P01`. All are over when it returns, within 5 seconds.
    pub async fn shutdown(mut self) {
        self.shared.shutdown.cancel();
        let Ok(mut clients) = (&mut self.accepting).await else {
            return;
        };
        let all = async { while clients.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_GRACE, all).await.is_err() {
            clients.shutdown().await;
        }
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        self.shared.shutdown.cancel();
        self.accepting.abort();
    }
}

async fn bind(config: &PgConfig) -> Result<TcpListener> {
    let mut address = config.listen;
    let last = address.port().saturating_add(if config.next_free_port {
        PORTS_TRIED
    } else {
        0
    });
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error)
                if error.kind() == std::io::ErrorKind::AddrInUse && address.port() < last =>
            {
                address.set_port(address.port() + 1);
            }
            Err(error) => return Err(cannot_listen(config.listen, &error)),
        }
    }
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Error {
    Error::new(
        SqlState::CONNECTION_FAILURE,
        format!("cannot listen on {address}: {error}"),
    )
}

/// Accepts until shutdown; gives the clients that are left.
async fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => return clients,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => admit(socket, peer, &mut clients, &shared),
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn admit(socket: TcpStream, peer: SocketAddr, clients: &mut JoinSet<()>, shared: &Arc<Shared>) {
    if clients.len() >= 2 * shared.config.max_connections + SPARE_SOCKETS {
        // As much as can be told without waiting.
        let mut bytes = bytes::BytesMut::new();
        if response(&too_many(), Severity::Fatal, None)
            .encode(&mut bytes)
            .is_ok()
        {
            let _ = socket.try_write(&bytes);
        }
        return;
    }
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let options = SockRef::from(&socket)
        .set_tcp_keepalive(&keepalive)
        .and_then(|()| socket.set_nodelay(true));
    if let Err(error) = options {
        tracing::debug!(%error, %peer, "socket options refused");
    }
    let local = peer.ip().to_canonical().is_loopback();
    let (read, write) = socket.into_split();
    clients.spawn(serve(
        Box::new(read),
        Box::new(write),
        local,
        shared.clone(),
    ));
}
