//! UNION ALL: every row of every input, under the output's schema.

use dataflow::{DeltaBatch, Result};
use datafusion::arrow::datatypes::SchemaRef;

use crate::aggregates::conform;
use crate::operator::{Operator, Out};
use crate::state::saved::Saved;

/// Passes all inputs.
pub struct Union {
    /// Schema of the output.
    pub schema: SchemaRef,
}

impl Operator for Union {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        let rows = conform(&self.schema, batch.rows.columns().to_vec())?;
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
