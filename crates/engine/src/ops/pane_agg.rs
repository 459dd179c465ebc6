//! TUMBLE, HOP and CUMULATE: partial aggregates per pane, shared by all windows over the pane, merged when a window closes.

mod corrections;
mod sliding;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dataflow::{DeltaBatch, Error, Micros, Result, Watermark};
use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use plan::node::AggOutput;
use plan::window::{Pane, Span};
use plan::{AggSpec, Window, WindowColumn, WindowKind};

use self::corrections::Corrections;
use self::sliding::Sliding;
use crate::aggregates::{Aggregates, Arguments, HotTable, conform};
use crate::faults::{self, Fault};
use crate::operator::{Counters, Operator, Out, Tick};
use crate::state::saved::Saved;
use crate::window::{complete, times, timestamps, window_time_watermark};

/// Keys and aggregates of a window's rows.
type Results = (Vec<ArrayRef>, Vec<ArrayRef>);

/// Runs of a pane beyond which they are merged into one.
const MAX_RUNS: usize = 8;

/// Aggregation of aligned windows that gives each result when the window closes, and corrects it while late rows are allowed.
pub struct PaneAgg {
    window: Window,
    time: usize,
    aggregates: Aggregates,
    output: Vec<AggOutput>,
    schema: SchemaRef,
    /// By beginning.
    panes: BTreeMap<Micros, Partials>,
    /// Ends and beginnings of windows with rows that have not closed.
    open: BTreeSet<(Micros, Micros)>,
    /// What is merged of windows of many panes, where late rows do not correct them.
    sliding: Option<Sliding>,
    /// What late rows need that correct windows, where they do.
    corrections: Option<Corrections>,
    /// No row comes any more for a window that this closes.
    watermark: Watermark,
    late: u64,
}

/// Partial aggregates of one pane: a hot table and immutable runs.
pub(super) struct Partials {
    pub(super) hot: HotTable,
    runs: Vec<RecordBatch>,
}

impl Partials {
    /// Without rows.
    pub(super) fn new(aggregates: &Aggregates) -> Result<Self> {
        Ok(Self {
            hot: aggregates.table()?,
            runs: Vec::new(),
        })
    }

    /// Everything in one table, which is the hot one.
    pub(super) fn merged(&mut self, aggregates: &Aggregates) -> Result<&mut HotTable> {
        for run in std::mem::take(&mut self.runs) {
            self.hot.merge(&run, aggregates.key_count())?;
        }
        Ok(&mut self.hot)
    }

    /// Puts the runs; everything has been moved into them.
    pub(super) fn save(&self, saved: &mut Saved) -> Result<()> {
        debug_assert!(self.hot.is_empty(), "state is saved after it was flushed");
        saved.count(self.runs.len());
        self.runs.iter().for_each(|run| saved.rows(run));
        Ok(())
    }

    /// What [`Partials::save`] has put.
    pub(super) fn load(aggregates: &Aggregates, saved: &mut Saved) -> Result<Self> {
        let runs = (0..saved.take_count()?).map(|_| saved.take_rows());
        Ok(Self {
            runs: runs.collect::<Result<_>>()?,
            hot: aggregates.table()?,
        })
    }

