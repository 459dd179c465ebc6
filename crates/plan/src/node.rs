//! Nodes of a continuous plan, each with its schema, change mode, event-time columns and state rule.

use std::sync::Arc;

use dataflow::Micros;
use datafusion::common::{DFSchemaRef, JoinType};
use datafusion::logical_expr::{Expr, SortExpr};

use crate::window::{Window, WindowColumn};

pub use dataflow::batch::Weights as Weight;

/// How the rows of a node change over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Rows are only added.
    Append,
    /// Rows are added and taken back.
    Updating,
}

/// When windows give rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Emit {
    /// Final rows when the window closes.
    OnWindowClose,
    /// Rows when the window closes, which late rows correct. The input's watermark is `lateness` microseconds behind, so
    /// that it says when a window is final: it closes that much before.
    Corrected {
        /// How long behind its close a window is corrected.
        lateness: Micros,
    },
    /// Open windows too; changes are gathered for `every` microseconds at most.
    OnUpdate {
        /// Longest time that a change waits.
        every: Micros,
    },
}

impl Emit {
    /// How long behind their close windows are corrected; zero when they are not.
    pub fn lateness(self) -> Micros {
        match self {
            Self::Corrected { lateness } => lateness,
            Self::OnWindowClose | Self::OnUpdate { .. } => 0,
        }
    }
}

/// A column whose values follow the watermark: no later row has a value at or below watermark + `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeColumn {
    /// Index in the node's schema.
    pub index: usize,
    /// What to add to the node's watermark to get the column's.
    pub offset: Micros,
}

/// Why a node's state is bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateRule {
    /// It keeps nothing.
    None,
    /// Freed when the watermark passes the window's end.
    Window,
    /// A fixed number of rows.
    Fixed(&'static str),
    /// Rows untouched for this long (microseconds of processing ticks' wall time) are forgotten.
    Ttl(Micros),
    /// Grows with the number of keys; the user said so.
    Unbounded,
    /// As large as its input's own state.
    Input,
}

/// Aggregation: keys, aggregates and, when windowed, the window.
#[derive(Clone, Debug, PartialEq)]
pub struct AggSpec {
    /// Group keys over the input's schema, without window columns.
    pub keys: Vec<Expr>,
    /// Aggregate functions over the input's schema.
    pub aggs: Vec<Expr>,
    /// Output column by column: where each comes from, in the order of the node's schema.
    pub output: Vec<AggOutput>,
}

/// Where an output column of an aggregation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggOutput {
    /// A key.
    Key(usize),
    /// An aggregate.
    Agg(usize),
    /// A column of the window.
    Window(WindowColumn),
    /// `window_complete`: whether the row is final.
    Complete,
}

