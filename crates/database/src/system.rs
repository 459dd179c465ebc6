//! The relations of schema `clickmill`: what the engine knows of itself.

mod gaps;
mod lasting;
mod sinks;
mod waiting;

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::connector::Health;
use dataflow::{Micros, Result, Watermark};
use datafusion::arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::datasource::{MemTable, TableProvider};
use engine::status::{PartitionStatus, SourceStatus, ViewStatus};
use engine::{Status, ViewState};

use crate::recovery::History;
use crate::sinks::SinkStatus;

/// Names of the relations, for the catalog and for messages.
pub(crate) const NAMES: [&str; 8] = [
    "sources",
    "jobs",
    "waiting_windows",
    "checkpoints",
    "recoveries",
    "sinks",
    "source_gaps",
    "savepoints",
];

pub(crate) use lasting::savepoints;
pub(crate) use sinks::sinks;

/// All relations.
pub(crate) fn tables(
    status: &Status,
    history: &History,
    sinks: &[SinkStatus],
) -> Result<HashMap<String, Arc<dyn TableProvider>>> {
    let mut tables: HashMap<String, Arc<dyn TableProvider>> = HashMap::new();
    for (name, batch) in NAMES.iter().zip(batches(status, history, sinks)?) {
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]])
            .map_err(sql::errors::from_datafusion)?;
        tables.insert((*name).to_owned(), Arc::new(table));
    }
    Ok(tables)
}

/// Names and columns of the relations.
pub(crate) fn schemas() -> Result<Vec<(&'static str, SchemaRef)>> {
    let batches = batches(&Status::default(), &History::default(), &[])?;
    Ok(NAMES.into_iter().zip(batches.map(|b| b.schema())).collect())
}

