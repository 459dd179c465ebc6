//! Identifiers: folded as PostgreSQL folds them, and the words that it reserves.

use sqlparser::tokenizer::Word;

/// The identifier that a word stands for: as it is when quoted, in lower case (ASCII) otherwise.
pub fn fold(word: &Word) -> String {
    fold_parts(&word.value, word.quote_style)
}

/// Folds an identifier given as text and the quote around it.
pub fn fold_parts(value: &str, quote_style: Option<char>) -> String {
    if quote_style.is_some() {
        value.to_owned()
    } else {
        value.to_ascii_lowercase()
    }
}

/// Whether an unquoted word cannot name a table or a column.
pub fn is_reserved(word: &Word) -> bool {
    word.quote_style.is_none() && is_reserved_text(&word.value)
}

/// Whether `text` is a reserved word, in any case.
pub fn is_reserved_text(text: &str) -> bool {
    RESERVED
        .binary_search(&text.to_ascii_uppercase().as_str())
        .is_ok()
}

/// `identifier` as one would have to write it in SQL.
pub fn quote(identifier: &str) -> String {
    let mut chars = identifier.chars();
    let plain = chars
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !is_reserved_text(identifier);
    if plain {
        identifier.to_owned()
    } else {
        format!("\"{}\"", identifier.replace('"', "\"\""))
    }
}

/// PostgreSQL 15's reserved words (appendix C of its manual), sorted.
const RESERVED: [&str; 77] = [
    "ALL",
    "ANALYSE",
    "ANALYZE",
    "AND",
    "ANY",
    "ARRAY",
    "AS",
    "ASC",
    "ASYMMETRIC",
    "BOTH",
    "CASE",
    "CAST",
    "CHECK",
    "COLLATE",
    "COLUMN",
    "CONSTRAINT",
    "CREATE",
    "CURRENT_CATALOG",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "DEFAULT",
    "DEFERRABLE",
    "DESC",
    "DISTINCT",
    "DO",
    "ELSE",
    "END",
    "EXCEPT",
    "FALSE",
    "FETCH",
    "FOR",
    "FOREIGN",
    "FROM",
    "GRANT",
    "GROUP",
    "HAVING",
    "IN",
    "INITIALLY",
    "INTERSECT",
    "INTO",
    "LATERAL",
    "LEADING",
    "LIMIT",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "ONLY",
    "OR",
    "ORDER",
    "PLACING",
    "PRIMARY",
    "REFERENCES",
    "RETURNING",
    "SELECT",
    "SESSION_USER",
    "SOME",
    "SYMMETRIC",
    "TABLE",
    "THEN",
    "TO",
    "TRAILING",
    "TRUE",
    "UNION",
    "UNIQUE",
    "USER",
    "USING",
    "VARIADIC",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn word(value: &str, quote_style: Option<char>) -> Word {
        Word {
            value: value.to_owned(),
            quote_style,
            keyword: sqlparser::keywords::Keyword::NoKeyword,
        }
    }

    #[test]
    fn folding() {
        assert_eq!(fold(&word("UserId", None)), "userid");
        assert_eq!(fold(&word("UserId", Some('"'))), "UserId");
        assert_eq!(fold(&word("ÄB", None)), "Äb");
    }

    #[test]
    fn reserved_words_are_sorted_and_found() {
        assert!(RESERVED.is_sorted());
        assert!(is_reserved(&word("Select", None)));
        assert!(!is_reserved(&word("select", Some('"'))));
        assert!(!is_reserved(&word("timestamp", None)));
    }

    #[test]
    fn quoting() {
        assert_eq!(quote("user_id"), "user_id");
        assert_eq!(quote("user"), "\"user\"");
        assert_eq!(quote("userId"), "\"userId\"");
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote("1a"), "\"1a\"");
    }
}
