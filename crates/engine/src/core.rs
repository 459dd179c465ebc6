//! The engine on one thread: takes commands, reads sources, ends ticks, publishes versions. Told the time, it never asks.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::wake::Waker;
use dataflow::{Clock, DeltaBatch, Error, Micros, Result, SqlState, Watermark};
use datafusion::arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::max;
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use parking_lot::RwLock;
use plan::RelationKind;

use crate::command::{Change, Reply, TableSpec};
use crate::cut::{Cut, CutLog, SourceCut};
use crate::feed::{Consumer, Delivery, Feed, SourceSpec};
use crate::operator::Tick;
use crate::pipeline::{Leaf, Pipeline};
use crate::store::Store;
use crate::view::{View, ViewSpec, ViewState};

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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tick_records: 1 << 16,
            tick_micros: 50_000,
            join_records: 10_000,
            ephemeral_backlog: 1 << 17,
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
    cuts: Box<dyn CutLog>,
    published: Publication,
    pub(crate) sources: HashMap<String, Arc<SourceSpec>>,
    pub(crate) tables: HashMap<String, Table>,
    /// In the order of creation, which is an order of dependency.
    pub(crate) views: Vec<(u64, View)>,
    pub(crate) feeds: Vec<FeedSlot>,
    next_view: u64,
    pub(crate) version: u64,
    replies: Vec<(Reply<u64>, Result<()>)>,
    inserted: bool,
    last_commit: Micros,
}

/// A feed and its role.
pub(crate) struct FeedSlot {
    pub(crate) feed: Feed,
    /// Follows the topic for all views; otherwise reads history for one view.
    pub(crate) shared: bool,
    failed: bool,
}

/// A table at work.
pub(crate) struct Table {
    spec: TableSpec,
    watermark: Watermark,
    fresh: Vec<RecordBatch>,
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
    pub fn new(clock: Arc<dyn Clock>, cuts: Box<dyn CutLog>, waker: Waker, limits: Limits) -> Self {
        Self {
            clock,
            limits,
            waker,
            cuts,
            published: Publication::default(),
            sources: HashMap::new(),
            tables: HashMap::new(),
            views: Vec::new(),
            feeds: Vec::new(),
            next_view: 0,
            version: 0,
            replies: Vec::new(),
            inserted: false,
            last_commit: 0,
        }
    }

    /// The lock that readers of several relations take.
    pub fn published(&self) -> Publication {
        Arc::clone(&self.published)
    }

    /// Takes changes; they are seen, and answered, at the next tick. Stops at the first that fails.
    pub fn apply(&mut self, changes: Vec<Change>, reply: Reply<u64>) {
        let result = changes.into_iter().try_for_each(|c| self.change(c));
        self.replies.push((reply, result));
    }

