//! Portals: statements with their parameters that are run, suspended after a number of rows, and run on.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::scalar::ScalarValue;
use pgwire::messages::extendedquery::{Bind, BindComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;

use dataflow::{Error, Result, SqlState};

use super::{Extended, Statement, check_room};
use crate::backend::{Cancel, Outcome, Rows, is_live};
use crate::cancel::Stop;
use crate::connection::Connection;
use crate::encode::{Format, Zone, columns};
use crate::error::{Step, violation};
use crate::params;
use crate::rows::{Fed, RowFeed, Sink};

/// Portals of a session, at most.
const MAX_PORTALS: usize = 100;

/// A statement with its parameters, on its way.
pub(super) struct Portal {
    pub(super) statement: Arc<Statement>,
    params: Vec<ScalarValue>,
    /// Bytes of the parameters as they came.
    bytes: usize,
    pub(super) formats: Vec<Format>,
    state: State,
}

enum State {
    /// Not run yet.
    New,
    /// Rows were sent, there may be more. The token is the one that the statement runs with.
    Suspended(Box<RowFeed>, Cancel),
    /// All rows were sent.
    AtEnd(Box<RowFeed>),
    /// A statement without rows was run.
    Done,
}

impl Connection {
    /// Binds parameters to a statement: a new portal.
    pub(super) fn bind(&mut self, bind: &Bind) -> Step<()> {
        let name = bind.portal_name.clone().unwrap_or_default();
        let statement_name = bind.statement_name.as_deref().unwrap_or_default();
        let statement = self.extended.statement(statement_name)?;
        if name.is_empty() {
            self.extended.portals.remove("");
        } else if self.extended.portals.contains_key(&name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(Error::new(SqlState("42P03"), message).into());
        }
        let (given, wanted) = (bind.parameters.len(), statement.parameters.len());
        if given != wanted {
            let message = format!(
                "bind message supplies {given} parameters, but prepared statement \"{statement_name}\" requires {wanted}"
            );
            return Err(violation(message).into());
        }
        let schema = statement.prepared.schema.as_ref();
        let columns = schema.map_or(0, |schema| schema.fields().len());
        let codes = &bind.result_column_format_codes;
        let formats = formats(codes, columns, "result", "columns")?;
        let bytes = bind.parameters.iter().flatten().map(Bytes::len).sum();
        let held = &self.extended.portals;
        let all_bytes = held.values().map(|portal| portal.bytes).sum::<usize>() + bytes;
        check_room(held.len(), MAX_PORTALS, all_bytes, "portals")?;
        let params = parameters(bind, &statement, &self.encode_options()?.zone)?;
        let portal = Portal {
            statement,
            params,
            bytes,
            formats,
            state: State::New,
        };
        self.extended.portals.insert(name, portal);
        self.put(BindComplete::new())
    }

    /// Runs a portal, or runs it on. A portal that fails is gone.
    pub(super) async fn run_portal(&mut self, name: String, max_rows: i32) -> Step<()> {
        let mut portal = self
            .extended
            .portals
            .remove(&name)
            .ok_or_else(|| Extended::no_portal(&name))?;
        let limit = u64::try_from(max_rows).ok().filter(|rows| *rows > 0);
        let mut stop = self.stop();
        if let State::Suspended(_, cancel) = &portal.state {
            stop.cancel = cancel.clone();
        }
        let live = portal.statement.parsed.as_ref().is_some_and(is_live);
        stop.deadline = if live { None } else { self.deadline() };
        let _running = self.entry.running(stop.cancel.clone());
        portal.state = match portal.state {
            State::New => {
                self.start(
                    &portal.statement,
                    &portal.params,
                    &portal.formats,
                    &stop,
                    limit,
                )
                .await?
            }
            State::Suspended(feed, _) => self.send(feed, &stop, limit).await?,
            State::AtEnd(feed) => {
                self.complete(feed.tag(0))?;
                State::AtEnd(feed)
            }
            State::Done => {
                let message = format!("portal \"{name}\" cannot be run");
                return Err(Error::new(SqlState::OBJECT_NOT_READY, message).into());
            }
        };
        self.extended.portals.insert(name, portal);
        Ok(())
    }

    async fn start(
        &mut self,
        statement: &Statement,
        params: &[ScalarValue],
        formats: &[Format],
        stop: &Stop,
        limit: Option<u64>,
    ) -> Step<State> {
        let Some(parsed) = &statement.parsed else {
            self.put(EmptyQueryResponse::new())?;
            return Ok(State::Done);
        };
        match self.execute(parsed, params, stop).await? {
            Outcome::Done(tag) => self.done(tag)?,
            Outcome::Copy(rows, format) => self.copy_out(rows, format, stop).await?,
            Outcome::Rows(rows) => {
                check_plan(statement, &rows)?;
                let feed = RowFeed::new(rows, formats, self.encode_options()?, Sink::DataRows)?;
                return self.send(Box::new(feed), stop, limit).await;
            }
        }
        Ok(State::Done)
    }

    async fn send(
        &mut self,
        mut feed: Box<RowFeed>,
        stop: &Stop,
        limit: Option<u64>,
    ) -> Step<State> {
        let (fed, sent) = feed.feed(&mut self.writer, stop, limit).await?;
        match fed {
            Fed::Limit => {
                self.notices()?;
                self.put(PortalSuspended::new())?;
                Ok(State::Suspended(feed, stop.cancel.clone()))
            }
            Fed::All => {
                self.complete(feed.tag(sent))?;
                feed.finish();
                Ok(State::AtEnd(feed))
            }
        }
    }
}

/// The values of Bind's parameters, of the types that the statement wants.
fn parameters(bind: &Bind, statement: &Statement, zone: &Zone) -> Result<Vec<ScalarValue>> {
    let (codes, count) = (&bind.parameter_format_codes, bind.parameters.len());
    let formats = formats(codes, count, "parameter", "parameters")?;
    let decode = |(index, value): (usize, &Option<Bytes>)| {
        let (oid, wanted) = (
            statement.parameters[index],
            &statement.prepared.parameters[index],
        );
        let value = params::decode(value.as_deref(), nth(&formats, index), oid, wanted, zone);
        value.map_err(|error| match error.detail_text() {
            Some(_) => error,
            None => error.detail(format!("This is parameter ${}.", index + 1)),
        })
    };
    bind.parameters.iter().enumerate().map(decode).collect()
}

/// The columns must still be those that the client was told.
fn check_plan(statement: &Statement, rows: &Rows) -> Result<()> {
    let now = columns(&rows.schema, &[])?;
    let told = statement.columns(&[])?.unwrap_or_default();
    let same = now.len() == told.len()
        && now
            .iter()
            .zip(&told)
            .all(|(now, told)| now.pg_type.oid == told.pg_type.oid);
    if same {
        return Ok(());
    }
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cached plan must not change result type",
    ))
}

/// Format codes of Bind: none, one for all, or one for each of `count`.
fn formats(codes: &[i16], count: usize, kind: &str, of: &str) -> Result<Vec<Format>> {
    if codes.len() > 1 && codes.len() != count {
        let has = if kind == "result" {
            "query has"
        } else {
            "message has"
        };
        return Err(violation(format!(
            "bind message has {} {kind} formats but {has} {count} {of}",
            codes.len()
        )));
    }
    let format = |code: &i16| match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(Error::new(
            SqlState::INVALID_PARAMETER,
            format!("unsupported format code: {other}"),
        )),
    };
    codes.iter().map(format).collect()
}

fn nth(formats: &[Format], index: usize) -> Format {
    match formats {
        [] => Format::Text,
        [one] => *one,
        many => many.get(index).copied().unwrap_or(Format::Text),
    }
}
