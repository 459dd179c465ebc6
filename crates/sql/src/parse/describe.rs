//! `DESCRIBE name`, or `DESC name`.

use dataflow::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::ast::Statement;

/// Reads a DESCRIBE statement.
pub(super) fn describe(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.skip();
    for query in ["SELECT", "WITH", "VALUES"] {
        if cursor.sees(&[query]) || cursor.sees_token(&Token::LParen) {
            return Err(cursor
                .unsupported("DESCRIBE of a query")
                .hint("EXPLAIN tells how a query is carried out"));
        }
    }
    for word in [
        "EXTENDED",
        "FORMATTED",
        "CATALOG",
        "DATABASE",
        "FUNCTION",
        "JOB",
    ] {
        // These can also be names of relations; then nothing follows.
        if cursor.sees(&[word]) && cursor.word_at(1).is_some() {
            return Err(cursor.unsupported(format!("DESCRIBE {word}")));
        }
    }
    Ok(Statement::Describe(cursor.name()?))
}
