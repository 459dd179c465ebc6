//! Flink's older form of windows, `GROUP BY TUMBLE(ts, size)` with `TUMBLE_START(ts, size)`, becomes the form in FROM: done in
//! the syntax tree.

use std::ops::ControlFlow;

use dataflow::{Error, Result, SqlState};
use plan::WindowColumn;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    ObjectName, OrderByKind, Query, Select, SetExpr, TableAlias, TableFactor, TableFunctionArgs,
    VisitMut, VisitorMut, visit_expressions_mut,
};

use super::call::{location, table_factor};

/// The window functions, and what their auxiliary functions stand for.
const WINDOWS: [&str; 4] = ["TUMBLE", "HOP", "SESSION", "CUMULATE"];
const AUXILIARIES: [(&str, WindowColumn); 3] = [
    ("_START", WindowColumn::Start),
    ("_END", WindowColumn::End),
    ("_ROWTIME", WindowColumn::Time),
];

/// Moves the windows of every GROUP BY in `query` into FROM.
pub fn move_windows(query: &mut Query) -> Result<()> {
    match query.visit(&mut Mover) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Mover;

impl VisitorMut for Mover {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let moved = match query.body.as_mut() {
            SetExpr::Select(select) => move_window(select).map(|window| {
                if let (Some(window), Some(order)) = (window, &mut query.order_by)
                    && let OrderByKind::Expressions(items) = &mut order.kind
                {
                    window.replace_in(items);
                }
            }),
            body => move_all(body),
        };
        match moved {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}

fn move_all(body: &mut SetExpr) -> Result<()> {
    match body {
        SetExpr::Select(select) => move_window(select).map(drop),
        SetExpr::SetOperation { left, right, .. } => {
            move_all(left)?;
            move_all(right)
        }
        _ => Ok(()),
    }
}

/// A window function in GROUP BY.
struct GroupWindow {
    function: &'static str,
    /// Its arguments as text: those of the auxiliary functions must be the same.
    written: String,
    args: Vec<FunctionArg>,
}

impl GroupWindow {
    /// The window that an expression of GROUP BY is.
    fn read(expr: &Expr) -> Option<Self> {
        let Expr::Function(call) = expr else {
            return None;
        };
        let name = call.name.to_string().to_ascii_uppercase();
        let function = WINDOWS.into_iter().find(|window| *window == name)?;
        let args = arguments(call)?;
        Some(Self {
            function,
            written: written(args),
            args: args.to_vec(),
        })
    }

    /// The column that an auxiliary function of this window stands for.
    fn column_of(&self, call: &Function) -> Option<WindowColumn> {
        let name = call.name.to_string().to_ascii_uppercase();
        let suffix = name.strip_prefix(self.function)?;
        let (_, column) = AUXILIARIES.iter().find(|(text, _)| *text == suffix)?;
        (written(arguments(call)?) == self.written).then_some(*column)
    }

    /// Replaces the auxiliary functions by columns.
    fn replace_in(&self, node: &mut impl VisitMut) {
        // The closure never breaks.
        let _: ControlFlow<()> = visit_expressions_mut(node, |expr| {
            if let Expr::Function(call) = expr
                && let Some(column) = self.column_of(call)
            {
                *expr = column_expr(column);
            }
            ControlFlow::Continue(())
        });
    }

    /// `FUNCTION(input, args…) AS alias`.
    fn over(self, input: TableFactor) -> Option<TableFactor> {
        let (input, alias) = match input {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let parts: Vec<Ident> = name
                    .0
                    .iter()
                    .filter_map(|p| p.as_ident().cloned())
                    .collect();
                let own = parts.last().cloned().map(named);
                (Expr::CompoundIdentifier(parts), alias.or(own))
            }
            TableFactor::Derived {
                lateral: false,
                subquery,
                alias,
                ..
            } => (Expr::Subquery(subquery), alias),
            _ => return None,
        };
        let input = FunctionArg::Unnamed(FunctionArgExpr::Expr(input));
        let args = TableFunctionArgs {
            args: std::iter::once(input).chain(self.args).collect(),
            settings: None,
        };
        let name = ObjectName::from(vec![Ident::new(self.function)]);
        Some(table_factor(name, Some(args), alias))
    }
}

fn named(name: Ident) -> TableAlias {
    TableAlias {
        explicit: true,
        name,
        columns: Vec::new(),
        at: None,
    }
}

fn arguments(call: &Function) -> Option<&[FunctionArg]> {
    match &call.args {
        FunctionArguments::List(list) => Some(&list.args),
        _ => None,
    }
}

fn written(args: &[FunctionArg]) -> String {
    let texts: Vec<String> = args.iter().map(ToString::to_string).collect();
    texts.join(", ").to_ascii_lowercase()
}

fn column_expr(column: WindowColumn) -> Expr {
    Expr::Identifier(Ident::new(column.name()))
}

/// Moves the window of a SELECT, if its GROUP BY has one, and gives what ORDER BY needs to know.
fn move_window(select: &mut Select) -> Result<Option<GroupWindow>> {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else {
        return Ok(None);
    };
    let Some(at) = keys.iter().position(|key| GroupWindow::read(key).is_some()) else {
        return Ok(None);
    };
    let place = location(&keys[at]);
    let Some(window) = GroupWindow::read(&keys[at]) else {
        return Ok(None);
    };
    if keys[at + 1..]
        .iter()
        .any(|key| GroupWindow::read(key).is_some())
    {
        return Err(Error::unsupported("two windows in one GROUP BY").at(place));
    }
    let alone = matches!(select.from.as_slice(), [from] if from.joins.is_empty());
    let input = if alone { select.from.pop() } else { None };
    let joined = || {
        let message = format!(
            "{}() in GROUP BY over anything but one relation",
            window.function
        );
        Error::unsupported(message).at(place).hint(
            "put the window in FROM: FROM TUMBLE((SELECT … FROM a JOIN b …), time_column, size)",
        )
    };
    let Some(mut from) = input else {
        return Err(joined());
    };
    let kept = GroupWindow {
        args: Vec::new(),
        written: window.written.clone(),
        function: window.function,
    };
    if window.args.is_empty() {
        let message = format!(
            "{}() in GROUP BY needs a time column and lengths",
            window.function
        );
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(place));
    }
    let refused = joined();
    from.relation = window.over(from.relation).ok_or(refused)?;
    select.from.push(from);
    keys.splice(at..=at, WindowColumn::ALL.map(column_expr));
    kept.replace_in(&mut select.projection);
    if let Some(having) = &mut select.having {
        kept.replace_in(having);
    }
    Ok(Some(kept))
}
