//! Stateless nodes, and how change mode, event times and window columns pass through them.

use std::sync::Arc;

use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::Expr;
use plan::{Node, Op, StateRule, TimeColumn};

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

/// The same node with its columns under other names.
pub(crate) fn relabel(node: &Node, schema: DFSchemaRef) -> Arc<Node> {
    Arc::new(Node {
        schema,
        ..node.clone()
    })
}
