//! A view gets another query, and what its operators hold stays.

use std::sync::Arc;

use dataflow::{DeltaBatch, Error, Result, SqlState};
use datafusion::arrow::array::new_null_array;
use datafusion::arrow::datatypes::{Field, Schema};
use plan::replace::Split;

use super::Core;
use crate::ops::updating_agg::batch_of;
use crate::pipeline::Pipeline;
use crate::view::{View, ViewSpec};

impl Core {
    /// Replaces a running view. Its new rows are made of the old ones; readers of the old ones get an error.
    pub(super) fn replace_view(&mut self, spec: ViewSpec) -> Result<()> {
        let tables = |name: &str| self.tables.get(name).map(|t| Arc::clone(&t.spec.store));
        let mut pipeline = Pipeline::new(&spec.plan, &tables)?;
        let named = |(_, view): &&mut (u64, View)| view.spec.name == spec.name;
        let Some((_, view)) = self.views.iter_mut().find(named) else {
            let message = format!("materialized view \"{}\" does not exist", spec.name);
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
        };
        let columns = plan::replace::kept(&view.spec.plan, &spec.plan)
            .map_err(|_| Error::internal("a view is replaced that has to be made again"))?;
        let rows = old_rows(view, &spec, &columns)?;
        let below = pipeline.len() - Split::of(&spec.plan).last.len();
        pipeline.take_over(&mut view.pipeline, below, rows)?;
        let message = format!("view \"{}\" was replaced", spec.name);
        let replaced = Error::new(SqlState::OBJECT_NOT_READY, message);
        view.spec
            .store
            .end(replaced.hint("subscribe again: its columns may be others"));
        spec.store.begin_after(self.version);
        spec.store
            .set_catching_up(view.state == crate::ViewState::CatchingUp);
        (view.spec, view.pipeline) = (spec, pipeline);
        view.touched = true;
        self.inserted = true;
        Ok(())
    }
}

/// What the operators below the last projections have given so far, as the old rows have it; columns that nobody asks for are empty.
fn old_rows(view: &mut View, new: &ViewSpec, columns: &[Option<usize>]) -> Result<Vec<DeltaBatch>> {
    let old = view.spec.store.snapshot()?.into_iter();
    let mut rows: Vec<DeltaBatch> = old.map(DeltaBatch::inserts).collect();
    // What this tick has given already.
    rows.append(&mut view.pipeline.take_output());
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
