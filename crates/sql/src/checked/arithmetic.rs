//! An analyzer rule that replaces integer `+`, `-`, `*` and unary minus by functions that do not wrap.

use datafusion::arrow::array::{ArrayRef, Datum};
use datafusion::arrow::compute::kernels::numeric::{add, mul, neg, sub};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::{AnalyzerRule, utils::NamePreserver};
use datafusion::physical_expr_common::datum::apply;

use super::out_of_range;

/// The rule. It comes after the coercion of types, so that both sides have one type.
#[derive(Debug)]
pub(super) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(rewrite_plan)?.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema.merge(&DFSchema::try_from_qualified_schema(
            scan.table_name.clone(),
            &scan.source.schema(),
        )?);
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|e| Ok(rewrite(e, &schema)))?;
        Ok(rewritten.update_data(|e| name.restore(e)))
    })
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let can_wrap = |e: &Expr| e.get_type(schema).is_ok_and(|t| t.is_integer());
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && can_wrap(&left)
                && can_wrap(&right) =>
        {
            Transformed::yes(Checked::new(Some(op)).call(vec![*left, *right]))
        }
        Expr::Negative(inner) if !matches!(*inner, Expr::Literal(..)) && can_wrap(&inner) => {
            Transformed::yes(Checked::new(None).call(vec![*inner]))
        }
        other => Transformed::no(other),
    }
}

/// An operator as a function; without `op` unary minus.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    op: Option<Operator>,
    signature: Signature,
}

impl Checked {
    fn new(op: Option<Operator>) -> ScalarUDF {
        let args = if op.is_some() { 2 } else { 1 };
        ScalarUDF::new_from_impl(Self {
            op,
            signature: Signature::any(args, Volatility::Immutable),
        })
    }

    /// The expression as it was written.
    fn written(&self, args: &[Expr]) -> Option<Expr> {
        match (self.op, args) {
            (Some(op), [left, right]) => Some(Expr::BinaryExpr(BinaryExpr::new(
                Box::new(left.clone()),
                op,
                Box::new(right.clone()),
            ))),
            (None, [inner]) => Some(Expr::Negative(Box::new(inner.clone()))),
            _ => None,
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.op {
            Some(Operator::Plus) => "+",
            Some(Operator::Multiply) => "*",
            _ => "-",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        match args.first() {
            Some(data_type) => Ok(data_type.clone()),
            None => plan_err!("an operator without operands"),
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(self
            .written(args)
            .map_or_else(String::new, |e| e.to_string()))
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let written = self.written(args);
        Ok(written.map_or_else(String::new, |e| e.schema_name().to_string()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let compute = |kernel: fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>| {
            apply(&args.args[0], &args.args[1], kernel)
        };
        let result = match self.op {
            Some(Operator::Plus) => compute(add),
            Some(Operator::Multiply) => compute(mul),
            Some(_) => compute(sub),
            None => negated(&args.args[0]),
        };
        result.map_err(|error| match error.find_root() {
            datafusion::error::DataFusionError::ArrowError(inner, _)
                if matches!(**inner, ArrowError::ArithmeticOverflow(_)) =>
            {
                out_of_range(args.return_field.data_type())
            }
            _ => error,
        })
    }
}

fn negated(value: &ColumnarValue) -> Result<ColumnarValue> {
    Ok(match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(neg(array.as_ref())?),
        ColumnarValue::Scalar(scalar) => {
            let one: ArrayRef = neg(scalar.to_array()?.as_ref())?;
            ColumnarValue::Scalar(datafusion::scalar::ScalarValue::try_from_array(&one, 0)?)
        }
    })
}
