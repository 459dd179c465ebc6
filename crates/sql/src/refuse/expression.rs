//! What may stand in an expression.

use dataflow::{Error, Result};
use sqlparser::ast::{
    AccessExpr, BinaryOperator, CeilFloorKind, DataType, DateTimeField, Expr, Ident, Interval,
    Subscript, UnaryOperator, Value, ValueWithSpan,
};

use super::{absent, check_ident, check_start, function, unsupported};
use crate::location::{from_span, location_of};
use crate::types::cast_type;

/// One node of an expression; the nodes below it are visited by themselves.
pub(super) fn check(expr: &Expr) -> Result<()> {
    check_construct(expr)?;
    match expr {
        Expr::Identifier(name) => check_column(name),
        Expr::CompoundIdentifier(names) => {
            names.iter().take(1).try_for_each(check_start)?;
            names.iter().try_for_each(check_ident)
        }
        Expr::CompoundFieldAccess {
            root: _,
            access_chain,
        } => access_chain.iter().try_for_each(check_access),
        Expr::BinaryOp { left, op, right } => {
            let at = || location_of(left.as_ref()).or_else(|| location_of(right.as_ref()));
            check_operator(op).map_err(|error| error.at(at()))
        }
        Expr::UnaryOp { op, expr } => check_unary(op, expr),
        Expr::AnyOp {
            left: _,
            compare_op,
            right: _,
            is_some: _,
        }
        | Expr::AllOp {
            left: _,
            compare_op,
            right: _,
        } => check_operator(compare_op),
        Expr::Like { any, .. } | Expr::ILike { any, .. } => absent(*any, "LIKE ANY"),
        Expr::Cast {
            kind: _,
            expr: _,
            data_type,
            array,
            format,
        } => {
            absent(*array, "CAST to an ARRAY of")?;
            absent(format.is_some(), "CAST … FORMAT")?;
            check_type(data_type)
        }
        Expr::TypedString(typed) => check_type(&typed.data_type),
        Expr::Ceil { expr: _, field } | Expr::Floor { expr: _, field } => match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => Ok(()),
            CeilFloorKind::DateTimeField(_) => {
                Err(Error::unsupported("CEIL and FLOOR to a unit of time").hint("use date_trunc"))
            }
            CeilFloorKind::Scale(_) => unsupported("CEIL and FLOOR with a scale"),
        },
        Expr::Trim {
            trim_where: _,
            trim_what: _,
            expr: _,
            trim_characters,
        } => {
            let many = trim_characters
                .as_ref()
                .is_some_and(|given| given.len() > 1);
            absent(many, "trim with more than two arguments")
        }
        Expr::Function(call) => function::check_call(call),
        Expr::Interval(interval) => check_interval(interval),
        Expr::AtTimeZone {
            timestamp: _,
            time_zone,
        } => match time_zone.as_ref() {
            Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => Ok(()),
            _ => unsupported("AT TIME ZONE with anything but a string"),
        },
        _ => Ok(()),
    }
}

/// Refuses the kinds of expressions that clickmill does not have. Every kind is listed.
fn check_construct(expr: &Expr) -> Result<()> {
    let what = match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => {
            return Ok(());
        }
        Expr::IsFalse(_) | Expr::IsNotFalse(_) | Expr::IsTrue(_) | Expr::IsNotTrue(_) => {
            return Ok(());
        }
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => {
            return Ok(());
        }
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) | Expr::Between { .. } => {
            return Ok(());
        }
        Expr::InList { .. } | Expr::InSubquery { .. } | Expr::AnyOp { .. } | Expr::AllOp { .. } => {
            return Ok(());
        }
        Expr::BinaryOp { .. } | Expr::UnaryOp { .. } | Expr::Nested(_) | Expr::Value(_) => {
            return Ok(());
        }
        Expr::Like { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } | Expr::Case { .. } => {
            return Ok(());
        }
        Expr::Cast { .. } | Expr::TypedString(_) | Expr::Interval(_) | Expr::AtTimeZone { .. } => {
            return Ok(());
        }
        Expr::Extract { .. } | Expr::Ceil { .. } | Expr::Floor { .. } | Expr::Position { .. } => {
            return Ok(());
        }
        Expr::Substring { .. } | Expr::Trim { .. } | Expr::Overlay { .. } | Expr::Function(_) => {
            return Ok(());
        }
        Expr::Exists { .. } | Expr::Subquery(_) | Expr::Tuple(_) | Expr::Array(_) => return Ok(()),
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => return Ok(()),
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => return Ok(()),
        Expr::Collate { expr: _, collation } => {
            let error = Error::unsupported("COLLATE").hint("text is compared by its bytes");
            return Err(error.at(location_of(collation)));
        }
        Expr::RLike {
            negated: _,
            expr,
            pattern: _,
            regexp: _,
        } => {
            let error = Error::unsupported("RLIKE and REGEXP").hint("use ~ or regexp_like");
            return Err(error.at(location_of(expr.as_ref())));
        }
        Expr::Convert { .. } => return Err(Error::unsupported("CONVERT").hint("use CAST")),
        Expr::OuterJoin(_) => return Err(Error::unsupported("(+)").hint("use LEFT JOIN")),
        Expr::JsonAccess { .. } => "a path behind a value",
        Expr::IsNormalized { .. } => "IS NORMALIZED",
        Expr::InUnnest { .. } => "IN UNNEST (…)",
        Expr::Prefixed { .. } => "a string with a character set",
        Expr::Struct { .. } | Expr::Named { .. } => "STRUCT (…)",
        Expr::Dictionary(_) | Expr::Map(_) => "a map in braces",
        Expr::MatchAgainst { .. } => "MATCH … AGAINST",
        Expr::Prior(_) => "PRIOR",
        Expr::Lambda(_) => "a lambda function",
        Expr::MemberOf(_) => "MEMBER OF",
    };
    unsupported(what)
}

