//! Functions that turn oids and names into text.

use datafusion::error::Result;

use super::{Function, called_on_null, function, keywords};
use crate::relations::oid;
use crate::snapshot::CatalogSnapshot;
use crate::types::{self, INT4, NAME, TEXT};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("pg_get_userbyid", 1..=1, NAME, |snapshot, args| {
        Ok(user_name(snapshot, args[0].oid()).into())
    }),
    called_on_null("format_type", 2..=2, TEXT, format_type),
    function("quote_ident", 1..=1, TEXT, |_, args| {
        Ok(quote_ident(&args[0].print()).into())
    }),
    function("quote_literal", 1..=1, TEXT, |_, args| {
        Ok(quote_literal(&args[0].print()).into())
    }),
    called_on_null("quote_nullable", 1..=1, TEXT, |_, args| {
        Ok(if args[0].is_null() {
            "NULL".to_owned()
        } else {
            quote_literal(&args[0].print())
        }
        .into())
    }),
    called_on_null("format", 1..=100, TEXT, |_, args| Ok(format(args))),
    function("getdatabaseencoding", 0..=0, NAME, |_, _| Ok("UTF8".into())),
    function("pg_encoding_to_char", 1..=1, NAME, |_, args| {
        Ok(encoding_name(args[0].int()).into())
    }),
    function("pg_char_to_encoding", 1..=1, INT4, |_, args| {
        let asked = args[0].print().to_ascii_uppercase().replace('-', "");
        let number = ENCODINGS
            .iter()
            .find(|(_, name)| *name == asked)
            .map_or(-1, |(number, _)| *number);
        Ok(number.into())
    }),
];

/// PostgreSQL's numbers of the encodings that a client may ask about.
const ENCODINGS: [(i64, &str); 3] = [(0, "SQL_ASCII"), (6, "UTF8"), (8, "LATIN1")];

fn encoding_name(number: Option<i64>) -> &'static str {
    ENCODINGS
        .iter()
        .find(|(known, _)| Some(*known) == number)
        .map_or("", |(_, name)| name)
}

pub(super) fn user_name(snapshot: &CatalogSnapshot, role: Option<u32>) -> String {
    match role {
        Some(oid::OWNER) => snapshot.user.clone(),
        role => format!("unknown (OID={})", role.unwrap_or_default()),
    }
}

fn format_type(_: &CatalogSnapshot, args: &[Value]) -> Result<Value> {
    let Some(oid) = args.first().and_then(Value::oid) else {
        return Ok(Value::Null);
    };
    let typmod = args
        .get(1)
        .and_then(Value::int)
        .and_then(|typmod| i32::try_from(typmod).ok());
    Ok(types::format_type(oid, typmod).into())
}

/// A name as SQL writes it: in quotes unless it is lower-case and no key word.
pub(super) fn quote_ident(name: &str) -> String {
    let first = name
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let rest = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if first && rest && !keywords::needs_quotes(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// `format('%s %I %L', …)`; NULL for a NULL pattern.
fn format(args: &[Value]) -> Value {
    let Some(pattern) = args.first().and_then(Value::text) else {
        return Value::Null;
    };
    let mut rest = args[1..].iter();
    let mut result = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '%' { chars.next() } else { None }) {
            ('%', Some('s')) => result += &rest.next().map(Value::print).unwrap_or_default(),
            ('%', Some('I')) => {
                result += &quote_ident(&rest.next().map(Value::print).unwrap_or_default());
            }
            ('%', Some('L')) => match rest.next() {
                Some(Value::Null) | None => result += "NULL",
                Some(value) => result += &quote_literal(&value.print()),
            },
            ('%', Some(other)) => result.push(other),
            (c, _) => result.push(c),
        }
    }
    result.into()
}

fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::{quote_ident, quote_literal};

    #[test]
    fn names_and_texts_are_quoted_where_needed() {
        assert_eq!(quote_ident("page_views2"), "page_views2");
        assert_eq!(quote_ident("user"), "\"user\"");
        assert_eq!(quote_ident("Ab\"c"), "\"Ab\"\"c\"");
        assert_eq!(quote_ident("1a"), "\"1a\"");
        assert_eq!(quote_literal("it's \\"), "E'it''s \\\\'");
    }
}
