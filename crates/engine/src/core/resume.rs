//! Views that stop and go on: suspended by a user, or failed at a record. Resuming makes the view again from the history of
//! what it reads, which gives the same rows.

use std::sync::Arc;

use dataflow::{DeltaBatch, Error, Result, SqlState};
use plan::RelationKind;

use super::Core;
use crate::feed::Delivery;
use crate::pipeline::{Leaf, Pipeline};
use crate::view::{Failure, Place, View, ViewState};

impl Core {
    pub(super) fn suspend(&mut self, name: &str) -> Result<()> {
        let at = self.view_at(name)?;
        let (id, view) = &mut self.views[at];
        view.suspend();
        let id = *id;
        self.forget_attached(name);
        self.detach(id)
    }

    pub(super) fn resume(&mut self, name: &str, skip: bool) -> Result<()> {
        let at = self.view_at(name)?;
        let view = &self.views[at].1;
        let failure = match &view.state {
            ViewState::Failed(failure) => Some(failure.clone()),
            _ => None,
        };
        let mut skipped = view.skipped.clone();
        if skip && (self.replay.is_none() || failure.is_some()) {
            let place = failure.and_then(|f| f.place).ok_or_else(|| {
                let message =
                    format!("view \"{name}\" did not fail at a record that can be skipped");
                Error::new(SqlState::OBJECT_NOT_READY, message)
                    .hint("SHOW JOBS says why it stands still; RESUME goes on without skipping")
            })?;
            // What cannot be read again does not come again, and its offset may be another record's.
            if self.replays(at) {
                skipped.push(place);
            }
        }
        self.rebuild(at, skipped)
    }

    /// Whether the sources of a view give a record again.
    fn replays(&self, at: usize) -> bool {
        let leaves = self.views[at].1.pipeline.leaves().iter();
        let sources = leaves.filter_map(|leaf| self.sources.get(&leaf.relation));
        sources.into_iter().all(|source| source.factory.replays())
    }

    fn view_at(&self, name: &str) -> Result<usize> {
        let at = self.views.iter().position(|(_, v)| v.spec.name == name);
        at.ok_or_else(|| {
            let message = format!("materialized view \"{name}\" does not exist");
            Error::new(SqlState::UNDEFINED_TABLE, message)
        })
    }

    /// Makes the view anew in its place, which is an order of dependency.
    fn rebuild(&mut self, at: usize, skipped: Vec<Place>) -> Result<()> {
        let (old, view) = &self.views[at];
        let (old, spec) = (*old, view.spec.clone());
        let tables = |name: &str| self.tables.get(name).map(|t| t.store());
        let pipeline = Pipeline::new(&spec.plan, &tables)?;
        self.detach(old)?;
        self.forget_attached(&spec.name);
        spec.store.begin_again(self.version)?;
        let id = self.next_view;
        self.next_view += 1;
        let mut view = View::new(spec, pipeline);
        view.skipped = skipped;
        self.keep_late(&mut view);
        let leaves: Vec<Leaf> = view.pipeline.leaves().to_vec();
        self.read_history(&mut view, &leaves)?;
        self.views[at] = (id, view);
        self.inserted = true;
        for (index, leaf) in leaves.into_iter().enumerate() {
            if leaf.kind == RelationKind::Source {
                self.attach(id, index, leaf)?;
            }
        }
        Ok(())
    }

    /// The view's failure at one of the rows of a delivery: which record it was is found by giving the rows one by one
    /// to a copy that has no state.
    pub(super) fn failure_at(&self, view: &View, delivery: &Delivery, error: Error) -> Failure {
        let place = self.culprit(view, delivery).map(|row| Place {
            topic: Arc::clone(&delivery.topic),
            partition: delivery.partition,
            offset: delivery.offsets[row],
        });
        let text = match &place {
            Some(place) => format!(
                "topic {} partition {} offset {}",
                place.topic, place.partition, place.offset
            ),
            None => format!(
                "topic {} partition {} offsets {} to {}",
                delivery.topic,
                delivery.partition,
                delivery.offsets.first().copied().unwrap_or(-1),
                delivery.offsets.last().copied().unwrap_or(-1)
            ),
        };
        let detail = match error.detail_text() {
            Some(detail) => format!("{detail}; {text}"),
            None => text,
        };
        Failure {
            error: error.detail(detail),
            place,
        }
    }

    fn culprit(&self, view: &View, delivery: &Delivery) -> Option<usize> {
        let batch = delivery.batch.as_ref().ok()?;
        let tables = |name: &str| self.tables.get(name).map(|t| t.store());
        let mut probe = Pipeline::new(&view.spec.plan, &tables).ok()?;
        (0..batch.len()).find(|row| {
            let one = DeltaBatch::inserts(batch.rows.slice(*row, 1));
            crate::panic::guarded(|| probe.push(delivery.leaf, one)).is_err()
        })
    }
}
