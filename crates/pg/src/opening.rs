//! How a connection opens: encryption is declined, cancel requests are carried out, and a client is let in or refused.

use bytes::BytesMut;
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use tokio::io::AsyncReadExt;
use tokio::sync::OwnedSemaphorePermit;

use dataflow::{Error, SqlState};

use crate::backend::{PgSession, TransactionStatus};
use crate::cancel::Entry;
use crate::connection::Shared;
use crate::error::{Failure, Step, notice, violation};
use crate::reader::ReadHalf;
use crate::startup::{First, Startup, next_packet};
use crate::writer::Writer;

/// What clients that ask for PostgreSQL's version are told.
pub const SERVER_VERSION: &str = concat!("15.0 (clickmill ", env!("CARGO_PKG_VERSION"), ")");

/// Bytes of a refused client that are read on.
const DRAIN_BYTES: usize = 1 << 20;

/// A client that was let in.
pub(crate) struct Opened {
    pub session: Box<dyn PgSession>,
    pub entry: Entry,
    /// Its place among the connections.
    pub permit: OwnedSemaphorePermit,
}

/// Opens a connection up to the first ReadyForQuery. Bytes that came after the startup packet stay in `buffer`.
pub(crate) async fn open(
    socket: &mut ReadHalf,
    buffer: &mut BytesMut,
    writer: &mut Writer,
    local: bool,
    shared: &Shared,
) -> Step<Opened> {
    let startup = match negotiate(socket, buffer, writer, shared).await? {
        Some(startup) => startup,
        None => return Err(Failure::Gone),
    };
    if !local && !shared.config.trust_remote {
        let message = format!(
            "no authentication is set up for connections of user \"{}\" from other hosts",
            startup.info.user
        );
        return Err(Failure::Fatal(
            Error::new(SqlState("28000"), message).hint("Connect from the server's own host."),
        ));
    }
    let permit = shared
        .sessions
        .clone()
        .try_acquire_owned()
        .map_err(|_| Failure::Fatal(too_many()))?;
    let session = shared
        .backend
        .session(&startup.info)
        .map_err(Failure::Fatal)?;
    let entry = shared
        .registry
        .enter(startup.minor >= 2)
        .map_err(|error| Error::internal(error.to_string()))?;
    let mut opened = Opened {
        session,
        entry,
        permit,
    };
    greet(&mut opened, *startup, writer).map_err(Failure::Fatal)?;
    writer.flush().await?;
    Ok(opened)
}

/// `53300`.
pub(crate) fn too_many() -> Error {
    Error::new(
        SqlState::TOO_MANY_CONNECTIONS,
        "sorry, too many clients already",
    )
}

/// Answers packets until the startup packet; `None` after a cancel request, which gets no answer.
async fn negotiate(
    socket: &mut ReadHalf,
    buffer: &mut BytesMut,
    writer: &mut Writer,
    shared: &Shared,
) -> Step<Option<Box<Startup>>> {
    let mut declined = Vec::new();
    loop {
        let Some(packet) = next_packet(buffer).map_err(Failure::Fatal)? else {
            buffer.reserve(1024);
            if socket.read_buf(buffer).await? == 0 {
                return Err(Failure::Gone);
            }
            continue;
        };
        match packet {
            First::Startup(startup) => return Ok(Some(startup)),
            First::Cancel { pid, key } => {
                shared.registry.cancel(pid, &key);
                return Ok(None);
            }
            First::Encryption(kind) => {
                if declined.contains(&kind) {
                    return Err(Failure::Fatal(violation(format!(
                        "{kind} was requested twice"
                    ))));
                }
                if !buffer.is_empty() {
                    let message = format!("received unencrypted data after {kind} request");
                    return Err(Failure::Fatal(violation(message).detail(
                        "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
                    )));
                }
                declined.push(kind);
                writer.put_byte(b'N');
                writer.flush().await?;
            }
        }
    }
}

/// Everything from AuthenticationOk to ReadyForQuery.
fn greet(opened: &mut Opened, startup: Startup, writer: &mut Writer) -> dataflow::Result<()> {
    if let Some(negotiate) = startup.negotiate {
        writer.put(negotiate)?;
    }
    writer.put(Authentication::Ok)?;
    let mut parameters = vec![
        ("server_version", SERVER_VERSION.to_owned()),
        ("server_encoding", "UTF8".to_owned()),
        ("client_encoding", "UTF8".to_owned()),
        ("DateStyle", "ISO, MDY".to_owned()),
        ("IntervalStyle", "postgres".to_owned()),
        ("TimeZone", "UTC".to_owned()),
        ("integer_datetimes", "on".to_owned()),
        ("standard_conforming_strings", "on".to_owned()),
        ("is_superuser", "off".to_owned()),
        ("session_authorization", startup.info.user.clone()),
        ("application_name", startup.info.application_name.clone()),
        ("default_transaction_read_only", "off".to_owned()),
        ("in_hot_standby", "off".to_owned()),
    ];
    // What the session says itself goes before.
    for (name, value) in opened.session.take_parameters() {
        parameters.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        parameters.push((name, value));
    }
    for (name, value) in parameters {
        writer.put(ParameterStatus::new(
            name.to_owned(),
            value.replace('\0', ""),
        ))?;
    }
    let key = match opened.entry.key.first_chunk() {
        Some(short) if opened.entry.key.len() == short.len() => {
            SecretKey::I32(i32::from_be_bytes(*short))
        }
        _ => SecretKey::Bytes(opened.entry.key.clone()),
    };
    writer.put(BackendKeyData::new(opened.entry.pid, key))?;
    for one in opened.session.take_notices() {
        writer.put(notice(&one))?;
    }
    debug_assert_eq!(opened.session.transaction_status(), TransactionStatus::Idle);
    writer.put(pgwire::messages::response::ReadyForQuery::new(
        pgwire::messages::response::TransactionStatus::Idle,
    ))
}

/// Reads and forgets, within bounds, until the client closes.
pub(crate) async fn drain(socket: &mut ReadHalf) {
    let mut read = 0;
    let mut bytes = [0; 4096];
    while read < DRAIN_BYTES {
        match socket.read(&mut bytes).await {
            Ok(count @ 1..) => read += count,
            _ => return,
        }
    }
}
