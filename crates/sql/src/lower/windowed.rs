//! Window functions: rows with window columns, and the chain between a window and the aggregation over it.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::{Error, Result, SqlState};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, LogicalPlan, lit, utils::conjunction};
use plan::{Mode, Node, Op, StateRule, TimeColumn, WindowColumn};

use super::{Lowering, properties};
use crate::errors::from_datafusion;
use crate::window::WindowNode;
use crate::window::node::kept;

/// The input of a window function, with its event-time column checked.
pub(crate) struct WindowInput {
    /// The lowered input.
    pub(crate) node: Arc<Node>,
    /// Index of the event-time column in it.
    pub(crate) time: usize,
}

/// Lowers what a window function reads: final rows.
pub(crate) fn input(lowering: &Lowering<'_>, window: &WindowNode) -> Result<WindowInput> {
    let node = final_rows(lowering.below(&window.input)?)
        .ok_or_else(|| super::refused("a window over rows that are updated"))?;
    let time = node
        .schema
        .index_of_column(&window.time)
        .map_err(from_datafusion)?;
    let is_end = node
        .window
        .iter()
        .any(|(i, c)| *i == time && *c == WindowColumn::End);
    let offset = node.time_offset(time).filter(|_| !is_end);
    let Some(offset) = offset else {
        let message = format!(
            "column \"{}\" has no watermark and cannot be the time of a window",
            window.time.name
        );
        let error = Error::new(SqlState::INVALID_PARAMETER, message);
        return Err(match node.times.first() {
            _ if is_end => error.hint("windows over windows use window_time"),
            Some(t) => error.hint(format!("use \"{}\"", node.schema.field(t.index).name())),
            None => error.hint(
                "declare WATERMARK FOR column AS column - INTERVAL '5 seconds' in CREATE SOURCE",
            ),
        });
    };
    let lateness = lowering.options.emission.lateness.unwrap_or(0);
    Ok(WindowInput {
        node: properties::retime(node, offset - lateness),
        time,
    })
}

/// The rows of a node when they are final; `None` when they are corrected and have no event time.
pub(crate) fn final_rows(node: Arc<Node>) -> Option<Arc<Node>> {
    if node.mode == Mode::Append {
        return Some(node);
    }
    let rank = |t: &&TimeColumn| properties::rank_of_time(&node, t.index);
    let time = node.times.iter().min_by_key(rank).copied()?;
    let input = properties::retime(node, time.offset);
    Some(Arc::new(Node {
        op: Op::FinalRows { time: time.index },
        schema: Arc::clone(&input.schema),
        mode: Mode::Append,
        times: properties::carried_times(&input, time.index),
        window: input.window.clone(),
        state: StateRule::Window,
        inputs: vec![input],
    }))
}

/// A window function without aggregation: each row once for each of its windows.
pub(crate) fn assign(lowering: &Lowering<'_>, window: &WindowNode) -> Result<Arc<Node>> {
    if !window.window.is_aligned() {
        return Err(super::refused("SESSION without GROUP BY")
            .hint("group by the session's key, window_start, window_end"));
    }
    let WindowInput { node, time } = input(lowering, window)?;
    let assigned = assign_node(&node, time, window)?;
    // The logical node passes the columns that are not hidden, then the window's.
    let inner = Arc::clone(&assigned.schema);
    let mut exprs: Vec<Expr> = kept(&node.schema)
        .map(|i| Expr::from(inner.qualified_field(i)))
        .collect();
    let first = node.schema.fields().len();
    exprs.extend((0..3).map(|i| Expr::from(inner.qualified_field(first + i))));
    if window.complete {
        // A row that is not grouped is never corrected.
        exprs.push(lit(true).alias(WindowColumn::COMPLETE));
    }
    use datafusion::logical_expr::UserDefinedLogicalNodeCore;
    Ok(properties::project(
        assigned,
        exprs,
        Arc::clone(window.schema()),
    ))
}

/// Qualifier of the window columns that `WindowAssign` adds.
pub(crate) const WINDOW_QUALIFIER: &str = "__window";

