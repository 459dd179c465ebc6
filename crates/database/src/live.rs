//! SUBSCRIBE: a snapshot, then every change, each with its version and sign.

use std::sync::Arc;

use dataflow::batch::Weights;
use dataflow::{DeltaBatch, Error, Location, Result, SqlState};
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, new_null_array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use engine::{Change, Store, StoreOptions, ViewSpec};
use sql::ast::{Emission, Subscribe};
use tokio::sync::Notify;

use crate::catalog::Body;
use crate::continuous::{Manner, plan_continuous};
use crate::database::Shared;
use crate::outcome::{BatchStream, Rows};
use crate::query::until_canceled;
use crate::session::Cancel;

/// Rows handed over at a time.
const CHUNK: usize = 8192;

/// The columns of a SUBSCRIBE over rows of `schema`.
pub(crate) fn live_schema(schema: &Schema, progress: bool) -> SchemaRef {
    let mut fields = vec![Field::new("clickmill_version", DataType::Int64, false)];
    if progress {
        fields.push(Field::new("clickmill_progressed", DataType::Boolean, false));
    }
    fields.push(Field::new("clickmill_diff", DataType::Int32, progress));
    fields.extend(
        schema
            .fields()
            .iter()
            .map(|f| f.as_ref().clone().with_nullable(true)),
    );
    Arc::new(Schema::new(fields))
}

/// What a SUBSCRIBE follows.
enum Target {
    /// A view or table that is there.
    Stored(Arc<Store>),
    /// A query that runs for this client alone.
    Query(Arc<Store>, Box<ViewSpec>),
}

impl Target {
    fn store(&self) -> &Arc<Store> {
        match self {
            Self::Stored(store) | Self::Query(store, _) => store,
        }
    }
}

fn target(shared: &Shared, subscribe: &Subscribe) -> Result<Target> {
    let catalog = shared.catalog.read().clone();
    if let Some(name) = &subscribe.name {
        let object = catalog.get(&name.value).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", name.value),
            )
            .at(name.location)
        })?;
        let stored = matches!(
            object.body,
            Body::Table { .. } | Body::Aside { .. } | Body::Materialized(_)
        );
        if let (true, Some(store)) = (
            stored && subscribe.emission == Emission::default(),
            object.store(),
        ) {
            return Ok(Target::Stored(Arc::clone(store)));
        }
    }
    if let Some((_, location)) = subscribe.as_of {
        return Err(
            Error::unsupported("AS OF for SUBSCRIBE to a query or source")
                .at(location)
                .hint("create a materialized view and subscribe to it"),
        );
    }
    if !subscribe.snapshot {
        return Err(
            Error::unsupported("snapshot = false for SUBSCRIBE to a query or source")
                .at(subscribe.location)
                .hint("create a materialized view and subscribe to it"),
        );
    }
    let manner = Manner::of_subscribe(subscribe.emission);
    let planned = plan_continuous(
        shared,
        &catalog,
        &subscribe.query,
        manner,
        subscribe.location,
    )?;
    let store = Arc::new(Store::new(StoreOptions {
        schema: planned.schema,
        mode: planned.node.mode,
        retention: None,
        max_rows: None,
        log_only: true,
        log_bytes: engine::store::DEFAULT_LOG_BYTES,
        pinned: false,
    })?);
    let spec = ViewSpec {
        name: shared.ephemeral_name(),
        plan: planned.node,
        store: Arc::clone(&store),
        time: None,
        ephemeral: true,
    };
    Ok(Target::Query(store, Box::new(spec)))
}

/// The result columns of a SUBSCRIBE.
pub(crate) fn describe(shared: &Shared, subscribe: &Subscribe) -> Result<SchemaRef> {
    Ok(live_schema(
        target(shared, subscribe)?.store().schema(),
        subscribe.progress,
    ))
}

/// Starts a SUBSCRIBE.
pub(crate) async fn subscribe(
    shared: &Arc<Shared>,
    subscribe: &Subscribe,
    cancel: &Cancel,
) -> Result<Rows> {
    let target = target(shared, subscribe)?;
    let store = Arc::clone(target.store());
    let schema = live_schema(store.schema(), subscribe.progress);
    let changed = Arc::new(Notify::new());
    let wake = Arc::clone(&changed);
    let listener = store.listen(Arc::new(move || wake.notify_one()));
    let mut follower = Follower {
        guard: Guard {
            shared: Arc::clone(shared),
            store: Arc::clone(&store),
            listener,
            ephemeral: None,
        },
        schema: Arc::clone(&schema),
        progress: subscribe.progress,
        version: 0,
        told: None,
        ready: Vec::new(),
        changed,
        ended: false,
    };
    match target {
        Target::Query(_, spec) => {
            follower.guard.ephemeral = Some(spec.name.clone());
            shared.apply(vec![Change::CreateView(*spec)]).await?;
        }
        Target::Stored(_) => {
            let (rows, version) = store.snapshot_at()?;
            follower.version = match subscribe.as_of {
                Some(as_of) => resumed(&store, subscribe, as_of, version)?,
                None => version,
            };
            if subscribe.snapshot {
                for batch in rows.into_iter().rev() {
                    follower.queue(version, &DeltaBatch::inserts(batch))?;
                }
            }
        }
    }
    let stream: BatchStream = Box::pin(futures::stream::unfold(
        follower,
        |mut follower| async move { follower.next().await.map(|item| (item, follower)) },
    ));
    Ok(Rows {
        schema,
        stream: until_canceled(stream, cancel.clone()),
        tag: "SUBSCRIBE",
    })
}

