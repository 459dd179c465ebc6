//! From SQL's names of types to the Arrow types that clickmill holds values in.

use arrow::datatypes::DataType;
use dataflow::schema::{timestamp, timestamptz};
use dataflow::{Error, Location, Result, SqlState};
use datafusion::arrow;
use sqlparser::ast::{
    CharacterLength, DataType as SqlType, ExactNumberInfo, ObjectName, TimezoneInfo,
};

use crate::name::fold_parts;

/// The type of a declared column. Errors, all at `at`: `0A000` for types that exist but cannot be columns, `42704` for
/// names that are no type, `22023` for a precision out of range.
pub fn column_type(sql: &SqlType, at: Option<Location>) -> Result<DataType> {
    let bare = |info: &ExactNumberInfo| matches!(info, ExactNumberInfo::None);
    match sql {
        SqlType::Numeric(info) | SqlType::Decimal(info) | SqlType::Dec(info) if bare(info) => {
            let hint = "give precision and scale, as in NUMERIC(18, 2)";
            Err(Error::unsupported("NUMERIC without precision")
                .hint(hint)
                .at(at))
        }
        _ => match shared_type(sql).map_err(|error| error.at(at))? {
            Some(data_type) => Ok(data_type),
            None => Err(no_column_type(sql).at(at)),
        },
    }
}

/// The type that a cast to `sql` gives: as [`column_type`], but `None` for types that columns cannot have and that
/// DataFusion may know (INTERVAL, arrays, NUMERIC without precision, …). Errors: `0A000` for a length that would not be
/// obeyed, `22023` for a precision out of range.
pub fn cast_type(sql: &SqlType) -> Result<Option<DataType>> {
    shared_type(sql)
}

fn shared_type(sql: &SqlType) -> Result<Option<DataType>> {
    Ok(Some(match sql {
        SqlType::Boolean | SqlType::Bool => DataType::Boolean,
        SqlType::SmallInt(None) | SqlType::Int2(None) => DataType::Int16,
        SqlType::Int(None) | SqlType::Integer(None) | SqlType::Int4(None) => DataType::Int32,
        SqlType::BigInt(None) | SqlType::Int8(None) => DataType::Int64,
        SqlType::Real | SqlType::Float4 => DataType::Float32,
        SqlType::DoublePrecision | SqlType::Float8 | SqlType::Double(ExactNumberInfo::None) => {
            DataType::Float64
        }
        SqlType::Float(info) => float(info)?,
        SqlType::Numeric(info) | SqlType::Decimal(info) | SqlType::Dec(info) => {
            return decimal(info);
        }
        SqlType::Text | SqlType::String(None) => DataType::Utf8,
        SqlType::Varchar(length)
        | SqlType::CharacterVarying(length)
        | SqlType::CharVarying(length) => {
            return string("VARCHAR", length.as_ref());
        }
        SqlType::Char(length) | SqlType::Character(length) => {
            return Err(padded(length.as_ref()));
        }
        SqlType::Date => DataType::Date32,
        SqlType::Timestamp(precision, zone) => {
            check_precision(*precision)?;
            match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => timestamp(),
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => timestamptz(),
            }
        }
        SqlType::TimestampNtz(precision) => {
            check_precision(*precision)?;
            timestamp()
        }
        SqlType::Custom(name, modifiers) => return custom(name, modifiers),
        _ => return Ok(None),
    }))
}

/// Types that sqlparser has no variant for.
fn custom(name: &ObjectName, modifiers: &[String]) -> Result<Option<DataType>> {
    let name = type_name(name);
    match (name.as_str(), modifiers) {
        ("timestamp_ltz", []) => Ok(Some(timestamptz())),
        ("timestamp_ltz", [precision]) => {
            check_precision(precision.parse().ok())?;
            Ok(Some(timestamptz()))
        }
        ("text", []) => Ok(Some(DataType::Utf8)),
        _ => Ok(None),
    }
}

/// The type's name, folded, without the schema `pg_catalog`.
fn type_name(name: &ObjectName) -> String {
    let parts: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|ident| fold_parts(&ident.value, ident.quote_style))
        .collect();
    match parts.split_first() {
        Some((schema, rest)) if schema == "pg_catalog" && !rest.is_empty() => rest.join("."),
        _ => parts.join("."),
    }
}

