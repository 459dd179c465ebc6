//! What the engine tells about itself: sources with their partitions, views with their state.

use std::sync::Arc;

use dataflow::connector::Health;
use dataflow::{Micros, Watermark};

use crate::aside::SourceGap;
use crate::feed::FeedCounts;
use crate::operator::Counters;
use crate::view::ViewState;

/// Status of everything that runs.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The newest version.
    pub version: u64,
    /// Why nothing goes on, if so.
    pub stuck: Option<String>,
    /// Declared sources.
    pub sources: Vec<SourceStatus>,
    /// Views, without SUBSCRIBE's.
    pub views: Vec<ViewStatus>,
}

/// A source.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// The connection, or `None` while no view reads it.
    pub health: Option<Health>,
    /// Its watermark.
    pub watermark: Watermark,
    /// The clock moves its watermark: `PROCTIME()`.
    pub follows_clock: bool,
    /// Counts since reading began.
    pub counts: FeedCounts,
    /// Its partitions.
    pub partitions: Vec<PartitionStatus>,
    /// Records that its views have not got because they were not there any more, oldest first.
    pub gaps: Vec<SourceGap>,
}

/// A partition of a source.
#[derive(Clone, Debug)]
pub struct PartitionStatus {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number in the topic.
    pub id: i32,
    /// Offset of the next record to read.
    pub position: i64,
    /// Offset one past the last record on the broker, or -1.
    pub end: i64,
    /// Records still to read, if that is known.
    pub lag: Option<i64>,
    /// Its own watermark.
    pub watermark: Watermark,
    /// Since when nothing came, in microseconds, when it is idle.
    pub idle_since: Option<Micros>,
    /// When a row came last, or the partition itself, by the clock.
    pub last_row: Micros,
    /// Records read.
    pub records: u64,
    /// Records that could not be used.
    pub bad: u64,
    /// What the last of them was.
    pub last_bad: Option<String>,
    /// What happened to it that its readers should know.
    pub note: Option<Arc<str>>,
}

/// A view.
#[derive(Clone, Debug)]
pub struct ViewStatus {
    /// Its name.
    pub name: String,
    /// What it does.
    pub state: ViewState,
    /// Relations that it reads.
    pub reads: Vec<String>,
    /// The least watermark of what it reads.
    pub watermark: Watermark,
    /// Rows given, corrections included.
    pub rows_out: u64,
    /// Rows kept.
    pub rows: u64,
    /// Records still to read before it has caught up.
    pub behind: i64,
    /// The sink for which it waits, if it does.
    pub waits_for: Option<String>,
    /// Late rows, state, next close.
    pub counters: Counters,
}
