//! A store on its way to a checkpoint and back.

use std::sync::Arc;

use dataflow::batch::Weights;
use dataflow::{DeltaBatch, Result};
use datafusion::arrow::array::RecordBatch;

use super::updating::batches;
use super::{Inner, LogEntry, Rows, Run, Store};
use crate::state::keys::KeyEncoder;
use crate::state::saved::{Saved, wrong};

/// Bytes of changes that a checkpoint keeps for followers of a view.
const SAVED_LOG_BYTES: usize = 1 << 20;

impl Store {
    /// Puts the rows, up to which version they are, and the newest changes, from which followers can go on.
    pub fn save(&self, saved: &mut Saved) -> Result<()> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        saved.counter(inner.version);
        saved.counter(inner.changed_at);
        saved.number(inner.expired_to);
        saved.counter(inner.born);
        match &mut inner.rows {
            Rows::Updating(rows) => {
                let (rows, schema) = (rows.freeze(), Arc::clone(&self.options.schema));
                saved.later(move |saved| {
                    let encoder = KeyEncoder::new(schema.fields())?;
                    put(&batches(&rows.all(), &encoder, &schema)?, saved);
                    Ok(())
                });
            }
            rows => put(&rows.snapshot(&self.options.schema)?, saved),
        }
        let most = match self.options.pinned {
            true => usize::MAX,
            false => SAVED_LOG_BYTES,
        };
        let (forgotten, changes) = inner.newest_changes(most);
        saved.counter(forgotten);
        saved.count(changes.len());
        for LogEntry { version, batch, .. } in changes {
            saved.counter(*version);
            saved.numbers(match &batch.weights {
                Weights::Ones => Vec::new().into_iter(),
                Weights::Each(weights) => {
                    let weights = weights.iter().map(|w| i64::from(*w));
                    weights.collect::<Vec<_>>().into_iter()
                }
            });
            saved.rows(&batch.rows);
        }
        Ok(())
    }

    /// Takes what [`Store::save`] has put.
    pub fn load(&self, saved: &mut Saved) -> Result<()> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.version = saved.take_counter()?;
        inner.changed_at = saved.take_counter()?;
        inner.expired_to = saved.take_number()?;
        inner.born = saved.take_counter()?;
        let batches = saved.take_count()?;
        for at in 0..batches {
            let batch = saved.take_rows()?;
            match &mut inner.rows {
                Rows::None => {}
                // As they were: merging is a matter of when rows came.
                Rows::Append(runs) => runs.push(Run::new(batch, &self.options)),
                Rows::Updating(rows) => {
                    if at == 0 {
                        // Each has so many rows that differ, at most.
                        rows.reserve(batches * batch.num_rows().min(super::updating::ROWS));
                    }
                    rows.load(&batch)?;
                }
            }
        }
        inner.forgotten = saved.take_counter()?;
        for _ in 0..saved.take_count()? {
            let version = saved.take_counter()?;
            let weights: Option<Vec<i8>> = {
                let numbers = saved.take_numbers()?.into_iter();
                numbers.map(|n| i8::try_from(n).ok()).collect()
            };
            let weights = weights.ok_or_else(|| wrong("weights", None::<()>))?;
            let rows = saved.take_rows()?;
            let weights = match weights.is_empty() {
                true => Weights::Ones,
                false => Weights::Each(weights.into()),
            };
            inner.push(version, DeltaBatch { rows, weights });
        }
        Ok(())
    }
}

fn put(rows: &[RecordBatch], saved: &mut Saved) {
    saved.count(rows.len());
    rows.iter().for_each(|rows| saved.rows(rows));
}

impl Inner {
    /// The newest changes, about so many bytes but whole versions, and the version that they follow.
    fn newest_changes(&self, bytes: usize) -> (u64, impl ExactSizeIterator<Item = &LogEntry>) {
        let mut from = self.log.len();
        let mut kept = 0;
        while from > 0 && self.log[from - 1].bytes <= bytes - kept {
            from -= 1;
            kept += self.log[from].bytes;
        }
        // The rest of a version that does not fit goes too.
        while let (Some(before), Some(first)) = (from.checked_sub(1), self.log.get(from))
            && self.log[before].version == first.version
        {
            from += 1;
        }
        let forgotten = match from.checked_sub(1) {
            Some(before) => self.log[before].version,
            None => self.forgotten,
        };
        (forgotten, self.log.range(from..))
    }
}
