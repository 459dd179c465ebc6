//! How a source's records are written: `FORMAT PLAIN ENCODE …`, Flink's `'format' = '…'`, and the options of each encoding.

use dataflow::options::{OptionEntry, bad_value, bool_value};
use dataflow::schema::{Column, ColumnOrigin, CsvOptions, Encoding, TimestampFormat};
use dataflow::{Error, Result, SqlState};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;

/// Options of Flink's CSV that clickmill knows and does not have.
const UNSUPPORTED_CSV: [&str; 4] = [
    "csv.allow-comments",
    "csv.escape-character",
    "csv.array-element-delimiter",
    "csv.write-bigdecimal-in-scientific-notation",
];

/// Reads `FORMAT PLAIN ENCODE JSON | CSV | PARQUET`; gives the encoding without its options.
pub(super) fn read_format(cursor: &mut Cursor<'_>) -> Result<Encoding> {
    cursor.expect(&["FORMAT"])?;
    if !cursor.accept(&["PLAIN"]) {
        return Err(refused(cursor, "FORMAT"));
    }
    read_encoding(cursor)
}

/// Reads `ENCODE JSON | CSV | PARQUET`.
pub(super) fn read_encoding(cursor: &mut Cursor<'_>) -> Result<Encoding> {
    cursor.expect(&["ENCODE"])?;
    let encoding = if cursor.accept(&["JSON"]) {
        Encoding::Json
    } else if cursor.accept(&["CSV"]) {
        Encoding::Csv(CsvOptions::default())
    } else if cursor.accept(&["PARQUET"]) {
        Encoding::Parquet
    } else {
        return Err(refused(cursor, "ENCODE"));
    };
    if cursor.sees_token(&Token::LParen) {
        return Err(cursor
            .unsupported(format!("options of ENCODE {}", encoding.name()))
            .hint("give options in WITH (…)"));
    }
    Ok(encoding)
}

fn refused(cursor: &Cursor<'_>, clause: &str) -> Error {
    match cursor.word_at(0) {
        Some(word) => cursor
            .unsupported(format!("{clause} {}", word.value.to_ascii_uppercase()))
            .hint("use FORMAT PLAIN ENCODE JSON, CSV or PARQUET"),
        None => cursor.unexpected(),
    }
}

/// Takes Flink's `format` or `value.format`; `None` when it is not given.
pub(super) fn take_format(options: &mut Vec<OptionEntry>) -> Result<Option<Encoding>> {
    let Some(entry) = take_either(options, "format", "value.format")? else {
        return Ok(None);
    };
    match entry.value.as_str() {
        "json" => Ok(Some(Encoding::Json)),
        "csv" => Ok(Some(Encoding::Csv(CsvOptions::default()))),
        "parquet" => Ok(Some(Encoding::Parquet)),
        _ => Err(
            Error::unsupported(format!("'{}' = '{}'", entry.name, entry.value))
                .hint("use 'json', 'csv' or 'parquet'")
                .at(entry.location),
        ),
    }
}

/// Takes the options of the encoding, and refuses those of others.
pub(super) fn take_options(encoding: Encoding, options: &mut Vec<OptionEntry>) -> Result<Encoding> {
    let (own, encoding) = match encoding {
        Encoding::Json => ("json.", Encoding::Json),
        Encoding::Csv(_) => ("csv.", Encoding::Csv(take_csv(options)?)),
        Encoding::Parquet => ("parquet.", Encoding::Parquet),
    };
    let of_another = |entry: &&OptionEntry| {
        let mut prefixes = ["json.", "csv.", "parquet."].into_iter();
        prefixes.any(|prefix| prefix != own && entry.name.starts_with(prefix))
    };
    if let Some(entry) = options.iter().find(of_another) {
        let message = format!(
            "option \"{}\" has no effect with ENCODE {}",
            entry.name,
            encoding.name()
        );
        return Err(Error::new(SqlState::INVALID_PARAMETER, message).at(entry.location));
    }
    Ok(encoding)
}

