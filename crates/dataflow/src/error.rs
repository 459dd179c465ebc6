//! The one error of clickmill: a SQLSTATE, a factual message, and optionally detail, hint and place in the statement.

use std::fmt;

use crate::sql_types::with_sql_types;

/// Result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A five-character SQLSTATE of PostgreSQL's list (appendix A of its manual).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

#[expect(
    missing_docs,
    reason = "the names are PostgreSQL's own condition names"
)]
impl SqlState {
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    pub const CONNECTION_FAILURE: Self = Self("08006");
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    pub const CARDINALITY_VIOLATION: Self = Self("21000");
    pub const NUMERIC_OUT_OF_RANGE: Self = Self("22003");
    pub const INVALID_DATETIME: Self = Self("22007");
    pub const DIVISION_BY_ZERO: Self = Self("22012");
    pub const INVALID_PARAMETER: Self = Self("22023");
    pub const INVALID_TEXT: Self = Self("22P02");
    pub const NOT_NULL_VIOLATION: Self = Self("23502");
    pub const INVALID_CURSOR_STATE: Self = Self("24000");
    pub const ACTIVE_TRANSACTION: Self = Self("25001");
    pub const NO_ACTIVE_TRANSACTION: Self = Self("25P01");
    pub const IN_FAILED_TRANSACTION: Self = Self("25P02");
    pub const INVALID_STATEMENT_NAME: Self = Self("26000");
    pub const DEPENDENT_OBJECTS: Self = Self("2BP01");
    pub const INVALID_CURSOR_NAME: Self = Self("34000");
    pub const SYNTAX_ERROR: Self = Self("42601");
    pub const UNDEFINED_COLUMN: Self = Self("42703");
    pub const AMBIGUOUS_COLUMN: Self = Self("42702");
    pub const DUPLICATE_COLUMN: Self = Self("42701");
    pub const UNDEFINED_OBJECT: Self = Self("42704");
    pub const GROUPING_ERROR: Self = Self("42803");
    pub const DATATYPE_MISMATCH: Self = Self("42804");
    pub const WRONG_OBJECT_TYPE: Self = Self("42809");
    pub const UNDEFINED_FUNCTION: Self = Self("42883");
    pub const UNDEFINED_TABLE: Self = Self("42P01");
    pub const DUPLICATE_PREPARED_STATEMENT: Self = Self("42P05");
    pub const DUPLICATE_TABLE: Self = Self("42P07");
    pub const INVALID_SCHEMA_NAME: Self = Self("3F000");
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    pub const CONFIGURATION_LIMIT: Self = Self("53400");
    pub const DISK_FULL: Self = Self("53100");
    pub const OUT_OF_MEMORY: Self = Self("53200");
    pub const PROGRAM_LIMIT: Self = Self("54000");
    pub const OBJECT_NOT_READY: Self = Self("55000");
    pub const OBJECT_IN_USE: Self = Self("55006");
    pub const QUERY_CANCELED: Self = Self("57014");
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    pub const CANNOT_CONNECT_NOW: Self = Self("57P03");
    pub const IO_ERROR: Self = Self("58030");
    pub const UNDEFINED_FILE: Self = Self("58P01");
    pub const INTERNAL: Self = Self("XX000");
    pub const DATA_CORRUPTED: Self = Self("XX001");
}

/// A place in a statement's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl Location {
    /// The place as a character index from 1 into `text`, as PostgreSQL's `P` field wants it.
    pub fn char_index(self, text: &str) -> usize {
        let mut index = 0;
        for (number, line) in (1..).zip(text.split('\n')) {
            if number == self.line {
                return index + usize::try_from(self.column).unwrap_or(1);
            }
            index += line.chars().count() + 1;
        }
        index.max(1)
    }
}

/// An error as a user sees it. The message is lower-case and factual; the hint says what to do next.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    state: SqlState,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    location: Option<Location>,
}

