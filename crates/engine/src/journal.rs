//! The journal: everything that enters the engine and is decided by chance, tick by tick, so that the same ticks can be run
//! again and give the same rows.
//!
//! What operators do follows from what they are given. Chance is in what they are given: which records come in one tick and
//! in which order, how long nothing comes, when a view has caught up, what the clock says. An [`Entry`] holds that for one
//! tick, and is written before anything of the tick is seen outside.

mod bytes;

use std::time::Duration;

use dataflow::{Error, Micros, Result, SqlState};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::ipc::CompressionType;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use serde::{Deserialize, Serialize};

pub use bytes::Bytes;

use crate::command::Change;
use crate::core::State;

/// The usual time from one tick to the next while little comes.
const LINGER: Duration = Duration::from_millis(5);
/// Most bytes of rows that one statement inserts into a table whose rows last.
const MAX_INSERT: usize = 256 << 20;

/// Names a read of a source for as long as it runs; never given twice.
pub type FeedId = u64;

/// One tick. Running the same entries over the same topics gives the same versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of all views after the tick: one more than before if anything in them may have changed.
    pub version: u64,
    /// The wall clock at the end of the tick before.
    pub before: Micros,
    /// The wall clock when the tick began: the `PROCTIME()` of its rows.
    pub began: Micros,
    /// The wall clock when it ended.
    pub wall: Micros,
    /// Before it, partial results were moved into runs ([`crate::Core::flush`]), which decides how they are summed up.
    pub moved: bool,
    /// Changes that were gathered came out.
    pub flush: bool,
    /// What users changed, in order.
    pub changes: Vec<Logged>,
    /// What was read, in order.
    pub events: Vec<Event>,
    /// Event time of the reads that moved.
    pub times: Vec<FeedTime>,
}

/// A change by a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Logged {
    /// A statement that changes the catalog, given at a time.
    Statement {
        /// Its text.
        text: String,
        /// The wall clock when it was given.
        at: Micros,
    },
    /// Rows of a table.
    Insert {
        /// The table.
        table: String,
        /// The rows, as a stream of Arrow IPC.
        rows: Bytes,
    },
    /// A table's watermark was moved.
    AdvanceWatermark {
        /// The table.
        table: String,
        /// To this time.
        to: Micros,
    },
}

/// Something that happened while sources were read. Partitions are numbered, within a read, in the order of their
/// [`Event::Partition`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A view reads a source by a read, which begins with it if it is new.
    Attached {
        /// The view.
        view: String,
        /// The place in the view's plan.
        leaf: u32,
        /// The read.
        feed: FeedId,
        /// How many columns the source had when the view was made.
        columns: u64,
        /// The read is the one that views share.
        shared: bool,
    },
    /// From here on the journal has a read, with the partitions that follow.
    Introduced {
        /// The read.
        feed: FeedId,
    },
    /// A read has a partition, and begins there.
    Partition {
        /// The read.
        feed: FeedId,
        /// The topic.
        topic: String,
        /// The partition's number in the topic.
        id: i32,
        /// The offset.
        position: i64,
    },
    /// Records were read.
    Read {
        /// The read.
        feed: FeedId,
        /// The partition.
        partition: u32,
        /// How many.
        records: u32,
        /// Offset one past the last.
        to: i64,
    },
    /// What tells a topic from others of its name.
    Topic {
        /// The read.
        feed: FeedId,
        /// The topic.
        topic: String,
        /// Its id.
        id: String,
    },
    /// Records were not there, and reading goes on behind them.
    Gap {
        /// The read.
        feed: FeedId,
        /// The partition.
        partition: u32,
        /// Offset of the record that was to be read next.
        from: i64,
        /// Offset at which reading goes on.
        to: i64,
        /// Why.
        reason: String,
    },
    /// Records of a source that cannot be read again.
    Records {
        /// The read.
        feed: FeedId,
        /// The partition.
        partition: u32,
        /// Their offsets.
        offsets: Vec<i64>,
        /// Their timestamps in milliseconds, or -1.
        timestamps: Vec<i64>,
        /// Where each payload ends in `data`, or -1 for none.
        ends: Vec<i64>,
        /// The payloads.
        data: Bytes,
    },
    /// The views of one read pass to the shared one, which is as far.
    Joined {
        /// The read that ends.
        feed: FeedId,
        /// The shared one.
        shared: FeedId,
    },
    /// A read takes the place of the shared one.
    Promoted {
        /// The read.
        feed: FeedId,
    },
    /// A read cannot go on.
    Failed {
        /// The read.
        feed: FeedId,
        /// The condition.
        state: String,
        /// What is wrong.
        message: String,
    },
}

/// Event time of a read after a tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedTime {
    /// The read.
    pub feed: FeedId,
    /// The watermark.
    pub watermark: Micros,
    /// The partitions that moved.
    pub partitions: Vec<LoggedTime>,
}

