//! Adds `window_start, window_end, window_time`; a row appears once for each of its windows that is still open.

use std::sync::Arc;

use dataflow::batch::Weights;
use dataflow::{DeltaBatch, Micros, Result, Watermark};
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use plan::window::Span;
use plan::{Window, WindowColumn};

use crate::operator::{Counters, Operator, Out, Tick};
use crate::state::saved::Saved;
use crate::window::{times, timestamps};

/// Assigns aligned windows.
pub struct WindowAssign {
    window: Window,
    time: usize,
    schema: SchemaRef,
    watermark: Watermark,
    late: u64,
}

impl WindowAssign {
    /// An aligned window over the time column `time`; `schema` is the output's.
    pub fn new(window: Window, time: usize, schema: SchemaRef) -> Self {
        Self {
            window,
            time,
            schema,
            watermark: Watermark::MIN,
            late: 0,
        }
    }

    fn time_type(&self) -> &DataType {
        self.schema
            .field(self.schema.fields().len() - 1)
            .data_type()
    }
}

impl Operator for WindowAssign {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        let mut rows: Vec<u32> = Vec::with_capacity(batch.len());
        let mut spans: Vec<Span> = Vec::with_capacity(batch.len());
        let mut late = Vec::new();
        let at = times(batch.rows.column(self.time))?.values();
        for (row, at) in (0..).zip(at) {
            let before = spans.len();
            let open = self.window.windows_of(*at);
            spans.extend(open.take_while(|(_, end)| !self.watermark.closes(*end)));
            rows.resize(spans.len(), row);
            if spans.len() == before {
                late.push(row);
            }
        }
        self.late += late.len() as u64;
        out.set_rows_aside(&batch.rows, at, late, self.watermark)?;
        if rows.is_empty() {
            return Ok(());
        }
        let weights = match &batch.weights {
            Weights::Ones => Weights::Ones,
            Weights::Each(each) => Weights::Each(rows.iter().map(|r| each[*r as usize]).collect()),
        };
        let mut columns = take_record_batch(&batch.rows, &UInt32Array::from(rows))?
            .columns()
            .to_vec();
        for column in WindowColumn::ALL {
            let values: Vec<Micros> = spans.iter().map(|s| column.value(*s)).collect();
            columns.push(timestamps(values, self.time_type()));
        }
        out.push(DeltaBatch {
            rows: RecordBatch::try_new(Arc::clone(&self.schema), columns)?,
            weights,
        });
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, _out: &mut Out) -> Result<Watermark> {
        self.watermark = self.watermark.max(tick.watermark);
        Ok(self.watermark)
    }

    fn counters(&self) -> Counters {
        Counters {
            late_rows: self.late,
            ..Counters::default()
        }
    }

    fn save(&self, saved: &mut Saved) -> Result<()> {
        saved.number(self.watermark.0);
        saved.counter(self.late);
        Ok(())
    }

    fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.watermark = saved.take_watermark()?;
        self.late = saved.take_counter()?;
        Ok(())
    }
}
