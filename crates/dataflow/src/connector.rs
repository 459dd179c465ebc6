//! What a source connector is to the engine: a factory of readers, and a reader that fills slabs.

use std::fmt::Debug;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::options::Options;
use crate::schema::SourceSchema;
use crate::sink::{SinkDeclaration, SinkFactory, SinkParts};
use crate::slab::Slab;
use crate::time::Micros;
use crate::wake::Waker;

/// A kind of source or sink, named in `WITH (connector = '…')`.
pub trait Connector: Send + Sync {
    /// The name in `connector = '…'`.
    fn name(&self) -> &'static str;

    /// What its records can be written in, by the names behind ENCODE.
    fn encodings(&self) -> &'static [&'static str] {
        &["JSON", "CSV"]
    }

    /// Reads its own options out of `options` (marking each as used) and gives the factory of readers. Must not block:
    /// a broker that is away is found by the reader, not here.
    ///
    /// # Errors
    /// `0A000` when rows can only be written.
    fn source(&self, _options: &mut Options) -> Result<Arc<dyn SourceFactory>> {
        let name = self.name();
        Err(
            Error::unsupported(format!("a source with connector \"{name}\"")).hint(format!(
                "rows are only written to it: CREATE SINK … WITH (connector = '{name}')"
            )),
        )
    }

    /// What a sink's records can be written in, by the names behind ENCODE; nothing when the connector cannot write.
    fn sink_encodings(&self) -> &'static [&'static str] {
        &[]
    }

    /// Which parts of records its sinks hand on.
    fn sink_parts(&self) -> SinkParts {
        SinkParts::default()
    }

    /// As [`Connector::source`], for a sink.
    ///
    /// # Errors
    /// `0A000` when the connector has no sinks, or none like this.
    fn sink(
        &self,
        _options: &mut Options,
        _declared: &SinkDeclaration,
    ) -> Result<Arc<dyn SinkFactory>> {
        Err(Error::unsupported(format!(
            "a sink with connector \"{}\"",
            self.name()
        )))
    }
}

/// The connectors that a process has, by name.
#[derive(Clone, Default)]
pub struct Connectors(Vec<Arc<dyn Connector>>);

impl Connectors {
    /// A registry of the given connectors.
    pub fn new(connectors: Vec<Arc<dyn Connector>>) -> Self {
        Self(connectors)
    }

    /// The connector called `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Connector>> {
        self.0.iter().find(|c| c.name() == name)
    }

    /// All names, for messages.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|c| c.name()).collect()
    }
}

/// Opens readers of one declared source.
pub trait SourceFactory: Send + Sync + Debug {
    /// Opens a reader. Returns at once; connecting happens behind [`SourceReader::poll`].
    fn open(&self, request: OpenRequest) -> Result<Box<dyn SourceReader>>;

    /// Whether every reader gets the same records at the same offsets, however late it is opened. Where it does not, as
    /// with a socket, a later view reads from then on.
    fn replays(&self) -> bool {
        true
    }

    /// Name of what is read, for status rows: the topic, several with commas between, or the pattern of their names.
    fn topic(&self) -> String;

    /// Opens a writer of records to where they are read from; `None` when the connector cannot write. Returns at once, as
    /// [`SourceFactory::open`] does.
    ///
    /// # Errors
    /// `22023` for options that a writer cannot have.
    fn writer(&self) -> Result<Option<Box<dyn SourceWriter>>> {
        Ok(None)
    }
}

/// Writes records of one source. Used from one thread, which may wait.
pub trait SourceWriter: Send {
    /// Hands over a record, which is copied. Waits while too many are on their way, for a bounded time.
    ///
    /// # Errors
    /// `54000` for a record that is too large, `08006` when nobody takes it.
    fn write(&mut self, key: Option<&[u8]>, value: &[u8]) -> Result<()>;

    /// Waits until all records are acknowledged, for a bounded time.
    ///
    /// # Errors
    /// `08006` with how many were acknowledged, when not all were.
    fn finish(&mut self) -> Result<()>;
}

/// Which optional parts of a record the reader must hand over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Record keys.
    pub keys: bool,
    /// Record headers.
    pub headers: bool,
}

/// A place in one partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's number in the topic.
    pub partition: i32,
    /// Offset of a record there, or one past the last.
    pub offset: i64,
}

/// How to open a reader.
#[derive(Clone, Debug)]
pub struct OpenRequest {
    /// What is read of the records, and how they are written.
    pub schema: Arc<SourceSchema>,
    /// Optional parts of the records.
    pub wants: Wants,
    /// Read up to the end offsets found when connecting, then stop (a `SELECT` on a source).
    pub bounded: bool,
    /// Start at these places instead of where the source's options say. Partitions that are not listed start where the
    /// options say.
    pub positions: Vec<Position>,
    /// What told the topics of these places from others of their names, where that was known.
    pub topics: Vec<(Arc<str>, String)>,
    /// Woken when an empty reader has something to poll, or its health changes.
    pub waker: Waker,
}