/// Event time of a partition after a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedTime {
    /// The partition.
    pub partition: u32,
    /// Highest event time seen.
    pub highest: Option<Micros>,
    /// When a row came last.
    pub last_row: Micros,
    /// Nothing comes at the moment.
    pub idle: bool,
    /// Nothing will come any more.
    pub finished: bool,
}

/// Where entries are written before their ticks are published.
pub trait Journal: Send {
    /// Whether anything is kept at all.
    fn is_kept(&self) -> bool {
        true
    }

    /// Writes an entry. After it returns, the tick may be seen, and will be run again after a crash.
    ///
    /// # Errors
    /// When that cannot be promised; the tick must not be seen then.
    fn append(&mut self, entry: &Entry) -> Result<()>;

    /// Shortest time from one entry to the next while little comes: small ticks cost more than they give.
    fn pace(&self) -> Duration {
        LINGER
    }

    /// Whether a checkpoint is due.
    fn wants_state(&mut self) -> bool {
        false
    }

    /// Makes a checkpoint of the state after the last entry, beside what goes on; `last` waits until it is there. The engine
    /// stood still for `pause` to give it.
    ///
    /// # Errors
    /// When the journal cannot go on; a checkpoint that fails is no error.
    fn keep_state(&mut self, state: State, pause: Micros, last: bool) -> Result<()> {
        drop((state, pause, last));
        Ok(())
    }
}

/// For processes whose state ends with them.
pub struct NoJournal;

impl Journal for NoJournal {
    fn is_kept(&self) -> bool {
        false
    }

    fn append(&mut self, _entry: &Entry) -> Result<()> {
        Ok(())
    }
}

impl Entry {
    /// Records that were read.
    pub fn records(&self) -> u64 {
        let each = self.events.iter().map(|event| match event {
            Event::Read { records, .. } => u64::from(*records),
            Event::Records { offsets, .. } => offsets.len() as u64,
            _ => 0,
        });
        each.sum()
    }

    /// Whether it has a statement.
    pub fn has_statement(&self) -> bool {
        let is_statement = |logged: &Logged| matches!(logged, Logged::Statement { .. });
        self.changes.iter().any(is_statement)
    }

    /// As bytes (MessagePack).
    ///
    /// # Errors
    /// None that depends on the entry.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        rmp_serde::to_vec(self).map_err(|e| Error::internal(format!("a tick has no bytes: {e}")))
    }

    /// Out of the bytes of [`Entry::to_bytes`].
    ///
    /// # Errors
    /// `XX001` when they are not.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        rmp_serde::from_slice(bytes).map_err(|error| {
            let message = format!("the journal holds what is not a tick: {error}");
            Error::new(SqlState::DATA_CORRUPTED, message)
        })
    }
}

impl Logged {
    /// What the journal has of a change; `None` for one that follows from a statement before it, or lives as long as a
    /// session only.
    pub(crate) fn of(change: &Change) -> Result<Option<Self>> {
        Ok(match change {
            Change::Statement { text, at } => Some(Self::Statement {
                text: text.clone(),
                at: *at,
            }),
            Change::Insert { table, rows } => {
                let bytes = to_ipc(rows)?;
                if bytes.len() > MAX_INSERT {
                    let message = format!(
                        "the rows have {} bytes, more than {MAX_INSERT}",
                        bytes.len()
                    );
                    return Err(
                        Error::new(SqlState::PROGRAM_LIMIT, message).hint("insert them in parts")
                    );
                }
                Some(Self::Insert {
                    table: table.clone(),
                    rows: Bytes(bytes),
                })
            }
            Change::AdvanceWatermark { table, to } => Some(Self::AdvanceWatermark {
                table: table.clone(),
                to: *to,
            }),
            Change::CreateSource(_)
            | Change::AlterSource(_)
            | Change::CreateTable(_)
            | Change::CreateView(_)
            | Change::ReplaceView(_)
            | Change::RebuildView(_)
            | Change::Drop(_)
            | Change::Suspend(_)
            | Change::Resume { .. } => None,
        })
    }
}

/// Rows as a stream of Arrow IPC, compressed with LZ4.
pub fn to_ipc(rows: &RecordBatch) -> Result<Vec<u8>> {
    let options = IpcWriteOptions::default();
    let options = options.try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), rows.schema_ref(), options)?;
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}

/// The rows of [`to_ipc`].
pub fn from_ipc(bytes: &[u8]) -> Result<RecordBatch> {
    let mut reader = StreamReader::try_new(bytes, None)?;
    let rows = reader.next().transpose()?;
    rows.ok_or_else(|| Error::new(SqlState::DATA_CORRUPTED, "rows of the state are missing"))
}
