//! `CREATE SOURCE`, and `CREATE TABLE` both as a small table and in Flink's form for a source.

use dataflow::options::OptionEntry;
use dataflow::schema::{ColumnOrigin, Encoding, SourceSchema, TimestampFormat};
use dataflow::{Error, Location, Result, SqlState};
use sqlparser::tokenizer::Token;

use super::columns::{Declared, included, metadata_origin};
use super::create::if_not_exists;
use super::cursor::Cursor;
use super::encoding::{
    check_columns, read_format, take, take_format, take_options, take_timestamps,
};
use super::infer::infer;
use super::with_options::options;
use crate::ast::{CreateSource, CreateTable, InferSource, Name, Statement};

/// The connectors whose records may have several formats, so that it must be said which.
const WITH_FORMAT: [&str; 4] = ["kafka", "file", "filesystem", "socket"];

/// Reads what follows `CREATE SOURCE`.
pub(super) fn create_source(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = if_not_exists(cursor);
    let name = cursor.name()?;
    let without_columns = cursor
        .unexpected()
        .detail("a source needs a list of columns, or INFER");
    let listed = cursor.sees_token(&Token::LParen);
    let mut declared = if listed {
        Declared::read(cursor)?
    } else {
        Declared::default()
    };
    let clauses = Clauses::read(cursor, &mut declared)?;
    for clause in ["AS", "ENCODE", "KEY", "ROW"] {
        cursor.refuse(&[clause])?;
    }
    let end = cursor.location();
    cursor.finish()?;
    if !listed && clauses.infer.is_none() {
        return Err(without_columns);
    }
    let mut options = clauses
        .with
        .ok_or_else(|| missing("WITH (connector = 'kafka', …)").at(end))?;
    let connector = take_connector(&mut options)
        .ok_or_else(|| missing("connector = '…' in WITH (…)").at(end))?;
    if let Some((sample, at)) = clauses.infer {
        if listed {
            return Err(Error::unsupported("INFER beside a list of columns")
                .hint("leave one of them out")
                .at(at));
        }
        let encoding = clauses.format.clone().unwrap_or_default();
        if encoding != Encoding::Json {
            let what = format!("INFER with ENCODE {}", encoding.name());
            return Err(Error::unsupported(what).hint("name the columns").at(at));
        }
        take_options(encoding, &mut options)?;
        return Ok(Statement::InferSource(InferSource {
            name,
            if_not_exists,
            timestamps: take_timestamps(&mut options)?,
            included: declared.into_columns(),
            options,
            connector,
            sample,
            clauses: clauses.written,
            format_given: clauses.format.is_some(),
        }));
    }
    if WITH_FORMAT.contains(&connector.value.as_str()) && clauses.format.is_none() {
        return Err(missing("FORMAT PLAIN ENCODE JSON").at(end));
    }
    let encoding = clauses.format.unwrap_or_default();
    let schema = schema(&name, declared, encoding, &mut options)?;
    Ok(Statement::CreateSource(CreateSource {
        name,
        if_not_exists,
        schema,
        options,
        connector,
    }))
}

/// What follows the columns of a source, in any order.
#[derive(Default)]
struct Clauses {
    with: Option<Vec<OptionEntry>>,
    format: Option<Encoding>,
    /// Records to look at, and where INFER stands.
    infer: Option<(usize, Option<Location>)>,
    /// All but INFER as written.
    written: Vec<String>,
}

impl Clauses {
    fn read(cursor: &mut Cursor<'_>, declared: &mut Declared) -> Result<Self> {
        let mut clauses = Self::default();
        loop {
            let (start, at) = (cursor.position(), cursor.location());
            if cursor.accept(&["INCLUDE"]) {
                include(cursor, declared)?;
            } else if clauses.with.is_none() && cursor.accept(&["WITH"]) {
                clauses.with = Some(options(cursor)?);
            } else if clauses.format.is_none() && cursor.sees(&["FORMAT"]) {
                clauses.format = Some(read_format(cursor)?);
            } else if clauses.infer.is_none() && cursor.accept(&["INFER"]) {
                clauses.infer = Some((infer(cursor)?, at));
                continue;
            } else {
                return Ok(clauses);
            }
            clauses.written.push(cursor.text_since(start).to_owned());
        }
    }
}

