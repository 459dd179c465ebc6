//! Stateless nodes, and how change mode, event times and window columns pass through them.

use std::sync::Arc;

use dataflow::Micros;
use dataflow::time::MILLI;
use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::Expr;
use plan::{Node, Op, StateRule, TimeColumn, WindowColumn};

/// A projection; columns that pass unchanged keep their roles.
pub(crate) fn project(input: Arc<Node>, exprs: Vec<Expr>, schema: DFSchemaRef) -> Arc<Node> {
    let source = |expr: &Expr| super::column_index(expr, &input.schema).ok().flatten();
    let sources: Vec<Option<usize>> = exprs.iter().map(source).collect();
    let mut times = Vec::new();
    let mut window = Vec::new();
    for (index, from) in sources.iter().enumerate() {
        let Some(from) = from else { continue };
        times.extend(
            input
                .time_offset(*from)
                .map(|offset| TimeColumn { index, offset }),
        );
        window.extend(
            input
                .window
                .iter()
                .filter(|(i, _)| i == from)
                .map(|(_, c)| (index, *c)),
        );
    }
    Arc::new(Node {
        mode: input.mode,
        op: Op::Calc {
            filter: None,
            exprs: Some(exprs),
        },
        inputs: vec![input],
        schema,
        times,
        window,
        state: StateRule::None,
    })
}

/// A filter.
pub(crate) fn filter(input: Arc<Node>, predicate: Expr) -> Arc<Node> {
    Arc::new(Node {
        mode: input.mode,
        schema: Arc::clone(&input.schema),
        times: input.times.clone(),
        window: input.window.clone(),
        op: Op::Calc {
            filter: Some(predicate),
            exprs: None,
        },
        inputs: vec![input],
        state: StateRule::None,
    })
}

/// The same rows under a watermark that is moved by `by` microseconds; what has none needs no node.
pub(crate) fn retime(input: Arc<Node>, by: Micros) -> Arc<Node> {
    if by == 0 {
        return input;
    }
    let moved = |t: &TimeColumn| TimeColumn {
        index: t.index,
        offset: t.offset - by,
    };
    Arc::new(Node {
        op: Op::Retime { by },
        mode: input.mode,
        schema: Arc::clone(&input.schema),
        times: input.times.iter().map(moved).collect(),
        window: input.window.clone(),
        inputs: vec![input],
        state: StateRule::None,
    })
}

/// The same node with its columns under other names.
pub(crate) fn relabel(node: &Node, schema: DFSchemaRef) -> Arc<Node> {
    Arc::new(Node {
        schema,
        ..node.clone()
    })
}

/// Which column of the window that rows carry a column is.
pub(crate) fn role_of(node: &Node, index: usize) -> Option<WindowColumn> {
    let found = node.window.iter().find(|(i, _)| *i == index);
    found.map(|(_, column)| *column)
}

/// Which column of event time says best when rows are final; the least does.
pub(crate) fn rank_of_time(node: &Node, index: usize) -> u8 {
    match role_of(node, index) {
        Some(WindowColumn::End) => 0,
        Some(WindowColumn::Time) => 1,
        Some(WindowColumn::Start) => 2,
        None => 3,
    }
}

/// The columns that follow the watermark where rows wait for that of column `time`, whose watermark is the node's: those of
/// the same window, by their distance from its end. Other times may lie anywhere in the window.
pub(crate) fn carried_times(node: &Node, time: usize) -> Vec<TimeColumn> {
    let mut times = vec![TimeColumn {
        index: time,
        offset: 0,
    }];
    if role_of(node, time) == Some(WindowColumn::End) {
        let others = node.times.iter().filter(|t| t.index != time);
        times.extend(others.filter_map(|t| {
            let offset = match role_of(node, t.index)? {
                WindowColumn::End => 0,
                WindowColumn::Time => -MILLI,
                WindowColumn::Start => t.offset,
            };
            let index = t.index;
            Some(TimeColumn { index, offset })
        }));
    }
    times
}
