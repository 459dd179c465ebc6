//! From an optimised logical plan to a continuous plan: recognises windows, Top-N and table joins, refuses the rest.

mod aggregate;
mod grouping;
mod join;
mod properties;
mod topn;
mod window_join;
mod windowed;

use std::sync::Arc;

use dataflow::{Error, Micros, Result, SqlState};
use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};
use plan::{Mode, Node, Op, Relation, RelationKind, StateRule};

use crate::ast::{Emission, Emit};
use crate::errors::from_datafusion;
use crate::window::WindowNode;

/// Relations that a continuous plan may read.
pub trait Catalog {
    /// The relation called `name`.
    fn relation(&self, name: &str) -> Option<Relation>;
}

/// What the statement says about emission and state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowerOptions {
    /// `EMIT` and `ALLOW LATENESS`.
    pub emission: Emission,
    /// `WITH (state_ttl = …)` in microseconds.
    pub state_ttl: Option<Micros>,
    /// `WITH (unbounded_state = true)`.
    pub unbounded_state: bool,
}

/// Default of how long changes are gathered.
pub const DEFAULT_EVERY: Micros = dataflow::time::SECOND;

/// Lowers an optimised plan.
pub fn lower(
    plan: &LogicalPlan,
    catalog: &dyn Catalog,
    options: LowerOptions,
) -> Result<Arc<Node>> {
    let lowering = Lowering {
        catalog,
        options,
        below_window: false,
    };
    let root = lowering.node(plan)?;
    check_emission(options.emission, &root).map_err(|e| e.at(options.emission.location))?;
    Ok(root)
}

/// Refuses clauses that no operator of the plan obeys.
fn check_emission(emission: Emission, root: &Node) -> Result<()> {
    if let Some(emit) = emission.emit {
        check_emit(emit, root)?;
    }
    let windowed = |op: &Op| {
        matches!(
            op,
            Op::PaneAgg { .. } | Op::SessionAgg { .. } | Op::WindowAssign { .. }
        )
    };
    if emission.lateness.is_some() && !root.has_op(&windowed) {
        let message = "ALLOW LATENESS needs an aggregation over a window";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .hint("leave it out: without a window no row is late"));
    }
    // Rows of a window come out as they are when they are final: what is above the window corrects nothing.
    let waits = |op: &Op| match op {
        Op::CloseAgg { .. } | Op::WindowJoin { .. } => true,
        Op::TopN { .. } => root.mode == Mode::Append,
        _ => false,
    };
    let updates = matches!(emission.emit, Some(Emit::OnUpdate { .. }));
    if emission.lateness.is_some() && !updates && root.has_op(&waits) {
        return Err(refused(
            "ALLOW LATENESS where rows of a window are joined, numbered or aggregated above it",
        )
        .hint("declare a longer delay in the watermark, or aggregate in the query of the window"));
    }
    Ok(())
}

/// Refuses an EMIT that no operator of the plan obeys.
fn check_emit(emit: Emit, root: &Node) -> Result<()> {
    let (obeyed, message, hint) = match emit {
        Emit::OnWindowClose => (
            root.has_op(&|op| match op {
                Op::PaneAgg { .. }
                | Op::SessionAgg { .. }
                | Op::WindowJoin { .. }
                | Op::CloseAgg { .. } => true,
                Op::TopN { expires, .. } => expires.is_some(),
                _ => false,
            }),
            "EMIT ON WINDOW CLOSE needs an aggregation over a window",
            "leave EMIT out: rows that are not aggregated come out at once, and without a window they are corrected",
        ),
        Emit::OnUpdate { .. } => (
            root.has_op(&|op| matches!(op, Op::UpdatingAgg { .. } | Op::SessionAgg { .. })),
            "EMIT ON UPDATE needs an aggregation",
            "leave EMIT out: the rows of this query come out at once and are never corrected",
        ),
    };
    if obeyed {
        return Ok(());
    }
    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(hint))
}

pub(crate) struct Lowering<'a> {
    pub(crate) catalog: &'a dyn Catalog,
    pub(crate) options: LowerOptions,
    /// A window reads what is lowered: it wants final rows.
    pub(crate) below_window: bool,
}