/// Reads what follows `CREATE TABLE`.
pub(super) fn create_table(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = if_not_exists(cursor);
    let name = cursor.name()?;
    if cursor.sees(&["AS"]) {
        return Err(table_as(cursor));
    }
    for clause in [["PARTITION", "OF"].as_slice(), &["OF"], &["LIKE"]] {
        cursor.refuse(clause)?;
    }
    if columns_only(cursor) {
        let mut ahead = cursor.clone();
        ahead.column_list()?;
        return Err(table_as(&ahead));
    }
    let declared = Declared::read(cursor)?;
    let clauses = [
        ["COMMENT"].as_slice(),
        &["PARTITIONED"],
        &["PARTITION", "BY"],
        &["DISTRIBUTED"],
        &["LIKE"],
        &["INHERITS"],
        &["TABLESPACE"],
        &["ON", "COMMIT"],
        &["USING"],
        &["WITHOUT"],
        &["APPEND", "ONLY"],
        &["INCLUDE"],
    ];
    for clause in clauses {
        cursor.refuse(clause)?;
    }
    if !cursor.accept(&["WITH"]) {
        if cursor.sees(&["AS"]) {
            return Err(table_as(cursor));
        }
        return plain_table(name, if_not_exists, declared);
    }
    let with_at = cursor.previous_location();
    let mut options = options(cursor)?;
    for clause in clauses.into_iter().chain([["FORMAT"].as_slice(), &["AS"]]) {
        cursor.refuse(clause)?;
    }
    let connector = take_connector(&mut options).ok_or_else(|| {
        Error::unsupported("WITH (…) on a table without a connector")
            .hint("leave it out, or add 'connector' = 'kafka' for a source")
            .at(with_at)
    })?;
    let format = take_format(&mut options)?;
    if format.is_none() && WITH_FORMAT.contains(&connector.value.as_str()) {
        return Err(missing("'format' = 'json'").at(connector.location));
    }
    let schema = schema(&name, declared, format.unwrap_or_default(), &mut options)?;
    Ok(Statement::CreateSource(CreateSource {
        name,
        if_not_exists,
        schema,
        options,
        connector,
    }))
}

fn plain_table(name: Name, if_not_exists: bool, declared: Declared) -> Result<Statement> {
    if let Some((what, at)) = &declared.source_only {
        return Err(
            Error::unsupported(format!("{what} in a table without a connector"))
                .hint("only columns of a source come from records")
                .at(*at),
        );
    }
    let schema = declared.schema(TimestampFormat::default())?;
    Ok(Statement::CreateTable(CreateTable {
        name,
        if_not_exists,
        schema,
    }))
}

fn table_as(cursor: &Cursor<'_>) -> Error {
    cursor
        .unsupported("CREATE TABLE … AS")
        .hint("use CREATE MATERIALIZED VIEW, or CREATE TABLE and INSERT")
}

/// Whether the parenthesis holds names without types, as in `CREATE TABLE t (a, b) AS …`.
fn columns_only(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.column_list().is_ok() && ahead.sees(&["AS"])
}

fn missing(what: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("the source lacks {what}"))
}

/// Reads `KEY AS name, PARTITION AS name, …` behind INCLUDE.
fn include(cursor: &mut Cursor<'_>, declared: &mut Declared) -> Result<()> {
    loop {
        let at = cursor.location();
        let Some(word) = cursor.word_at(0) else {
            return Err(cursor.unexpected());
        };
        let word_is_rest = word.value.eq_ignore_ascii_case("rest");
        let origin = match metadata_origin(&word.value.to_ascii_lowercase()) {
            None if word_is_rest => Some(ColumnOrigin::Rest),
            origin => origin,
        };
        let Some(origin) = origin else {
            return Err(
                Error::unsupported(format!("INCLUDE {}", word.value.to_ascii_uppercase()))
                    .hint("INCLUDE KEY, TOPIC, PARTITION, OFFSET, TIMESTAMP, HEADERS or REST")
                    .at(at),
            );
        };
        cursor.skip();
        cursor.expect(&["AS"])?;
        let (name, _) = cursor.identifier()?;
        declared.add(included(name.value, origin), name.location)?;
        if !cursor.accept_token(&Token::Comma) {
            return Ok(());
        }
    }
}

fn take_connector(options: &mut Vec<OptionEntry>) -> Option<Name> {
    let entry = take(options, "connector")?;
    Some(Name {
        value: entry.value,
        location: entry.location,
    })
}

/// The schema; takes `timestamp.format` and those of the encoding out of the options.
fn schema(
    name: &Name,
    declared: Declared,
    encoding: Encoding,
    options: &mut Vec<OptionEntry>,
) -> Result<SourceSchema> {
    if let Some(entry) = options
        .iter()
        .find(|entry| entry.name == "json.timestamp-format.standard")
    {
        return Err(Error::unsupported("option json.timestamp-format.standard")
            .hint("use 'timestamp.format' = 'iso8601'")
            .at(entry.location));
    }
    let timestamps = take_timestamps(options)?;
    let encoding = take_options(encoding, options)?;
    let schema = declared.schema(timestamps)?;
    check_columns(&encoding, &schema.columns).map_err(|error| error.at(name.location))?;
    Ok(SourceSchema { encoding, ..schema })
}
