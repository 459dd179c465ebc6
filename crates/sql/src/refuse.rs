//! What a query may contain: whatever DataFusion would drop without a word, or clickmill does not have, is refused by
//! its name and place.
//!
//! Nodes are taken apart field by field, without `..`, so that a field that a later sqlparser adds must be judged here.

mod expression;
mod function;
mod relation;

use std::ops::ControlFlow;

use dataflow::{Error, Location, Result, SqlState};
use sqlparser::ast::{
    Cte, Expr, GroupByExpr, Ident, LimitClause, NamedWindowDefinition, NamedWindowExpr, ObjectName,
    OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, SetOperator,
    SetQuantifier, TableFactor, Visit, Visitor, WildcardAdditionalOptions, With,
};

use crate::location::{from_span, location_of};
use crate::name::is_reserved_text;

/// The condition behind statements that are too deep or too long: `statement_too_complex`.
const TOO_COMPLEX: SqlState = SqlState("54001");

/// How many relations one FROM may list: each is a level of the plan, and plans are walked by recursion.
const MAX_RELATIONS: usize = 100;

/// How many queries one WITH may name, for the same reason.
const MAX_NAMED_QUERIES: usize = 100;

/// How many queries may be nested in each other: each takes some 80 KiB of stack in DataFusion's planner.
const MAX_NESTED_QUERIES: usize = 20;

/// How many of them may be nested as expressions, `(SELECT …)` or `EXISTS (…)`: DataFusion's planner takes nearly twice
/// as long for each.
const MAX_NESTED_SUBQUERIES: usize = 10;

/// Refuses what clickmill does not do in a query, with `0A000`, a place, and where it helps a hint. What passes is
/// obeyed by DataFusion's planner or by clickmill's own (window functions over relations).
pub fn check_query(query: &Query) -> Result<()> {
    check(query)
}

/// As [`check_query`], for an expression that stands alone.
pub fn check_expr(expr: &Expr) -> Result<()> {
    check(expr)
}

fn check(node: &impl Visit) -> Result<()> {
    match node.visit(&mut Refuser {
        queries: Vec::new(),
        subqueries: 0,
        in_from: false,
    }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Walks a query; the places of the queries around the present node serve where a clause has no place of its own.
struct Refuser {
    queries: Vec<Option<Location>>,
    /// How many of them are expressions.
    subqueries: usize,
    /// The next expression is the call in `FROM TABLE(…)`.
    in_from: bool,
}

impl Refuser {
    fn place(&self, result: Result<()>) -> ControlFlow<Error> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                ControlFlow::Break(error.at(self.queries.iter().rev().find_map(|place| *place)))
            }
        }
    }
}

impl Visitor for Refuser {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        self.queries.push(location_of(query.body.as_ref()));
        if self.queries.len() > MAX_NESTED_QUERIES {
            return self.place(Err(too_deep()));
        }
        self.place(check_clauses(query))
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<Error> {
        self.queries.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        let at = from_span(select.select_token.0.span);
        self.place(check_select(select).map_err(|error| error.at(at)))
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Error> {
        self.place(check_name(name))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        self.in_from = matches!(factor, TableFactor::TableFunction { .. });
        self.place(relation::check_factor(factor).map_err(|error| error.at(location_of(factor))))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        if is_subquery(expr) {
            self.subqueries += 1;
            if self.subqueries > MAX_NESTED_SUBQUERIES {
                return self.place(Err(too_deep().at(location_of(expr))));
            }
        }
        let in_from = std::mem::take(&mut self.in_from);
        let checked = expression::check(expr).and_then(|()| match expr {
            Expr::Function(call) if !in_from => function::refuse_group_window(call),
            _ => Ok(()),
        });
        match checked {
            Ok(()) => ControlFlow::Continue(()),
            error => self.place(error.map_err(|error| error.at(location_of(expr)))),
        }
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        self.subqueries -= usize::from(is_subquery(expr));
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &sqlparser::ast::ValueWithSpan) -> ControlFlow<Error> {
        self.place(expression::check_value(value))
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. }
    )
}

fn too_deep() -> Error {
    Error::new(TOO_COMPLEX, "queries are nested too deeply")
        .hint("name inner queries by WITH, or make views of them")
}

fn unsupported(what: impl std::fmt::Display) -> Result<()> {
    Err(Error::unsupported(what))
}

/// Refuses a clause when it is there.
fn absent(there: bool, what: &str) -> Result<()> {
    if there { unsupported(what) } else { Ok(()) }
}

