//! Window functions over finite input as ordinary DataFusion plans, for queries that end.

use std::sync::Arc;

use dataflow::Micros;
use dataflow::time::MILLI;
use datafusion::arrow::array::{Array, ArrayRef, ListArray, TimestampMicrosecondArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::cast::as_timestamp_microsecond_array;
use datafusion::common::{Column, Result, UnnestOptions};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn::lag;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, cast, lit, when,
};
use datafusion::scalar::ScalarValue;
use plan::{Window, WindowColumn, WindowKind};

use super::node::{WindowNode, kept};

const SESSION_START: &str = "__session_start";
const SESSION_NUMBER: &str = "__session_number";

/// The plan that gives the node's rows over finite input.
pub fn expand(node: WindowNode) -> Result<LogicalPlan> {
    match node.window.kind {
        WindowKind::Session { gap } => sessions(node, gap),
        _ => aligned(node),
    }
}

fn passed(node: &WindowNode) -> Vec<Expr> {
    kept(node.input.schema())
        .map(|i| Expr::from(node.input.schema().qualified_field(i)))
        .collect()
}

fn aligned(node: WindowNode) -> Result<LogicalPlan> {
    let mut exprs = passed(&node);
    let mut out = exprs.clone();
    let columns = WindowColumn::ALL.map(WindowColumn::name);
    for column in WindowColumn::ALL {
        let values = ScalarUDF::new_from_impl(WindowValues::new(node.window, column));
        let list = values.call(vec![Expr::Column(node.time.clone())]);
        exprs.push(list.alias(column.name()));
        out.push(Expr::Column(column.name().into()));
    }
    LogicalPlanBuilder::from(node.input)
        .project(exprs)?
        .unnest_columns_with_options(
            columns.map(Column::from_name).to_vec(),
            UnnestOptions::new(),
        )?
        .project(out)?
        .build()
}

/// Sessions by a gap to the row before and a running sum of beginnings (the usual "islands" query).
fn sessions(node: WindowNode, gap: Micros) -> Result<LogicalPlan> {
    let rest = passed(&node);
    let time = Expr::Column(node.time.clone());
    let by_time = vec![time.clone().sort(true, false)];
    let mut carried = rest.clone();
    if !rest.contains(&time) {
        carried.push(time.clone());
    }
    let previous = lag(time.clone(), Some(1), None)
        .partition_by(node.partition.clone())
        .order_by(by_time.clone())
        .build()?;
    let before = result_of(&previous);
    let begins = when(before.clone().is_null(), lit(1_i64))
        .when(
            micros(time.clone()).gt_eq(micros(before) + lit(gap)),
            lit(1_i64),
        )
        .otherwise(lit(0_i64))?;
    let mut with_begin = carried.clone();
    with_begin.push(begins.alias(SESSION_START));
    let builder = LogicalPlanBuilder::from(node.input)
        .window(vec![previous])?
        .project(with_begin)?;

    let number = over(sum_udaf(), Expr::Column(SESSION_START.into()))
        .partition_by(node.partition.clone())
        .order_by(by_time)
        .window_frame(running())
        .build()?;
    let mut numbered = carried;
    numbered.push(result_of(&number).alias(SESSION_NUMBER));
    let builder = builder.window(vec![number])?.project(numbered)?;

    let mut by_session = node.partition;
    by_session.push(Expr::Column(SESSION_NUMBER.into()));
    let start = over(min_udaf(), time.clone())
        .partition_by(by_session.clone())
        .build()?;
    let last = over(max_udaf(), time).partition_by(by_session).build()?;
    let mut out = rest;
    out.push(result_of(&start).alias(WindowColumn::Start.name()));
    out.push(shift(result_of(&last), gap).alias(WindowColumn::End.name()));
    out.push(shift(result_of(&last), gap - MILLI).alias(WindowColumn::Time.name()));
    builder.window(vec![start, last])?.project(out)?.build()
}

/// An aggregate used as a window function.
fn over(aggregate: Arc<AggregateUDF>, of: Expr) -> Expr {
    Expr::from(WindowFunction::new(
        WindowFunctionDefinition::AggregateUDF(aggregate),
        vec![of],
    ))
}

/// The column that a window expression's result gets.
fn result_of(window: &Expr) -> Expr {
    Expr::Column(Column::from_name(window.schema_name().to_string()))
}

fn running() -> WindowFrame {
    WindowFrame::new_bounds(
        WindowFrameUnits::Rows,
        WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
        WindowFrameBound::CurrentRow,
    )
}

fn micros(time: Expr) -> Expr {
    cast(time, DataType::Int64)
}

fn shift(time: Expr, by: Micros) -> Expr {
    ScalarUDF::new_from_impl(Shift {
        by,
        signature: Signature::any(1, Volatility::Immutable),
    })
    .call(vec![time])
}

/// Adds microseconds to a timestamp.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shift {
    by: Micros,
    signature: Signature,
}

impl ScalarUDFImpl for Shift {
    fn name(&self) -> &str {
        "window_shift"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(args[0].clone())
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&args.arg_fields[0]))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let times = as_timestamp_microsecond_array(&array)?;
        let shifted =
            times.unary_opt::<_, datafusion::arrow::datatypes::TimestampMicrosecondType>(|t| {
                t.checked_add(self.by)
            });
        let zone = match times.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        Ok(ColumnarValue::Array(Arc::new(
            shifted.with_timezone_opt(zone),
        )))
    }
}

/// A column of all aligned windows that hold a time, as a list; NULL for NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowValues {
    window: Window,
    column: WindowColumn,
    signature: Signature,
}

impl WindowValues {
    fn new(window: Window, column: WindowColumn) -> Self {
        Self {
            window,
            column,
            signature: Signature::any(1, Volatility::Immutable),
        }
    }

    fn item(of: &DataType) -> FieldRef {
        Arc::new(Field::new("item", of.clone(), false))
    }
}

impl ScalarUDFImpl for WindowValues {
    fn name(&self) -> &str {
        match self.column {
            WindowColumn::Start => "window_starts",
            WindowColumn::End => "window_ends",
            WindowColumn::Time => "window_times",
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Self::item(&args[0])))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let array = args.args[0].to_array(args.number_rows)?;
        let times = as_timestamp_microsecond_array(&array)?;
        let mut found = Vec::with_capacity(times.len());
        let mut lengths = Vec::with_capacity(times.len());
        for time in times {
            let before = found.len();
            if let Some(time) = time {
                found.extend(self.window.windows_of(time).map(|w| self.column.value(w)));
            }
            lengths.push(found.len() - before);
        }
        let zone = match times.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, zone) => zone.clone(),
            _ => None,
        };
        let values: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(found).with_timezone_opt(zone));
        let list = ListArray::try_new(
            Self::item(values.data_type()),
            OffsetBuffer::from_lengths(lengths),
            values,
            times.nulls().cloned(),
        )?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}
