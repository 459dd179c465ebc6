//! What is done to the tokens of a statement before it is parsed: a bound on its size as a tree, and `TABLE name` as a
//! query, which sqlparser would read without quotes and places.

use dataflow::{Error, Result};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::source::TOO_COMPLEX;
use crate::location::from_span;

/// How deep the tree of an expression may be. A chain of operators is as deep as it is long, and trees are copied and
/// freed by recursion, at about 2 KiB of stack for each level.
const MAX_EXPRESSION_DEPTH: usize = 200;

/// How many set operations one query may chain.
const MAX_SET_OPERATIONS: usize = 50;

/// How deeply parentheses and brackets may nest.
const MAX_PARENTHESES: usize = 100;

/// How deeply types may nest.
const MAX_NESTED_TYPES: usize = 8;

/// Words that chain expressions as operators do.
const OPERATOR_WORDS: [&str; 20] = [
    "AND", "AT", "BETWEEN", "COLLATE", "DIV", "ILIKE", "IN", "INTERVAL", "IS", "ISNULL", "LIKE",
    "MEMBER", "NOT", "NOTNULL", "OPERATOR", "OR", "OVERLAPS", "REGEXP", "RLIKE", "SIMILAR",
];

/// Words at which another expression begins.
const CLAUSE_WORDS: [&str; 22] = [
    "AS",
    "BY",
    "CASE",
    "ELSE",
    "END",
    "EXCEPT",
    "FROM",
    "GROUP",
    "HAVING",
    "INTERSECT",
    "JOIN",
    "LIMIT",
    "OFFSET",
    "ON",
    "ORDER",
    "QUALIFY",
    "SELECT",
    "THEN",
    "UNION",
    "VALUES",
    "WHEN",
    "WHERE",
];

/// Words behind which a query may stand.
const BEFORE_QUERY: [&str; 10] = [
    "AS",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "ALL",
    "DISTINCT",
    "EXPLAIN",
    "VERBOSE",
    "SUBSCRIBE",
    "TO",
];

/// What is known of the expressions between two parentheses, or outside of all.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Chains of the present expression: OR binds loosest, then AND, then the rest.
    ors: usize,
    ands: usize,
    others: usize,
    /// The longest chains of AND and of the rest between two ORs of the present expression.
    longest_ands: usize,
    longest_others: usize,
    /// The deepest of the parentheses inside the present expression.
    inside: usize,
    /// The deepest expression so far.
    deepest: usize,
    set_operations: usize,
}

impl Level {
    /// An upper bound of the present expression's depth.
    fn depth(self) -> usize {
        self.ors
            + self.longest_ands.max(self.ands)
            + self.longest_others.max(self.others)
            + self.inside
    }

    /// An operator that binds as OR, AND or tighter.
    fn operator(&mut self, token: &Token) {
        if is_one_of(token, &["OR"]) {
            self.ors += 1;
            self.longest_ands = self.longest_ands.max(std::mem::take(&mut self.ands));
        } else if is_one_of(token, &["AND"]) {
            self.ands += 1;
        } else {
            self.others += 1;
            return;
        }
        self.longest_others = self.longest_others.max(std::mem::take(&mut self.others));
    }

    /// Another expression begins.
    fn next(self) -> Self {
        let deepest = self.deepest.max(self.depth());
        Self {
            deepest,
            set_operations: self.set_operations,
            ..Self::default()
        }
    }
}

