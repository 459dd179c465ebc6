//! Starts the parts that commands are made of: the engine with its connectors, the port for psql, the embedded broker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use broker::{Broker, BrokerConfig};
use database::{Config, DataDir, Database, Session, SessionInit};
use dataflow::connector::Connectors;
use dataflow::{Clock, Error, SystemClock};
use kafka::KafkaConnector;
use pg::{PgConfig, PgServer};

use crate::report::{Failure, Outcome, Report};

/// clickmill's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Where psql finds clickmill unless told otherwise.
pub(crate) const PG_PORT: u16 = 5433;
/// Where Kafka clients find the embedded broker unless told otherwise.
pub(crate) const KAFKA_PORT: u16 = 9092;
/// Ports that are tried when the first is taken.
const PORTS_TRIED: u16 = 100;
/// Bytes that a partition of the embedded broker keeps.
const PARTITION_BYTES: u64 = 64 << 20;
/// How long the embedded broker keeps a record.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Which port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// This one; 0 is any.
    Exactly(u16),
    /// This one, or the next that is free.
    From(u16),
}

impl Port {
    /// The port that was asked for, else `usual` or the next free one.
    pub(crate) fn or_next(asked: Option<u16>, usual: u16) -> Self {
        asked.map_or(Self::From(usual), Self::Exactly)
    }

    fn first(self) -> u16 {
        match self {
            Self::Exactly(port) | Self::From(port) => port,
        }
    }

    /// The last port to try.
    fn last(self) -> u16 {
        match self {
            Self::Exactly(port) => port,
            Self::From(port) => port.saturating_add(PORTS_TRIED),
        }
    }
}

/// Starts an engine, with what was there before if its state is kept in a folder.
pub(crate) fn start(data_dir: Option<DataDir>, stop: &Arc<AtomicBool>) -> Outcome<Database> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut connectors = connectors::all(&clock);
    connectors.push(Arc::new(KafkaConnector::new(Arc::clone(&clock))));
    let connectors = Connectors::new(connectors);
    let config = Config {
        clock,
        connectors,
        version: VERSION,
        data_dir,
    };
    Ok(Database::start_until(config, stop)?)
}

/// A session for the command line's own statements.
pub(crate) fn session(database: &Database) -> Outcome<Session> {
    let user = std::env::var("USER").unwrap_or_else(|_| "clickmill".to_owned());
    let init = SessionInit {
        database: user.clone(),
        user,
        application_name: "clickmill".to_owned(),
        settings: Vec::new(),
    };
    Ok(database.session(init)?)
}

/// Why a command ends whose engine could not go on.
pub(crate) fn failure(error: Error) -> Failure {
    let report = Report::from(error);
    Report {
        message: format!("the engine stopped: {}", report.message),
        ..report
    }
    .into()
}

/// Stops an engine off the async threads.
pub(crate) async fn stop(database: Database) {
    if let Err(error) = tokio::task::spawn_blocking(move || database.shutdown()).await {
        tracing::warn!(%error, "the engine did not stop cleanly");
    }
}

/// Opens the port for psql.
pub(crate) async fn open_pg(
    database: &Database,
    host: IpAddr,
    port: Port,
    trust_remote: bool,
) -> Outcome<PgServer> {
    let config = PgConfig {
        listen: SocketAddr::from((host, port.first())),
        next_free_port: matches!(port, Port::From(_)),
        trust_remote,
        ..PgConfig::default()
    };
    PgServer::start(config, Arc::new(database.clone()))
        .await
        .map_err(|error| {
            let report = Report {
                code: None,
                ..Report::from(error)
            };
            report
                .hint("choose another port with --pg-port; 0 takes any")
                .into()
        })
}

/// Starts a broker on loopback. `auto_create`: topics come into being when a client asks for them.
/// What it has lasts in a folder if there is one; whether to take that over stands beside it.
pub(crate) async fn start_broker(
    port: Port,
    auto_create: Option<i32>,
    folder: Option<(PathBuf, bool)>,
) -> Outcome<Broker> {
    let mut number = port.first();
    loop {
        let config = BrokerConfig {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, number)),
            max_partition_bytes: PARTITION_BYTES,
            max_age: MAX_AGE,
            auto_create_partitions: auto_create,
            take_over: folder.as_ref().is_some_and(|(_, take_over)| *take_over),
            folder: folder.as_ref().map(|(folder, _)| folder.clone()),
            ..BrokerConfig::default()
        };
        match Broker::start(config).await {
            Ok(broker) => return Ok(broker),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && number < port.last() => {
                number += 1;
            }
            Err(error) => {
                if let Some(error) = error.get_ref().and_then(|e| e.downcast_ref::<Error>()) {
                    return Err(Report::from(error.clone()).into());
                }
                let message = format!("cannot start the broker on 127.0.0.1:{number}: {error}");
                return Err(Report::new(message)
                    .hint("choose another port with --kafka-port; 0 takes any")
                    .into());
            }
        }
    }
}

/// How to reach a server with psql.
pub(crate) fn psql_line(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        ip => ip.to_string(),
    };
    format!("psql -h {host} -p {}", address.port())
}

/// Turns what a task gave into what it means for the command.
pub(crate) fn joined<T>(result: Result<Outcome<T>, tokio::task::JoinError>) -> Outcome<T> {
    match result {
        Ok(outcome) => outcome,
        Err(error) => Err(Failure::new(format!("a part of clickmill failed: {error}"))),
    }
}
