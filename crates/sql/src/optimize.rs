//! The optimizer rules that are sound for a query that never ends.
//!
//! Left out of DataFusion's list: `SingleDistinctToGroupBy` (its inner aggregate never closes), `PushDownLimit` and
//! `EliminateLimit` (limits are refused), `EliminateGroupByConstant` (changes keys of kept state), the leaf-expression
//! rules (struct access only). The context has no start time, so `now()` is never folded.

use std::sync::Arc;

use dataflow::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::eliminate_duplicated_expr::EliminateDuplicatedExpr;
use datafusion::optimizer::eliminate_filter::EliminateFilter;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::optimize_unions::OptimizeUnions;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::replace_distinct_aggregate::ReplaceDistinctWithAggregate;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerContext, OptimizerRule};

use crate::errors::from_datafusion;
use crate::sort_aggregates::SortAggregates;

/// Analyses (types, function rewrites) and optimises a continuous plan.
pub fn optimize(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let options = Arc::clone(state.config_options());
    let analyzed = state
        .analyzer()
        .execute_and_check(plan, &options, |_, _| {})
        .map_err(from_datafusion)?;
    let context = OptimizerContext::new_with_config_options(options)
        .without_query_execution_start_time()
        .with_skip_failing_rules(false);
    Optimizer::with_rules(rules())
        .optimize(analyzed, &context, |_, _| {})
        .map_err(from_datafusion)
}

fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    vec![
        Arc::new(OptimizeUnions::new()),
        Arc::new(SimplifyExpressions::new()),
        Arc::new(ReplaceDistinctWithAggregate::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateDuplicatedExpr::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(PushDownFilter::new()),
        Arc::new(SortAggregates),
        Arc::new(OptimizeProjections::new()),
    ]
}
