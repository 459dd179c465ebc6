//! `DROP kind [IF EXISTS] name, … [CASCADE | RESTRICT]`.

use dataflow::Result;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::{savepoint, unsupported};
use crate::ast::{Drop, ObjectKind, Statement};

/// Reads a DROP statement; other kinds of objects are refused by name.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.clone();
    cursor.expect(&["DROP"])?;
    if cursor.accept(&["SAVEPOINT"]) {
        return savepoint::drop_savepoint(cursor);
    }
    let Some(kind) = object_kind(cursor) else {
        return Err(unsupported::refuse_statement(&start));
    };
    let if_exists = cursor.accept(&["IF", "EXISTS"]);
    let mut names = vec![cursor.name()?];
    while cursor.accept_token(&Token::Comma) {
        names.push(cursor.name()?);
    }
    let cascade = cursor.accept(&["CASCADE"]);
    if !cascade {
        cursor.accept(&["RESTRICT"]);
    }
    Ok(Statement::Drop(Drop {
        kind,
        names,
        if_exists,
        cascade,
    }))
}

/// Reads the kind of an object.
pub(super) fn object_kind(cursor: &mut Cursor<'_>) -> Option<ObjectKind> {
    let kinds = [
        (["SOURCE"].as_slice(), ObjectKind::Source),
        (&["TABLE"], ObjectKind::Table),
        (&["VIEW"], ObjectKind::View),
        (&["MATERIALIZED", "VIEW"], ObjectKind::MaterializedView),
        (&["SINK"], ObjectKind::Sink),
    ];
    kinds
        .into_iter()
        .find(|(words, _)| cursor.accept(words))
        .map(|(_, kind)| kind)
}
