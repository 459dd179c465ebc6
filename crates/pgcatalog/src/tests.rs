//! Statements of real clients over a sample snapshot, from text to rows.

mod clients;
mod latency;
mod psql;
pub(crate) mod sample;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::FieldRef;
use datafusion::error::Result;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement as DataFusionStatement;
use sqlparser::ast::Statement;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use crate::value::Value;
use crate::{
    CatalogSnapshot, field_type, format_type, is_catalog_query, register, rewrite, shown_name,
};

/// Names of the result columns and cells as PostgreSQL prints them.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<String>,
    /// Names of the columns' types.
    pub(crate) types: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

pub(crate) fn session(snapshot: &Arc<CatalogSnapshot>) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_default_catalog_and_schema("clickmill", "public");
    let ctx = SessionContext::new_with_config(config);
    register(&ctx, snapshot).expect("a new session takes the catalog");
    ctx
}

/// Parses, rewrites, plans and runs one query. `None` where the text is no query about the system, or not for our parser.
pub(crate) async fn run(snapshot: &Arc<CatalogSnapshot>, sql: &str) -> Result<Option<Answer>> {
    let Ok(mut statements) = Parser::parse_sql(&GenericDialect {}, sql) else {
        return Ok(None);
    };
    let Some(Statement::Query(mut query)) = statements.pop() else {
        return Ok(None);
    };
    if !is_catalog_query(&query) {
        return Ok(None);
    }
    rewrite(&mut query);
    let statement = DataFusionStatement::Statement(Box::new(Statement::Query(query)));
    let ctx = session(snapshot);
    let plan = ctx.state().statement_to_plan(statement).await?;
    let frame = ctx.execute_logical_plan(plan).await?;
    let columns = frame
        .schema()
        .fields()
        .iter()
        .map(|field| shown_name(field.name()).to_owned())
        .collect();
    let type_name = |field: &FieldRef| format_type(field_type(field).oid, None);
    let types = frame.schema().fields().iter().map(type_name).collect();
    if sql.contains("$1") {
        // A prepared statement is planned before its parameters are known.
        frame.into_optimized_plan()?;
        return Ok(Some(Answer {
            columns,
            types,
            rows: Vec::new(),
        }));
    }
    let batches = frame.collect().await?;
    Ok(Some(Answer {
        columns,
        types,
        rows: batches.iter().flat_map(cells).collect(),
    }))
}

fn cells(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    let cell = |column: usize, row: usize| {
        let scalar = ScalarValue::try_from_array(batch.column(column), row)
            .expect("the row is one of the batch");
        (!scalar.is_null()).then(|| Value::of(&scalar).print())
    };
    (0..batch.num_rows())
        .map(|row| {
            (0..batch.num_columns())
                .map(|column| cell(column, row))
                .collect()
        })
        .collect()
}

/// The rows of a query that must succeed, each as its cells with `|` between.
pub(crate) async fn rows(snapshot: &Arc<CatalogSnapshot>, sql: &str) -> Vec<String> {
    let answer = run(snapshot, sql)
        .await
        .unwrap_or_else(|error| unreachable!("{sql}\n{error}"));
    let answer = answer.unwrap_or_else(|| unreachable!("{sql} is not about the system"));
    let text = |row: Vec<Option<String>>| {
        row.into_iter()
            .map(|cell| cell.unwrap_or_default())
            .collect::<Vec<_>>()
            .join("|")
    };
    answer.rows.into_iter().map(text).collect()
}
