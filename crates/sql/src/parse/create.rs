//! `CREATE …`: which kind, and the words between.

use dataflow::Result;

use super::cursor::Cursor;
use super::{create_sink, create_source, create_view, savepoint, unsupported};
use crate::ast::Statement;

/// Reads `CREATE SOURCE`, `TABLE`, `[MATERIALIZED] VIEW`, `SINK` or `SAVEPOINT`; refuses the rest by name.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.clone();
    cursor.expect(&["CREATE"])?;
    let or_replace = accept_replace(cursor)?;
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
        return create_view::create_view(cursor, true, or_replace);
    }
    if cursor.accept(&["VIEW"]) {
        return create_view::create_view(cursor, false, or_replace);
    }
    if cursor.accept(&["SINK"]) {
        return create_sink::create_sink(cursor);
    }
    if cursor.accept(&["SAVEPOINT"]) {
        return savepoint::create_savepoint(cursor);
    }
    Err(unsupported::refuse_statement(&start))
}

/// Reads `OR REPLACE`, which is for views.
fn accept_replace(cursor: &mut Cursor<'_>) -> Result<bool> {
    let start = cursor.clone();
    if !cursor.accept(&["OR", "REPLACE"]) {
        return Ok(false);
    }
    let views = [["VIEW"].as_slice(), &["MATERIALIZED", "VIEW"]];
    if views.iter().any(|words| cursor.sees(words)) {
        return Ok(true);
    }
    let hint = "views can be replaced; DROP other objects first";
    Err(start.unsupported("CREATE OR REPLACE").hint(hint))
}

/// Reads `IF NOT EXISTS`.
pub(super) fn if_not_exists(cursor: &mut Cursor<'_>) -> bool {
    cursor.accept(&["IF", "NOT", "EXISTS"])
}
