//! The extended query protocol: prepared statements, portals that are suspended and resumed, and errors that skip to Sync.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::scalar::ScalarValue;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Parse, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::EmptyQueryResponse;

use dataflow::{Error, Result, SqlState};

use crate::backend::{Cancel, Outcome, Parsed, Prepared, Rows, is_live};
use crate::cancel::Stop;
use crate::connection::{Connection, drive};
use crate::encode::{Column, Format, columns};
use crate::error::{Failure, Step, violation};
use crate::frame::Message;
use crate::params;
use crate::rows::{Fed, RowFeed, Sink, description};
use crate::types::{oid, parameter_type};

/// Prepared statements and portals of a session, at most.
const MAX_STATEMENTS: usize = 1000;
const MAX_PORTALS: usize = 100;
/// Bytes of all statements' texts, and of all portals' parameters, at most.
const MAX_HELD_BYTES: usize = 64 << 20;

/// What a session holds between messages of the extended protocol.
#[derive(Default)]
pub(crate) struct Extended {
    statements: HashMap<String, Arc<Statement>>,
    portals: HashMap<String, Portal>,
    /// An error was sent: messages are ignored up to Sync.
    pub(crate) skipping: bool,
}

impl Extended {
    /// A Query message ends the unnamed statement and portal.
    pub(crate) fn forget_unnamed(&mut self) {
        self.statements.remove("");
        self.portals.remove("");
    }

    /// Portals end with their transaction.
    pub(crate) fn forget_portals(&mut self) {
        self.portals.clear();
    }

    /// `DISCARD ALL`.
    pub(crate) fn forget_all(&mut self) {
        self.statements.clear();
        self.portals.clear();
    }

    fn statement(&self, name: &str) -> Result<Arc<Statement>> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Error::new(SqlState::INVALID_STATEMENT_NAME, message)
        })
    }

    fn no_portal(name: &str) -> Error {
        Error::new(
            SqlState::INVALID_CURSOR_NAME,
            format!("portal \"{name}\" does not exist"),
        )
    }

    fn check_room(&self, held: usize, limit: usize, bytes: usize, what: &str) -> Result<()> {
        if held < limit && bytes <= MAX_HELD_BYTES {
            return Ok(());
        }
        Err(Error::new(
            SqlState::CONFIGURATION_LIMIT,
            format!("too many {what} in this session"),
        )
        .detail(format!(
            "There are at most {limit}, of {MAX_HELD_BYTES} bytes together."
        ))
        .hint("Close some of them."))
    }
}

/// A prepared statement.
struct Statement {
    text: String,
    /// `None` is the empty query.
    parsed: Option<Parsed>,
    prepared: Prepared,
    /// The parameters' types on the wire.
    parameters: Vec<u32>,
}

impl Statement {
    fn columns(&self, formats: &[Format]) -> Result<Option<Vec<Column>>> {
        self.prepared
            .schema
            .as_ref()
            .map(|schema| columns(schema, formats))
            .transpose()
    }
}

/// A statement with its parameters, on its way.
struct Portal {
    statement: Arc<Statement>,
    params: Vec<ScalarValue>,
    /// Bytes of the parameters as they came.
    bytes: usize,
    formats: Vec<Format>,
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
    /// Handles a message of the extended protocol other than Sync. After an error, messages up to Sync are skipped.
    pub(crate) async fn extended_message(&mut self, message: Message) -> Step<()> {
        let mut text = None;
        let handled = match message {
            Message::Parse(parse) => {
                let handled = self.parse(&parse).await;
                text = Some(parse.query);
                handled
            }
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(describe) => self.describe(&describe),
            Message::Execute(execute) => {
                let name = execute.name.unwrap_or_default();
                let portal = self.extended.portals.get(&name);
                text = portal.map(|portal| portal.statement.text.clone());
                self.run_portal(name, execute.max_rows).await
            }
            Message::Close(close) => self.close(&close),
            Message::Flush => return self.flush().await,
            other => Err(violation(format!("unexpected message {other:?}")).into()),
        };
        match handled {
            Err(Failure::Statement(error)) => {
                self.extended.skipping = true;
                self.failed(&error, text.as_deref())?;
                self.flush().await
            }
            Ok(()) if self.writer.full() => self.flush().await,
            other => other,
        }
    }

    /// Ends a round of messages.
    pub(crate) async fn sync(&mut self) -> Step<()> {
        self.extended.skipping = false;
        self.finish_batch(None).await?;
        self.ready().await
    }

