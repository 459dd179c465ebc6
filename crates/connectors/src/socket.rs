//! The connector `socket`: lines that a server sends over TCP. Nothing is kept and nothing can be read again.

mod link;

use std::sync::Arc;

use dataflow::connector::{
    Connector, Health, OpenRequest, Partition, PollLimits, Position, SourceFactory, SourceReader,
};
use dataflow::options::Options;
use dataflow::{Clock, Error, Result, Slab, SqlState};

use crate::number;
use link::Shared;

/// The delimiter that there is: the end of a line.
const NEWLINE: u64 = 10;

/// Reads lines from a server: `WITH (connector = 'socket', hostname = '…', port = …)`.
pub(crate) struct SocketConnector {
    clock: Arc<dyn Clock>,
}

impl SocketConnector {
    /// Lines bear the time of `clock` at which they came.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl Connector for SocketConnector {
    fn name(&self) -> &'static str {
        "socket"
    }

    fn source(&self, options: &mut Options) -> Result<Arc<dyn SourceFactory>> {
        let host = options.require("hostname", &["host"])?;
        let host = host.trim().to_owned();
        if host.is_empty() {
            let message = "option \"hostname\" is empty";
            return Err(Error::new(SqlState::INVALID_PARAMETER, message));
        }
        let port = number::take(options, "port", &[], 1..=u64::from(u16::MAX))?;
        let port = port.and_then(|port| u16::try_from(port).ok());
        let Some(port) = port else {
            let message = "option \"port\" is missing";
            return Err(Error::new(SqlState::INVALID_PARAMETER, message)
                .hint("add port = 9999 to WITH (…)"));
        };
        number::take(options, "byte-delimiter", &[], NEWLINE..=NEWLINE)?;
        Ok(Arc::new(SocketSource {
            host,
            port,
            clock: Arc::clone(&self.clock),
        }))
    }
}

struct SocketSource {
    host: String,
    port: u16,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for SocketSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.topic())
    }
}

impl SourceFactory for SocketSource {
    fn open(&self, request: OpenRequest) -> Result<Box<dyn SourceReader>> {
        if request.bounded {
            return Err(Error::unsupported("a query that ends over a socket")
                .hint("a socket has no end and keeps nothing: SUBSCRIBE, or a materialized view"));
        }
        let shared = Arc::new(Shared::new(request.waker, Arc::clone(&self.clock)));
        link::spawn(self.host.clone(), self.port, Arc::clone(&shared))?;
        Ok(Box::new(SocketReader {
            shared,
            partition: [Partition {
                topic: self.topic().into(),
                id: 0,
                position: 0,
                end: -1,
                at_end: true,
                stop: None,
                note: None,
            }],
            paused: false,
        }))
    }

    fn replays(&self) -> bool {
        false
    }

    fn topic(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

struct SocketReader {
    shared: Arc<Shared>,
    partition: [Partition; 1],
    paused: bool,
}

impl SourceReader for SocketReader {
    fn partitions(&self) -> &[Partition] {
        &self.partition
    }

    fn poll(&mut self, slab: &mut Slab, limits: PollLimits) -> Result<()> {
        slab.clear();
        slab.partition = 0;
        slab.topic = Arc::clone(&self.partition[0].topic);
        if self.paused {
            return Ok(());
        }
        let partition = &mut self.partition[0];
        let full =
            |slab: &Slab| slab.len() >= limits.max_records || slab.data.len() >= limits.max_bytes;
        while !full(slab) {
            let Some(line) = self.shared.take() else {
                break;
            };
            slab.push(Some(&line.text), partition.position, line.timestamp_ms);
            partition.position += 1;
        }
        partition.at_end = !full(slab);
        Ok(())
    }

    fn set_paused(&mut self, _partition: usize, paused: bool) {
        self.paused = paused;
    }

    fn commit(&mut self, _positions: &[Position]) {
        // There is nobody to tell.
    }

    fn health(&self) -> Health {
        self.shared.health()
    }
}

impl Drop for SocketReader {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

#[cfg(test)]
mod tests;
