//! Filter, then project: stateless, and the watermark passes.

use dataflow::{DeltaBatch, Result};
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;

use crate::aggregates::conform;
use crate::expr::{Compiled, evaluate_all, evaluate_filter};
use crate::operator::{Operator, Out};
use crate::state::saved::Saved;

/// Keeps the rows that pass `filter` and gives `exprs` of them.
pub struct Calc {
    /// Condition, or all rows.
    pub filter: Option<Compiled>,
    /// Output columns, or all columns.
    pub exprs: Option<Vec<Compiled>>,
    /// Schema of the output.
    pub schema: SchemaRef,
}

impl Operator for Calc {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        let batch = match &self.filter {
            Some(filter) => {
                let keep = evaluate_filter(filter, &batch.rows)?;
                if keep.true_count() == batch.len() {
                    batch
                } else {
                    batch.filter(&keep)?
                }
            }
            None => batch,
        };
        if batch.is_empty() {
            return Ok(());
        }
        let Some(exprs) = &self.exprs else {
            out.push(batch);
            return Ok(());
        };
        let columns = evaluate_all(exprs, &batch.rows)?;
        let rows = if columns.is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(batch.len()));
            RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?
        } else {
            conform(&self.schema, columns)?
        };
        out.push(batch.with_rows(rows));
        Ok(())
    }

    fn save(&self, _saved: &mut Saved) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _saved: &mut Saved) -> Result<()> {
        Ok(())
    }
}