fn check_clauses(query: &Query) -> Result<()> {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    if let Some(with) = with {
        check_with(with)?;
    }
    check_body(body)?;
    if let Some(order_by) = order_by {
        check_order_by(order_by)?;
    }
    if let Some(limit) = limit_clause {
        check_limit(limit)?;
    }
    if let Some(fetch) = fetch {
        let at = fetch.quantity.as_ref().and_then(location_of);
        return Err(Error::unsupported("FETCH FIRST").hint("use LIMIT").at(at));
    }
    if let Some(lock) = locks.first() {
        let at = lock.of.as_ref().and_then(location_of);
        let hint = "readers see one version of everything; nothing needs a lock";
        return Err(Error::unsupported(format!("FOR {}", lock.lock_type))
            .hint(hint)
            .at(at));
    }
    absent(for_clause.is_some(), "FOR XML and FOR JSON")?;
    absent(settings.is_some(), "SETTINGS")?;
    absent(format_clause.is_some(), "FORMAT")?;
    absent(!pipe_operators.is_empty(), "pipe syntax (|>)")
}

fn check_with(with: &With) -> Result<()> {
    let With {
        with_token,
        recursive: _,
        cte_tables,
    } = with;
    if cte_tables.len() > MAX_NAMED_QUERIES {
        let message = format!("WITH names more than {MAX_NAMED_QUERIES} queries");
        return Err(Error::new(TOO_COMPLEX, message).at(from_span(with_token.0.span)));
    }
    for cte in cte_tables {
        let Cte {
            alias,
            query: _,
            from,
            materialized,
            closing_paren_token: _,
        } = cte;
        relation::check_alias(Some(alias))?;
        let at = from_span(alias.name.span);
        absent(materialized.is_some(), "[NOT] MATERIALIZED in WITH")
            .map_err(|error| error.at(at))?;
        absent(from.is_some(), "FROM behind a query of WITH").map_err(|error| error.at(at))?;
    }
    Ok(())
}

/// The set operations of a query. The left side is followed in a loop: it is as deep as the chain is long.
fn check_body(body: &SetExpr) -> Result<()> {
    let mut body = body;
    while let SetExpr::SetOperation {
        left,
        op,
        set_quantifier,
        right,
    } = body
    {
        check_set_operation(*op, *set_quantifier)
            .map_err(|error| error.at(location_of(right.as_ref())))?;
        check_body(right)?;
        body = left;
    }
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } => Ok(()),
        SetExpr::Values(values) => {
            absent(values.value_keyword, "VALUE")?;
            absent(values.explicit_row, "ROW in VALUES")
        }
        SetExpr::Table(_) => unsupported("TABLE here"),
        SetExpr::Insert(_) => unsupported("INSERT as a query"),
        SetExpr::Update(_) => unsupported("UPDATE as a query"),
        SetExpr::Delete(_) => unsupported("DELETE as a query"),
        SetExpr::Merge(_) => unsupported("MERGE as a query"),
    }
}

fn check_set_operation(op: SetOperator, quantifier: SetQuantifier) -> Result<()> {
    let by_name = matches!(
        quantifier,
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
    );
    match op {
        SetOperator::Minus => Err(Error::unsupported("MINUS").hint("use EXCEPT")),
        SetOperator::Except | SetOperator::Intersect if by_name => {
            unsupported(format!("{op} BY NAME"))
        }
        SetOperator::Union | SetOperator::Except | SetOperator::Intersect => Ok(()),
    }
}

fn check_order_by(order_by: &OrderBy) -> Result<()> {
    let OrderBy { kind, interpolate } = order_by;
    absent(interpolate.is_some(), "INTERPOLATE")?;
    match kind {
        OrderByKind::All(_) => unsupported("ORDER BY ALL"),
        OrderByKind::Expressions(items) => check_order(items),
    }
}

/// The items of an ORDER BY, in a query or in a call.
fn check_order(items: &[OrderByExpr]) -> Result<()> {
    for OrderByExpr {
        expr,
        options: _,
        with_fill,
    } in items
    {
        absent(with_fill.is_some(), "WITH FILL").map_err(|error| error.at(location_of(expr)))?;
        function::refuse_named_windows(expr)?;
    }
    Ok(())
}

fn check_limit(limit: &LimitClause) -> Result<()> {
    match limit {
        LimitClause::LimitOffset {
            limit: _,
            offset: _,
            limit_by,
        } => absent(!limit_by.is_empty(), "LIMIT … BY")
            .map_err(|error| error.at(limit_by.first().and_then(location_of))),
        LimitClause::OffsetCommaLimit { offset: _, limit } => {
            Err(Error::unsupported("LIMIT with a comma")
                .hint("use LIMIT … OFFSET …")
                .at(location_of(limit)))
        }
    }
}

