//! What goes wrong with a server, as errors: what may pass by itself, and what may not.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use dataflow::{Error, SqlState};
use tokio_postgres::error::DbError;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It took too long.
    Late(Duration),
    /// This machine could not.
    Local(io::Error),
    /// The server or the connection to it.
    Server(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl Trouble {
    /// Whether the server said so, with SQLSTATE `code`.
    pub(super) fn is(&self, code: &str) -> bool {
        match self {
            Self::Server(error) => error.code().is_some_and(|found| found.code() == code),
            Self::Late(_) | Self::Local(_) => false,
        }
    }

    /// As an error: PostgreSQL refused `what`, or did not take it.
    pub(super) fn about(&self, what: &str) -> Error {
        let untaken = |state, why: String| {
            Error::new(state, format!("PostgreSQL did not take {what}: {why}"))
        };
        match self {
            Self::Late(limit) => untaken(
                SqlState::CONNECTION_FAILURE,
                format!("no answer within {} s", limit.as_secs()),
            ),
            Self::Local(error) => untaken(SqlState("53000"), error.to_string()),
            Self::Server(error) => match error.as_db_error() {
                Some(answer) => refused(answer, what),
                None => untaken(broken(error), chain(error)),
            },
        }
    }
}

/// What the server answered.
fn refused(answer: &DbError, what: &str) -> Error {
    let message = format!("PostgreSQL refused {what}: {}", answer.message());
    let mut error = Error::new(state(answer.code().code()), message);
    if let Some(detail) = answer.detail() {
        error = error.detail(detail);
    }
    if let Some(hint) = answer.hint() {
        error = error.hint(hint);
    }
    error
}

/// States that are handed on as they are.
const KNOWN: &[&str] = &[
    "08000", "08001", "08003", "08004", "08006", "08007", "08P01", "22001", "22003", "22007",
    "22008", "22021", "22P02", "23502", "23503", "23505", "23514", "28000", "28P01", "3D000",
    "3F000", "40001", "40002", "40003", "40P01", "42501", "42601", "42703", "42804", "42P01",
    "42P10", "53000", "53100", "53200", "53300", "53400", "57000", "57014", "57P01", "57P02",
    "57P03", "57P04", "57P05", "58000", "58030",
];

/// The state of an error of the server.
pub(super) fn state(code: &str) -> SqlState {
    if let Some(known) = KNOWN.iter().find(|known| **known == code) {
        return SqlState(known);
    }
    match (code.get(..2), code) {
        (Some("08"), _) => SqlState::CONNECTION_FAILURE,
        (Some("40"), _) => SqlState("40000"),
        (Some("53"), _) => SqlState("53000"),
        (Some("57"), _) => SqlState("57000"),
        (Some("58"), _) => SqlState("58000"),
        // A server that does not write at present, a lock that others hold, and ends of idle or long transactions.
        (_, "25006" | "25P03" | "25P04" | "55P03") => SqlState::CONNECTION_FAILURE,
        _ => SqlState::INVALID_PARAMETER,
    }
}

/// The state of an error that no server sent.
fn broken(error: &tokio_postgres::Error) -> SqlState {
    match error.source() {
        // The connection was closed, or something else than PostgreSQL speaks there.
        None => SqlState::CONNECTION_FAILURE,
        Some(source) if source.is::<io::Error>() => SqlState::CONNECTION_FAILURE,
        // Such as a password that is missing.
        Some(_) => SqlState::INVALID_PARAMETER,
    }
}

fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    if let Some(source) = error.source() {
        text = format!("{text}: {source}");
    }
    text
}
