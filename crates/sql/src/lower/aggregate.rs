//! GROUP BY: over a window it closes with it, elsewhere it is updating and its state must be bounded.

use std::sync::Arc;

use dataflow::{Error, Result, SqlState};
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, utils::conjunction};
use plan::node::AggOutput;
use plan::{
    AggSpec, Emit, Mode, Node, Op, SessionEnds, StateRule, TimeColumn, WindowColumn, WindowKind,
};

use super::windowed::{
    Bound, Chain, WINDOW_QUALIFIER, WindowInput, assign_node, final_rows, input, result_times,
};
use super::{DEFAULT_EVERY, Lowering, properties, refused};
use crate::ast;
use crate::location::location_in;
use crate::window::WindowNode;

pub(crate) fn lower(lowering: &Lowering<'_>, aggregate: &Aggregate) -> Result<Arc<Node>> {
    if aggregate
        .group_expr
        .iter()
        .any(|e| matches!(e, Expr::GroupingSet(_)))
    {
        return super::grouping::lower(lowering, aggregate);
    }
    match Chain::fold(&aggregate.input)? {
        Some(chain) => windowed(lowering, aggregate, &chain),
        None => updating(lowering, aggregate),
    }
}

/// Keys and aggregates of a windowed aggregation, over the window's input.
struct Folded {
    spec: AggSpec,
    /// Output columns that are the window's.
    window: Vec<(usize, WindowColumn)>,
    /// The output column that says whether a row is final.
    complete: Option<usize>,
}

fn fold(aggregate: &Aggregate, chain: &Chain<'_>) -> Result<Folded> {
    let mut spec = AggSpec {
        keys: Vec::new(),
        aggs: Vec::new(),
        output: Vec::new(),
    };
    let mut window = Vec::new();
    let mut complete = None;
    for (index, expr) in aggregate.group_expr.iter().enumerate() {
        match chain.bind(expr)? {
            Bound::Window(column) => {
                window.push((index, column));
                spec.output.push(AggOutput::Window(column));
            }
            Bound::Complete => {
                complete = Some(index);
                spec.output.push(AggOutput::Complete);
            }
            Bound::Expr(key) => {
                spec.output.push(AggOutput::Key(spec.keys.len()));
                spec.keys.push(key);
            }
        }
    }
    for expr in &aggregate.aggr_expr {
        spec.output.push(AggOutput::Agg(spec.aggs.len()));
        spec.aggs.push(chain.substitute(expr.clone().unalias())?);
    }
    if window.is_empty() {
        return Err(
            refused("an aggregation over a window that does not group by it")
                .hint("add window_start, window_end to GROUP BY")
                .at(place_of(aggregate)),
        );
    }
    let by_start_alone = window.iter().all(|(_, c)| *c == WindowColumn::Start);
    if by_start_alone && matches!(chain.window.window.kind, WindowKind::Cumulate { .. }) {
        return Err(
            refused("an aggregation over CUMULATE that groups by window_start alone")
                .hint("windows that begin together differ by their end: add window_end to GROUP BY")
                .at(place_of(aggregate)),
        );
    }
    Ok(Folded {
        spec,
        window,
        complete,
    })
}

fn windowed(
    lowering: &Lowering<'_>,
    aggregate: &Aggregate,
    chain: &Chain<'_>,
) -> Result<Arc<Node>> {
    let window = chain.window;
    let read = input(lowering, window)?;
    let Folded {
        spec,
        window: outputs,
        complete,
    } = fold(aggregate, chain)?;
    let emit = emission(lowering, &read, window)?;
    let mode = match emit {
        Emit::OnWindowClose => Mode::Append,
        Emit::Corrected { .. } | Emit::OnUpdate { .. } => Mode::Updating,
    };
    let node = match (window.window.kind, emit) {
        (WindowKind::Session { gap, max }, _) => {
            check_session_keys(chain, &spec).map_err(|e| e.at(place_of(aggregate)))?;
            Arc::new(Node {
                op: Op::SessionAgg {
                    ends: SessionEnds {
                        gap,
                        max,
                        when: window.ends_when.clone(),
                    },
                    time: read.time,
                    keep: chain.filter(),
                    spec,
                    emit,
                },
                inputs: vec![read.node],
                schema: Arc::clone(&aggregate.schema),
                mode,
                times: result_times(window, &outputs),
                window: outputs.clone(),
                state: StateRule::Window,
            })
        }
        (_, Emit::OnWindowClose | Emit::Corrected { .. }) => {
            let filtered = filtered(&read.node, chain);
            Arc::new(Node {
                op: Op::PaneAgg {
                    window: window.window,
                    time: read.time,
                    spec,
                    emit,
                },
                inputs: vec![filtered],
                schema: Arc::clone(&aggregate.schema),
                mode,
                times: result_times(window, &outputs),
                window: outputs.clone(),
                state: StateRule::Window,
            })
        }
        (_, Emit::OnUpdate { every }) => {
            update_windows(aggregate, chain, &read, spec, &outputs, every)?
        }
    };
    apply_window_filters(node, chain, &outputs, complete)
}

