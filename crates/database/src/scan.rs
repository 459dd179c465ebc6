//! A source as a table that ends: reads the topic up to where it is now, slab by slab.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dataflow::connector::{OpenRequest, PollLimits, SourceReader};
use dataflow::wake::Waker;
use dataflow::{Error, Micros, Result, Slab, SqlState};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use engine::SourceSpec;
use sql::errors::wrap;

/// Batches that wait between the reading thread and the query.
const QUEUE: usize = 4;
/// How long a read without progress goes on before it is given up.
const STALL: Duration = Duration::from_secs(30);
/// Records of one poll.
const POLL: PollLimits = PollLimits {
    max_records: 8192,
    max_bytes: 8 << 20,
};

/// A bounded read of a source.
#[derive(Debug)]
pub(crate) struct SourceScan {
    spec: Arc<SourceSpec>,
    schema: SchemaRef,
    /// When the statement began.
    now: Micros,
}

impl SourceScan {
    pub(crate) fn new(spec: Arc<SourceSpec>, now: Micros) -> Self {
        Self {
            schema: spec.schema.arrow(),
            spec,
            now,
        }
    }
}

#[async_trait]
impl TableProvider for SourceScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let columns = projection
            .cloned()
            .unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let part = Part {
            spec: Arc::clone(&self.spec),
            columns,
            schema: Arc::clone(&schema),
            now: self.now,
        };
        let exec =
            StreamingTableExec::try_new(schema, vec![Arc::new(part)], None, [], false, None)?;
        Ok(Arc::new(exec))
    }
}

/// The whole source as one partition of a plan.
#[derive(Debug)]
struct Part {
    spec: Arc<SourceSpec>,
    columns: Vec<usize>,
    schema: SchemaRef,
    now: Micros,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (send, mut receive) = tokio::sync::mpsc::channel(QUEUE);
        let read = Read {
            spec: Arc::clone(&self.spec),
            columns: self.columns.clone(),
            schema: Arc::clone(&self.schema),
            now: self.now,
        };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read.run(|batch| send.blocking_send(Ok(batch)).is_ok()) {
                // Nobody listens any more when the query is gone.
                let _ = send.blocking_send(Err(wrap(error)));
            }
        });
        let stream = futures::stream::poll_fn(move |context| receive.poll_recv(context));
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream,
        ))
    }
}

/// One bounded read.
struct Read {
    spec: Arc<SourceSpec>,
    columns: Vec<usize>,
    schema: SchemaRef,
    now: Micros,
}

impl Read {
    /// Reads to the end; `give` says whether anybody still wants batches.
    fn run(&self, mut give: impl FnMut(RecordBatch) -> bool) -> Result<()> {
        let waker = Waker::default();
        let request = OpenRequest {
            schema: Arc::new(self.spec.schema.clone()),
            wants: engine::feed::wants_of(&self.spec.schema, &self.columns),
            bounded: true,
            positions: Vec::new(),
            topics: Vec::new(),
            waker: waker.clone(),
        };
        let mut reader = self.spec.factory.open(request)?;
        // What is a bad record does not depend on which columns are asked for: the event time is always looked at.
        let mut columns = self.columns.clone();
        columns.extend(self.spec.schema.watermark.as_ref().map(|w| w.column));
        let limit = self
            .spec
            .max_ahead
            .map(|ahead| self.now.saturating_add(ahead));
        let limits = formats::Limits::default();
        let mut decoder = formats::decoder(&self.spec.schema, &columns, limits)?;
        let mut slab = Slab::default();
        let mut stalled = Duration::ZERO;
        const NAP: Duration = Duration::from_millis(100);
        loop {
            reader.poll(&mut slab, POLL)?;
            slab.read_at = self.now;
            if slab.is_empty() {
                if finished(reader.as_ref()) {
                    return Ok(());
                }
                if stalled >= STALL {
                    return Err(self.gave_up(reader.as_ref()));
                }
                if !waker.sleep(NAP) {
                    stalled += NAP;
                }
                continue;
            }
            stalled = Duration::ZERO;
            let partition = &reader.partitions()[slab.partition];
            let (id, stop) = (partition.id, partition.stop.unwrap_or(i64::MAX));
            let until = slab.offsets.partition_point(|o| *o < stop);
            let mut decoded = decoder.decode(&slab, 0..until, id);
            if let (Some(limit), true) = (limit, columns.len() > self.columns.len()) {
                engine::feed::refuse_future(&mut decoded, self.columns.len(), limit)?;
            }
            if let (true, Some(bad)) = (self.spec.fail_on_bad, decoded.bad.first()) {
                let message = format!("bad record: {}: {}", bad.reason.code(), bad.message);
                return Err(Error::new(SqlState::INVALID_TEXT, message));
            }
            let columns = decoded.batch.columns()[..self.columns.len()].to_vec();
            let batch = engine::ops::updating_agg::batch_of(
                Arc::clone(&self.schema),
                columns,
                decoded.batch.num_rows(),
            )?;
            if !give(batch) {
                return Ok(());
            }
        }
    }

    fn gave_up(&self, reader: &dyn SourceReader) -> Error {
        let message = format!(
            "topic \"{}\" could not be read to its end in {} s",
            self.spec.factory.topic(),
            STALL.as_secs()
        );
        Error::new(SqlState::CONNECTION_FAILURE, message).detail(health_text(&reader.health()))
    }
}

/// Whether a bounded reader has handed over all it will.
pub(crate) fn finished(reader: &dyn SourceReader) -> bool {
    !reader.partitions().is_empty() && reader.partitions().iter().all(|p| p.finished())
}

/// Why nothing comes.
pub(crate) fn health_text(health: &dataflow::connector::Health) -> String {
    use dataflow::connector::Health;
    match health {
        Health::Running => "the connection is up, but records stopped coming".to_owned(),
        Health::Connecting { reason } => reason
            .clone()
            .unwrap_or_else(|| "no broker answers".to_owned()),
        Health::Retrying { reason, .. } => reason.clone(),
    }
}
