//! Types as Postgres clients write them, and casts to the aliases of `oid`.

use sqlparser::ast::{ArrayElemTypeDef, DataType, Expr, TimezoneInfo};

use super::build::{call, literal, parts, take, text};
use crate::functions::RegKind;
use crate::relations::PG_CATALOG;

/// An alias of `oid`, or an array of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SystemType {
    Reg(RegKind),
    RegArray(RegKind),
}

/// What a type is, if it is an alias of `oid`.
pub(super) fn system_type(data_type: &DataType) -> Option<SystemType> {
    match data_type {
        DataType::Regclass => Some(SystemType::Reg(RegKind::Class)),
        DataType::Array(element) => match system_type(element_type(element)?)? {
            SystemType::Reg(kind) => Some(SystemType::RegArray(kind)),
            SystemType::RegArray(_) => None,
        },
        _ => RegKind::named(&own_name(data_type)?).map(SystemType::Reg),
    }
}

fn element_type(element: &ArrayElemTypeDef) -> Option<&DataType> {
    match element {
        ArrayElemTypeDef::AngleBracket(element)
        | ArrayElemTypeDef::SquareBracket(element, _)
        | ArrayElemTypeDef::Parenthesis(element) => Some(element),
        ArrayElemTypeDef::None => None,
    }
}

/// The name of a type that the parser does not know, without the schema of system types.
fn own_name(data_type: &DataType) -> Option<String> {
    let DataType::Custom(name, _) = data_type else {
        return None;
    };
    match parts(name).as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == PG_CATALOG => Some(name.clone()),
        _ => None,
    }
}

/// Replaces the names of Postgres types by those that DataFusion knows.
pub(super) fn rewrite_type(data_type: &mut DataType) {
    if let DataType::Array(element) = data_type {
        match element {
            ArrayElemTypeDef::AngleBracket(element)
            | ArrayElemTypeDef::SquareBracket(element, _)
            | ArrayElemTypeDef::Parenthesis(element) => rewrite_type(element),
            ArrayElemTypeDef::None => {}
        }
        return;
    }
    if let DataType::Varchar(_)
    | DataType::CharacterVarying(_)
    | DataType::Char(_)
    | DataType::Character(_) = data_type
    {
        *data_type = DataType::Text;
    }
    let Some(name) = own_name(data_type) else {
        return;
    };
    let array = |element| DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None));
    *data_type = match name.as_str() {
        "text" | "varchar" | "bpchar" | "name" | "char" | "cstring" | "unknown"
        | "pg_node_tree" | "aclitem" | "regconfig" => DataType::Text,
        "bool" => DataType::Boolean,
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Integer(None),
        "int8" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "oid" | "xid" | "cid" => DataType::IntegerUnsigned(None),
        "timestamptz" => DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
        "timestamp" => DataType::Timestamp(None, TimezoneInfo::None),
        "date" => DataType::Date,
        "int2vector" => array(DataType::SmallInt(None)),
        "oidvector" => array(DataType::IntegerUnsigned(None)),
        _ => return,
    };
}

/// Whether values of a type are shown as text.
fn is_text(data_type: &DataType) -> bool {
    let mut data_type = data_type.clone();
    rewrite_type(&mut data_type);
    matches!(data_type, DataType::Text)
}

/// Whether values of a type are numbers that an oid may become.
fn is_number(data_type: &DataType) -> bool {
    let mut data_type = data_type.clone();
    rewrite_type(&mut data_type);
    matches!(
        data_type,
        DataType::IntegerUnsigned(_)
            | DataType::Integer(_)
            | DataType::Int(_)
            | DataType::BigInt(_)
    )
}

/// The kind and the operand of a cast to an alias of `oid`, also of a literal with its type before it.
fn reg_cast(expr: &mut Expr) -> Option<(RegKind, Expr)> {
    match expr {
        Expr::Nested(inner) => reg_cast(inner),
        Expr::Cast {
            expr: inner,
            data_type,
            ..
        } => match system_type(data_type)? {
            SystemType::Reg(kind) => Some((kind, take(inner))),
            SystemType::RegArray(_) => None,
        },
        Expr::TypedString(typed) => match system_type(&typed.data_type)? {
            SystemType::Reg(kind) => Some((kind, text(typed.value.clone().into_string()?))),
            SystemType::RegArray(_) => None,
        },
        _ => None,
    }
}

/// An operand of a comparison: names and numbers are compared as oids.
pub(super) fn compare_as_oid(expr: &mut Expr) {
    if let Some((kind, operand)) = reg_cast(expr) {
        *expr = call(kind.oid_function(), vec![operand]);
    }
}

/// A cast, wherever it stands.
pub(super) fn rewrite_cast(expr: &mut Expr) {
    if let Some((kind, operand)) = reg_cast(expr) {
        *expr = call(kind.text_function(), vec![operand]);
        return;
    }
    let Expr::Cast {
        expr: inner,
        data_type,
        ..
    } = expr
    else {
        return;
    };
    if let Some(SystemType::RegArray(_)) = system_type(data_type) {
        *expr = call("__regtype_array", vec![take(inner)]);
        return;
    }
    if is_text(data_type)
        && let Some((kind, operand)) = reg_cast(inner)
    {
        *expr = call(kind.text_function(), vec![operand]);
        return;
    }
    if is_number(data_type)
        && let Some((kind, operand)) = reg_cast(inner)
    {
        **inner = call(kind.oid_function(), vec![operand]);
    }
    if let DataType::Array(element) = &*data_type
        && let Some(array) =
            literal(inner).and_then(|array| super::exprs::array_of(array, element_type(element)))
    {
        *expr = array;
        return;
    }
    rewrite_type(data_type);
}
