//! Logical expressions compiled against a node's schema and evaluated over batches.

use std::sync::Arc;

use dataflow::{Error, Result};
use datafusion::arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use datafusion::arrow::compute::prep_null_mask_filter;
use datafusion::common::DFSchema;
use datafusion::common::cast::as_boolean_array;
use datafusion::error::DataFusionError;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

/// A compiled expression.
pub type Compiled = Arc<dyn PhysicalExpr>;

/// Compiles `expr` over rows of `schema`.
pub fn compile(expr: &Expr, schema: &DFSchema) -> Result<Compiled> {
    create_physical_expr(
        expr,
        schema,
        &ExecutionProps::new(),
        &PhysicalPlanningContext::default(),
    )
    .map_err(from_datafusion)
}

/// Compiles several expressions.
pub fn compile_all<'a>(
    exprs: impl IntoIterator<Item = &'a Expr>,
    schema: &DFSchema,
) -> Result<Vec<Compiled>> {
    exprs.into_iter().map(|e| compile(e, schema)).collect()
}

/// The expression's value for each row.
pub fn evaluate(expr: &Compiled, batch: &RecordBatch) -> Result<ArrayRef> {
    expr.evaluate(batch)
        .and_then(|v| v.into_array(batch.num_rows()))
        .map_err(from_datafusion)
}

/// The values of several expressions.
pub fn evaluate_all(exprs: &[Compiled], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    exprs.iter().map(|e| evaluate(e, batch)).collect()
}

/// A condition's value for each row; NULL is not true.
pub fn evaluate_filter(expr: &Compiled, batch: &RecordBatch) -> Result<BooleanArray> {
    let values = evaluate(expr, batch)?;
    as_boolean_array(&values).cloned().map_err(from_datafusion)
}

/// The condition with NULL as false.
pub fn without_nulls(mask: BooleanArray) -> BooleanArray {
    match mask.nulls() {
        Some(_) => prep_null_mask_filter(&mask),
        None => mask,
    }
}

/// DataFusion's errors at run time.
pub fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::ArrowError(inner, _) => Error::from(*inner),
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::internal(other.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            from_datafusion(*inner)
        }
        DataFusionError::NotImplemented(what) => Error::unsupported(what),
        other => Error::internal(other.strip_backtrace()),
    }
}
