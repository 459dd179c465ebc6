//! `information_schema.columns`.

use super::Rows;
use super::schema_tables::yes_or_no;
use crate::relations::{self, INFORMATION_SCHEMA, PG_CATALOG};
use crate::snapshot::{CatalogSnapshot, RelationKind};
use crate::types::{self, PgType, format_type, pg_type_of};
use crate::value::Value;

const COLUMNS: [&str; 21] = [
    "table_catalog",
    "table_schema",
    "table_name",
    "column_name",
    "ordinal_position",
    "is_nullable",
    "data_type",
    "character_octet_length",
    "numeric_precision",
    "numeric_precision_radix",
    "numeric_scale",
    "datetime_precision",
    "udt_catalog",
    "udt_schema",
    "udt_name",
    "dtd_identifier",
    "is_self_referencing",
    "is_identity",
    "identity_cycle",
    "is_generated",
    "is_updatable",
];

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let own = snapshot
        .relations
        .iter()
        .filter(|relation| relation.kind != RelationKind::MaterializedView);
    let own = own.flat_map(|relation| {
        relation.columns.iter().enumerate().map(|(place, column)| {
            let nullable = column.nullable || relation.kind.is_view();
            let names = [
                snapshot.database.as_str(),
                relation.schema.name(),
                &relation.name,
                &column.name,
            ];
            let updatable = relation.kind == RelationKind::Table;
            one(
                names,
                place,
                pg_type_of(&column.data_type),
                nullable,
                updatable,
            )
        })
    });
    let system = relations::all()
        .iter()
        .filter(|r| r.schema == PG_CATALOG || r.schema == INFORMATION_SCHEMA);
    let system = system.flat_map(|relation| {
        relation.columns.iter().enumerate().map(|(place, column)| {
            let names = [
                snapshot.database.as_str(),
                relation.schema,
                relation.name,
                column.name,
            ];
            one(
                names,
                place,
                PgType {
                    oid: column.type_oid,
                    typmod: -1,
                },
                !column.not_null,
                false,
            )
        })
    });
    Rows::of(COLUMNS, own.chain(system))
}

fn one(
    names: [&str; 4],
    place: usize,
    pg_type: PgType,
    nullable: bool,
    updatable: bool,
) -> [Value; 21] {
    let [database, schema, table, column] = names;
    let built_in = types::built_in(pg_type.oid);
    let is_array =
        built_in.is_some_and(|built_in| built_in.category == 'A' && built_in.name.starts_with('_'));
    let data_type = if is_array {
        "ARRAY".to_owned()
    } else {
        format_type(pg_type.oid, None)
    };
    let (precision, radix, scale) = number(pg_type);
    [
        database.into(),
        schema.into(),
        table.into(),
        column.into(),
        (place + 1).into(),
        yes_or_no(nullable),
        data_type.into(),
        matches!(pg_type.oid, types::TEXT)
            .then_some(1_073_741_824)
            .into(),
        precision,
        radix,
        scale,
        clock_digits(pg_type.oid),
        database.into(),
        PG_CATALOG.into(),
        built_in.map_or("text", |built_in| built_in.name).into(),
        (place + 1).to_string().into(),
        yes_or_no(false),
        yes_or_no(false),
        yes_or_no(false),
        "NEVER".into(),
        yes_or_no(updatable),
    ]
}

/// Precision, radix and scale of a number.
fn number(pg_type: PgType) -> (Value, Value, Value) {
    let (precision, radix, scale) = match (pg_type.oid, pg_type.typmod) {
        (21, _) => (Some(16), Some(2), Some(0)),
        (23, _) => (Some(32), Some(2), Some(0)),
        (20, _) => (Some(64), Some(2), Some(0)),
        (700, _) => (Some(24), Some(2), None),
        (701, _) => (Some(53), Some(2), None),
        (1700, typmod) if typmod >= 4 => (
            Some(((typmod - 4) >> 16) & 0xffff),
            Some(10),
            Some((typmod - 4) & 0x7ff),
        ),
        (1700, _) => (None, Some(10), None),
        _ => (None, None, None),
    };
    (precision.into(), radix.into(), scale.into())
}

fn clock_digits(oid: u32) -> Value {
    match oid {
        1082 => Value::Int(0),
        1083 | 1114 | 1184 | 1186 => Value::Int(6),
        _ => Value::Null,
    }
}
