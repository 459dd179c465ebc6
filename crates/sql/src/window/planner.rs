//! Plans window functions in FROM, as streaming nodes or, for queries that end, as ordinary DataFusion plans.

use std::sync::Arc;

use dataflow::{Error, Location, SqlState};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, ExprSchema, Result};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, LogicalPlan};
use sqlparser::ast::{TableAlias, TableFactor};

use super::batch;
use super::call::{Input, WindowCall, ident_location, location, table_factor, window_call};
use super::node::WindowNode;
use crate::errors::wrap;

/// How a query runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// For ever: window functions stay nodes that the lowering recognises.
    Continuous,
    /// Over finite input: window functions become projections, unnesting and window aggregates.
    Bounded,
}

/// Claims `TUMBLE`, `HOP`, `CUMULATE` and `SESSION` in FROM.
#[derive(Debug)]
pub struct WindowPlanner {
    /// How the query runs.
    pub mode: RunMode,
    /// The query names `window_complete`.
    pub complete: bool,
}

impl RelationPlanner for WindowPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some(call) = window_call(&relation).map_err(wrap)? else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let plan = self.plan_call(call, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan,
            alias_of(relation),
        ))))
    }
}

impl WindowPlanner {
    fn plan_call(
        &self,
        call: WindowCall,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<LogicalPlan> {
        let input = context.plan(input_factor(call.input))?;
        let time_name = context.normalize_ident(call.time.clone());
        let time = input
            .schema()
            .qualified_field_with_unqualified_name(&time_name)
            .map(Column::from);
        let Ok(time) = time else {
            let names: Vec<&str> = input
                .schema()
                .fields()
                .iter()
                .map(|f| f.name().as_str())
                .collect();
            return Err(wrap(
                Error::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{time_name}\" does not exist"),
                )
                .at(ident_location(&call.time))
                .hint(format!("columns here: {}", names.join(", "))),
            ));
        };
        let time_type = input.schema().field_from_column(&time)?.data_type().clone();
        if !matches!(time_type, DataType::Timestamp(TimeUnit::Microsecond, _)) {
            let message = format!(
                "column \"{time_name}\" is not a timestamp and cannot be the time of a window"
            );
            return Err(wrap(
                Error::new(SqlState::DATATYPE_MISMATCH, message).at(ident_location(&call.time)),
            ));
        }
        let schema = Arc::clone(input.schema());
        let mut partition = Vec::new();
        for key in call.partition {
            partition.push(context.sql_to_expr(key, &schema)?);
        }
        let ends_when = call.ends_when.map(|condition| {
            let place = location(&condition);
            let condition = context.sql_to_expr(condition, &schema)?;
            check_condition(&condition, &schema, place)?;
            Ok::<_, DataFusionError>(condition)
        });
        let ends_when = ends_when.transpose()?;
        let node = WindowNode::try_new(
            input,
            time,
            partition,
            call.window,
            ends_when,
            self.complete,
        )?;
        match self.mode {
            RunMode::Continuous => Ok(LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            })),
            RunMode::Bounded => batch::expand(node),
        }
    }
}

/// `ends_when` is a condition over the rows of the relation.
fn check_condition(condition: &Expr, schema: &DFSchema, place: Option<Location>) -> Result<()> {
    let over_rows = |e: &Expr| {
        Ok(matches!(
            e,
            Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
        ))
    };
    if condition.exists(over_rows)? {
        let message = "ends_when of SESSION looks at one row: aggregates, OVER and subqueries have no place there";
        return Err(wrap(
            Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(place),
        ));
    }
    if condition.get_type(schema)? == DataType::Boolean {
        return Ok(());
    }
    let message = "ends_when of SESSION is not a condition";
    Err(wrap(
        Error::new(SqlState::DATATYPE_MISMATCH, message).at(place),
    ))
}

fn input_factor(input: Input) -> TableFactor {
    match input {
        Input::Named(name) => table_factor(name, None, None),
        Input::Query(subquery) => TableFactor::Derived {
            lateral: false,
            subquery,
            alias: None,
            sample: None,
        },
    }
}

fn alias_of(factor: TableFactor) -> Option<TableAlias> {
    match factor {
        TableFactor::Table { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::Function { alias, .. } => alias,
        _ => None,
    }
}
