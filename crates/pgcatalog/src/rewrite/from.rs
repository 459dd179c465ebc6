//! Relations and functions in `FROM`.

use std::collections::{HashMap, HashSet};

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Select, TableAlias,
    TableAliasColumnDef, TableFactor,
};

use super::build::{call, folded, number, parts, text};
use super::detect::is_system_relation;
use crate::functions::{KEYWORD_COLUMNS, KEYWORDS, OPTION_NAMES, OPTION_VALUES, RegKind};
use crate::relations::{self, PG_CATALOG};

pub(super) fn rewrite(factor: &mut TableFactor, ctes: &HashSet<String>) {
    match factor {
        TableFactor::Table {
            name, args: None, ..
        } => qualify(name, ctes),
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            ..
        } => {
            let called = Called {
                name: function_name(name),
                args: expressions(&args.args),
                alias: alias.clone(),
            };
            replace(factor, called);
        }
        TableFactor::Function {
            name, args, alias, ..
        } => {
            let called = Called {
                name: function_name(name),
                args: expressions(args),
                alias: alias.clone(),
            };
            replace(factor, called);
        }
        TableFactor::UNNEST { alias, .. } => {
            *alias = Some(named_columns(alias.take(), "unnest", &["unnest"]))
        }
        _ => {}
    }
}

/// The names of the system relations in a `FROM`, and their oids.
pub(super) type Scope = HashMap<String, u32>;

pub(super) fn scope(select: &Select) -> Scope {
    let mut scope = Scope::new();
    for table in &select.from {
        let joined = table.joins.iter().map(|join| &join.relation);
        for factor in std::iter::once(&table.relation).chain(joined) {
            let TableFactor::Table { name, alias, .. } = factor else {
                continue;
            };
            let relation = match parts(name).as_slice() {
                [name] => relations::find(PG_CATALOG, name),
                [schema, name] => relations::find(schema, name),
                _ => None,
            };
            if let Some(relation) = relation {
                let alias = alias.as_ref().map(|alias| folded(&alias.name));
                scope.insert(
                    alias.unwrap_or_else(|| relation.name.to_owned()),
                    relation.oid,
                );
            }
        }
    }
    scope
}

/// `alias.tableoid`, a column that every relation of PostgreSQL has, as the number that it is.
pub(super) fn table_oid(expr: &Expr, scopes: &[Scope]) -> Option<Expr> {
    let Expr::CompoundIdentifier(idents) = expr else {
        return None;
    };
    let [.., relation, column] = idents.as_slice() else {
        return None;
    };
    if folded(column) != "tableoid" {
        return None;
    }
    let oid = scopes
        .iter()
        .rev()
        .find_map(|scope| scope.get(&folded(relation)))?;
    Some(call(
        RegKind::Class.oid_function(),
        vec![number(oid.to_string())],
    ))
}

struct Called {
    name: Option<String>,
    args: Option<Vec<Expr>>,
    alias: Option<TableAlias>,
}

/// `pg_class` is `pg_catalog.pg_class`, unless a common table expression has that name.
fn qualify(name: &mut ObjectName, ctes: &HashSet<String>) {
    if let [own] = parts(name).as_slice()
        && is_system_relation(own)
        && !ctes.contains(own)
    {
        name.0
            .insert(0, ObjectNamePart::Identifier(Ident::new(PG_CATALOG)));
    }
}

fn function_name(name: &ObjectName) -> Option<String> {
    match parts(name).as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == PG_CATALOG => Some(name.clone()),
        _ => None,
    }
}

fn expressions(args: &[FunctionArg]) -> Option<Vec<Expr>> {
    let plain = args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    plain.collect()
}

/// Functions that give sets become `UNNEST` of functions that give arrays.
fn replace(factor: &mut TableFactor, called: Called) {
    let (Some(name), Some(args)) = (called.name, called.args) else {
        return;
    };
    let (arrays, columns): (Vec<Expr>, &[&str]) = match name.as_str() {
        "unnest" => (args, &["unnest"]),
        "generate_series" => (vec![call("generate_series", args)], &["generate_series"]),
        "pg_options_to_table" => {
            let arrays = vec![call(OPTION_NAMES, args.clone()), call(OPTION_VALUES, args)];
            (arrays, &["option_name", "option_value"])
        }
        "pg_get_keywords" => {
            let part = |name: &&str| call(KEYWORDS, vec![text(*name)]);
            (KEYWORD_COLUMNS.iter().map(part).collect(), KEYWORD_COLUMNS)
        }
        // Other functions that give one value are relations of one row.
        _ => return,
    };
    *factor = TableFactor::UNNEST {
        alias: Some(named_columns(called.alias, &name, columns)),
        array_exprs: arrays,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    };
}

/// The names that the columns of a function get: those of the alias, or those of the function, or, where there is only one
/// column, the name of the alias itself.
fn named_columns(alias: Option<TableAlias>, function: &str, columns: &[&str]) -> TableAlias {
    let named = alias.is_some();
    let mut alias = alias.unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::new(function),
        columns: Vec::new(),
        at: None,
    });
    if alias.columns.is_empty() {
        let names: Vec<Ident> = match columns {
            [_] if named => vec![alias.name.clone()],
            columns => columns.iter().map(|column| Ident::new(*column)).collect(),
        };
        alias.columns = names
            .into_iter()
            .map(|name| TableAliasColumnDef {
                name,
                data_type: None,
            })
            .collect();
    }
    alias
}
