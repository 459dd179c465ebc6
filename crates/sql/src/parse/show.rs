//! `SHOW …`.

use dataflow::{Error, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::drop::object_kind;
use super::set::setting_name;
use crate::ast::{Name, Show, Statement};

/// Reads a SHOW statement.
pub(super) fn show(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["SHOW"])?;
    let lists = [
        (["SOURCES"].as_slice(), Show::Sources),
        (&["TABLES"], Show::Tables),
        (&["VIEWS"], Show::Views),
        (&["MATERIALIZED", "VIEWS"], Show::MaterializedViews),
        (&["SINKS"], Show::Sinks),
        (&["SAVEPOINTS"], Show::Savepoints),
        (&["JOBS"], Show::Jobs),
    ];
    for (words, show) in lists {
        if cursor.accept(words) {
            return list(cursor, words, show);
        }
    }
    if cursor.accept(&["CREATE"]) {
        let Some(kind) = object_kind(cursor) else {
            let what = format!("SHOW CREATE {}", cursor.next_text().to_ascii_uppercase());
            return Err(if cursor.at_end() {
                cursor.unexpected()
            } else {
                cursor.unsupported(what)
            });
        };
        return Ok(Statement::Show(Show::Create(kind, cursor.name()?)));
    }
    for what in [
        "INDEXES",
        "COLUMNS",
        "DATABASES",
        "SCHEMAS",
        "FUNCTIONS",
        "CONNECTIONS",
    ] {
        if cursor.sees(&[what]) {
            return Err(cursor.unsupported(format!("SHOW {what}")));
        }
    }
    if cursor.accept(&["ALL"]) {
        return Ok(Statement::Show(Show::AllSettings));
    }
    let location = cursor.location();
    for (words, setting) in [
        (["TIME", "ZONE"].as_slice(), "timezone"),
        (
            &["TRANSACTION", "ISOLATION", "LEVEL"],
            "transaction_isolation",
        ),
        (&["SESSION", "AUTHORIZATION"], "session_authorization"),
    ] {
        if cursor.accept(words) {
            return Ok(Statement::Show(Show::Setting(Name {
                value: setting.to_owned(),
                location,
            })));
        }
    }
    Ok(Statement::Show(Show::Setting(setting_name(cursor)?)))
}

/// A list of objects, which takes no filter.
fn list(cursor: &Cursor<'_>, words: &[&str], show: Show) -> Result<Statement> {
    if cursor.at_end() || cursor.sees_token(&Token::RParen) {
        return Ok(Statement::Show(show));
    }
    match ["LIKE", "ILIKE", "FROM", "IN", "WHERE"]
        .iter()
        .find(|word| cursor.sees(&[word]))
    {
        Some(word) => Err(
            Error::unsupported(format!("SHOW {} {word}", words.join(" "))).at(cursor.location()),
        ),
        None => Err(cursor.unexpected()),
    }
}
