//! From a query's syntax tree to a DataFusion logical plan, continuous or bounded, with clickmill's names and types.

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::Result;
use datafusion::arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::common::{TableReference, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::prelude::SessionConfig;
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use plan::WindowColumn;
use sqlparser::ast::{Query, Statement};

use crate::errors::from_datafusion;
use crate::names::mentions_column;
use crate::types::cast_type;
use crate::window::group_form::move_windows;
use crate::window::partition::partition_sessions;
use crate::window::ties::break_ties;
use crate::window::{RunMode, WindowPlanner};

/// Finds relations by name.
pub trait Relations: Send + Sync {
    /// The relation called `name` in `schema` (`None`: written without one).
    fn get(&self, schema: Option<&str>, name: &str) -> Option<Arc<dyn TableSource>>;
}

/// DataFusion's functions, clickmill's own in place of some, and its defaults. Queries that end take their memory from
/// `runtime`.
pub fn session_state(target_partitions: usize, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(target_partitions)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    options.execution.time_zone = Some("UTC".to_owned());
    let builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features();
    crate::checked::install(builder).build()
}

/// Plans `query` over `relations`. The plan is not optimised.
pub fn plan_query(
    state: &SessionState,
    relations: &dyn Relations,
    mode: RunMode,
    query: &Query,
) -> Result<LogicalPlan> {
    let mut query = query.clone();
    move_windows(&mut query)?;
    crate::refuse::check_query(&query)?;
    partition_sessions(&mut query)?;
    let windows = WindowPlanner {
        mode,
        complete: mentions_column(&query, WindowColumn::COMPLETE),
    };
    let context = Context::new(state, relations, windows);
    let planner = SqlToRel::new_with_options(&context, parser_options());
    let plan = planner
        .sql_statement_to_plan(Statement::Query(Box::new(query)))
        .map_err(from_datafusion)?;
    match mode {
        RunMode::Continuous => Ok(plan),
        RunMode::Bounded => break_ties(plan).map_err(from_datafusion),
    }
}

fn parser_options() -> ParserOptions {
    ParserOptions::new()
        .with_collect_spans(true)
        .with_map_string_types_to_utf8view(false)
}

struct Context<'a> {
    state: &'a SessionState,
    relations: &'a dyn Relations,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    options: ConfigOptions,
}

impl<'a> Context<'a> {
    fn new(state: &'a SessionState, relations: &'a dyn Relations, windows: WindowPlanner) -> Self {
        Self {
            state,
            relations,
            relation_planners: vec![Arc::new(windows)],
            options: state.config_options().as_ref().clone(),
        }
    }
}

impl ContextProvider for Context<'_> {
    fn get_table_source(
        &self,
        name: TableReference,
    ) -> Result<Arc<dyn TableSource>, DataFusionError> {
        match self.relations.get(name.schema(), name.table()) {
            Some(source) => Ok(source),
            None => plan_err!("table '{name}' not found"),
        }
    }

    fn create_cte_work_table(
        &self,
        name: &str,
        schema: SchemaRef,
    ) -> Result<Arc<dyn TableSource>, DataFusionError> {
        let table = datafusion::datasource::cte_worktable::CteWorkTable::new(name, schema);
        Ok(datafusion::datasource::provider_as_source(Arc::new(table)))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> Result<Arc<dyn TableSource>, DataFusionError> {
        let Some(function) = self.state.table_functions().get(name) else {
            return plan_err!("Invalid function '{name}'");
        };
        let args = datafusion::catalog::TableFunctionArgs::new(&args, self.state);
        let provider = function.create_table_provider_with_args(args)?;
        Ok(datafusion::datasource::provider_as_source(provider))
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state
            .higher_order_functions()
            .keys()
            .cloned()
            .collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

/// SQL types as clickmill holds them: timestamps in microseconds, TEXT as Utf8.
#[derive(Debug)]
struct Types;

impl TypePlanner for Types {
    fn plan_type_field(
        &self,
        sql_type: &sqlparser::ast::DataType,
    ) -> Result<Option<FieldRef>, DataFusionError> {
        use datafusion::common::datatype::DataTypeExt;
        let data_type = cast_type(sql_type).map_err(crate::errors::wrap)?;
        Ok(data_type.map(DataTypeExt::into_nullable_field_ref))
    }
}

/// Relations by name in one schema, for planning.
#[derive(Default)]
pub struct RelationMap(pub HashMap<String, Arc<dyn TableSource>>);

impl Relations for RelationMap {
    fn get(&self, schema: Option<&str>, name: &str) -> Option<Arc<dyn TableSource>> {
        if schema.is_some_and(|s| s != "public") {
            None
        } else {
            self.0.get(name).cloned()
        }
    }
}

/// A stream as the planner sees it: columns, and filters stay above it. (DataFusion's `LogicalTableSource` claims that it
/// filters by itself.)
pub struct StreamSource(pub SchemaRef);

impl TableSource for StreamSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }
}
