//! `CREATE [OR REPLACE] [MATERIALIZED] VIEW name [(columns)] [WITH (…)] AS query [EMIT …] [ALLOW LATENESS …]`.

use dataflow::Result;
use sqlparser::tokenizer::Token;

use super::create::if_not_exists;
use super::cursor::Cursor;
use super::emit::emission;
use super::with_options::options;
use crate::ast::{CreateView, Statement};

/// Reads what follows `CREATE [OR REPLACE] [MATERIALIZED] VIEW`.
pub(super) fn create_view(
    cursor: &mut Cursor<'_>,
    materialized: bool,
    or_replace: bool,
) -> Result<Statement> {
    // As in PostgreSQL it is one or the other.
    let if_not_exists = !or_replace && if_not_exists(cursor);
    let name = cursor.name()?;
    let columns = if cursor.sees_token(&Token::LParen) {
        cursor.column_list()?
    } else {
        Vec::new()
    };
    for clause in ["USING", "TABLESPACE", "COMMENT", "REFRESH"] {
        cursor.refuse(&[clause])?;
    }
    let options = if cursor.accept(&["WITH"]) {
        options(cursor)?
    } else {
        Vec::new()
    };
    cursor.refuse(&["TABLESPACE"])?;
    cursor.expect(&["AS"])?;
    let start = cursor.position();
    let query = super::query(cursor)?;
    let query_text = cursor.text_since(start).to_owned();
    let emission = emission(cursor)?;
    refuse_tail(cursor)?;
    Ok(Statement::CreateView(CreateView {
        name,
        materialized,
        or_replace,
        if_not_exists,
        columns,
        options,
        query,
        query_text,
        emission,
    }))
}

fn refuse_tail(cursor: &Cursor<'_>) -> Result<()> {
    for clause in [
        ["WITH", "NO"].as_slice(),
        &["WITH", "DATA"],
        &["WITH", "CHECK"],
        &["WITH", "LOCAL"],
    ] {
        cursor.refuse(clause)?;
    }
    cursor.refuse(&["WITH", "CASCADED"])
}