/// Refuses statements whose trees would be too deep for the stack.
pub(crate) fn check_size(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut levels = vec![Level::default()];
    let mut nested_types = 0;
    for (at, token) in tokens.iter().enumerate() {
        let inside = levels.len() > 1;
        let Some(level) = levels.last_mut() else {
            break;
        };
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                level.others += usize::from(token.token == Token::LBracket);
                levels.push(Level::default());
            }
            Token::RParen | Token::RBracket | Token::RBrace if inside => {
                let closed = levels.pop().unwrap_or_default().next();
                if let Some(level) = levels.last_mut() {
                    level.inside = level.inside.max(closed.deepest + 1);
                }
            }
            Token::Comma => *level = level.next(),
            Token::Lt
                if at > 0
                    && is_one_of(&tokens[at - 1].token, &["ARRAY", "MAP", "STRUCT", "ROW"]) =>
            {
                nested_types += 1;
            }
            Token::Word(_)
                if is_one_of(&token.token, &["UNION", "EXCEPT", "INTERSECT", "MINUS"]) =>
            {
                *level = Level {
                    set_operations: level.set_operations + 1,
                    ..level.next()
                };
            }
            Token::Word(_) if is_one_of(&token.token, &CLAUSE_WORDS) => *level = level.next(),
            Token::Word(_) if !is_one_of(&token.token, &OPERATOR_WORDS) => {}
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::RParen
            | Token::RBracket
            | Token::RBrace => {}
            operator => level.operator(operator),
        }
        let level = levels.last().copied().unwrap_or_default();
        let too_much = if levels.len() > MAX_PARENTHESES || nested_types > MAX_NESTED_TYPES {
            "statement is nested too deeply"
        } else if level.depth() > MAX_EXPRESSION_DEPTH {
            "expression is too deep"
        } else if level.set_operations > MAX_SET_OPERATIONS {
            "query has too many set operations"
        } else {
            continue;
        };
        return Err(Error::new(TOO_COMPLEX, too_much)
            .hint("use IN (…) instead of a chain of OR, or smaller statements")
            .at(from_span(token.span)));
    }
    Ok(())
}

/// Turns `TABLE name` where a query stands into `SELECT * FROM name`. `TABLE name` as an argument stays.
pub(crate) fn expand_table_queries(tokens: &mut Vec<TokenWithSpan>) {
    let found: Vec<usize> = (0..tokens.len())
        .filter(|at| is_table_query(tokens, *at))
        .collect();
    for at in found.into_iter().rev() {
        let span = tokens[at].span;
        tokens.splice(at..=at, select_all(span));
    }
}

/// The tokens `SELECT * FROM`, all standing at `span`.
pub(crate) fn select_all(span: Span) -> Vec<TokenWithSpan> {
    vec![
        keyword("SELECT", span),
        TokenWithSpan {
            token: Token::Mul,
            span,
        },
        keyword("FROM", span),
    ]
}

/// A keyword that stands at `span`.
pub(crate) fn keyword(text: &str, span: Span) -> TokenWithSpan {
    TokenWithSpan {
        token: Token::make_keyword(text),
        span,
    }
}

fn is_table_query(tokens: &[TokenWithSpan], at: usize) -> bool {
    let named = matches!(
        tokens.get(at + 1).map(|token| &token.token),
        Some(Token::Word(_))
    );
    if !named || !is_one_of(&tokens[at].token, &["TABLE"]) {
        return false;
    }
    let Some(before) = at.checked_sub(1).map(|before| &tokens[before].token) else {
        return true;
    };
    match before {
        Token::LParen => match at.checked_sub(2).map(|before| &tokens[before].token) {
            Some(Token::Word(word)) => !is_function_name(word),
            _ => true,
        },
        Token::RParen => true,
        _ if is_one_of(&tokens[0].token, &["INSERT"]) => at > 2,
        word => is_one_of(word, &BEFORE_QUERY),
    }
}