/// The options of CSV. `csv.header` stays among the options, because it is a matter of the connector, too.
fn take_csv(options: &mut Vec<OptionEntry>) -> Result<CsvOptions> {
    let unsupported = |entry: &&OptionEntry| UNSUPPORTED_CSV.contains(&entry.name.as_str());
    if let Some(entry) = options.iter().find(unsupported) {
        return Err(Error::unsupported(format!("option \"{}\"", entry.name)).at(entry.location));
    }
    let mut csv = CsvOptions::default();
    if let Some(entry) = take_either(options, "csv.quote", "csv.quote-character")? {
        csv.quote = match entry.value.as_str() {
            "" => None,
            _ => Some(character(&entry)?),
        };
    }
    if let Some(entry) = take(options, "csv.disable-quote-character")
        && bool_value(&entry)?
    {
        csv.quote = None;
    }
    if let Some(entry) = take_either(options, "csv.delimiter", "csv.field-delimiter")? {
        csv.delimiter = character(&entry)?;
        if csv.quote == Some(csv.delimiter) {
            return Err(bad_value(&entry, "is the quote"));
        }
    }
    if let Some(entry) = take_either(options, "csv.null", "csv.null-literal")? {
        csv.null = entry.value;
    }
    if let Some(entry) = options.iter().find(|entry| entry.name == "csv.header") {
        csv.header = bool_value(entry)?;
    }
    Ok(csv)
}

/// One ASCII character; a tab may be written as `\t`.
fn character(entry: &OptionEntry) -> Result<u8> {
    match entry.value.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte @ (b'\t' | b' '..=b'~')] => Ok(*byte),
        _ => Err(bad_value(entry, "is not one character of ASCII")),
    }
}

/// Refuses columns that the encoding cannot fill.
pub(super) fn check_columns(encoding: &Encoding, columns: &[Column]) -> Result<()> {
    let by_order = match encoding {
        Encoding::Json => return Ok(()),
        Encoding::Csv(csv) => !csv.header,
        Encoding::Parquet => false,
    };
    for Column { name, origin, .. } in columns {
        match origin {
            ColumnOrigin::Rest => {
                let what = format!("INCLUDE REST AS {name} of ENCODE {}", encoding.name());
                return Err(Error::unsupported(what).hint("declare the fields as columns"));
            }
            ColumnOrigin::Field(path) if by_order && !path.join(".").eq_ignore_ascii_case(name) => {
                return Err(
                    Error::unsupported(format!("FROM '{}' for column \"{name}\" of CSV without names", path.join(".")))
                        .hint("leave it out, as fields are taken in the order of the columns; or csv.header = true, where files begin with a line of names"),
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// Takes the option called `name`.
pub(super) fn take(options: &mut Vec<OptionEntry>, name: &str) -> Option<OptionEntry> {
    let at = options.iter().position(|entry| entry.name == name)?;
    Some(options.remove(at))
}

/// Takes the option under one of two names.
fn take_either(
    options: &mut Vec<OptionEntry>,
    name: &str,
    synonym: &str,
) -> Result<Option<OptionEntry>> {
    match (take(options, name), take(options, synonym)) {
        (Some(_), Some(second)) => {
            let message = format!("options \"{name}\" and \"{synonym}\" mean the same; give one");
            Err(Error::new(SqlState::INVALID_PARAMETER, message).at(second.location))
        }
        (first, second) => Ok(first.or(second)),
    }
}

/// Takes `timestamp.format`.
pub(super) fn take_timestamps(options: &mut Vec<OptionEntry>) -> Result<TimestampFormat> {
    Ok(match take(options, "timestamp.format") {
        None => TimestampFormat::default(),
        Some(entry) => match entry.value.to_ascii_lowercase().as_str() {
            "auto" => TimestampFormat::Auto,
            "epoch_s" => TimestampFormat::EpochSeconds,
            "epoch_ms" => TimestampFormat::EpochMillis,
            "epoch_us" => TimestampFormat::EpochMicros,
            "iso8601" => TimestampFormat::Iso8601,
            _ => {
                return Err(bad_value(&entry, "is not one of the choices")
                    .hint("choices: auto, epoch_s, epoch_ms, epoch_us, iso8601"));
            }
        },
    })
}
