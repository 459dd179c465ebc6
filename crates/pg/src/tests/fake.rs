//! A database for tests: each statement says what becomes of it.
//!
//! `rows N`, `quiet` (a row, then silence), `live MS` (a row each MS milliseconds), `busy` (a row
//! each 2 milliseconds and never a pause), `flood` (rows without end),
//! `fail [after N]`, `sleep` (until cancelled), `stuck` (not even then), `echo` (its parameters), `copy …` (the same in
//! COPY-out form), `csv …`, `set N V`, `show N`, `notice T`, `types`, `begin`, `commit`, `rollback`, `panic`, `syntax`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::scalar::ScalarValue;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::watch;

use dataflow::{Error, Location, Result, SqlState};

use crate::backend::{
    Backend, BatchStream, Cancel, CopyFormat, Notice, Outcome, Parsed, PgSession, Prepared, Rows,
    StartupInfo, TransactionStatus,
};

/// What the test can look at.
pub(super) struct State {
    /// Number of results that are being read.
    pub open: watch::Sender<usize>,
    /// Statements that were executed, in order.
    pub executed: Mutex<Vec<String>>,
    /// Calls of `finish_batch`.
    pub batches: Mutex<usize>,
}

impl State {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: watch::Sender::new(0),
            executed: Mutex::default(),
            batches: Mutex::default(),
        })
    }

    /// Waits until `count` results are being read.
    pub(super) async fn open_results(&self, count: usize) {
        let mut open = self.open.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(5), open.wait_for(|now| *now == count)).await;
        assert!(
            waited.is_ok(),
            "{} results are open, not {count}",
            *self.open.borrow()
        );
    }
}

pub(super) struct Fake(pub Arc<State>);

impl Backend for Fake {
    fn session(&self, startup: &StartupInfo) -> Result<Box<dyn PgSession>> {
        if startup.database == "nowhere" {
            return Err(Error::new(
                SqlState("3D000"),
                "database \"nowhere\" does not exist",
            ));
        }
        let mut settings: HashMap<String, String> = startup.settings.iter().cloned().collect();
        settings.insert("application_name".into(), startup.application_name.clone());
        Ok(Box::new(FakeSession {
            state: self.0.clone(),
            settings,
            changed: Vec::new(),
            notices: Vec::new(),
            status: TransactionStatus::Idle,
        }))
    }
}

struct FakeSession {
    state: Arc<State>,
    settings: HashMap<String, String>,
    changed: Vec<(&'static str, String)>,
    notices: Vec<Notice>,
    status: TransactionStatus,
}

#[async_trait]
impl PgSession for FakeSession {
    fn parse(&self, text: &str) -> Result<Vec<Parsed>> {
        let mut statements = Vec::new();
        let (mut line, mut column) = (1, 1);
        for piece in text.split(';') {
            let lead = piece.len() - piece.trim_start().len();
            for skipped in piece[..lead].chars() {
                (line, column) = if skipped == '\n' {
                    (line + 1, 1)
                } else {
                    (line, column + 1)
                };
            }
            let location = Location { line, column };
            for next in piece[lead..].chars() {
                (line, column) = if next == '\n' {
                    (line + 1, 1)
                } else {
                    (line, column + 1)
                };
            }
            column += 1;
            let piece = piece.trim();
            if piece == "syntax" {
                let error =
                    Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"syntax\"");
                return Err(error.at(Some(location)));
            }
            if !piece.is_empty() {
                statements.push(super::raw::parsed(piece, location));
            }
        }
        Ok(statements)
    }

    async fn prepare(&mut self, parsed: &Parsed, hints: &[Option<DataType>]) -> Result<Prepared> {
        let words: Vec<&str> = parsed.text.split_whitespace().collect();
        let mut parameters = Vec::new();
        let schema = match words[0] {
            "rows" | "quiet" | "live" | "busy" | "flood" | "fail" => Some(rows_schema()),
            "types" => Some(types_batch().schema()),
            "show" => Some(one_column("value", DataType::Utf8)),
            "echo" => {
                let count = words
                    .get(1)
                    .map_or(hints.len(), |count| count.parse().unwrap_or(0));
                parameters = (0..count)
                    .map(|index| {
                        hints
                            .get(index)
                            .cloned()
                            .flatten()
                            .unwrap_or(DataType::Utf8)
                    })
                    .collect();
                Some(echo_schema(&parameters))
            }
            "missing" => {
                return Err(Error::new(
                    SqlState::UNDEFINED_TABLE,
                    "relation \"missing\" does not exist",
                ));
            }
            _ => None,
        };
        Ok(Prepared { schema, parameters })
    }

