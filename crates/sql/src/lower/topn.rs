//! `ROW_NUMBER() OVER (PARTITION BY … ORDER BY …) <= n` becomes Top-N.

use std::sync::Arc;

use dataflow::Result;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::WindowFunctionParams;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, LogicalPlan, Operator, Window, WindowFunctionDefinition,
};
use datafusion::scalar::ScalarValue;
use plan::{Mode, Node, Op, StateRule, WindowColumn};

use super::{Lowering, column_index, properties, refused};
use crate::location::location_in;

/// Most rows that a Top-N keeps in one partition.
const MAX_LIMIT: usize = 100_000;

/// The Top-N node when `filter` limits a row number; projections and aliases may stand between them.
pub(crate) fn recognise(lowering: &Lowering<'_>, filter: &Filter) -> Result<Option<Arc<Node>>> {
    let Some(path) = Path::find(&filter.input) else {
        return Ok(None);
    };
    let mut limit: Option<usize> = None;
    let mut rest = Vec::new();
    for conjunct in split_conjunction(&filter.predicate) {
        match limit_of(conjunct, filter.input.schema(), path.number) {
            Some(n) => limit = Some(limit.map_or(n, |l| l.min(n))),
            None => rest.push(conjunct.clone()),
        }
    }
    let Some(limit) = limit else { return Ok(None) };
    if limit > MAX_LIMIT {
        return Err(refused(format!(
            "ROW_NUMBER() <= {limit} (more than {MAX_LIMIT})"
        )));
    }
    let mut node = top_n(lowering, path.window, path.params, limit)?;
    for step in path.steps.iter().rev() {
        node = match step {
            LogicalPlan::Projection(p) => {
                properties::project(node, p.expr.clone(), Arc::clone(&p.schema))
            }
            other => properties::relabel(&node, Arc::clone(other.schema())),
        };
    }
    Ok(Some(match conjunction(rest) {
        Some(predicate) => properties::filter(node, predicate),
        None => node,
    }))
}

/// The way from a filter down to the ROW_NUMBER() that it limits.
struct Path<'a> {
    window: &'a Window,
    params: &'a WindowFunctionParams,
    /// Projections and aliases on the way, topmost first.
    steps: Vec<&'a LogicalPlan>,
    /// Index of the row number in the topmost schema.
    number: usize,
}

impl<'a> Path<'a> {
    fn find(plan: &'a LogicalPlan) -> Option<Self> {
        match plan {
            LogicalPlan::Window(window) => {
                let [Expr::WindowFunction(function)] = window.window_expr.as_slice() else {
                    return None;
                };
                let WindowFunctionDefinition::WindowUDF(udf) = &function.fun else {
                    return None;
                };
                let number = window.schema.fields().len() - 1;
                udf.name().eq_ignore_ascii_case("row_number").then(|| Self {
                    window,
                    params: &function.params,
                    steps: Vec::new(),
                    number,
                })
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let mut path = Self::find(&alias.input)?;
                path.steps.insert(0, plan);
                Some(path)
            }
            LogicalPlan::Projection(p) => {
                let mut path = Self::find(&p.input)?;
                let passes = |e: &Expr| {
                    column_index(e, p.input.schema()).ok().flatten() == Some(path.number)
                };
                path.number = p.expr.iter().position(passes)?;
                path.steps.insert(0, plan);
                Some(path)
            }
            _ => None,
        }
    }
}

fn top_n(
    lowering: &Lowering<'_>,
    window: &Window,
    params: &WindowFunctionParams,
    limit: usize,
) -> Result<Arc<Node>> {
    let input = lowering.node(&window.input)?;
    let order = params.order_by.iter().map(|o| &o.expr);
    let place = location_in(params.partition_by.iter().chain(order));
    let mut expires = None;
    let mut windowed = false;
    let mut by_end = false;
    for (at, expr) in params.partition_by.iter().enumerate() {
        let Some(index) = column_index(expr, &input.schema)? else {
            continue;
        };
        windowed |= input.window.iter().any(|(i, _)| *i == index);
        if let Some(offset) = input.time_offset(index)
            && !by_end
        {
            // The end says best when a window is final: windows of CUMULATE share their beginning.
            by_end = input.window.contains(&(index, WindowColumn::End));
            if by_end || expires.is_none() {
                expires = Some((at, offset));
            }
        }
    }
    if input.mode == Mode::Append && !(windowed && expires.is_some()) {
        return Err(
            refused("ROW_NUMBER() whose PARTITION BY has no window column")
                .hint("add window_start, window_end to PARTITION BY")
                .at(place),
        );
    }
    Ok(Arc::new(Node {
        op: Op::TopN {
            partition: params.partition_by.clone(),
            order: params.order_by.clone(),
            limit,
            numbered: true,
            expires,
        },
        mode: input.mode,
        times: input.times.clone(),
        window: input.window.clone(),
        state: if expires.is_some() {
            StateRule::Window
        } else {
            StateRule::Input
        },
        schema: Arc::clone(&window.schema),
        inputs: vec![input],
    }))
}

/// `n` of `row_number <= n`, `< n + 1`, `= 1` and the mirrored forms.
fn limit_of(expr: &Expr, schema: &DFSchema, number: usize) -> Option<usize> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
        return None;
    };
    let is_number = |e: &Expr| match e {
        Expr::Column(c) => schema.maybe_index_of_column(c) == Some(number),
        _ => false,
    };
    let (op, literal) = if is_number(left) {
        (*op, right)
    } else if is_number(right) {
        (op.swap()?, left)
    } else {
        return None;
    };
    let value = integer(literal)?;
    match op {
        Operator::LtEq => usize::try_from(value).ok(),
        Operator::Lt => usize::try_from(value - 1).ok(),
        Operator::Eq if value == 1 => Some(1),
        _ => None,
    }
}

fn integer(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::UInt64(Some(v)), _) => i64::try_from(*v).ok(),
        Expr::Literal(ScalarValue::Int64(Some(v)), _) => Some(*v),
        Expr::Literal(ScalarValue::Int32(Some(v)), _) => Some(i64::from(*v)),
        _ => None,
    }
}
