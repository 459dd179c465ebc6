//! The rows of a view or table, by version, for snapshots and for followers.

mod saved;
mod updating;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dataflow::{DeltaBatch, Error, Micros, Result, SqlState};
use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, max, min};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use parking_lot::Mutex;
use plan::Mode;
use updating::Updating;

/// What a store keeps, and for how long.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Columns.
    pub schema: SchemaRef,
    /// Append-only or updating.
    pub mode: Mode,
    /// Index of an event-time column and how far behind its watermark rows are kept, in microseconds.
    pub retention: Option<(usize, Micros)>,
    /// Keep about so many rows, the newest, of an append-only relation.
    pub max_rows: Option<usize>,
    /// Keep only the log of changes, no rows (a SUBSCRIBE to a query).
    pub log_only: bool,
    /// Bytes of changes kept for followers.
    pub log_bytes: usize,
    /// Changes are kept, however many, until their one reader has [`Store::forget`] forget them: those of a sink.
    pub pinned: bool,
}

/// Bytes of changes kept for followers of a view unless said otherwise.
pub const DEFAULT_LOG_BYTES: usize = 16 << 20;

/// Called when a store has a new version.
pub type Listener = Arc<dyn Fn() + Send + Sync>;

/// A view's or table's rows.
pub struct Store {
    options: StoreOptions,
    inner: Mutex<Inner>,
    catching_up: AtomicBool,
}

struct Inner {
    /// The version at which rows last changed.
    changed_at: u64,
    /// The version up to which everything is known.
    version: u64,
    rows: Rows,
    log: VecDeque<LogEntry>,
    log_bytes: usize,
    /// Changes at or below this version are gone from the log.
    forgotten: u64,
    listeners: Vec<(u64, Listener)>,
    next_listener: u64,
    ended: Option<Error>,
    /// Rows at or before this time were looked for last.
    expired_to: Micros,
    /// Everything came after this version.
    born: u64,
}

struct LogEntry {
    version: u64,
    batch: DeltaBatch,
    bytes: usize,
}

enum Rows {
    None,
    Append(Vec<Run>),
    Updating(Box<Updating>),
}

struct Run {
    rows: RecordBatch,
    oldest: Option<Micros>,
    newest: Option<Micros>,
}

/// A follower's view of what happened after a version.
pub struct Changes {
    /// Changes in order, each with its version.
    pub batches: Vec<(u64, DeltaBatch)>,
    /// The version up to which these are all.
    pub version: u64,
    /// Nothing further will come, for this reason.
    pub ended: Option<Error>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// An empty store.
    pub fn new(options: StoreOptions) -> Result<Self> {
        let rows = empty_rows(&options)?;
        let inner = Inner {
            changed_at: 0,
            version: 0,
            rows,
            log: VecDeque::new(),
            log_bytes: 0,
            forgotten: 0,
            listeners: Vec::new(),
            next_listener: 0,
            ended: None,
            expired_to: Micros::MIN,
            born: 0,
        };
        Ok(Self {
            options,
            inner: Mutex::new(inner),
            catching_up: AtomicBool::new(false),
        })
    }