    fn change(&mut self, change: Change) -> Result<()> {
        match change {
            Change::CreateSource(spec) => {
                self.sources.insert(spec.name.clone(), spec);
                Ok(())
            }
            Change::CreateTable(spec) => {
                let table = Table {
                    watermark: Watermark::MIN,
                    fresh: Vec::new(),
                    spec,
                };
                self.tables.insert(table.spec.name.clone(), table);
                Ok(())
            }
            Change::CreateView(spec) => self.create_view(spec),
            Change::Drop(name) => self.drop_relation(&name),
            Change::Insert { table, rows } => self.insert(&table, rows),
            Change::AdvanceWatermark { table, to } => {
                let table = self.table(&table)?;
                if table.spec.watermark.is_none() {
                    let message = format!("table \"{}\" has no watermark", table.spec.name);
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                        .hint("declare WATERMARK FOR column AS column in CREATE TABLE"));
                }
                table.watermark = table.watermark.max(Watermark(to));
                self.inserted = true;
                Ok(())
            }
        }
    }

    fn table(&mut self, name: &str) -> Result<&mut Table> {
        self.tables.get_mut(name).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("table \"{name}\" does not exist"),
            )
        })
    }

    fn insert(&mut self, name: &str, rows: RecordBatch) -> Result<()> {
        let table = self.table(name)?;
        if let Some((column, delay)) = table.spec.watermark {
            let times = rows
                .column(column)
                .as_primitive_opt::<TimestampMicrosecondType>();
            if let Some(highest) = times.and_then(max) {
                let reached = Watermark(highest.saturating_sub(delay).saturating_sub(1));
                table.watermark = table.watermark.max(reached);
            }
        }
        table.fresh.push(rows.clone());
        self.inserted = true;
        for (_, view) in &mut self.views {
            for leaf in leaves_of(view, name) {
                let batch = project(&rows, &leaf.1);
                view.push(leaf.0, batch);
            }
        }
        Ok(())
    }

    fn create_view(&mut self, spec: ViewSpec) -> Result<()> {
        let tables = |name: &str| self.tables.get(name).map(|t| Arc::clone(&t.spec.store));
        let pipeline = Pipeline::new(&spec.plan, &tables)?;
        let id = self.next_view;
        self.next_view += 1;
        let mut view = View::new(spec, pipeline);
        let leaves: Vec<Leaf> = view.pipeline.leaves().to_vec();
        for (at, leaf) in leaves.iter().enumerate() {
            for rows in self.history(leaf)? {
                let batch = project(&rows, leaf);
                view.push(at, batch);
            }
        }
        self.views.push((id, view));
        for (at, leaf) in leaves.into_iter().enumerate() {
            if leaf.kind == RelationKind::Source {
                self.attach(id, at, leaf)?;
            }
        }
        self.inserted = true;
        Ok(())
    }

    /// The rows that a table or view has now, including those of this tick that are not published yet.
    fn history(&self, leaf: &Leaf) -> Result<Vec<RecordBatch>> {
        match leaf.kind {
            RelationKind::Source => Ok(Vec::new()),
            RelationKind::Table => {
                let Some(table) = self.tables.get(&leaf.relation) else {
                    return Ok(Vec::new());
                };
                let mut rows = table.spec.store.snapshot()?;
                rows.extend(table.fresh.iter().cloned());
                Ok(rows)
            }
            RelationKind::View => match self.view_named(&leaf.relation) {
                Some(view) => view.spec.store.snapshot(),
                None => Ok(Vec::new()),
            },
        }
    }

    pub(crate) fn view_named(&self, name: &str) -> Option<&View> {
        self.views
            .iter()
            .map(|(_, v)| v)
            .find(|v| v.spec.name == name)
    }

    /// Connects a leaf to its source: to the shared read when that has not begun, else to a read of its own.
    fn attach(&mut self, view: u64, leaf_at: usize, leaf: Leaf) -> Result<()> {
        let spec = self.sources.get(&leaf.relation).cloned().ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("source \"{}\" does not exist", leaf.relation),
            )
        })?;
        let consumer = Consumer {
            view,
            leaf: leaf_at,
            columns: leaf.columns,
            schema: leaf.schema,
            skip: Vec::new(),
        };
        let shared = self
            .feeds
            .iter_mut()
            .find(|f| f.shared && f.feed.spec().name == spec.name);
        if let Some(slot) = shared {
            if slot.feed.counts().records == 0 && slot.feed.can_serve(&consumer.columns) {
                return slot.feed.add(consumer);
            }
            self.set_state(view, ViewState::CatchingUp);
            let feed = Feed::open(spec, vec![consumer], self.waker.clone())?;
            self.feeds.push(FeedSlot {
                feed,
                shared: false,
                failed: false,
            });
            return Ok(());
        }
        let feed = Feed::open(spec, vec![consumer], self.waker.clone())?;
        self.feeds.push(FeedSlot {
            feed,
            shared: true,
            failed: false,
        });
        Ok(())
    }

    fn set_state(&mut self, id: u64, state: ViewState) {
        if let Some((_, view)) = self
            .views
            .iter_mut()
            .find(|(i, v)| *i == id && v.is_alive())
        {
            view.state = state;
        }
    }

    fn drop_relation(&mut self, name: &str) -> Result<()> {
        self.sources.remove(name);
        if let Some(table) = self.tables.remove(name) {
            table.spec.store.end(dropped(name));
        }
        let Some(at) = self.views.iter().position(|(_, v)| v.spec.name == name) else {
            return Ok(());
        };
        let (id, view) = self.views.remove(at);
        view.spec.store.end(dropped(name));
        for slot in &mut self.feeds {
            slot.feed.remove(id)?;
        }
        self.feeds.retain(|slot| !slot.feed.consumers.is_empty());
        Ok(())
    }

    /// Reads what there is, within the limits of a tick, and ends the tick when there is anything to publish.
    pub fn step(&mut self) -> Result<Step> {
        let wall = self.clock.now();
        self.join_shared(wall);
        let mut records = 0;
        while records < self.limits.tick_records
            && self.clock.now() - wall < self.limits.tick_micros
        {
            let read = self.poll_all(wall);
            records += read;
            if read == 0 {
                break;
            }
        }
        let published = self.end_tick(records)?;
        Ok(Step { records, published })
    }

    fn poll_all(&mut self, wall: Micros) -> usize {
        let mut records = 0;
        let mut deliveries = Vec::new();
        for at in 0..self.feeds.len() {
            if self.feeds[at].failed || self.must_wait(at) {
                continue;
            }
            match self.feeds[at].feed.poll(wall, &mut deliveries) {
                Ok(read) => records += read,
                Err(error) => self.fail_feed(at, &error),
            }
        }
        self.deliver(deliveries);
        records
    }

    /// Whether a feed that only SUBSCRIBEs read waits for one of them.
    fn must_wait(&self, at: usize) -> bool {
        let consumers = &self.feeds[at].feed.consumers;
        let mut behind = false;
        for consumer in consumers {
            let view = self.views.iter().find(|(id, _)| *id == consumer.view);
            match view {
                Some((_, v)) if v.spec.ephemeral => {
                    behind |= v.spec.store.backlog(0) > self.limits.ephemeral_backlog;
                }
                _ => return false,
            }
        }
        behind
    }

    fn deliver(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            if let Some((_, view)) = self.views.iter_mut().find(|(id, _)| *id == delivery.view) {
                view.push(delivery.leaf, delivery.batch);
            }
        }
    }

    fn fail_feed(&mut self, at: usize, error: &Error) {
        let slot = &mut self.feeds[at];
        slot.failed = true;
        let readers: Vec<u64> = slot.feed.consumers.iter().map(|c| c.view).collect();
        for (id, view) in &mut self.views {
            if readers.contains(id) && view.is_alive() {
                view.fail(error.clone());
            }
        }
    }

    /// Lets views that have read their history join the shared read: the shared read stands still while they pass it.
    fn join_shared(&mut self, wall: Micros) {
        for at in (0..self.feeds.len()).rev() {
            if self.feeds[at].shared || self.feeds[at].failed {
                continue;
            }
            let name = self.feeds[at].feed.spec().name.clone();
            let Some(shared) = self
                .feeds
                .iter()
                .position(|f| f.shared && f.feed.spec().name == name)
            else {
                // The view that read for all is gone: this read takes its place once it has caught up.
                self.feeds[at].shared = true;
                self.caught_up(at);
                continue;
            };
            if self
                .behind(at, shared)
                .is_some_and(|b| b <= self.limits.join_records)
            {
                self.try_join(at, shared, wall);
            }
        }
    }

    /// Records between a private read and the shared one; `None` while positions are not known.
    pub(crate) fn behind(&self, private: usize, shared: usize) -> Option<i64> {
        let own = self.feeds[private].feed.reader().partitions();
        let others = self.feeds[shared].feed.reader().partitions();
        if own.is_empty() || own.len() != others.len() {
            return None;
        }
        Some(
            own.iter()
                .zip(others)
                .map(|(a, b)| (b.position - a.position).max(0))
                .sum(),
        )
    }

    fn try_join(&mut self, private: usize, shared: usize, wall: Micros) {
        let mut deliveries = Vec::new();
        while self.behind(private, shared).is_some_and(|b| b > 0) && !self.must_wait(private) {
            match self.feeds[private].feed.poll(wall, &mut deliveries) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    self.fail_feed(private, &error);
                    return;
                }
            }
        }
        self.deliver(deliveries);
        if self.behind(private, shared) != Some(0) {
            return;
        }
        self.caught_up(private);
        let slot = self.feeds.swap_remove(private);
        let shared = if shared == self.feeds.len() {
            private
        } else {
            shared
        };
        let skip: Vec<i64> = slot
            .feed
            .reader()
            .partitions()
            .iter()
            .map(|p| p.position)
            .collect();
        for mut consumer in slot.feed.consumers {
            consumer.skip = skip.clone();
            if let Err(error) = self.feeds[shared].feed.add(consumer) {
                tracing::error!(%error, "a view cannot join the shared read");
            }
        }
    }

    fn caught_up(&mut self, at: usize) {
        let readers: Vec<u64> = self.feeds[at]
            .feed
            .consumers
            .iter()
            .map(|c| c.view)
            .collect();
        for id in readers {
            self.set_state(id, ViewState::Running);
        }
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
            || moved.contains(&true)
            || self
                .views
                .iter()
                .any(|(_, v)| v.touched || (v.is_alive() && v.pipeline.waits()))
    }

    fn end_tick(&mut self, records: usize) -> Result<bool> {
        let wall = self.clock.now();
        if !self.is_due(records, wall) {
            return Ok(false);
        }
        let tick = Tick {
            wall,
            watermark: Watermark::MIN,
            last: false,
            flush: self.inserted,
        };
        self.run_views(tick);
        let changed =
            records > 0 || self.inserted || self.views.iter().any(|(_, v)| !v.fresh.is_empty());
        if changed {
            self.version += 1;
            self.write_cut(wall)?;
            self.publish()?;
        }
        self.inserted = false;
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
    fn run_views(&mut self, tick: Tick) {
        for at in 0..self.views.len() {
            let leaves: Vec<Leaf> = self.views[at].1.pipeline.leaves().to_vec();
            let id = self.views[at].0;
            let mut watermarks = Vec::with_capacity(leaves.len());
            for (index, leaf) in leaves.iter().enumerate() {
                watermarks.push(self.feed_leaf(at, id, index, leaf));
            }
            self.views[at].1.tick(&watermarks, tick);
        }
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
                if let ViewState::Failed(error) = &input.state {
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

    fn write_cut(&mut self, wall: Micros) -> Result<()> {
        let sources = self
            .feeds
            .iter()
            .map(|slot| SourceCut {
                source: slot.feed.spec().name.clone(),
                watermark: slot.feed.time().watermark(),
                partitions: slot
                    .feed
                    .reader()
                    .partitions()
                    .iter()
                    .zip(slot.feed.time().partitions())
                    .map(|(p, t)| (p.id, p.position, t.idle))
                    .collect(),
            })
            .collect();
        self.cuts.append(&Cut {
            tick: self.version,
            wall,
            sources,
        })
    }

    /// Makes the version visible in all relations at once.
    fn publish(&mut self) -> Result<()> {
        let mut published = self.published.write();
        for table in self.tables.values_mut() {
            let rows = table.fresh.drain(..).map(DeltaBatch::inserts).collect();
            table.spec.store.apply(self.version, rows, None)?;
        }
        for (_, view) in &mut self.views {
            let retention = view.retention_watermark();
            view.spec
                .store
                .apply(self.version, view.fresh.clone(), retention)?;
        }
        *published = self.version;
        Ok(())
    }

    /// When the next tick is needed though nothing comes, in microseconds of wall time.
    pub fn next_deadline(&self) -> Option<Micros> {
        let idle = self.feeds.iter().filter_map(|f| f.feed.next_idle()).min();
        let waiting = self
            .views
            .iter()
            .any(|(_, v)| v.is_alive() && v.pipeline.waits());
        let soon = waiting.then(|| self.clock.now().saturating_add(WAIT_MICROS));
        idle.into_iter().chain(soon).min()
    }

    /// Moves hot state into immutable runs (between ticks).
    pub fn flush(&mut self) -> Result<()> {
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

/// How soon to tick again while gathered changes wait.
const WAIT_MICROS: Micros = 50_000;

fn dropped(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_TABLE, format!("\"{name}\" was dropped"))
}

fn leaves_of(view: &View, relation: &str) -> Vec<(usize, Leaf)> {
    let leaves = view.pipeline.leaves().iter().enumerate();
    leaves
        .filter(|(_, l)| l.kind == RelationKind::Table && l.relation == relation)
        .map(|(i, l)| (i, l.clone()))
        .collect()
}

/// The leaf's columns of a relation's rows.
fn project(rows: &RecordBatch, leaf: &Leaf) -> Result<DeltaBatch> {
    let columns = leaf
        .columns
        .iter()
        .map(|c| Arc::clone(rows.column(*c)))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let rows = RecordBatch::try_new_with_options(Arc::clone(&leaf.schema), columns, &options)?;
    Ok(DeltaBatch::inserts(rows))
}
