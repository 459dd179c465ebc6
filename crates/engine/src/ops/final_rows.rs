//! Waits with rows that may be corrected until the watermark has passed their window, then gives what is left of them.

use std::collections::BTreeMap;

use dataflow::{DeltaBatch, Error, Result, Watermark};
use datafusion::arrow::datatypes::SchemaRef;

use crate::aggregates::conform;
use crate::operator::{Counters, Operator, Out, Tick};
use crate::state::keys::KeyEncoder;
use crate::state::saved::Saved;
use crate::waiting::Waiting;
use crate::window::times;

/// Final rows of an input that is corrected.
pub struct FinalRows {
    /// The column of event time, which follows the input's watermark.
    time: usize,
    schema: SchemaRef,
    encoder: KeyEncoder,
    /// By that time: rows, and how often each is there.
    windows: Waiting<BTreeMap<Box<[u8]>, i64>>,
}

impl FinalRows {
    /// Over rows of `schema`; they are final when the watermark reaches column `time`.
    pub fn new(time: usize, schema: SchemaRef) -> Result<Self> {
        Ok(Self {
            time,
            encoder: KeyEncoder::new(schema.fields())?,
            schema,
            windows: Waiting::default(),
        })
    }
}

impl Operator for FinalRows {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, _out: &mut Out) -> Result<()> {
        let at = times(batch.rows.column(self.time))?.values();
        let Some(rows) = self.encoder.encode(batch.rows.columns())? else {
            return Err(Error::internal("rows without columns have no window"));
        };
        for (row, at) in at.iter().enumerate() {
            // What is forgotten after it was final (by its age) stays as it was given.
            if self.windows.has_passed(*at) {
                continue;
            }
            let window = self.windows.at(*at, || Ok::<_, Error>(BTreeMap::new()))?;
            let bytes = rows.row(row);
            let weight = i64::from(batch.weights.get(row));
            match window.get_mut(bytes.data()) {
                Some(count) if *count + weight == 0 => drop(window.remove(bytes.data())),
                Some(count) => *count += weight,
                None => drop(window.insert(bytes.data().into(), weight)),
            }
        }
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        for rows in self.windows.advance(tick.watermark) {
            let rows = rows.iter().flat_map(|(row, count)| {
                std::iter::repeat_n(row.as_ref(), usize::try_from(*count).unwrap_or(0))
            });
            let columns = self.encoder.decode(rows)?;
            out.push(DeltaBatch::inserts(conform(&self.schema, columns)?));
        }
        Ok(self.windows.watermark())
    }

    fn counters(&self) -> Counters {
        Counters {
            late_rows: 0,
            state_rows: self.windows.values().map(|w| w.len() as u64).sum(),
            next_close: self.windows.next(),
        }
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        self.windows.save(saved, |rows, saved| {
            saved.keys(rows.keys().map(AsRef::as_ref));
            saved.numbers(rows.values().copied());
            Ok(())
        })
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.windows.load(saved, |saved| {
            let rows = saved.take_keys()?;
            Ok(rows.boxed().zip(saved.take_numbers()?).collect())
        })
    }
}
