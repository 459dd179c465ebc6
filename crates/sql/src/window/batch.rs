//! Window functions over finite input as ordinary DataFusion plans, for queries that end.

use std::sync::Arc;

use dataflow::Micros;
use datafusion::arrow::array::{Array, ArrayRef, ListArray, TimestampMicrosecondArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::cast::as_timestamp_microsecond_array;
use datafusion::common::{Column, Result, UnnestOptions};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, WindowFunctionDefinition, WindowUDF, lit,
};
use plan::{Window, WindowColumn, WindowKind};

use super::node::{WindowNode, kept};
use super::session_bounds::SessionBounds;

/// The plan that gives the node's rows over finite input.
pub fn expand(node: WindowNode) -> Result<LogicalPlan> {
    match node.window.kind {
        WindowKind::Session { gap, max } => sessions(node, gap, max),
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
    if node.complete {
        out.push(complete());
    }
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

/// `window_complete`: when a query ends, so have all its windows.
fn complete() -> Expr {
    lit(true).alias(WindowColumn::COMPLETE)
}

/// Sessions: a window function finds where each begins and ends.
fn sessions(node: WindowNode, gap: Micros, max: Option<Micros>) -> Result<LogicalPlan> {
    let rest = passed(&node);
    let time = Expr::Column(node.time.clone());
    let ends = node.ends_when.clone().unwrap_or(lit(false));
    let mut windows = Vec::new();
    let mut out = rest;
    for column in WindowColumn::ALL {
        let bounds = WindowUDF::new_from_impl(SessionBounds {
            gap,
            max,
            column,
            signature: Signature::any(2, Volatility::Immutable),
        });
        let of = vec![time.clone(), ends.clone()];
        let definition = WindowFunctionDefinition::WindowUDF(Arc::new(bounds));
        let window = Expr::from(WindowFunction::new(definition, of))
            .partition_by(node.partition.clone())
            .order_by(vec![time.clone().sort(true, false)])
            .build()?;
        let result = Column::from_name(window.schema_name().to_string());
        out.push(Expr::Column(result).alias(column.name()));
        windows.push(window);
    }
    if node.complete {
        out.push(complete());
    }
    LogicalPlanBuilder::from(node.input)
        .window(windows)?
        .project(out)?
        .build()
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
