//! DataFusion's errors as clickmill's: SQLSTATE, a short message, and the place in the statement.

use dataflow::{Error, Location, SqlState};
use datafusion::common::{Diagnostic, SchemaError};
use datafusion::error::DataFusionError;

/// Carries one of our errors through DataFusion's planner.
pub fn wrap(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Maps a planning or execution error.
pub fn from_datafusion(error: DataFusionError) -> Error {
    let location = error.diagnostic().and_then(location_of);
    convert(error).at(location)
}

fn location_of(diagnostic: &Diagnostic) -> Option<Location> {
    diagnostic.span.map(|span| Location {
        line: span.start.line,
        column: span.start.column,
    })
}

fn convert(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => match other.downcast::<DataFusionError>() {
                Ok(inner) => convert(*inner),
                Err(other) => Error::internal(other.to_string()),
            },
        },
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
            convert(*inner)
        }
        DataFusionError::Shared(shared) => match std::sync::Arc::try_unwrap(shared) {
            Ok(inner) => convert(inner),
            Err(shared) => convert_shared(&shared),
        },
        DataFusionError::Collection(mut errors) if !errors.is_empty() => {
            convert(errors.swap_remove(0))
        }
        DataFusionError::SchemaError(error, _) => schema_error(*error),
        DataFusionError::ArrowError(error, _) => Error::from(*error),
        DataFusionError::NotImplemented(text) => {
            Error::new(SqlState::FEATURE_NOT_SUPPORTED, lower(&text))
        }
        DataFusionError::ResourcesExhausted(text) => Error::new(
            SqlState::OUT_OF_MEMORY,
            "the query needs more memory than queries may have",
        )
        .detail(lower(text.lines().next().unwrap_or_default()))
        .hint("ask for less at a time, or keep the result in a materialized view"),
        DataFusionError::Plan(text) if text.contains("null_aware anti join") => {
            Error::unsupported("NOT IN (SELECT …) that compares more than one column")
                .hint("use NOT EXISTS")
        }
        DataFusionError::Plan(text) => plan_error(&text),
        DataFusionError::Execution(text) => execution_error(&text),
        DataFusionError::SQL(error, _) => Error::new(SqlState::SYNTAX_ERROR, error.to_string()),
        other => Error::internal(other.strip_backtrace()),
    }
}

/// An error that others hold too: its own `dataflow::Error` is copied, anything else keeps its text.
fn convert_shared(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(own) => own.clone(),
            None => Error::internal(inner.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            convert_shared(inner)
        }
        DataFusionError::Shared(inner) => convert_shared(inner),
        DataFusionError::Plan(text) => plan_error(text),
        DataFusionError::Execution(text) => execution_error(text),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            datafusion::arrow::error::ArrowError::DivideByZero => {
                Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
            }
            datafusion::arrow::error::ArrowError::CastError(what) => Error::from(
                datafusion::arrow::error::ArrowError::CastError(what.clone()),
            ),
            other => Error::new(SqlState::INVALID_TEXT, other.to_string()),
        },
        other => Error::internal(other.strip_backtrace()),
    }
}

fn schema_error(error: SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => {
            let error = Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", field.name),
            );
            let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
            match dataflow::options::nearest(&field.name, &names) {
                Some(near) => error.hint(format!("perhaps you meant \"{near}\"")),
                None if names.is_empty() => error,
                None => error.hint(format!("columns here: {}", dedup(names).join(", "))),
            }
        }
        SchemaError::AmbiguousReference { field } => Error::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("column reference \"{}\" is ambiguous", field.name),
        ),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{name}\" specified more than once"),
        ),
    }
}

fn dedup(mut names: Vec<&str>) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    names
}

fn plan_error(text: &str) -> Error {
    if let Some(rest) = text.strip_prefix("table '") {
        let name = rest
            .split('\'')
            .next()
            .unwrap_or(rest)
            .replace("datafusion.public.", "");
        return Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        );
    }
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let name = rest.split('\'').next().unwrap_or(rest);
        return Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {name} does not exist"),
        );
    }
    let lower_text = text.to_ascii_lowercase();
    let state = if lower_text.contains("must be in group by")
        || lower_text.contains("must appear in the group by")
    {
        SqlState::GROUPING_ERROR
    } else if lower_text.contains("does not support") && lower_text.contains("function") {
        SqlState::UNDEFINED_FUNCTION
    } else if lower_text.contains("failed to coerce")
        || lower_text.contains("cannot infer common argument type")
        || lower_text.contains("cannot coerce")
    {
        SqlState::DATATYPE_MISMATCH
    } else {
        SqlState::SYNTAX_ERROR
    };
    Error::new(state, lower(text))
}

fn execution_error(text: &str) -> Error {
    let state = if text.contains("timestamp") || text.contains("date") {
        SqlState::INVALID_DATETIME
    } else {
        SqlState::INVALID_PARAMETER
    };
    Error::new(state, lower(text))
}

/// First letter in lower case, as Postgres writes messages; words in capitals stay.
fn lower(text: &str) -> String {
    let text = &dataflow::with_sql_types(text);
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