/// Reads the records of one source. Used from one thread.
pub trait SourceReader: Send {
    /// The partitions known so far; grows, never shrinks, and indexes stay valid. Empty until connected.
    fn partitions(&self) -> &[Partition];

    /// Fills `slab` (cleared first) with the next records of one partition that is not paused; an empty slab means that
    /// nothing is there now. Never waits. Moves that partition's `position` past the records handed over; it goes back only
    /// when the topic was made anew. Passing trouble (a broker away) is not an error but a [`Health`]; an error is final
    /// for the source.
    fn poll(&mut self, slab: &mut Slab, limits: PollLimits) -> Result<()>;

    /// Stops or resumes handing over records of a partition (alignment of event times, hand-over between readers).
    fn set_paused(&mut self, partition: usize, paused: bool);

    /// Publishes positions under the source's consumer group, for lag tools; best effort.
    fn commit(&mut self, positions: &[Position]);

    /// How the connection is doing.
    fn health(&self) -> Health;

    /// What tells topics from others of their names, of those that have become known or were made anew since the last call.
    fn take_topics(&mut self) -> Vec<(Arc<str>, String)> {
        Vec::new()
    }

    /// Whether what has been sent would have come.
    fn connection(&self) -> Connection {
        Connection::Always
    }

    /// Where records were left out since the last call: the next records of those partitions come from behind the gaps.
    fn take_gaps(&mut self) -> Vec<Gap> {
        Vec::new()
    }
}

/// What is known of a reader's connection: while there is none, nobody can tell a partition without rows from one whose rows
/// do not get through. Times are of the reader's clock, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// There is nothing that could fail.
    Always,
    /// It has worked without a break.
    Worked {
        /// Since then.
        since: Micros,
        /// Until then; later nobody has looked.
        until: Micros,
    },
    /// It does not work.
    Down,
}

/// Records that were to be read and are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The partition, by its index in [`SourceReader::partitions`].
    pub partition: usize,
    /// Offset of the record that was to be read next.
    pub from: i64,
    /// Offset at which reading goes on.
    pub to: i64,
    /// Why they are not there.
    pub reason: GapReason,
}

/// Why records are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// They were deleted before they were read: they were older than the topic keeps them.
    Deleted,
    /// The partition ends before: its newest records were lost when its leader changed.
    Truncated,
    /// The topic was made anew under its name.
    Recreated,
}

impl GapReason {
    /// As `clickmill.source_gaps` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Truncated => "truncated",
            Self::Recreated => "recreated",
        }
    }
}

/// Bounds of one poll.
#[derive(Clone, Copy, Debug)]
pub struct PollLimits {
    /// Most records in the slab.
    pub max_records: usize,
    /// Stop adding records once the slab's buffer holds this many bytes.
    pub max_bytes: usize,
}

/// One partition as its reader sees it. Topic and id together name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The topic (of a file its path).
    pub topic: Arc<str>,
    /// The partition's number in the topic.
    pub id: i32,
    /// Offset of the next record that the reader will hand over.
    pub position: i64,
    /// Offset one past the last record known on the broker (its last stable offset), or -1 when not known yet.
    pub end: i64,
    /// Everything that was on the broker has been handed over (the broker said: end of partition).
    pub at_end: bool,
    /// A bounded reader stops here.
    pub stop: Option<i64>,
    /// What happened to it that its readers should know, such as that its topic was made anew.
    pub note: Option<Arc<str>>,
}

impl Partition {
    /// Where its reader is.
    pub fn place(&self) -> Position {
        Position {
            topic: Arc::clone(&self.topic),
            partition: self.id,
            offset: self.position,
        }
    }

    /// Whether `other` is the same partition, as another reader sees it.
    pub fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.topic == other.topic
    }

    /// Records still to read that are known of, if that is known.
    pub fn lag(&self) -> Option<i64> {
        let end = self.stop.map_or(self.end, |stop| self.end.min(stop));
        (self.end >= 0).then(|| (end - self.position).max(0))
    }

    /// Whether a bounded reader has handed over all it will.
    pub fn finished(&self) -> bool {
        self.stop.is_some_and(|stop| self.position >= stop)
    }
}

/// State of a reader's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not connected yet.
    Connecting {
        /// What went wrong last, if anything did.
        reason: Option<String>,
    },
    /// Reading.
    Running,
    /// Connected once, now retrying.
    Retrying {
        /// What went wrong last.
        reason: String,
        /// When it began, by the reader's clock in microseconds, or 0 when not known.
        since: Micros,
    },
}
