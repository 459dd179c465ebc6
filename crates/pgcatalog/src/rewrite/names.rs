//! The names that PostgreSQL gives to result columns.

use std::collections::HashSet;

use sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, DataType, Expr, FunctionArguments, ObjectName, Query, Select,
    SelectItem, SetExpr, TimezoneInfo, Value,
};

use super::build::{folded, parts, quoted};

/// Between a name and the number that makes it unique: DataFusion wants no name twice, PostgreSQL does not mind.
const MARK: char = '\u{1}';
const UNNAMED: &str = "?column?";

/// The name of a result column without what [`crate::rewrite()`] put behind it to make it unique.
pub fn shown_name(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// The name that PostgreSQL gives to a result column without `AS`: that of the column or function, or `?column?`.
pub fn column_name(expr: &Expr) -> String {
    figure(expr).0.unwrap_or_else(|| UNNAMED.to_owned())
}

/// Gives every expression of a `SELECT` its name, each name once.
pub(super) fn name_columns(select: &mut Select) {
    let mut taken: HashSet<String> = HashSet::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) if is_column(expr) => taken.extend([column_name(expr)]),
            SelectItem::ExprWithAlias { alias, .. } => taken.extend([folded(alias)]),
            _ => {}
        }
    }
    let mut columns: HashSet<String> = HashSet::new();
    for item in &mut select.projection {
        match item {
            // Columns of several relations may share a name; the same column twice may not.
            SelectItem::UnnamedExpr(expr)
                if is_column(expr) && columns.insert(expr.to_string()) => {}
            SelectItem::UnnamedExpr(expr) => {
                let alias = quoted(&unique(column_name(expr), &mut taken));
                *item = SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias,
                };
            }
            SelectItem::ExprWithAlias { alias, .. } if !columns.insert(folded(alias)) => {
                *alias = quoted(&unique(folded(alias), &mut taken));
            }
            _ => {}
        }
    }
}

fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let numbered = |count: usize| {
        if count == 0 {
            name.clone()
        } else {
            format!("{name}{MARK}{count}")
        }
    };
    let free = (0..).map(numbered).find(|name| !taken.contains(name));
    let free = free.expect("there are more numbers than names");
    taken.insert(free.clone());
    free
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if !super::detect::is_session_word(&folded(ident)))
        || matches!(expr, Expr::CompoundIdentifier(_))
}

/// A name and whether it is one that a cast keeps.
fn figure(expr: &Expr) -> (Option<String>, bool) {
    let strong = |name: String| (Some(name), true);
    let weak = |name: &str| (Some(name.to_owned()), false);
    match expr {
        Expr::Identifier(ident) => strong(folded(ident)),
        Expr::CompoundIdentifier(idents) => (idents.last().map(folded), true),
        Expr::Nested(inner) => figure(inner),
        Expr::Collate { expr, .. } => figure(expr),
        Expr::Function(function) if matches!(function.args, FunctionArguments::Subquery(_)) => {
            weak("array")
        }
        Expr::Function(function) => (last_part(&function.name), true),
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
            Some(AccessExpr::Dot(Expr::Identifier(field))) => strong(folded(field)),
            _ => figure(root),
        },
        Expr::Cast {
            expr, data_type, ..
        } => match figure(expr) {
            (Some(name), true) => strong(name),
            _ => (Some(type_name(data_type)), false),
        },
        Expr::TypedString(typed) => (Some(type_name(&typed.data_type)), false),
        Expr::Interval(_) => weak("interval"),
        Expr::Case { else_result, .. } => match else_result.as_deref().map(figure) {
            Some((Some(name), true)) => strong(name),
            _ => weak("case"),
        },
        Expr::Array(_) => weak("array"),
        Expr::Tuple(_) => weak("row"),
        Expr::Exists { .. } => strong("exists".to_owned()),
        Expr::Subquery(query) => figure_query(query),
        Expr::Extract { .. } => strong("extract".to_owned()),
        Expr::Substring { .. } => strong("substring".to_owned()),
        Expr::Position { .. } => strong("position".to_owned()),
        Expr::Overlay { .. } => strong("overlay".to_owned()),
        Expr::Trim { trim_where, .. } => strong(trim_name(
            trim_where.as_ref().map(ToString::to_string).as_deref(),
        )),
        Expr::Ceil { .. } => strong("ceil".to_owned()),
        Expr::Floor { .. } => strong("floor".to_owned()),
        Expr::AtTimeZone { .. } => strong("timezone".to_owned()),
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => weak("bool"),
        _ => (None, false),
    }
}

/// The name of the only column of a subquery.
fn figure_query(query: &Query) -> (Option<String>, bool) {
    let mut body = query.body.as_ref();
    while let SetExpr::SetOperation { left, .. } = body {
        body = left;
    }
    let SetExpr::Select(select) = body else {
        return (None, false);
    };
    match select.projection.first() {
        Some(SelectItem::ExprWithAlias { alias, .. }) => {
            (Some(shown_name(&folded(alias)).to_owned()), true)
        }
        Some(SelectItem::UnnamedExpr(expr)) => figure(expr),
        _ => (None, false),
    }
}

fn trim_name(place: Option<&str>) -> String {
    match place {
        Some("LEADING") => "ltrim",
        Some("TRAILING") => "rtrim",
        _ => "btrim",
    }
    .to_owned()
}

fn last_part(name: &ObjectName) -> Option<String> {
    parts(name).pop()
}

fn type_name(data_type: &DataType) -> String {
    let short = match data_type {
        DataType::Custom(name, _) => return last_part(name).unwrap_or_else(|| UNNAMED.to_owned()),
        DataType::Array(element) => return array_name(element),
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4",
        DataType::BigInt(_) | DataType::Int8(_) => "int8",
        DataType::SmallInt(_) | DataType::Int2(_) => "int2",
        DataType::Boolean | DataType::Bool => "bool",
        DataType::Varchar(_) | DataType::CharacterVarying(_) => "varchar",
        DataType::Char(_) | DataType::Character(_) => "bpchar",
        DataType::Real | DataType::Float4 => "float4",
        DataType::DoublePrecision | DataType::Double(_) | DataType::Float8 | DataType::Float(_) => {
            "float8"
        }
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => "numeric",
        DataType::Regclass => "regclass",
        DataType::Timestamp(_, zone)
            if matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) =>
        {
            "timestamptz"
        }
        DataType::Timestamp(..) => "timestamp",
        DataType::Time(..) => "time",
        DataType::Interval { .. } => "interval",
        other => return other.to_string().to_lowercase(),
    };
    short.to_owned()
}

fn array_name(element: &ArrayElemTypeDef) -> String {
    match element {
        ArrayElemTypeDef::AngleBracket(element)
        | ArrayElemTypeDef::SquareBracket(element, _)
        | ArrayElemTypeDef::Parenthesis(element) => type_name(element),
        ArrayElemTypeDef::None => "array".to_owned(),
    }
}
