//! The engine on one thread: takes commands, reads sources, ends ticks, publishes versions. Told the time, it never asks.

mod changes;
mod publish;
mod reading;
mod replace;
mod replay;
mod resume;
mod state;

pub(crate) use replay::Begin;
pub use replay::Starts;
pub use state::State;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dataflow::failpoint::{self, Failpoint};
use dataflow::wake::Waker;
use dataflow::{Clock, DeltaBatch, Error, Micros, Result, SqlState, Watermark};
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use parking_lot::RwLock;
use plan::RelationKind;

use crate::aside::Aside;
use crate::command::{Change, Reply, TableSpec};
use crate::feed::{Clocks, Feed, SourceSpec};
use crate::journal::{Entry, Event, FeedId, Journal, Logged};
use crate::operator::Tick;
use crate::pipeline::Leaf;
use crate::store::Store;
use crate::view::{Failure, View, ViewState};

/// Bounds of a tick.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A tick ends after so many records.
    pub tick_records: usize,
    /// A tick ends after so long, in microseconds.
    pub tick_micros: Micros,
    /// A view that reads history joins the shared read when it is behind by at most so many records.
    pub join_records: i64,
    /// History for a SUBSCRIBE waits while its reader is behind by so many rows.
    pub ephemeral_backlog: usize,
    /// What a sink reads waits while its target has not taken so many bytes of changes.
    pub sink_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tick_records: 1 << 16,
            tick_micros: 50_000,
            join_records: 10_000,
            ephemeral_backlog: 1 << 17,
            sink_bytes: 64 << 20,
        }
    }
}

/// How often positions are committed under the consumer group, in microseconds.
const COMMIT_EVERY: Micros = 5 * dataflow::time::SECOND;

/// Readers of several relations at one version hold it shared; publishing a version holds it alone.
pub type Publication = Arc<RwLock<u64>>;

/// The engine's state.
pub struct Core {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    waker: Waker,
    journal: Box<dyn Journal>,
    published: Publication,
    pub(crate) sources: HashMap<String, Arc<SourceSpec>>,
    /// Of each source all definitions that it has had, the newest last.
    definitions: HashMap<String, Vec<Arc<SourceSpec>>>,
    pub(crate) tables: HashMap<String, Table>,
    /// In the order of creation, which is an order of dependency.
    pub(crate) views: Vec<(u64, View)>,
    pub(crate) feeds: Vec<FeedSlot>,
    /// What was set aside, by source.
    pub(crate) aside: HashMap<String, Aside>,
    next_view: u64,
    /// The view whose place a new one takes.
    leaving: Option<u64>,
    next_feed: FeedId,
    /// What the next entry of the journal has.
    logged: Vec<Logged>,
    events: Vec<Event>,
    /// What the journal says while it is run again.
    replay: Option<replay::Replay>,
    pub(crate) version: u64,
    replies: Vec<(Reply<u64>, Result<()>)>,
    /// A tick that is done and cannot be written, for this reason: nothing goes on until it can.
    stuck: Option<(Entry, bool, Error)>,
    /// Changes that wait for that.
    waiting: Vec<(Vec<Change>, Reply<u64>)>,
    /// Views that wait for sinks, and for which: what they read is not read on.
    pub(crate) held: Vec<(u64, String)>,
    inserted: bool,
    /// State was moved into runs since the last entry of the journal.
    moved: bool,
    last_commit: Micros,
    /// The clock at the end of the last tick.
    last_wall: Micros,
}

/// A feed and its role.
pub(crate) struct FeedSlot {
    pub(crate) feed: Feed,
    /// Follows the topic for all views; otherwise reads history for one view.
    pub(crate) shared: bool,
    failed: bool,
    /// It is in the journal: not only SUBSCRIBEs read it.
    logged: bool,
}

/// A table at work.
pub(crate) struct Table {
    spec: TableSpec,
    watermark: Watermark,
    fresh: Vec<RecordBatch>,
}

impl Table {
    fn store(&self) -> Arc<Store> {
        Arc::clone(&self.spec.store)
    }
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Records read.
    pub records: usize,
    /// A version was published.
    pub published: bool,
}

impl Core {
    /// An engine without anything.
    pub fn new(
        clock: Arc<dyn Clock>,
        journal: Box<dyn Journal>,
        waker: Waker,
        limits: Limits,
    ) -> Self {
        Self {
            last_wall: clock.now(),
            clock,
            limits,
            waker,
            journal,
            published: Publication::default(),
            sources: HashMap::new(),
            definitions: HashMap::new(),
            tables: HashMap::new(),
            views: Vec::new(),
            feeds: Vec::new(),
            aside: HashMap::new(),
            next_view: 0,
            leaving: None,
            next_feed: 0,
            logged: Vec::new(),
            events: Vec::new(),
            replay: None,
            version: 0,
            replies: Vec::new(),
            stuck: None,
            waiting: Vec::new(),
            held: Vec::new(),
            inserted: false,
            moved: false,
            last_commit: 0,
        }
    }

