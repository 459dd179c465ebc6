//! `CREATE …`: which kind, and the words between.

use dataflow::Result;

use super::cursor::Cursor;
use super::{create_sink, create_source, create_view, savepoint, unsupported};
use crate::ast::Statement;

/// Reads `CREATE SOURCE`, `TABLE`, `[MATERIALIZED] VIEW`, `SINK` or `SAVEPOINT`; refuses the rest by name.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.clone();
    cursor.expect(&["CREATE"])?;
    if cursor.sees(&["OR", "REPLACE"]) {
        return Err(cursor
            .unsupported("CREATE OR REPLACE")
            .hint("DROP the object first"));
    }
    let temporary = [
        "TEMPORARY",
        "TEMP",
        "UNLOGGED",
        "GLOBAL",
        "LOCAL",
        "RECURSIVE",
    ];
    if let Some(word) = temporary.iter().find(|word| cursor.sees(&[word])) {
        return Err(cursor.unsupported(format!("CREATE {word}")));
    }
    if cursor.accept(&["SOURCE"]) {
        return create_source::create_source(cursor);
    }
    if cursor.accept(&["TABLE"]) {
        return create_source::create_table(cursor);
    }
    if cursor.accept(&["MATERIALIZED", "VIEW"]) {
        return create_view::create_view(cursor, true);
    }
    if cursor.accept(&["VIEW"]) {
        return create_view::create_view(cursor, false);
    }
    if cursor.accept(&["SINK"]) {
        return create_sink::create_sink(cursor);
    }
    if cursor.accept(&["SAVEPOINT"]) {
        return savepoint::create_savepoint(cursor);
    }
    Err(unsupported::refuse_statement(&start))
}

/// Reads `IF NOT EXISTS`.
pub(super) fn if_not_exists(cursor: &mut Cursor<'_>) -> bool {
    cursor.accept(&["IF", "NOT", "EXISTS"])
}
