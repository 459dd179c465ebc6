//! One client's connection: it opens, reads messages in a task of its own, handles them in order, and closes.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt;
use pgwire::messages::response::{NoticeResponse, ReadyForQuery, TransactionStatus as WireStatus};
use pgwire::messages::startup::ParameterStatus;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use dataflow::{Error, SqlState};

use crate::backend::{Backend, Cancel, PgSession, TransactionStatus};
use crate::cancel::{Entry, Registry, Stop, parse_timeout};
use crate::encode::{EncodeOptions, Zone};
use crate::error::{Failure, Severity, Step, notice, response, shut_down};
use crate::extended::Extended;
use crate::frame::{Guard, Message};
use crate::opening::{self, Opened};
use crate::reader::{Inbound, ReadHalf, Reader};
use crate::server::PgConfig;
use crate::writer::{WriteHalf, Writer};

/// How long a cancelled statement may take to end by itself before it is dropped.
const CANCEL_GRACE: Duration = Duration::from_millis(500);
/// How long the last words to a client may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a client that was refused may take to close, so that it reads why before its socket is reset.
const LINGER: Duration = Duration::from_millis(500);

/// What all connections share.
pub(crate) struct Shared {
    pub config: PgConfig,
    pub backend: Arc<dyn Backend>,
    pub registry: Arc<Registry>,
    pub shutdown: CancellationToken,
    /// One permit per session.
    pub sessions: Arc<Semaphore>,
}

/// A session and its connection.
pub(crate) struct Connection {
    pub(crate) session: Box<dyn PgSession>,
    pub(crate) writer: Writer,
    pub(crate) entry: Entry,
    pub(crate) extended: Extended,
    inbox: mpsc::Receiver<Inbound>,
    gone: CancellationToken,
    shutdown: CancellationToken,
}

/// Serves one client until it leaves, is refused, or the server goes down. `local` says that it connects over loopback.
pub(crate) async fn serve(mut read: ReadHalf, write: WriteHalf, local: bool, shared: Arc<Shared>) {
    let mut writer = Writer::new(write);
    let mut buffer = BytesMut::new();
    let opening = async {
        let opened = opening::open(&mut read, &mut buffer, &mut writer, local, &shared);
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => Err(Failure::Fatal(shut_down())),
            opened = timeout(shared.config.startup_timeout, opened) => opened.unwrap_or(Err(Failure::Gone)),
        }
    };
    match AssertUnwindSafe(opening).catch_unwind().await {
        Ok(Ok(opened)) => run(read, buffer, writer, opened, &shared).await,
        Ok(Err(Failure::Gone)) => {}
        Ok(Err(Failure::Fatal(error) | Failure::Statement(error))) => {
            farewell(&mut writer, &error).await;
            let _ = timeout(LINGER, opening::drain(&mut read)).await;
        }
        Err(panic) => farewell(&mut writer, &panicked(&*panic)).await,
    }
}

/// The session of a client that was let in.
async fn run(read: ReadHalf, buffer: BytesMut, writer: Writer, opened: Opened, shared: &Shared) {
    let Opened {
        session,
        entry,
        permit: _permit,
    } = opened;
    let gone = CancellationToken::new();
    let guard = Guard {
        max_message: shared.config.max_message_bytes,
    };
    let (reader, inbox) = Reader::new(read, buffer, guard, gone.clone());
    let mut reading = tokio::spawn(reader.run());
    let shutdown = shared.shutdown.clone();
    let mut connection = Connection {
        session,
        writer,
        entry,
        extended: Extended::default(),
        inbox,
        gone,
        shutdown,
    };
    let ended = AssertUnwindSafe(connection.run()).catch_unwind().await;
    let error = match ended {
        Ok(Failure::Gone) => None,
        Ok(Failure::Fatal(error) | Failure::Statement(error)) => Some(error),
        Err(panic) => Some(panicked(&*panic)),
    };
    let Connection {
        mut writer, inbox, ..
    } = connection;
    if let Some(error) = error {
        farewell(&mut writer, &error).await;
        // A closed inbox lets the reader read on, so that it sees the client close.
        drop(inbox);
        let _ = timeout(LINGER, &mut reading).await;
    }
    reading.abort();
}

async fn farewell(writer: &mut Writer, error: &Error) {
    tracing::debug!(%error, "connection refused or ended");
    let last_words = async {
        if writer.put(response(error, Severity::Fatal, None)).is_ok() {
            writer.flush().await?;
        }
        writer.close().await
    };
    let _ = timeout(FAREWELL, last_words).await;
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text, "a connection panicked");
    Error::internal(format!("internal error: {}", text.unwrap_or("unknown")))
        .hint("Please report this as a bug.")
}

impl Connection {
    /// Handles messages until the connection has a reason to end.
    async fn run(&mut self) -> Failure {
        loop {
            if let Err(failure) = self.step().await {
                return failure;
            }
        }
    }