fn check_precision(precision: Option<u64>) -> Result<()> {
    match precision {
        Some(digits) if digits > 6 => Err(Error::unsupported(format!("TIMESTAMP({digits})"))
            .detail("times are held in microseconds")
            .hint("use a precision of at most 6")),
        _ => Ok(()),
    }
}

/// `FLOAT` is double precision, `FLOAT(1)` to `FLOAT(24)` is real, as in PostgreSQL.
fn float(info: &ExactNumberInfo) -> Result<DataType> {
    match info {
        ExactNumberInfo::None | ExactNumberInfo::Precision(25..=53) => Ok(DataType::Float64),
        ExactNumberInfo::Precision(1..=24) => Ok(DataType::Float32),
        _ => Err(Error::new(
            SqlState::INVALID_PARAMETER,
            "precision for type float must be between 1 and 53 bits",
        )),
    }
}

fn decimal(info: &ExactNumberInfo) -> Result<Option<DataType>> {
    let (precision, scale) = match *info {
        ExactNumberInfo::None => return Ok(None),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let out_of_range = || {
        let message = format!(
            "NUMERIC({precision}, {scale}): precision must be 1 to 38, scale 0 to the precision"
        );
        Error::new(SqlState::INVALID_PARAMETER, message)
    };
    let precision = u8::try_from(precision)
        .ok()
        .filter(|p| (1..=38).contains(p))
        .ok_or_else(out_of_range)?;
    let scale = i8::try_from(scale)
        .ok()
        .filter(|s| *s >= 0 && s.unsigned_abs() <= precision);
    Ok(Some(DataType::Decimal128(
        precision,
        scale.ok_or_else(out_of_range)?,
    )))
}

fn string(name: &str, length: Option<&CharacterLength>) -> Result<Option<DataType>> {
    match length {
        None => Ok(Some(DataType::Utf8)),
        Some(length) => Err(Error::unsupported(format!("{name}({length})"))
            .detail("the length would not be enforced")
            .hint("use TEXT")),
    }
}

fn padded(length: Option<&CharacterLength>) -> Error {
    let name = length.map_or("CHAR".to_owned(), |length| format!("CHAR({length})"));
    Error::unsupported(name)
        .detail("values would not be padded")
        .hint("use TEXT")
}

/// Why a type cannot be a column's: known and not supported, or unknown.
fn no_column_type(sql: &SqlType) -> Error {
    let written = sql.to_string();
    let fields = "declare the fields that you need as columns: name TYPE FROM 'path.to.field'";
    match sql {
        SqlType::Custom(name, _) => {
            let folded = type_name(name);
            match folded.as_str() {
                "row" | "struct" | "map" | "multiset" | "variant" => {
                    Error::unsupported(format!("type {}", folded.to_uppercase())).hint(fields)
                }
                "money" | "inet" | "cidr" | "macaddr" | "xml" | "oid" | "name" | "hstore"
                | "point" | "box" | "varbit" | "raw" => {
                    Error::unsupported(format!("type {folded}")).hint("use TEXT")
                }
                _ => Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("type \"{folded}\" does not exist"),
                ),
            }
        }
        SqlType::JSON
        | SqlType::JSONB
        | SqlType::Struct(..)
        | SqlType::Map(..)
        | SqlType::Nested(_)
        | SqlType::Tuple(_) => Error::unsupported(format!("type {written}")).hint(fields),
        SqlType::Array(_) => Error::unsupported(format!("array type {written}")),
        SqlType::TinyInt(_) => Error::unsupported(format!("type {written}")).hint("use SMALLINT"),
        SqlType::Uuid => Error::unsupported("type UUID").hint("use TEXT"),
        SqlType::Datetime(_) | SqlType::Datetime64(..) => {
            Error::unsupported(format!("type {written}")).hint("use TIMESTAMP or TIMESTAMPTZ")
        }
        _ => Error::unsupported(format!("type {written}")),
    }
}

#[cfg(test)]
mod tests;
