//! PostgreSQL's grammar as sqlparser knows it, plus tables as arguments of window functions, and `EMIT`, which is never
//! an alias.

use std::any::TypeId;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName,
};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Name of the function that stands for a table as an argument: `TABLE clicks PARTITION BY user_id` and
/// `clicks PARTITION BY user_id` become `__table(clicks, user_id)`. Read it with [`table_argument`].
pub const TABLE_MARKER: &str = "__table";
/// Name of the marker for `TIME ZONE 'name'`.
pub const ZONE_MARKER: &str = "__time_zone";

/// Words that begin no expression. sqlparser would take them for names of columns and complain about what follows.
const CLAUSES: [Keyword; 21] = [
    Keyword::AND,
    Keyword::AS,
    Keyword::ELSE,
    Keyword::END,
    Keyword::EXCEPT,
    Keyword::FETCH,
    Keyword::FROM,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::IN,
    Keyword::INTERSECT,
    Keyword::INTO,
    Keyword::LIMIT,
    Keyword::OFFSET,
    Keyword::ON,
    Keyword::OR,
    Keyword::ORDER,
    Keyword::THEN,
    Keyword::UNION,
    Keyword::WHEN,
    Keyword::WHERE,
];

/// How far to look for the end of a name and for the end of a list of keys: looking ahead takes time for each token.
const MAX_NAME_TOKENS: usize = 5;
const MAX_KEY_TOKENS: usize = 500;

/// A table as an argument: its name and the expressions of `PARTITION BY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableArgument {
    /// The name, in its parts.
    pub name: ObjectName,
    /// Keys, or empty.
    pub partition_by: Vec<Expr>,
}

/// Reads an argument that the dialect marked as a table; `None` when `expr` is something else.
pub fn table_argument(expr: &Expr) -> Option<TableArgument> {
    let Expr::Function(function) = expr else {
        return None;
    };
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    if function.name != ObjectName::from(vec![Ident::new(TABLE_MARKER)]) {
        return None;
    }
    let mut exprs = list.args.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    let Expr::CompoundIdentifier(parts) = exprs.next()? else {
        return None;
    };
    Some(TableArgument {
        name: ObjectName::from(parts),
        partition_by: exprs.collect(),
    })
}

/// The dialect. It answers sqlparser's questions as PostgreSQL's does, except where a method here says why not.
#[derive(Debug, Default)]
pub struct ClickmillDialect(PostgreSqlDialect);

impl Dialect for ClickmillDialect {
    fn dialect(&self) -> TypeId {
        self.0.dialect()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.0.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.0.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.0.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.0.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.0.is_reserved_for_identifier(keyword)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.0.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        self.0.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.0.prec_value(precedence)
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    fn allow_extract_single_quotes(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        true
    }

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_interval_options(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn supports_empty_projections(&self) -> bool {
        true
    }

    /// Named arguments are `name => value` with a plain name. (With names that are expressions sqlparser reads every
    /// argument twice, which doubles the work at each level of nesting.)
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    // The next three are parsed so that they can be refused by name.

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn is_column_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        !starts_emit(parser) && self.0.is_column_alias(keyword, parser)
    }

    fn is_table_alias(&self, keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        !starts_emit(parser) && self.0.is_table_alias(keyword, parser)
    }

    /// `IS [NOT] DISTINCT FROM`: sqlparser takes everything behind it for its right side, also AND and OR.
    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let forms = [
            (
                [Keyword::IS, Keyword::DISTINCT, Keyword::FROM].as_slice(),
                false,
            ),
            (
                &[Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM],
                true,
            ),
        ];
        let (_, not) = forms
            .into_iter()
            .find(|(words, _)| parser.parse_keywords(words))?;
        let right = parser.parse_subexpr(self.prec_value(Precedence::Is));
        let left = Box::new(left.clone());
        Some(right.map(|right| match not {
            true => Expr::IsNotDistinctFrom(left, Box::new(right)),
            false => Expr::IsDistinctFrom(left, Box::new(right)),
        }))
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let first = parser.peek_token_ref();
        if is_word(&first.token, "TABLE")
            && matches!(parser.peek_nth_token_ref(1).token, Token::Word(_))
        {
            let named = parser.get_current_token().token == Token::RArrow;
            parser.next_token();
            return Some(parse_table(parser, named));
        }
        if is_word(&first.token, "TIME") && is_word(&parser.peek_nth_token_ref(1).token, "ZONE") {
            parser.next_token();
            parser.next_token();
            let name = parser.parse_value().map(Expr::Value);
            return Some(name.map(|name| marker(ZONE_MARKER, vec![argument(name)])));
        }
        if first.token == Token::LParen && is_partitioned_query(parser) {
            let named = parser.get_current_token().token == Token::RArrow;
            return Some(parse_partitioned_query(parser, named));
        }
        let Token::Word(word) = &first.token else {
            return None;
        };
        if word.quote_style.is_none() && CLAUSES.contains(&word.keyword) {
            return Some(parser.expected_ref("an expression", first));
        }
        let mut after_name = 1;
        while after_name <= MAX_NAME_TOKENS
            && parser.peek_nth_token_ref(after_name).token == Token::Period
        {
            after_name += 2;
        }
        let partitioned = is_word(&parser.peek_nth_token_ref(after_name).token, "PARTITION")
            && is_word(&parser.peek_nth_token_ref(after_name + 1).token, "BY");
        let named = parser.get_current_token().token == Token::RArrow;
        partitioned.then(|| parse_table(parser, named))
    }
}

