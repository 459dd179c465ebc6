//! `ALTER MATERIALIZED VIEW [IF EXISTS] name { SUSPEND | RESUME [SKIP] }`.

use dataflow::Result;

use super::cursor::Cursor;
use super::unsupported;
use crate::ast::{AlterView, Statement, ViewAction};

/// Reads an ALTER statement; other kinds of objects and other actions are refused by name.
pub(super) fn alter(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.clone();
    cursor.expect(&["ALTER"])?;
    if !cursor.accept(&["MATERIALIZED", "VIEW"]) {
        return Err(unsupported::refuse_statement(&start));
    }
    let if_exists = cursor.accept(&["IF", "EXISTS"]);
    let name = cursor.name()?;
    if cursor.at_end() {
        return Err(cursor.unexpected());
    }
    let action = if cursor.accept(&["SUSPEND"]) {
        ViewAction::Suspend
    } else if cursor.accept(&["RESUME"]) {
        ViewAction::Resume {
            skip: cursor.accept(&["SKIP"]),
        }
    } else {
        return Err(cursor
            .unsupported("this change of a materialized view")
            .hint(
                "SUSPEND, RESUME and RESUME SKIP; to change its query, DROP it and create it anew",
            ));
    };
    Ok(Statement::AlterView(AlterView {
        name,
        if_exists,
        action,
    }))
}
