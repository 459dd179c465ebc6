//! Functions that say whether a name is found without its schema. The search path is `pg_catalog, public`.

use super::{Function, function};
use crate::relations::{self, PG_CATALOG};
use crate::snapshot::{CatalogSnapshot, UserSchema};
use crate::types::BOOL;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("pg_table_is_visible", 1..=1, BOOL, |snapshot, args| {
        Ok(table_is_visible(snapshot, args[0].oid()))
    }),
    // Everything else is in pg_catalog.
    function("pg_type_is_visible", 1..=1, BOOL, |_, _| Ok(true.into())),
    function(
        "pg_function_is_visible",
        1..=1,
        BOOL,
        |_, _| Ok(true.into()),
    ),
    function(
        "pg_operator_is_visible",
        1..=1,
        BOOL,
        |_, _| Ok(true.into()),
    ),
    function("pg_opclass_is_visible", 1..=1, BOOL, |_, _| Ok(true.into())),
    function(
        "pg_opfamily_is_visible",
        1..=1,
        BOOL,
        |_, _| Ok(true.into()),
    ),
    function("pg_collation_is_visible", 1..=1, BOOL, |_, _| {
        Ok(true.into())
    }),
    function("pg_conversion_is_visible", 1..=1, BOOL, |_, _| {
        Ok(true.into())
    }),
    function("pg_statistics_obj_is_visible", 1..=1, BOOL, |_, _| {
        Ok(true.into())
    }),
    function("pg_ts_config_is_visible", 1..=1, BOOL, |_, _| {
        Ok(true.into())
    }),
    function("pg_ts_dict_is_visible", 1..=1, BOOL, |_, _| Ok(true.into())),
    function("pg_ts_parser_is_visible", 1..=1, BOOL, |_, _| {
        Ok(true.into())
    }),
    function("pg_ts_template_is_visible", 1..=1, BOOL, |_, _| {
        Ok(true.into())
    }),
];

/// NULL for an oid that is no relation's, as in PostgreSQL.
fn table_is_visible(snapshot: &CatalogSnapshot, oid: Option<u32>) -> Value {
    let Some(oid) = oid else {
        return Value::Null;
    };
    if let Some(relation) = snapshot.relation(oid) {
        return Value::Bool(relation.schema == UserSchema::Public);
    }
    let system = relations::all().iter().find(|relation| relation.oid == oid);
    system.map(|relation| relation.schema == PG_CATALOG).into()
}
