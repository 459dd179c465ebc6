//! A view gets another query: what its operators hold stays, or it is made again.

use std::sync::Arc;

use dataflow::{DeltaBatch, Error, Result, SqlState};
use datafusion::arrow::array::new_null_array;
use datafusion::arrow::datatypes::{Field, Schema};
use plan::replace::Split;

use super::Core;
use crate::ops::updating_agg::batch_of;
use crate::panic::guarded;
use crate::pipeline::Pipeline;
use crate::view::{View, ViewSpec, ViewState};

impl Core {
    /// Replaces a running view, whose new rows are made of the old ones; readers of the old ones get an error. After an error
    /// everything is as it was.
    pub(super) fn replace_view(&mut self, spec: ViewSpec) -> Result<()> {
        let tables = |name: &str| self.tables.get(name).map(|t| Arc::clone(&t.spec.store));
        let mut pipeline = Pipeline::new(&spec.plan, &tables)?;
        let at = self.place_of(&spec.name)?;
        let view = &mut self.views[at].1;
        let columns = plan::replace::kept(&view.spec.plan, &spec.plan)
            .map_err(|_| Error::internal("a view is replaced that has to be made again"))?;
        let rows = old_rows(view, &spec, &columns)?;
        let below = pipeline.len() - Split::of(&spec.plan).last.len();
        guarded(|| pipeline.push_above(below, rows))?;
        // Nothing can fail from here on.
        pipeline.take_over(&mut view.pipeline, below);
        if let Some(error) = view.spec.store.ended() {
            // It has failed only this time, when the journal was run again.
            spec.store.end(error);
        }
        view.spec.store.end(replaced(&spec.name));
        spec.store.begin_after(self.version);
        spec.store
            .set_catching_up(view.state == ViewState::CatchingUp);
        let name = spec.name.clone();
        (view.spec, view.pipeline) = (spec, pipeline);
        view.touched = true;
        self.inserted = true;
        self.fail_readers(&name, &replaced(&name));
        Ok(())
    }

    /// Makes a view again with another query; as after DROP and CREATE, but after an error it is as it was.
    pub(super) fn rebuild_view(&mut self, spec: ViewSpec) -> Result<()> {
        let name = spec.name.clone();
        let at = self.place_of(&name)?;
        let events = self.events.clone();
        self.forget_attached(&name);
        self.leaving = Some(self.views[at].0);
        let created = self.create_view(spec);
        self.leaving = None;
        if let Err(error) = created {
            self.events = events;
            return Err(error);
        }
        let (id, old) = self.views.remove(at);
        old.spec.store.end(replaced(&name));
        self.fail_readers(&name, &replaced(&name));
        self.detach(id)
    }

    fn place_of(&self, name: &str) -> Result<usize> {
        let found = self.views.iter().position(|(_, v)| v.spec.name == name);
        found.ok_or_else(|| {
            let message = format!("materialized view \"{name}\" does not exist");
            Error::new(SqlState::UNDEFINED_TABLE, message)
        })
    }
}

fn replaced(name: &str) -> Error {
    let message = format!("view \"{name}\" was replaced");
    Error::new(SqlState::OBJECT_NOT_READY, message)
        .hint("subscribe again: its columns may be others")
}

/// What the operators below the last projections have given so far, as the old rows have it; columns that nobody asks for are empty.
fn old_rows(view: &View, new: &ViewSpec, columns: &[Option<usize>]) -> Result<Vec<DeltaBatch>> {
    let old = view.spec.store.snapshot()?.into_iter();
    let mut rows: Vec<DeltaBatch> = old.map(DeltaBatch::inserts).collect();
    // What this tick has given already.
    rows.extend_from_slice(view.pipeline.output());
    let below = Split::of(&new.plan).below.schema.inner();
    let fields = below.fields().iter().zip(columns);
    let fields = fields.map(|(field, at)| match at {
        Some(_) => field.as_ref().clone(),
        None => field.as_ref().clone().with_nullable(true),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<Field>>()));
    let each = rows.into_iter().map(|batch| {
        let taken = columns.iter().zip(schema.fields());
        let taken = taken.map(|(at, field)| match at {
            Some(at) => Arc::clone(batch.rows.column(*at)),
            None => new_null_array(field.data_type(), batch.len()),
        });
        let taken = batch_of(Arc::clone(&schema), taken.collect(), batch.len())?;
        Ok(batch.with_rows(taken))
    });
    each.collect()
}
