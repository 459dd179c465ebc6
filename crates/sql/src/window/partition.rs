//! A SESSION without PARTITION BY is partitioned by the query's GROUP BY keys: done in the syntax tree.

use std::ops::ControlFlow;

use dataflow::{Error, Result, SqlState};
use plan::WindowColumn;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments,
    GroupByExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, TableFactor, Value,
    VisitMut, VisitorMut, visit_expressions_mut,
};

use super::call::{TABLE_MARKER, function_of, location, window_call};

/// Adds the GROUP BY keys as partition to every SESSION of `query` that has none.
pub fn partition_sessions(query: &mut Query) -> Result<()> {
    match query.visit(&mut Partitioner) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Partitioner;

impl VisitorMut for Partitioner {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        match visit_set(&mut query.body) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn visit_set(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) => partition_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            visit_set(left)?;
            visit_set(right)
        }
        _ => Ok(()),
    }
}

fn partition_select(select: &mut Select) -> Result<()> {
    let mut keys = None;
    let joined: usize = select.from.iter().map(|f| 1 + f.joins.len()).sum();
    for from in &mut select.from {
        let factors = std::iter::once(&mut from.relation)
            .chain(from.joins.iter_mut().map(|j| &mut j.relation));
        for factor in factors {
            if !needs_partition(factor)? {
                continue;
            }
            let keys = match &mut keys {
                Some(keys) => keys,
                none => none.insert(group_keys(&select.group_by, &select.projection)?),
            };
            if let TableFactor::Table {
                alias: Some(alias), ..
            } = factor
            {
                without_qualifier(keys, &alias.name);
            }
            if keys.is_empty() || joined > 1 {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "SESSION has no PARTITION BY and no GROUP BY key to use",
                )
                .at(function_of(factor).and_then(|(_, _, at)| at))
                .hint("write SESSION(relation PARTITION BY key, time_column, gap)"));
            }
            set_partition(factor, keys);
        }
    }
    Ok(())
}

/// The keys as the relation inside of the window function knows them.
fn without_qualifier(keys: &mut Vec<Expr>, alias: &Ident) {
    // The closure never breaks.
    let _: ControlFlow<()> = visit_expressions_mut(keys, |expr| {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [qualifier, name] = parts.as_slice()
            && qualifier.value.eq_ignore_ascii_case(&alias.value)
        {
            *expr = Expr::Identifier(name.clone());
        }
        ControlFlow::Continue(())
    });
}

fn needs_partition(factor: &TableFactor) -> Result<bool> {
    let is_session = function_of(factor).is_some_and(|(name, _, _)| name == "SESSION");
    Ok(is_session && window_call(factor)?.is_some_and(|call| call.partition.is_empty()))
}

/// The expressions of GROUP BY that are not window columns, with ordinals resolved.
fn group_keys(group_by: &GroupByExpr, projection: &[SelectItem]) -> Result<Vec<Expr>> {
    let GroupByExpr::Expressions(exprs, _) = group_by else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    for expr in exprs {
        let expr = resolve(expr, projection)?;
        if !is_window_column(&expr) {
            keys.push(expr);
        }
    }
    Ok(keys)
}

fn resolve(expr: &Expr, projection: &[SelectItem]) -> Result<Expr> {
    match expr {
        Expr::Value(value) => {
            let Value::Number(number, _) = &value.value else {
                return Ok(expr.clone());
            };
            let item = number
                .parse::<usize>()
                .ok()
                .and_then(|n| projection.get(n.checked_sub(1)?));
            match item {
                Some(
                    SelectItem::UnnamedExpr(inner) | SelectItem::ExprWithAlias { expr: inner, .. },
                ) => Ok(inner.clone()),
                _ => {
                    let message = format!("GROUP BY position {number} is not in select list");
                    Err(Error::new(SqlState("42P10"), message).at(location(expr)))
                }
            }
        }
        Expr::Identifier(name) => Ok(aliased(name, projection).unwrap_or_else(|| expr.clone())),
        _ => Ok(expr.clone()),
    }
}

/// The expression behind an alias of the select list.
fn aliased(name: &Ident, projection: &[SelectItem]) -> Option<Expr> {
    projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias }
            if alias.value == name.value && !matches!(expr, Expr::Function(_)) =>
        {
            Some(expr.clone())
        }
        _ => None,
    })
}

fn is_window_column(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(parts) => parts.last(),
        _ => None,
    };
    name.is_some_and(|n| {
        WindowColumn::ALL
            .map(WindowColumn::name)
            .iter()
            .chain([&WindowColumn::COMPLETE])
            .any(|name| name.eq_ignore_ascii_case(&n.value))
    })
}

fn set_partition(factor: &mut TableFactor, keys: &[Expr]) {
    let args = match factor {
        TableFactor::Table {
            args: Some(args), ..
        } => &mut args.args,
        TableFactor::TableFunction {
            expr: Expr::Function(call),
            ..
        } => match &mut call.args {
            FunctionArguments::List(list) => &mut list.args,
            _ => return,
        },
        TableFactor::Function { args, .. } => args,
        _ => return,
    };
    let data = args.iter_mut().enumerate().find_map(|(i, arg)| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if i == 0 => Some(expr),
        FunctionArg::Named {
            name,
            arg: FunctionArgExpr::Expr(expr),
            ..
        } if name.value.eq_ignore_ascii_case("data") => Some(expr),
        _ => None,
    });
    if let Some(expr) = data {
        let input = std::mem::replace(expr, Expr::Identifier(Ident::new("")));
        *expr = marker(input, keys);
    }
}

/// `__table(input, keys…)`, as the dialect makes of `TABLE input PARTITION BY keys`.
fn marker(input: Expr, keys: &[Expr]) -> Expr {
    let input = match input {
        Expr::Function(call) if call.name.to_string() == TABLE_MARKER => match call.args {
            FunctionArguments::List(mut list) if !list.args.is_empty() => {
                match list.args.swap_remove(0) {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) => inner,
                    _ => Expr::Identifier(Ident::new("")),
                }
            }
            _ => Expr::Identifier(Ident::new("")),
        },
        other => other,
    };
    let unnamed = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    let args = std::iter::once(input)
        .chain(keys.iter().cloned())
        .map(unnamed)
        .collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(TABLE_MARKER)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
