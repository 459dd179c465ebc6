//! The writer: the rows of versions and the version's number in one transaction.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray};
use arrow::compute::interleave_record_batch;
use dataflow::sink::SinkWriter;
use dataflow::{DeltaBatch, Error, Result, Weights};
use tokio_postgres::Statement;

use super::Plan;
use super::commits::{self, Commits};
use super::newest::{Place, newest};
use super::session::Session;
use super::target::{Target, parameter};
use super::text::texts;

/// Most rows of a statement.
pub(super) const MOST_ROWS: usize = 10_000;
/// Bytes of text at which a statement gets no more rows.
pub(super) const MOST_BYTES: usize = 16 << 20;

/// Writes the rows of one sink.
pub(super) struct PostgresWriter {
    plan: Arc<Plan>,
    identity: String,
    /// Gone after an error: the server then takes back what was not committed.
    open: Option<Open>,
}

/// What a writer has while it is connected.
struct Open {
    target: Target,
    commits: Commits,
    in_transaction: bool,
    session: Session,
}

impl PostgresWriter {
    /// Not connected yet.
    pub(super) fn new(plan: Arc<Plan>, identity: String) -> Self {
        Self {
            plan,
            identity,
            open: None,
        }
    }

    fn with(&mut self, work: impl FnOnce(&mut Open, &Plan) -> Result<()>) -> Result<()> {
        let Some(mut open) = self.open.take() else {
            let message = format!("sink \"{}\" is not connected to PostgreSQL", self.identity);
            return Err(Error::internal(message));
        };
        work(&mut open, &self.plan)?;
        self.open = Some(open);
        Ok(())
    }
}

impl SinkWriter for PostgresWriter {
    fn begin(&mut self) -> Result<Option<u64>> {
        self.open = None;
        let session = Session::open(&self.plan.config);
        let session = session.map_err(|trouble| trouble.about("a connection"))?;
        commits::lock(&session, &self.identity)?;
        let target = Target::find(&session, &self.plan)?;
        let commits = Commits::open(&session, &target.schema, &self.identity)?;
        let last = commits.last();
        self.open = Some(Open {
            target,
            commits,
            in_transaction: false,
            session,
        });
        Ok(last)
    }

    fn write(&mut self, _version: u64, batches: &[DeltaBatch]) -> Result<()> {
        self.with(|open, plan| {
            if batches.iter().all(DeltaBatch::is_empty) {
                return Ok(());
            }
            open.start(plan)?;
            match &plan.key {
                None => open.add(batches, plan),
                Some(key) => open.replace(batches, key, plan),
            }
        })
    }

    fn commit(&mut self, version: u64) -> Result<()> {
        self.with(|open, plan| {
            // Without rows too: what comes after this version is to go on from it.
            open.start(plan)?;
            open.commits.commit(&open.session, version)?;
            open.in_transaction = false;
            Ok(())
        })
    }
}

impl Open {
    fn start(&mut self, plan: &Plan) -> Result<()> {
        if !self.in_transaction {
            self.session
                .run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
                .map_err(|trouble| {
                    trouble.about(&format!("a transaction for table {}", plan.table))
                })?;
            self.in_transaction = true;
        }
        Ok(())
    }

    fn add(&self, batches: &[DeltaBatch], plan: &Plan) -> Result<()> {
        for batch in batches {
            if let Weights::Each(weights) = &batch.weights
                && weights.iter().any(|weight| *weight != 1)
            {
                let message = format!("table {} only gets rows, and one is taken back", plan.table);
                return Err(Error::internal(message));
            }
            self.send(&self.target.insert, &batch.rows, plan)?;
        }
        Ok(())
    }

    fn replace(&self, batches: &[DeltaBatch], key: &[usize], plan: &Plan) -> Result<()> {
        let newest = newest(batches, key)?;
        let rows: Vec<&RecordBatch> = batches.iter().map(|batch| &batch.rows).collect();
        if let Some(delete) = &self.target.delete {
            let keys: Result<Vec<RecordBatch>, _> =
                rows.iter().map(|rows| rows.project(key)).collect();
            let keys = keys?;
            let keys: Vec<&RecordBatch> = keys.iter().collect();
            self.pick(delete, &keys, &newest.deletes, plan)?;
        }
        self.pick(&self.target.insert, &rows, &newest.upserts, plan)
    }

    fn pick(
        &self,
        statement: &Statement,
        batches: &[&RecordBatch],
        places: &[Place],
        plan: &Plan,
    ) -> Result<()> {
        for places in places.chunks(MOST_ROWS) {
            let rows = interleave_record_batch(batches, places)?;
            self.send(statement, &rows, plan)?;
        }
        Ok(())
    }

    fn send(&self, statement: &Statement, rows: &RecordBatch, plan: &Plan) -> Result<()> {
        for from in (0..rows.num_rows()).step_by(MOST_ROWS) {
            let length = MOST_ROWS.min(rows.num_rows() - from);
            let columns = texts(&rows.slice(from, length))?;
            let mut at = 0;
            while at < length {
                let end = at + fitting(&columns, at, length);
                self.send_part(statement, &columns, at..end, plan)?;
                at = end;
            }
        }
        Ok(())
    }

    fn send_part(
        &self,
        statement: &Statement,
        columns: &[StringArray],
        rows: Range<usize>,
        plan: &Plan,
    ) -> Result<()> {
        let values: Vec<Vec<Option<&str>>> = columns
            .iter()
            .map(|column| {
                let text = |row| column.is_valid(row).then(|| column.value(row));
                rows.clone().map(text).collect()
            })
            .collect();
        let parameters: Vec<_> = values.iter().map(parameter).collect();
        let done = self.session.execute(statement, &parameters);
        done.map(drop)
            .map_err(|trouble| trouble.about(&format!("rows of table {}", plan.table)))
    }
}

/// How many of the rows from `at` up to `end` go into one statement: at least one.
pub(super) fn fitting(columns: &[StringArray], at: usize, end: usize) -> usize {
    let mut bytes = 0;
    for row in at..end {
        let lengths = columns.iter().map(|column| column.value(row).len());
        bytes += lengths.sum::<usize>();
        if bytes > MOST_BYTES {
            return (row - at).max(1);
        }
    }
    end - at
}
