//! Sinks at work: each is a thread that follows a view's changes and knows from its target how far it is.

mod declare;
mod runner;
mod signal;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dataflow::sink::{Delivery, RecordEncoder, SinkFactory, SinkFormat};
use dataflow::{Error, Micros, Result, SqlState};
use engine::Store;
use formats::{DeadLetterEncoder, SinkEncoder, SinkEncoding};
use parking_lot::Mutex;
use sql::ast::Name;

use crate::catalog::{Body, Catalog, missing};
use crate::database::Shared;
pub(crate) use declare::{Declaring, dead_letters};
pub(crate) use runner::Owned;
use runner::Runner;
use signal::{Order, Signal};

/// How often to look whether a thread has ended.
const TURN: Duration = Duration::from_millis(5);

/// A declared sink.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    /// The changes that wait to be written.
    pub(crate) store: Arc<Store>,
    /// Its target.
    pub(crate) factory: Arc<dyn SinkFactory>,
    encoding: Writing,
    /// How long rows are gathered before they are committed.
    commit_every: Duration,
    /// The source whose dead letters it writes.
    pub(crate) of_source: Option<String>,
}

/// How rows become records.
#[derive(Clone, Debug)]
enum Writing {
    Rows(SinkEncoding),
    DeadLetters,
}

impl Sink {
    /// Whether the target knows for good which versions it has.
    fn is_remembered(&self) -> bool {
        self.factory.delivery() == Delivery::ExactlyOnce && self.factory.remembers()
    }

    /// Whether each row stands for itself.
    fn is_plain(&self) -> bool {
        match &self.encoding {
            Writing::Rows(how) => how.format == SinkFormat::Plain,
            Writing::DeadLetters => true,
        }
    }
}

impl Writing {
    fn encoder(&self) -> Result<Box<dyn RecordEncoder>> {
        Ok(match self {
            Self::Rows(how) => Box::new(SinkEncoder::new(how.clone())?),
            Self::DeadLetters => Box::new(DeadLetterEncoder::default()),
        })
    }
}

/// What a sink does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SinkState {
    /// Asks its target how far it is.
    #[default]
    Connecting,
    /// Writes.
    Running,
    /// Tries again after trouble.
    Retrying,
    /// Waits for ALTER SINK … RESUME.
    Failed,
}

impl SinkState {
    /// As it is shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
        }
    }
}

/// What is told of a sink.
#[derive(Clone, Debug, Default)]
pub(crate) struct SinkStatus {
    pub(crate) name: String,
    pub(crate) target: String,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) state: SinkState,
    /// What went wrong last.
    pub(crate) detail: Option<String>,
    /// Rows committed since the start.
    pub(crate) rows: u64,
    /// Commits since the start.
    pub(crate) commits: u64,
    /// The version up to which the target has everything.
    pub(crate) version: Option<u64>,
    /// When it was committed last.
    pub(crate) committed_at: Option<Micros>,
    /// Rows and bytes that wait.
    pub(crate) pending: (u64, u64),
}

/// A sink's thread.
struct Running {
    store: Arc<Store>,
    status: Arc<Mutex<SinkStatus>>,
    signal: Arc<Signal>,
    listener: u64,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Ends the thread, at once or when everything is written.
    fn order(&self, order: Order) {
        self.signal.give(order);
    }

    /// Waits for the thread's end, at most until then: what it waits for may be a target that does not answer.
    fn join(&mut self, until: Instant) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        while !thread.is_finished() && Instant::now() < until {
            std::thread::park_timeout(TURN);
        }
        if thread.is_finished() {
            // It has told of its panic.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.store.unlisten(self.listener);
        self.order(Order::Quit);
    }
}

/// All sinks that run.
#[derive(Default)]
pub(crate) struct Sinks(Mutex<HashMap<String, Running>>);

