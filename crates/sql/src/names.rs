//! Names out of a query's text: of its result columns, as PostgreSQL names them, and of the relations it reads.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::Schema;
use sqlparser::ast::{
    Expr, Ident, ObjectName, Query, SelectItem, SetExpr, TableFactor, Visit, Visitor,
};

use crate::window::call::{Input, window_call};

/// Names of the result columns. `planned` is the plan's schema: it names the columns of `*`.
pub fn output_names(query: &Query, planned: &Schema) -> Vec<String> {
    let fields = planned.fields();
    let plain = || fields.iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let Some(items) = projection(&query.body) else {
        return plain();
    };
    let stars = items.iter().filter(|i| star(i)).count();
    let starred = match stars {
        0 if items.len() == fields.len() => 0,
        1 if fields.len() + 1 >= items.len() => fields.len() + 1 - items.len(),
        _ => return plain(),
    };
    let mut names = Vec::with_capacity(fields.len());
    for item in items {
        if star(item) {
            let from = names.len();
            names.extend(
                fields[from..from + starred]
                    .iter()
                    .map(|f| f.name().clone()),
            );
        } else {
            names.push(name_of(item));
        }
    }
    names
}

fn projection(body: &SetExpr) -> Option<&[SelectItem]> {
    match body {
        SetExpr::Select(select) => Some(&select.projection),
        SetExpr::SetOperation { left, .. } => projection(left),
        SetExpr::Query(query) => projection(&query.body),
        _ => None,
    }
}

fn star(item: &SelectItem) -> bool {
    matches!(
        item,
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
    )
}

fn name_of(item: &SelectItem) -> String {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => folded(alias),
        SelectItem::UnnamedExpr(expr) => expr_name(expr).unwrap_or_else(|| "?column?".to_owned()),
        _ => "?column?".to_owned(),
    }
}

/// PostgreSQL's FigureColname, for the expressions that clickmill has.
fn expr_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(folded(name)),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded),
        Expr::Function(call) => call.name.0.last().and_then(|p| p.as_ident()).map(folded),
        Expr::Cast {
            expr, data_type, ..
        } => expr_name(expr).or_else(|| Some(type_name(data_type))),
        Expr::Nested(inner) => expr_name(inner),
        Expr::Case { .. } => Some("case".to_owned()),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Exists { .. } => Some("exists".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        _ => None,
    }
}

/// A type without its modifiers: `numeric(10,2)` is `numeric`.
fn type_name(data_type: &sqlparser::ast::DataType) -> String {
    let text = data_type.to_string().to_ascii_lowercase();
    text.split('(').next().unwrap_or_default().trim().to_owned()
}

fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() {
        name.value.clone()
    } else {
        name.value.to_lowercase()
    }
}

/// Names of all relations that the query mentions (without schema or in `public`), each once, without those of WITH.
pub fn relation_names(query: &Query) -> Vec<String> {
    let mut collector = Collector::default();
    let _ = query.visit(&mut collector);
    let Collector {
        mut names, ctes, ..
    } = collector;
    names.retain(|n| !ctes.contains(n));
    names
}

/// Whether the query mentions a relation of `schema`.
pub fn mentions_schema(query: &Query, schema: &str) -> bool {
    let mut collector = Collector::default();
    let _ = query.visit(&mut collector);
    collector.schemas.iter().any(|s| s == schema)
}

/// Whether the query names a column `name`, unquoted or as it is.
pub fn mentions_column(query: &Query, name: &str) -> bool {
    let found = sqlparser::ast::visit_expressions(query, |expr| {
        let column = match expr {
            Expr::Identifier(column) => Some(column),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        if column.is_some_and(|column| folded(column) == name) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found.is_break()
}

#[derive(Default)]
struct Collector {
    names: Vec<String>,
    schemas: Vec<String>,
    ctes: Vec<String>,
}

impl Collector {
    fn add(&mut self, name: &ObjectName) {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|p| p.as_ident())
            .map(folded)
            .collect();
        match parts.as_slice() {
            [name] => self.push(name),
            [schema, name] if schema == "public" => self.push(name),
            [.., schema, _] => self.schemas.push(schema.clone()),
            [] => {}
        }
    }

    fn push(&mut self, name: &str) {
        if !self.names.iter().any(|n| n == name) {
            self.names.push(name.to_owned());
        }
    }
}

impl Visitor for Collector {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.ctes
                .extend(with.cte_tables.iter().map(|c| folded(&c.alias.name)));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match window_call(factor) {
            Ok(Some(call)) => {
                if let Input::Named(name) = &call.input {
                    self.add(name);
                }
            }
            _ => {
                if let TableFactor::Table {
                    name, args: None, ..
                } = factor
                {
                    self.add(name);
                }
            }
        }
        ControlFlow::Continue(())
    }
}