/// Whether a word before a parenthesis names a function rather than being part of SQL.
fn is_function_name(word: &Word) -> bool {
    let text = word.value.to_ascii_uppercase();
    let syntax = [
        "AS",
        "FROM",
        "JOIN",
        "IN",
        "EXISTS",
        "COPY",
        "SUBSCRIBE",
        "TO",
        "ANY",
        "ALL",
        "SOME",
        "ARRAY",
        "ON",
    ];
    word.quote_style.is_some()
        || !(syntax.contains(&text.as_str()) || CLAUSE_WORDS.contains(&text.as_str()))
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none()
        && words.iter().any(|text| word.value.eq_ignore_ascii_case(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::ClickmillDialect;
    use crate::parse::source::Source;

    fn tokens(text: &str) -> Vec<TokenWithSpan> {
        Source::new(text)
            .tokens(&ClickmillDialect::default())
            .unwrap()
    }

    fn expanded(text: &str) -> String {
        let mut tokens = tokens(text);
        expand_table_queries(&mut tokens);
        tokens
            .iter()
            .map(|token| token.token.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn table_queries_become_selects() {
        assert_eq!(expanded("TABLE a"), "SELECT * FROM a");
        assert_eq!(
            expanded("TABLE a UNION ALL TABLE b"),
            "SELECT * FROM a UNION ALL SELECT * FROM b"
        );
        assert_eq!(
            expanded("SELECT * FROM (TABLE a)"),
            "SELECT * FROM ( SELECT * FROM a )"
        );
        assert_eq!(
            expanded("COPY (TABLE a) TO STDOUT"),
            "COPY ( SELECT * FROM a ) TO STDOUT"
        );
        assert_eq!(
            expanded("INSERT INTO t (x) TABLE a"),
            "INSERT INTO t ( x ) SELECT * FROM a"
        );
        assert_eq!(
            expanded("INSERT INTO t TABLE a"),
            "INSERT INTO t SELECT * FROM a"
        );
        assert_eq!(
            expanded("WITH a AS (TABLE b) TABLE a"),
            "WITH a AS ( SELECT * FROM b ) SELECT * FROM a"
        );
        assert_eq!(
            expanded("SUBSCRIBE TO TABLE a"),
            "SUBSCRIBE TO SELECT * FROM a"
        );
        assert_eq!(expanded("EXPLAIN TABLE a"), "EXPLAIN SELECT * FROM a");
        for same in [
            "CREATE TABLE a",
            "TUMBLE ( TABLE a , ts )",
            "HOP ( DATA => TABLE a )",
            "DROP TABLE a",
        ] {
            assert_eq!(expanded(same), same);
        }
    }

    #[test]
    fn size() {
        let refused = [
            format!("SELECT 1{}", " + 1".repeat(201)),
            format!("SELECT a{}", " NOTNULL".repeat(201)),
            format!("SELECT a{}", "::int".repeat(201)),
            format!("SELECT {}1", "INTERVAL ".repeat(201)),
            format!(
                "SELECT {}1{}",
                "(".repeat(20),
                " + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1)".repeat(20)
            ),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(51)),
            format!("SELECT {}1{}", "(".repeat(100), ")".repeat(100)),
            format!("SELECT a[{}1{}", "[".repeat(100), "]".repeat(100)),
            format!("SELECT CAST(a AS {}INT)", "ARRAY<".repeat(9)),
        ];
        for text in refused {
            assert_eq!(
                check_size(&tokens(&text)).unwrap_err().state(),
                TOO_COMPLEX,
                "{}",
                &text[..40]
            );
        }
        let accepted = [
            format!("SELECT 1{}", ", 1 + 1".repeat(2_000)),
            format!("INSERT INTO t VALUES (1){}", ", (-1 * 2)".repeat(2_000)),
            format!(
                "SELECT 1 WHERE a = 1{}",
                " OR (a = 1 AND b = 2 AND c = 3)".repeat(190)
            ),
            format!("SELECT 1 WHERE a = 1{}", " OR a = 1 AND b = 2".repeat(190)),
            format!("SELECT CASE{} END", " WHEN a = 1 THEN 2".repeat(1_500)),
        ];
        for text in accepted {
            assert_eq!(check_size(&tokens(&text)), Ok(()), "{}", &text[..40]);
        }
    }
}