    async fn step(&mut self) -> Step<()> {
        let inbound = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Err(Failure::Fatal(shut_down())),
            inbound = self.inbox.recv() => inbound.ok_or(Failure::Gone)?,
        };
        // The room that the message takes in the queue is free once it is handled.
        let Inbound {
            message,
            room: _room,
        } = inbound;
        let message = message.map_err(Failure::Fatal)?;
        match message {
            Message::Terminate => Err(Failure::Gone),
            Message::Copy => Ok(()),
            Message::Sync => self.sync().await,
            _ if self.extended.skipping => Ok(()),
            Message::Query(text) => self.simple(&text).await,
            Message::FunctionCall => {
                self.failed(&Error::unsupported("the function call message"), None)?;
                self.ready().await
            }
            Message::BadText {
                simple: true,
                error,
            } => {
                self.failed(&error, None)?;
                self.ready().await
            }
            Message::BadText {
                simple: false,
                error,
            } => {
                self.extended.skipping = true;
                self.failed(&error, None)?;
                self.flush().await
            }
            extended => self.extended_message(extended).await,
        }
    }

    /// What can stop a statement that begins now.
    pub(crate) fn stop(&self) -> Stop {
        let (gone, shutdown) = (self.gone.clone(), self.shutdown.clone());
        Stop {
            cancel: Cancel::new(),
            gone,
            shutdown,
            deadline: None,
        }
    }

    /// When a statement that begins now has to be done.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let setting = self.session.setting("statement_timeout")?;
        parse_timeout(&setting).and_then(|after| Instant::now().checked_add(after))
    }

    /// How values are written now.
    pub(crate) fn encode_options(&self) -> dataflow::Result<EncodeOptions> {
        let mut options = EncodeOptions::default();
        if let Some(zone) = self.session.setting("timezone") {
            options.zone = Zone::parse(&zone)?;
        }
        if let Some(digits) = self.session.setting("extra_float_digits") {
            options.extra_float_digits = digits.parse().unwrap_or(options.extra_float_digits);
        }
        Ok(options)
    }

    /// Tells the client of a failed statement and the session too.
    pub(crate) fn failed(&mut self, error: &Error, text: Option<&str>) -> Step<()> {
        self.session.fail();
        self.notices()?;
        self.put(response(error, Severity::Error, text))
    }

    /// Appends a message; one that cannot be sent ends the connection, as the client would wait for it.
    pub(crate) fn put(&mut self, message: impl pgwire::messages::Message) -> Step<()> {
        self.writer.put(message).map_err(Failure::Fatal)
    }

    /// Appends the notices that the session has gathered.
    pub(crate) fn notices(&mut self) -> Step<()> {
        for one in self.session.take_notices() {
            let message: NoticeResponse = notice(&one);
            self.put(message)?;
        }
        Ok(())
    }

    /// Ends a round: changed settings, ReadyForQuery, flush.
    pub(crate) async fn ready(&mut self) -> Step<()> {
        self.announce()?;
        self.flush().await
    }

    /// Appends notices, changed settings and ReadyForQuery.
    pub(crate) fn announce(&mut self) -> Step<()> {
        self.notices()?;
        for (name, value) in self.session.take_parameters() {
            self.put(ParameterStatus::new(name.to_owned(), value))?;
        }
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => WireStatus::Idle,
            TransactionStatus::InBlock => WireStatus::Transaction,
            TransactionStatus::Failed => WireStatus::Error,
        };
        self.put(ReadyForQuery::new(status))
    }

    /// Writes everything out, unless the client is gone or the server goes down.
    pub(crate) async fn flush(&mut self) -> Step<()> {
        tokio::select! {
            biased;
            () = self.gone.cancelled() => Err(Failure::Gone),
            () = self.shutdown.cancelled() => Err(Failure::Fatal(shut_down())),
            flushed = self.writer.flush() => Ok(flushed?),
        }
    }
}

/// Waits for the session's work; meanwhile flushes what is written and heeds a stop. Work that is cancelled gets a short
/// time to end by itself; what it then has done counts.
pub(crate) async fn drive<T>(
    writer: &mut Writer,
    stop: &Stop,
    work: impl Future<Output = dataflow::Result<T>>,
) -> Step<T> {
    let mut work = pin!(work);
    let failure = loop {
        tokio::select! {
            biased;
            failure = stop.stopped() => break failure,
            done = &mut work => return Ok(done?),
            flushed = writer.flush(), if writer.pending() => flushed?,
        }
    };
    stop.cancel.cancel();
    match (timeout(CANCEL_GRACE, &mut work).await, failure) {
        (Ok(Ok(done)), Failure::Statement(_)) => Ok(done),
        (Ok(Err(error)), Failure::Statement(_)) if error.state() != SqlState::QUERY_CANCELED => {
            Err(error.into())
        }
        (_, failure) => Err(failure),
    }
}
