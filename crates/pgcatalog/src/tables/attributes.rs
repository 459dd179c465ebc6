//! `pg_attribute`: the columns of all relations.

use super::Rows;
use crate::relations;
use crate::snapshot::CatalogSnapshot;
use crate::types::{self, PgType, pg_type_of};
use crate::value::Value;

const COLUMNS: [&str; 17] = [
    "attrelid",
    "attname",
    "atttypid",
    "attstattarget",
    "attlen",
    "attnum",
    "attndims",
    "attcacheoff",
    "atttypmod",
    "attbyval",
    "attalign",
    "attstorage",
    "attcompression",
    "attnotnull",
    "attidentity",
    "attislocal",
    "attcollation",
];

pub(super) fn rows(snapshot: &CatalogSnapshot) -> Rows {
    let own = snapshot.relations.iter().flat_map(|relation| {
        relation.columns.iter().enumerate().map(|(place, column)| {
            let not_null = !column.nullable && !relation.kind.is_view();
            attribute(
                relation.oid,
                place,
                &column.name,
                pg_type_of(&column.data_type),
                not_null,
            )
        })
    });
    let system = relations::all().iter().flat_map(|relation| {
        relation.columns.iter().enumerate().map(|(place, column)| {
            let pg_type = PgType {
                oid: column.type_oid,
                typmod: -1,
            };
            attribute(relation.oid, place, column.name, pg_type, column.not_null)
        })
    });
    Rows::of(COLUMNS, own.chain(system))
}

fn attribute(
    relation: u32,
    place: usize,
    name: &str,
    pg_type: PgType,
    not_null: bool,
) -> [Value; 17] {
    let built_in = types::built_in(pg_type.oid);
    let is_array = built_in.is_some_and(|built_in| built_in.category == 'A');
    [
        relation.into(),
        name.into(),
        pg_type.oid.into(),
        Value::Int(-1),
        built_in
            .map_or(-1, |built_in| i32::from(built_in.len))
            .into(),
        (place + 1).into(),
        i32::from(is_array).into(),
        Value::Int(-1),
        pg_type.typmod.into(),
        built_in.is_some_and(|built_in| built_in.by_value).into(),
        built_in.map_or('i', |built_in| built_in.align).into(),
        built_in.map_or('x', |built_in| built_in.storage).into(),
        "".into(),
        not_null.into(),
        "".into(),
        true.into(),
        built_in.map_or(0, |built_in| built_in.collation).into(),
    ]
}
