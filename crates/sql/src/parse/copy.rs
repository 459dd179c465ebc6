//! `COPY source TO STDOUT [[WITH] (…)]`, and the older form of its options.

use dataflow::{Error, Result, SqlState};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::cursor::Cursor;
use super::subscribe::subscribe;
use super::tokens::{keyword, select_all};
use crate::ast::{CopyFormat, CopyTo, Statement};

/// Reads a COPY statement.
pub(super) fn copy(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["COPY"])?;
    cursor.refuse(&["BINARY"])?;
    let source = if cursor.accept_token(&Token::LParen) {
        in_parentheses(cursor)?
    } else {
        relation(cursor)?
    };
    if cursor.sees(&["FROM"]) {
        return Err(cursor.unsupported("COPY FROM").hint("use INSERT"));
    }
    cursor.expect(&["TO"])?;
    if cursor.sees(&["PROGRAM"]) || cursor.sees(&["STDIN"]) || cursor.peek_string().is_some() {
        let what = if cursor.sees(&["PROGRAM"]) {
            "COPY TO PROGRAM"
        } else {
            "COPY TO a file"
        };
        return Err(cursor.unsupported(what).hint("use COPY … TO STDOUT"));
    }
    cursor.expect(&["STDOUT"])?;
    let with = cursor.accept(&["WITH"]);
    let format = if cursor.sees_token(&Token::LParen) {
        options(cursor)?
    } else {
        old_options(cursor, with)?
    };
    cursor.refuse(&["WHERE"])?;
    Ok(Statement::CopyTo(CopyTo {
        source: Box::new(source),
        format,
    }))
}

/// `(query)` or `(SUBSCRIBE …)`, behind the parenthesis.
fn in_parentheses(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let mut depth = 1_usize;
    let length = cursor.rest().iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let mut inside = cursor.take(length.unwrap_or(cursor.rest().len()));
    let source = if inside.sees(&["SUBSCRIBE"]) {
        Statement::Subscribe(subscribe(&mut inside)?)
    } else if let Some(word) = ["INSERT", "UPDATE", "DELETE", "MERGE"]
        .iter()
        .find(|word| inside.sees(&[word]))
    {
        return Err(inside.unsupported(format!("COPY ({word} …)")));
    } else {
        super::query_statement(&mut inside)?
    };
    inside.finish()?;
    cursor.expect_token(&Token::RParen)?;
    Ok(source)
}

/// `name` or `name (column, …)` as the query that selects it.
fn relation(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.rest();
    cursor.identifier()?;
    let mut named = 1;
    while cursor.accept_token(&Token::Period) {
        cursor.identifier()?;
        named += 2;
    }
    let columns = cursor.rest();
    let mut listed = 0;
    if cursor.sees_token(&Token::LParen) {
        let before = cursor.position();
        cursor.column_list()?;
        listed = cursor.position() - before;
    }
    let span = start.first().map_or(Span::empty(), |token| token.span);
    let tokens: Vec<TokenWithSpan> = if listed == 0 {
        select_all(span)
            .into_iter()
            .chain(start[..named].iter().cloned())
            .collect()
    } else {
        let list = &columns[1..listed - 1];
        let select = std::iter::once(keyword("SELECT", span)).chain(list.iter().cloned());
        select
            .chain(std::iter::once(keyword("FROM", span)))
            .chain(start[..named].iter().cloned())
            .collect()
    };
    Ok(Statement::Query(cursor.query_of(tokens)?))
}

/// `(FORMAT text | csv, HEADER [boolean])`.
fn options(cursor: &mut Cursor<'_>) -> Result<CopyFormat> {
    cursor.expect_token(&Token::LParen)?;
    let (mut csv, mut header) = (None, None);
    let mut header_at = None;
    loop {
        let location = cursor.location();
        let (option, _) = cursor.identifier()?;
        let twice = match option.value.as_str() {
            "format" => csv.replace(format(cursor)?).is_some(),
            "header" => {
                header_at = location;
                if cursor.sees(&["MATCH"]) {
                    return Err(cursor.unsupported("HEADER MATCH"));
                }
                header.replace(cursor.boolean().unwrap_or(true)).is_some()
            }
            other => {
                let name = other.to_ascii_uppercase();
                return Err(Error::unsupported(format!("COPY option {name}")).at(location));
            }
        };
        if twice {
            return Err(
                Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options").at(location),
            );
        }
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    finish(csv.unwrap_or(false), header.unwrap_or(false)).map_err(|error| error.at(header_at))
}

/// Reads the name of a format; true for CSV.
fn format(cursor: &mut Cursor<'_>) -> Result<bool> {
    let location = cursor.location();
    let name = match cursor.peek_string() {
        Some(text) => {
            cursor.skip();
            text.to_ascii_lowercase()
        }
        None => cursor.identifier()?.0.value,
    };
    match name.as_str() {
        "text" => Ok(false),
        "csv" => Ok(true),
        "binary" => Err(Error::unsupported("COPY in binary format")
            .hint("use FORMAT text or csv")
            .at(location)),
        other => Err(Error::new(
            SqlState::INVALID_PARAMETER,
            format!("COPY format \"{other}\" not recognized"),
        )
        .at(location)),
    }
}

/// `[WITH] [CSV [HEADER]]`.
fn old_options(cursor: &mut Cursor<'_>, with: bool) -> Result<CopyFormat> {
    let (mut csv, mut header) = (false, false);
    let mut header_at = None;
    let before = cursor.position();
    loop {
        if cursor.accept(&["CSV"]) {
            csv = true;
        } else if cursor.sees(&["HEADER"]) {
            header_at = cursor.location();
            cursor.skip();
            header = true;
        } else {
            break;
        }
    }
    let others = [
        "BINARY",
        "DELIMITER",
        "DELIMITERS",
        "NULL",
        "QUOTE",
        "ESCAPE",
        "FORCE",
        "ENCODING",
        "FREEZE",
    ];
    for other in others {
        if cursor.sees(&[other]) {
            return Err(cursor.unsupported(format!("COPY option {other}")));
        }
    }
    if with && cursor.position() == before {
        return Err(cursor.unexpected());
    }
    finish(csv, header).map_err(|error| error.at(header_at))
}

fn finish(csv: bool, header: bool) -> Result<CopyFormat> {
    match (csv, header) {
        (true, header) => Ok(CopyFormat::Csv { header }),
        (false, false) => Ok(CopyFormat::Text),
        (false, true) => Err(Error::unsupported("HEADER in text format").hint("use FORMAT csv")),
    }
}