    /// Moves the hot table into a run; merges runs when there are many.
    pub(super) fn flush(&mut self, aggregates: &Aggregates) -> Result<()> {
        self.runs.extend(self.hot.take_run(aggregates)?);
        if self.runs.len() > MAX_RUNS {
            for run in self.runs.drain(..) {
                self.hot.merge(&run, aggregates.key_count())?;
            }
            self.runs.extend(self.hot.take_run(aggregates)?);
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> usize {
        self.hot.len() + self.runs.iter().map(RecordBatch::num_rows).sum::<usize>()
    }
}

impl PaneAgg {
    /// An aligned window over a time column of the input, whose watermark is `lateness` behind: rows come out that much
    /// before they are final.
    pub fn new(
        (window, time): (Window, usize),
        spec: &AggSpec,
        lateness: Micros,
        aggregates: Aggregates,
        schema: SchemaRef,
    ) -> Result<Self> {
        let corrections = (lateness > 0)
            .then(|| Corrections::new(lateness, &aggregates))
            .transpose()?;
        Ok(Self {
            sliding: Sliding::of(&window).filter(|_| corrections.is_none()),
            window,
            time,
            aggregates,
            output: spec.output.clone(),
            schema,
            panes: BTreeMap::new(),
            open: BTreeSet::new(),
            corrections,
            watermark: Watermark::MIN,
            late: 0,
        })
    }

    /// A window that this closes gives its rows.
    fn closing(&self) -> Watermark {
        let lateness = self.corrections.as_ref().map_or(0, |c| c.lateness);
        self.watermark.shifted(lateness)
    }

    fn add(
        &mut self,
        pane: Micros,
        keys: &[ArrayRef],
        arguments: &Arguments,
        rows: usize,
    ) -> Result<()> {
        if !self.panes.contains_key(&pane) {
            self.panes.insert(pane, Partials::new(&self.aggregates)?);
            self.open_windows_of(pane);
        }
        self.note_late(pane, keys, rows)?;
        if let Some(sliding) = &mut self.sliding {
            sliding.touch(pane);
        }
        let pane = self
            .panes
            .get_mut(&pane)
            .ok_or_else(|| Error::internal("a pane was just made"))?;
        pane.hot.update(keys, arguments, rows)
    }

    fn open_windows_of(&mut self, pane: Micros) {
        let closing = self.closing();
        let windows = self.window.windows_of(pane);
        let open = windows.take_while(|(_, end)| !is_late(closing, *end));
        self.open.extend(open.map(|(start, end)| (end, start)));
    }

    /// Rows of the batch by the beginning of their pane, and the late ones.
    fn split(&mut self, at: &[Micros]) -> (Vec<(Micros, Vec<u32>)>, Vec<u32>) {
        let mut parts: Vec<(Micros, Vec<u32>)> = Vec::new();
        let mut late_rows = Vec::new();
        let mut pane: Option<Pane> = None;
        let mut late = false;
        let mut current = 0;
        for (row, at) in (0..).zip(at) {
            if pane.is_none_or(|p| *at < p.start || p.end <= *at) {
                let off = i64::from(faults::on(Fault::BorderOffByOne));
                let found = self.window.pane_of(*at - off);
                late = is_late(self.watermark, found.last_end);
                if !late {
                    let place = parts.iter().position(|(start, _)| *start == found.start);
                    current = place.unwrap_or(parts.len());
                    if place.is_none() {
                        parts.push((found.start, Vec::new()));
                    }
                }
                pane = Some(found);
            }
            if late {
                late_rows.push(row);
            } else {
                parts[current].1.push(row);
            }
        }
        self.late += late_rows.len() as u64;
        (parts, late_rows)
    }

    fn fire(&mut self, (start, end): Span, out: &mut Out) -> Result<()> {
        let results = match self.window.kind {
            // Late rows may still need the panes.
            _ if self.corrections.is_some() => self.merged(start, end)?.take_results()?,
            WindowKind::Tumble { .. } => self.results_of_pane(start)?,
            WindowKind::Cumulate { .. } => self.results_so_far(start, end)?,
            _ => self.slide((start, end))?,
        };
        let rows = self.rows_of((start, end), &results)?;
        if let Some(corrections) = &mut self.corrections {
            corrections.given.insert((end, start), rows.clone());
        }
        out.push(DeltaBatch::inserts(rows));
        Ok(())
    }

    /// Output rows of a window.
    fn rows_of(&self, span: Span, (keys, results): &Results) -> Result<RecordBatch> {
        let rows = keys.first().or(results.first()).map_or(1, |a| a.len());
        let is_final = self.watermark.closes(span.1);
        assemble(
            &self.schema,
            &self.output,
            keys,
            results,
            |column, data_type| match column {
                Some(column) => timestamps(vec![column.value(span); rows], data_type),
                None => complete(rows, is_final),
            },
        )
    }

    /// All panes of a window in one table; the panes keep what they have.
    fn merged(&mut self, start: Micros, end: Micros) -> Result<HotTable> {
        let mut merged = self.aggregates.table()?;
        for (_, pane) in self.panes.range_mut(start..end) {
            pane.flush(&self.aggregates)?;
            for run in &pane.runs {
                let times = 1 + usize::from(faults::on(Fault::PaneMergedTwice));
                for _ in 0..times {
                    merged.merge(run, self.aggregates.key_count())?;
                }
            }
        }
        Ok(merged)
    }

    /// A window that is one pane, which no other window needs.
    fn results_of_pane(&mut self, start: Micros) -> Result<Results> {
        let pane = self.panes.get_mut(&start);
        let pane = pane.ok_or_else(|| Error::internal("a window without rows is not open"))?;
        pane.merged(&self.aggregates)?.take_results()
    }

    /// The panes of a CUMULATE up to `end` become one: all later windows of the same beginning hold them too.
    fn results_so_far(&mut self, start: Micros, end: Micros) -> Result<Results> {
        let run = self.merged(start, end)?.take_run(&self.aggregates)?;
        let within: Vec<Micros> = self.panes.range(start..end).map(|(at, _)| *at).collect();
        for at in within {
            self.panes.remove(&at);
        }
        let mut results = self.aggregates.table()?;
        if let Some(run) = run {
            results.merge(&run, self.aggregates.key_count())?;
            let hot = self.aggregates.table()?;
            let runs = vec![run];
            self.panes.insert(start, Partials { hot, runs });
        }
        results.take_results()
    }

    /// Drops panes whose last window has closed.
    fn drop_closed(&mut self) {
        while let Some((start, _)) = self.panes.first_key_value() {
            if !self.watermark.closes(self.window.pane_of(*start).last_end) {
                break;
            }
            self.panes.pop_first();
        }
        if let (true, Some(sliding)) = (self.panes.is_empty(), &mut self.sliding) {
            sliding.forget();
        }
    }
}

/// Puts keys, results and window columns in the order of the output's schema; `window` makes the columns of the window, and
/// `window_complete` for `None`.
pub fn assemble(
    schema: &SchemaRef,
    output: &[AggOutput],
    keys: &[ArrayRef],
    results: &[ArrayRef],
    window: impl Fn(Option<WindowColumn>, &DataType) -> ArrayRef,
) -> Result<RecordBatch> {
    let columns = output
        .iter()
        .zip(schema.fields())
        .map(|(from, field)| match from {
            AggOutput::Key(i) => Arc::clone(&keys[*i]),
            AggOutput::Agg(i) => Arc::clone(&results[*i]),
            AggOutput::Window(column) => window(Some(*column), field.data_type()),
            AggOutput::Complete => window(None, field.data_type()),
        })
        .collect();
    conform(schema, columns)
}

/// Whether rows of windows that end by `end` come too late.
fn is_late(watermark: Watermark, end: Micros) -> bool {
    watermark.closes(end) && !faults::on(Fault::LateRowKept)
}

impl Operator for PaneAgg {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        let column = Arc::clone(batch.rows.column(self.time));
        let at = times(&column)?.values();
        let (parts, late) = self.split(at);
        out.set_rows_aside(&batch.rows, at, late, self.watermark)?;
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
        let closing = self.closing();
        self.correct(out)?;
        while let Some((end, start)) = self.open.first().copied() {
            if !closing.closes(end) {
                break;
            }
            self.open.pop_first();
            self.fire((start, end), out)?;
        }
        self.finish(out)?;
        self.drop_closed();
        Ok(window_time_watermark(&self.window, self.watermark))
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(mut sliding) = self.sliding.take() {
            self.absorb_touched(&mut sliding)?;
            // What can be made of the panes is not saved, and must be the same whether it was or not.
            sliding.forget();
            self.sliding = Some(sliding);
        }
        self.panes
            .values_mut()
            .try_for_each(|pane| pane.flush(&self.aggregates))
    }

    fn counters(&self) -> Counters {
        Counters {
            late_rows: self.late,
            state_rows: self.panes.values().map(|p| p.rows() as u64).sum::<u64>()
                + self.corrections.as_ref().map_or(0, Corrections::rows),
            next_close: self.open.first().map(|(end, _)| *end),
        }
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        saved.number(self.watermark.0);
        saved.counter(self.late);
        saved.numbers(self.open.iter().flat_map(|(end, start)| [*end, *start]));
        saved.numbers(self.panes.keys().copied());
        self.panes.values().try_for_each(|pane| pane.save(saved))?;
        if let Some(sliding) = &self.sliding {
            sliding.save(saved);
        }
        match &self.corrections {
            Some(corrections) => corrections.save(saved),
            None => Ok(()),
        }
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = saved.take_watermark()?;
        self.late = saved.take_counter()?;
        self.open = saved.take_pairs()?.into_iter().collect();
        if faults::on(Fault::OpenWindowsForgotten) {
            self.open.clear();
        }
        for pane in saved.take_numbers()? {
            let partials = Partials::load(&self.aggregates, saved)?;
            self.panes.insert(pane, partials);
        }
        if let Some(sliding) = &mut self.sliding {
            sliding.load(saved)?;
        }
        match &mut self.corrections {
            Some(corrections) => corrections.load(saved),
            None => Ok(()),
        }
    }
}
