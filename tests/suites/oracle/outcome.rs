//! What became of a case: rows, changes, counters, and what was set aside.

use std::collections::HashMap;

use dataflow::DeltaBatch;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use engine::status::{SourceStatus, ViewStatus};

use super::compare::Rows;
use super::model::Model;
use super::table::TableRow;

/// What became of a view.
pub(super) struct Outcome {
    pub(super) rows: Rows,
    /// All changes from the first version on.
    pub(super) log: Vec<(u64, DeltaBatch)>,
    pub(super) status: ViewStatus,
    /// Event times of the rows that the source's table of late rows has for it.
    pub(super) late: Vec<i64>,
}

/// The views at one moment: the tick, the watermark behind it, the rows of each view that there is.
pub(super) struct Look {
    pub(super) tick: usize,
    pub(super) watermark: i64,
    pub(super) views: Vec<Rows>,
}

/// What became of a case.
pub(super) struct Run {
    pub(super) model: Model,
    pub(super) source: SourceStatus,
    pub(super) views: Vec<Outcome>,
    /// The last one is at the end.
    pub(super) looks: Vec<Look>,
    /// Rows of the small table, with the ticks that they came in.
    pub(super) table: Vec<(TableRow, usize)>,
    /// Partition and offset of the records that the source's table of bad records has.
    pub(super) bad: Vec<(i32, i64)>,
    /// Subscribers came while records were still to come.
    pub(super) subscribed: bool,
    pub(super) tick_records: usize,
    /// Not all partitions were there from the beginning.
    pub(super) partitions_came: bool,
    /// How often the engine crashed.
    pub(super) crashed: usize,
    /// How often a checkpoint was taken then.
    pub(super) taken: usize,
}

/// Event times of late rows by view.
pub(super) fn late_times(batches: &[RecordBatch]) -> HashMap<String, Vec<i64>> {
    let mut times: HashMap<String, Vec<i64>> = HashMap::new();
    for batch in batches {
        let views = batch.column(0).as_string::<i32>();
        let at = batch.column(1).as_primitive::<TimestampMicrosecondType>();
        for (view, at) in views.iter().flatten().zip(at.values()) {
            times.entry(view.to_owned()).or_default().push(*at);
        }
    }
    times
}

/// Partition and offset of bad records.
pub(super) fn places(batches: &[RecordBatch]) -> Vec<(i32, i64)> {
    let of = |batch: &RecordBatch| -> Vec<(i32, i64)> {
        let partitions = batch.column(1).as_primitive::<Int32Type>().values();
        let offsets = batch.column(2).as_primitive::<Int64Type>().values();
        partitions
            .iter()
            .copied()
            .zip(offsets.iter().copied())
            .collect()
    };
    let mut places: Vec<(i32, i64)> = batches.iter().flat_map(of).collect();
    places.sort_unstable();
    places
}
