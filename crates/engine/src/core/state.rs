//! The whole state at a tick's border: what a checkpoint holds, and the engine made of it again.

use std::sync::Arc;

use dataflow::{DeltaBatch, Error, Micros, Result, SqlState, Watermark};
use serde::{Deserialize, Serialize};

use super::Core;
use crate::aside::SourceGap;
use crate::feed::{Feed, FeedState};
use crate::journal::FeedId;
use crate::parts::{NextParts, PartAt};
use crate::state::saved::Saved;
use crate::store::Store;
use crate::view::{Failure, Place, View, ViewState};

/// Everything that the engine holds between two ticks, without what was declared: sources, tables, views.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    version: u64,
    last_wall: Micros,
    next_feed: FeedId,
    tables: Vec<SavedTable>,
    views: Vec<SavedView>,
    asides: Vec<SavedAside>,
    feeds: Vec<FeedState>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedTable {
    name: String,
    watermark: Micros,
    rows: Saved,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedView {
    name: String,
    manner: Manner,
    rows_out: u64,
    watermark: Micros,
    skipped: Vec<(String, i32, i64)>,
    /// Of a view that stands still it is not kept: resuming makes it again.
    operators: Option<Saved>,
    rows: Saved,
}

#[derive(Debug, Serialize, Deserialize)]
enum Manner {
    CatchingUp,
    Running,
    Suspended,
    Failed {
        error: SavedError,
        place: Option<(String, i32, i64)>,
    },
}

/// An error as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct SavedError {
    state: String,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedAside {
    source: String,
    errors: Option<Saved>,
    late: Option<Saved>,
    dead: Option<Saved>,
    /// Topic, partition, and the offset below which bad records have been noted.
    noted: Vec<(String, i32, i64)>,
    /// Records that were not there.
    #[serde(default)]
    gaps: Vec<SourceGap>,
}

impl State {
    /// Does what saving has put off: afterwards there are bytes for everything, but for rows that are in `parts`. Takes a while, on
    /// any thread.
    ///
    /// # Errors
    /// When Arrow has no bytes for rows, and those of `parts`.
    pub fn resolve(&mut self, parts: &mut NextParts<'_>) -> Result<()> {
        self.all().try_for_each(|saved| saved.resolve(parts))
    }

    /// Reads its parts.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fetch(&mut self, read: &mut dyn FnMut(PartAt) -> Result<Vec<u8>>) -> Result<()> {
        self.all().try_for_each(|saved| saved.fetch(read))
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Saved> {
        let tables = self.tables.iter_mut().map(|table| &mut table.rows);
        let views = self.views.iter_mut();
        let views = views.flat_map(|view| view.operators.iter_mut().chain([&mut view.rows]));
        let asides = self.asides.iter_mut().flat_map(|aside| {
            let stores = [&mut aside.errors, &mut aside.late, &mut aside.dead];
            stores.into_iter().flatten()
        });
        tables.chain(views).chain(asides)
    }

    /// The version of all views.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What it holds, a line each.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for table in &self.tables {
            lines.push(format!(
                "table {}: {} bytes of rows",
                table.name,
                table.rows.bytes()
            ));
        }
        for view in &self.views {
            let manner = match &view.manner {
                Manner::CatchingUp => "catching up",
                Manner::Running => "running",
                Manner::Suspended => "suspended",
                Manner::Failed { .. } => "failed",
            };
            let operators = view.operators.as_ref().map_or(0, Saved::bytes);
            lines.push(format!(
                "view {}: {manner}, {operators} bytes of operators, {} bytes of rows and changes",
                view.name,
                view.rows.bytes()
            ));
        }
        lines.extend(self.feeds.iter().map(FeedState::describe));
        lines
    }
}

impl SavedError {
    fn of(error: &Error) -> Self {
        Self {
            state: error.state().0.to_owned(),
            message: error.message().to_owned(),
            detail: error.detail_text().map(str::to_owned),
            hint: error.hint_text().map(str::to_owned),
        }
    }

