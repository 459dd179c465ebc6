//! A sink's thread: writes versions in their order, commits them, and begins again where the target says after trouble.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow::failpoint::{self, Failpoint};
use dataflow::sink::{SinkRequest, SinkWriter, may_pass};
use dataflow::wake::Waker;
use dataflow::{Clock, DeltaBatch, Error, Result, SqlState};
use parking_lot::Mutex;

use super::signal::{Order, Signal};
use super::{Sink, SinkState, SinkStatus};

/// Rows that are handed over at a time, whole versions.
const ROWS: usize = 8192;
/// With so many bytes waiting a commit is due in any case: what a sink reads waits at twice as many.
const BYTES: usize = 32 << 20;
/// Time to the first attempt after trouble; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// Kafka forgets the version of a sink that has not committed for a week.
const KEEP_ALIVE: Duration = Duration::from_secs(60 * 60);
/// Longest sleep when nothing is to be done.
const SLEEP: Duration = Duration::from_secs(1);

/// Says whether the state is still this process's.
pub(crate) type Owned = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// A sink at work.
pub(super) struct Runner {
    sink: Arc<Sink>,
    identity: String,
    signal: Arc<Signal>,
    status: Arc<Mutex<SinkStatus>>,
    clock: Arc<dyn Clock>,
    engine: Waker,
    /// Whether the state is still this process's.
    owned: Owned,
    /// When something was committed last.
    last: Option<Instant>,
    /// The newest version that a target can have: that of the start, or one that was written since.
    newest: u64,
    /// The last failure was that the target has lost rows.
    has_lost: bool,
    /// A user has said to go on with what is known here, whatever the target knows.
    told: bool,
}

/// What has been written and not committed.
#[derive(Default)]
struct Open {
    since: Option<Instant>,
    rows: u64,
}

impl Runner {
    pub(super) fn new(
        sink: Arc<Sink>,
        identity: String,
        signal: Arc<Signal>,
        status: Arc<Mutex<SinkStatus>>,
        clock: Arc<dyn Clock>,
        engine: Waker,
        owned: Owned,
    ) -> Self {
        Self {
            last: None,
            newest: sink.store.version(),
            has_lost: false,
            sink,
            identity,
            signal,
            status,
            clock,
            engine,
            owned,
            told: false,
        }
    }