    async fn execute(
        &mut self,
        parsed: &Parsed,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Outcome> {
        self.state.executed.lock().push(parsed.text.clone());
        if self.status == TransactionStatus::Failed
            && !matches!(parsed.text.to_lowercase().as_str(), "rollback" | "commit")
        {
            return Err(Error::new(
                SqlState::IN_FAILED_TRANSACTION,
                "current transaction is aborted",
            ));
        }
        let done = self.run(parsed, params, cancel).await;
        if done.is_err() {
            self.fail();
        }
        done
    }

    async fn finish_batch(&mut self) -> Result<()> {
        *self.state.batches.lock() += 1;
        Ok(())
    }

    fn fail(&mut self) {
        if self.status == TransactionStatus::InBlock {
            self.status = TransactionStatus::Failed;
        }
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn take_parameters(&mut self) -> Vec<(&'static str, String)> {
        std::mem::take(&mut self.changed)
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).cloned()
    }
}

impl FakeSession {
    async fn run(
        &mut self,
        parsed: &Parsed,
        params: &[ScalarValue],
        cancel: &Cancel,
    ) -> Result<Outcome> {
        let text = parsed.text.to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        Ok(match words[0] {
            "copy" if words.len() > 1 => Outcome::Copy(self.rows(&words[1..])?, CopyFormat::Text),
            "csv" if words.len() > 1 => {
                Outcome::Copy(self.rows(&words[1..])?, CopyFormat::Csv { header: true })
            }
            "echo" => {
                let types: Vec<_> = params.iter().map(ScalarValue::data_type).collect();
                let arrays: Vec<ArrayRef> = params
                    .iter()
                    .map(|param| param.to_array().unwrap())
                    .collect();
                let batch = RecordBatch::try_new(echo_schema(&types), arrays).unwrap();
                self.result(batch.schema(), "SELECT", stream::iter([Ok(batch)]).boxed())
            }
            "types" => {
                let batch = types_batch();
                self.result(batch.schema(), "SELECT", stream::iter([Ok(batch)]).boxed())
            }
            "show" if words.len() == 2 => {
                let value = self.settings.get(words[1]).map(String::as_str);
                let batch = RecordBatch::try_new(
                    one_column("value", DataType::Utf8),
                    vec![Arc::new(StringArray::from(vec![value]))],
                );
                let batch = batch.unwrap();
                self.result(batch.schema(), "SHOW", stream::iter([Ok(batch)]).boxed())
            }
            "set" if words.len() == 3 => {
                self.settings
                    .insert(words[1].to_owned(), words[2].to_owned());
                if words[1] == "application_name" {
                    self.changed.push(("application_name", words[2].to_owned()));
                }
                Outcome::Done("SET".to_owned())
            }
            "notice" => {
                let message = words[1..].join(" ");
                self.notices.push(Notice {
                    severity: "NOTICE",
                    state: "00000",
                    message,
                    hint: Some("a hint".into()),
                });
                Outcome::Done("NOTICE".to_owned())
            }
            "begin" | "start" => {
                self.status = TransactionStatus::InBlock;
                Outcome::Done("BEGIN".to_owned())
            }
            "commit" | "rollback" => {
                self.status = TransactionStatus::Idle;
                Outcome::Done(words[0].to_uppercase())
            }
            "sleep" => {
                cancel.cancelled().await;
                return Err(Error::new(
                    SqlState::QUERY_CANCELED,
                    "canceling statement due to user request",
                ));
            }
            "stuck" => std::future::pending().await,
            "panic" => panic!("told to panic"),
            "fail" if words.len() == 1 => {
                let error = Error::new(SqlState::UNDEFINED_COLUMN, "column \"x\" does not exist")
                    .hint("Try y.");
                let Location { line, column } = parsed.location;
                return Err(error.at(Some(Location {
                    line,
                    column: column + 2,
                })));
            }
            _ => Outcome::Rows(self.rows(&words)?),
        })
    }

