//! The thread behind a socket: connects, reads lines into a bounded queue, and connects again with growing pauses.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dataflow::connector::Health;
use dataflow::time::MILLI;
use dataflow::wake::Waker;
use dataflow::{Clock, Error, Result, SqlState};
use parking_lot::{Condvar, Mutex};

/// Bytes of lines that wait to be read; then the thread stops reading, and TCP holds the server back.
pub(super) const QUEUE_BYTES: usize = 16 << 20;
/// Most bytes of a line that are handed over: more than any format takes, so that a longer line is a bad record.
pub(super) const MAX_LINE: usize = 8 << 20;
/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long the thread waits for bytes, and for room, before it looks whether it is still wanted.
const TURN: Duration = Duration::from_millis(200);
/// The first and the longest pause between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// What a line costs in the queue beside its bytes.
const OVERHEAD: usize = 64;

/// A line without its end.
pub(super) struct Line {
    pub(super) text: Vec<u8>,
    /// When it came, in milliseconds since 1970.
    pub(super) timestamp_ms: i64,
}

/// Shared between a reader and its thread.
pub(super) struct Shared {
    waker: Waker,
    clock: Arc<dyn Clock>,
    stopped: AtomicBool,
    /// Cuts the pause between two attempts short when the reader goes.
    nap: Waker,
    state: Mutex<State>,
    room: Condvar,
}

struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    health: Health,
}

impl Shared {
    pub(super) fn new(waker: Waker, clock: Arc<dyn Clock>) -> Self {
        Self {
            waker,
            clock,
            stopped: AtomicBool::new(false),
            nap: Waker::default(),
            state: Mutex::new(State {
                lines: VecDeque::new(),
                bytes: 0,
                health: Health::Connecting { reason: None },
            }),
            room: Condvar::new(),
        }
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.nap.wake();
        self.room.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(super) fn health(&self) -> Health {
        self.state.lock().health.clone()
    }

    /// The next line, if one waits.
    pub(super) fn take(&self) -> Option<Line> {
        let mut state = self.state.lock();
        let line = state.lines.pop_front()?;
        state.bytes -= line.text.len() + OVERHEAD;
        if state.bytes < QUEUE_BYTES {
            self.room.notify_one();
        }
        Some(line)
    }

    /// Puts a line into the queue when there is room.
    fn put(&self, text: Vec<u8>) {
        let timestamp_ms = self.clock.now().div_euclid(MILLI);
        let mut state = self.state.lock();
        while state.bytes >= QUEUE_BYTES && !self.is_stopped() {
            self.room.wait_for(&mut state, TURN);
        }
        state.bytes += text.len() + OVERHEAD;
        state.lines.push_back(Line { text, timestamp_ms });
        drop(state);
        self.waker.wake();
    }

    fn running(&self) {
        self.state.lock().health = Health::Running;
        self.waker.wake();
    }

    fn trouble(&self, reason: String) {
        let mut state = self.state.lock();
        let since = match &state.health {
            Health::Connecting { .. } => None,
            Health::Retrying { since, .. } => Some(*since),
            Health::Running => Some(self.clock.now()),
        };
        state.health = match since {
            None => Health::Connecting {
                reason: Some(reason),
            },
            Some(since) => Health::Retrying { reason, since },
        };
        drop(state);
        self.waker.wake();
    }
}

/// Starts the thread.
pub(super) fn spawn(host: String, port: u16, shared: Arc<Shared>) -> Result<()> {
    let thread = std::thread::Builder::new().name("socket-link".to_owned());
    let started = thread.spawn(move || run(&host, port, &shared));
    started.map(drop).map_err(|error| {
        let message = format!("cannot start a thread for the socket: {error}");
        Error::new(SqlState::CONFIGURATION_LIMIT, message)
    })
}

fn run(host: &str, port: u16, shared: &Shared) {
    let mut pause = PAUSES.0;
    while !shared.is_stopped() {
        let reason = match connect(host, port) {
            Ok(stream) => {
                pause = PAUSES.0;
                shared.running();
                read(stream, shared)
            }
            Err(reason) => reason,
        };
        if shared.is_stopped() {
            return;
        }
        tracing::debug!(target: "socket", "{host}:{port}: {reason}");
        shared.trouble(reason);
        shared.nap.sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("no address of {host}: {error}"))?;
    let mut reason = format!("no address of {host}");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = format!("cannot connect to {address}: {error}"),
        }
    }
    Err(reason)
}

/// Reads lines until the connection ends, and says why it did.
fn read(mut stream: TcpStream, shared: &Shared) -> String {
    if let Err(error) = stream.set_read_timeout(Some(TURN)) {
        return format!("the connection failed: {error}");
    }
    let (mut lines, mut buffer) = (Lines::default(), vec![0; 1 << 16]);
    let reason = loop {
        if shared.is_stopped() {
            return String::new();
        }
        match stream.read(&mut buffer) {
            Ok(0) => break "the server closed the connection".to_owned(),
            Ok(read) => lines.feed(&buffer[..read], |line| shared.put(line)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => break format!("the connection failed: {error}"),
            },
        }
    };
    lines.finish(|line| shared.put(line));
    reason
}

/// Cuts bytes into lines.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
}

impl Lines {
    /// Gives every line that `bytes` end; blank lines are left out, long ones cut.
    pub(super) fn feed(&mut self, bytes: &[u8], mut give: impl FnMut(Vec<u8>)) {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            self.add(part);
            self.finish(&mut give);
        }
        self.add(last);
    }

    /// Gives the line that has no end, if there is one.
    pub(super) fn finish(&mut self, mut give: impl FnMut(Vec<u8>)) {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            give(line);
        }
    }

    fn add(&mut self, part: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }
}
