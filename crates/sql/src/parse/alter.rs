//! `ALTER MATERIALIZED VIEW | SINK [IF EXISTS] name { SUSPEND | RESUME [SKIP] }`, and `ALTER SOURCE … ADD COLUMN …`.

use dataflow::Result;
use sqlparser::tokenizer::Token;

use super::columns::Declared;
use super::create::if_not_exists;
use super::cursor::Cursor;
use super::unsupported;
use crate::ast::{AlterSource, AlterView, ObjectKind, Statement, ViewAction};

/// Reads an ALTER statement; other kinds of objects and other actions are refused by name.
pub(super) fn alter(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.clone();
    cursor.expect(&["ALTER"])?;
    if cursor.accept(&["SOURCE"]) || cursor.accept(&["TABLE"]) {
        return alter_source(cursor, &start);
    }
    let kind = if cursor.accept(&["MATERIALIZED", "VIEW"]) {
        ObjectKind::MaterializedView
    } else if cursor.accept(&["SINK"]) {
        ObjectKind::Sink
    } else {
        return Err(unsupported::refuse_statement(&start));
    };
    let if_exists = cursor.accept(&["IF", "EXISTS"]);
    let name = cursor.name()?;
    if cursor.at_end() {
        return Err(cursor.unexpected());
    }
    let is_view = kind == ObjectKind::MaterializedView;
    let action = if is_view && cursor.accept(&["SUSPEND"]) {
        ViewAction::Suspend
    } else if cursor.accept(&["RESUME"]) {
        ViewAction::Resume {
            skip: is_view && cursor.accept(&["SKIP"]),
        }
    } else if !is_view {
        return Err(cursor
            .unsupported("this change of a sink")
            .hint("RESUME; to change its query or options, DROP it and create it anew"));
    } else {
        return Err(cursor
            .unsupported("this change of a materialized view")
            .hint(
                "SUSPEND, RESUME and RESUME SKIP; to change its query, DROP it and create it anew",
            ));
    };
    Ok(Statement::AlterView(AlterView {
        kind,
        name,
        if_exists,
        action,
    }))
}

/// Reads what follows `ALTER SOURCE`, or `ALTER TABLE` as Flink has it for a source.
fn alter_source(cursor: &mut Cursor<'_>, start: &Cursor<'_>) -> Result<Statement> {
    let if_exists = cursor.accept(&["IF", "EXISTS"]);
    let name = cursor.name()?;
    if cursor.at_end() {
        return Err(cursor.unexpected());
    }
    if !cursor.accept(&["ADD"]) {
        let refused = unsupported::refuse_statement(start);
        return Err(refused.hint("ALTER SOURCE name ADD COLUMN … is what there is"));
    }
    cursor.accept(&["COLUMN"]);
    let if_not_exists = if_not_exists(cursor);
    if cursor.sees_token(&Token::LParen) {
        return Err(cursor
            .unsupported("a list of columns in ADD")
            .hint("add one column by a statement"));
    }
    cursor.refuse(&["WATERMARK", "FOR"])?;
    let column_location = cursor.location();
    let column = Declared::one_column(cursor)?;
    Ok(Statement::AlterSource(AlterSource {
        name,
        if_exists,
        if_not_exists,
        column,
        column_location,
    }))
}
