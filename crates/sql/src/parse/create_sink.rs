//! `CREATE SINK name FROM view | AS query [EMIT …] WITH (…) [FORMAT PLAIN | UPSERT ENCODE …]`.

use dataflow::options::{OptionEntry, bad_value};
use dataflow::schema::TimestampFormat;
use dataflow::sink::SinkFormat;
use dataflow::{Error, Result, SqlState};
use sqlparser::ast::Query;

use super::create::if_not_exists;
use super::cursor::Cursor;
use super::emit::{begins_emission, emission};
use super::encoding::{read_encoding, take, take_options, take_timestamps};
use super::tokens::select_all;
use super::with_options::options;
use crate::ast::{CreateSink, Emission, Name, Statement};

/// Reads what follows `CREATE SINK`.
pub(super) fn create_sink(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = if_not_exists(cursor);
    let name = cursor.name()?;
    if cursor.sees(&["INTO"]) {
        return Err(cursor
            .unsupported("CREATE SINK … INTO")
            .hint("say in WITH (connector = …) where the rows go"));
    }
    let Input {
        query,
        text,
        from,
        mut clause,
    } = input(cursor)?;
    let mut with: Option<Vec<OptionEntry>> = None;
    let mut format = None;
    loop {
        if with.is_none() && cursor.accept(&["WITH"]) {
            with = Some(options(cursor)?);
        } else if format.is_none() && cursor.accept(&["FORMAT"]) {
            format = Some(read_format(cursor)?);
        } else if from.is_none() && clause == Emission::default() && begins_emission(cursor) {
            clause = emission(cursor)?;
        } else {
            break;
        }
    }
    if begins_emission(cursor) {
        return Err(cursor
            .unsupported("EMIT in a sink FROM a view")
            .hint("the view says when its rows come out"));
    }
    for words in ["KEY", "ENVELOPE", "IN"] {
        cursor.refuse(&[words])?;
    }
    let end = cursor.location();
    cursor.finish()?;
    let mut options = with.ok_or_else(|| lacks("WITH (connector = 'kafka', …)").at(end))?;
    let connector = take(&mut options, "connector")
        .ok_or_else(|| lacks("connector = '…' in WITH (…)").at(end))?;
    let connector = Name {
        value: connector.value,
        location: connector.location,
    };
    let (format, encoding) = match format {
        Some((format, encoding)) => (format, Some(encoding)),
        None => (SinkFormat::Plain, None),
    };
    let timestamp_option = options
        .iter()
        .find(|o| o.name == "timestamp.format")
        .cloned();
    let timestamps = take_timestamps(&mut options)?;
    if let Some(entry) = timestamp_option
        .as_ref()
        .filter(|_| timestamps == TimestampFormat::Auto)
    {
        return Err(bad_value(entry, "is for what is read")
            .hint("choices: epoch_s, epoch_ms, epoch_us, iso8601"));
    }
    let format_given = encoding.is_some();
    let encoding = take_options(encoding.unwrap_or_default(), &mut options)?;
    Ok(Statement::CreateSink(CreateSink {
        name,
        if_not_exists,
        query,
        query_text: text,
        from,
        emission: clause,
        connector,
        options,
        format,
        encoding,
        format_given,
        timestamps,
        timestamp_option,
    }))
}

/// What a sink reads.
struct Input {
    query: Box<Query>,
    text: String,
    from: Option<Name>,
    clause: Emission,
}

/// `FROM view` or `AS query`, up to the clauses of the sink: sqlparser would read WITH as a table's hint.
fn input(cursor: &mut Cursor<'_>) -> Result<Input> {
    let start = cursor.position();
    if cursor.accept(&["FROM"]) {
        let written = cursor.rest();
        let first = written.first().ok_or_else(|| cursor.unexpected())?;
        let mut tokens = select_all(first.span);
        let from = cursor.name()?;
        let length = written.len() - cursor.rest().len();
        tokens.extend(written[..length].iter().cloned());
        return Ok(Input {
            query: cursor.query_of(tokens)?,
            text: format!("SELECT * {}", cursor.text_since(start)),
            from: Some(from),
            clause: Emission::default(),
        });
    }
    if !cursor.accept(&["AS"]) {
        return Err(cursor
            .unexpected()
            .detail("a sink needs FROM view or AS SELECT …"));
    }
    let mut part = cursor.take(length(cursor));
    let query = super::query(&mut part)?;
    let text = part.text_since(0).to_owned();
    let clause = emission(&mut part)?;
    part.finish()?;
    Ok(Input {
        query,
        text,
        from: None,
        clause,
    })
}

/// How many tokens belong to the query: up to `WITH (` or FORMAT outside of parentheses.
fn length(cursor: &Cursor<'_>) -> usize {
    let formats = [["FORMAT", "PLAIN"], ["FORMAT", "UPSERT"]];
    cursor
        .length_until(|ahead| ahead.sees_options() || formats.iter().any(|words| ahead.sees(words)))
}

/// Reads `PLAIN | UPSERT ENCODE …` behind FORMAT.
fn read_format(cursor: &mut Cursor<'_>) -> Result<(SinkFormat, dataflow::schema::Encoding)> {
    let format = if cursor.accept(&["PLAIN"]) {
        SinkFormat::Plain
    } else if cursor.accept(&["UPSERT"]) {
        SinkFormat::Upsert
    } else {
        return Err(match cursor.word_at(0) {
            Some(word) => cursor
                .unsupported(format!("FORMAT {}", word.value.to_ascii_uppercase()))
                .hint("use FORMAT PLAIN or FORMAT UPSERT"),
            None => cursor.unexpected(),
        });
    };
    Ok((format, read_encoding(cursor)?))
}

fn lacks(what: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("the sink lacks {what}"))
}
