//! The other side: batch DataFusion over the finite rows, by plain SQL.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use tokio::runtime::Runtime;

use super::compare::{Rows, rows_of};
use super::model::Placed;

/// Evaluates plain SQL over the rows of one case, as relation `log`.
pub(super) struct Batch<'a> {
    runtime: &'a Runtime,
    context: SessionContext,
}

impl<'a> Batch<'a> {
    /// Over `placed` rows; `sessions` has an entry a row, or none at all.
    pub(super) fn new(
        state: &SessionState,
        runtime: &'a Runtime,
        placed: &[Placed],
        sessions: &[Option<(i64, i64)>],
    ) -> Result<Self, String> {
        let ints = |of: &dyn Fn(&Placed) -> Option<i64>| -> ArrayRef {
            Arc::new(placed.iter().map(of).collect::<Int64Array>())
        };
        let session = |of: fn((i64, i64)) -> i64| -> ArrayRef {
            let times = (0..placed.len()).map(|at| sessions.get(at).copied().flatten().map(of));
            Arc::new(times.collect::<Int64Array>())
        };
        let k: StringArray = placed.iter().map(|p| p.row.k.as_deref()).collect();
        let x: Float64Array = placed.iter().map(|p| p.row.x).collect();
        let columns: [(&str, ArrayRef, bool); 10] = [
            ("k", Arc::new(k), true),
            ("n", ints(&|p| p.row.n), true),
            ("x", Arc::new(x), true),
            ("ts", ints(&|p| Some(p.row.ts)), false),
            ("p", ints(&|p| Some(p.row.partition as i64)), false),
            ("o", ints(&|p| Some(p.row.offset)), false),
            ("tick", ints(&|p| Some(p.tick as i64)), false),
            ("wm", ints(&|p| Some(p.watermark)), false),
            ("session_start", session(|(start, _)| start), true),
            ("session_end", session(|(_, end)| end), true),
        ];
        let rows = RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| e.to_string())?;
        let table =
            MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(|e| e.to_string())?;
        let context = SessionContext::new_with_state(state.clone());
        // The state's catalog is that of the case before, too.
        context.deregister_table("log").map_err(|e| e.to_string())?;
        context
            .register_table("log", Arc::new(table))
            .map_err(|e| e.to_string())?;
        Ok(Self { runtime, context })
    }

    /// The rows of a query.
    pub(super) fn query(&self, sql: &str) -> Result<Rows, String> {
        let batches = self
            .runtime
            .block_on(async { self.context.sql(sql).await?.collect().await });
        rows_of(&batches.map_err(|e| format!("plain SQL failed: {e}\n{sql}"))?)
    }
}
