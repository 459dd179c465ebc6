//! Changes of what runs: sources, tables and views come and go at a tick's border.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::{Error, Result, SqlState, Watermark};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::max;
use datafusion::arrow::datatypes::{FieldRef, TimestampMicrosecondType};
use plan::RelationKind;

use super::{Core, FeedSlot, Table, project};
use crate::command::Change;
use crate::feed::{Consumer, Feed, SourceSpec};
use crate::journal::{Event, Logged};
use crate::pipeline::{Leaf, Pipeline};
use crate::view::{View, ViewSpec, ViewState};

impl Core {
    /// Makes changes, all or none of those that make something.
    pub(super) fn apply_all(&mut self, changes: Vec<Change>) -> Result<()> {
        let kept = changes.iter().filter(|_| self.journal.is_kept());
        let logged = kept.map(Logged::of).collect::<Result<Vec<_>>>()?;
        self.check(&changes)?;
        let (sources, definitions) = (self.sources.clone(), self.definitions.clone());
        let mut made: Vec<String> = Vec::new();
        for change in changes {
            let name = change.makes().map(str::to_owned);
            if let Err(error) = self.change(change) {
                while let Some(name) = made.pop() {
                    self.drop_relation(&name)?;
                }
                (self.sources, self.definitions) = (sources, definitions);
                return Err(error);
            }
            made.extend(name);
        }
        self.logged.extend(logged.into_iter().flatten());
        Ok(())
    }

