//! `CREATE SAVEPOINT name` and `DROP SAVEPOINT [IF EXISTS] name`: the state as it is, under a name. Not those of transactions.

use dataflow::Result;

use super::cursor::Cursor;
use crate::ast::Statement;

/// Reads what follows `CREATE SAVEPOINT`.
pub(super) fn create_savepoint(cursor: &mut Cursor<'_>) -> Result<Statement> {
    Ok(Statement::CreateSavepoint(cursor.name()?))
}

/// Reads what follows `DROP SAVEPOINT`.
pub(super) fn drop_savepoint(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let if_exists = cursor.accept(&["IF", "EXISTS"]);
    Ok(Statement::DropSavepoint {
        name: cursor.name()?,
        if_exists,
    })
}