/// Whether the candidate for an alias, which is the current token, begins `EMIT …` or `ALLOW LATENESS`.
fn starts_emit(parser: &Parser<'_>) -> bool {
    let candidate = &parser.get_current_token().token;
    is_word(candidate, "EMIT")
        || is_word(candidate, "ALLOW") && is_word(&parser.peek_token_ref().token, "LATENESS")
}

/// Whether a token is this word, unquoted, in any case.
pub(crate) fn is_word(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

/// `name [PARTITION BY key, …]` or `name [PARTITION BY (key, …)]`, after the word TABLE if there was one.
fn parse_table(parser: &mut Parser<'_>, named: bool) -> Result<Expr, ParserError> {
    let name = parser.parse_object_name(false)?;
    let parts: Vec<Ident> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident().cloned())
        .collect();
    parse_keys(parser, Expr::CompoundIdentifier(parts), named)
}

/// Whether a query in parentheses is next, with `PARTITION BY` behind it.
fn is_partitioned_query(parser: &Parser<'_>) -> bool {
    let begin = &parser.peek_nth_token_ref(1).token;
    if !(is_word(begin, "SELECT") || is_word(begin, "WITH")) {
        return false;
    }
    let mut depth = 1_usize;
    let mut at = 1;
    while depth > 0 {
        match &parser.peek_nth_token_ref(at).token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::EOF => return false,
            _ => {}
        }
        at += 1;
    }
    is_word(&parser.peek_nth_token_ref(at).token, "PARTITION")
        && is_word(&parser.peek_nth_token_ref(at + 1).token, "BY")
}

/// `(query) PARTITION BY key, …`.
fn parse_partitioned_query(parser: &mut Parser<'_>, named: bool) -> Result<Expr, ParserError> {
    parser.expect_token(&Token::LParen)?;
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    parse_keys(parser, Expr::Subquery(query), named)
}

/// `[PARTITION BY key, …]` behind a relation.
fn parse_keys(parser: &mut Parser<'_>, relation: Expr, named: bool) -> Result<Expr, ParserError> {
    let mut args = vec![argument(relation)];
    if parser.parse_keywords(&[Keyword::PARTITION, Keyword::BY]) {
        let keys = count_keys(parser, named);
        for key in 0..keys {
            if key > 0 {
                parser.expect_token(&Token::Comma)?;
            }
            // Flink puts several keys in parentheses.
            match parser.parse_expr()? {
                Expr::Tuple(keys) => args.extend(keys.into_iter().map(argument)),
                key => args.push(argument(key)),
            }
        }
    }
    Ok(marker(TABLE_MARKER, args))
}

/// A call that no user can have written.
fn marker(name: &str, args: Vec<FunctionArg>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

fn argument(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

/// How many of the expressions that follow are keys. The list of keys ends at `DESCRIPTOR(` or `name =>`; without
/// either, the last two arguments are the time column and the size or gap.
fn count_keys(parser: &Parser<'_>, named: bool) -> usize {
    let mut items = 0;
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        if depth == 0 && is_word(&parser.peek_nth_token_ref(at).token, "DESCRIPTOR") {
            return items.max(1);
        }
        if depth == 0 && parser.peek_nth_token_ref(at + 1).token == Token::RArrow {
            return if named {
                items.max(1)
            } else {
                items.saturating_sub(2).max(1)
            };
        }
        // One item: up to a comma or the closing parenthesis.
        loop {
            match &parser.peek_nth_token_ref(at).token {
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace if depth > 0 => depth -= 1,
                Token::RParen | Token::EOF => {
                    items += 1;
                    return if named {
                        items
                    } else {
                        items.saturating_sub(2).max(1)
                    };
                }
                Token::Comma if depth == 0 => break,
                _ => {}
            }
            at += 1;
            if at > MAX_KEY_TOKENS {
                return items.max(1);
            }
        }
        items += 1;
        at += 1;
    }
}

#[cfg(test)]
mod tests;
