//! Functions that give the definition or the comment of an object.

use std::ops::RangeInclusive;

use super::reg::class_named;
use super::{Function, called_on_null, function};
use crate::snapshot::{CatalogSnapshot, RelationInfo};
use crate::types::{BOOL, INT4, TEXT};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("pg_get_viewdef", 1..=2, TEXT, |snapshot, args| {
        Ok(viewdef(snapshot, args))
    }),
    function("obj_description", 1..=2, TEXT, |snapshot, args| {
        Ok(description(snapshot, args))
    }),
    called_on_null("pg_relation_is_publishable", 1..=1, BOOL, |_, _| {
        Ok(false.into())
    }),
    function("pg_relation_is_updatable", 2..=2, INT4, |_, _| {
        Ok(Value::Int(0))
    }),
    function("pg_column_is_updatable", 3..=3, BOOL, |_, _| {
        Ok(false.into())
    }),
    function("pg_tablespace_location", 1..=1, TEXT, |_, _| Ok("".into())),
    // Objects of these sorts do not exist, or have no text.
    nothing("pg_get_expr", 2..=3),
    nothing("pg_get_indexdef", 1..=3),
    nothing("pg_get_constraintdef", 1..=2),
    nothing("pg_get_ruledef", 1..=2),
    nothing("pg_get_triggerdef", 1..=2),
    nothing("pg_get_partkeydef", 1..=1),
    nothing("pg_get_partition_constraintdef", 1..=1),
    nothing("pg_get_serial_sequence", 2..=2),
    nothing("pg_get_statisticsobjdef", 1..=1),
    nothing("pg_get_statisticsobjdef_columns", 1..=1),
    nothing("pg_get_function_result", 1..=1),
    nothing("pg_get_function_arguments", 1..=1),
    nothing("pg_get_function_identity_arguments", 1..=1),
    nothing("pg_get_functiondef", 1..=1),
    nothing("pg_get_function_sqlbody", 1..=1),
    nothing("col_description", 2..=2),
    nothing("shobj_description", 2..=2),
];

const fn nothing(name: &'static str, takes: RangeInclusive<usize>) -> Function {
    called_on_null(name, takes, TEXT, |_, _| Ok(Value::Null))
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
    match view_definition(relation) {
        None if !relation.kind.is_view() => "Not a view".into(),
        definition => definition.into(),
    }
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
