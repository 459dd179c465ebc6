//! Descriptions for clients: relations for the system catalog, parameters of statements.

use dataflow::Result;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use pgcatalog::{ColumnInfo, RelationInfo, RelationKind, UserSchema};

use crate::catalog::{Body, Object};

/// An object as the system catalog shows it; a sink is no relation.
pub(crate) fn relation_info(object: &Object) -> Option<RelationInfo> {
    let (kind, definition) = match &object.body {
        Body::Source(_) => (RelationKind::Source, None),
        Body::Table { .. } | Body::Aside { .. } => (RelationKind::Table, None),
        Body::View { text, .. } => (RelationKind::View, Some(text.clone())),
        Body::Materialized(view) => (RelationKind::MaterializedView, Some(view.text.clone())),
        Body::Sink(_) => return None,
    };
    let columns = column_infos(&object.schema);
    let foreign = match &object.body {
        Body::Source(spec) => Some(pgcatalog::ForeignInfo {
            server: "kafka".to_owned(),
            options: vec![("topic".to_owned(), spec.factory.topic())],
        }),
        _ => None,
    };
    Some(RelationInfo {
        schema: UserSchema::Public,
        oid: object.oid,
        name: object.name.clone(),
        kind,
        columns,
        definition,
        comment: None,
        foreign,
    })
}

/// Oid of the first relation of schema `clickmill`; below those of users.
const SYSTEM_OID: u32 = 15_000;

/// The relations of schema `clickmill`, as views.
pub(crate) fn system_infos() -> Result<Vec<RelationInfo>> {
    let schemas = crate::system::schemas()?;
    let infos = (SYSTEM_OID..)
        .zip(schemas)
        .map(|(oid, (name, schema))| RelationInfo {
            schema: UserSchema::Clickmill,
            oid,
            name: name.to_owned(),
            kind: RelationKind::View,
            columns: column_infos(&schema),
            definition: None,
            comment: None,
            foreign: None,
        });
    Ok(infos.collect())
}

fn column_infos(schema: &Schema) -> Vec<ColumnInfo> {
    let fields = schema.fields().iter();
    let info = |f: &FieldRef| ColumnInfo {
        name: f.name().clone(),
        data_type: f.data_type().clone(),
        nullable: f.is_nullable(),
    };
    fields.map(info).collect()
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
