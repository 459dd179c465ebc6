//! Expressions.

use sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, GroupByExpr, OrderByExpr, OrderByKind, Query,
    Select, SelectItem, SetExpr, Value, ValueWithSpan,
};

use super::build::{call, folded, literal, null, number, object_name, parts, take, text};
use super::casts;
use super::detect::is_session_word;
use crate::functions::{ARRAY_OR_EMPTY, ARRAY_TEXT, is_system_function};
use crate::relations::{INFORMATION_SCHEMA, PG_CATALOG};
use crate::value::{self, elements};

/// Rewrites one expression; its operands come later.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Cast { .. } | Expr::TypedString(_) => casts::rewrite_cast(expr),
        Expr::Identifier(ident)
            if ident.quote_style.is_none() && is_session_word(&folded(ident)) =>
        {
            *expr = call(&folded(ident), Vec::new());
        }
        Expr::Collate { expr: inner, .. } => {
            // Every collation of the system sorts as code points do.
            *expr = take(inner);
            rewrite(expr);
        }
        Expr::BinaryOp { left, op, right } => {
            plain_operator(op);
            if is_comparison(op) {
                casts::compare_as_oid(left);
                casts::compare_as_oid(right);
                compare_array_literal(left, right);
                compare_array_literal(right, left);
            }
        }
        Expr::InList {
            expr: left, list, ..
        } => {
            casts::compare_as_oid(left);
            list.iter_mut().for_each(casts::compare_as_oid);
        }
        Expr::AnyOp {
            left,
            compare_op,
            right,
            ..
        }
        | Expr::AllOp {
            left,
            compare_op,
            right,
        } => {
            plain_operator(compare_op);
            casts::compare_as_oid(left);
            if let Some(array) = literal(right).and_then(|text| array_of(text, None)) {
                **right = array;
            }
        }
        Expr::Like {
            pattern,
            escape_char,
            ..
        }
        | Expr::ILike {
            pattern,
            escape_char,
            ..
        } => {
            backslash_escape(pattern, escape_char);
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            if let [AccessExpr::Dot(Expr::Identifier(field))] = access_chain.as_slice() {
                let field = text(folded(field));
                *expr = call("get_field", vec![take(root), field]);
            }
        }
        Expr::Function(_) => rewrite_function(expr),
        _ => {}
    }
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn plain_operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else {
        return;
    };
    let Some(symbol) = parts.last() else {
        return;
    };
    *op = match symbol.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "||" => BinaryOperator::StringConcat,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        _ => return,
    };
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// `array = '{0}'` compares the text of the array.
fn compare_array_literal(left: &mut Expr, right: &Expr) {
    let is_array = literal(right).is_some_and(|text| text.starts_with('{') && text.ends_with('}'));
    if is_array && literal(left).is_none() {
        *left = call(ARRAY_TEXT, vec![take(left)]);
    }
}

/// `'{a,b}'` as `ARRAY['a', 'b']`, with numbers where the element's type has them.
pub(super) fn array_of(text_form: &str, element: Option<&DataType>) -> Option<Expr> {
    if !(text_form.starts_with('{') && text_form.ends_with('}')) {
        return None;
    }
    let element = element.map(|element| {
        let mut element = element.clone();
        casts::rewrite_type(&mut element);
        element
    });
    let is_text = matches!(element, None | Some(DataType::Text));
    let item = |item: value::Value| match item {
        value::Value::Null => null(),
        item if is_text => text(item.print()),
        item => number(item.print()),
    };
    let elem = elements(text_form).into_iter().map(item).collect();
    Some(Expr::Array(Array { elem, named: true }))
}

/// DataFusion knows the backslash only: `LIKE 'a/_%' ESCAPE '/'` becomes `LIKE 'a\_%'`.
fn backslash_escape(pattern: &mut Expr, escape: &mut Option<ValueWithSpan>) {
    let Some(Value::SingleQuotedString(escape_text)) = escape.as_ref().map(|escape| &escape.value)
    else {
        return;
    };
    let (Some(constant), Some(escape_char)) = (constant_text(pattern), escape_text.chars().next())
    else {
        return;
    };
    let mut escaped = String::new();
    let mut chars = constant.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == escape_char => {
                escaped.push('\\');
                escaped.extend(chars.next());
            }
            '\\' => escaped.push_str("\\\\"),
            c => escaped.push(c),
        }
    }
    *pattern = text(escaped);
    *escape = None;
}

