//! Outer columns of a subquery as parameters.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, Placeholder, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery};

use super::input_schema;

/// A subquery whose outer columns are placeholders, `$outer0` for the first of `columns`.
pub(super) struct Binding {
    pub(super) plan: LogicalPlan,
    pub(super) columns: Vec<Column>,
}

const PREFIX: &str = "$outer";

/// The place of a placeholder in [`Binding::columns`].
pub(super) fn place(placeholder: &Placeholder) -> Option<usize> {
    placeholder.id.strip_prefix(PREFIX)?.parse().ok()
}

impl Binding {
    /// Binds the columns of `outer` that a subquery names, also in subqueries of its own.
    pub(super) fn of(plan: Arc<LogicalPlan>, outer: &DFSchema) -> Result<Binding> {
        let mut binder = Binder {
            outer,
            columns: Vec::new(),
        };
        let plan = binder.plan(Arc::unwrap_or_clone(plan), &[])?;
        let plan = plan.transform_up(|node| Ok(unwrapped(node)))?.data;
        Ok(Binding {
            plan,
            columns: binder.columns,
        })
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

struct Binder<'a> {
    outer: &'a DFSchema,
    columns: Vec<Column>,
}

impl Binder<'_> {
    /// `nearer` are the schemas between the plan and `outer`: their columns come first.
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
            Expr::OuterReferenceColumn(field, column) if self.is_mine(&column, nearer) => {
                let known = self.columns.iter().position(|known| *known == column);
                let place = known.unwrap_or_else(|| {
                    self.columns.push(column);
                    self.columns.len() - 1
                });
                Transformed::yes(Expr::Placeholder(Placeholder::new_with_field(
                    format!("{PREFIX}{place}"),
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
        let mine = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if self.is_mine(column, &deeper));
        let outer_ref_columns = subquery
            .outer_ref_columns
            .into_iter()
            .filter(|expr| !mine(expr))
            .collect();
        Ok(Subquery {
            subquery: Arc::new(plan),
            outer_ref_columns,
            spans: subquery.spans,
        })
    }

    fn is_mine(&self, column: &Column, nearer: &[DFSchema]) -> bool {
        self.outer.has_column(column) && !nearer.iter().any(|schema| schema.has_column(column))
    }
}