/// When the rows of a windowed aggregation come out. A window above it takes final rows only.
fn emission(lowering: &Lowering<'_>, read: &WindowInput, window: &WindowNode) -> Result<Emit> {
    let emission = lowering.options.emission;
    let cascade = |op: &Op| matches!(op, Op::PaneAgg { .. } | Op::SessionAgg { .. });
    Ok(match (emission.emit, emission.lateness) {
        _ if lowering.below_window => Emit::OnWindowClose,
        (_, Some(_)) if window.takes_rows_in_order() => {
            return Err(refused("ALLOW LATENESS for SESSION with max or ends_when")
                .at(emission.location)
                .hint("such sessions take rows in the order of their times: declare a longer delay in the watermark"));
        }
        (_, Some(_)) if read.node.has_op(&cascade) => {
            return Err(refused("ALLOW LATENESS for a window over a window")
                .at(emission.location)
                .hint("make a view of the inner window, with ALLOW LATENESS there: a window over it reads its final rows"));
        }
        (Some(ast::Emit::OnUpdate { every }), _) => Emit::OnUpdate { every },
        (_, Some(lateness)) => Emit::Corrected { lateness },
        (_, None) => Emit::OnWindowClose,
    })
}

fn filtered(node: &Arc<Node>, chain: &Chain<'_>) -> Arc<Node> {
    match chain.filter() {
        Some(predicate) => properties::filter(Arc::clone(node), predicate),
        None => Arc::clone(node),
    }
}

/// Aligned windows that emit on update: window columns become ordinary keys of an updating aggregation.
fn update_windows(
    aggregate: &Aggregate,
    chain: &Chain<'_>,
    read: &WindowInput,
    mut spec: AggSpec,
    outputs: &[(usize, WindowColumn)],
    every: dataflow::Micros,
) -> Result<Arc<Node>> {
    let assigned = assign_node(&filtered(&read.node, chain), read.time, chain.window)?;
    let column = |c: WindowColumn| Expr::Column(Column::new(Some(WINDOW_QUALIFIER), c.name()));
    for output in &mut spec.output {
        if let AggOutput::Window(which) = *output {
            *output = AggOutput::Key(spec.keys.len());
            spec.keys.push(column(which));
        }
    }
    // The window's end is always a key: it bounds the state.
    let end = spec
        .keys
        .iter()
        .position(|k| *k == column(WindowColumn::End))
        .unwrap_or_else(|| {
            spec.keys.push(column(WindowColumn::End));
            spec.keys.len() - 1
        });
    let times = result_times(chain.window, outputs);
    Ok(Arc::new(Node {
        op: Op::UpdatingAgg {
            spec,
            expires: Some((end, 1)),
            window: Some(chain.window.window),
            every,
            ttl: None,
        },
        inputs: vec![assigned],
        schema: Arc::clone(&aggregate.schema),
        mode: Mode::Updating,
        times,
        window: outputs.to_vec(),
        state: StateRule::Window,
    }))
}

fn check_session_keys(chain: &Chain<'_>, spec: &AggSpec) -> Result<()> {
    let partition = &chain.window.partition;
    let same = partition.len() == spec.keys.len()
        && partition
            .iter()
            .all(|p| spec.keys.iter().any(|k| k == &p.clone().unalias()));
    if same {
        return Ok(());
    }
    Err(
        refused("SESSION whose PARTITION BY differs from the GROUP BY keys")
            .hint("group by the PARTITION BY columns, window_start and window_end"),
    )
}

/// Filters over window columns, applied to the aggregation's result.
fn apply_window_filters(
    node: Arc<Node>,
    chain: &Chain<'_>,
    outputs: &[(usize, WindowColumn)],
    complete: Option<usize>,
) -> Result<Arc<Node>> {
    let mut filters = Vec::new();
    for filter in &chain.window_filters {
        let replaced = filter.clone().transform_up(|e| {
            let Expr::Column(column) = &e else {
                return Ok(Transformed::no(e));
            };
            let named = outputs.iter().find(|(_, c)| c.name() == column.name);
            let index = match named {
                Some((index, _)) => Some(index),
                None => complete
                    .as_ref()
                    .filter(|_| column.name == WindowColumn::COMPLETE),
            };
            match index {
                Some(index) => Ok(Transformed::yes(Expr::from(
                    node.schema.qualified_field(*index),
                ))),
                None => Err(crate::errors::wrap(
                    refused(format!(
                        "a condition on {} that is not in GROUP BY",
                        column.name
                    ))
                    .hint("add it to GROUP BY"),
                )),
            }
        });
        filters.push(replaced.map_err(crate::errors::from_datafusion)?.data);
    }
    Ok(match conjunction(filters) {
        Some(predicate) => properties::filter(node, predicate),
        None => node,
    })
}

/// Whether a window function's rows reach `plan` without an aggregation on the way.
fn reads_window(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().is::<WindowNode>(),
        LogicalPlan::Aggregate(_) => false,
        other => other.inputs().into_iter().any(reads_window),
    }
}