    async fn parse(&mut self, parse: &Parse) -> Step<()> {
        let name = parse.name.clone().unwrap_or_default();
        if name.is_empty() {
            self.extended.statements.remove("");
        } else if self.extended.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message).into());
        }
        let held = &self.extended.statements;
        let bytes = held
            .values()
            .map(|statement| statement.text.len())
            .sum::<usize>()
            + parse.query.len();
        self.extended
            .check_room(held.len(), MAX_STATEMENTS, bytes, "prepared statements")?;
        let statement = self.prepare(parse).await?;
        self.extended.statements.insert(name, Arc::new(statement));
        self.put(ParseComplete::new())
    }

    async fn prepare(&mut self, parse: &Parse) -> Step<Statement> {
        let mut statements = self.session.parse(&parse.query)?;
        if statements.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).into());
        }
        let mut hints = Vec::with_capacity(parse.type_oids.len());
        for &oid in &parse.type_oids {
            let hint = parameter_type(oid);
            if hint.is_none() && !matches!(oid, 0 | oid::UNKNOWN) {
                return Err(Error::unsupported(format_args!(
                    "a parameter of the type with oid {oid}"
                ))
                .into());
            }
            hints.push(hint);
        }
        let parsed = statements.pop();
        let prepared = match &parsed {
            None => Prepared {
                schema: None,
                parameters: Vec::new(),
            },
            Some(parsed) => {
                let mut stop = self.stop();
                stop.deadline = self.deadline();
                let running = self.entry.running(stop.cancel.clone());
                let prepared = drive(
                    &mut self.writer,
                    &stop,
                    self.session.prepare(parsed, &hints),
                )
                .await?;
                drop(running);
                prepared
            }
        };
        let declared = |index: usize| {
            parse
                .type_oids
                .get(index)
                .copied()
                .filter(|oid| !matches!(*oid, 0 | oid::UNKNOWN))
        };
        let wanted = prepared.parameters.iter().enumerate();
        let parameters = wanted
            .map(|(index, wanted)| declared(index).unwrap_or_else(|| params::oid_of(wanted)))
            .collect();
        self.notices()?;
        Ok(Statement {
            text: parse.query.clone(),
            parsed,
            prepared,
            parameters,
        })
    }

    fn bind(&mut self, bind: Bind) -> Step<()> {
        let name = bind.portal_name.clone().unwrap_or_default();
        let statement_name = bind.statement_name.clone().unwrap_or_default();
        let statement = self.extended.statement(&statement_name)?;
        if name.is_empty() {
            self.extended.portals.remove("");
        } else if self.extended.portals.contains_key(&name) {
            return Err(Error::new(
                SqlState("42P03"),
                format!("cursor \"{name}\" already exists"),
            )
            .into());
        }
        let (given, wanted) = (bind.parameters.len(), statement.parameters.len());
        if given != wanted {
            let message = format!(
                "bind message supplies {given} parameters, but prepared statement \"{statement_name}\" requires {wanted}"
            );
            return Err(violation(message).into());
        }
        let parameter_formats = formats(
            &bind.parameter_format_codes,
            given,
            "parameter",
            "parameters",
        )?;
        let result_columns = statement
            .prepared
            .schema
            .as_ref()
            .map_or(0, |schema| schema.fields().len());
        let formats = formats(
            &bind.result_column_format_codes,
            result_columns,
            "result",
            "columns",
        )?;
        let bytes = bind
            .parameters
            .iter()
            .flatten()
            .map(|value| value.len())
            .sum::<usize>();
        let held = &self.extended.portals;
        let total = held.values().map(|portal| portal.bytes).sum::<usize>() + bytes;
        self.extended
            .check_room(held.len(), MAX_PORTALS, total, "portals")?;
        let options = self.encode_options()?;
        let mut params = Vec::with_capacity(given);
        for (index, value) in bind.parameters.iter().enumerate() {
            let format = nth(&parameter_formats, index);
            let wanted = &statement.prepared.parameters[index];
            let oid = statement.parameters[index];
            params.push(
                params::decode(value.as_deref(), format, oid, wanted, &options.zone).map_err(
                    |error| {
                        if error.detail_text().is_some() {
                            error
                        } else {
                            error.detail(format!("This is parameter ${}.", index + 1))
                        }
                    },
                )?,
            );
        }
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

    fn describe(&mut self, describe: &Describe) -> Step<()> {
        let name = describe.name.as_deref().unwrap_or_default();
        let columns = if describe.target_type == b'S' {
            let statement = self.extended.statement(name)?;
            let columns = statement.columns(&[])?;
            self.put(ParameterDescription::new(statement.parameters.clone()))?;
            columns
        } else {
            let portal = self
                .extended
                .portals
                .get(name)
                .ok_or_else(|| Extended::no_portal(name))?;
            portal.statement.columns(&portal.formats)?
        };
        match columns {
            Some(columns) => self.put(description(&columns)),
            None => self.put(NoData::new()),
        }
    }

    fn close(&mut self, close: &Close) -> Step<()> {
        let name = close.name.as_deref().unwrap_or_default();
        if close.target_type == b'S' {
            // As in PostgreSQL, portals of the statement go on.
            self.extended.statements.remove(name);
        } else {
            self.extended.portals.remove(name);
        }
        self.put(CloseComplete::new())
    }

    /// Runs a portal, or runs it on. A portal that fails is gone.
    async fn run_portal(&mut self, name: String, max_rows: i32) -> Step<()> {
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