impl Sinks {
    /// Starts and ends threads so that they are those of the catalog.
    pub(crate) fn follow(&self, shared: &Shared, catalog: &Catalog) -> Result<()> {
        let mut running = self.0.lock();
        let of = |name: &str| match catalog.get(name).map(|object| &object.body) {
            Some(Body::Sink(sink)) => Some(Arc::clone(sink)),
            _ => None,
        };
        running.retain(|name, run| of(name).is_some_and(|s| Arc::ptr_eq(&s.store, &run.store)));
        for object in catalog.iter() {
            if let Body::Sink(sink) = &object.body
                && !running.contains_key(&object.name)
            {
                running.insert(object.name.clone(), start(shared, &object.name, sink)?);
            }
        }
        Ok(())
    }

    /// What they do, by name.
    pub(crate) fn status(&self) -> Vec<SinkStatus> {
        let running = self.0.lock();
        let mut all: Vec<SinkStatus> = running
            .values()
            .map(|run| {
                let rows = run.store.backlog(0) as u64;
                SinkStatus {
                    pending: (rows, run.store.log_bytes() as u64),
                    ..run.status.lock().clone()
                }
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Has a sink that failed try again.
    pub(crate) fn resume(&self, name: &Name) -> Result<()> {
        let running = self.0.lock();
        let run = running
            .get(&name.value)
            .ok_or_else(|| missing(name, sql::ast::ObjectKind::Sink))?;
        // After a start its thread may not have found out.
        if let Some(error) = run.store.ended() {
            let message = format!(
                "the query of sink \"{}\" has failed: {}",
                name.value,
                error.message()
            );
            return Err(Error::new(SqlState::OBJECT_NOT_READY, message)
                .at(name.location)
                .hint("DROP SINK and create it again with another query: it begins with the rows that are there"));
        }
        let failed = run.status.lock().state == SinkState::Failed;
        if !failed {
            let message = format!("sink \"{}\" has not failed", name.value);
            return Err(Error::new(SqlState::OBJECT_NOT_READY, message)
                .at(name.location)
                .hint("clickmill.sinks says what it does"));
        }
        run.order(Order::Resume);
        Ok(())
    }

    /// Ends all of them at once.
    pub(crate) fn stop(&self) {
        self.0.lock().clear();
    }

    /// Has all of them write what there is, for at most so long, and ends them.
    pub(crate) fn drain(&self, most: Duration) {
        let until = Instant::now() + most;
        let mut running = std::mem::take(&mut *self.0.lock());
        // One that has no target now has nothing to finish.
        running.retain(|_, run| run.status.lock().state == SinkState::Running);
        for run in running.values() {
            run.order(Order::Drain { until });
        }
        running.values_mut().for_each(|run| run.join(until));
    }
}

fn start(shared: &Shared, name: &str, sink: &Arc<Sink>) -> Result<Running> {
    let signal = Arc::new(Signal::default());
    let status = Arc::new(Mutex::new(SinkStatus {
        name: name.to_owned(),
        target: sink.factory.target(),
        delivery: Some(sink.factory.delivery()),
        ..SinkStatus::default()
    }));
    let runner = Runner::new(
        Arc::clone(sink),
        format!("clickmill-{}-{}", shared.identity, plain(name)),
        Arc::clone(&signal),
        Arc::clone(&status),
        Arc::clone(&shared.clock),
        shared.engine.waker(),
        Arc::clone(&shared.owned),
    );
    let heard = Arc::clone(&signal);
    let listener = sink.store.listen(Arc::new(move || heard.changed()));
    let thread = std::thread::Builder::new()
        .name(format!("sink {name}"))
        .spawn(move || runner.run())
        .map_err(|e| Error::internal(format!("a sink's thread did not start: {e}")));
    if thread.is_err() {
        sink.store.unlisten(listener);
    }
    Ok(Running {
        store: Arc::clone(&sink.store),
        status,
        signal,
        listener,
        thread: Some(thread?),
    })
}

/// A name in letters, digits and `_`, and the code of everything else behind a dot.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() || letter == '_' {
            plain.push(letter);
        } else {
            plain.push_str(&format!(".{:x}.", u32::from(letter)));
        }
    }
    plain
}
