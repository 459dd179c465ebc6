//! Late rows within the allowed time: only the groups that they touch are aggregated anew, in the windows they belong to.

use std::collections::{BTreeMap, BTreeSet};

use dataflow::{DeltaBatch, Micros, Result};
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{concat_batches, filter_record_batch, not, take_record_batch};
use plan::node::AggOutput;
use plan::window::Span;

use super::PaneAgg;
use crate::aggregates::Aggregates;
use crate::changes::{complete_rows, correction};
use crate::operator::Out;
use crate::state::keys::{KeyEncoder, KeyMap};
use crate::state::saved::Saved;

/// What late rows need that correct windows.
pub(super) struct Corrections {
    /// How long behind its close a window is corrected.
    pub(super) lateness: Micros,
    /// Rows given for windows that are not final, by end and beginning.
    pub(super) given: BTreeMap<(Micros, Micros), RecordBatch>,
    /// Windows that late rows came to since the last tick, by end and beginning.
    dirty: BTreeSet<(Micros, Micros)>,
    /// Their keys.
    keys: Keys,
}

/// A set of keys.
struct Keys {
    encoder: KeyEncoder,
    set: KeyMap<()>,
}

impl Keys {
    fn add(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        match self.encoder.encode(keys)? {
            Some(encoded) => {
                (0..rows).for_each(|row| *self.set.entry(encoded.row(row).data(), || ()) = ());
            }
            None => *self.set.entry(&[], || ()) = (),
        }
        Ok(())
    }

    /// Which rows have one of the keys.
    fn among(&mut self, keys: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
        let Some(encoded) = self.encoder.encode(keys)? else {
            return Ok(BooleanArray::from(vec![true; rows]));
        };
        let held = |row| self.set.get(encoded.row(row).data()).is_some();
        Ok((0..rows).map(|row| Some(held(row))).collect())
    }
}

impl Corrections {
    pub(super) fn new(lateness: Micros, aggregates: &Aggregates) -> Result<Self> {
        Ok(Self {
            lateness,
            given: BTreeMap::new(),
            dirty: BTreeSet::new(),
            keys: Keys {
                encoder: KeyEncoder::new(aggregates.key_fields())?,
                set: KeyMap::default(),
            },
        })
    }

    /// Puts the rows that were given; late rows are looked at within their tick.
    pub(super) fn save(&self, saved: &mut Saved) -> Result<()> {
        saved.numbers(self.given.keys().flat_map(|(end, start)| [*end, *start]));
        self.given.values().for_each(|rows| saved.rows(rows));
        Ok(())
    }

    /// Takes what [`Corrections::save`] has put.
    pub(super) fn load(&mut self, saved: &mut Saved) -> Result<()> {
        for window in saved.take_pairs()? {
            self.given.insert(window, saved.take_rows()?);
        }
        Ok(())
    }

    /// Rows kept.
    pub(super) fn rows(&self) -> u64 {
        self.given.values().map(|rows| rows.num_rows() as u64).sum()
    }
}

impl PaneAgg {
    /// Notes which windows have closed already that rows of a pane belong to.
    pub(super) fn note_late(&mut self, pane: Micros, keys: &[ArrayRef], rows: usize) -> Result<()> {
        let (closing, window) = (self.closing(), self.window);
        let Some(corrections) = &mut self.corrections else {
            return Ok(());
        };
        let correctable = |(_, end): &Span| closing.closes(*end) && !self.watermark.closes(*end);
        let mut closed = window.windows_of(pane).filter(correctable).peekable();
        if closed.peek().is_none() {
            return Ok(());
        }
        corrections
            .dirty
            .extend(closed.map(|(start, end)| (end, start)));
        corrections.keys.add(keys, rows)
    }

    /// Corrects the windows that late rows came to.
    pub(super) fn correct(&mut self, out: &mut Out) -> Result<()> {
        let Some(mut corrections) = self.corrections.take_if(|c| !c.dirty.is_empty()) else {
            return Ok(());
        };
        let mut parts = BTreeMap::new();
        for (end, start) in std::mem::take(&mut corrections.dirty) {
            self.correct_window((start, end), &mut corrections, &mut parts, out)?;
        }
        corrections.keys.set = KeyMap::default();
        self.corrections = Some(corrections);
        Ok(())
    }