impl Lowering<'_> {
    /// What a window or a join of windows reads.
    pub(crate) fn below(&self, plan: &LogicalPlan) -> Result<Arc<Node>> {
        let below = Lowering {
            below_window: true,
            ..*self
        };
        below.node(plan)
    }

    pub(crate) fn node(&self, plan: &LogicalPlan) -> Result<Arc<Node>> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Values(values) => values_of(values),
            LogicalPlan::Projection(p) => {
                let input = self.node(&p.input)?;
                Ok(properties::project(
                    input,
                    p.expr.clone(),
                    Arc::clone(&p.schema),
                ))
            }
            LogicalPlan::Filter(f) => match topn::recognise(self, f)? {
                Some(node) => Ok(node),
                None => Ok(properties::filter(
                    self.node(&f.input)?,
                    f.predicate.clone(),
                )),
            },
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.node(&alias.input)?;
                Ok(properties::relabel(&input, Arc::clone(&alias.schema)))
            }
            LogicalPlan::Aggregate(aggregate) => aggregate::lower(self, aggregate),
            LogicalPlan::Union(union) => self.union(union),
            LogicalPlan::Join(join) => join::lower(self, join),
            LogicalPlan::Extension(extension) => {
                match extension.node.as_any().downcast_ref::<WindowNode>() {
                    Some(window) => windowed::assign(self, window),
                    None => Err(refused(extension.node.name())),
                }
            }
            other => Err(refused(kind_of(other))),
        }
    }

    fn scan(&self, scan: &TableScan) -> Result<Arc<Node>> {
        let name = scan.table_name.table();
        let relation = self.catalog.relation(name).ok_or_else(|| {
            Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("a continuous query cannot read \"{}\"", scan.table_name),
            )
            .hint("it can read sources, tables and materialized views")
        })?;
        if scan.fetch.is_some() || !scan.filters.is_empty() {
            return Err(Error::internal("limits and filters stay above a stream"));
        }
        let columns: Vec<usize> = scan
            .projection
            .clone()
            .unwrap_or_else(|| (0..relation.schema.fields().len()).collect());
        let at = |index: usize| columns.iter().position(|c| *c == index);
        let times = relation
            .shape
            .times
            .iter()
            .filter_map(|t| {
                at(t.index).map(|index| plan::TimeColumn {
                    index,
                    offset: t.offset,
                })
            })
            .collect();
        let window = relation
            .shape
            .window
            .iter()
            .filter_map(|(i, c)| at(*i).map(|i| (i, *c)))
            .collect();
        let node = Arc::new(Node {
            op: Op::Read {
                relation: relation.name,
                kind: relation.kind,
                columns,
            },
            inputs: Vec::new(),
            schema: Arc::clone(&scan.projected_schema),
            mode: relation.shape.mode,
            times,
            window,
            state: StateRule::None,
        });
        Ok(node)
    }

    fn union(&self, union: &datafusion::logical_expr::Union) -> Result<Arc<Node>> {
        let inputs = union
            .inputs
            .iter()
            .map(|i| self.node(i))
            .collect::<Result<Vec<_>>>()?;
        Ok(union_of(
            same_time(inputs),
            Arc::clone(&union.schema),
            false,
        ))
    }

    /// The small table that `plan` scans (through aliases, projections of columns and filters).
    pub(crate) fn table_of(&self, plan: &LogicalPlan) -> Option<Relation> {
        match plan {
            LogicalPlan::TableScan(scan) => self
                .catalog
                .relation(scan.table_name.table())
                .filter(|r| r.kind == RelationKind::Table),
            LogicalPlan::SubqueryAlias(a) => self.table_of(&a.input),
            LogicalPlan::Projection(p) => self.table_of(&p.input),
            LogicalPlan::Filter(f) => self.table_of(&f.input),
            _ => None,
        }
    }
}

