//! What the planner knows of a relation that a continuous query may read.

use datafusion::arrow::datatypes::SchemaRef;

use crate::node::{Mode, TimeColumn};

/// Kinds of relations in a continuous query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// A stream over a topic.
    Source,
    /// A small table. With a watermark it is a stream too.
    Table,
    /// A materialized view.
    View,
}

/// A relation.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: RelationKind,
    /// Its columns.
    pub schema: SchemaRef,
    /// How it changes and which columns are event times.
    pub shape: ViewShape,
}

/// How a relation changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewShape {
    /// Append-only or updating.
    pub mode: Mode,
    /// Columns that follow the watermark.
    pub times: Vec<TimeColumn>,
    /// Rows of one window come out together when it closes, and the rows carry this column as `window_end` or
    /// `window_start` (indexes).
    pub window: Vec<(usize, crate::window::WindowColumn)>,
}

impl ViewShape {
    /// Append-only without event time.
    pub fn append() -> Self {
        Self {
            mode: Mode::Append,
            times: Vec::new(),
            window: Vec::new(),
        }
    }
}
