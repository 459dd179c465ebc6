//! Reading one statement's tokens: words, names, literals, and the parts that sqlparser reads.

use std::ops::Range;

use dataflow::{Error, Location, Result, SqlState};
use sqlparser::ast::{DataType, Expr, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::source::Source;
use crate::ast::Name;
use crate::dialect::{ClickmillDialect, is_word};
use crate::location::from_span;
use crate::name::{fold, is_reserved, quote};

/// How deeply a statement may nest, in sqlparser's counting: one for an expression, a query and a relation each.
const MAX_DEPTH: usize = 100;

/// Longest type, in tokens.
const MAX_TYPE_TOKENS: usize = 48;

/// A place in one statement's tokens.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    source: &'a Source<'a>,
    dialect: &'a ClickmillDialect,
    tokens: &'a [TokenWithSpan],
    at: usize,
    /// The token behind the last one: a semicolon, a closing parenthesis, or the word where a query was cut off.
    terminator: Option<&'a TokenWithSpan>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(
        source: &'a Source<'a>,
        dialect: &'a ClickmillDialect,
        tokens: &'a [TokenWithSpan],
        terminator: Option<&'a TokenWithSpan>,
    ) -> Self {
        Self {
            source,
            dialect,
            tokens,
            at: 0,
            terminator,
        }
    }

    /// The same statement's next `length` tokens as a text of their own; the cursor moves behind them.
    pub(crate) fn take(&mut self, length: usize) -> Cursor<'a> {
        let end = (self.at + length).min(self.tokens.len());
        let terminator = self.tokens.get(end).or(self.terminator);
        let part = Cursor {
            tokens: &self.tokens[self.at..end],
            at: 0,
            terminator,
            ..*self
        };
        self.at = end;
        part
    }

    /// The token `ahead` places from here.
    pub(crate) fn peek(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead).map(|token| &token.token)
    }

    /// The tokens from here on.
    pub(crate) fn rest(&self) -> &'a [TokenWithSpan] {
        &self.tokens[self.at..]
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Where the next token stands; the end of the statement when there is none.
    pub(crate) fn location(&self) -> Option<Location> {
        match self.tokens.get(self.at).or(self.terminator) {
            Some(token) => from_span(token.span),
            None => Some(self.source.end()),
        }
    }

    /// Where the token before the next stands.
    pub(crate) fn previous_location(&self) -> Option<Location> {
        self.at
            .checked_sub(1)
            .and_then(|at| self.tokens.get(at))
            .and_then(|token| from_span(token.span))
    }

    /// The number of tokens read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The text of the tokens from `from` (a [`Cursor::position`]) up to here.
    pub(crate) fn text_since(&self, from: usize) -> &'a str {
        match (
            self.tokens.get(from),
            self.at
                .checked_sub(1)
                .and_then(|last| self.tokens.get(last)),
        ) {
            (Some(first), Some(last)) if from < self.at => {
                self.source.slice(first.span.start, last.span.end)
            }
            _ => "",
        }
    }

    /// The next token as written.
    pub(crate) fn next_text(&self) -> &'a str {
        self.tokens
            .get(self.at)
            .map_or("", |token| self.source.written(token))
    }

    /// A syntax error at the next token; `AS OF` before it, which reads as an alias, is refused by its name.
    pub(crate) fn unexpected(&self) -> Error {
        let read = &self.tokens[..self.at.min(self.tokens.len())];
        if let [.., first, second] = read
            && is_word(&first.token, "AS")
            && is_word(&second.token, "OF")
        {
            return Error::unsupported("AS OF").at(from_span(first.span));
        }
        self.source
            .unexpected(self.tokens.get(self.at).or(self.terminator))
    }

    /// Something that clickmill does not do, at the next token.
    pub(crate) fn unsupported(&self, what: impl std::fmt::Display) -> Error {
        Error::unsupported(what).at(self.location())
    }

    /// A syntax error unless every token was read.
    pub(crate) fn finish(&self) -> Result<()> {
        if self.at_end() {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// The word `ahead` places from here, quoted or not.
    pub(crate) fn word_at(&self, ahead: usize) -> Option<&'a Word> {
        match self.peek(ahead) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    /// Whether the words from here on are these, unquoted.
    pub(crate) fn sees(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(ahead, text)| self.peek(ahead).is_some_and(|token| is_word(token, text)))
    }

    /// Reads these words when they are the next ones.
    pub(crate) fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.sees(words);
        if found {
            self.at += words.len();
        }
        found
    }

    /// Reads these words; a syntax error at the first that is another.
    pub(crate) fn expect(&mut self, words: &[&str]) -> Result<()> {
        for word in words {
            if !self.accept(&[word]) {
                return Err(self.unexpected().detail(format!("expected {word}")));
            }
        }
        Ok(())
    }

    /// The one of `words` that is next, which is read.
    pub(crate) fn accept_one_of<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        words.iter().copied().find(|word| self.accept(&[word]))
    }

    /// Refuses a clause by its words when it begins here.
    pub(crate) fn refuse(&self, words: &[&str]) -> Result<()> {
        if self.sees(words) {
            Err(self.unsupported(words.join(" ")))
        } else {
            Ok(())
        }
    }

    /// Whether the next token is this one.
    pub(crate) fn sees_token(&self, token: &Token) -> bool {
        self.peek(0) == Some(token)
    }

    /// Reads this token when it is next.
    pub(crate) fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.sees_token(token);
        if found {
            self.at += 1;
        }
        found
    }

    /// Reads this token; a syntax error at another.
    pub(crate) fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.accept_token(token) {
            return Ok(());
        }
        Err(self.unexpected().detail(format!("expected {token}")))
    }

    /// How many tokens there are up to the first outside of parentheses at which `ends` holds; it gets the cursor there.
    pub(crate) fn length_until(&self, ends: impl Fn(&Self) -> bool) -> usize {
        let mut ahead = self.clone();
        let mut depth = 0_usize;
        while let Some(token) = ahead.peek(0) {
            match token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ if depth == 0 && ends(&ahead) => break,
                _ => {}
            }
            ahead.skip();
        }
        ahead.at - self.at
    }

    /// Whether the options of a statement are next.
    pub(crate) fn sees_options(&self) -> bool {
        self.sees(&["WITH"]) && self.peek(1) == Some(&Token::LParen)
    }

    /// Reads any one token.
    pub(crate) fn skip(&mut self) {
        self.at += 1;
    }

    /// An identifier, and the word as written.
    pub(crate) fn identifier(&mut self) -> Result<(Name, &'a Word)> {
        match self.word_at(0) {
            Some(word) if is_reserved(word) => {
                let folded = fold(word);
                let error = self
                    .unexpected()
                    .detail(format!("{folded} is a reserved word"));
                Err(error.hint(format!("as a name it must be quoted: {}", quote(&folded))))
            }
            Some(word) => {
                let name = Name {
                    value: fold(word),
                    location: self.location(),
                };
                self.at += 1;
                Ok((name, word))
            }
            None => Err(self.unexpected().detail("expected a name")),
        }
    }

    /// The name of a user's object: `name` or `public.name`.
    pub(crate) fn name(&mut self) -> Result<Name> {
        let (first, _) = self.identifier()?;
        if !self.accept_token(&Token::Period) {
            return Ok(first);
        }
        let (second, _) = self.identifier()?;
        if self.sees_token(&Token::Period) {
            return Err(Error::unsupported("a name with a database in front").at(first.location));
        }
        if first.value == "public" {
            return Ok(Name {
                location: first.location,
                ..second
            });
        }
        Err(Error::new(
            SqlState::INVALID_SCHEMA_NAME,
            format!("schema \"{}\" is not open for this", first.value),
        )
        .hint("tables, sources and views live in schema public")
        .at(first.location))
    }

    /// `(name, name, …)`.
    pub(crate) fn column_list(&mut self) -> Result<Vec<Name>> {
        self.expect_token(&Token::LParen)?;
        let mut columns = vec![self.identifier()?.0];
        while self.accept_token(&Token::Comma) {
            columns.push(self.identifier()?.0);
        }
        self.expect_token(&Token::RParen)?;
        if let Some(again) =
            (1..columns.len()).find(|i| columns[..*i].iter().any(|c| c.value == columns[*i].value))
        {
            let column = &columns[again];
            let message = format!("column \"{}\" specified more than once", column.value);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(column.location));
        }
        Ok(columns)
    }

    /// The next token when it is a string, which is not read.
    pub(crate) fn peek_string(&self) -> Option<&'a str> {
        match self.peek(0) {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => Some(text),
            Some(Token::DollarQuotedString(text)) => Some(&text.value),
            _ => None,
        }
    }

    /// Reads a string; a syntax error at anything else.
    pub(crate) fn string(&mut self) -> Result<&'a str> {
        let text = self
            .peek_string()
            .ok_or_else(|| self.unexpected().detail("expected a string"))?;
        self.at += 1;
        Ok(text)
    }

    /// Reads `true`, `false`, `on`, `off`, `1` or `0`, as a word or a string.
    pub(crate) fn boolean(&mut self) -> Option<bool> {
        let text = match self.peek(0)? {
            Token::Word(word) if word.quote_style.is_none() => word.value.as_str(),
            Token::SingleQuotedString(text) | Token::Number(text, false) => text.as_str(),
            _ => return None,
        };
        let value = match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => true,
            "false" | "off" | "0" => false,
            _ => return None,
        };
        self.at += 1;
        Some(value)
    }

    /// A query. A string as an alias, which sqlparser takes, is an error.
    pub(crate) fn query(&mut self) -> Result<Box<Query>> {
        let start = self.at;
        let query = self.with_parser(usize::MAX, Parser::parse_query)?;
        let read = &self.tokens[start..self.at];
        let alias = read.windows(2).find(|pair| {
            matches!(&pair[0].token, Token::Word(word) if word.keyword == Keyword::AS)
                && matches!(pair[1].token, Token::SingleQuotedString(_))
        });
        match alias {
            Some(pair) => {
                let error = self.source.syntax_error(pair.last());
                Err(error.hint("names are quoted with \"double quotes\""))
            }
            None => Ok(query),
        }
    }

    /// An expression.
    pub(crate) fn expr(&mut self) -> Result<Expr> {
        self.with_parser(usize::MAX, Parser::parse_expr)
    }

    /// A type.
    pub(crate) fn data_type(&mut self) -> Result<DataType> {
        self.with_parser(MAX_TYPE_TOKENS, Parser::parse_data_type)
    }

    /// Parses tokens that do not stand in the text in this order, as a query.
    pub(crate) fn query_of(&self, tokens: Vec<TokenWithSpan>) -> Result<Box<Query>> {
        let mut parser = self.parser(tokens);
        parser.parse_query().map_err(|error| {
            self.source
                .parser_error(&error, self.tokens, self.at, self.terminator)
        })
    }

    fn with_parser<T>(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut Parser<'a>) -> Result<T, ParserError>,
    ) -> Result<T> {
        let rest = self.rest();
        let tokens = &rest[..rest.len().min(most)];
        let mut parser = self.parser(tokens.to_vec());
        match read(&mut parser) {
            Ok(node) => {
                self.at += parser.index().min(tokens.len());
                Ok(node)
            }
            Err(error) => {
                let next = parser.index();
                let error = self
                    .source
                    .parser_error(&error, tokens, next, self.terminator);
                Err(self.inside_derived_table(tokens, error))
            }
        }
    }

    /// The error inside `FROM (SELECT …)`. Where sqlparser cannot read a query in parentheses it tries a join instead and
    /// tells why that failed; so the query is parsed by itself.
    fn inside_derived_table(&self, tokens: &[TokenWithSpan], error: Error) -> Error {
        let Some(query) = innermost_query(tokens, error.location()) else {
            return error;
        };
        let inside = &tokens[query.clone()];
        let terminator = tokens.get(query.end).or(self.terminator);
        let mut parser = self.parser(inside.to_vec());
        match parser.parse_query() {
            Err(inner) => {
                let inner = self
                    .source
                    .parser_error(&inner, inside, parser.index(), terminator);
                self.inside_derived_table(inside, inner)
            }
            Ok(_) => match inside.get(parser.index()) {
                Some(token) => self.source.unexpected(Some(token)),
                None => error,
            },
        }
    }

    fn parser(&self, tokens: Vec<TokenWithSpan>) -> Parser<'a> {
        Parser::new(self.dialect)
            .with_recursion_limit(MAX_DEPTH)
            .with_tokens_with_locations(tokens)
    }
}

/// The tokens of the innermost query in parentheses around a place, without the parentheses.
fn innermost_query(tokens: &[TokenWithSpan], place: Option<Location>) -> Option<Range<usize>> {
    let failed = tokens
        .iter()
        .position(|token| from_span(token.span) == place)
        .unwrap_or(tokens.len());
    let mut open = Vec::new();
    for (at, token) in tokens[..failed].iter().enumerate() {
        match token.token {
            Token::LParen => open.push(at + 1),
            Token::RParen => {
                open.pop();
            }
            _ => {}
        }
    }
    let begins_query = |at: &usize| {
        let words = ["SELECT", "WITH", "VALUES"];
        tokens
            .get(*at)
            .is_some_and(|token| words.iter().any(|word| is_word(&token.token, word)))
    };
    let start = open.into_iter().rev().find(begins_query)?;
    let mut depth = 0_usize;
    let length = tokens[start..].iter().position(|token| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return true,
            Token::RParen => depth -= 1,
            _ => {}
        }
        false
    });
    Some(start..length.map_or(tokens.len(), |length| start + length))
}
