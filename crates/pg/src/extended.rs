//! The extended query protocol: prepared statements, portals that are suspended and resumed, and errors that skip to Sync.

mod portal;

use std::collections::HashMap;
use std::sync::Arc;

use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{Close, CloseComplete, Describe, Parse, ParseComplete};

use dataflow::{Error, Result, SqlState};

use crate::backend::{Parsed, Prepared};
use crate::connection::{Connection, drive};
use crate::encode::{Column, Format, columns};
use crate::error::{Failure, Step, violation};
use crate::frame::Message;
use crate::params;
use crate::rows::description;
use crate::types::{oid, parameter_type};
use portal::Portal;

/// Prepared statements of a session, at most.
const MAX_STATEMENTS: usize = 1000;
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
}

/// Refuses what a session holds too much of.
fn check_room(held: usize, limit: usize, bytes: usize, what: &str) -> Result<()> {
    if held < limit && bytes <= MAX_HELD_BYTES {
        return Ok(());
    }
    let message = format!("too many {what} in this session");
    Err(Error::new(SqlState::CONFIGURATION_LIMIT, message)
        .detail(format!(
            "There are at most {limit}, of {MAX_HELD_BYTES} bytes together."
        ))
        .hint("Close some of them."))
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
            Message::Bind(bind) => self.bind(&bind),
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
        check_room(held.len(), MAX_STATEMENTS, bytes, "prepared statements")?;
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
}
