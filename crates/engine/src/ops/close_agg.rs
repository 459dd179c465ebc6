//! GROUP BY the window that rows carry: a group is final when the watermark has passed its window.

use dataflow::batch::Weights;
use dataflow::{DeltaBatch, Error, Result, Watermark};
use datafusion::arrow::array::{ArrayRef, UInt32Array, new_empty_array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::SchemaRef;
use plan::AggSpec;
use plan::node::AggOutput;

use crate::aggregates::Aggregates;
use crate::operator::{Counters, Operator, Out, Tick};
use crate::ops::pane_agg::{Partials, assemble};
use crate::state::saved::Saved;
use crate::waiting::Waiting;
use crate::window::times;

/// Aggregation of rows that say which window they belong to.
pub struct CloseAgg {
    aggregates: Aggregates,
    output: Vec<AggOutput>,
    schema: SchemaRef,
    /// The key of event time; it follows the input's watermark.
    time: usize,
    /// Groups by that key.
    windows: Waiting<Partials>,
    late: u64,
}

impl CloseAgg {
    /// Groups go when the watermark reaches key `time`.
    pub fn new(spec: &AggSpec, time: usize, aggregates: Aggregates, schema: SchemaRef) -> Self {
        Self {
            output: spec.output.clone(),
            aggregates,
            schema,
            time,
            windows: Waiting::default(),
            late: 0,
        }
    }

    fn give(&self, mut groups: Partials, out: &mut Out) -> Result<()> {
        let (keys, results) = groups.merged(&self.aggregates)?.take_results()?;
        // The columns of a window are ordinary keys here.
        let rows = assemble(&self.schema, &self.output, &keys, &results, |_, of| {
            new_empty_array(of)
        })?;
        out.push(DeltaBatch::inserts(rows));
        Ok(())
    }
}

impl Operator for CloseAgg {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        if batch.weights != Weights::Ones {
            return Err(Error::internal(
                "an aggregation got rows that are taken back",
            ));
        }
        let keys = self.aggregates.eval_keys(&batch.rows)?;
        let arguments = self.aggregates.eval_arguments(&batch.rows, None)?;
        let at = times(&keys[self.time])?.values();
        let (parts, late) = self.windows.split(at);
        self.late += late.len() as u64;
        out.set_rows_aside(&batch.rows, at, late, self.windows.watermark())?;
        for (at, rows) in parts {
            let groups = &mut self.windows.at(at, || Partials::new(&self.aggregates))?.hot;
            if rows.len() == batch.len() {
                groups.update(&keys, &arguments, rows.len())?;
                continue;
            }
            let count = rows.len();
            let indices = UInt32Array::from(rows);
            let of_window = |key: &ArrayRef| take(key, &indices, None).map_err(Error::from);
            let keys = keys.iter().map(of_window).collect::<Result<Vec<_>>>()?;
            groups.update(&keys, &arguments.take(&indices)?, count)?;
        }
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        for groups in self.windows.advance(tick.watermark) {
            self.give(groups, out)?;
        }
        Ok(self.windows.watermark())
    }

    fn counters(&self) -> Counters {
        Counters {
            late_rows: self.late,
            state_rows: self.windows.values().map(|w| w.rows() as u64).sum(),
            next_close: self.windows.next(),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let aggregates = &self.aggregates;
        let mut windows = self.windows.iter_mut();
        windows.try_for_each(|(_, groups)| groups.flush(aggregates))
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        saved.counter(self.late);
        self.windows.save(saved, Partials::save)
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.late = saved.take_counter()?;
        let aggregates = &self.aggregates;
        self.windows
            .load(saved, |saved| Partials::load(aggregates, saved))
    }
}