/// What ends a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionEnds {
    /// A pause of so long.
    pub gap: Micros,
    /// So long after its first row.
    pub max: Option<Micros>,
    /// A row for which this holds; over the input's schema.
    pub when: Option<Expr>,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Rows of a source or table as they come; columns by index into its schema.
    Read {
        /// Name of the relation.
        relation: String,
        /// Its kind.
        kind: crate::relation::RelationKind,
        /// Columns read.
        columns: Vec<usize>,
    },
    /// Rows of the statement itself; they come once, and no others after them.
    Values {
        /// Constant expressions, one a column, by row.
        rows: Vec<Vec<Expr>>,
    },
    /// Filter, then project. Without `exprs` all columns pass.
    Calc {
        /// Rows to keep.
        filter: Option<Expr>,
        /// Output columns.
        exprs: Option<Vec<Expr>>,
    },
    /// Adds window columns; a row appears once for each of its windows.
    WindowAssign {
        /// The window.
        window: Window,
        /// Event-time column of the input.
        time: usize,
    },
    /// Passes rows; its watermark is that of its input moved by so many microseconds.
    Retime {
        /// Microseconds.
        by: Micros,
    },
    /// Aggregates panes of aligned windows; gives rows at their close.
    PaneAgg {
        /// The window.
        window: Window,
        /// Event-time column of the input.
        time: usize,
        /// Keys and aggregates.
        spec: AggSpec,
        /// `OnWindowClose` or `Corrected`.
        emit: Emit,
    },
    /// Aggregates sessions.
    SessionAgg {
        /// What ends a session.
        ends: SessionEnds,
        /// Event-time column of the input.
        time: usize,
        /// Rows that fail this extend the session but are not aggregated; sessions without a passing row give nothing.
        keep: Option<Expr>,
        /// Keys and aggregates.
        spec: AggSpec,
        /// When rows come out.
        emit: Emit,
    },
    /// Aggregates without closing; gives corrections.
    UpdatingAgg {
        /// Keys and aggregates; windows' columns are ordinary keys here.
        spec: AggSpec,
        /// A key that follows the watermark, with its offset: a group goes when watermark + offset reaches the key.
        expires: Option<(usize, Micros)>,
        /// The aligned window whose columns are among the keys: the output's watermark is that of its `window_time`.
        window: Option<Window>,
        /// Longest time that a change waits, in microseconds.
        every: Micros,
        /// Forget groups untouched for so long.
        ttl: Option<Micros>,
    },
    /// Aggregates rows that carry their window; gives final rows when the watermark has passed it.
    CloseAgg {
        /// Keys and aggregates; windows' columns are ordinary keys here.
        spec: AggSpec,
        /// The key of event time, which follows the input's watermark.
        time: usize,
    },
    /// The rows of an input that is corrected, when the watermark has passed them.
    FinalRows {
        /// The column of event time, which follows the input's watermark.
        time: usize,
    },
    /// The first `limit` rows of each partition, numbered from 1 in the last column when `numbered`.
    TopN {
        /// Partition columns of the input.
        partition: Vec<Expr>,
        /// Order inside a partition.
        order: Vec<SortExpr>,
        /// Rows kept.
        limit: usize,
        /// Whether the row number is the last output column.
        numbered: bool,
        /// A partition column that follows the watermark, with its offset: a partition is final and goes when watermark +
        /// offset reaches it.
        expires: Option<(usize, Micros)>,
    },
    /// All rows of all inputs.
    Union {
        /// All inputs see the same rows (grouping sets): those that are late are told of once.
        same_rows: bool,
    },
    /// Joins the rows of a window of the first input with those of the same window of the second, when it has closed in
    /// both.
    WindowJoin {
        /// Which rows come out.
        kind: JoinType,
        /// The columns of event time that are equal in both, by index; they follow the watermark of their inputs.
        times: (usize, usize),
        /// Equal expressions: over the first input, over the second.
        on: Vec<(Expr, Expr)>,
        /// Further condition over the columns of both.
        filter: Option<Expr>,
        /// Schema of the columns of both, qualified.
        pair_schema: DFSchemaRef,
    },
    /// Joins each row, when it comes, to the rows that the table has then.
    TableJoin {
        /// The table.
        table: String,
        /// Columns of the table that are read, by index.
        columns: Vec<usize>,
        /// Schema of those columns, qualified.
        read_schema: DFSchemaRef,
        /// Rows of the table that take part, over `read_schema`.
        table_filter: Option<Expr>,
        /// Which of the columns read are joined, by index into `columns`.
        joined: Vec<usize>,
        /// Schema of the joined columns, qualified.
        table_schema: DFSchemaRef,
        /// Equal expressions: over the input, over the table.
        on: Vec<(Expr, Expr)>,
        /// Further condition over both.
        filter: Option<Expr>,
        /// Which rows come out, with the stream on the left: inner, left, left semi or left anti.
        kind: JoinType,
        /// Schema of the columns of both in output order, qualified.
        pair_schema: DFSchemaRef,
        /// The table's columns come first in the output.
        table_first: bool,
    },
}

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<Arc<Node>>,
    /// Its columns.
    pub schema: DFSchemaRef,
    /// How its rows change.
    pub mode: Mode,
    /// Its event-time columns.
    pub times: Vec<TimeColumn>,
    /// Columns that name the window whose close gave the row.
    pub window: Vec<(usize, WindowColumn)>,
    /// Why its state is bounded.
    pub state: StateRule,
}

impl Node {
    /// The offset of column `index` when it is an event time.
    pub fn time_offset(&self, index: usize) -> Option<Micros> {
        self.times
            .iter()
            .find(|t| t.index == index)
            .map(|t| t.offset)
    }

    /// Names of the relations that the plan reads, each once, in order of first use.
    pub fn reads(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.collect_reads(&mut names);
        names
    }

    /// Whether some node of the plan does what `wanted` says.
    pub fn has_op(&self, wanted: &dyn Fn(&Op) -> bool) -> bool {
        wanted(&self.op) || self.inputs.iter().any(|n| n.has_op(wanted))
    }

    /// Whether some node of the plan keeps its state by `rule`.
    pub fn has_state(&self, rule: &dyn Fn(&StateRule) -> bool) -> bool {
        rule(&self.state) || self.inputs.iter().any(|n| n.has_state(rule))
    }

    fn collect_reads(&self, names: &mut Vec<String>) {
        let mut add = |name: &String| {
            if !names.contains(name) {
                names.push(name.clone());
            }
        };
        match &self.op {
            Op::Read { relation, .. } => add(relation),
            Op::TableJoin { table, .. } => add(table),
            _ => {}
        }
        for input in &self.inputs {
            input.collect_reads(names);
        }
    }
}