/// In the order of [`NAMES`].
fn batches(
    status: &Status,
    history: &History,
    sinks: &[SinkStatus],
) -> Result<[RecordBatch; NAMES.len()]> {
    Ok([
        sources(status)?,
        jobs(status)?,
        waiting::windows(status)?,
        lasting::checkpoints(history)?,
        lasting::recoveries(history)?,
        self::sinks(sinks)?,
        gaps::source_gaps(status)?,
        savepoints(history)?,
    ])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn text(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn int(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn times(values: impl Iterator<Item = Option<Micros>>) -> ArrayRef {
    Arc::new(
        values
            .collect::<TimestampMicrosecondArray>()
            .with_timezone("UTC"),
    )
}

fn count(value: u64) -> Option<i64> {
    i64::try_from(value).ok()
}

/// A watermark as a time; none when it promises nothing.
fn shown(watermark: Watermark) -> Option<Micros> {
    (watermark.is_known() && watermark != Watermark::MAX).then_some(watermark.0)
}

/// One row a partition; a source that has none yet has one row without a partition.
fn sources(status: &Status) -> Result<RecordBatch> {
    let rows: Vec<(&SourceStatus, Option<usize>)> = status
        .sources
        .iter()
        .flat_map(|s| {
            let partitions: Vec<Option<usize>> = if s.partitions.is_empty() {
                vec![None]
            } else {
                (0..s.partitions.len()).map(Some).collect()
            };
            partitions.into_iter().map(move |p| (s, p))
        })
        .collect();
    let partition = |(s, p): &(&SourceStatus, Option<usize>)| p.map(|p| s.partitions[p].clone());
    let each = || rows.iter().map(partition);
    batch(vec![
        (
            "source",
            text(rows.iter().map(|(s, _)| Some(s.name.clone()))),
        ),
        (
            "topic",
            text(rows.iter().map(|row| Some(topic(row.0, partition(row))))),
        ),
        (
            "partition",
            Arc::new(each().map(|p| p.map(|p| p.id)).collect::<Int32Array>()),
        ),
        (
            "state",
            text(rows.iter().map(|(s, _)| Some(health(s.health.as_ref()).0))),
        ),
        (
            "detail",
            text(rows.iter().map(|row| detail(row.0, partition(row)))),
        ),
        (
            "position",
            int(each().map(|p| p.filter(|p| p.position >= 0).map(|p| p.position))),
        ),
        (
            "end_offset",
            int(each().map(|p| p.filter(|p| p.end >= 0).map(|p| p.end))),
        ),
        ("lag", int(each().map(|p| p.and_then(|p| p.lag)))),
        (
            "watermark",
            times(each().map(|p| p.and_then(|p| shown(p.watermark)))),
        ),
        (
            "source_watermark",
            times(rows.iter().map(|(s, _)| shown(s.watermark))),
        ),
        (
            "idle_since",
            times(each().map(|p| p.and_then(|p| p.idle_since))),
        ),
        (
            "records",
            int(each().map(|p| p.and_then(|p| count(p.records)))),
        ),
        (
            "bad_records",
            int(each().map(|p| p.and_then(|p| count(p.bad)))),
        ),
        ("last_bad", text(each().map(|p| p.and_then(|p| p.last_bad)))),
    ])
}

/// The partition's own topic, or before there are partitions all that the source reads.
fn topic(source: &SourceStatus, partition: Option<PartitionStatus>) -> String {
    partition.map_or_else(|| source.topic.clone(), |p| p.topic.to_string())
}

/// Why the source is not running, or else what happened to the partition.
fn detail(source: &SourceStatus, partition: Option<PartitionStatus>) -> Option<String> {
    let note = || partition.and_then(|p| p.note).map(|note| note.to_string());
    health(source.health.as_ref()).1.or_else(note)
}

fn health(health: Option<&Health>) -> (String, Option<String>) {
    match health {
        None => ("unread".to_owned(), Some("no view reads it".to_owned())),
        Some(Health::Connecting { reason }) => ("connecting".to_owned(), reason.clone()),
        Some(Health::Running) => ("running".to_owned(), None),
        Some(Health::Retrying { reason, .. }) => ("retrying".to_owned(), Some(reason.clone())),
    }
}

/// The state of every materialized view: `clickmill.jobs` and SHOW JOBS.
pub(crate) fn jobs(status: &Status) -> Result<RecordBatch> {
    let views = || status.views.iter();
    let state = |v: &ViewStatus| match &v.state {
        ViewState::CatchingUp | ViewState::Running if status.stuck.is_some() => {
            ("waiting".to_owned(), status.stuck.clone())
        }
        ViewState::CatchingUp | ViewState::Running if v.waits_for.is_some() => {
            let sink = v.waits_for.as_deref().unwrap_or_default();
            let detail = format!("the target of sink \"{sink}\" has not taken what there is");
            ("waiting".to_owned(), Some(detail))
        }
        ViewState::CatchingUp | ViewState::Running if v.watermark == Watermark::MAX => {
            ("finished".to_owned(), None)
        }
        ViewState::CatchingUp => (
            "catching up".to_owned(),
            Some(format!("{} records behind", v.behind)),
        ),
        ViewState::Running => ("running".to_owned(), None),
        ViewState::Failed(failure) => ("failed".to_owned(), Some(failure.error.to_string())),
        ViewState::Suspended => ("suspended".to_owned(), None),
    };
    batch(vec![
        ("name", text(views().map(|v| Some(v.name.clone())))),
        ("state", text(views().map(|v| Some(state(v).0)))),
        ("detail", text(views().map(|v| state(v).1))),
        ("watermark", times(views().map(|v| shown(v.watermark)))),
        ("next_close", times(views().map(|v| v.counters.next_close))),
        ("rows", int(views().map(|v| count(v.rows)))),
        ("rows_out", int(views().map(|v| count(v.rows_out)))),
        (
            "late_rows",
            int(views().map(|v| count(v.counters.late_rows))),
        ),
        (
            "state_rows",
            int(views().map(|v| count(v.counters.state_rows))),
        ),
        ("lag", int(views().map(|v| Some(v.behind)))),
    ])
}
