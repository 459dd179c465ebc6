//! `EXPLAIN [VERBOSE] statement`.

use dataflow::{Error, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::ast::{Explain, Statement};

/// Reads an EXPLAIN statement.
pub(super) fn explain(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["EXPLAIN"])?;
    cursor.refuse(&["ANALYZE"])?;
    cursor.refuse(&["ANALYSE"])?;
    let verbose = if lists_options(cursor) {
        options(cursor)?
    } else {
        cursor.accept(&["VERBOSE"])
    };
    cursor.refuse(&["ANALYZE"])?;
    let at = cursor.location();
    if cursor.sees(&["EXPLAIN"]) {
        return Err(cursor.unexpected());
    }
    let statement = super::statement(cursor)?;
    match statement {
        Statement::Query(_)
        | Statement::Subscribe(_)
        | Statement::CreateView(_)
        | Statement::CreateSink(_) => Ok(Statement::Explain(Explain {
            verbose,
            statement: Box::new(statement),
        })),
        _ => Err(Error::unsupported("EXPLAIN of this statement")
            .hint("EXPLAIN takes a query, SUBSCRIBE, CREATE MATERIALIZED VIEW or CREATE SINK")
            .at(at)),
    }
}

/// Whether the parenthesis that is next opens a list of options rather than a query.
fn lists_options(cursor: &Cursor<'_>) -> bool {
    let words = [
        "ANALYZE",
        "VERBOSE",
        "COSTS",
        "SETTINGS",
        "GENERIC_PLAN",
        "BUFFERS",
        "SERIALIZE",
        "WAL",
        "TIMING",
        "SUMMARY",
        "MEMORY",
        "FORMAT",
    ];
    cursor.sees_token(&Token::LParen)
        && cursor.word_at(1).is_some_and(|word| {
            words
                .iter()
                .any(|text| word.value.eq_ignore_ascii_case(text))
        })
}

/// Reads `(VERBOSE [boolean])`; refuses every other option.
fn options(cursor: &mut Cursor<'_>) -> Result<bool> {
    cursor.expect_token(&Token::LParen)?;
    loop {
        if !cursor.sees(&["VERBOSE"]) {
            let name = cursor.next_text().to_ascii_uppercase();
            return Err(cursor.unsupported(format!("EXPLAIN option {name}")));
        }
        cursor.skip();
        let verbose = cursor.boolean().unwrap_or(true);
        if !cursor.accept_token(&Token::Comma) {
            cursor.expect_token(&Token::RParen)?;
            return Ok(verbose);
        }
    }
}
