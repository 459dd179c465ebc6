//! A subquery as an asynchronous function of its outer columns.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::scalar::ScalarValue;

use super::bind;
use crate::error::error;

/// What is wanted of the subquery's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The only column of the only row; NULL when there is none.
    Value,
    /// Whether there is any.
    Exists,
}

impl Answer {
    pub(super) fn data_type(self, plan: &LogicalPlan) -> DataType {
        match self {
            Answer::Value => plan.schema().field(0).data_type().clone(),
            Answer::Exists => DataType::Boolean,
        }
    }
}

/// The function: an optimized plan with placeholders for its arguments.
pub(super) struct SubqueryCall {
    plan: Arc<LogicalPlan>,
    answer: Answer,
    data_type: DataType,
    state: Arc<SessionState>,
    signature: Signature,
}

impl SubqueryCall {
    pub(super) fn new(
        plan: LogicalPlan,
        answer: Answer,
        data_type: DataType,
        state: Arc<SessionState>,
    ) -> SubqueryCall {
        let signature = Signature::variadic_any(Volatility::Volatile);
        SubqueryCall {
            plan: Arc::new(plan),
            answer,
            data_type,
            state,
            signature,
        }
    }

    pub(super) fn into_udf(self) -> ScalarUDF {
        AsyncScalarUDF::new(Arc::new(self)).into_scalar_udf()
    }

    /// The plan to execute, reading its arguments from `parameters`.
    async fn physical(&self, parameters: &Arc<Parameters>) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = LogicalPlan::clone(&self.plan).transform_down_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|expr| Ok(parameter(expr, parameters)))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })?;
        self.state
            .query_planner()
            .create_physical_plan(&plan.data, self.state.as_ref())
            .await
    }

    async fn evaluate(&self, physical: &Arc<dyn ExecutionPlan>) -> Result<ScalarValue> {
        let plan = reset_plan_states(Arc::clone(physical))?;
        let batches = collect(plan, self.state.task_ctx()).await?;
        let rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
        if self.answer == Answer::Exists {
            return Ok(ScalarValue::Boolean(Some(rows > 0)));
        }
        match batches.iter().find(|batch| batch.num_rows() > 0) {
            None => ScalarValue::try_from(&self.data_type),
            Some(batch) if rows == 1 => ScalarValue::try_from_array(batch.column(0), 0),
            Some(_) => Err(error(
                "21000",
                "more than one row returned by a subquery used as an expression",
            )),
        }
    }
}

impl fmt::Debug for SubqueryCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubqueryCall")
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

impl PartialEq for SubqueryCall {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan) && self.answer == other.answer
    }
}

impl Eq for SubqueryCall {}

impl Hash for SubqueryCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.plan).hash(state);
    }
}

impl ScalarUDFImpl for SubqueryCall {
    fn name(&self) -> &str {
        "subquery"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal(
            "a subquery is evaluated asynchronously".to_owned(),
        ))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for SubqueryCall {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut known: HashMap<Vec<ScalarValue>, ScalarValue> = HashMap::new();
        let parameters = Arc::new(Parameters::default());
        let mut physical = None;
        let mut results = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let values = args
                .args
                .iter()
                .map(|arg| at(arg, row))
                .collect::<Result<Vec<_>>>()?;
            if let Some(result) = known.get(&values) {
                results.push(result.clone());
                continue;
            }
            let plan = match physical.take() {
                Some(plan) => plan,
                None => self.physical(&parameters).await?,
            };
            parameters.set(values.clone());
            let result = self.evaluate(&plan).await?;
            physical = Some(plan);
            known.insert(values, result.clone());
            results.push(result);
        }
        Ok(ColumnarValue::Array(if results.is_empty() {
            datafusion::arrow::array::new_empty_array(&self.data_type)
        } else {
            ScalarValue::iter_to_array(results)?
        }))
    }
}

fn at(arg: &ColumnarValue, row: usize) -> Result<ScalarValue> {
    match arg {
        ColumnarValue::Scalar(scalar) => Ok(scalar.clone()),
        ColumnarValue::Array(array) => ScalarValue::try_from_array(array, row),
    }
}

/// The arguments of the call that runs.
#[derive(Debug, Default)]
struct Parameters(Mutex<Vec<ScalarValue>>);

impl Parameters {
    fn set(&self, values: Vec<ScalarValue>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = values;
    }

    fn get(&self, place: usize) -> Option<ScalarValue> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(place)
            .cloned()
    }
}

/// One argument, as a function without arguments.
#[derive(Debug)]
struct Parameter {
    parameters: Arc<Parameters>,
    place: usize,
    data_type: DataType,
    signature: Signature,
}

/// A placeholder of a binding as the function that gives its value.
fn parameter(expr: Expr, parameters: &Arc<Parameters>) -> Transformed<Expr> {
    let Expr::Placeholder(placeholder) = &expr else {
        return Transformed::no(expr);
    };
    let (Some(place), Some(field)) = (bind::place(placeholder), &placeholder.field) else {
        return Transformed::no(expr);
    };
    let parameter = Parameter {
        parameters: Arc::clone(parameters),
        place,
        data_type: field.data_type().clone(),
        signature: Signature::nullary(Volatility::Volatile),
    };
    let udf = Arc::new(ScalarUDF::new_from_impl(parameter));
    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
        udf,
        Vec::new(),
    )))
}

impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.parameters, &other.parameters) && self.place == other.place
    }
}

impl Eq for Parameter {}

impl Hash for Parameter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place.hash(state);
    }
}

impl ScalarUDFImpl for Parameter {
    fn name(&self) -> &str {
        "outer_column"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let unset =
            || DataFusionError::Internal("a subquery runs without its outer row".to_owned());
        self.parameters
            .get(self.place)
            .map(ColumnarValue::Scalar)
            .ok_or_else(unset)
    }
}
