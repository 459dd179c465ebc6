//! INSERT and ADVANCE WATERMARK on tables; both return when views show their effect.

use std::sync::Arc;

use dataflow::schema::SourceSchema;
use dataflow::{Error, Result, SqlState};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use engine::Change;
use sql::ast::{Insert, Name, ObjectKind};
use sqlparser::ast::Expr;

use crate::catalog::Body;
use crate::database::Shared;

/// Rows of a query in the shape of a table.
pub(crate) fn rows_for(
    shared: &Shared,
    insert: &Insert,
    batches: &[RecordBatch],
) -> Result<Vec<RecordBatch>> {
    let catalog = shared.catalog.read();
    let object = catalog.expect(&insert.table, ObjectKind::Table)?;
    let Body::Table { declared, .. } = &object.body else {
        let message = format!("cannot insert into \"{}\"", insert.table.value);
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
            .at(insert.table.location)
            .hint("it has what its source sets aside"));
    };
    let targets = targets(insert, declared)?;
    batches
        .iter()
        .map(|batch| shape(insert, declared, &targets, batch))
        .collect()
}

/// Checks the table and the column list; gives the table's column for each value.
pub(crate) fn targets(insert: &Insert, declared: &SourceSchema) -> Result<Vec<usize>> {
    if insert.columns.is_empty() {
        return Ok((0..declared.columns.len()).collect());
    }
    let mut targets = Vec::new();
    for column in &insert.columns {
        let index = declared.index_of(&column.value).ok_or_else(|| {
            let message = format!(
                "column \"{}\" of relation \"{}\" does not exist",
                column.value, insert.table.value
            );
            Error::new(SqlState::UNDEFINED_COLUMN, message).at(column.location)
        })?;
        if targets.contains(&index) {
            let message = format!("column \"{}\" specified more than once", column.value);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(column.location));
        }
        targets.push(index);
    }
    Ok(targets)
}

fn shape(
    insert: &Insert,
    declared: &SourceSchema,
    targets: &[usize],
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    let given = batch.num_columns();
    check_width(insert, given, targets.len())?;
    let schema = declared.arrow();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let value = targets
            .iter()
            .position(|t| *t == index)
            .filter(|i| *i < given);
        let array = match value {
            Some(i) => cast_value(batch.column(i), field.data_type(), field.name())?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        if !field.is_nullable() && array.null_count() > 0 {
            let message = format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                field.name(),
                insert.table.value
            );
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message));
        }
        columns.push(array);
    }
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Checks the number of values: without a list of columns there may be fewer than columns.
pub(crate) fn check_width(insert: &Insert, given: usize, targets: usize) -> Result<()> {
    if given == targets || insert.columns.is_empty() && given < targets {
        return Ok(());
    }
    let what = if given > targets {
        "more expressions than target columns"
    } else {
        "more target columns than expressions"
    };
    let error = Error::new(SqlState::SYNTAX_ERROR, format!("INSERT has {what}"));
    Err(error.at(insert.table.location))
}

/// A value in the type of its column.
pub(crate) fn cast_value(array: &ArrayRef, to: &DataType, column: &str) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, to, &options).map_err(|error| {
        let state = if matches!(to, DataType::Timestamp(..) | DataType::Date32) {
            SqlState::INVALID_DATETIME
        } else {
            SqlState::INVALID_TEXT
        };
        Error::new(state, format!("invalid value for column \"{column}\""))
            .detail(error.to_string())
    })
}

/// The change that adds rows to a table.
pub(crate) fn insert_change(table: &Name, rows: RecordBatch) -> Change {
    Change::Insert {
        table: table.value.clone(),
        rows,
    }
}

/// The change that moves a table's watermark.
pub(crate) async fn advance(shared: &Shared, name: &Name, to: &Expr) -> Result<Change> {
    {
        let catalog = shared.catalog.read();
        let object = catalog
            .get(&name.value)
            .ok_or_else(|| crate::catalog::missing(name, ObjectKind::Table))?;
        if !matches!(object.body, Body::Table { .. }) {
            let message = format!(
                "\"{}\" is not a table: its watermark follows its records",
                name.value
            );
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(name.location));
        }
    }
    let text = format!("SELECT {to}");
    let parsed = sql::parse::parse(&text)?;
    let Some(sql::ast::Statement::Query(query)) = parsed.into_iter().next().map(|p| p.statement)
    else {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "ADVANCE WATERMARK takes a constant time",
        )
        .at(name.location));
    };
    let bounded = crate::query::plan(shared, &query, || Ok(Default::default())).await?;
    let stream = bounded
        .run(&[], &crate::session::Cancel::new(), shared.query_threads())
        .await?;
    let batches = crate::query::collect(stream).await?;
    let array = batches.first().map(|b| Arc::clone(b.column(0)));
    let array = array.ok_or_else(|| Error::internal("a constant gave no row"))?;
    let time = cast_value(&array, &dataflow::schema::timestamptz(), "watermark")?;
    let time = time.as_primitive::<TimestampMicrosecondType>();
    if time.is_null(0) {
        return Err(
            Error::new(SqlState::INVALID_DATETIME, "the watermark cannot be NULL")
                .at(name.location),
        );
    }
    Ok(Change::AdvanceWatermark {
        table: name.value.clone(),
        to: time.value(0),
    })
}
