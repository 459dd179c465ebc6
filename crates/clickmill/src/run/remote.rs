//! Running files in an engine that is running, over its Postgres port.

use std::ops::Range;
use std::pin::pin;
use std::time::Duration;

use database::Cancel;
use futures::StreamExt;
use futures::future::poll_fn;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::say_done;
use crate::output::Output;
use crate::report::{Failure, Outcome, Report};
use crate::script::{Script, Statement};
use crate::table::{Row, Table, text_line};

/// How long the server may take to answer at the start and to take a cancel request.
const ANSWER: Duration = Duration::from_secs(10);
/// Rows that are written at once, when as many are there.
const CHUNK: usize = 1_000;

/// Runs `scripts` at `server`: `HOST:PORT`, or a connection string.
pub(super) async fn run(
    server: &str,
    scripts: &[Script],
    output: &Output,
    stop: &Cancel,
) -> Outcome {
    let config = config(server)?;
    let (client, connection) = connect(&config, server, output).await?;
    let remote = Remote {
        client,
        output,
        stop,
    };
    let result = remote.run_all(scripts).await;
    drop(remote);
    // Without its client the connection ends by itself, unless the server is gone.
    if timeout(ANSWER, connection).await.is_err() {
        tracing::warn!("the connection did not end");
    }
    result
}

fn config(server: &str) -> Outcome<Config> {
    let hint = "write HOST:PORT or postgres://HOST:PORT";
    let bad = |reason: &str| Failure::usage(format!("--connect {server}: {reason}"), hint);
    let mut config = if server.contains("://") || server.contains('=') {
        let parsed = server.parse::<Config>();
        parsed.map_err(|error| bad(&error.to_string()))?
    } else {
        let (host, port) = server.rsplit_once(':').ok_or_else(|| bad("no port"))?;
        let port = port.parse().map_err(|_| bad("the port is no number"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut config = Config::new();
        config.host(host).port(port);
        config
    };
    if config.get_user().is_none() {
        config.user(std::env::var("USER").unwrap_or_else(|_| "clickmill".to_owned()));
    }
    if config.get_application_name().is_none() {
        config.application_name("clickmill");
    }
    config.connect_timeout(ANSWER);
    Ok(config)
}

/// Connects; notices are shown as they come.
async fn connect(
    config: &Config,
    server: &str,
    output: &Output,
) -> Outcome<(Client, JoinHandle<()>)> {
    let hint = "is clickmill running there? clickmill serve starts it";
    let failed =
        |reason: &str| Report::new(format!("cannot connect to {server}: {reason}")).hint(hint);
    let connected = timeout(ANSWER, config.connect(NoTls)).await;
    let connected = connected.map_err(|_| failed("no answer in 10 seconds"))?;
    let (client, mut connection) = connected.map_err(|error| match error.as_db_error() {
        Some(error) => report_of(error),
        None => failed(&with_cause(&error)),
    })?;
    let output = output.clone();
    let task = tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) => show_notice(&notice, &output),
                Ok(_) => {}
                Err(_) => return, // The statement that waits gets the error too.
            }
        }
    });
    Ok((client, task))
}

fn show_notice(notice: &DbError, output: &Output) {
    match notice.severity() {
        "WARNING" => output.warning(notice.message()),
        _ => output.note(notice.message()),
    }
    if let Some(hint) = notice.hint() {
        output.hint(hint);
    }
}

struct Remote<'a> {
    client: Client,
    output: &'a Output,
    stop: &'a Cancel,
}

/// Statements that are sent together, and how their answer is read.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    range: Range<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Any number of statements that end.
    Batch,
    /// One SUBSCRIBE.
    Live,
    /// One COPY.
    Copy,
}

/// Views of one message share one read from the start, so statements go together as far as they can.
fn messages(statements: &[Statement]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for statement in statements {
        let kind = match statement.verb.as_str() {
            "SUBSCRIBE" => Kind::Live,
            "COPY" => Kind::Copy,
            _ => Kind::Batch,
        };
        match messages.last_mut() {
            Some(last) if (last.kind, kind) == (Kind::Batch, Kind::Batch) => {
                last.range.end = statement.range.end;
            }
            _ => messages.push(Message {
                range: statement.range.clone(),
                kind,
            }),
        }
    }
    messages
}

