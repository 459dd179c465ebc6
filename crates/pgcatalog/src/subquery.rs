//! Correlated subqueries that DataFusion does not turn into joins, evaluated once per distinct outer row.
//!
//! Clients ask for single values by `(SELECT … WHERE x.oid = outer.oid AND …)` and `ARRAY(SELECT … FROM unnest(outer.y))`.
//! Catalogs are small, so a nested loop is good enough: an analyzer rule makes each such subquery an asynchronous function
//! of the outer columns it names ([`call::SubqueryCall`]). Before that, the rule takes out system relations that clickmill
//! has no rows for, which makes most of these subqueries vanish.

mod bind;
mod call;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Exists, InSubquery, ScalarFunction, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, Subquery, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use crate::provider::SystemTable;
use bind::Binding;
use call::{Answer, SubqueryCall};

pub(crate) fn register(ctx: &SessionContext) {
    ctx.add_analyzer_rule(Arc::new(CorrelatedSubqueries {
        state: Arc::new(ctx.state()),
    }));
}

/// The rule.
struct CorrelatedSubqueries {
    /// The session as it was before the rule came: plans the subqueries.
    state: Arc<SessionState>,
}

impl fmt::Debug for CorrelatedSubqueries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CorrelatedSubqueries")
    }
}

impl AnalyzerRule for CorrelatedSubqueries {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        self.plan(plan)
    }

    fn name(&self) -> &str {
        "correlated_subqueries"
    }
}

impl CorrelatedSubqueries {
    fn plan(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let rewritten = plan.transform_up(|node| {
            if let Some(empty) = always_empty(&node) {
                return Ok(Transformed::yes(empty));
            }
            let outer = input_schema(&node)?;
            let is_filter = matches!(node, LogicalPlan::Filter(_));
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|expr| self.expr(expr, &outer, is_filter))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(rewritten.data)
    }

    fn expr(&self, expr: Expr, outer: &DFSchema, in_filter: bool) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::ScalarSubquery(subquery) => Transformed::yes(self.scalar(subquery, outer)?),
            Expr::Exists(exists) => Transformed::yes(self.exists(exists, outer, in_filter)?),
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => {
                let subquery = self.inside(subquery)?;
                Transformed::yes(Expr::InSubquery(InSubquery {
                    expr,
                    subquery,
                    negated,
                }))
            }
            Expr::SetComparison(comparison) => {
                let subquery = self.inside(comparison.subquery)?;
                Transformed::yes(Expr::SetComparison(SetComparison {
                    subquery,
                    ..comparison
                }))
            }
            expr => Transformed::no(expr),
        })
    }

    /// Leaves a subquery to DataFusion, but not what is in it.
    fn inside(&self, subquery: Subquery) -> Result<Subquery> {
        let plan = self.plan(Arc::unwrap_or_clone(subquery.subquery))?;
        Ok(Subquery {
            subquery: Arc::new(plan),
            ..subquery
        })
    }

    fn scalar(&self, subquery: Subquery, outer: &DFSchema) -> Result<Expr> {
        let subquery = self.inside(subquery)?;
        let binding = Binding::of(Arc::clone(&subquery.subquery), outer)?;
        if binding.args.is_empty() {
            return Ok(Expr::ScalarSubquery(subquery));
        }
        self.call(binding, Answer::Value)
    }

    /// `EXISTS` in a filter is DataFusion's, unless the outer columns are in places from which it cannot take them.
    fn exists(&self, exists: Exists, outer: &DFSchema, in_filter: bool) -> Result<Expr> {
        let Exists { subquery, negated } = exists;
        let in_place = in_filter && only_filters_refer_outside(&subquery.subquery)?;
        let subquery = self.inside(subquery)?;
        let binding = Binding::of(Arc::clone(&subquery.subquery), outer)?;
        if binding.args.is_empty() || (in_place && binding.is_one_level()) {
            return Ok(Expr::Exists(Exists { subquery, negated }));
        }
        let found = self.call(binding, Answer::Exists)?;
        Ok(if negated {
            Expr::Not(Box::new(found))
        } else {
            found
        })
    }

    fn call(&self, binding: Binding, answer: Answer) -> Result<Expr> {
        let plan = self.state.optimize(&binding.plan)?;
        let data_type = answer.data_type(&plan);
        if matches!(&plan, LogicalPlan::EmptyRelation(empty) if !empty.produce_one_row) {
            return Ok(match answer {
                Answer::Value => lit(ScalarValue::try_from(&data_type)?),
                Answer::Exists => lit(false),
            });
        }
        let call = SubqueryCall::new(plan, answer, data_type, Arc::clone(&self.state));
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::new(call.into_udf()),
            binding.args,
        )))
    }
}

/// A scan of a system relation without rows, as no relation at all.
fn always_empty(node: &LogicalPlan) -> Option<LogicalPlan> {
    let LogicalPlan::TableScan(scan) = node else {
        return None;
    };
    let provider = source_as_provider(&scan.source).ok()?;
    provider
        .downcast_ref::<SystemTable>()
        .filter(|table| table.is_always_empty())?;
    let schema: DFSchemaRef = Arc::clone(&scan.projected_schema);
    Some(LogicalPlan::EmptyRelation(EmptyRelation {
        produce_one_row: false,
        schema,
    }))
}

/// The columns that expressions of a node, and subqueries in them, see.
fn input_schema(node: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = DFSchema::new_with_metadata(Vec::new(), HashMap::new())?;
    for input in node.inputs() {
        schema.merge(input.schema());
    }
    Ok(schema)
}

fn only_filters_refer_outside(plan: &LogicalPlan) -> Result<bool> {
    let mut only = true;
    plan.apply_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Filter(_)) {
            node.apply_expressions(|expr| {
                only &= !expr.contains_outer();
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(only)
}

#[cfg(test)]
mod tests;
