//! What a session gives back: rows, COPY data, tags, notices.

use std::pin::Pin;

use dataflow::Result;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use futures::Stream;
use sql::ast::CopyFormat;

/// Batches of a result. Dropping it ends the query. A live stream yields a batch as soon as it has rows and is `Pending`
/// while there are none, so a writer flushes when it turns `Pending`.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// Rows on their way to a client.
pub struct Rows {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub stream: BatchStream,
    /// First word of the command tag: `SELECT`, `SUBSCRIBE`, `SHOW`, `DESCRIBE`, `EXPLAIN`; the writer adds the count for
    /// SELECT and SUBSCRIBE.
    pub tag: &'static str,
}

/// What a statement gave.
pub enum Outcome {
    /// A result set.
    Rows(Rows),
    /// Rows in COPY-out form (`COPY … TO STDOUT`, or a bare SUBSCRIBE to psql); the tag is `COPY n`.
    Copy(Rows, CopyFormat),
    /// Done, with its whole command tag (`CREATE MATERIALIZED VIEW`, `INSERT 0 3`, `BEGIN`).
    Done(String),
}

/// A message beside the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING` or `INFO`.
    pub severity: &'static str,
    /// SQLSTATE, `00000` for a plain notice.
    pub state: &'static str,
    /// The text.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Notice {
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self {
            severity: "NOTICE",
            state: "00000",
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn warning(state: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: "WARNING",
            state,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What ReadyForQuery says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// Outside a transaction block (`I`).
    Idle,
    /// Inside one (`T`).
    InBlock,
    /// Inside a failed one (`E`).
    Failed,
}

/// A statement that was planned once: its result columns and parameter types.
pub struct Prepared {
    /// Columns of the result, `None` when it gives no rows (a COPY gives none here either).
    pub schema: Option<SchemaRef>,
    /// Types of `$1`, `$2`, …
    pub parameters: Vec<DataType>,
}
