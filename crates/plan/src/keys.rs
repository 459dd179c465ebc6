//! Which columns of a plan's rows tell them apart, if that follows from the plan.

use datafusion::logical_expr::Expr;

use crate::node::{AggOutput, AggSpec, Node, Op};
use crate::relation::RelationKind;
use crate::window::{WindowColumn, WindowKind};

/// Columns of `node` by index of which no two rows, at any one version, have the same values; `None` when that does not
/// follow. `of_view` tells the key of a view that is read.
pub fn unique_key(node: &Node, of_view: &dyn Fn(&str) -> Option<Vec<usize>>) -> Option<Vec<usize>> {
    let input = || node.inputs.first();
    match &node.op {
        Op::Read {
            relation,
            kind: RelationKind::View,
            columns,
        } => {
            let key = of_view(relation)?;
            let place = |column: usize| columns.iter().position(|c| *c == column);
            key.into_iter().map(place).collect()
        }
        Op::Calc { exprs, .. } => {
            let input = input()?;
            let key = unique_key(input, of_view)?;
            let Some(exprs) = exprs else {
                return Some(key);
            };
            let place = |column: usize| exprs.iter().position(|e| is_column(input, e, column));
            key.into_iter().map(place).collect()
        }
        Op::Retime { .. } | Op::FinalRows { .. } | Op::TopN { .. } => unique_key(input()?, of_view),
        Op::PaneAgg { window, spec, .. } => {
            let mut columns = vec![WindowColumn::End, WindowColumn::Time];
            // The windows of CUMULATE begin together.
            if !matches!(window.kind, WindowKind::Cumulate { .. }) {
                columns.push(WindowColumn::Start);
            }
            grouped(spec, &columns)
        }
        Op::SessionAgg { spec, .. } => grouped(spec, &[WindowColumn::Start]),
        Op::UpdatingAgg { spec, .. } | Op::CloseAgg { spec, .. } => grouped(spec, &[]),
        _ => None,
    }
}

/// The keys of an aggregation, all of which must come out, and one of the window's columns.
fn grouped(spec: &AggSpec, window: &[WindowColumn]) -> Option<Vec<usize>> {
    let place = |wanted: AggOutput| spec.output.iter().position(|o| *o == wanted);
    let keys = (0..spec.keys.len()).map(|key| place(AggOutput::Key(key)));
    let mut found: Vec<usize> = keys.collect::<Option<_>>()?;
    if !window.is_empty() {
        found.push(
            window
                .iter()
                .find_map(|column| place(AggOutput::Window(*column)))?,
        );
    }
    Some(found)
}

fn is_column(input: &Node, expr: &Expr, index: usize) -> bool {
    match expr {
        Expr::Alias(alias) => is_column(input, &alias.expr, index),
        Expr::Column(column) => input.schema.index_of_column(column).ok() == Some(index),
        _ => false,
    }
}