/// A column's name, or one of the words that PostgreSQL reserves for values such as `current_role`.
fn check_column(name: &Ident) -> Result<()> {
    let value = name.value.to_ascii_uppercase();
    let function = ["CURRENT_", "LOCALTIME", "SESSION_USER", "USER", "DEFAULT"];
    if function.iter().any(|start| value.starts_with(start)) {
        check_ident(name)
    } else {
        check_start(name)
    }
}

fn check_access(access: &AccessExpr) -> Result<()> {
    match access {
        AccessExpr::Dot(_) | AccessExpr::Subscript(Subscript::Index { index: _ }) => Ok(()),
        AccessExpr::Subscript(Subscript::Slice {
            lower_bound: _,
            upper_bound: _,
            stride,
        }) => absent(stride.is_some(), "a slice with a stride"),
    }
}

/// A type in a cast: one whose length or precision would be dropped is refused.
fn check_type(data_type: &DataType) -> Result<()> {
    cast_type(data_type).map(|_| ())
}

fn check_interval(interval: &Interval) -> Result<()> {
    let Interval {
        value,
        leading_field: _,
        leading_precision,
        last_field,
        fractional_seconds_precision,
    } = interval;
    if last_field.is_some() {
        return Err(
            Error::unsupported("INTERVAL with a range of units (… TO …)")
                .hint("write it with units inside, as in INTERVAL '1 hour 30 minutes'")
                .at(location_of(value.as_ref())),
        );
    }
    let precision = leading_precision.is_some() || fractional_seconds_precision.is_some();
    absent(precision, "INTERVAL with a precision")
        .map_err(|error| error.at(location_of(value.as_ref())))
}

fn check_unary(op: &UnaryOperator, expr: &Expr) -> Result<()> {
    match op {
        UnaryOperator::Minus => match expr {
            // DataFusion would negate the first of several fields only.
            Expr::Interval(Interval { value, .. }) if fields(value) > 1 => Err(Error::unsupported(
                "a minus before an interval of several fields",
            )
            .hint("put it in parentheses: -(INTERVAL '…')")
            .at(location_of(value.as_ref()))),
            _ => Ok(()),
        },
        UnaryOperator::Plus | UnaryOperator::Not => Ok(()),
        other => unsupported(format!("operator {other}")),
    }
}

/// The number of fields of an interval's text, by its words with digits.
fn fields(value: &Expr) -> usize {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text
                .split_whitespace()
                .filter(|word| word.contains(|c: char| c.is_ascii_digit()))
                .count(),
            _ => 1,
        },
        _ => 1,
    }
}

fn check_operator(op: &BinaryOperator) -> Result<()> {
    match op {
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo
        | BinaryOperator::StringConcat
        | BinaryOperator::Gt
        | BinaryOperator::Lt
        | BinaryOperator::GtEq
        | BinaryOperator::LtEq
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::BitwiseOr
        | BinaryOperator::BitwiseAnd
        | BinaryOperator::PGBitwiseXor
        | BinaryOperator::PGBitwiseShiftLeft
        | BinaryOperator::PGBitwiseShiftRight
        | BinaryOperator::PGExp
        | BinaryOperator::PGRegexMatch
        | BinaryOperator::PGRegexIMatch
        | BinaryOperator::PGRegexNotMatch
        | BinaryOperator::PGRegexNotIMatch
        | BinaryOperator::PGLikeMatch
        | BinaryOperator::PGILikeMatch
        | BinaryOperator::PGNotLikeMatch
        | BinaryOperator::PGNotILikeMatch
        | BinaryOperator::AtArrow
        | BinaryOperator::ArrowAt => Ok(()),
        BinaryOperator::PGCustomBinaryOperator(names) => unsupported(format!("OPERATOR({})", names.join("."))),
        BinaryOperator::PGStartsWith => Err(Error::unsupported("operator ^@").hint("use starts_with")),
        BinaryOperator::Arrow | BinaryOperator::LongArrow | BinaryOperator::HashArrow | BinaryOperator::HashLongArrow => {
            Err(Error::unsupported(format!("operator {op}"))
                .hint("declare the fields that you need as columns of the source: name TYPE FROM 'path.to.field'"))
        }
        other => unsupported(format!("operator {other}")),
    }
}

/// A literal: only those whose value DataFusion reads as PostgreSQL does.
pub(super) fn check_value(value: &ValueWithSpan) -> Result<()> {
    let what = match &value.value {
        Value::Number(_, false)
        | Value::SingleQuotedString(_)
        | Value::EscapedStringLiteral(_)
        | Value::DollarQuotedString(_)
        | Value::Boolean(_)
        | Value::Null
        | Value::Placeholder(_) => return Ok(()),
        Value::HexStringLiteral(_) => "a string of bits (X'…')",
        Value::SingleQuotedByteStringLiteral(_) => "a string of bits (B'…')",
        Value::NationalStringLiteral(_) => "a string with N in front",
        Value::UnicodeStringLiteral(_) => "a string with U& in front",
        _ => "this form of a literal",
    };
    Err(Error::unsupported(what).at(from_span(value.span)))
}
