//! `clickmill.checkpoints`, `.savepoints` and `.recoveries`: what is kept of the state, and what was done with it at the start.

use dataflow::{Micros, Result};
use datafusion::arrow::array::RecordBatch;

use super::{batch, count, int, text, times};
use crate::recovery::{CheckpointStatus, History, SavepointStatus, Savepoints};

/// One row a checkpoint, of the newest hundred.
pub(super) fn checkpoints(history: &History) -> Result<RecordBatch> {
    let rows = history.checkpoints();
    let each = || rows.iter();
    let status = |c: &CheckpointStatus| match (&c.failure, c.took) {
        (Some(_), _) => "failed",
        (None, Some(_)) => "done",
        (None, None) => "writing",
    };
    let millis = |micros: Micros| micros / dataflow::time::MILLI;
    batch(vec![
        ("id", int(each().map(|c| count(c.id)))),
        ("version", int(each().map(|c| count(c.version)))),
        ("begun", times(each().map(|c| Some(c.begun)))),
        ("status", text(each().map(|c| Some(status(c).to_owned())))),
        ("pause_ms", int(each().map(|c| Some(millis(c.pause))))),
        ("duration_ms", int(each().map(|c| c.took.map(millis)))),
        ("bytes", int(each().map(|c| c.bytes.and_then(count)))),
        ("failure", text(each().map(|c| c.failure.clone()))),
    ])
}

/// One row a savepoint.
pub(crate) fn savepoints(history: &History) -> Result<RecordBatch> {
    let rows = history.savepoints().map(Savepoints::list);
    let rows = rows.unwrap_or_default();
    let each = || rows.iter();
    let path = |s: &SavepointStatus| Some(s.place.to_string());
    batch(vec![
        ("name", text(each().map(|s| Some(s.name.clone())))),
        ("created_at", times(each().map(|s| s.made))),
        ("bytes", int(each().map(|s| count(s.bytes)))),
        ("path", text(each().map(path))),
    ])
}

/// One row, when there was something to recover.
pub(super) fn recoveries(history: &History) -> Result<RecordBatch> {
    let rows: Vec<_> = history.recovery().into_iter().collect();
    let each = || rows.iter();
    batch(vec![
        ("at", times(each().map(|r| Some(r.at)))),
        (
            "duration_ms",
            int(each().map(|r| Some(r.took / dataflow::time::MILLI))),
        ),
        (
            "checkpoint_version",
            int(each().map(|r| r.what.checkpoint.and_then(count))),
        ),
        ("ticks", int(each().map(|r| count(r.what.ticks)))),
        ("records", int(each().map(|r| count(r.what.records)))),
    ])
}
