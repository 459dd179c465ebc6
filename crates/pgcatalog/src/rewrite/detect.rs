//! Which queries are about the system.

use std::ops::ControlFlow;

use sqlparser::ast::{DataType, Expr, Function, ObjectName, Query, Visit, Visitor};

use super::build::{folded, parts};
use super::casts;
use crate::functions::is_system_function;
use crate::relations::{self, INFORMATION_SCHEMA, PG_CATALOG};

/// Whether a query names a system relation, function, type or operator, so that it needs [`crate::register`] and
/// [`crate::rewrite()`].
pub fn is_catalog_query(query: &Query) -> bool {
    query.visit(&mut Detector).is_break()
}

struct Detector;

impl Visitor for Detector {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts = parts(relation);
        let system = match parts.as_slice() {
            [name] => is_system_relation(name),
            [.., schema, _] => is_system_schema(schema),
            [] => false,
        };
        found(system)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        found(match expr {
            Expr::Function(function) => names_system_function(function),
            Expr::Identifier(ident) => {
                ident.quote_style.is_none() && is_session_word(&folded(ident))
            }
            Expr::Cast { data_type, .. } => is_system_type(data_type),
            Expr::TypedString(typed) => is_system_type(&typed.data_type),
            Expr::Collate { collation, .. } => parts(collation)
                .first()
                .is_some_and(|schema| schema == PG_CATALOG),
            _ => false,
        })
    }
}

fn found(system: bool) -> ControlFlow<()> {
    if system {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

pub(super) fn is_system_schema(name: &str) -> bool {
    name == PG_CATALOG || name == INFORMATION_SCHEMA
}

/// A name without schema that PostgreSQL finds in `pg_catalog`. Names that begin as system names do are reserved, also
/// those that clickmill does not have.
pub(super) fn is_system_relation(name: &str) -> bool {
    name.starts_with("pg_") || relations::find(PG_CATALOG, name).is_some()
}

fn names_system_function(function: &Function) -> bool {
    match parts(&function.name).as_slice() {
        [name] => is_system_function(name),
        [schema, _] => is_system_schema(schema),
        _ => false,
    }
}

/// A word that is a call without parentheses, and that the parser takes for a column.
pub(super) fn is_session_word(name: &str) -> bool {
    matches!(name, "current_schema" | "current_role")
}

fn is_system_type(data_type: &DataType) -> bool {
    match data_type {
        DataType::Custom(name, _) => {
            parts(name).first().is_some_and(|first| first == PG_CATALOG)
                || casts::system_type(data_type).is_some()
        }
        other => casts::system_type(other).is_some(),
    }
}