    /// Where ticks are written from now on.
    pub fn set_journal(&mut self, journal: Box<dyn Journal>) {
        self.journal = journal;
    }

    /// Shortest time from one tick to the next while little comes.
    pub(crate) fn pace(&self) -> Duration {
        self.journal.pace()
    }

    /// Makes a checkpoint if one is due, or at the end.
    pub(crate) fn keep_state(&mut self, last: bool) -> Result<()> {
        if !self.journal.is_kept() || !last && !self.journal.wants_state() {
            return Ok(());
        }
        let begun = self.clock.now();
        match self.save()? {
            Some(state) => {
                let pause = self.clock.now() - begun;
                self.journal.keep_state(state, pause, last)
            }
            None => Ok(()),
        }
    }

    /// The lock that readers of several relations take.
    pub fn published(&self) -> Publication {
        Arc::clone(&self.published)
    }

    /// Takes changes; they are seen, and answered, at the next tick. Stops at the first that fails.
    pub fn apply(&mut self, changes: Vec<Change>, reply: Reply<u64>) {
        if self.stuck.is_some() {
            self.waiting.push((changes, reply));
            return;
        }
        let result = self.apply_all(changes);
        self.replies.push((reply, result));
    }

    /// Why nothing goes on, if the journal cannot be written at the moment.
    pub fn stuck(&self) -> Option<&Error> {
        self.stuck.as_ref().map(|(_, _, error)| error)
    }

    /// Reads what there is, within the limits of a tick, and ends the tick when there is anything to publish.
    pub fn step(&mut self) -> Result<Step> {
        if let Some((entry, changed, _)) = self.stuck.take() {
            let published = self.write(entry, changed, true)?;
            return Ok(Step {
                records: 0,
                published,
            });
        }
        for (changes, reply) in std::mem::take(&mut self.waiting) {
            self.apply(changes, reply);
        }
        let wall = self.clock.now();
        let clocks = Clocks {
            before: self.last_wall,
            began: wall,
        };
        self.hold_back();
        self.join_shared(clocks);
        let mut records = 0;
        while records < self.limits.tick_records
            && self.clock.now() - wall < self.limits.tick_micros
        {
            let read = self.poll_all(clocks);
            records += read;
            if read == 0 {
                break;
            }
        }
        let published = self.end_tick(records, wall)?;
        Ok(Step { records, published })
    }

    /// Whether a tick has anything to publish.
    fn is_due(&mut self, records: usize, wall: Micros) -> bool {
        let moved: Vec<bool> = self
            .feeds
            .iter_mut()
            .map(|slot| {
                let before = slot.feed.time().watermark();
                slot.feed.end_tick(wall);
                slot.feed.time().watermark() != before
            })
            .collect();
        records > 0
            || self.inserted
            || !self.replies.is_empty()
            || !self.logged.is_empty()
            || !self.events.is_empty()
            || moved.contains(&true)
            || self
                .views
                .iter()
                .any(|(_, v)| v.touched || (v.is_alive() && v.pipeline.waits()))
    }

    /// Ends the tick that began at `began`.
    fn end_tick(&mut self, records: usize, began: Micros) -> Result<bool> {
        let wall = self.clock.now();
        let before = std::mem::replace(&mut self.last_wall, wall);
        if !self.is_due(records, wall) {
            return Ok(false);
        }
        let flush = std::mem::take(&mut self.inserted);
        self.run_views(wall, flush)?;
        let changed = records > 0 || flush || self.views.iter().any(|(_, v)| !v.fresh.is_empty());
        if changed {
            self.version += 1;
        }
        let entry = Entry {
            version: self.version,
            before,
            began,
            wall,
            moved: std::mem::take(&mut self.moved),
            flush,
            changes: std::mem::take(&mut self.logged),
            events: std::mem::take(&mut self.events),
            times: self
                .feeds
                .iter_mut()
                .filter(|slot| slot.logged)
                .filter_map(|slot| slot.feed.moved_time())
                .collect(),
        };
        self.write(entry, changed, false)
    }

    /// Writes a tick and shows it. When the disk is full the tick waits; nothing of it is seen.
    fn write(&mut self, entry: Entry, changed: bool, again: bool) -> Result<bool> {
        match self.journal.append(&entry) {
            Err(error) if may_pass(&error) => {
                if !again {
                    tracing::warn!(%error, "nothing goes on until it can be written");
                }
                self.stuck = Some((entry, changed, error));
                return Ok(false);
            }
            written => written?,
        }
        if changed {
            self.publish()?;
            failpoint::reached(Failpoint::Published);
        }
        let wall = entry.wall;
        for (reply, result) in self.replies.drain(..) {
            // Nobody waits any more when the session is gone.
            let _ = reply.send(result.map(|()| self.version));
        }
        if wall - self.last_commit >= COMMIT_EVERY {
            self.last_commit = wall;
            self.feeds
                .iter_mut()
                .filter(|f| f.shared)
                .for_each(|f| f.feed.commit());
        }
        Ok(changed)
    }

