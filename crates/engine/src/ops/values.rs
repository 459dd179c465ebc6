//! Rows that the statement itself has: all of them come in the first tick, and then its time is over.

use std::sync::Arc;

use dataflow::{DeltaBatch, Error, Result, Watermark};
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;

use crate::expr::{compile, evaluate};
use crate::operator::{Operator, Out, Tick};
use crate::ops::updating_agg::batch_of;
use crate::state::saved::Saved;

/// Gives its rows once.
pub struct Values {
    rows: Option<RecordBatch>,
}

impl Values {
    /// The rows of lists of constant expressions, one a column of `schema`.
    ///
    /// # Errors
    /// Those of evaluating the expressions.
    pub fn new(rows: &[Vec<Expr>], schema: SchemaRef) -> Result<Self> {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let nothing =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
        let none = DFSchema::empty();
        let column = |at: usize| -> Result<ArrayRef> {
            let data_type = schema.field(at).data_type();
            let mut cells = Vec::with_capacity(rows.len());
            for row in rows {
                let value = evaluate(&compile(&row[at], &none)?, &nothing)?;
                cells.push(cast(&value, data_type)?);
            }
            let parts: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
            if parts.is_empty() {
                return Ok(new_empty_array(data_type));
            }
            Ok(concat(&parts)?)
        };
        let columns = (0..schema.fields().len()).map(column);
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            rows: Some(batch_of(schema, columns, rows.len())?),
        })
    }
}

impl Operator for Values {
    fn on_batch(&mut self, _port: usize, _batch: DeltaBatch, _out: &mut Out) -> Result<()> {
        Err(Error::internal("VALUES has no input"))
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        if let Some(rows) = self.rows.take() {
            out.push(DeltaBatch::inserts(rows));
        }
        Ok(tick.watermark)
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        saved.count(usize::from(self.rows.is_some()));
        Ok(())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        if saved.take_count()? == 0 {
            self.rows = None;
        }
        Ok(())
    }
}
