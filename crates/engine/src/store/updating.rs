//! The rows of an updating relation: how often each occurs.

use dataflow::{DeltaBatch, Micros, Result};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::arrow::row::Row;

use crate::state::keys::{Entries, KeyEncoder, KeyMap};

/// Rows that are made at a time.
pub(super) const ROWS: usize = 8192;

/// Rows by their bytes, with how often each occurs.
pub(super) struct Updating {
    encoder: KeyEncoder,
    counts: KeyMap<i64>,
    /// Rows, each as often as it occurs.
    rows: i64,
    snapshot: Option<Vec<RecordBatch>>,
}

impl Updating {
    /// No rows of `schema`.
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        Ok(Self {
            encoder: KeyEncoder::new(schema.fields())?,
            counts: KeyMap::default(),
            rows: 0,
            snapshot: None,
        })
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        usize::try_from(self.rows).unwrap_or(0)
    }

    pub(super) fn add(&mut self, batch: &DeltaBatch) -> Result<()> {
        self.snapshot = None;
        let Some(rows) = self.encoder.encode(batch.rows.columns())? else {
            return Ok(());
        };
        for row in 0..batch.len() {
            let bytes = rows.row(row);
            let count = self.counts.entry(bytes.data(), || 0);
            let weight = i64::from(batch.weights.get(row));
            *count += weight;
            self.rows += weight;
            if *count == 0 {
                self.counts.remove(bytes.data());
            }
        }
        Ok(())
    }

    /// Adds rows that were kept: no row that is there already, and the same ones next to each other.
    pub(super) fn load(&mut self, kept: &RecordBatch) -> Result<()> {
        self.snapshot = None;
        let Some(rows) = self.encoder.encode(kept.columns())? else {
            return Ok(());
        };
        let mut before: Option<(Row<'_>, i64)> = None;
        for row in &rows {
            match &mut before {
                Some((same, count)) if *same == row => *count += 1,
                _ => {
                    if let Some((row, count)) = before.replace((row, 1)) {
                        self.counts.insert_new(row.data(), count);
                    }
                }
            }
        }
        if let Some((row, count)) = before {
            self.counts.insert_new(row.data(), count);
        }
        self.rows += rows.num_rows() as i64;
        Ok(())
    }

    /// Makes room for so many more rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.counts.reserve(rows);
    }

    pub(super) fn snapshot(&mut self, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
        if let Some(done) = &self.snapshot {
            return Ok(done.clone());
        }
        let batches = batches(&self.counts.sorted(), &self.encoder, schema)?;
        self.snapshot = Some(batches.clone());
        Ok(batches)
    }

    /// The rows as they are, to be made later.
    pub(super) fn freeze(&self) -> Entries<i64> {
        self.counts.freeze()
    }

    pub(super) fn expire(&mut self, column: usize, before: Micros) {
        // Whole rows are keys here, so expiry decodes them; it runs only when something can have expired.
        let frozen = self.counts.freeze();
        let all = frozen.all();
        let Ok(columns) = self.encoder.decode(all.iter().map(|(key, _)| *key)) else {
            return;
        };
        let Some(times) = columns[column].as_primitive_opt::<TimestampMicrosecondType>() else {
            return;
        };
        for (time, (key, _)) in times.iter().zip(all) {
            if time.is_some_and(|time| time <= before) {
                self.snapshot = None;
                self.rows -= self.counts.remove(key).unwrap_or(0);
            }
        }
    }
}

/// The rows, each as often as it occurs.
pub(super) fn batches(
    counts: &[(&[u8], &i64)],
    encoder: &KeyEncoder,
    schema: &SchemaRef,
) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for keys in counts.chunks(ROWS) {
        let rows = keys.iter().flat_map(|(key, times)| {
            std::iter::repeat_n(*key, usize::try_from(**times).unwrap_or(0))
        });
        let columns = encoder.decode(rows)?;
        batches.push(crate::aggregates::conform(schema, columns)?);
    }
    Ok(batches)
}
