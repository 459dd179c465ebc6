//! Turns queries as Postgres clients write them into queries that DataFusion plans.
//!
//! The rewriter walks the syntax tree once. On its way down it replaces what depends on its surroundings (casts to `regclass`
//! and its like, array literals, `ARRAY(SELECT …)`), and names the columns of every `SELECT` as PostgreSQL names them.

mod build;
mod casts;
mod detect;
mod exprs;
mod from;
pub(crate) mod names;

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, Select, TableFactor, VisitMut, VisitorMut};

pub use detect::is_catalog_query;

/// Rewrites a query that names a system relation, function, type or operator; any other query stays as it is.
///
/// The result columns get the names that PostgreSQL gives them, made unique by a suffix that [`crate::shown_name`] takes off.
pub fn rewrite(query: &mut Query) {
    if is_catalog_query(query) {
        // The visitor never breaks.
        let _ = query.visit(&mut Rewriter::default());
    }
}

#[derive(Default)]
struct Rewriter {
    /// Names of common table expressions: they hide system relations.
    ctes: HashSet<String>,
    /// The system relations of each `SELECT` around an expression, outermost first.
    scopes: Vec<from::Scope>,
}

impl VisitorMut for Rewriter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.ctes.extend(
                with.cte_tables
                    .iter()
                    .map(|cte| cte.alias.name.value.to_lowercase()),
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        names::name_columns(select);
        self.scopes.push(from::scope(select));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        from::rewrite(factor, &self.ctes);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(oid) = from::table_oid(expr, &self.scopes) {
            *expr = oid;
        }
        exprs::rewrite(expr);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
