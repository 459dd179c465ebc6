//! What the engine can be told, and how it answers.

use std::sync::Arc;

use crossbeam_channel::Sender;
use dataflow::{Micros, Result};
use datafusion::arrow::array::RecordBatch;

use crate::feed::SourceSpec;
use crate::status::Status;
use crate::store::Store;
use crate::view::ViewSpec;

/// Where an answer goes: the version at which the command can be seen, or why it failed.
pub type Reply<T> = Sender<Result<T>>;

/// A change of what runs. Changes of one command take effect at one tick, in order.
pub enum Change {
    /// The statement by which the changes after it come about, for the journal. It does nothing by itself.
    Statement {
        /// Its text.
        text: String,
        /// The wall clock when it was given.
        at: Micros,
    },
    /// A source exists; nothing is read before a view wants it.
    CreateSource(Arc<SourceSpec>),
    /// A source has another definition with the same columns before its new ones: views made from now on read by it, the
    /// others go on as they were.
    AlterSource(Arc<SourceSpec>),
    /// A table exists.
    CreateTable(TableSpec),
    /// A view runs.
    CreateView(ViewSpec),
    /// A view that runs has another query over what its operators hold ([`plan::replace::kept`]).
    ReplaceView(ViewSpec),
    /// A view has another query, and is made again with it.
    RebuildView(ViewSpec),
    /// A source, table or view is gone, with its state.
    Drop(String),
    /// A view reads nothing until it is resumed.
    Suspend(String),
    /// A view that failed or was suspended is made again from the history of what it reads.
    Resume {
        /// The view.
        view: String,
        /// Without the record that made it fail.
        skip: bool,
    },
    /// Rows are added to a table.
    Insert {
        /// The table.
        table: String,
        /// The rows, in the table's schema.
        rows: RecordBatch,
    },
    /// A table's watermark moves, never back.
    AdvanceWatermark {
        /// The table.
        table: String,
        /// To this time: no row at or before it will come.
        to: Micros,
    },
}

impl Change {
    /// Whether it puts something else in the place of what others read.
    pub fn replaces(&self) -> bool {
        matches!(self, Self::ReplaceView(_) | Self::RebuildView(_))
    }

    /// The name of what it makes.
    pub(crate) fn makes(&self) -> Option<&str> {
        match self {
            Self::CreateSource(spec) => Some(&spec.name),
            Self::CreateTable(spec) => Some(&spec.name),
            Self::CreateView(spec) => Some(&spec.name),
            _ => None,
        }
    }
}

/// Declares a table to the engine.
#[derive(Clone)]
pub struct TableSpec {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub store: Arc<Store>,
    /// Index of the event-time column and the delay of the watermark behind it, in microseconds.
    pub watermark: Option<(usize, Micros)>,
}

/// A command to the engine.
pub enum Command {
    /// Changes what runs; answers when the tick that holds it is published.
    Apply(Vec<Change>, Reply<u64>),
    /// Asks for the status.
    Status(Sender<Status>),
    /// Ends the engine.
    Stop,
}