    fn correct_window(
        &mut self,
        span: Span,
        corrections: &mut Corrections,
        parts: &mut BTreeMap<Micros, Vec<RecordBatch>>,
        out: &mut Out,
    ) -> Result<()> {
        let mut merged = self.aggregates.table()?;
        let panes: Vec<Micros> = self
            .panes
            .range(span.0..span.1)
            .map(|(at, _)| *at)
            .collect();
        for pane in panes {
            if !parts.contains_key(&pane) {
                let touched = self.touched(pane, &mut corrections.keys)?;
                parts.insert(pane, touched);
            }
            for run in &parts[&pane] {
                merged.merge(run, self.aggregates.key_count())?;
            }
        }
        let after = self.rows_of(span, &merged.take_results()?)?;
        let place = (span.1, span.0);
        let Some(given) = corrections.given.remove(&place) else {
            corrections.given.insert(place, after.clone());
            out.push(DeltaBatch::inserts(after));
            return Ok(());
        };
        let keys = self.keys_of(&given);
        let touched = corrections.keys.among(&keys, given.num_rows())?;
        let before = filter_record_batch(&given, &touched)?;
        let untouched = filter_record_batch(&given, &not(&touched)?)?;
        let after = self.in_order_of(&before, after, &mut corrections.keys.encoder)?;
        let common = before.num_rows();
        if let Some(change) = correction(&before, &after.slice(0, common))? {
            out.push(change);
        }
        let fresh = after.slice(common, after.num_rows() - common);
        out.push(DeltaBatch::inserts(fresh));
        let now = concat_batches(&self.schema, [&untouched, &after])?;
        corrections.given.insert(place, now);
        Ok(())
    }

    /// The partial aggregates of a pane for the keys alone.
    fn touched(&mut self, pane: Micros, keys: &mut Keys) -> Result<Vec<RecordBatch>> {
        let Some(pane) = self.panes.get_mut(&pane) else {
            return Ok(Vec::new());
        };
        pane.flush(&self.aggregates)?;
        let count = self.aggregates.key_count();
        let only = |run: &RecordBatch| {
            let touched = keys.among(&run.columns()[..count], run.num_rows())?;
            Ok(filter_record_batch(run, &touched)?)
        };
        pane.runs.iter().map(only).collect()
    }

    /// The keys of output rows: all keys of an aggregation are among its columns.
    fn keys_of(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        let mut keys: Vec<(usize, ArrayRef)> = Vec::new();
        for (output, column) in self.output.iter().zip(rows.columns()) {
            if let AggOutput::Key(key) = output {
                keys.push((*key, column.clone()));
            }
        }
        keys.sort_by_key(|(key, _)| *key);
        keys.into_iter().map(|(_, column)| column).collect()
    }

    /// `rows` with those first whose keys `before` has, in its order.
    fn in_order_of(
        &self,
        before: &RecordBatch,
        rows: RecordBatch,
        encoder: &mut KeyEncoder,
    ) -> Result<RecordBatch> {
        let Some(wanted) = encoder.encode(&self.keys_of(before))? else {
            return Ok(rows);
        };
        let mut places: KeyMap<u32> = KeyMap::default();
        for (place, row) in (0..).zip(wanted.iter()) {
            places.entry(row.data(), || place);
        }
        let mut fresh = u32::try_from(before.num_rows()).expect("fewer than 2^32 rows of a window");
        let mut order = vec![0; rows.num_rows()];
        if let Some(keys) = encoder.encode(&self.keys_of(&rows))? {
            for (at, row) in (0_u32..).zip(keys.iter()) {
                let place = places.get(row.data()).copied().unwrap_or_else(|| {
                    fresh += 1;
                    fresh - 1
                });
                order[place as usize] = at;
            }
        }
        let order = UInt32Array::from(order);
        Ok(take_record_batch(&rows, &order)?)
    }

    /// Forgets the rows of windows that are final; those that say so say it now.
    pub(super) fn finish(&mut self, out: &mut Out) -> Result<()> {
        let Some(corrections) = &mut self.corrections else {
            return Ok(());
        };
        let complete = self.output.iter().position(|o| *o == AggOutput::Complete);
        while let Some(entry) = corrections.given.first_entry() {
            if !self.watermark.closes(entry.key().0) {
                break;
            }
            let rows = entry.remove();
            if let Some(column) = complete
                && let Some(change) = correction(&rows, &complete_rows(&rows, column)?)?
            {
                out.push(change);
            }
        }
        Ok(())
    }
}