    fn rows(&self, words: &[&str]) -> Result<Rows> {
        let number = |index: usize| {
            words
                .get(index)
                .and_then(|word| word.parse::<u64>().ok())
                .unwrap_or(1)
        };
        let (tag, stream): (_, BatchStream) = match words[0] {
            "rows" => ("SELECT", batches(number(1)).boxed()),
            "fail" => {
                let error = Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
                (
                    "SELECT",
                    batches(number(2)).chain(stream::iter([error])).boxed(),
                )
            }
            "quiet" => (
                "SUBSCRIBE",
                stream::iter([Ok(batch(0..1))])
                    .chain(stream::pending())
                    .boxed(),
            ),
            "live" => {
                let pause = Duration::from_millis(number(1));
                let rows = stream::unfold(0, move |row| async move {
                    tokio::time::sleep(pause).await;
                    Some((Ok(batch(row..row + 1)), row + 1))
                });
                ("SUBSCRIBE", rows.boxed())
            }
            "busy" => {
                let row = || {
                    std::thread::sleep(Duration::from_millis(2));
                    Ok(batch(0..1))
                };
                ("SELECT", stream::repeat_with(row).boxed())
            }
            "flood" => ("SELECT", stream::repeat_with(|| Ok(batch(0..1000))).boxed()),
            other => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("syntax error at or near \"{other}\""),
                ));
            }
        };
        let Outcome::Rows(rows) = self.result(rows_schema(), tag, stream) else {
            unreachable!()
        };
        Ok(rows)
    }

    fn result(&self, schema: SchemaRef, tag: &'static str, stream: BatchStream) -> Outcome {
        struct Open(Arc<State>);
        impl Drop for Open {
            fn drop(&mut self) {
                self.0.open.send_modify(|open| *open -= 1);
            }
        }
        self.state.open.send_modify(|open| *open += 1);
        let open = Open(self.state.clone());
        let stream = stream.map(move |batch| {
            let _open = &open;
            batch
        });
        Outcome::Rows(Rows {
            schema,
            stream: stream.boxed(),
            tag,
        })
    }
}

fn batches(rows: u64) -> impl futures::Stream<Item = Result<RecordBatch>> + Send {
    let rows = i32::try_from(rows).unwrap();
    let starts = (0..rows).step_by(1000);
    stream::iter(
        starts
            .map(move |start| Ok(batch(start..rows.min(start + 1000))))
            .collect::<Vec<_>>(),
    )
}

fn batch(rows: std::ops::Range<i32>) -> RecordBatch {
    let names = StringArray::from_iter_values(rows.clone().map(|row| format!("name {row}")));
    RecordBatch::try_new(
        rows_schema(),
        vec![
            Arc::new(Int32Array::from_iter_values(rows)),
            Arc::new(names),
        ],
    )
    .unwrap()
}

fn rows_schema() -> SchemaRef {
    let id = Field::new("id", DataType::Int32, false);
    Arc::new(Schema::new(vec![
        id,
        Field::new("name", DataType::Utf8, true),
    ]))
}

fn one_column(name: &str, data_type: DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(name, data_type, true)]))
}

fn echo_schema(types: &[DataType]) -> SchemaRef {
    let field = |(index, data_type): (usize, &DataType)| {
        Field::new(format!("p{index}"), data_type.clone(), true)
    };
    Arc::new(Schema::new(
        types.iter().enumerate().map(field).collect::<Vec<_>>(),
    ))
}

/// One row with a value of every common type.
fn types_batch() -> RecordBatch {
    let micros = || dataflow::schema::timestamptz();
    let scalars = [
        ScalarValue::from(true),
        ScalarValue::from(-7_i16),
        ScalarValue::from(42),
        ScalarValue::from(1_i64 << 40),
        ScalarValue::from(0.25_f32),
        ScalarValue::from(1e20),
        ScalarValue::from("text"),
        ScalarValue::Binary(Some(vec![1, 2])),
        ScalarValue::TimestampMicrosecond(Some(1_767_225_600_000_000), None)
            .cast_to(&micros())
            .unwrap(),
        ScalarValue::List(ScalarValue::new_list_nullable(
            &[ScalarValue::from(1), ScalarValue::from(2)],
            &DataType::Int32,
        )),
    ];
    let types: Vec<_> = scalars.iter().map(ScalarValue::data_type).collect();
    let arrays = scalars
        .iter()
        .map(|scalar| scalar.to_array().unwrap())
        .collect();
    RecordBatch::try_new(echo_schema(&types), arrays).unwrap()
}