    /// Columns of the rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.options.schema
    }

    /// Append-only or updating.
    pub fn mode(&self) -> Mode {
        self.options.mode
    }

    /// Applies the changes of `version`, which is above all before. `watermark` is that of the retention column.
    pub fn apply(
        &self,
        version: u64,
        batches: Vec<DeltaBatch>,
        watermark: Option<Micros>,
    ) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.version = version;
        for batch in batches {
            inner.changed_at = version;
            inner.add(&batch, &self.options)?;
            inner.push(version, batch);
        }
        if !self.options.pinned {
            inner.trim_log(self.options.log_bytes);
        }
        if let (Some((column, keep)), Some(watermark)) = (self.options.retention, watermark) {
            let before = watermark.saturating_sub(keep);
            // Looking costs, so rows may stay a sixty-fourth of the retention longer.
            if before > inner.expired_to.saturating_add(keep / 64) {
                inner.expired_to = before;
                inner.expire(column, before);
            }
        }
        let listeners: Vec<Listener> = inner.listeners.iter().map(|(_, l)| Arc::clone(l)).collect();
        drop(inner);
        listeners.iter().for_each(|l| l());
        Ok(())
    }

    /// Ends the store: followers get `reason` after the last change.
    pub fn end(&self, reason: Error) {
        let mut inner = self.inner.lock();
        inner.ended.get_or_insert(reason);
        let listeners: Vec<Listener> = inner.listeners.iter().map(|(_, l)| Arc::clone(l)).collect();
        drop(inner);
        listeners.iter().for_each(|l| l());
    }

    /// Forgets all rows: they come anew, in versions after `version`. Followers of before have been ended.
    pub fn begin_again(&self, version: u64) -> Result<()> {
        let rows = empty_rows(&self.options)?;
        let mut inner = self.inner.lock();
        inner.rows = rows;
        inner.log.clear();
        inner.log_bytes = 0;
        inner.forgotten = version;
        inner.born = version;
        inner.changed_at = version;
        inner.ended = None;
        inner.expired_to = Micros::MIN;
        Ok(())
    }

    /// Everything will come after a version.
    pub fn begin_after(&self, version: u64) {
        self.inner.lock().born = version;
    }

    /// The version after which everything came: what somebody saw up to there was of something else.
    pub fn born(&self) -> u64 {
        self.inner.lock().born
    }

    /// Why nothing further will come, if so.
    pub fn ended(&self) -> Option<Error> {
        self.inner.lock().ended.clone()
    }

    /// Whether rows that this one has dropped would be in another one.
    pub fn keeps_less_than(&self, other: &Self) -> bool {
        let keep = |store: &Self| store.options.retention.map(|(_, keep)| keep);
        match (keep(self), keep(other)) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(this), Some(other)) => this < other,
        }
    }

    /// Notes whether the view still reads history.
    pub fn set_catching_up(&self, catching_up: bool) {
        self.catching_up.store(catching_up, Ordering::Relaxed);
    }

    /// Whether the view still reads history.
    pub fn is_catching_up(&self) -> bool {
        self.catching_up.load(Ordering::Relaxed)
    }

    /// The version at which rows last changed.
    pub fn changed_at(&self) -> u64 {
        self.inner.lock().changed_at
    }

    /// The version of the rows.
    pub fn version(&self) -> u64 {
        self.inner.lock().version
    }

    /// All rows.
    pub fn snapshot(&self) -> Result<Vec<RecordBatch>> {
        self.inner.lock().rows.snapshot(&self.options.schema)
    }

    /// All rows and the version they are of.
    pub fn snapshot_at(&self) -> Result<(Vec<RecordBatch>, u64)> {
        let mut inner = self.inner.lock();
        let rows = inner.rows.snapshot(&self.options.schema)?;
        Ok((rows, inner.version))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.inner.lock().rows {
            Rows::None => 0,
            Rows::Append(runs) => runs.iter().map(|r| r.rows.num_rows()).sum(),
            Rows::Updating(rows) => rows.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The changes after `version`, at most about `max_rows` rows; an error when they are not kept any more.
    pub fn changes_after(&self, version: u64, max_rows: usize) -> Result<Changes> {
        let inner = self.inner.lock();
        if version < inner.forgotten {
            return Err(Error::new(
                SqlState::CONFIGURATION_LIMIT,
                format!(
                    "this reader fell behind: changes up to version {} are no longer kept",
                    inner.forgotten
                ),
            )
            .hint("read faster, or subscribe again: it begins with the rows that are there"));
        }
        let from = inner.log.partition_point(|e| e.version <= version);
        let mut batches = Vec::new();
        let mut rows = 0;
        let mut complete = inner.version.max(version);
        for entry in inner.log.range(from..) {
            let last = batches.last().map(|(v, _): &(u64, DeltaBatch)| *v);
            if rows >= max_rows && last != Some(entry.version) {
                complete = last.unwrap_or(version);
                break;
            }
            rows += entry.batch.len();
            batches.push((entry.version, entry.batch.clone()));
        }
        let ended = if complete >= inner.version {
            inner.ended.clone()
        } else {
            None
        };
        Ok(Changes {
            batches,
            version: complete,
            ended,
        })
    }

    /// Changes at or below this version are not kept any more.
    pub fn forgotten(&self) -> u64 {
        self.inner.lock().forgotten
    }

    /// Rows in the log after `version`: how far a follower is behind.
    pub fn backlog(&self, version: u64) -> usize {
        let inner = self.inner.lock();
        let from = inner.log.partition_point(|e| e.version <= version);
        inner.log.range(from..).map(|e| e.batch.len()).sum()
    }

    /// Whether its changes wait for one reader.
    pub fn is_pinned(&self) -> bool {
        self.options.pinned
    }

    /// Bytes of changes that are kept.
    pub fn log_bytes(&self) -> usize {
        self.inner.lock().log_bytes
    }

    /// Forgets changes up to `version`: the only follower has read them.
    pub fn forget(&self, version: u64) {
        let mut inner = self.inner.lock();
        if self.options.pinned {
            inner.forgotten = inner.forgotten.max(version.min(inner.version));
        }
        while inner.log.front().is_some_and(|e| e.version <= version) {
            inner.forget_first();
        }
    }

    /// Calls `listener` at each new version, until [`Store::unlisten`].
    pub fn listen(&self, listener: Listener) -> u64 {
        let mut inner = self.inner.lock();
        inner.next_listener += 1;
        let id = inner.next_listener;
        inner.listeners.push((id, listener));
        id
    }

    /// Stops calling a listener.
    pub fn unlisten(&self, id: u64) {
        self.inner.lock().listeners.retain(|(i, _)| *i != id);
    }
}

fn empty_rows(options: &StoreOptions) -> Result<Rows> {
    Ok(match (options.log_only, options.mode) {
        (true, _) => Rows::None,
        (false, Mode::Append) => Rows::Append(Vec::new()),
        (false, Mode::Updating) => Rows::Updating(Box::new(Updating::new(&options.schema)?)),
    })
}

impl Inner {
    fn add(&mut self, batch: &DeltaBatch, options: &StoreOptions) -> Result<()> {
        match &mut self.rows {
            Rows::None => Ok(()),
            Rows::Append(runs) => append(runs, batch, options),
            Rows::Updating(rows) => rows.add(batch),
        }
    }

    fn push(&mut self, version: u64, batch: DeltaBatch) {
        let bytes = batch.rows.get_array_memory_size();
        self.log_bytes += bytes;
        self.log.push_back(LogEntry {
            version,
            batch,
            bytes,
        });
    }

    fn forget_first(&mut self) {
        if let Some(entry) = self.log.pop_front() {
            self.log_bytes -= entry.bytes;
            self.forgotten = entry.version;
        }
    }

    /// Drops the oldest changes beyond the bound; a version is dropped whole.
    fn trim_log(&mut self, limit: usize) {
        while self.log_bytes > limit && self.log.len() > 1 {
            self.forget_first();
        }
        while self
            .log
            .front()
            .is_some_and(|e| e.version == self.forgotten)
        {
            self.forget_first();
        }
    }

    fn expire(&mut self, column: usize, before: Micros) {
        match &mut self.rows {
            Rows::Append(runs) => {
                runs.retain(|run| run.newest.is_none_or(|newest| newest > before));
                runs.iter_mut().for_each(|run| run.cut(column, before));
            }
            Rows::Updating(rows) => rows.expire(column, before),
            Rows::None => {}
        }
    }
}

impl Rows {
    fn snapshot(&mut self, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Append(runs) => Ok(runs.iter().map(|r| r.rows.clone()).collect()),
            Self::Updating(rows) => rows.snapshot(schema),
        }
    }
}