impl Remote<'_> {
    async fn run_all(&self, scripts: &[Script]) -> Outcome {
        for script in scripts {
            let statements = script.statements();
            for message in messages(&statements) {
                let sent = self.send(script, &message);
                let stopped = tokio::select! {
                    result = sent => { result?; false }
                    () = self.stop.cancelled() => true,
                };
                if stopped {
                    self.cancel().await;
                    return match message.kind {
                        Kind::Batch => Err(Failure::Interrupted),
                        Kind::Live | Kind::Copy => Ok(()),
                    };
                }
            }
            say_done(script, statements.len(), self.output);
        }
        Ok(())
    }

    async fn cancel(&self) {
        let token = self.client.cancel_token();
        if let Ok(Err(error)) = timeout(ANSWER, token.cancel_query(NoTls)).await {
            tracing::debug!(%error, "cancelling");
        }
    }

    async fn send(&self, script: &Script, message: &Message) -> Outcome {
        let text = &script.text()[message.range.clone()];
        let sent = match message.kind {
            Kind::Batch => self.batch(text).await,
            Kind::Live => self.live(text).await,
            Kind::Copy => self.copy(text).await,
        };
        sent.map_err(|error| match error {
            Stopped::Failure(failure) => failure,
            Stopped::Error(error) => located(script, message.range.start, &error),
        })
    }

    async fn batch(&self, text: &str) -> Result<(), Stopped> {
        let mut answers = pin!(self.client.simple_query_raw(text).await?);
        let mut table: Option<Table> = None;
        while let Some(answer) = answers.next().await {
            match answer? {
                SimpleQueryMessage::RowDescription(columns) => {
                    let names = columns.iter().map(|c| c.name().to_owned());
                    table = Some(Table::new(names.collect()));
                }
                SimpleQueryMessage::Row(row) => {
                    if let Some(table) = &mut table {
                        let pushed = table.push(values(&row), self.output);
                        pushed.map_err(Stopped::output)?;
                    }
                }
                _ => {
                    if let Some(table) = table.take() {
                        table.finish(self.output).map_err(Stopped::output)?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn live(&self, text: &str) -> Result<(), Stopped> {
        let answers = pin!(self.client.simple_query_raw(text).await?);
        let mut chunks = answers.ready_chunks(CHUNK);
        let mut out = Vec::new();
        while let Some(chunk) = chunks.next().await {
            for answer in chunk {
                match answer? {
                    SimpleQueryMessage::RowDescription(columns) => {
                        let names: Vec<&str> = columns.iter().map(|c| c.name()).collect();
                        self.output
                            .note(format_args!("columns: {}", names.join(", ")));
                    }
                    SimpleQueryMessage::Row(row) => text_line(&values(&row), &mut out),
                    _ => {}
                }
            }
            self.output.data(&out).map_err(Stopped::output)?;
            out.clear();
        }
        Ok(())
    }

    async fn copy(&self, text: &str) -> Result<(), Stopped> {
        let mut data = pin!(self.client.copy_out(text).await?);
        while let Some(bytes) = data.next().await {
            self.output.data(&bytes?).map_err(Stopped::output)?;
        }
        Ok(())
    }
}

fn values(row: &SimpleQueryRow) -> Row {
    (0..row.len())
        .map(|index| row.get(index).map(str::to_owned))
        .collect()
}

/// Why a message ended early.
enum Stopped {
    Error(tokio_postgres::Error),
    Failure(Failure),
}

impl Stopped {
    fn output(error: std::io::Error) -> Self {
        Self::Failure(Failure::output(&error))
    }
}

impl From<tokio_postgres::Error> for Stopped {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Error(error)
    }
}

/// The error of a message that began at byte `start`, with its place in the file.
fn located(script: &Script, start: usize, error: &tokio_postgres::Error) -> Failure {
    let Some(told) = error.as_db_error() else {
        return Failure::new(format!("the connection failed: {}", with_cause(error)));
    };
    let mut report = report_of(told);
    if let Some(ErrorPosition::Original(character)) = told.position() {
        let characters = usize::try_from(*character).unwrap_or(usize::MAX);
        report.place = Some(script.place_behind(start, characters));
    }
    report.into()
}

fn report_of(error: &DbError) -> Report {
    Report {
        code: Some(error.code().code().to_owned()),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        hint: error.hint().map(str::to_owned),
        place: None,
    }
}

/// The error and what it came from.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Variables;

    #[test]
    fn statements_go_together_as_far_as_they_can() {
        let text = "CREATE 1; SELECT 2; SUBSCRIBE x; -- c\ncopy (y) to stdout; SHOW 3; SHOW 4;";
        let script = Script::new("q.sql", text, &Variables::default()).unwrap();
        let messages = messages(&script.statements());
        let shown: Vec<(&str, Kind)> = messages
            .iter()
            .map(|m| (&text[m.range.clone()], m.kind))
            .collect();
        let expected = [
            ("CREATE 1; SELECT 2", Kind::Batch),
            ("SUBSCRIBE x", Kind::Live),
            ("copy (y) to stdout", Kind::Copy),
            ("SHOW 3; SHOW 4", Kind::Batch),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn servers_are_named_in_two_ways() {
        let config = config("localhost:5433").unwrap();
        assert_eq!(config.get_ports(), [5433]);
        let config = super::config("postgres://me@127.0.0.1:6000/x").unwrap();
        assert_eq!(
            (config.get_user(), config.get_ports()),
            (Some("me"), &[6000][..])
        );
        for bad in ["localhost", "localhost:port", "postgres://:x:y"] {
            let failure = super::config(bad).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{bad}");
        }
    }
}
