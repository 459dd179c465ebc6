//! Functions that give the definition or the comment of an object.

use super::reg::class_named;
use super::{Function, called_on_null, function};
use crate::snapshot::{CatalogSnapshot, RelationInfo};
use crate::types::{BOOL, INT4, TEXT};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("pg_get_viewdef", TEXT, |snapshot, args| {
        Ok(viewdef(snapshot, args))
    }),
    function("obj_description", TEXT, |snapshot, args| {
        Ok(description(snapshot, args))
    }),
    called_on_null("pg_relation_is_publishable", BOOL, |_, _| Ok(false.into())),
    function("pg_relation_is_updatable", INT4, |_, _| Ok(Value::Int(0))),
    function("pg_column_is_updatable", BOOL, |_, _| Ok(false.into())),
    function("pg_tablespace_location", TEXT, |_, _| Ok("".into())),
    // Objects of these sorts do not exist, or have no text.
    nothing("pg_get_expr"),
    nothing("pg_get_indexdef"),
    nothing("pg_get_constraintdef"),
    nothing("pg_get_ruledef"),
    nothing("pg_get_triggerdef"),
    nothing("pg_get_partkeydef"),
    nothing("pg_get_partition_constraintdef"),
    nothing("pg_get_serial_sequence"),
    nothing("pg_get_statisticsobjdef"),
    nothing("pg_get_statisticsobjdef_columns"),
    nothing("pg_get_function_result"),
    nothing("pg_get_function_arguments"),
    nothing("pg_get_function_identity_arguments"),
    nothing("pg_get_functiondef"),
    nothing("pg_get_function_sqlbody"),
    nothing("col_description"),
    nothing("shobj_description"),
];

const fn nothing(name: &'static str) -> Function {
    called_on_null(name, TEXT, |_, _| Ok(Value::Null))
}

/// The query of a view as PostgreSQL gives it: begun with a blank, ended with a semicolon.
pub(crate) fn view_definition(relation: &RelationInfo) -> Option<String> {
    relation
        .definition
        .as_ref()
        .map(|query| format!(" {};", query.trim().trim_end_matches(';')))
}

fn viewdef(snapshot: &CatalogSnapshot, args: &[Value]) -> Value {
    let oid = args[0]
        .oid()
        .or_else(|| class_named(snapshot, &args[0].print()));
    let Some(relation) = oid.and_then(|oid| snapshot.relation(oid)) else {
        return Value::Null;
    };
    view_definition(relation)
        .unwrap_or_else(|| "Not a view".to_owned())
        .into()
}

fn description(snapshot: &CatalogSnapshot, args: &[Value]) -> Value {
    let of_class = args
        .get(1)
        .is_none_or(|catalog| catalog.text() == Some("pg_class"));
    let relation = args[0]
        .oid()
        .filter(|_| of_class)
        .and_then(|oid| snapshot.relation(oid));
    relation
        .and_then(|relation| relation.comment.clone())
        .into()
}
