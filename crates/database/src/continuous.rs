//! Plans continuous queries for views and SUBSCRIBE.

use std::sync::Arc;

use dataflow::{Error, Location, Micros, Result, SqlState};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use engine::pipeline::Pipeline;
use plan::Node;
use sql::ast::Emission;
use sql::lower::LowerOptions;
use sql::planner::plan_query;
use sql::window::RunMode;
use sqlparser::ast::Query;

use crate::catalog::{Body, Catalog};
use crate::database::Shared;
use crate::options::ViewOptions;
use crate::query::about_sinks;
use crate::relations::Streams;

/// A planned continuous query.
pub(crate) struct Planned {
    /// The optimised logical plan.
    pub(crate) logical: LogicalPlan,
    pub(crate) node: Arc<Node>,
    /// Its columns under the names that users see.
    pub(crate) schema: SchemaRef,
}

/// What a continuous query says besides its text.
#[derive(Clone, Copy, Default)]
pub(crate) struct Manner {
    pub(crate) emission: Emission,
    pub(crate) state_ttl: Option<Micros>,
    pub(crate) unbounded_state: bool,
}

impl Manner {
    /// What a view or a sink says by EMIT and by its options.
    pub(crate) fn of(emission: Emission, options: &ViewOptions) -> Self {
        Self {
            emission,
            state_ttl: options.state_ttl,
            unbounded_state: options.unbounded_state,
        }
    }

    /// What a SUBSCRIBE says, whose state goes with its client.
    pub(crate) fn of_subscribe(emission: Emission) -> Self {
        Self {
            emission,
            state_ttl: None,
            unbounded_state: true,
        }
    }
}

/// Plans `query` over the catalog's streams; errors without a place get `location`.
pub(crate) fn plan_continuous(
    shared: &Shared,
    catalog: &Catalog,
    query: &Query,
    manner: Manner,
    location: Option<Location>,
) -> Result<Planned> {
    sql::continuous::check_continuous(query)?;
    let streams = Streams {
        state: &shared.state,
        catalog,
    };
    let plan = || -> Result<Planned> {
        let logical = plan_query(&shared.state, &streams, RunMode::Continuous, query)?;
        let names = sql::names::output_names(query, logical.schema().as_arrow());
        let logical = sql::optimize::optimize(&shared.state, logical)?;
        let options = LowerOptions {
            emission: manner.emission,
            state_ttl: manner.state_ttl,
            unbounded_state: manner.unbounded_state,
        };
        let node = sql::lower::lower(&logical, catalog, options)?;
        // Building the operators finds what only they can refuse.
        let table = |name: &str| catalog.get(name).and_then(|o| o.store().cloned());
        Pipeline::new(&node, &table)?;
        let schema = named(node.schema.inner(), &names);
        Ok(Planned {
            logical,
            node,
            schema,
        })
    };
    plan().map_err(|e| about_sinks(catalog, query, e).at(location))
}

/// Postgres has no unsigned integers: `ROW_NUMBER()` is a bigint there.
fn signed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::UInt64 | DataType::UInt32 => DataType::Int64,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt8 => DataType::Int16,
        other => other.clone(),
    }
}

/// The schema with other names. Columns may be NULL: a query's planned nullability is no promise.
pub(crate) fn named(schema: &SchemaRef, names: &[String]) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .zip(names)
        .map(|(field, name)| Field::new(name, signed(field.data_type()), true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Column names must differ in a relation.
pub(crate) fn check_distinct(schema: &Schema, location: Option<Location>) -> Result<()> {
    for (i, field) in schema.fields().iter().enumerate() {
        if schema.fields()[..i]
            .iter()
            .any(|f| f.name() == field.name())
        {
            let message = format!("column \"{}\" specified more than once", field.name());
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message)
                .at(location)
                .hint("give the column another name with AS"));
        }
    }
    Ok(())
}

/// Relations that a query reads: those of its plan, and ordinary views by name.
pub(crate) fn reads(node: &Node, catalog: &Catalog, query: &Query) -> Vec<String> {
    let mut names = node.reads();
    for name in sql::names::relation_names(query) {
        let is_view = catalog
            .get(&name)
            .is_some_and(|o| matches!(o.body, Body::View { .. } | Body::Materialized(_)));
        if is_view && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
