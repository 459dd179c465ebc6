//! What a source sets aside, as rows that can be asked: bad records, and rows that came too late for a view.

mod gaps;

pub use gaps::SourceGap;

use std::collections::HashMap;
use std::sync::Arc;

use dataflow::{Result, Slab, Watermark};
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, DurationMicrosecondArray, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::json::LineDelimitedWriter;
use formats::BadRecord;

use crate::operator::Late;
use crate::store::Store;
use gaps::Gaps;

/// Where a source's bad records and late rows go, if they are kept.
#[derive(Clone, Debug, Default)]
pub struct AsideSpec {
    /// Rows of [`errors_schema`].
    pub errors: Option<Arc<Store>>,
    /// Rows of [`late_schema`].
    pub late: Option<Arc<Store>>,
    /// Rows of [`errors_schema`] that a sink writes as dead letters.
    pub dead: Option<Arc<Store>>,
}

impl AsideSpec {
    /// All stores.
    pub fn stores(&self) -> impl Iterator<Item = &Arc<Store>> {
        [&self.errors, &self.late, &self.dead].into_iter().flatten()
    }

    /// Whether somebody wants bad records.
    pub fn wants_errors(&self) -> bool {
        self.errors.is_some() || self.dead.is_some()
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Columns of a table of bad records.
pub fn errors_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("topic", DataType::Utf8, false),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp", time_type(), true),
        Field::new("reason", DataType::Utf8, false),
        Field::new("error", DataType::Utf8, false),
        Field::new("payload", DataType::Binary, true),
    ]))
}

/// Columns of a table of late rows.
pub fn late_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("view", DataType::Utf8, false),
        Field::new("event_time", time_type(), false),
        Field::new("watermark", time_type(), false),
        Field::new("late_by", DataType::Duration(TimeUnit::Microsecond), false),
        Field::new("row", DataType::Utf8, false),
    ]))
}

/// Rows set aside that are not published yet, and how far bad records have been noted: a view that reads history again
/// meets them again.
#[derive(Default)]
pub(crate) struct Aside {
    errors: Vec<RecordBatch>,
    late: Vec<RecordBatch>,
    noted: HashMap<(Arc<str>, i32), i64>,
    /// Records that were not there.
    pub(crate) gaps: Gaps,
}

impl Aside {
    /// Begins anew with a partition whose topic was made anew: its offsets are those of other records.
    pub(crate) fn forget(&mut self, topic: &Arc<str>, partition: i32) {
        self.noted.remove(&(Arc::clone(topic), partition));
    }

    /// Notes the bad records of a slab, each once however often it is read.
    pub(crate) fn note_errors(
        &mut self,
        partition: i32,
        slab: &Slab,
        bad: &[BadRecord],
    ) -> Result<()> {
        let topic = &slab.topic;
        let noted = self
            .noted
            .entry((Arc::clone(topic), partition))
            .or_insert(i64::MIN);
        let new: Vec<&BadRecord> = bad
            .iter()
            .filter(|b| slab.offsets[b.row as usize] >= *noted)
            .collect();
        if let Some(last) = slab.offsets.last() {
            *noted = (*noted).max(last + 1);
        }
        if new.is_empty() {
            return Ok(());
        }
        let at = |b: &&BadRecord| b.row as usize;
        let times = new.iter().map(at).map(|row| slab.timestamp_micros(row));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![topic.as_ref(); new.len()])),
            Arc::new(Int32Array::from(vec![partition; new.len()])),
            Arc::new(
                new.iter()
                    .map(at)
                    .map(|row| Some(slab.offsets[row]))
                    .collect::<Int64Array>(),
            ),
            Arc::new(
                times
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            Arc::new(
                new.iter()
                    .map(|b| Some(b.reason.code()))
                    .collect::<StringArray>(),
            ),
            Arc::new(
                new.iter()
                    .map(|b| Some(b.message.as_str()))
                    .collect::<StringArray>(),
            ),
            Arc::new(payloads(slab, new.iter().map(at))?),
        ];
        self.errors
            .push(RecordBatch::try_new(errors_schema(), columns)?);
        Ok(())
    }

    /// Notes rows that were late for a view.
    pub(crate) fn note_late(&mut self, view: &str, late: &Late) -> Result<()> {
        let rows = late.times.len();
        let Watermark(watermark) = late.watermark;
        let by = late.times.iter().map(|at| watermark.saturating_sub(*at));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![view; rows])),
            Arc::new(TimestampMicrosecondArray::from(late.times.clone()).with_timezone("UTC")),
            Arc::new(TimestampMicrosecondArray::from(vec![watermark; rows]).with_timezone("UTC")),
            Arc::new(DurationMicrosecondArray::from(by.collect::<Vec<_>>())),
            Arc::new(StringArray::from(json_rows(&late.rows)?)),
        ];
        self.late
            .push(RecordBatch::try_new(late_schema(), columns)?);
        Ok(())
    }

    /// How far bad records have been noted: topic, partition, offset one past the last.
    pub(crate) fn noted(&self) -> Vec<(String, i32, i64)> {
        let noted = self.noted.iter();
        let mut noted: Vec<_> = noted
            .map(|((topic, partition), to)| (topic.to_string(), *partition, *to))
            .collect();
        noted.sort_unstable();
        noted
    }

    /// What [`Aside::noted`] gave is known.
    pub(crate) fn note_all(&mut self, noted: Vec<(String, i32, i64)>) {
        let noted = noted.into_iter();
        self.noted
            .extend(noted.map(|(topic, partition, to)| ((topic.into(), partition), to)));
    }

    /// Bad records and late rows since the last call.
    pub(crate) fn take(&mut self) -> (Vec<RecordBatch>, Vec<RecordBatch>) {
        (
            std::mem::take(&mut self.errors),
            std::mem::take(&mut self.late),
        )
    }
}

/// The payloads of records, those of rows of columns as JSON objects.
fn payloads(slab: &Slab, rows: impl Iterator<Item = usize>) -> Result<BinaryArray> {
    let Some(columns) = &slab.rows else {
        return Ok(rows.map(|row| slab.value(row)).collect());
    };
    let rows: UInt64Array = rows.map(|row| Some(row as u64)).collect();
    let texts = json_rows(&take_record_batch(columns, &rows)?)?;
    Ok(BinaryArray::from_iter_values(texts))
}

/// Each row as a JSON object.
fn json_rows(rows: &RecordBatch) -> Result<Vec<String>> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    let text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // Rows without a value have no line of their own.
    lines.resize(rows.num_rows(), "{}".to_owned());
    Ok(lines)
}
