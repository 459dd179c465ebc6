//! Aggregates in an order of their own, so that queries that differ in the order of their columns only have the same state.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Sorts the aggregates of each aggregation by their names; a projection puts the columns back.
#[derive(Debug)]
pub(crate) struct SortAggregates;

impl OptimizerRule for SortAggregates {
    fn name(&self) -> &'static str {
        "sort_aggregates"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = plan else {
            return Ok(Transformed::no(plan));
        };
        let mut sorted = aggregate.aggr_expr.clone();
        sorted.sort_by_cached_key(|expr| expr.schema_name().to_string());
        if sorted == aggregate.aggr_expr {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        let columns = aggregate.schema.columns();
        let columns: Vec<Expr> = columns
            .into_iter()
            .map(|c: Column| Expr::Column(c))
            .collect();
        let sorted = Aggregate::try_new(aggregate.input, aggregate.group_expr, sorted)?;
        let sorted = Arc::new(LogicalPlan::Aggregate(sorted));
        let restored = Projection::try_new(columns, sorted)?;
        Ok(Transformed::yes(LogicalPlan::Projection(restored)))
    }
}
