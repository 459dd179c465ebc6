//! Functions in place of DataFusion's: `+`, `-`, `*` and `sum` of integers fail with 22003 where DataFusion wraps, as in
//! PostgreSQL, and the DISTINCT of `bit_xor` counts.

mod arithmetic;
mod bit_xor;
mod sum;

use std::sync::Arc;

use dataflow::{Error, SqlState};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::AggregateUDF;

/// Puts the checked functions into a state that has DataFusion's default features.
pub fn install(builder: SessionStateBuilder) -> SessionStateBuilder {
    let sum = Arc::new(AggregateUDF::new_from_impl(sum::CheckedSum::default()));
    let mut builder = builder.with_analyzer_rule(Arc::new(arithmetic::CheckedArithmetic));
    let bit_xor = Arc::new(AggregateUDF::new_from_impl(bit_xor::BitXor::default()));
    builder
        .aggregate_functions()
        .get_or_insert_default()
        .extend([sum, bit_xor]);
    builder
}

/// The error of a value that its type cannot hold, as PostgreSQL words it.
fn out_of_range(data_type: &DataType) -> DataFusionError {
    let message = match data_type {
        DataType::Int16 | DataType::UInt8 => "smallint out of range",
        DataType::Int32 | DataType::UInt16 => "integer out of range",
        DataType::Int8 => "\"char\" out of range",
        DataType::Decimal128(..) => "numeric field overflow",
        _ => "bigint out of range",
    };
    crate::errors::wrap(Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message))
}
