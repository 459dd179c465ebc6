//! A running view: its pipeline, its store, and what became of it.

use std::sync::Arc;

use dataflow::{DeltaBatch, Error, Micros, Result, SqlState, Watermark};
use plan::Node;

use crate::operator::{Counters, Tick};
use crate::ops::updating_agg::batch_of;
use crate::panic::guarded;
use crate::pipeline::Pipeline;
use crate::store::Store;

/// Declares a view to the engine.
#[derive(Clone)]
pub struct ViewSpec {
    /// Its name; unique among relations.
    pub name: String,
    /// Its plan.
    pub plan: Arc<Node>,
    /// Where its rows go.
    pub store: Arc<Store>,
    /// Index of an event-time column of the output and its offset, for retention.
    pub time: Option<(usize, Micros)>,
    /// A SUBSCRIBE to a query: when its only reader is slow, its reading of history waits.
    pub ephemeral: bool,
}

/// What a view does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewState {
    /// Reads its source's history on its own.
    CatchingUp,
    /// Follows its inputs.
    Running,
    /// Stopped by an error of its query or its input.
    Failed(Failure),
    /// Stopped by a user.
    Suspended,
}

/// Why a view failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    /// At which record, when it was one.
    pub place: Option<Place>,
}

/// A record of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The topic.
    pub topic: Arc<str>,
    /// Number of the partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
}

/// A view at work.
pub(crate) struct View {
    pub(crate) spec: ViewSpec,
    pub(crate) pipeline: Pipeline,
    pub(crate) state: ViewState,
    pub(crate) rows_out: u64,
    /// What this tick gave, for the views that read it.
    pub(crate) fresh: Vec<DeltaBatch>,
    /// Rows were pushed in this tick.
    pub(crate) touched: bool,
    /// The least watermark of what it reads, as of the last tick.
    pub(crate) watermark: Watermark,
    /// Records that it is to leave out.
    pub(crate) skipped: Vec<Place>,
}

impl View {
    pub(crate) fn new(spec: ViewSpec, pipeline: Pipeline) -> Self {
        Self {
            spec,
            pipeline,
            state: ViewState::Running,
            rows_out: 0,
            fresh: Vec::new(),
            touched: false,
            watermark: Watermark::MIN,
            skipped: Vec::new(),
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        matches!(self.state, ViewState::Running | ViewState::CatchingUp)
    }

    /// Pushes rows into a leaf; an error fails the view.
    pub(crate) fn push(&mut self, leaf: usize, batch: Result<DeltaBatch>) {
        if let Err(error) = self.try_push(leaf, batch) {
            self.fail(error);
        }
    }

    /// Pushes rows into a leaf; the view is broken after an error.
    pub(crate) fn try_push(&mut self, leaf: usize, batch: Result<DeltaBatch>) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        self.touched = true;
        let pipeline = &mut self.pipeline;
        batch.and_then(|b| {
            if b.is_empty() {
                Ok(())
            } else {
                guarded(|| pipeline.push(leaf, b))
            }
        })
    }

    /// Ends a tick; afterwards `fresh` has what came out.
    pub(crate) fn tick(&mut self, watermarks: &[Watermark], tick: Tick) {
        self.fresh.clear();
        self.touched = false;
        self.watermark = watermarks.iter().copied().min().unwrap_or(Watermark::MAX);
        if !self.is_alive() {
            return;
        }
        let pipeline = &mut self.pipeline;
        let given = guarded(|| pipeline.tick(watermarks, tick)).and_then(|()| self.named_output());
        match given {
            Ok(fresh) => {
                self.rows_out += fresh.iter().map(|b| b.len() as u64).sum::<u64>();
                self.fresh = fresh;
            }
            Err(error) => self.fail(error),
        }
    }

    /// The tick's rows under the names that users see.
    fn named_output(&mut self) -> Result<Vec<DeltaBatch>> {
        let schema = self.spec.store.schema();
        let named = |batch: DeltaBatch| {
            let (columns, rows) = (batch.rows.columns().to_vec(), batch.len());
            batch_of(Arc::clone(schema), columns, rows).map(|rows| batch.with_rows(rows))
        };
        self.pipeline.take_output().into_iter().map(named).collect()
    }

    pub(crate) fn fail(&mut self, error: Error) {
        self.fail_at(Failure { error, place: None });
    }

    pub(crate) fn fail_at(&mut self, failure: Failure) {
        let error = &failure.error;
        tracing::warn!(view = %self.spec.name, %error, "view failed");
        self.pipeline.take_output();
        self.spec.store.end(error.clone());
        self.state = ViewState::Failed(failure);
    }

    /// Stops it; its rows stay as they are.
    pub(crate) fn suspend(&mut self) {
        let message = format!("view \"{}\" was suspended", self.spec.name);
        let error = Error::new(SqlState::OBJECT_NOT_READY, message);
        self.spec
            .store
            .end(error.hint("ALTER MATERIALIZED VIEW … RESUME"));
        self.pipeline.take_output();
        self.state = ViewState::Suspended;
    }

    /// The watermark of the retention column.
    pub(crate) fn retention_watermark(&self) -> Option<Micros> {
        let (_, offset) = self.spec.time?;
        let watermark = self.pipeline.watermark();
        (watermark.is_known() && watermark != Watermark::MAX).then(|| watermark.shifted(offset).0)
    }

    pub(crate) fn counters(&self) -> Counters {
        self.pipeline.counters()
    }
}