/// Adds window columns under [`WINDOW_QUALIFIER`] behind all columns of `input`.
pub(crate) fn assign_node(
    input: &Arc<Node>,
    time: usize,
    window: &WindowNode,
) -> Result<Arc<Node>> {
    let mut fields: Vec<_> = input
        .schema
        .iter()
        .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)))
        .collect();
    let time_type = input.schema.field(time).data_type().clone();
    for column in WindowColumn::ALL {
        let field =
            datafusion::arrow::datatypes::Field::new(column.name(), time_type.clone(), false);
        fields.push((Some(WINDOW_QUALIFIER.into()), Arc::new(field)));
    }
    let schema =
        DFSchema::new_with_metadata(fields, Default::default()).map_err(from_datafusion)?;
    let first = input.schema.fields().len();
    let outputs: Vec<_> = (first..).zip(WindowColumn::ALL).collect();
    let mut times = input.times.clone();
    times.extend(open_times(window, &outputs));
    Ok(Arc::new(Node {
        op: Op::WindowAssign {
            window: window.window,
            time,
        },
        schema: Arc::new(schema),
        mode: input.mode,
        times,
        window: outputs,
        inputs: vec![Arc::clone(input)],
        state: StateRule::None,
    }))
}

/// What a column above a window stands for.
#[derive(Clone, Debug)]
pub(crate) enum Bound {
    /// An expression over the window's input.
    Expr(Expr),
    /// A column of the window.
    Window(WindowColumn),
    /// `window_complete`.
    Complete,
}

/// Projections, filters and aliases between a window and its aggregation, folded into expressions over the window's input.
pub(crate) struct Chain<'a> {
    /// The window.
    pub(crate) window: &'a WindowNode,
    env: HashMap<Column, Bound>,
    /// Filters over the window's input.
    pub(crate) filters: Vec<Expr>,
    /// Filters over window columns only, to be applied to the aggregation's result.
    pub(crate) window_filters: Vec<Expr>,
}

impl<'a> Chain<'a> {
    /// Folds the chain under an aggregation; `None` when there is no window below.
    pub(crate) fn fold(plan: &'a LogicalPlan) -> Result<Option<Self>> {
        match plan {
            LogicalPlan::Extension(extension) => {
                let Some(window) = extension.node.as_any().downcast_ref::<WindowNode>() else {
                    return Ok(None);
                };
                Ok(Some(Self::start(window)))
            }
            LogicalPlan::Projection(p) => {
                let Some(mut chain) = Self::fold(&p.input)? else {
                    return Ok(None);
                };
                let mut env = HashMap::new();
                for (i, expr) in p.expr.iter().enumerate() {
                    env.insert(Column::from(p.schema.qualified_field(i)), chain.bind(expr)?);
                }
                chain.env = env;
                Ok(Some(chain))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let Some(mut chain) = Self::fold(&alias.input)? else {
                    return Ok(None);
                };
                let inner = alias.input.schema();
                let mut env = HashMap::new();
                for i in 0..inner.fields().len() {
                    if let Some(bound) = chain.env.get(&Column::from(inner.qualified_field(i))) {
                        env.insert(Column::from(alias.schema.qualified_field(i)), bound.clone());
                    }
                }
                chain.env = env;
                Ok(Some(chain))
            }
            LogicalPlan::Filter(f) => {
                let Some(mut chain) = Self::fold(&f.input)? else {
                    return Ok(None);
                };
                for conjunct in datafusion::logical_expr::utils::split_conjunction(&f.predicate) {
                    chain.add_filter(conjunct)?;
                }
                Ok(Some(chain))
            }
            _ => Ok(None),
        }
    }

    fn start(window: &'a WindowNode) -> Self {
        let input = window.input.schema();
        let mut env = HashMap::new();
        for i in kept(input) {
            let column = Column::from(input.qualified_field(i));
            env.insert(column.clone(), Bound::Expr(Expr::Column(column)));
        }
        for column in WindowColumn::ALL {
            env.insert(
                Column::new_unqualified(column.name()),
                Bound::Window(column),
            );
        }
        if window.complete {
            let column = Column::new_unqualified(WindowColumn::COMPLETE);
            env.insert(column, Bound::Complete);
        }
        Self {
            window,
            env,
            filters: Vec::new(),
            window_filters: Vec::new(),
        }
    }

    /// Rewrites an expression above the chain.
    pub(crate) fn bind(&self, expr: &Expr) -> Result<Bound> {
        let bare = expr.clone().unalias_nested().data;
        if let Expr::Column(column) = &bare {
            return self.env.get(column).cloned().ok_or_else(|| unknown(column));
        }
        self.substitute(bare).map(Bound::Expr)
    }