impl Run {
    fn new(rows: RecordBatch, options: &StoreOptions) -> Self {
        let times = options.retention.and_then(|(column, _)| {
            rows.column(column)
                .as_primitive_opt::<TimestampMicrosecondType>()
        });
        let (oldest, newest) = (times.and_then(min), times.and_then(max));
        Self {
            rows,
            oldest,
            newest,
        }
    }

    /// Drops the rows at or before a time.
    fn cut(&mut self, column: usize, before: Micros) {
        if self.oldest.is_none_or(|oldest| oldest > before) {
            return;
        }
        let Some(times) = self
            .rows
            .column(column)
            .as_primitive_opt::<TimestampMicrosecondType>()
        else {
            return;
        };
        let keep: BooleanArray = times
            .iter()
            .map(|t| Some(t.is_none_or(|t| t > before)))
            .collect();
        if let Ok(rows) = filter_record_batch(&self.rows, &keep) {
            self.oldest = rows
                .column(column)
                .as_primitive_opt::<TimestampMicrosecondType>()
                .and_then(min);
            self.rows = rows;
        }
    }
}

/// Adds a run; small runs are merged while the last is at least half as large as the one before it.
fn append(runs: &mut Vec<Run>, batch: &DeltaBatch, options: &StoreOptions) -> Result<()> {
    runs.push(Run::new(batch.rows.clone(), options));
    const MERGED_ROWS: usize = 1 << 16;
    while let [.., before, last] = runs.as_slice() {
        let (a, b) = (before.rows.num_rows(), last.rows.num_rows());
        if b * 2 < a || a + b > MERGED_ROWS {
            break;
        }
        let rows = concat_batches(&options.schema, [&before.rows, &last.rows])?;
        runs.truncate(runs.len() - 2);
        runs.push(Run::new(rows, options));
    }
    if let Some(most) = options.max_rows {
        let mut kept: usize = runs.iter().map(|run| run.rows.num_rows()).sum();
        while let Some(first) = runs.first().map(|run| run.rows.num_rows())
            && kept - first >= most
        {
            runs.remove(0);
            kept -= first;
        }
    }
    Ok(())
}
