//! From text to statements: any number of them, separated by semicolons.

mod alter;
mod columns;
mod copy;
mod create;
mod create_sink;
mod create_source;
mod create_view;
mod cursor;
mod describe;
mod drop;
mod emit;
mod encoding;
mod explain;
mod infer;
mod insert;
mod savepoint;
mod set;
mod show;
mod source;
mod subscribe;
mod tokens;
mod transaction;
mod unsupported;
mod with_options;

use dataflow::{Location, Result};
use sqlparser::ast::{Query, SetExpr};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::ast::{Parsed, Statement};
use crate::dialect::ClickmillDialect;
use crate::location::{from_span, location_of};
use cursor::Cursor;
use source::Source;

/// Parses a text of any number of statements separated by semicolons; empty ones are skipped.
///
/// Queries inside are not yet checked for what clickmill does not do: that is [`crate::refuse::check_query`].
/// Errors are `42601` for what is no SQL, `0A000` for statements and clauses that clickmill does not have, `54001` for
/// statements that are too deep, and those of the parts; all with a place in `text`. One error refuses the whole text.
pub fn parse(text: &str) -> Result<Vec<Parsed>> {
    let source = Source::new(text);
    let dialect = ClickmillDialect::default();
    let tokens = source.tokens(&dialect)?;
    let mut statements = Vec::new();
    let mut rest = tokens.as_slice();
    while !rest.is_empty() {
        let length = rest
            .iter()
            .position(|token| token.token == Token::SemiColon)
            .unwrap_or(rest.len());
        let (statement, after) = rest.split_at(length);
        if let [first, ..] = statement {
            statements.push(parse_one(
                &source,
                &dialect,
                first,
                statement,
                after.first(),
            )?);
        }
        rest = after.get(1..).unwrap_or_default();
    }
    Ok(statements)
}

fn parse_one(
    source: &Source<'_>,
    dialect: &ClickmillDialect,
    first: &TokenWithSpan,
    written: &[TokenWithSpan],
    terminator: Option<&TokenWithSpan>,
) -> Result<Parsed> {
    tokens::check_size(written)?;
    let mut expanded = written.to_vec();
    tokens::expand_table_queries(&mut expanded);
    let mut cursor = Cursor::new(source, dialect, &expanded, terminator);
    let statement = statement(&mut cursor)?;
    cursor.finish()?;
    let location = from_span(first.span).unwrap_or(Location { line: 1, column: 1 });
    Ok(Parsed {
        statement,
        text: cursor.text_since(0).to_owned(),
        location,
    })
}

/// One statement, by its first word.
fn statement(cursor: &mut Cursor<'_>) -> Result<Statement> {
    if cursor.sees_token(&Token::LParen) {
        return query_statement(cursor);
    }
    let Some(word) = cursor.word_at(0).filter(|word| word.quote_style.is_none()) else {
        return Err(cursor.unexpected());
    };
    match word.value.to_ascii_uppercase().as_str() {
        "SELECT" | "WITH" | "VALUES" => query_statement(cursor),
        "CREATE" => create::create(cursor),
        "ALTER" => alter::alter(cursor),
        "DROP" => drop::drop(cursor),
        "INSERT" => insert::insert(cursor),
        "ADVANCE" => insert::advance_watermark(cursor),
        "SUBSCRIBE" => subscribe::subscribe(cursor).map(Statement::Subscribe),
        "COPY" => copy::copy(cursor),
        "EXPLAIN" => explain::explain(cursor),
        "DESCRIBE" | "DESC" => describe::describe(cursor),
        "SHOW" => show::show(cursor),
        "SET" => set::set(cursor),
        "RESET" => set::reset(cursor),
        "DISCARD" => set::discard(cursor),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" => {
            transaction::transaction(cursor)
        }
        _ => Err(unsupported::refuse_statement(cursor)),
    }
}

/// A query that ends. EMIT has no place here.
fn query_statement(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let query = query(cursor)?;
    if emit::begins_emission(cursor) {
        let clause = if cursor.sees(&["EMIT"]) {
            "EMIT"
        } else {
            "ALLOW LATENESS"
        };
        let what = format!("{clause} in a query that ends");
        let hint = format!(
            "SUBSCRIBE (SELECT …) {clause} … gives rows as they come; CREATE MATERIALIZED VIEW … {clause} … keeps them"
        );
        return Err(cursor.unsupported(&what).hint(hint));
    }
    Ok(Statement::Query(query))
}

/// A query, not one of the statements that sqlparser takes for one behind WITH.
fn query(cursor: &mut Cursor<'_>) -> Result<Box<Query>> {
    let start = cursor.location();
    let query = cursor.query()?;
    let what = match query.body.as_ref() {
        SetExpr::Insert(_) => "INSERT",
        SetExpr::Update(_) => "UPDATE",
        SetExpr::Delete(_) => "DELETE",
        SetExpr::Merge(_) => "MERGE",
        _ => return Ok(query),
    };
    let at = location_of(query.body.as_ref()).or(start);
    Err(dataflow::Error::unsupported(format!("{what} as a query")).at(at))
}

#[cfg(test)]
mod tests;
