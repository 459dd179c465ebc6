//! TUMBLE and HOP: partial aggregates per pane, shared by all windows over the pane, merged when a window closes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataflow::time::{MILLI, floor_to};
use dataflow::{DeltaBatch, Error, Micros, Result, Watermark};
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use plan::node::AggOutput;
use plan::{AggSpec, Window, WindowColumn};

use crate::aggregates::{Aggregates, Arguments, HotTable, conform};
use crate::operator::{Counters, Operator, Out, Tick};
use crate::window::{gcd, times, timestamps};

/// Runs of a pane beyond which they are merged into one.
const MAX_RUNS: usize = 8;

/// Aggregation of aligned windows that gives each result once, when the window closes.
pub struct PaneAgg {
    window: Window,
    slide: Micros,
    size: Micros,
    pane: Micros,
    time: usize,
    aggregates: Aggregates,
    output: Vec<AggOutput>,
    schema: SchemaRef,
    /// By beginning.
    panes: BTreeMap<Micros, Pane>,
    /// Beginnings of windows with rows that have not closed.
    open: BTreeSet<Micros>,
    watermark: Watermark,
    late: u64,
}

/// Partial aggregates of one pane: a hot table and immutable runs.
struct Pane {
    hot: HotTable,
    runs: Vec<RecordBatch>,
}

impl Pane {
    /// Moves the hot table into a run; merges runs when there are many.
    fn flush(&mut self, aggregates: &Aggregates) -> Result<()> {
        self.runs.extend(self.hot.take_run(aggregates)?);
        if self.runs.len() > MAX_RUNS {
            for run in self.runs.drain(..) {
                self.hot.merge(&run, aggregates.key_count())?;
            }
            self.runs.extend(self.hot.take_run(aggregates)?);
        }
        Ok(())
    }

    fn rows(&self) -> usize {
        self.hot.len() + self.runs.iter().map(RecordBatch::num_rows).sum::<usize>()
    }
}

impl PaneAgg {
    /// Over the time column `time` of the input; `slide` and `size` are those of `window`.
    pub fn new(
        window: Window,
        (slide, size): (Micros, Micros),
        time: usize,
        spec: &AggSpec,
        aggregates: Aggregates,
        schema: SchemaRef,
    ) -> Self {
        Self {
            window,
            slide,
            size,
            pane: gcd(slide, size),
            time,
            aggregates,
            output: spec.output.clone(),
            schema,
            panes: BTreeMap::new(),
            open: BTreeSet::new(),
            watermark: Watermark::MIN,
            late: 0,
        }
    }

    /// Whether a row at `at` is late: its last window has closed.
    fn is_late(&self, at: Micros) -> bool {
        self.watermark
            .closes(self.window.last_start(at, self.slide) + self.size)
    }

    fn pane_of(&self, at: Micros) -> Micros {
        floor_to(at, self.pane, self.window.offset)
    }

    fn add(
        &mut self,
        pane: Micros,
        keys: &[ArrayRef],
        arguments: &Arguments,
        rows: usize,
    ) -> Result<()> {
        if !self.panes.contains_key(&pane) {
            self.panes.insert(
                pane,
                Pane {
                    hot: self.aggregates.table()?,
                    runs: Vec::new(),
                },
            );
            self.open_windows_of(pane);
        }
        let pane = self
            .panes
            .get_mut(&pane)
            .ok_or_else(|| Error::internal("a pane was just made"))?;
        pane.hot.update(keys, arguments, rows)
    }

    fn open_windows_of(&mut self, pane: Micros) {
        let mut start = self.window.last_start(pane, self.slide);
        while start + self.size > pane {
            if self.watermark.closes(start + self.size) {
                break;
            }
            self.open.insert(start);
            start -= self.slide;
        }
    }

    /// Rows of the batch by pane, without the late ones.
    fn split(&mut self, at: &[Micros]) -> Vec<(Micros, Vec<u32>)> {
        let mut parts: Vec<(Micros, Vec<u32>)> = Vec::new();
        let mut current = 0;
        for (row, at) in (0..).zip(at) {
            if self.is_late(*at) {
                self.late += 1;
                continue;
            }
            let pane = self.pane_of(*at);
            if parts.get(current).is_none_or(|(p, _)| *p != pane) {
                current = match parts.iter().position(|(p, _)| *p == pane) {
                    Some(found) => found,
                    None => {
                        parts.push((pane, Vec::new()));
                        parts.len() - 1
                    }
                };
            }
            parts[current].1.push(row);
        }
        parts
    }