/// The rows of VALUES. As none comes after them, every time among their columns follows the watermark.
fn values_of(values: &datafusion::logical_expr::Values) -> Result<Arc<Node>> {
    let has_subquery = |expr: &Expr| {
        expr.exists(|inner| {
            Ok(matches!(
                inner,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
            ))
        })
    };
    for expr in values.values.iter().flatten() {
        if has_subquery(expr).map_err(from_datafusion)? {
            return Err(refused("a subquery in VALUES"));
        }
    }
    let is_time = |field: &Arc<Field>| {
        matches!(
            field.data_type(),
            DataType::Timestamp(TimeUnit::Microsecond, _)
        )
    };
    let fields = values.schema.fields().iter().enumerate();
    let times = fields.filter(|(_, field)| is_time(field));
    Ok(Arc::new(Node {
        op: Op::Values {
            rows: values.values.clone(),
        },
        inputs: Vec::new(),
        times: times
            .map(|(index, _)| plan::TimeColumn { index, offset: 0 })
            .collect(),
        schema: Arc::clone(&values.schema),
        mode: Mode::Append,
        window: Vec::new(),
        state: StateRule::None,
    }))
}

/// The inputs under watermarks that mean the same: where no column of event time follows all of them at one distance, each
/// under that of the column that is an event time in all, best the end of a window.
fn same_time(inputs: Vec<Arc<Node>>) -> Vec<Arc<Node>> {
    let Some(first) = inputs.first() else {
        return inputs;
    };
    let in_all = |t: &&plan::TimeColumn| inputs.iter().all(|i| i.time_offset(t.index).is_some());
    let alike = |t: &plan::TimeColumn| {
        let same = |i: &Arc<Node>| i.time_offset(t.index) == Some(t.offset);
        inputs.iter().all(same)
    };
    let common = first.times.iter().filter(in_all);
    let best = common.min_by_key(|t| properties::rank_of_time(first, t.index));
    let Some(time) = best.map(|t| t.index) else {
        return inputs;
    };
    if first.times.iter().any(alike) {
        return inputs;
    }
    let moved = |i: Arc<Node>| {
        let offset = i.time_offset(time).unwrap_or(0);
        properties::retime(i, offset)
    };
    inputs.into_iter().map(moved).collect()
}

/// All rows of the inputs, of which there is at least one; a column has the roles that it has in all of them.
/// `same_rows`: they see the same rows.
pub(crate) fn union_of(inputs: Vec<Arc<Node>>, schema: DFSchemaRef, same_rows: bool) -> Arc<Node> {
    let append = inputs.iter().all(|i| i.mode == Mode::Append);
    let in_all = |t: &&plan::TimeColumn| {
        let same = |i: &Arc<Node>| i.time_offset(t.index) == Some(t.offset);
        inputs.iter().all(same)
    };
    let times = inputs[0].times.iter().filter(in_all).copied().collect();
    let windows = inputs[0].window.iter();
    let window = windows
        .filter(|w| inputs.iter().all(|i| i.window.contains(w)))
        .copied()
        .collect();
    Arc::new(Node {
        op: Op::Union { same_rows },
        inputs,
        schema,
        mode: if append { Mode::Append } else { Mode::Updating },
        times,
        window,
        state: StateRule::None,
    })
}

pub(crate) fn refused(what: impl std::fmt::Display) -> Error {
    Error::unsupported(format!("{what} in a continuous query"))
}

/// What a user calls a logical node.
fn kind_of(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::Window(_) => "a window function (OVER) other than ROW_NUMBER() … <= n",
        LogicalPlan::Sort(_) => "ORDER BY",
        LogicalPlan::Limit(_) => "LIMIT",
        LogicalPlan::Distinct(_) => "DISTINCT ON",
        LogicalPlan::EmptyRelation(_) => "SELECT without FROM",
        LogicalPlan::Unnest(_) => "UNNEST",
        LogicalPlan::RecursiveQuery(_) => "WITH RECURSIVE",
        LogicalPlan::Subquery(_) => "a subquery expression",
        LogicalPlan::Repartition(_) => "DISTRIBUTE BY",
        _ => "this statement",
    }
}

/// Index of a column expression in a schema.
pub(crate) fn column_index(
    expr: &Expr,
    schema: &datafusion::common::DFSchema,
) -> Result<Option<usize>> {
    match expr {
        Expr::Column(column) => schema
            .index_of_column(column)
            .map(Some)
            .map_err(from_datafusion),
        Expr::Alias(alias) => column_index(&alias.expr, schema),
        _ => Ok(None),
    }
}