/// Where the keys stand, or without keys the aggregates.
fn place_of(aggregate: &Aggregate) -> Option<dataflow::Location> {
    location_in(aggregate.group_expr.iter().chain(&aggregate.aggr_expr))
}

/// The key that is a column of the window which rows carry, with its index in them: best its end.
fn carried_window(aggregate: &Aggregate, node: &Node) -> Option<(usize, usize)> {
    let keys = aggregate.group_expr.iter().enumerate();
    let window = |(key, expr): (usize, &Expr)| {
        let index = super::column_index(expr, &node.schema).ok().flatten()?;
        let column = properties::role_of(node, index)?;
        node.time_offset(index)?;
        Some((column != WindowColumn::End, key, index))
    };
    let best = keys.filter_map(window).min()?;
    Some((best.1, best.2))
}

/// GROUP BY the window that rows carry.
fn close(aggregate: &Aggregate, node: Arc<Node>, (key, index): (usize, usize)) -> Arc<Node> {
    let offset = node.time_offset(index).unwrap_or(0);
    let node = properties::retime(node, offset);
    let followed = properties::carried_times(&node, index);
    let source = |expr: &Expr| super::column_index(expr, &node.schema).ok().flatten();
    let mut times = Vec::new();
    let mut window = Vec::new();
    for (at, expr) in aggregate.group_expr.iter().enumerate() {
        let Some(from) = source(expr) else { continue };
        let time = followed.iter().find(|t| t.index == from);
        times.extend(time.map(|t| TimeColumn {
            index: at,
            offset: t.offset,
        }));
        window.extend(properties::role_of(&node, from).map(|column| (at, column)));
    }
    Arc::new(Node {
        op: Op::CloseAgg {
            spec: plain_spec(aggregate),
            time: key,
        },
        schema: Arc::clone(&aggregate.schema),
        mode: Mode::Append,
        times,
        window,
        inputs: vec![node],
        state: StateRule::Window,
    })
}

/// Keys and aggregates as they are.
fn plain_spec(aggregate: &Aggregate) -> AggSpec {
    let bare = |exprs: &[Expr]| {
        exprs
            .iter()
            .map(|e| e.clone().unalias())
            .collect::<Vec<_>>()
    };
    let (keys, aggs) = (bare(&aggregate.group_expr), bare(&aggregate.aggr_expr));
    let output = (0..keys.len())
        .map(AggOutput::Key)
        .chain((0..aggs.len()).map(AggOutput::Agg))
        .collect();
    AggSpec { keys, aggs, output }
}

/// GROUP BY without a window.
fn updating(lowering: &Lowering<'_>, aggregate: &Aggregate) -> Result<Arc<Node>> {
    let node = final_rows(lowering.node(&aggregate.input)?).ok_or_else(|| {
        refused("an aggregation over rows that are updated")
            .hint("rows without an event time are never final: aggregate what they come from")
            .at(place_of(aggregate))
    })?;
    let options = lowering.options;
    let updates = matches!(options.emission.emit, Some(ast::Emit::OnUpdate { .. }));
    let carried = carried_window(aggregate, &node);
    if let (Some(key), true) = (carried, !updates || lowering.below_window) {
        return Ok(close(aggregate, node, key));
    }
    if carried.is_none() && reads_window(&aggregate.input) {
        return Err(
            refused("an aggregation over a window that does not group by it")
                .hint("add window_start, window_end to GROUP BY")
                .at(place_of(aggregate)),
        );
    }
    let time_key = aggregate.group_expr.iter().position(|key| {
        super::column_index(key, &node.schema)
            .ok()
            .flatten()
            .is_some_and(|i| node.time_offset(i).is_some())
    });
    let ttl = options
        .state_ttl
        .filter(|_| !aggregate.group_expr.is_empty());
    let state = match (ttl, time_key) {
        _ if aggregate.group_expr.is_empty() => StateRule::Fixed("one group"),
        (Some(ttl), _) => StateRule::Ttl(ttl),
        (None, Some(_)) => StateRule::Window,
        (None, None) if options.unbounded_state => StateRule::Unbounded,
        (None, None) => {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "GROUP BY without a window needs state that grows for ever",
            )
            .hint("group by a window, or bound it: WITH (state_ttl = '1 day'), or accept it: WITH (unbounded_state = true)")
            .at(place_of(aggregate)));
        }
    };
    let expires = time_key.and_then(|k| {
        let index = super::column_index(&aggregate.group_expr[k], &node.schema)
            .ok()
            .flatten()?;
        node.time_offset(index).map(|offset| (k, offset))
    });
    let times = expires
        .iter()
        .map(|(index, offset)| TimeColumn {
            index: *index,
            offset: *offset,
        })
        .collect();
    let every = match options.emission.emit {
        Some(ast::Emit::OnUpdate { every }) => every,
        _ => DEFAULT_EVERY,
    };
    Ok(Arc::new(Node {
        op: Op::UpdatingAgg {
            spec: plain_spec(aggregate),
            expires,
            window: None,
            every,
            ttl,
        },
        schema: Arc::clone(&aggregate.schema),
        mode: Mode::Updating,
        times,
        window: Vec::new(),
        inputs: vec![node],
        state,
    }))
}