    fn fire(&mut self, start: Micros, out: &mut Out) -> Result<()> {
        let end = start + self.size;
        let single = self.pane == self.size;
        let (keys, results) = match self.panes.get_mut(&start) {
            Some(pane) if single && pane.runs.is_empty() => pane.hot.take_results()?,
            _ => {
                let mut merged = self.aggregates.table()?;
                for (_, pane) in self.panes.range_mut(start..end) {
                    pane.flush(&self.aggregates)?;
                    for run in &pane.runs {
                        merged.merge(run, self.aggregates.key_count())?;
                    }
                }
                merged.take_results()?
            }
        };
        let rows = keys.first().or(results.first()).map_or(1, |a| a.len());
        let batch = assemble(
            &self.schema,
            &self.output,
            &keys,
            &results,
            |column, data_type| timestamps(vec![column.value(start, end); rows], data_type),
        )?;
        out.push(DeltaBatch::inserts(batch));
        Ok(())
    }

    /// Drops panes whose last window has closed.
    fn drop_closed(&mut self) {
        while let Some((start, _)) = self.panes.first_key_value() {
            if !self.is_late(*start) {
                break;
            }
            self.panes.pop_first();
        }
    }

    /// The watermark of `window_time`: just below that of the next window that can close.
    fn output_watermark(&self) -> Watermark {
        match self.watermark {
            Watermark::MIN | Watermark::MAX => self.watermark,
            Watermark(at) => {
                // The first aligned end at or after at + 2.
                let origin = self.window.offset.saturating_add(self.size);
                let next =
                    floor_to(at.saturating_add(1), self.slide, origin).saturating_add(self.slide);
                Watermark(next.saturating_sub(MILLI + 1))
            }
        }
    }
}

/// Puts keys, results and window columns in the order of the output's schema.
pub fn assemble(
    schema: &SchemaRef,
    output: &[AggOutput],
    keys: &[ArrayRef],
    results: &[ArrayRef],
    window: impl Fn(WindowColumn, &DataType) -> ArrayRef,
) -> Result<RecordBatch> {
    let columns = output
        .iter()
        .zip(schema.fields())
        .map(|(from, field)| match from {
            AggOutput::Key(i) => Arc::clone(&keys[*i]),
            AggOutput::Agg(i) => Arc::clone(&results[*i]),
            AggOutput::Window(column) => window(*column, field.data_type()),
        })
        .collect();
    conform(schema, columns)
}

impl Operator for PaneAgg {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, _out: &mut Out) -> Result<()> {
        let column = Arc::clone(batch.rows.column(self.time));
        let parts = self.split(times(&column)?.values());
        if parts.is_empty() {
            return Ok(());
        }
        let keys = self.aggregates.eval_keys(&batch.rows)?;
        let arguments = self.aggregates.eval_arguments(&batch.rows, None)?;
        if let [(pane, rows)] = parts.as_slice()
            && rows.len() == batch.len()
        {
            return self.add(*pane, &keys, &arguments, rows.len());
        }
        for (pane, rows) in parts {
            let count = rows.len();
            let indices = UInt32Array::from(rows);
            let keys = keys
                .iter()
                .map(|k| take(k, &indices, None).map_err(Error::from))
                .collect::<Result<Vec<_>>>()?;
            self.add(pane, &keys, &arguments.take(&indices)?, count)?;
        }
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        self.watermark = self.watermark.max(tick.watermark);
        while let Some(start) = self.open.first().copied() {
            if !self.watermark.closes(start + self.size) {
                break;
            }
            self.open.pop_first();
            self.fire(start, out)?;
        }
        self.drop_closed();
        Ok(self.output_watermark())
    }

    fn flush(&mut self) -> Result<()> {
        self.panes
            .values_mut()
            .try_for_each(|pane| pane.flush(&self.aggregates))
    }

    fn counters(&self) -> Counters {
        Counters {
            late_rows: self.late,
            state_rows: self.panes.values().map(|p| p.rows() as u64).sum(),
            next_close: self.open.first().map(|start| start + self.size),
        }
    }
}
