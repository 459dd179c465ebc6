//! EXPLAIN: the continuous plan, and for a query that cannot run for ever why not, with the plan that ends.

use std::sync::Arc;

use dataflow::schema::{SourceSchema, WatermarkDecl};
use dataflow::{Location, Result};
use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use plan::display::TimeOrigin;
use sql::ast::{Explain, Statement};
use sqlparser::ast::Query;

use crate::catalog::{Body, Catalog};
use crate::continuous::{Manner, plan_continuous};
use crate::database::Shared;
use crate::options::view_options;

/// The one column of EXPLAIN.
pub(crate) fn explain_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(
        "QUERY PLAN",
        DataType::Utf8,
        false,
    )]))
}

/// The lines of EXPLAIN.
pub(crate) fn explain(
    shared: &Shared,
    explain: &Explain,
    location: Option<Location>,
) -> Result<RecordBatch> {
    let lines = match explain.statement.as_ref() {
        Statement::CreateView(create) => {
            let options = view_options(create.options.clone())?;
            let manner = Manner::of(create.emission, &options);
            continuous(
                shared,
                &create.query,
                manner,
                explain.verbose,
                create.name.location,
            )?
        }
        Statement::CreateSink(create) => {
            crate::ddl::check_sink(shared, create)?;
            let (view, _) = crate::options::sink_options(create.options.clone())?;
            let manner = Manner::of(create.emission, &view);
            continuous(
                shared,
                &create.query,
                manner,
                explain.verbose,
                create.name.location,
            )?
        }
        Statement::Subscribe(subscribe) => {
            let manner = Manner::of_subscribe(subscribe.emission);
            continuous(
                shared,
                &subscribe.query,
                manner,
                explain.verbose,
                subscribe.location,
            )?
        }
        Statement::Query(query) => of_query(shared, query, explain.verbose)?,
        _ => return Err(dataflow::Error::unsupported("EXPLAIN of this statement").at(location)),
    };
    let text: Vec<String> = lines;
    Ok(RecordBatch::try_new(
        explain_schema(),
        vec![Arc::new(StringArray::from(text))],
    )?)
}

fn continuous(
    shared: &Shared,
    query: &Query,
    manner: Manner,
    verbose: bool,
    location: Option<Location>,
) -> Result<Vec<String>> {
    let catalog = shared.catalog.read().clone();
    let planned = plan_continuous(shared, &catalog, query, manner, location)?;
    let mut lines = plan::display::lines(&planned.node, &|name| time_origins(&catalog, name));
    if verbose {
        lines.push("logical plan:".to_owned());
        lines.extend(indented(&planned.logical));
    }
    Ok(lines)
}

fn of_query(shared: &Shared, query: &Query, verbose: bool) -> Result<Vec<String>> {
    let catalog = shared.catalog.read().clone();
    let bounded = crate::query::plan_bounded(&shared.state, &catalog, query)?;
    match continuous(shared, query, Manner::default(), verbose, None) {
        Ok(lines) => Ok(lines),
        Err(error) => {
            let optimized = shared
                .state
                .optimize(&bounded)
                .map_err(sql::errors::from_datafusion)?;
            let mut lines = vec![format!(
                "a query that ends; as a continuous query: {}",
                error.message()
            )];
            lines.extend(
                error
                    .detail_text()
                    .map(|detail| format!("  because: {detail}")),
            );
            lines.extend(error.hint_text().map(|hint| format!("  instead: {hint}")));
            lines.extend(indented(&optimized));
            Ok(lines)
        }
    }
}

/// Where the watermark of a relation comes from.
fn time_origins(catalog: &Catalog, name: &str) -> Vec<TimeOrigin> {
    let declared = |kind, schema: &SourceSchema| {
        let watermark = schema.watermark.iter();
        let origin = |watermark: &WatermarkDecl| TimeOrigin {
            kind,
            relation: name.to_owned(),
            column: schema.columns[watermark.column].name.clone(),
            delay: watermark.delay,
        };
        watermark.map(origin).collect()
    };
    match catalog.get(name).map(|object| &object.body) {
        Some(Body::Source(spec)) => declared("source", &spec.schema),
        Some(Body::Table {
            declared: schema, ..
        }) => declared("table", schema),
        Some(Body::Materialized(view)) => {
            plan::display::origins_of(&view.node, &|name| time_origins(catalog, name))
        }
        _ => Vec::new(),
    }
}

fn indented(plan: &datafusion::logical_expr::LogicalPlan) -> Vec<String> {
    plan.display_indent()
        .to_string()
        .lines()
        .map(|l| format!("  {l}"))
        .collect()
}
