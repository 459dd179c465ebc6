//! The other side: batch DataFusion over the finite rows, by plain SQL.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionState;
use datafusion::prelude::SessionContext;
use tokio::runtime::Runtime;

use super::compare::{Rows, Value, rows_of};
use super::model::Placed;
use super::outcome::Look;
use super::table::TableRow;

/// A session's beginning and end, where the row has one.
pub(super) type SessionOf = Option<(i64, i64)>;

/// A row before a look: the look's number, the look, the row and its session.
type Seen<'a> = (i64, &'a Look, &'a Placed, SessionOf);

/// What plain SQL is asked about.
pub(super) struct Log<'a> {
    pub(super) placed: &'a [Placed],
    pub(super) looks: &'a [Look],
    /// For each look the sessions of the rows before it, one entry a row; none at all where they follow from the rows.
    pub(super) sessions: Vec<Vec<SessionOf>>,
    /// Windows of the rows, for those that are not worked out by SQL.
    pub(super) spans: BTreeSet<(i64, i64)>,
    /// Rows of the small table, each with the tick that it came in.
    pub(super) table: &'a [(TableRow, usize)],
}

/// Evaluates plain SQL over relations `log`, which has the rows before each look, `t` and `spans`.
pub(super) struct Batch<'a> {
    runtime: &'a Runtime,
    context: SessionContext,
    looks: usize,
}

impl Log<'_> {
    fn rows(&self) -> Result<RecordBatch, String> {
        let mut at: Vec<Seen<'_>> = Vec::new();
        for (number, look) in self.looks.iter().enumerate() {
            let before = self.placed.iter().take_while(|p| p.tick <= look.tick);
            at.extend(before.enumerate().map(|(row, placed)| {
                let of_look = self.sessions.get(number);
                let session = of_look.and_then(|s| s.get(row).copied().flatten());
                (number as i64, look, placed, session)
            }));
        }
        let ints = |of: &dyn Fn(&Seen<'_>) -> Option<i64>| -> ArrayRef {
            Arc::new(at.iter().map(of).collect::<Int64Array>())
        };
        let k: StringArray = at.iter().map(|(_, _, p, _)| p.row.k.as_deref()).collect();
        let x: Float64Array = at.iter().map(|(_, _, p, _)| p.row.x).collect();
        let columns: [(&str, ArrayRef, bool); 12] = [
            ("at", ints(&|r| Some(r.0)), false),
            ("now", ints(&|r| Some(r.1.watermark)), false),
            ("k", Arc::new(k), true),
            ("n", ints(&|r| r.2.row.n), true),
            ("x", Arc::new(x), true),
            ("ts", ints(&|r| Some(r.2.row.ts)), false),
            ("p", ints(&|r| Some(r.2.row.partition as i64)), false),
            ("o", ints(&|r| Some(r.2.row.offset)), false),
            ("tick", ints(&|r| Some(r.2.tick as i64)), false),
            ("wm", ints(&|r| Some(r.2.watermark)), false),
            ("session_start", ints(&|r| r.3.map(|s| s.0)), true),
            ("session_end", ints(&|r| r.3.map(|s| s.1)), true),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| e.to_string())
    }

    fn spans(&self) -> Result<RecordBatch, String> {
        let starts: Int64Array = self.spans.iter().map(|(start, _)| Some(*start)).collect();
        let ends: Int64Array = self.spans.iter().map(|(_, end)| Some(*end)).collect();
        let columns: [(&str, ArrayRef); 2] = [
            ("window_start", Arc::new(starts)),
            ("window_end", Arc::new(ends)),
        ];
        RecordBatch::try_from_iter(columns).map_err(|e| e.to_string())
    }

    fn table(&self) -> Result<RecordBatch, String> {
        let ids: StringArray = self
            .table
            .iter()
            .map(|((id, _), _)| id.as_deref())
            .collect();
        let values: Int64Array = self.table.iter().map(|((_, g), _)| *g).collect();
        let ticks: Int64Array = self.table.iter().map(|(_, t)| Some(*t as i64)).collect();
        let columns: [(&str, ArrayRef, bool); 3] = [
            ("id", Arc::new(ids), true),
            ("g", Arc::new(values), true),
            ("tick", Arc::new(ticks), false),
        ];
        RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| e.to_string())
    }
}

impl<'a> Batch<'a> {
    pub(super) fn new(
        state: &SessionState,
        runtime: &'a Runtime,
        log: &Log<'_>,
    ) -> Result<Self, String> {
        let context = SessionContext::new_with_state(state.clone());
        let relations = [
            ("log", log.rows()?),
            ("spans", log.spans()?),
            ("t", log.table()?),
        ];
        for (name, rows) in relations {
            let table = MemTable::try_new(rows.schema(), vec![vec![rows]]);
            let table = table.map_err(|e| e.to_string())?;
            // The state's catalog is that of the case before, too.
            context.deregister_table(name).map_err(|e| e.to_string())?;
            context
                .register_table(name, Arc::new(table))
                .map_err(|e| e.to_string())?;
        }
        Ok(Self {
            runtime,
            context,
            looks: log.looks.len(),
        })
    }

    /// The rows of a query.
    pub(super) fn query(&self, sql: &str) -> Result<Rows, String> {
        let batches = self
            .runtime
            .block_on(async { self.context.sql(sql).await?.collect().await });
        rows_of(&batches.map_err(|e| format!("plain SQL failed: {e}\n{sql}"))?)
    }

    /// The rows of a query whose first column is the number of the look, by look and without that column.
    pub(super) fn by_look(&self, sql: &str) -> Result<Vec<Rows>, String> {
        let mut looks = vec![Rows::new(); self.looks];
        for mut row in self.query(sql)? {
            match row.remove(0) {
                Value::Int(at) => looks[at as usize].push(row),
                other => return Err(format!("{other} is no number of a look\n{sql}")),
            }
        }
        Ok(looks)
    }
}
