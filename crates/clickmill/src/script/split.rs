//! Where statements end: at semicolons outside strings, quoted names and comments, as PostgreSQL reads them.

use super::Statement;

/// Splits a text; statements of nothing but comments are left out.
pub(super) fn split(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut end = 0;
    let mut at = 0;
    while at < text.len() {
        let (token, length) = token(&text[at..], word_before(text, at));
        match token {
            Token::Nothing => {}
            Token::Semicolon => push(&mut statements, text, start.take(), end),
            Token::Something => {
                start.get_or_insert(at);
                end = at + length;
            }
        }
        at += length;
    }
    push(&mut statements, text, start, end);
    statements
}

fn push(statements: &mut Vec<Statement>, text: &str, start: Option<usize>, end: usize) {
    let Some(start) = start else { return };
    let word = text[start..end].find(|c: char| !c.is_ascii_alphabetic());
    let verb = &text[start..word.map_or(end, |length| start + length)];
    statements.push(Statement {
        range: start..end,
        verb: verb.to_ascii_uppercase(),
    });
}

enum Token {
    /// White space or a comment.
    Nothing,
    Semicolon,
    Something,
}

/// Whether the character before is part of a word, so that a quote here does not begin after a bare `E` or `$`.
fn word_before(text: &str, at: usize) -> bool {
    let before = text[..at].chars().next_back();
    before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

/// What begins here and how many bytes it has. What is not closed goes to the end: the parser says so better.
fn token(text: &str, in_word: bool) -> (Token, usize) {
    let Some(first) = text.chars().next() else {
        return (Token::Nothing, 0);
    };
    let rest = &text[first.len_utf8()..];
    match first {
        ';' => (Token::Semicolon, 1),
        '-' if rest.starts_with('-') => (Token::Nothing, text.find('\n').unwrap_or(text.len())),
        '/' if rest.starts_with('*') => (Token::Nothing, comment(text)),
        '\'' => (Token::Something, quoted(text, '\'', false)),
        '"' => (Token::Something, quoted(text, '"', false)),
        'e' | 'E' if !in_word && rest.starts_with('\'') => {
            (Token::Something, 1 + quoted(rest, '\'', true))
        }
        '$' if !in_word => (Token::Something, dollar_quoted(text).unwrap_or(1)),
        c if c.is_whitespace() => (Token::Nothing, c.len_utf8()),
        c => (Token::Something, c.len_utf8()),
    }
}

/// Bytes up to and with the closing quote. A doubled quote needs no care: it ends one string and begins the next.
fn quoted(text: &str, quote: char, backslashes: bool) -> usize {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        if c == '\\' && backslashes {
            characters.next();
        } else if c == quote {
            let doubled = text[at + 1..].starts_with(quote);
            if !(doubled && backslashes) {
                return at + 1;
            }
            characters.next();
        }
    }
    text.len()
}

/// Bytes of a comment, which may hold comments.
fn comment(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => (depth, at) = (depth + 1, at + 2),
            (b'*', Some(b'/')) => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// Bytes of `$tag$…$tag$`; `None` when no such string begins here.
fn dollar_quoted(text: &str) -> Option<usize> {
    let inner = text[1..].find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    let starts_with_digit = text[1..].starts_with(|c: char| c.is_ascii_digit());
    if starts_with_digit || !text[1 + inner..].starts_with('$') {
        return None;
    }
    let tag = &text[..inner + 2];
    let close = text[tag.len()..].find(tag);
    Some(close.map_or(text.len(), |at| tag.len() + at + tag.len()))
}