    /// Replaces columns by what they stand for; window columns are refused.
    pub(crate) fn substitute(&self, expr: Expr) -> Result<Expr> {
        let replaced = expr.transform_up(|e| match e {
            Expr::Column(column) => match self.env.get(&column) {
                Some(Bound::Expr(inner)) => Ok(Transformed::yes(inner.clone())),
                Some(Bound::Window(which)) => {
                    Err(crate::errors::wrap(window_in_expression(which.name())))
                }
                Some(Bound::Complete) => {
                    let name = WindowColumn::COMPLETE;
                    Err(crate::errors::wrap(window_in_expression(name)))
                }
                None => Err(crate::errors::wrap(unknown(&column))),
            },
            other => Ok(Transformed::no(other)),
        });
        Ok(replaced.map_err(from_datafusion)?.data)
    }

    fn add_filter(&mut self, conjunct: &Expr) -> Result<()> {
        let refs = conjunct.column_refs();
        let windows = refs
            .iter()
            .filter(|c| matches!(self.env.get(*c), Some(Bound::Window(_) | Bound::Complete)))
            .count();
        if windows == 0 {
            self.filters.push(self.substitute(conjunct.clone())?);
        } else if windows == refs.len() {
            self.window_filters
                .push(self.over_window_columns(conjunct.clone())?);
        } else {
            return Err(super::refused(
                "a condition that mixes window columns and others below an aggregation",
            ));
        }
        Ok(())
    }

    /// The expression over columns called `window_start`, `window_end`, `window_time`, `window_complete` without qualifier.
    fn over_window_columns(&self, expr: Expr) -> Result<Expr> {
        let replaced = expr.transform_up(|e| match &e {
            Expr::Column(column) => match self.env.get(column) {
                Some(Bound::Window(which)) => Ok(Transformed::yes(Expr::Column(
                    Column::new_unqualified(which.name()),
                ))),
                Some(Bound::Complete) => Ok(Transformed::yes(Expr::Column(
                    Column::new_unqualified(WindowColumn::COMPLETE),
                ))),
                _ => Ok(Transformed::no(e)),
            },
            _ => Ok(Transformed::no(e)),
        });
        Ok(replaced.map_err(from_datafusion)?.data)
    }

    /// All filters over the input as one.
    pub(crate) fn filter(&self) -> Option<Expr> {
        conjunction(self.filters.iter().cloned())
    }
}

fn unknown(column: &Column) -> Error {
    Error::internal(format!(
        "column {column} is lost between a window and its aggregation"
    ))
}

fn window_in_expression(column: &str) -> Error {
    super::refused(format!(
        "{column} inside an expression below or in GROUP BY"
    ))
    .hint("group by window_start, window_end as they are and compute above the aggregation")
}

/// Event-time columns of rows of windows that are open, relative to the watermark of the input: no row comes any more
/// for a window that has ended.
pub(crate) fn open_times(
    window: &WindowNode,
    outputs: &[(usize, WindowColumn)],
) -> Vec<TimeColumn> {
    let longest = window.window.longest().unwrap_or(0);
    let offset = |column: &WindowColumn| match column {
        WindowColumn::End => 1,
        WindowColumn::Start => 1 - longest,
        WindowColumn::Time => 1 - dataflow::time::MILLI,
    };
    let column = |(index, c): &(usize, WindowColumn)| TimeColumn {
        index: *index,
        offset: offset(c),
    };
    outputs.iter().map(column).collect()
}

/// Event-time columns of a windowed result, relative to a watermark in terms of `window_time`.
pub(crate) fn result_times(
    window: &WindowNode,
    outputs: &[(usize, WindowColumn)],
) -> Vec<TimeColumn> {
    let size = window.window.longest();
    let offset = |column: &WindowColumn| match column {
        WindowColumn::Time => Some(0),
        WindowColumn::End => Some(dataflow::time::MILLI),
        WindowColumn::Start => size.map(|size| dataflow::time::MILLI - size),
    };
    outputs
        .iter()
        .filter_map(|(index, c)| {
            offset(c).map(|offset| TimeColumn {
                index: *index,
                offset,
            })
        })
        .collect()
}
