//! `WITH (name = value, …)`.

use dataflow::options::OptionEntry;
use dataflow::{Error, Result, SqlState};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::name::fold;

/// Reads `(name = value, …)`. A name is words with dots and hyphens between (lower case unless quoted) or a string; a value is a
/// string, a number, or one word such as `true`.
pub(super) fn options(cursor: &mut Cursor<'_>) -> Result<Vec<OptionEntry>> {
    cursor.expect_token(&Token::LParen)?;
    let mut entries = vec![entry(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        let next = entry(cursor)?;
        if entries.iter().any(|other| other.name == next.name) {
            let message = format!("option \"{}\" is given twice", next.name);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(next.location));
        }
        entries.push(next);
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(entries)
}

fn entry(cursor: &mut Cursor<'_>) -> Result<OptionEntry> {
    let location = cursor.location();
    let name = name(cursor)?;
    cursor.expect_token(&Token::Eq)?;
    let value = value(cursor)?;
    Ok(OptionEntry {
        name,
        value,
        location,
    })
}

fn name(cursor: &mut Cursor<'_>) -> Result<String> {
    if cursor.peek_string().is_some() {
        return Ok(cursor.string()?.to_owned());
    }
    let mut name = String::new();
    loop {
        let word = cursor
            .word_at(0)
            .ok_or_else(|| cursor.unexpected().detail("expected the name of an option"))?;
        name.push_str(&fold(word));
        cursor.skip();
        if cursor.accept_token(&Token::Period) {
            name.push('.');
        } else if cursor.accept_token(&Token::Minus) {
            name.push('-');
        } else {
            return Ok(name);
        }
    }
}

fn value(cursor: &mut Cursor<'_>) -> Result<String> {
    if cursor.peek_string().is_some() {
        return Ok(cursor.string()?.to_owned());
    }
    let sign = if cursor.accept_token(&Token::Minus) {
        "-"
    } else {
        ""
    };
    let value = match cursor.peek(0) {
        Some(Token::Number(digits, false)) => format!("{sign}{digits}"),
        Some(Token::Word(word)) if sign.is_empty() && word.quote_style.is_none() => {
            word.value.to_ascii_lowercase()
        }
        _ => {
            return Err(cursor
                .unexpected()
                .detail("expected a string, a number, true or false"));
        }
    };
    cursor.skip();
    Ok(value)
}