    /// Runs until it is told to end.
    pub(super) fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let commits = self.status.lock().commits;
            let attempt = AssertUnwindSafe(|| self.attempt());
            let attempted = catch_unwind(attempt).unwrap_or_else(|_| {
                Err(Error::internal(
                    "the sink's writer panicked; the log says where",
                ))
            });
            let Err(error) = attempted else {
                return;
            };
            if let Err(lost) = (self.owned)()
                && lost.state() == SqlState::OBJECT_IN_USE
            {
                // The engine ends, too; somebody else writes now.
                self.set_state(SinkState::Failed, Some(lost.to_string()));
                return;
            }
            if self.status.lock().commits > commits {
                pause = FIRST_PAUSE;
            }
            if may_pass(&error) {
                if self.ends() || self.drains() {
                    return;
                }
                tracing::debug!(sink = %self.identity, %error, "the sink tries again");
                self.set_state(SinkState::Retrying, Some(error.to_string()));
                self.signal.wait_for_order(pause);
                pause = (pause * 2).min(LAST_PAUSE);
            } else {
                tracing::warn!(sink = %self.identity, %error, "the sink failed");
                self.set_state(SinkState::Failed, Some(error.to_string()));
                if !self.wait_for_resume() {
                    return;
                }
                pause = FIRST_PAUSE;
            }
        }
    }

    /// Whether it is to end, also when not everything is written.
    fn ends(&self) -> bool {
        match self.signal.order() {
            Order::Quit => true,
            Order::Drain { until } => Instant::now() >= until,
            Order::Go | Order::Resume => false,
        }
    }

    fn drains(&self) -> bool {
        matches!(self.signal.order(), Order::Drain { .. })
    }

    /// Waits for ALTER SINK … RESUME; says whether it came, and not the end.
    fn wait_for_resume(&mut self) -> bool {
        let resumed = self.signal.wait_for_resume();
        self.told = resumed && self.has_lost;
        resumed
    }

    fn set_state(&self, state: SinkState, detail: Option<String>) {
        let mut status = self.status.lock();
        status.state = state;
        status.detail = detail;
    }

    /// Opens a writer and writes until it is told to end.
    fn attempt(&mut self) -> Result<()> {
        let mut writer = self.sink.factory.open(SinkRequest {
            identity: self.identity.clone(),
            encoder: self.sink.encoding.encoder()?,
        })?;
        // Beginning keeps others from committing.
        (self.owned)()?;
        let committed = writer.begin()?;
        let mut position = self.position(committed)?;
        (self.told, self.has_lost) = (false, false);
        failpoint::reached(Failpoint::SinkBegun);
        self.sink.store.forget(position);
        self.engine.wake();
        self.status.lock().version = Some(position);
        self.set_state(SinkState::Running, None);
        let mut open = Open::default();
        loop {
            if self.ends() {
                return Ok(());
            }
            let more = self.write_some(writer.as_mut(), &mut position, &mut open)?;
            let done = self.commit_if_due(writer.as_mut(), position, &mut open, more)?;
            if self.drains() && !more && done {
                return Ok(());
            }
            if more {
                continue;
            }
            let left = open.since.map_or(SLEEP, |since| {
                let due = self.sink.commit_every;
                let left = due.saturating_sub(since.elapsed());
                // A writer that gathers longer is asked again after a while.
                if left.is_zero() { due } else { left }
            });
            self.signal.wait(left);
        }
    }

    /// Where to go on: where the target is, as far as that fits what is known here.
    fn position(&mut self, committed: Option<u64>) -> Result<u64> {
        let store = Arc::clone(&self.sink.store);
        let (born, known) = (store.born(), store.forgotten());
        // What the target has of a sink of the same name before this one says nothing of this one.
        let committed = committed.filter(|version| *version > born);
        if let Some(version) = committed.filter(|version| *version > self.newest) {
            let message = format!(
                "the target has everything up to version {version}, and the state here went up to version {} when it was started",
                self.newest
            );
            return Err(Error::new(SqlState::OBJECT_NOT_READY, message)
                .hint("the state is older than what it has written: start with the newer state, or DROP SINK and create it under another name"));
        }
        let position = committed.unwrap_or(born);
        let lost = position < known && known > born;
        if lost && self.sink.is_remembered() && !self.told {
            self.has_lost = true;
            let message = format!(
                "the target knows of versions up to {position} only, and has committed up to {known} before"
            );
            return Err(Error::new(SqlState::OBJECT_NOT_READY, message).hint(
                "ALTER SINK … RESUME goes on behind what is known here; what was committed after the last checkpoint may come twice",
            ));
        }
        Ok(position.max(known))
    }

    /// Writes some versions; says whether there are more.
    fn write_some(
        &self,
        writer: &mut dyn SinkWriter,
        position: &mut u64,
        open: &mut Open,
    ) -> Result<bool> {
        let changes = self.sink.store.changes_after(*position, ROWS)?;
        let mut rest = changes.batches.as_slice();
        while let Some((version, _)) = rest.first() {
            let length = rest.iter().take_while(|(v, _)| v == version).count();
            let (now, later) = rest.split_at(length);
            let batches: Vec<DeltaBatch> = now.iter().map(|(_, batch)| batch.clone()).collect();
            for part in self.parts(&batches) {
                writer.write(*version, part.as_ref())?;
            }
            open.since.get_or_insert_with(Instant::now);
            open.rows += batches.iter().map(|b| b.len() as u64).sum::<u64>();
            rest = later;
        }
        *position = changes.version;
        let more = self.sink.store.backlog(*position) > 0;
        if let Some(error) = changes.ended.filter(|_| !more) {
            let why = format!("its query failed: {}", error.message());
            self.set_state(SinkState::Failed, Some(why));
        }
        Ok(more)
    }

    /// The changes of a version in pieces, where rows are events; what a key comes to is a matter of all of them.
    fn parts<'a>(&self, batches: &'a [DeltaBatch]) -> Vec<Cow<'a, [DeltaBatch]>> {
        if !self.sink.is_plain() {
            return vec![Cow::Borrowed(batches)];
        }
        let mut parts = Vec::new();
        for batch in batches {
            for from in (0..batch.len()).step_by(ROWS) {
                let length = ROWS.min(batch.len() - from);
                parts.push(Cow::Owned(vec![batch.slice(from, length)]));
            }
        }
        parts
    }

    /// Commits without rows now and then, so that the target does not forget the version.
    fn keep_alive(&mut self, writer: &mut dyn SinkWriter, position: u64) -> Result<()> {
        let is_time = self.last.is_none_or(|last| last.elapsed() >= KEEP_ALIVE);
        let has_committed = self.sink.store.forgotten() > self.sink.store.born();
        if self.sink.is_remembered() && is_time && has_committed {
            self.commit(writer, position)?;
        }
        Ok(())
    }

    /// Commits up to a version, if the state is still this process's.
    fn commit(&mut self, writer: &mut dyn SinkWriter, position: u64) -> Result<()> {
        (self.owned)()?;
        self.newest = self.newest.max(position);
        failpoint::reached(Failpoint::SinkWritten);
        writer.commit(position)?;
        failpoint::reached(Failpoint::SinkCommitted);
        self.last = Some(Instant::now());
        Ok(())
    }

    /// Commits what was written when it is time; says whether nothing is left to commit.
    fn commit_if_due(
        &mut self,
        writer: &mut dyn SinkWriter,
        position: u64,
        open: &mut Open,
        more: bool,
    ) -> Result<bool> {
        let Some(since) = open.since else {
            // What has no rows need not be written.
            self.status.lock().version = Some(position);
            return self.keep_alive(writer, position).map(|()| true);
        };
        let gathered = since.elapsed();
        let is_time = gathered >= self.sink.commit_every && writer.is_due(gathered);
        let is_full = self.sink.store.log_bytes() >= BYTES;
        if !(is_time || is_full || self.drains() && !more) {
            return Ok(false);
        }
        self.commit(writer, position)?;
        self.sink.store.forget(position);
        self.engine.wake();
        let rows = std::mem::take(open).rows;
        let mut status = self.status.lock();
        status.rows += rows;
        status.commits += 1;
        status.version = Some(position);
        status.committed_at = Some(self.clock.now());
        Ok(true)
    }
}
