//! Where things stand in a statement: from sqlparser's spans to clickmill's locations.

use dataflow::Location;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast::Spanned;
use sqlparser::tokenizer::Span;

/// The beginning of `node`, or `None` when the parser did not note it.
pub fn location_of(node: &impl Spanned) -> Option<Location> {
    from_span(node.span())
}

/// The place of the first column in planned expressions, which remember where they were written.
pub(crate) fn location_in<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Option<Location> {
    exprs.into_iter().find_map(|expr| {
        let mut found = None;
        // The walk itself cannot fail.
        let _ = expr.apply(|e| {
            if let Expr::Column(column) = e
                && let Some(span) = column.spans.first()
            {
                found = Some(Location {
                    line: span.start.line,
                    column: span.start.column,
                });
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        });
        found
    })
}

/// The plan without places, for use in another statement than the one it was written in.
pub fn without_places(plan: LogicalPlan) -> Result<LogicalPlan> {
    let forget = |expr: Expr| {
        expr.transform_up(|mut e| {
            if let Expr::Column(column) = &mut e {
                column.spans = Default::default();
            }
            Ok(Transformed::yes(e))
        })
    };
    let plan = plan.transform_up_with_subqueries(|plan| plan.map_expressions(forget))?;
    Ok(plan.data)
}

/// The beginning of a span; sqlparser writes unknown places as line 0.
pub fn from_span(span: Span) -> Option<Location> {
    (span.start.line > 0).then_some(Location {
        line: span.start.line,
        column: span.start.column,
    })
}