    /// Runs the tick through all views, inputs before readers.
    fn run_views(&mut self, wall: Micros, flush: bool) -> Result<()> {
        let tick = Tick {
            wall,
            watermark: Watermark::MIN,
            last: false,
            flush,
        };
        for at in 0..self.views.len() {
            let leaves: Vec<Leaf> = self.views[at].1.pipeline.leaves().to_vec();
            let id = self.views[at].0;
            let mut watermarks = Vec::with_capacity(leaves.len());
            for (index, leaf) in leaves.iter().enumerate() {
                watermarks.push(self.feed_leaf(at, id, index, leaf));
            }
            self.views[at].1.tick(&watermarks, tick);
        }
        self.note_late()
    }

    /// Hands a view's fresh input views' rows on, and gives the leaf's watermark.
    fn feed_leaf(&mut self, at: usize, id: u64, index: usize, leaf: &Leaf) -> Watermark {
        match leaf.kind {
            RelationKind::Source => self
                .feeds
                .iter()
                .find(|f| {
                    f.feed
                        .consumers
                        .iter()
                        .any(|c| c.view == id && c.leaf == index)
                })
                .map_or(Watermark::MIN, |f| f.feed.time().watermark()),
            RelationKind::Table => self
                .tables
                .get(&leaf.relation)
                .map_or(Watermark::MIN, |t| t.watermark),
            RelationKind::View => {
                let (before, rest) = self.views.split_at_mut(at);
                let Some((_, input)) = before.iter().find(|(_, v)| v.spec.name == leaf.relation)
                else {
                    return Watermark::MIN;
                };
                let reader = &mut rest[0].1;
                if let ViewState::Failed(Failure { error, .. }) = &input.state {
                    if reader.is_alive() {
                        reader.fail(
                            Error::new(error.state(), format!("view \"{}\" failed", leaf.relation))
                                .detail(error.message().to_owned()),
                        );
                    }
                    return Watermark::MIN;
                }
                for batch in &input.fresh {
                    let rows = project(&batch.rows, leaf).map(|rows| batch.with_rows(rows.rows));
                    reader.push(index, rows);
                }
                input.pipeline.watermark()
            }
        }
    }

    /// Hands the views' late rows to the sources that they came from.
    fn note_late(&mut self) -> Result<()> {
        for (_, view) in &mut self.views {
            for late in view.pipeline.take_late() {
                let source = view.pipeline.leaves()[late.leaf].relation.clone();
                let aside = self.aside.entry(source).or_default();
                aside.note_late(&view.spec.name, &late)?;
            }
        }
        Ok(())
    }

    /// When the next tick is needed though nothing comes, in microseconds of wall time.
    pub fn next_deadline(&self) -> Option<Micros> {
        if self.stuck.is_some() {
            return Some(self.clock.now().saturating_add(RETRY_MICROS));
        }
        let idle = self.feeds.iter().filter_map(|f| f.feed.next_idle()).min();
        let waiting = self
            .views
            .iter()
            .any(|(_, v)| v.is_alive() && v.pipeline.waits());
        let soon = waiting.then(|| self.clock.now().saturating_add(WAIT_MICROS));
        let follows = self.feeds.iter().any(|f| f.feed.needs_ticks());
        let later = follows.then(|| self.clock.now().saturating_add(FOLLOW_MICROS));
        idle.into_iter().chain(soon).chain(later).min()
    }

    /// Moves hot state into immutable runs (between ticks).
    pub fn flush(&mut self) -> Result<()> {
        self.moved = true;
        self.views
            .iter_mut()
            .try_for_each(|(_, v)| v.pipeline.flush())
    }

    /// A view's store.
    pub fn store(&self, name: &str) -> Option<Arc<Store>> {
        self.view_named(name)
            .map(|v| Arc::clone(&v.spec.store))
            .or_else(|| self.tables.get(name).map(|t| Arc::clone(&t.spec.store)))
    }
}

/// How soon to try again to write a tick.
const RETRY_MICROS: Micros = 200_000;

/// Whether a tick that could not be written can be written later.
fn may_pass(error: &Error) -> bool {
    matches!(
        error.state(),
        SqlState::DISK_FULL | SqlState::CONNECTION_FAILURE
    )
}

/// How soon to tick again while gathered changes wait.
const WAIT_MICROS: Micros = 50_000;

/// How soon to tick again while the clock moves a watermark.
const FOLLOW_MICROS: Micros = 200_000;

fn other_columns(relation: &str) -> Error {
    let message = format!("the columns of \"{relation}\" are others now");
    Error::new(SqlState::OBJECT_NOT_READY, message).hint("try again")
}

/// The leaf's columns of a relation's rows.
fn project(rows: &RecordBatch, leaf: &Leaf) -> Result<DeltaBatch> {
    let columns = leaf.columns.iter();
    let columns: Option<Vec<_>> = columns.map(|c| rows.columns().get(*c).cloned()).collect();
    let columns = columns.ok_or_else(|| other_columns(&leaf.relation))?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&leaf.schema), columns, &options)?;
    Ok(DeltaBatch::inserts(rows))
}
