//! `SUBSCRIBE [TO] target [WITH (…)] [AS OF version] [EMIT …]`.

use dataflow::{Error, Location, Result, SqlState};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursor::Cursor;
use super::emit::{begins_emission, emission};
use super::tokens::select_all;
use crate::ast::{Emission, Name, Subscribe};

/// Reads a SUBSCRIBE statement.
pub(super) fn subscribe(cursor: &mut Cursor<'_>) -> Result<Subscribe> {
    cursor.expect(&["SUBSCRIBE"])?;
    cursor.accept(&["TO"]);
    let location = cursor.location();
    if cursor.at_end() {
        return Err(cursor.unexpected());
    }
    let length = target_length(cursor);
    let mut target = cursor.take(length);
    let (name, query, mut clause) = read_target(&mut target)?;
    let (mut snapshot, mut progress) = (true, false);
    let mut with = false;
    let mut as_of = None;
    while !cursor.at_end() {
        refuse_positions(cursor)?;
        if as_of.is_none() && cursor.sees(&["AS", "OF"]) {
            as_of = Some(version(cursor)?);
        } else if !with && cursor.accept(&["WITH"]) {
            (snapshot, progress) = options(cursor)?;
            with = true;
        } else if clause == Emission::default() && begins_emission(cursor) {
            clause = emission(cursor)?;
        } else {
            break;
        }
    }
    Ok(Subscribe {
        query,
        name,
        snapshot,
        progress,
        as_of,
        emission: clause,
        location,
    })
}

/// The target: a name, a query, or a query in parentheses, where EMIT may stand inside.
fn read_target(
    target: &mut Cursor<'_>,
) -> Result<(Option<Name>, Box<sqlparser::ast::Query>, Emission)> {
    let plain = target.word_at(0).filter(|word| {
        let starts = ["SELECT", "WITH", "VALUES", "TABLE"];
        word.quote_style.is_some()
            || !starts
                .iter()
                .any(|text| word.value.eq_ignore_ascii_case(text))
    });
    if plain.is_some() {
        let tokens = target.rest();
        let mut wanted = select_all(tokens[0].span);
        wanted.extend(tokens.iter().cloned());
        let name = object_name(target)?;
        return Ok((name, target.query_of(wanted)?, Emission::default()));
    }
    if target.sees_token(&Token::LParen) && closes_at_end(target.rest()) {
        target.skip();
        let inner = target.rest().len() - 1;
        let mut inside = target.take(inner);
        let read = read_query(&mut inside)?;
        target.skip();
        return Ok(read);
    }
    read_query(target)
}

fn read_query(
    cursor: &mut Cursor<'_>,
) -> Result<(Option<Name>, Box<sqlparser::ast::Query>, Emission)> {
    let query = super::query(cursor)?;
    let clause = emission(cursor)?;
    refuse_positions(cursor)?;
    cursor.finish()?;
    Ok((None, query, clause))
}

/// Reads a name with its schema; `Some` when it is in `public`.
fn object_name(cursor: &mut Cursor<'_>) -> Result<Option<Name>> {
    let (first, _) = cursor.identifier()?;
    let mut parts = vec![first];
    while cursor.accept_token(&Token::Period) {
        parts.push(cursor.identifier()?.0);
    }
    cursor.finish()?;
    Ok(match parts.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema.value == "public" => Some(Name {
            value: name.value.clone(),
            location: schema.location,
        }),
        _ => None,
    })
}

/// How many tokens belong to the target: up to the clauses of SUBSCRIBE, which sqlparser would read as a query's own.
fn target_length(cursor: &Cursor<'_>) -> usize {
    let start = cursor.position();
    cursor.length_until(|ahead| {
        let behind = ahead.position() > start;
        ahead.sees_options()
            || begins_emission(ahead)
            || behind && (ahead.sees(&["AS", "OF"]) || refuse_positions(ahead).is_err())
    })
}

fn closes_at_end(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1 == tokens.len();
        }
    }
    false
}

/// Refuses the clauses that say where a subscription begins and ends, and in what form.
/// Reads `AS OF version`.
fn version(cursor: &mut Cursor<'_>) -> Result<(u64, Option<Location>)> {
    let location = cursor.location();
    cursor.expect(&["AS", "OF"])?;
    let Some(Token::Number(digits, _)) = cursor.peek(0) else {
        let message = "AS OF takes a version: a number that clickmill_version has had";
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(cursor.location()));
    };
    let version = digits.parse();
    let Ok(version) = version else {
        let message = format!("{digits} is not a version");
        return Err(Error::new(SqlState::INVALID_PARAMETER, message).at(cursor.location()));
    };
    cursor.skip();
    Ok((version, location))
}

fn refuse_positions(cursor: &Cursor<'_>) -> Result<()> {
    let forms = [
        ["UP", "TO"].as_slice(),
        &["ENVELOPE"],
        &["WITHIN", "TIMESTAMP"],
    ];
    for form in forms {
        if cursor.sees(form) {
            return Err(
                Error::unsupported(format!("SUBSCRIBE … {}", form.join(" "))).at(cursor.location()),
            );
        }
    }
    Ok(())
}

/// Reads `(snapshot [= boolean], progress [= boolean])`.
fn options(cursor: &mut Cursor<'_>) -> Result<(bool, bool)> {
    let (mut snapshot, mut progress) = (None, None);
    cursor.expect_token(&Token::LParen)?;
    loop {
        let location = cursor.location();
        let (name, _) = cursor.identifier()?;
        let slot = match name.value.as_str() {
            "snapshot" => &mut snapshot,
            "progress" => &mut progress,
            other => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER,
                    format!("unknown option \"{other}\""),
                )
                .hint("options of SUBSCRIBE: snapshot, progress")
                .at(location));
            }
        };
        if slot.is_some() {
            let message = format!("option \"{}\" is given twice", name.value);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(location));
        }
        let assigned = cursor.accept_token(&Token::Eq);
        *slot = match cursor.boolean() {
            None if assigned => return Err(cursor.unexpected().detail("expected true or false")),
            value => Some(value.unwrap_or(true)),
        };
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok((snapshot.unwrap_or(true), progress.unwrap_or(false)))
}
