//! Sources and sinks that need no broker: a generator of clicks, files, a socket, and the standard output. One file each,
//! and one line in [`all`].
#![warn(missing_docs)]

mod file;
mod generator;
mod http;
mod number;
mod postgres;
mod print;
#[cfg(test)]
mod sink_testing;
mod socket;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use dataflow::Clock;
use dataflow::connector::Connector;

/// All connectors of this crate, told the time by `clock`.
pub fn all(clock: &Arc<dyn Clock>) -> Vec<Arc<dyn Connector>> {
    vec![
        Arc::new(generator::GeneratorConnector::new(Arc::clone(clock))),
        Arc::new(file::FileConnector::new("file")),
        // Flink's name for it.
        Arc::new(file::FileConnector::new("filesystem")),
        Arc::new(socket::SocketConnector::new(Arc::clone(clock))),
        Arc::new(print::PrintConnector),
        Arc::new(postgres::PostgresConnector),
        Arc::new(http::HttpConnector),
    ]
}
