//! The rows of an updating relation: how often each occurs.

use dataflow::{DeltaBatch, Micros, Result};
use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};

use crate::state::keys::{KeyEncoder, KeyMap};

/// Rows by their bytes, with how often each occurs.
pub(super) struct Updating {
    encoder: KeyEncoder,
    counts: KeyMap<i64>,
    /// Rows, each as often as it occurs.
    rows: i64,
    /// All keys with a count, in no order; rebuilt when half are gone.
    keys: Vec<Box<[u8]>>,
    snapshot: Option<Vec<RecordBatch>>,
}

impl Updating {
    /// No rows of `schema`.
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        Ok(Self {
            encoder: KeyEncoder::new(schema.fields())?,
            counts: KeyMap::default(),
            rows: 0,
            keys: Vec::new(),
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
            let mut new = false;
            let count = self.counts.entry(bytes.data(), || {
                new = true;
                0
            });
            let weight = i64::from(batch.weights.get(row));
            *count += weight;
            self.rows += weight;
            let gone = *count == 0;
            if gone {
                self.counts.remove(bytes.data());
            } else if new {
                self.keys.push(bytes.data().into());
            }
        }
        if self.keys.len() > 1024 && self.keys.len() > 2 * self.counts.len() {
            self.tidy();
        }
        Ok(())
    }

    /// Keeps each key that has a count once.
    fn tidy(&mut self) {
        self.keys.sort_unstable();
        self.keys.dedup();
        let counts = &self.counts;
        self.keys.retain(|k| counts.get(k).is_some());
    }

    pub(super) fn snapshot(&mut self, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
        if let Some(done) = &self.snapshot {
            return Ok(done.clone());
        }
        self.tidy();
        let mut batches = Vec::new();
        for keys in self.keys.chunks(8192) {
            let rows = keys.iter().flat_map(|k| {
                let times = self.counts.get(k).copied().unwrap_or(0);
                std::iter::repeat_n(k.as_ref(), usize::try_from(times).unwrap_or(0))
            });
            let columns = self.encoder.decode(rows)?;
            batches.push(crate::aggregates::conform(schema, columns)?);
        }
        self.snapshot = Some(batches.clone());
        Ok(batches)
    }

    pub(super) fn expire(&mut self, column: usize, before: Micros) {
        // Whole rows are keys here, so expiry decodes them; it runs only when something can have expired.
        let Ok(columns) = self.encoder.decode(self.keys.iter().map(AsRef::as_ref)) else {
            return;
        };
        let Some(times) = columns[column].as_primitive_opt::<TimestampMicrosecondType>() else {
            return;
        };
        let old: BooleanArray = times
            .iter()
            .map(|t| Some(t.is_some_and(|t| t <= before)))
            .collect();
        if old.true_count() == 0 {
            return;
        }
        self.snapshot = None;
        let mut kept = Vec::with_capacity(self.keys.len());
        for (i, key) in std::mem::take(&mut self.keys).into_iter().enumerate() {
            if old.value(i) {
                self.rows -= self.counts.remove(&key).unwrap_or(0);
            } else {
                kept.push(key);
            }
        }
        self.keys = kept;
    }
}
