//! `ROW_NUMBER()` in queries that end numbers equal rows as Top-N of a view does: by all their columns.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{Sort, WindowFunction};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Window, WindowFunctionDefinition,
};

/// The plan with a total order behind the order of every `ROW_NUMBER()`.
pub fn break_ties(plan: LogicalPlan) -> Result<LogicalPlan> {
    let broken = plan.transform_up_with_subqueries(|node| match &node {
        LogicalPlan::Window(window) if window.window_expr.iter().any(is_row_number) => {
            in_total_order(window).map(Transformed::yes)
        }
        _ => Ok(Transformed::no(node)),
    });
    Ok(broken?.data)
}

fn row_number(expr: &Expr) -> Option<&WindowFunction> {
    let Expr::WindowFunction(function) = expr else {
        return None;
    };
    match &function.fun {
        WindowFunctionDefinition::WindowUDF(udf) if udf.name() == "row_number" => Some(function),
        _ => None,
    }
}

fn is_row_number(expr: &Expr) -> bool {
    row_number(expr).is_some()
}

/// The window with longer orders, and its columns under their old names.
fn in_total_order(window: &Window) -> Result<LogicalPlan> {
    let input = window.input.schema();
    let columns: Vec<Expr> = (0..input.fields().len())
        .filter(|i| !input.field(*i).data_type().is_nested())
        .map(|i| Expr::from(input.qualified_field(i)))
        .collect();
    let longer = |expr: &Expr| match row_number(expr) {
        Some(function) => {
            let mut function = function.clone();
            let order = &mut function.params.order_by;
            let rest = columns
                .iter()
                .filter(|c| !order.iter().any(|o| o.expr == **c));
            let rest: Vec<Sort> = rest.map(|c| c.clone().sort(true, true)).collect();
            order.extend(rest);
            Expr::from(function)
        }
        None => expr.clone(),
    };
    let exprs: Vec<Expr> = window.window_expr.iter().map(longer).collect();
    let first = input.fields().len();
    let plan = LogicalPlanBuilder::from(window.input.as_ref().clone())
        .window(exprs)?
        .build()?;
    let mut shown: Vec<Expr> = (0..first)
        .map(|i| Expr::from(input.qualified_field(i)))
        .collect();
    for (i, old) in (first..).zip(&window.window_expr) {
        let new = Column::from(plan.schema().qualified_field(i));
        shown.push(Expr::Column(new).alias(old.schema_name().to_string()));
    }
    LogicalPlanBuilder::from(plan).project(shown)?.build()
}