impl Error {
    /// What went wrong while `doing` something with `what`: `53100` when the disk is full, `58030` otherwise.
    pub fn io(doing: &str, what: impl fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let state = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => SqlState::DISK_FULL,
            _ => SqlState::IO_ERROR,
        };
        Self::new(state, format!("cannot {doing} {what}: {error}"))
    }

    /// An error with a state and a message.
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            state,
            message: message.into(),
            detail: None,
            hint: None,
            location: None,
        }))
    }

    /// Something that clickmill does not do: `0A000`.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{what} is not supported"),
        )
    }

    /// A broken invariant of clickmill itself: `XX000`.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL, message)
    }

    /// Adds the place, unless one is known already.
    #[must_use]
    pub fn at(mut self, location: Option<Location>) -> Self {
        self.0.location = self.0.location.or(location);
        self
    }

    /// Adds a hint: what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// The SQLSTATE.
    pub fn state(&self) -> SqlState {
        self.0.state
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The detail, if any.
    pub fn detail_text(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The hint, if any.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The place in the statement, if known.
    pub fn location(&self) -> Option<Location> {
        self.0.location
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(detail) = &self.0.detail {
            write!(f, "\nDETAIL: {detail}")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "\nHINT: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.0.state.0)
    }
}

impl std::error::Error for Error {}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError;
        match error {
            ArrowError::DivideByZero => Self::new(SqlState::DIVISION_BY_ZERO, "division by zero"),
            ArrowError::ArithmeticOverflow(what) => Self::new(SqlState::NUMERIC_OUT_OF_RANGE, what),
            ArrowError::CastError(what) | ArrowError::ParseError(what) => cast_error(&what),
            other => Self::internal(other.to_string()),
        }
    }
}

/// What Arrow says of a value that cannot become one of another type, as PostgreSQL says it.
fn cast_error(what: &str) -> Error {
    let text = what.strip_prefix("Cannot cast string '");
    if let Some((value, data_type)) = text.and_then(|t| t.rsplit_once("' to value of ")) {
        let data_type = data_type.strip_suffix(" type").unwrap_or(data_type);
        return invalid_text(SqlState::INVALID_TEXT, data_type, value);
    }
    let text = what.strip_prefix("Error parsing timestamp from '");
    if let Some((value, _)) = text.and_then(|t| t.rsplit_once("': ")) {
        return invalid_text(SqlState::INVALID_DATETIME, "timestamp", value);
    }
    let text = what.strip_prefix("Can't cast value ");
    if let Some((value, data_type)) = text.and_then(|t| t.rsplit_once(" to type ")) {
        let message = format!("{} out of range", with_sql_types(data_type));
        return Error::new(SqlState::NUMERIC_OUT_OF_RANGE, message)
            .detail(format!("the value is {value}"));
    }
    Error::new(SqlState::INVALID_TEXT, with_sql_types(what))
}

fn invalid_text(state: SqlState, data_type: &str, value: &str) -> Error {
    let data_type = with_sql_types(data_type);
    Error::new(
        state,
        format!("invalid input syntax for type {data_type}: \"{value}\""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_counts_characters_not_bytes() {
        let text = "SELECT 'é',\n  bad";
        assert_eq!(Location { line: 2, column: 3 }.char_index(text), 15);
        assert_eq!(Location { line: 1, column: 1 }.char_index(text), 1);
    }

    #[test]
    fn casts_fail_in_the_words_of_postgres() {
        let cases = [
            (
                "Cannot cast string 'it's' to value of Int64 type",
                "22P02 invalid input syntax for type bigint: \"it's\"",
            ),
            (
                "Error parsing timestamp from 'x': error parsing date",
                "22007 invalid input syntax for type timestamp: \"x\"",
            ),
            (
                "Can't cast value 3000000000 to type Int32",
                "22003 integer out of range\nDETAIL: the value is 3000000000",
            ),
        ];
        for (arrow, expected) in cases {
            let error = Error::from(arrow::error::ArrowError::CastError(arrow.to_owned()));
            assert_eq!(format!("{error:?}"), expected);
        }
    }
}
