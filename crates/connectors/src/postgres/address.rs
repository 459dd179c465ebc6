//! Where the rows go: the server's address, of which no message shows anything, and the table's name.

use std::error::Error as _;
use std::fmt;

use dataflow::options::{OptionEntry, Options, bad_value};
use dataflow::{Error, Location, Result, SqlState};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::sql::quote;

/// Reads option `url`.
pub(super) fn config(options: &mut Options) -> Result<Config> {
    let place = options.entries().find(|entry| entry.name == "url");
    let place = place.and_then(|entry| entry.location);
    let text = options.require("url", &[])?;
    let mut config: Config = text
        .trim()
        .parse()
        .map_err(|error| unreadable(&error, place))?;
    if !matches!(config.get_ssl_mode(), SslMode::Disable | SslMode::Prefer) {
        return Err(encrypted(place));
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(bad_address("names no host", place));
    }
    // Such a host is the rest of a password.
    let torn = |host: &Host| matches!(host, Host::Tcp(name) if name.contains('@'));
    if config.get_hosts().iter().any(torn) {
        return Err(bad_address("has an \"@\" too many", place));
    }
    if config.get_application_name().is_none() {
        config.application_name("clickmill");
    }
    Ok(config)
}

fn unreadable(error: &tokio_postgres::Error, place: Option<Location>) -> Error {
    let reason = error.source().map(ToString::to_string).unwrap_or_default();
    if reason == "invalid value for option `sslmode`" {
        return encrypted(place);
    }
    // These name parameters of PostgreSQL; others may show what stands in the address, and so parts of a password.
    match reason.strip_prefix("invalid value for option `") {
        Some(name) => {
            let name = name.trim_end_matches('`');
            bad_address(&format!("has a value of \"{name}\" that is none"), place)
        }
        None => bad_address("is not an address of PostgreSQL", place),
    }
}

fn bad_address(what: &str, place: Option<Location>) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER,
        format!("option \"url\" {what}"),
    )
    .at(place)
    .hint(
        "write postgres://user:password@host:5432/database, with %40 for @ and the like in the password, \
         or host=… port=… user=… password='…' dbname=…",
    )
}

fn encrypted(place: Option<Location>) -> Error {
    Error::unsupported(
        "\"sslmode\" other than disable and prefer in option \"url\" of connector \"postgres\"",
    )
    .at(place)
    .hint("the connection has no TLS: use sslmode=disable in a private network or through a tunnel")
}

/// A table as option `table` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableName {
    schema: Option<String>,
    name: String,
}

impl TableName {
    /// As SQL names it.
    pub(super) fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.name)),
            None => quote(&self.name),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// Reads option `table`: `name` or `schema.name`, as PostgreSQL has them and without quotes.
pub(super) fn table(options: &mut Options) -> Result<TableName> {
    let Some(entry) = options.take_any("table", &[])? else {
        return Err(
            Error::new(SqlState::INVALID_PARAMETER, "option \"table\" is missing")
                .hint("add table = 'schema.name' to WITH (…)"),
        );
    };
    table_name(&entry).ok_or_else(|| {
        bad_value(&entry, "is not a name of a table")
            .hint("write 'name' or 'schema.name', without quotes within")
    })
}

fn table_name(entry: &OptionEntry) -> Option<TableName> {
    let text = entry.value.trim();
    let parts: Vec<&str> = text.split('.').collect();
    let is_name = |part: &&str| !part.is_empty() && !part.contains(['"', '\0']);
    if !parts.iter().all(is_name) {
        return None;
    }
    let (schema, name) = match parts[..] {
        [name] => (None, name),
        [schema, name] => (Some(schema.to_owned()), name),
        _ => return None,
    };
    Some(TableName {
        schema,
        name: name.to_owned(),
    })
}
