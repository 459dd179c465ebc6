//! The text of one request: places in it, slices of it, and errors about it in PostgreSQL's words.

use dataflow::{Error, Location, Result, SqlState};
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{
    Location as TokenLocation, Span, Token, TokenWithSpan, Tokenizer, Whitespace,
};

use crate::dialect::{ClickmillDialect, is_word};
use crate::location::from_span;

/// The condition behind statements that are nested too deeply or too long.
pub(crate) const TOO_COMPLEX: SqlState = SqlState("54001");

/// Longest piece of the text that an error repeats, in characters.
const SHOWN: usize = 60;

/// A text and where its lines begin.
pub(crate) struct Source<'a> {
    text: &'a str,
    /// Whether every character is one byte.
    ascii: bool,
    /// Byte index of each line's first character.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let after = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at + 1);
        Self {
            text,
            ascii: text.is_ascii(),
            lines: std::iter::once(0).chain(after).collect(),
        }
    }

    /// The tokens without white space and comments. Errors: `42601` for what is no token, `0A000` for hints in comments.
    pub(crate) fn tokens(&self, dialect: &ClickmillDialect) -> Result<Vec<TokenWithSpan>> {
        let mut tokens = Vec::new();
        if let Err(error) =
            Tokenizer::new(dialect, self.text).tokenize_with_location_into_buf(&mut tokens)
        {
            return Err(self.no_token(&error.message, error.location));
        }
        for token in &tokens {
            match &token.token {
                Token::Whitespace(Whitespace::MultiLineComment(comment))
                    if comment.starts_with('+') =>
                {
                    return Err(Error::unsupported("a hint in a comment")
                        .hint("give options in the WITH (…) of the source or view")
                        .at(from_span(token.span)));
                }
                Token::Word(word) if word.quote_style.is_some() && word.value.is_empty() => {
                    let message = "zero-length delimited identifier at or near \"\"\"\"";
                    return Err(
                        Error::new(SqlState::SYNTAX_ERROR, message).at(from_span(token.span))
                    );
                }
                _ => {}
            }
        }
        let mut kept = Vec::with_capacity(tokens.len());
        for token in tokens {
            match &token.token {
                Token::Whitespace(_) => {}
                Token::CustomBinaryOperator(operator) => {
                    self.split_operator(operator, &token, dialect, &mut kept)?
                }
                _ => kept.push(token),
            }
        }
        Ok(kept)
    }

    /// Takes signs off the end of an operator, as PostgreSQL does: `a>-1` is `a > -1`. Operators with one of the
    /// characters `~ ! @ # % ^ & | ?` may end in a sign.
    fn split_operator(
        &self,
        operator: &str,
        token: &TokenWithSpan,
        dialect: &ClickmillDialect,
        kept: &mut Vec<TokenWithSpan>,
    ) -> Result<()> {
        if operator.contains("--") || operator.contains("/*") {
            return Err(self
                .syntax_error(Some(token))
                .hint("put a space before the comment"));
        }
        let bare = operator.trim_end_matches(['+', '-']);
        let first = Tokenizer::new(dialect, bare)
            .tokenize()
            .ok()
            .filter(|tokens| tokens.len() == 1);
        let Some(first) = first.and_then(|mut tokens| tokens.pop()) else {
            kept.push(token.clone());
            return Ok(());
        };
        if operator.contains(|c| "~!@#%^&|`?".contains(c)) {
            kept.push(token.clone());
            return Ok(());
        }
        let mut start = token.span.start;
        let parts = std::iter::once((first, bare.len())).chain(operator[bare.len()..].chars().map(
            |sign| {
                (
                    if sign == '-' {
                        Token::Minus
                    } else {
                        Token::Plus
                    },
                    1,
                )
            },
        ));
        for (part, width) in parts {
            let end = TokenLocation {
                line: start.line,
                column: start.column + as_u64(width),
            };
            kept.push(TokenWithSpan {
                token: part,
                span: Span { start, end },
            });
            start = end;
        }
        Ok(())
    }

    /// The text from one place up to another.
    pub(crate) fn slice(&self, start: TokenLocation, end: TokenLocation) -> &'a str {
        self.text
            .get(self.offset(start)..self.offset(end))
            .unwrap_or_default()
    }

    /// The text of a token as written.
    pub(crate) fn written(&self, token: &TokenWithSpan) -> &'a str {
        self.slice(token.span.start, token.span.end)
    }

    /// The end of the text, where `syntax error at end of input` points.
    pub(crate) fn end(&self) -> Location {
        let last = self.lines.last().copied().unwrap_or(0);
        let column = self.text.get(last..).map_or(0, |line| line.chars().count());
        Location {
            line: as_u64(self.lines.len()),
            column: as_u64(column + 1),
        }
    }

    /// `syntax error at or near "…"`; without a token, at the end of the input.
    pub(crate) fn syntax_error(&self, token: Option<&TokenWithSpan>) -> Error {
        match token {
            Some(token) => {
                let written = shorten(self.written(token));
                Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("syntax error at or near \"{written}\""),
                )
                .at(from_span(token.span))
            }
            None => Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input")
                .at(Some(self.end())),
        }
    }

    /// As [`Source::syntax_error`], but EMIT, which has few places, is refused by its name.
    pub(crate) fn unexpected(&self, token: Option<&TokenWithSpan>) -> Error {
        match token {
            Some(token) if is_word(&token.token, "EMIT") => Error::unsupported("EMIT here")
                .hint("EMIT stands at the end of CREATE … VIEW and of SUBSCRIBE")
                .at(from_span(token.span)),
            _ => self.syntax_error(token),
        }
    }

    /// An error of sqlparser over `tokens`, of which `next` is the first that it did not read.
    pub(crate) fn parser_error(
        &self,
        error: &ParserError,
        tokens: &[TokenWithSpan],
        next: usize,
        terminator: Option<&TokenWithSpan>,
    ) -> Error {
        let message = match error {
            ParserError::RecursionLimitExceeded => {
                return Error::new(TOO_COMPLEX, "statement is nested too deeply")
                    .at(tokens.first().and_then(|token| from_span(token.span)));
            }
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        };
        let (message, place) = split_place(message);
        let at_place = tokens
            .iter()
            .find(|token| Some((token.span.start.line, token.span.start.column)) == place);
        let token = match place {
            Some((0, _)) => terminator,
            _ => at_place.or_else(|| tokens.get(next)).or(terminator),
        };
        let error = self.unexpected(token);
        match message
            .strip_prefix("Expected: ")
            .and_then(|rest| rest.split_once(", found: "))
        {
            Some((expected, _)) => error.detail(format!("expected {expected}")),
            None => error,
        }
    }

    /// An error of the tokenizer, with PostgreSQL's wording where it has one.
    fn no_token(&self, message: &str, place: TokenLocation) -> Error {
        let rest = self.text.get(self.offset(place)..).unwrap_or_default();
        let what = if message.contains("comment") {
            "unterminated /* comment"
        } else if message.contains("dollar") {
            "unterminated dollar-quoted string"
        } else if message.contains("close delimiter") {
            "unterminated quoted identifier"
        } else if message.contains("Unterminated") {
            "unterminated quoted string"
        } else {
            "syntax error"
        };
        let at = Location {
            line: place.line,
            column: place.column,
        };
        let message = if rest.is_empty() {
            format!("{what} at end of input")
        } else {
            format!("{what} at or near \"{}\"", shorten(rest))
        };
        Error::new(SqlState::SYNTAX_ERROR, message).at(Some(at))
    }

    /// Byte index of a place; the end of the text when there is no such place.
    fn offset(&self, place: TokenLocation) -> usize {
        let line = usize::try_from(place.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(place.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.lines.get(line).copied() else {
            return self.text.len();
        };
        let end = self.lines.get(line + 1).copied().unwrap_or(self.text.len());
        let content = self.text.get(start..end).unwrap_or_default();
        if self.ascii {
            return start + column.min(content.len());
        }
        content
            .char_indices()
            .nth(column)
            .map_or(end, |(at, _)| start + at)
    }
}

/// Cuts a long text so that an error stays on one line.
fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= SHOWN {
        return line.to_owned();
    }
    line.chars().take(SHOWN).chain("…".chars()).collect()
}

/// Splits sqlparser's ` at Line: 3, Column: 7` off a message; an unknown place is line 0.
fn split_place(message: &str) -> (&str, Option<(u64, u64)>) {
    let Some((head, place)) = message.rsplit_once(" at Line: ") else {
        // sqlparser writes no place at all when it found the end of the input.
        let place = message.ends_with("found: EOF").then_some((0, 0));
        return (message, place);
    };
    let parsed = place.split_once(", Column: ").and_then(|(line, column)| {
        let line = line.parse().ok()?;
        let column = column.parse().ok()?;
        Some((line, column))
    });
    match parsed {
        Some(place) => (head, Some(place)),
        None => (message, None),
    }
}

fn as_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
