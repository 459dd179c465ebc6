//! `INSERT INTO table [(columns)] query` and `ADVANCE WATERMARK FOR table TO time`.

use dataflow::{Error, Result};
use sqlparser::ast::{Expr, SetExpr};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::ast::{Insert, Statement};
use crate::location::from_span;

/// Reads an INSERT statement.
pub(super) fn insert(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["INSERT"])?;
    cursor.refuse(&["OVERWRITE"])?;
    cursor.expect(&["INTO"])?;
    let table = cursor.name()?;
    if cursor.sees(&["AS"]) {
        return Err(cursor.unsupported("INSERT INTO … AS alias"));
    }
    let columns = if lists_columns(cursor) {
        cursor.column_list()?
    } else {
        Vec::new()
    };
    for clause in [["DEFAULT", "VALUES"].as_slice(), &["OVERRIDING"]] {
        cursor.refuse(clause)?;
    }
    let query = super::query(cursor)?;
    if let SetExpr::Values(values) = query.body.as_ref() {
        for expr in values.rows.iter().flat_map(|row| &row.content) {
            refuse_default(expr)?;
        }
    }
    for clause in [
        ["ON", "CONFLICT"].as_slice(),
        &["RETURNING"],
        &["ON", "DUPLICATE"],
    ] {
        cursor.refuse(clause)?;
    }
    if cursor.sees(&["EMIT"]) {
        return Err(cursor
            .unsupported("EMIT in INSERT")
            .hint("use CREATE MATERIALIZED VIEW … EMIT …"));
    }
    Ok(Statement::Insert(Insert {
        table,
        columns,
        query,
    }))
}

/// Whether the parenthesis that is next opens a list of columns rather than a query.
fn lists_columns(cursor: &Cursor<'_>) -> bool {
    let query = |word: &str| {
        ["SELECT", "VALUES", "WITH", "TABLE"]
            .iter()
            .any(|w| word.eq_ignore_ascii_case(w))
    };
    cursor.sees_token(&Token::LParen)
        && cursor
            .word_at(1)
            .is_some_and(|word| word.quote_style.is_some() || !query(&word.value))
}

fn refuse_default(expr: &Expr) -> Result<()> {
    match expr {
        Expr::Identifier(name)
            if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") =>
        {
            Err(Error::unsupported("DEFAULT as a value")
                .hint("columns have no defaults; leave the column out for NULL")
                .at(from_span(name.span)))
        }
        _ => Ok(()),
    }
}

/// Reads `ADVANCE WATERMARK FOR table TO time`.
pub(super) fn advance_watermark(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["ADVANCE", "WATERMARK", "FOR"])?;
    let name = cursor.name()?;
    cursor.expect(&["TO"])?;
    let to = cursor.expr()?;
    Ok(Statement::AdvanceWatermark { name, to })
}
