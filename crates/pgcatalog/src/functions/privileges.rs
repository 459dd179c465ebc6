//! Functions about privileges: the one user owns everything.

use datafusion::error::Result;

use super::reg::class_named;
use super::{Function, function};
use crate::error::error;
use crate::snapshot::CatalogSnapshot;
use crate::types::BOOL;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("has_table_privilege", 2..=3, BOOL, |s, args| {
        on_table(s, args, 1)
    }),
    function("has_any_column_privilege", 2..=3, BOOL, |s, args| {
        on_table(s, args, 1)
    }),
    function("has_column_privilege", 3..=4, BOOL, |s, args| {
        on_table(s, args, 2)
    }),
    function(
        "has_database_privilege",
        2..=3,
        BOOL,
        |_, _| Ok(true.into()),
    ),
    function("has_schema_privilege", 2..=3, BOOL, |_, _| Ok(true.into())),
    function(
        "has_function_privilege",
        2..=3,
        BOOL,
        |_, _| Ok(true.into()),
    ),
    function(
        "has_language_privilege",
        2..=3,
        BOOL,
        |_, _| Ok(true.into()),
    ),
    function(
        "has_sequence_privilege",
        2..=3,
        BOOL,
        |_, _| Ok(true.into()),
    ),
    function("has_server_privilege", 2..=3, BOOL, |_, _| Ok(true.into())),
    function("has_foreign_data_wrapper_privilege", 2..=3, BOOL, |_, _| {
        Ok(true.into())
    }),
    function("has_tablespace_privilege", 2..=3, BOOL, |_, _| {
        Ok(true.into())
    }),
    function("has_type_privilege", 2..=3, BOOL, |_, _| Ok(true.into())),
    function("pg_has_role", 2..=3, BOOL, |_, _| Ok(true.into())),
    function("row_security_active", 1..=1, BOOL, |_, _| Ok(false.into())),
];

/// The table is the argument before the last `behind` ones; a name must exist.
fn on_table(snapshot: &CatalogSnapshot, args: &[Value], behind: usize) -> Result<Value> {
    let table = args
        .len()
        .checked_sub(behind + 1)
        .and_then(|place| args.get(place));
    match table {
        Some(Value::Text(name)) if class_named(snapshot, name).is_none() => Err(error(
            "42P01",
            format!("relation \"{name}\" does not exist"),
        )),
        _ => Ok(true.into()),
    }
}
