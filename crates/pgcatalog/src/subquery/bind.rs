//! Outer columns of a subquery as parameters.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, Placeholder, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};

use super::input_schema;

/// A subquery whose outer columns are placeholders, `$outer0` for the first of `args`.
pub(super) struct Binding {
    pub(super) plan: LogicalPlan,
    /// The outer columns as the surrounding node sees them: columns of its own, or of what surrounds it.
    pub(super) args: Vec<Expr>,
}

const PREFIX: &str = "$outer";

/// The place of a placeholder in [`Binding::columns`].
pub(super) fn place(placeholder: &Placeholder) -> Option<usize> {
    placeholder.id.strip_prefix(PREFIX)?.parse().ok()
}

impl Binding {
    /// Binds the outer columns that a subquery names, also in subqueries of its own. `outer` is what the node around the
    /// subquery sees.
    pub(super) fn of(plan: Arc<LogicalPlan>, outer: &DFSchema) -> Result<Binding> {
        let mut binder = Binder {
            columns: Vec::new(),
        };
        let plan = binder.plan(Arc::unwrap_or_clone(plan), &[])?;
        let plan = plan.transform_up(|node| Ok(unwrapped(node)))?.data;
        let arg = |(field, column): (FieldRef, Column)| match outer.has_column(&column) {
            true => Expr::Column(column),
            false => Expr::OuterReferenceColumn(field, column),
        };
        Ok(Binding {
            plan,
            args: binder.columns.into_iter().map(arg).collect(),
        })
    }

    /// Whether all outer columns are those of the node around the subquery.
    pub(super) fn is_one_level(&self) -> bool {
        self.args.iter().all(|arg| matches!(arg, Expr::Column(_)))
    }
}

/// A relation in `FROM` that named outer columns is wrapped; without them it is a relation like any other.
fn unwrapped(node: LogicalPlan) -> Transformed<LogicalPlan> {
    match node {
        LogicalPlan::Subquery(subquery) if !subquery.subquery.contains_outer_reference() => {
            Transformed::yes(Arc::unwrap_or_clone(subquery.subquery))
        }
        node => Transformed::no(node),
    }
}

struct Binder {
    columns: Vec<(FieldRef, Column)>,
}

impl Binder {
    /// `nearer` are the schemas between the plan and its surroundings: their columns come first.
    fn plan(&mut self, plan: LogicalPlan, nearer: &[DFSchema]) -> Result<LogicalPlan> {
        let bound = plan.transform_down(|node| {
            let own = input_schema(&node)?;
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_down(|expr| self.expr(expr, &own, nearer))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(bound.data)
    }

    fn expr(
        &mut self,
        expr: Expr,
        own: &DFSchema,
        nearer: &[DFSchema],
    ) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::OuterReferenceColumn(field, column) if is_outer(&column, nearer) => {
                let id = format!("{PREFIX}{}", self.place(&field, column));
                Transformed::yes(Expr::Placeholder(Placeholder::new_with_field(
                    id,
                    Some(field),
                )))
            }
            Expr::ScalarSubquery(subquery) => {
                Transformed::yes(Expr::ScalarSubquery(self.subquery(subquery, own, nearer)?))
            }
            Expr::Exists(exists) => {
                let subquery = self.subquery(exists.subquery, own, nearer)?;
                Transformed::yes(Expr::Exists(Exists { subquery, ..exists }))
            }
            Expr::InSubquery(within) => {
                let subquery = self.subquery(within.subquery, own, nearer)?;
                Transformed::yes(Expr::InSubquery(InSubquery { subquery, ..within }))
            }
            Expr::SetComparison(comparison) => {
                let subquery = self.subquery(comparison.subquery, own, nearer)?;
                Transformed::yes(Expr::SetComparison(SetComparison {
                    subquery,
                    ..comparison
                }))
            }
            expr => Transformed::no(expr),
        })
    }

    fn subquery(
        &mut self,
        subquery: Subquery,
        own: &DFSchema,
        nearer: &[DFSchema],
    ) -> Result<Subquery> {
        let mut deeper = nearer.to_vec();
        deeper.push(own.clone());
        let plan = self.plan(Arc::unwrap_or_clone(subquery.subquery), &deeper)?;
        let bound = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if is_outer(column, &deeper));
        let mut outer_ref_columns = subquery.outer_ref_columns;
        outer_ref_columns.retain(|expr| !bound(expr));
        Ok(Subquery {
            subquery: Arc::new(plan),
            outer_ref_columns,
            spans: subquery.spans,
        })
    }

    fn place(&mut self, field: &FieldRef, column: Column) -> usize {
        let known = self.columns.iter().position(|(_, known)| *known == column);
        known.unwrap_or_else(|| {
            self.columns.push((Arc::clone(field), column));
            self.columns.len() - 1
        })
    }
}

fn is_outer(column: &Column, nearer: &[DFSchema]) -> bool {
    !nearer.iter().any(|schema| schema.has_column(column))
}