/// The text of literals put together by `||`.
fn constant_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::StringConcat,
            right,
        } => Some(constant_text(left)? + &constant_text(right)?),
        expr => literal(expr).map(str::to_owned),
    }
}

fn rewrite_function(expr: &mut Expr) {
    let Expr::Function(function) = expr else {
        return;
    };
    let parts = parts(&function.name);
    let name = match parts.as_slice() {
        [name] => name.clone(),
        [schema, name] if schema == PG_CATALOG || schema == INFORMATION_SCHEMA => {
            function.name = object_name(&[name]);
            name.clone()
        }
        _ => return,
    };
    if is_system_function(&name) && name != "format" {
        // The parameters of system functions are of type oid, not text.
        each_argument(function, casts::compare_as_oid);
    }
    match name.as_str() {
        "_pg_expandarray" => {
            if let Some([array]) = plain_arguments(function) {
                let place = subscripts(array.clone(), number("1"));
                let value = call("unnest", vec![array]);
                *expr = call("named_struct", vec![text("x"), value, text("n"), place]);
            }
        }
        "array" => {
            if let FunctionArguments::Subquery(query) = &function.args {
                *expr = call(
                    ARRAY_OR_EMPTY,
                    vec![Expr::Subquery(Box::new(aggregated((**query).clone())))],
                );
            }
        }
        "generate_subscripts" => {
            if let Some([array, dimension]) = plain_arguments(function) {
                *expr = subscripts(array, dimension);
            }
        }
        "current_user" | "session_user" | "current_catalog" | "user"
            if function.args == FunctionArguments::None =>
        {
            *expr = call(&name, Vec::new());
        }
        _ => {}
    }
}

/// A row for each subscript of an array.
fn subscripts(array: Expr, dimension: Expr) -> Expr {
    let upper = call("array_upper", vec![array, dimension]);
    call(
        "unnest",
        vec![call("generate_series", vec![number("1"), upper])],
    )
}

fn each_argument(function: &mut Function, change: fn(&mut Expr)) {
    if let FunctionArguments::List(list) = &mut function.args {
        for arg in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                change(expr);
            }
        }
    }
}

fn plain_arguments<const N: usize>(function: &Function) -> Option<[Expr; N]> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let plain = list.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    plain.collect::<Option<Vec<_>>>()?.try_into().ok()
}

/// `SELECT x FROM … ORDER BY …` as `SELECT array_agg(x ORDER BY …) FROM …`.
fn aggregated(mut query: Query) -> Query {
    let simple = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let order = order_of(&query);
    if let SetExpr::Select(select) = query.body.as_mut()
        && simple
        && is_plain(select)
        && let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] =
            select.projection.as_mut_slice()
    {
        let item = item.clone();
        let by_item = |mut order: OrderByExpr| {
            if is_first_column(&order.expr) {
                order.expr = item.clone();
            }
            order
        };
        let order = order.into_iter().map(by_item).collect();
        select.projection = vec![SelectItem::UnnamedExpr(array_agg(item, order))];
        query.order_by = None;
    }
    query
}

fn order_of(query: &Query) -> Vec<OrderByExpr> {
    match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(order)) => order.clone(),
        _ => Vec::new(),
    }
}

fn is_plain(select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(exprs, _) => !exprs.is_empty(),
        GroupByExpr::All(_) => true,
    };
    select.distinct.is_none() && select.having.is_none() && !grouped
}

fn is_first_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::Number(number, _) if number == "1"))
}

fn array_agg(item: Expr, order: Vec<OrderByExpr>) -> Expr {
    let mut aggregate = call("array_agg", vec![item]);
    if let Expr::Function(Function {
        args: FunctionArguments::List(list),
        ..
    }) = &mut aggregate
        && !order.is_empty()
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    aggregate
}