/// The version after which a SUBSCRIBE goes on.
fn resumed(
    store: &Store,
    subscribe: &Subscribe,
    (as_of, location): (u64, Option<Location>),
    newest: u64,
) -> Result<u64> {
    if subscribe.snapshot {
        return Err(Error::unsupported("AS OF with the rows that were there")
            .at(location)
            .hint("WITH (snapshot = false) gives what came after the version"));
    }
    if as_of > newest {
        let message = format!("version {as_of} has not come yet: the newest is {newest}");
        return Err(Error::new(SqlState::INVALID_PARAMETER, message)
            .at(location)
            .hint("AS OF takes a clickmill_version that a SUBSCRIBE to this server has given"));
    }
    if as_of <= store.born() {
        let message = format!(
            "what was seen up to version {as_of} was of something else: this was made after version {}",
            store.born()
        );
        return Err(Error::new(SqlState::CONFIGURATION_LIMIT, message)
            .at(location)
            .hint("subscribe again without AS OF: it begins with the rows that are there"));
    }
    // What is not kept any more is said at once.
    let kept = store.changes_after(as_of, 1);
    kept.map(|_| as_of).map_err(|error| error.at(location))
}

/// Ends what the SUBSCRIBE started when its stream is dropped.
struct Guard {
    shared: Arc<Shared>,
    store: Arc<Store>,
    listener: u64,
    ephemeral: Option<String>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.store.unlisten(self.listener);
        if let Some(name) = self.ephemeral.take() {
            // The engine may be gone already; then there is nothing to drop.
            let _ = self.shared.engine.apply(vec![Change::Drop(name)]);
        }
    }
}

/// Reads a store's changes in order.
struct Follower {
    guard: Guard,
    schema: SchemaRef,
    progress: bool,
    /// Everything up to here has been queued.
    version: u64,
    /// The last progress row.
    told: Option<u64>,
    /// Batches to hand over, last first.
    ready: Vec<RecordBatch>,
    changed: Arc<Notify>,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop() {
                return Some(Ok(batch));
            }
            if self.ended {
                return None;
            }
            let changed = Arc::clone(&self.changed);
            let woken = changed.notified();
            match self.read() {
                Ok(true) => continue,
                Ok(false) => woken.await,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Queues what is new; says whether anything was.
    fn read(&mut self) -> Result<bool> {
        let changes = self.guard.store.changes_after(self.version, CHUNK)?;
        let mut queued = Vec::new();
        for (version, batch) in &changes.batches {
            queued.push((*version, batch.clone()));
        }
        if self.progress && changes.version > 0 && self.told != Some(changes.version) {
            self.told = Some(changes.version);
            self.ready.push(self.progress_row(changes.version)?);
        }
        for (version, batch) in queued.iter().rev() {
            self.queue(*version, batch)?;
        }
        self.version = changes.version;
        if self.guard.ephemeral.is_some() {
            self.guard.store.forget(self.version);
        }
        if self.ready.is_empty()
            && let Some(error) = changes.ended
        {
            return Err(error);
        }
        Ok(!self.ready.is_empty())
    }

    fn queue(&mut self, version: u64, batch: &DeltaBatch) -> Result<()> {
        let rows = batch.len();
        let diff: Int32Array = match &batch.weights {
            Weights::Ones => Int32Array::from(vec![1; rows]),
            Weights::Each(weights) => weights.iter().map(|w| Some(i32::from(*w))).collect(),
        };
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![as_int(version); rows]))];
        if self.progress {
            columns.push(Arc::new(BooleanArray::from(vec![false; rows])));
        }
        columns.push(Arc::new(diff));
        columns.extend(batch.rows.columns().iter().cloned());
        self.ready
            .push(RecordBatch::try_new(Arc::clone(&self.schema), columns)?);
        Ok(())
    }

    fn progress_row(&self, version: u64) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![as_int(version)])),
            Arc::new(BooleanArray::from(vec![true])),
        ];
        let rest = &self.schema.fields()[2..];
        columns.extend(rest.iter().map(|f| new_null_array(f.data_type(), 1)));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn as_int(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
