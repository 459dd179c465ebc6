//! Descriptions for clients: relations for the system catalog, parameters of statements.

use dataflow::Result;
use datafusion::arrow::datatypes::DataType;
use pgcatalog::{ColumnInfo, RelationInfo, RelationKind};

use crate::catalog::{Body, Object};

/// An object as the system catalog shows it.
pub(crate) fn relation_info(object: &Object) -> RelationInfo {
    let (kind, definition) = match &object.body {
        Body::Source(_) => (RelationKind::Source, None),
        Body::Table { .. } => (RelationKind::Table, None),
        Body::View { text, .. } => (RelationKind::View, Some(text.clone())),
        Body::Materialized(view) => (RelationKind::MaterializedView, Some(view.text.clone())),
    };
    let columns = object
        .schema
        .fields()
        .iter()
        .map(|f| ColumnInfo {
            name: f.name().clone(),
            data_type: f.data_type().clone(),
            nullable: f.is_nullable(),
        })
        .collect();
    let foreign = match &object.body {
        Body::Source(spec) => Some(pgcatalog::ForeignInfo {
            server: "kafka".to_owned(),
            options: vec![("topic".to_owned(), spec.factory.topic())],
        }),
        _ => None,
    };
    RelationInfo {
        oid: object.oid,
        name: object.name.clone(),
        kind,
        columns,
        definition,
        comment: None,
        foreign,
    }
}

/// Types of `$1`, `$2`, …: what the client said, else what the plan wants, else text.
pub(crate) fn parameter_types(
    plan: &datafusion::logical_expr::LogicalPlan,
    hints: &[Option<DataType>],
) -> Result<Vec<DataType>> {
    let found = plan
        .get_parameter_types()
        .map_err(sql::errors::from_datafusion)?;
    let highest = found
        .keys()
        .filter_map(|name| name.strip_prefix('$')?.parse::<usize>().ok())
        .max();
    let count = highest.unwrap_or(0).max(hints.len());
    let of = |i: usize| {
        let own = found.get(&format!("${}", i + 1)).cloned().flatten();
        hints
            .get(i)
            .cloned()
            .flatten()
            .or(own)
            .unwrap_or(DataType::Utf8)
    };
    Ok((0..count).map(of).collect())
}