fn check_select(select: &Select) -> Result<()> {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection,
        exclude,
        into,
        from,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having,
        named_window,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    absent(!optimizer_hints.is_empty(), "a hint in a comment")?;
    absent(select_modifiers.is_some(), "a modifier behind SELECT")?;
    absent(top.is_some(), "TOP").map_err(|error| error.hint("use LIMIT"))?;
    absent(exclude.is_some(), "EXCLUDE behind the select list")?;
    if let Some(into) = into {
        return Err(Error::unsupported("SELECT INTO")
            .hint("use CREATE MATERIALIZED VIEW")
            .at(location_of(&into.name)));
    }
    let at = lateral_views
        .first()
        .and_then(|view| location_of(&view.lateral_view));
    absent(!lateral_views.is_empty(), "LATERAL VIEW").map_err(|error| error.at(at))?;
    absent(prewhere.is_some(), "PREWHERE")?;
    absent(!connect_by.is_empty(), "CONNECT BY")?;
    for (items, clause) in [(cluster_by, "CLUSTER BY"), (distribute_by, "DISTRIBUTE BY")] {
        absent(!items.is_empty(), clause)
            .map_err(|error| error.at(items.first().and_then(location_of)))?;
    }
    let at = sort_by.first().and_then(|item| location_of(&item.expr));
    absent(!sort_by.is_empty(), "SORT BY").map_err(|error| error.hint("use ORDER BY").at(at))?;
    absent(
        value_table_mode.is_some(),
        "SELECT AS VALUE and SELECT AS STRUCT",
    )?;
    absent(
        *flavor != sqlparser::ast::SelectFlavor::Standard,
        "FROM before SELECT",
    )?;
    check_group_by(group_by)?;
    relation::check_from(from)?;
    projection.iter().try_for_each(check_item)?;
    named_window.iter().try_for_each(check_named_window)?;
    if let Some(sqlparser::ast::Distinct::On(exprs)) = distinct {
        exprs.iter().try_for_each(function::refuse_named_windows)?;
    }
    having
        .iter()
        .chain(qualify)
        .try_for_each(function::refuse_named_windows)
}

fn check_group_by(group_by: &GroupByExpr) -> Result<()> {
    let modifiers = match group_by {
        GroupByExpr::All(modifiers) => modifiers,
        GroupByExpr::Expressions(exprs, modifiers) => {
            let at = exprs.first().and_then(location_of);
            let result = absent(
                !modifiers.is_empty(),
                "GROUP BY … WITH or with sets behind it",
            );
            return result.map_err(|error| {
                error
                    .hint("use GROUP BY ROLLUP (…), CUBE (…) or GROUPING SETS (…)")
                    .at(at)
            });
        }
    };
    absent(!modifiers.is_empty(), "GROUP BY ALL WITH")
}

fn check_item(item: &SelectItem) -> Result<()> {
    match item {
        SelectItem::UnnamedExpr(_) => Ok(()),
        SelectItem::ExprWithAlias { expr: _, alias } => check_ident(alias),
        SelectItem::ExprWithAliases { expr, aliases: _ } => {
            Err(Error::unsupported("more than one alias for an expression").at(location_of(expr)))
        }
        SelectItem::QualifiedWildcard(_, options) | SelectItem::Wildcard(options) => {
            check_wildcard(options)
        }
    }
}

fn check_wildcard(options: &WildcardAdditionalOptions) -> Result<()> {
    let WildcardAdditionalOptions {
        wildcard_token,
        opt_ilike: _,
        opt_exclude: _,
        opt_except: _,
        opt_replace: _,
        opt_rename,
        opt_alias,
    } = options;
    let at = from_span(wildcard_token.0.span);
    absent(opt_rename.is_some(), "* RENAME").map_err(|error| error.at(at))?;
    absent(opt_alias.is_some(), "* AS alias").map_err(|error| error.at(at))
}

fn check_named_window(definition: &NamedWindowDefinition) -> Result<()> {
    let NamedWindowDefinition(name, window) = definition;
    check_ident(name)?;
    match window {
        NamedWindowExpr::NamedWindow(other) => {
            Err(Error::unsupported("WINDOW name AS another name").at(from_span(other.span)))
        }
        NamedWindowExpr::WindowSpec(spec) => function::check_window(spec),
    }
}

/// An identifier in single quotes, which sqlparser takes where SQL has none.
fn check_ident(ident: &Ident) -> Result<()> {
    if ident.quote_style != Some('\'') {
        return Ok(());
    }
    let message = format!("syntax error at or near \"'{}'\"", ident.value);
    Err(Error::new(SqlState::SYNTAX_ERROR, message)
        .hint("names are quoted with \"double quotes\"")
        .at(from_span(ident.span)))
}

/// An identifier that begins a name: unquoted, it is none of PostgreSQL's reserved words.
fn check_start(ident: &Ident) -> Result<()> {
    check_ident(ident)?;
    if ident.quote_style.is_some() || !is_reserved_text(&ident.value) {
        return Ok(());
    }
    let message = format!("syntax error at or near \"{}\"", ident.value);
    Err(Error::new(SqlState::SYNTAX_ERROR, message)
        .detail(format!(
            "{} is a reserved word",
            ident.value.to_ascii_lowercase()
        ))
        .at(from_span(ident.span)))
}

fn check_name(name: &ObjectName) -> Result<()> {
    let ObjectName(parts) = name;
    for (at, part) in parts.iter().enumerate() {
        match part.as_ident() {
            Some(ident) if at == 0 => check_start(ident)?,
            Some(ident) => check_ident(ident)?,
            None => return unsupported("a function as a name"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
