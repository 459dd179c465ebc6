//! DESCRIBE: the columns of a relation, where they come from, and which of them follow the watermark.

use dataflow::schema::{ColumnOrigin, SourceSchema};

use dataflow::time::{MILLI, MINUTE, SECOND};
use dataflow::{Error, Micros, Result, SqlState, with_sql_types};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use sql::ast::Name;

use crate::catalog::{Body, Catalog, Object};
use crate::show::table;

/// One row for each column, in order.
pub(crate) fn describe(catalog: &Catalog, name: &Name) -> Result<RecordBatch> {
    let object = catalog.get(&name.value).ok_or_else(|| {
        let message = format!("relation \"{}\" does not exist", name.value);
        Error::new(SqlState::UNDEFINED_TABLE, message).at(name.location)
    })?;
    let fields = object.schema.fields();
    let indexes = 0..fields.len();
    let nullable = |nullable: bool| if nullable { "YES" } else { "NO" }.to_owned();
    table(
        &["column", "type", "nullable", "from", "watermark"],
        vec![
            fields.iter().map(|f| f.name().clone()).collect(),
            fields.iter().map(|f| type_name(f.data_type())).collect(),
            fields.iter().map(|f| nullable(f.is_nullable())).collect(),
            indexes.clone().map(|at| origin(object, at)).collect(),
            indexes.map(|at| watermark(object, at)).collect(),
        ],
    )
}

/// A type as SQL has it.
pub(crate) fn type_name(data_type: &DataType) -> String {
    with_sql_types(&data_type.to_string())
}

/// Where a source's column comes from: the path of a field, or what INCLUDE names.
fn origin(object: &Object, at: usize) -> String {
    let Body::Source(spec) = &object.body else {
        return String::new();
    };
    match &spec.schema.columns[at].origin {
        ColumnOrigin::Field(path) => path.join("."),
        ColumnOrigin::Proctime => "PROCTIME()".to_owned(),
        other => format!("INCLUDE {}", included(other)),
    }
}

/// The word of INCLUDE for what is no field.
pub(crate) fn included(origin: &ColumnOrigin) -> &'static str {
    match origin {
        ColumnOrigin::Key => "KEY",
        ColumnOrigin::Topic => "TOPIC",
        ColumnOrigin::Partition => "PARTITION",
        ColumnOrigin::Offset => "OFFSET",
        ColumnOrigin::Timestamp => "TIMESTAMP",
        ColumnOrigin::Headers => "HEADERS",
        ColumnOrigin::Rest => "REST",
        ColumnOrigin::Field(_) | ColumnOrigin::Proctime => "",
    }
}

fn watermark(object: &Object, at: usize) -> String {
    let declared = |schema: &SourceSchema| match &schema.watermark {
        Some(watermark) if watermark.column == at => {
            let name = sql::name::quote(&schema.columns[at].name);
            match watermark.delay {
                0 => name,
                delay => format!("{name} - {}", interval(delay)),
            }
        }
        _ => String::new(),
    };
    match &object.body {
        Body::Source(spec) => declared(&spec.schema),
        Body::Table {
            declared: schema, ..
        } => declared(schema),
        Body::Materialized(view) if view.node.time_offset(at).is_some() => {
            "follows the watermark".to_owned()
        }
        _ => String::new(),
    }
}

/// A duration as SQL has it.
pub(crate) fn interval(of: Micros) -> String {
    let units = [
        (60 * MINUTE, "hours"),
        (MINUTE, "minutes"),
        (SECOND, "seconds"),
        (MILLI, "milliseconds"),
        (1, "microseconds"),
    ];
    let unit = units.into_iter().find(|(unit, _)| of % unit == 0);
    let (unit, name) = unit.unwrap_or((1, "microseconds"));
    format!("INTERVAL '{} {name}'", of / unit)
}
