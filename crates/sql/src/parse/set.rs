//! `SET`, `RESET` and `DISCARD`.

use dataflow::{Error, Location, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::transaction::{Mode, modes};
use super::unsupported;
use crate::ast::{Name, Statement};
use crate::name::{fold, quote};

/// Reads a SET statement.
pub(super) fn set(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.location();
    cursor.expect(&["SET"])?;
    if cursor.sees(&["SESSION", "CHARACTERISTICS"]) {
        cursor.expect(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"])?;
        return characteristics(cursor, "default_transaction", false);
    }
    refuse_forms(cursor)?;
    let local = cursor.accept(&["LOCAL"]);
    if !local && cursor.word_at(1).is_some() {
        cursor.accept(&["SESSION"]);
    }
    refuse_forms(cursor)?;
    let location = cursor.location();
    let named = |name: &str, value| Statement::Set {
        name: name_at(name, location),
        value,
        local,
    };
    if cursor.sees(&["TRANSACTION"]) && !local {
        cursor.skip();
        cursor.refuse(&["SNAPSHOT"])?;
        return characteristics(cursor, "transaction", true);
    }
    if cursor.accept(&["TIME", "ZONE"]) {
        return Ok(named("timezone", time_zone(cursor)?));
    }
    if cursor.accept(&["NAMES"]) {
        let value = if cursor.at_end() {
            None
        } else {
            value_list(cursor)?
        };
        return Ok(named("client_encoding", value));
    }
    if cursor.accept(&["SCHEMA"]) {
        return Ok(named("search_path", Some(cursor.string()?.to_owned())));
    }
    if cursor.at_end() {
        return Err(cursor.unexpected().at(start));
    }
    let name = setting_name(cursor)?;
    if !cursor.accept_token(&Token::Eq) && !cursor.accept(&["TO"]) {
        return Err(cursor.unexpected().detail("expected TO or ="));
    }
    Ok(Statement::Set {
        name,
        value: value_list(cursor)?,
        local,
    })
}

fn refuse_forms(cursor: &Cursor<'_>) -> Result<()> {
    for form in [
        ["SESSION", "AUTHORIZATION"].as_slice(),
        &["ROLE"],
        &["CONSTRAINTS"],
        &["XML", "OPTION"],
    ] {
        if cursor.sees(form) && cursor.peek(form.len()) != Some(&Token::Eq) {
            return Err(cursor.unsupported(format!("SET {}", form.join(" "))));
        }
    }
    Ok(())
}

/// Reads `RESET name`, `RESET ALL` or `RESET TIME ZONE`.
pub(super) fn reset(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["RESET"])?;
    if cursor.accept(&["ALL"]) {
        return Ok(Statement::Reset(None));
    }
    for form in [["SESSION", "AUTHORIZATION"].as_slice(), &["ROLE"]] {
        if cursor.sees(form) {
            return Err(cursor.unsupported(format!("RESET {}", form.join(" "))));
        }
    }
    let location = cursor.location();
    let name = if cursor.accept(&["TIME", "ZONE"]) {
        name_at("timezone", location)
    } else if cursor.accept(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        name_at("transaction_isolation", location)
    } else {
        setting_name(cursor)?
    };
    Ok(Statement::Reset(Some(name)))
}

/// Reads `DISCARD ALL`.
pub(super) fn discard(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.clone();
    cursor.expect(&["DISCARD"])?;
    if cursor.accept(&["ALL"]) {
        return Ok(Statement::DiscardAll);
    }
    Err(unsupported::refuse_statement(&start))
}

/// Reads the name of a setting, lower-case, with dots.
pub(super) fn setting_name(cursor: &mut Cursor<'_>) -> Result<Name> {
    let location = cursor.location();
    let mut value = String::new();
    loop {
        let word = cursor
            .word_at(0)
            .ok_or_else(|| cursor.unexpected().detail("expected the name of a setting"))?;
        value.push_str(&word.value.to_lowercase());
        cursor.skip();
        if !cursor.accept_token(&Token::Period) {
            return Ok(Name { value, location });
        }
        value.push('.');
    }
}

/// Reads `DEFAULT` (`None`) or values separated by commas, joined by `, `.
fn value_list(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    if cursor.accept(&["DEFAULT"]) {
        return Ok(None);
    }
    let first = value(cursor, false)?;
    if !cursor.sees_token(&Token::Comma) {
        return Ok(Some(first));
    }
    let mut values = first;
    while cursor.accept_token(&Token::Comma) {
        values.push_str(", ");
        values.push_str(&value(cursor, true)?);
    }
    Ok(Some(values))
}

/// One value as text. In a list, names that need quotes keep them.
fn value(cursor: &mut Cursor<'_>, in_list: bool) -> Result<String> {
    if cursor.peek_string().is_some() {
        return Ok(cursor.string()?.to_owned());
    }
    let sign = if cursor.accept_token(&Token::Minus) {
        "-"
    } else {
        ""
    };
    if sign.is_empty() {
        cursor.accept_token(&Token::Plus);
    }
    let list = in_list || cursor.peek(1) == Some(&Token::Comma);
    let text = match cursor.peek(0) {
        Some(Token::Number(digits, false)) => format!("{sign}{digits}"),
        Some(Token::Word(word)) if sign.is_empty() => match word.quote_style {
            Some(_) if list || word.value.starts_with('$') => quote(&word.value),
            _ => fold(word),
        },
        _ => return Err(cursor.unexpected().detail("expected a value")),
    };
    cursor.skip();
    Ok(text)
}

/// The value of `SET TIME ZONE`: `LOCAL` and `DEFAULT` are the default.
fn time_zone(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    if cursor.accept(&["LOCAL"]) {
        return Ok(None);
    }
    if cursor.sees(&["INTERVAL"]) {
        return Err(cursor
            .unsupported("SET TIME ZONE INTERVAL")
            .hint("write it as a name or as '+02:00'"));
    }
    value_list(cursor)
}

/// One characteristic of transactions as the setting that stands for it.
fn characteristics(cursor: &mut Cursor<'_>, prefix: &str, local: bool) -> Result<Statement> {
    let location = cursor.location();
    let mut modes = modes(cursor)?.into_iter();
    let Some((mode, _)) = modes.next() else {
        return Err(cursor.unexpected());
    };
    if let Some((_, at)) = modes.next() {
        return Err(
            Error::unsupported("more than one transaction mode in one SET")
                .hint("use one SET for each")
                .at(at),
        );
    }
    let (name, value) = match mode {
        Mode::Isolation(level) => (format!("{prefix}_isolation"), level.to_owned()),
        Mode::ReadOnly(yes) => (format!("{prefix}_read_only"), on_off(yes)),
        Mode::Deferrable(yes) => (format!("{prefix}_deferrable"), on_off(yes)),
    };
    Ok(Statement::Set {
        name: name_at(&name, location),
        value: Some(value),
        local,
    })
}

fn on_off(yes: bool) -> String {
    if yes { "on" } else { "off" }.to_owned()
}

fn name_at(value: &str, location: Option<Location>) -> Name {
    Name {
        value: value.to_owned(),
        location,
    }
}