    /// Whether views can be suspended and resumed as a list of changes says: those before may have done it already.
    fn check(&self, changes: &[Change]) -> Result<()> {
        check_alone(changes)?;
        let views = self.views.iter();
        let mut alive: HashMap<&str, bool> = views
            .map(|(_, view)| (view.spec.name.as_str(), view.is_alive()))
            .collect();
        for change in changes {
            let refused = match change {
                Change::CreateView(spec) => {
                    alive.insert(&spec.name, true);
                    continue;
                }
                Change::ReplaceView(ViewSpec { name, .. })
                    if alive.get(name.as_str()) == Some(&false) =>
                {
                    let message = format!("view \"{name}\" is not running");
                    Error::new(SqlState::OBJECT_NOT_READY, message)
                        .hint("try again: it is made again then")
                }
                Change::Suspend(view) if alive.insert(view, false) == Some(false) => {
                    let message = format!("view \"{view}\" is not running");
                    Error::new(SqlState::OBJECT_NOT_READY, message)
                }
                Change::Resume { view, .. } if alive.insert(view, true) == Some(true) => {
                    let message = format!("view \"{view}\" is running");
                    Error::new(SqlState::OBJECT_NOT_READY, message)
                        .hint("RESUME is for views that are suspended or have failed")
                }
                _ => continue,
            };
            // One may have failed when the journal was run again that ran before.
            if self.replay.is_none() {
                return Err(refused);
            }
        }
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Statement { .. } => Ok(()),
            Change::CreateSource(spec) => {
                for store in spec.aside.stores() {
                    store.begin_after(self.version);
                    self.inserted = true;
                }
                self.definitions
                    .insert(spec.name.clone(), vec![Arc::clone(&spec)]);
                self.sources.insert(spec.name.clone(), spec);
                Ok(())
            }
            Change::AlterSource(spec) => {
                let definitions = self.definitions.entry(spec.name.clone()).or_default();
                definitions.push(Arc::clone(&spec));
                self.sources.insert(spec.name.clone(), spec);
                Ok(())
            }
            Change::CreateTable(spec) => {
                spec.store.begin_after(self.version);
                // With a version of its own: nobody has seen it in the one before.
                self.inserted = true;
                let table = Table {
                    watermark: Watermark::MIN,
                    fresh: Vec::new(),
                    spec,
                };
                self.tables.insert(table.spec.name.clone(), table);
                Ok(())
            }
            Change::CreateView(spec) => self.create_view(spec),
            Change::ReplaceView(spec) => self.replace_view(spec),
            Change::RebuildView(spec) => self.rebuild_view(spec),
            Change::Drop(name) => self.drop_relation(&name),
            Change::Suspend(view) => self.suspend(&view),
            Change::Resume { view, skip } => self.resume(&view, skip),
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
        self.check_sinks_of(name)?;
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

    /// A table takes nothing while a sink of its rows is far behind; a source waits.
    fn check_sinks_of(&self, table: &str) -> Result<()> {
        for (id, sink) in &self.held {
            let mut views = self.views.iter().filter(|(view, _)| view == id);
            if views.any(|(_, v)| v.spec.plan.reads().iter().any(|name| name == table)) {
                let message = format!("the target of sink \"{sink}\" has not taken what there is");
                return Err(Error::new(SqlState::CONFIGURATION_LIMIT, message)
                    .hint("try again when it has: clickmill.sinks says how far it is"));
            }
        }
        Ok(())
    }

    pub(super) fn create_view(&mut self, spec: ViewSpec) -> Result<()> {
        let tables = |name: &str| self.tables.get(name).map(|t| Arc::clone(&t.spec.store));
        let pipeline = Pipeline::new(&spec.plan, &tables)?;
        let id = self.next_view;
        self.next_view += 1;
        spec.store.begin_after(self.version);
        let mut view = View::new(spec, pipeline);
        self.keep_late(&mut view);
        let leaves: Vec<Leaf> = view.pipeline.leaves().to_vec();
        leaves
            .iter()
            .try_for_each(|leaf| self.check_columns(leaf))?;
        self.read_history(&mut view, &leaves)?;
        self.views.push((id, view));
        self.inserted = true;
        for (at, leaf) in leaves.into_iter().enumerate() {
            if leaf.kind != RelationKind::Source {
                continue;
            }
            if let Err(error) = self.attach(id, at, leaf) {
                self.views.retain(|(other, _)| *other != id);
                self.detach(id)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Whether a view that is read still has the columns that were planned with: it may have been replaced since.
    fn check_columns(&self, leaf: &Leaf) -> Result<()> {
        let view = self.view_named(&leaf.relation);
        let Some(view) = view.filter(|_| leaf.kind == RelationKind::View) else {
            return Ok(());
        };
        let schema = view.spec.store.schema().fields();
        let mut columns = leaf.columns.iter().zip(leaf.schema.fields());
        let is_same = |(at, planned): (&usize, &FieldRef)| {
            let now = schema.get(*at);
            now.is_some_and(|now| {
                now.name() == planned.name() && now.data_type() == planned.data_type()
            })
        };
        match columns.all(is_same) {
            true => Ok(()),
            false => Err(super::other_columns(&leaf.relation)),
        }
    }

    /// Gives a new view what tables and views have.
    pub(super) fn read_history(&self, view: &mut View, leaves: &[Leaf]) -> Result<()> {
        for (at, leaf) in leaves.iter().enumerate() {
            for rows in self.history(leaf)? {
                view.push(at, project(&rows, leaf));
            }
        }
        Ok(())
    }

    /// Says which late rows of the view are kept: those of sources that keep them. SUBSCRIBEs tell of none.
    pub(super) fn keep_late(&self, view: &mut View) {
        if view.spec.ephemeral {
            return;
        }
        let sources = &self.sources;
        let keeps = |leaf: &Leaf| {
            let source = sources.get(&leaf.relation);
            leaf.kind == RelationKind::Source && source.is_some_and(|s| s.aside.late.is_some())
        };
        let leaves = view.pipeline.leaves().iter().enumerate();
        let kept: Vec<usize> = leaves.filter(|(_, l)| keeps(l)).map(|(at, _)| at).collect();
        kept.into_iter()
            .for_each(|leaf| view.pipeline.keep_late(leaf));
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
    pub(super) fn attach(&mut self, view: u64, leaf_at: usize, leaf: Leaf) -> Result<()> {
        if self.replay.is_some() {
            // The journal says to which.
            return Ok(());
        }
        let spec = self.sources.get(&leaf.relation).cloned().ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("source \"{}\" does not exist", leaf.relation),
            )
        })?;
        let consumer = self.consumer(view, leaf_at, leaf);
        let is_shared = |f: &FeedSlot| f.shared && !f.failed && Arc::ptr_eq(f.feed.spec(), &spec);
        if let Some(at) = self.feeds.iter().position(is_shared) {
            let feed = &mut self.feeds[at].feed;
            let is_early = feed.counts().records == 0 || !spec.factory.replays();
            let lasts = |id: &u64| {
                let mut views = self.views.iter();
                Some(*id) != self.leaving && views.any(|(i, v)| i == id && !v.spec.ephemeral)
            };
            // One that goes with the view that is replaced is not there when the journal is run again.
            let stays = self.leaving.is_none() || feed.consumers.iter().any(|c| lasts(&c.view));
            if is_early && stays && feed.can_serve(&consumer.columns) {
                feed.add(consumer)?;
                self.note_attached(view, leaf_at, at);
                return Ok(());
            }
            self.set_state(view, ViewState::CatchingUp);
            self.open(spec, consumer, false)
        } else {
            self.open(spec, consumer, true)
        }
    }

    pub(super) fn consumer(&self, view: u64, leaf_at: usize, leaf: Leaf) -> Consumer {
        let own = self.views.iter().find(|(id, _)| *id == view);
        Consumer {
            view,
            leaf: leaf_at,
            columns: leaf.columns,
            schema: leaf.schema,
            skip: Vec::new(),
            without: own.map_or_else(Vec::new, |(_, v)| v.skipped.clone()),
        }
    }

    /// Begins a read where the source's options say.
    fn open(&mut self, spec: Arc<SourceSpec>, consumer: Consumer, shared: bool) -> Result<()> {
        let (view, leaf) = (consumer.view, consumer.leaf);
        let id = self.next_feed;
        let feed = Feed::open(
            id,
            spec,
            vec![consumer],
            Vec::new(),
            Vec::new(),
            self.waker.clone(),
        )?;
        self.next_feed += 1;
        self.feeds.push(FeedSlot {
            feed,
            shared,
            failed: false,
            logged: false,
        });
        self.note_attached(view, leaf, self.feeds.len() - 1);
        Ok(())
    }

    /// Tells the journal which read a view has.
    fn note_attached(&mut self, view: u64, leaf: usize, at: usize) {
        let Some((_, view)) = self.views.iter().find(|(id, _)| *id == view) else {
            return;
        };
        if view.spec.ephemeral {
            return;
        }
        let slot = &self.feeds[at];
        self.events.push(Event::Attached {
            view: view.spec.name.clone(),
            leaf: u32::try_from(leaf).unwrap_or(u32::MAX),
            feed: slot.feed.id(),
            columns: slot.feed.spec().schema.columns.len() as u64,
            shared: slot.shared,
        });
        self.log_feed(at);
    }

    /// From now on the read is in the journal.
    pub(super) fn log_feed(&mut self, at: usize) {
        let slot = &mut self.feeds[at];
        if !std::mem::replace(&mut slot.logged, true) {
            slot.feed.introduce(&mut self.events);
        }
    }

    pub(super) fn set_state(&mut self, id: u64, state: ViewState) {
        if let Some((_, view)) = self
            .views
            .iter_mut()
            .find(|(i, v)| *i == id && v.is_alive())
        {
            view.spec
                .store
                .set_catching_up(state == ViewState::CatchingUp);
            view.state = state;
        }
    }

    pub(super) fn drop_relation(&mut self, name: &str) -> Result<()> {
        self.aside.remove(name);
        self.definitions.remove(name);
        if let Some(source) = self.sources.remove(name) {
            let stores = source.aside.stores();
            stores.for_each(|store| store.end(dropped(name)));
        }
        if let Some(table) = self.tables.remove(name) {
            table.spec.store.end(dropped(name));
        }
        if let Some(at) = self.views.iter().position(|(_, v)| v.spec.name == name) {
            let (id, view) = self.views.remove(at);
            view.spec.store.end(dropped(name));
            self.detach(id)?;
            self.forget_attached(name);
        }
        self.fail_readers(name, &dropped(name));
        Ok(())
    }

    /// What still reads a relation that is gone runs for a SUBSCRIBE: others were dropped before it, or kept it from being replaced.
    pub(super) fn fail_readers(&mut self, name: &str, why: &Error) {
        for (_, view) in &mut self.views {
            if view.is_alive() && view.spec.plan.reads().iter().any(|n| n == name) {
                view.fail(why.clone());
            }
        }
    }

    /// Takes a view out of all reads; a read that nobody wants any more ends.
    pub(super) fn detach(&mut self, id: u64) -> Result<()> {
        let views = &self.views;
        for slot in &mut self.feeds {
            slot.feed.remove(id)?;
            let lasts = |id: &u64| views.iter().any(|(i, v)| i == id && !v.spec.ephemeral);
            slot.logged &= slot.feed.consumers.iter().any(|c| lasts(&c.view));
        }
        self.feeds.retain(|slot| !slot.feed.consumers.is_empty());
        Ok(())
    }

    /// What this tick told the journal of the reads of a view is not so any more.
    pub(super) fn forget_attached(&mut self, name: &str) {
        let of_view = |event: &Event| matches!(event, Event::Attached { view, .. } if view == name);
        self.events.retain(|event| !of_view(event));
    }
}

/// What replaces a view stands alone: what others of the same message have done could not be taken back when it fails.
fn check_alone(changes: &[Change]) -> Result<()> {
    if !changes.iter().any(Change::replaces) {
        return Ok(());
    }
    let others = changes
        .iter()
        .filter(|change| !matches!(change, Change::Statement { .. }));
    match others.count() {
        1 => Ok(()),
        _ => Err(Error::unsupported(
            "CREATE OR REPLACE of a view that is there, in one message with other changes",
        )
        .hint("send it by itself")),
    }
}

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
