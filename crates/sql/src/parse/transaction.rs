//! `BEGIN`, `START TRANSACTION`, `COMMIT`, `END`, `ROLLBACK` and `ABORT`.

use dataflow::{Location, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::unsupported;
use crate::ast::Statement;

/// A mode of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// `ISOLATION LEVEL …`, in lower case.
    Isolation(&'static str),
    /// `READ ONLY` or `READ WRITE`.
    ReadOnly(bool),
    /// `[NOT] DEFERRABLE`.
    Deferrable(bool),
}

/// Reads a statement that begins or ends a transaction.
pub(super) fn transaction(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.clone();
    let word = cursor.accept_one_of(&["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT"]);
    match word {
        Some("START") => {
            cursor.expect(&["TRANSACTION"])?;
            begin(cursor)
        }
        Some("BEGIN") => {
            noise(cursor);
            begin(cursor)
        }
        Some("COMMIT" | "END") => {
            if cursor.sees(&["PREPARED"]) {
                return Err(unsupported::refuse_statement(&start));
            }
            noise(cursor);
            refuse_chain(cursor)?;
            Ok(Statement::Commit)
        }
        _ => {
            if cursor.sees(&["PREPARED"]) || cursor.sees(&["TO"]) {
                return Err(unsupported::refuse_statement(&start));
            }
            noise(cursor);
            if cursor.sees(&["TO"]) {
                return Err(cursor.unsupported("ROLLBACK TO"));
            }
            refuse_chain(cursor)?;
            Ok(Statement::Rollback)
        }
    }
}

fn noise(cursor: &mut Cursor<'_>) {
    cursor.accept_one_of(&["WORK", "TRANSACTION"]);
}

fn begin(cursor: &mut Cursor<'_>) -> Result<Statement> {
    if !cursor.at_end() {
        modes(cursor)?;
    }
    Ok(Statement::Begin)
}

fn refuse_chain(cursor: &mut Cursor<'_>) -> Result<()> {
    cursor.accept(&["AND", "NO", "CHAIN"]);
    cursor.refuse(&["AND", "CHAIN"])
}

/// Reads transaction modes, with or without commas between, each with its place.
pub(super) fn modes(cursor: &mut Cursor<'_>) -> Result<Vec<(Mode, Option<Location>)>> {
    let mut modes = vec![mode(cursor)?];
    while !cursor.at_end() {
        cursor.accept_token(&Token::Comma);
        modes.push(mode(cursor)?);
    }
    Ok(modes)
}

fn mode(cursor: &mut Cursor<'_>) -> Result<(Mode, Option<Location>)> {
    let forms: [(&[&str], Mode); 8] = [
        (
            &["ISOLATION", "LEVEL", "SERIALIZABLE"],
            Mode::Isolation("serializable"),
        ),
        (
            &["ISOLATION", "LEVEL", "REPEATABLE", "READ"],
            Mode::Isolation("repeatable read"),
        ),
        (
            &["ISOLATION", "LEVEL", "READ", "COMMITTED"],
            Mode::Isolation("read committed"),
        ),
        (
            &["ISOLATION", "LEVEL", "READ", "UNCOMMITTED"],
            Mode::Isolation("read uncommitted"),
        ),
        (&["READ", "ONLY"], Mode::ReadOnly(true)),
        (&["READ", "WRITE"], Mode::ReadOnly(false)),
        (&["NOT", "DEFERRABLE"], Mode::Deferrable(false)),
        (&["DEFERRABLE"], Mode::Deferrable(true)),
    ];
    let location = cursor.location();
    for (words, mode) in forms {
        if cursor.accept(words) {
            return Ok((mode, location));
        }
    }
    Err(cursor.unexpected())
}