    fn error(self) -> Error {
        let mut error = Error::new(sql_state(&self.state), self.message);
        if let Some(detail) = self.detail {
            error = error.detail(detail);
        }
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// The condition of a name that was kept. There are few, and they live as long as the program.
pub(super) fn sql_state(name: &str) -> SqlState {
    SqlState(Box::leak(name.to_owned().into_boxed_str()))
}

fn saved(store: &Store) -> Result<Saved> {
    let mut rows = Saved::default();
    store.save(&mut rows)?;
    Ok(rows)
}

impl Core {
    /// Moves hot state into runs and gives everything that is held; `None` where that is not possible now.
    ///
    /// # Errors
    /// When an operator cannot give its state.
    pub fn save(&mut self) -> Result<Option<State>> {
        let is_apart = self.stuck.is_some() || !self.replies.is_empty();
        if is_apart || self.feeds.iter().any(|slot| slot.feed.is_ahead()) {
            return Ok(None);
        }
        self.flush()?;
        let mut state = State {
            version: self.version,
            last_wall: self.last_wall,
            next_feed: self.next_feed,
            ..State::default()
        };
        for table in self.tables.values() {
            state.tables.push(SavedTable {
                name: table.spec.name.clone(),
                watermark: table.watermark.0,
                rows: saved(&table.spec.store)?,
            });
        }
        let lasting = self.views.iter().filter(|(_, view)| !view.spec.ephemeral);
        for (_, view) in lasting {
            state.views.push(save_view(view)?);
        }
        for (name, aside) in &self.aside {
            let Some(source) = self.sources.get(name) else {
                continue;
            };
            let store = |store: &Option<Arc<Store>>| store.as_deref().map(saved).transpose();
            state.asides.push(SavedAside {
                source: name.clone(),
                errors: store(&source.aside.errors)?,
                late: store(&source.aside.late)?,
                dead: store(&source.aside.dead)?,
                noted: aside.noted(),
                gaps: aside.gaps.all(),
            });
        }
        let name_of = |id: u64| {
            let view = self
                .views
                .iter()
                .find(|(i, v)| *i == id && !v.spec.ephemeral);
            view.map(|(_, view)| view.spec.name.clone())
        };
        let feeds = self.feeds.iter().filter(|slot| slot.logged && !slot.failed);
        state.feeds = feeds
            .map(|slot| slot.feed.save(slot.shared, name_of))
            .collect();
        Ok(Some(state))
    }

    /// Takes the state of before, on sources, tables and views that have been declared again. The journal goes on from
    /// there ([`Core::begin_replay`] has been called).
    ///
    /// # Errors
    /// `XX001` when it is not of what was declared.
    pub fn load(&mut self, mut state: State) -> Result<()> {
        state.resolve(&mut NextParts::none())?;
        self.version = state.version;
        self.last_wall = state.last_wall;
        self.next_feed = state.next_feed;
        for mut saved in state.tables {
            let table = self.tables.get_mut(&saved.name);
            let table = table.ok_or_else(|| undeclared("table", &saved.name))?;
            table.watermark = Watermark(saved.watermark);
            table.fresh.clear();
            table.spec.store.load(&mut saved.rows)?;
        }
        for saved in state.views {
            let view = self
                .views
                .iter_mut()
                .find(|(_, v)| v.spec.name == saved.name);
            let (_, view) = view.ok_or_else(|| undeclared("view", &saved.name))?;
            load_view(view, saved)?;
        }
        for saved in state.asides {
            let source = self.sources.get(&saved.source);
            let source = source.ok_or_else(|| undeclared("source", &saved.source))?;
            for (store, rows) in [
                (&source.aside.errors, saved.errors),
                (&source.aside.late, saved.late),
                (&source.aside.dead, saved.dead),
            ] {
                if let (Some(store), Some(mut rows)) = (store, rows) {
                    store.load(&mut rows)?;
                }
            }
            let aside = self.aside.entry(saved.source).or_default();
            aside.note_all(saved.noted);
            for gap in saved.gaps {
                aside.gaps.note(gap);
            }
        }
        for feed in state.feeds {
            self.load_feed(feed)?;
        }
        self.inserted = false;
        // It was flushed for the checkpoint: a later start that takes an older one must do that here, too.
        self.moved = true;
        self.logged.clear();
        *self.published.write() = self.version;
        Ok(())
    }

    fn load_feed(&mut self, state: FeedState) -> Result<()> {
        let spec = self.definition(state.source(), state.columns());
        let spec = spec.ok_or_else(|| undeclared("source", state.source()))?;
        let mut consumers = Vec::new();
        for (view, leaf_at) in state.consumers() {
            let found = self.leaf_of(view, leaf_at);
            let (id, leaf) = found.ok_or_else(|| undeclared("view", view))?;
            consumers.push(self.consumer(id, leaf_at, leaf));
        }
        let later = self.later_of(state.id());
        let (shared, views) = (state.shared(), consumers.clone());
        match Feed::load(state, spec, consumers, later, self.waker.clone()) {
            Ok(feed) => self.go_on_with(feed, shared),
            // As when a read cannot go on: it takes its views with it.
            Err(error) => views.iter().for_each(|c| self.fail_view(c.view, &error)),
        }
        Ok(())
    }
}

fn undeclared(kind: &str, name: &str) -> Error {
    let message = format!("the state is of {kind} \"{name}\", which the catalog does not have so");
    Error::new(SqlState::DATA_CORRUPTED, message)
}

fn save_view(view: &View) -> Result<SavedView> {
    let place = |p: &Place| (p.topic.to_string(), p.partition, p.offset);
    let operators = view.is_alive().then(|| {
        let mut operators = Saved::default();
        view.pipeline.save(&mut operators).map(|()| operators)
    });
    Ok(SavedView {
        name: view.spec.name.clone(),
        manner: match &view.state {
            ViewState::CatchingUp => Manner::CatchingUp,
            ViewState::Running => Manner::Running,
            ViewState::Suspended => Manner::Suspended,
            ViewState::Failed(failure) => Manner::Failed {
                error: SavedError::of(&failure.error),
                place: failure.place.as_ref().map(place),
            },
        },
        rows_out: view.rows_out,
        watermark: view.watermark.0,
        skipped: view.skipped.iter().map(place).collect(),
        operators: operators.transpose()?,
        rows: saved(&view.spec.store)?,
    })
}

fn load_view(view: &mut View, mut saved: SavedView) -> Result<()> {
    let place = |(topic, partition, offset): (String, i32, i64)| Place {
        topic: topic.into(),
        partition,
        offset,
    };
    view.pipeline.take_output();
    view.fresh = Vec::<DeltaBatch>::new();
    view.touched = false;
    let (store, pipeline) = (&view.spec.store, &mut view.pipeline);
    let mut rows = saved.rows;
    std::thread::scope(|scope| {
        let loading = scope.spawn(move || store.load(&mut rows));
        let operators = saved.operators.as_mut();
        let loaded = operators.map_or(Ok(()), |operators| pipeline.load(operators));
        let panicked = |_| Err(Error::internal("a thread panicked"));
        loaded.and(loading.join().unwrap_or_else(panicked))
    })?;
    view.rows_out = saved.rows_out;
    view.watermark = Watermark(saved.watermark);
    view.skipped = saved.skipped.into_iter().map(place).collect();
    match saved.manner {
        Manner::CatchingUp => {
            view.spec.store.set_catching_up(true);
            view.state = ViewState::CatchingUp;
        }
        Manner::Running => view.state = ViewState::Running,
        Manner::Suspended => view.suspend(),
        Manner::Failed { error, place: at } => view.fail_at(Failure {
            error: error.error(),
            place: at.map(place),
        }),
    }
    Ok(())
}
