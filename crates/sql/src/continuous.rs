//! What a query that never ends cannot have, refused by name and place before it is planned.

use std::ops::ControlFlow;

use dataflow::{Error, Location, Result};
use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Query, Select, SetExpr, SetOperator, SetQuantifier, Spanned,
    Visit, Visitor,
};

/// Functions whose value depends on when they are asked.
const VOLATILE: &[&str] = &[
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "random",
    "uuid",
    "gen_random_uuid",
    "proctime",
];

/// Refuses what a continuous query cannot have.
pub fn check_continuous(query: &Query) -> Result<()> {
    match query.visit(&mut Checker) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Checker;

fn refuse(what: &str, at: &impl Spanned) -> ControlFlow<Error> {
    let start = at.span().start;
    let location = (start.line > 0).then_some(Location {
        line: start.line,
        column: start.column,
    });
    ControlFlow::Break(Error::unsupported(format!("{what} in a continuous query")).at(location))
}

fn hinted(flow: ControlFlow<Error>, hint: &str) -> ControlFlow<Error> {
    match flow {
        ControlFlow::Break(error) => ControlFlow::Break(error.hint(hint)),
        ControlFlow::Continue(()) => ControlFlow::Continue(()),
    }
}

impl Visitor for Checker {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        if let Some(order) = &query.order_by {
            return hinted(
                refuse("ORDER BY", order),
                "order the rows when you select from the view",
            );
        }
        if let Some(limit) = &query.limit_clause {
            let hint =
                "limit the rows when you select from the view, or use ROW_NUMBER() OVER (…) <= n";
            return hinted(refuse("LIMIT", limit), hint);
        }
        if query.with.as_ref().is_some_and(|w| w.recursive) {
            return refuse("WITH RECURSIVE", query);
        }
        check_body(&query.body)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Function(call) => {
                let name = call.name.to_string().to_ascii_lowercase();
                if VOLATILE.contains(&name.as_str()) {
                    let hint = if name == "proctime" {
                        "declare a column name AS PROCTIME() in CREATE SOURCE: the time at which a record is read"
                    } else {
                        "it would change without any new row; compare with the event time instead"
                    };
                    return hinted(refuse(&format!("{name}()"), expr), hint);
                }
                let ranks = name == "row_number";
                if call.over.is_some() && !ranks {
                    let hint = "only ROW_NUMBER() OVER (PARTITION BY window_start, window_end … ORDER BY …) <= n";
                    return hinted(
                        refuse(&format!("the window function {name}() OVER"), expr),
                        hint,
                    );
                }
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

fn check_body(body: &SetExpr) -> ControlFlow<Error> {
    match body {
        SetExpr::Select(select) => check_select(select),
        SetExpr::SetOperation {
            op,
            set_quantifier,
            left,
            right,
        } => {
            match (op, set_quantifier) {
                (SetOperator::Union, SetQuantifier::All) => {}
                (SetOperator::Union, _) => return hinted(refuse("UNION", body), "use UNION ALL"),
                (op, _) => return refuse(&op.to_string(), body),
            }
            check_body(left)?;
            check_body(right)
        }
        _ => ControlFlow::Continue(()),
    }
}

fn check_select(select: &Select) -> ControlFlow<Error> {
    if select.from.is_empty() {
        return refuse("SELECT without FROM", select);
    }
    if let Some(Distinct::On(_)) = &select.distinct {
        return hinted(
            refuse("DISTINCT ON", select),
            "use ROW_NUMBER() OVER (…) <= 1",
        );
    }
    if let GroupByExpr::All(_) = &select.group_by {
        return refuse("GROUP BY ALL", select);
    }
    if let GroupByExpr::Expressions(_, modifiers) = &select.group_by
        && !modifiers.is_empty()
    {
        return refuse("GROUP BY … WITH", select);
    }
    ControlFlow::Continue(())
}
