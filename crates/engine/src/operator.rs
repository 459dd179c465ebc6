//! What an operator is: a synchronous piece of state that takes batches and ticks and gives batches.

use dataflow::{DeltaBatch, Micros, Result, Watermark};
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;

use crate::state::saved::Saved;

/// Rows that came when every window they belong to had closed.
#[derive(Clone, Debug)]
pub struct Late {
    /// The place where they came into the pipeline.
    pub leaf: usize,
    /// The rows as they reached the window.
    pub rows: RecordBatch,
    /// Their event times.
    pub times: Vec<Micros>,
    /// The watermark that they missed.
    pub watermark: Watermark,
}

/// What an operator gives.
#[derive(Debug, Default)]
pub struct Out {
    batches: Vec<DeltaBatch>,
    late: Vec<Late>,
    /// The leaf that the rows at hand came in by, when late rows of it are kept.
    kept_leaf: Option<usize>,
}

impl Out {
    /// For rows that came in by a leaf whose late rows are kept, or not.
    pub fn of_leaf(kept_leaf: Option<usize>) -> Self {
        Self {
            kept_leaf,
            ..Self::default()
        }
    }

    /// The leaf that late rows are to be told of, if they are.
    pub fn kept_leaf(&self) -> Option<usize> {
        self.kept_leaf
    }

    /// Sets late rows aside.
    pub fn set_aside(&mut self, late: Late) {
        self.late.push(late);
    }

    /// Sets rows `rows` of a batch, whose event times are `times`, aside if that is wanted.
    pub fn set_rows_aside(
        &mut self,
        batch: &RecordBatch,
        times: &[Micros],
        rows: Vec<u32>,
        watermark: Watermark,
    ) -> Result<()> {
        let Some(leaf) = self.kept_leaf.filter(|_| !rows.is_empty()) else {
            return Ok(());
        };
        self.late.push(Late {
            leaf,
            times: rows.iter().map(|row| times[*row as usize]).collect(),
            rows: take_record_batch(batch, &UInt32Array::from(rows))?,
            watermark,
        });
        Ok(())
    }

    /// Takes what was set aside.
    pub fn take_late(&mut self) -> Vec<Late> {
        std::mem::take(&mut self.late)
    }

    /// Gives a batch; empty ones are dropped.
    pub fn push(&mut self, batch: DeltaBatch) {
        if !batch.is_empty() {
            self.batches.push(batch);
        }
    }

    /// Takes what was given.
    pub fn take(&mut self) -> Vec<DeltaBatch> {
        std::mem::take(&mut self.batches)
    }
}

/// A tick as an operator sees it: all rows up to here have been handed over.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// The wall clock that the cut recorded.
    pub wall: Micros,
    /// The least watermark over the inputs.
    pub watermark: Watermark,
    /// The input has ended: everything that waits comes out.
    pub last: bool,
    /// Changes that are gathered come out now (rows were inserted by hand).
    pub flush: bool,
}

/// Counters of an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows dropped because every window they belong to had closed.
    pub late_rows: u64,
    /// Groups, sessions or rows kept.
    pub state_rows: u64,
    /// End of the next window to close, when the operator knows it.
    pub next_close: Option<Micros>,
}

impl Counters {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            late_rows: self.late_rows + other.late_rows,
            state_rows: self.state_rows + other.state_rows,
            next_close: match (self.next_close, other.next_close) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        }
    }
}

/// An operator. It never waits, never reads a clock and never fails for a reason other than its input.
pub trait Operator: Send {
    /// Takes a batch of input `port`.
    fn on_batch(&mut self, port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()>;

    /// Ends a tick and gives the watermark of the output.
    fn on_tick(&mut self, tick: Tick, out: &mut Out) -> Result<Watermark> {
        let _ = out;
        Ok(tick.watermark)
    }

    /// Moves what is hot into immutable runs; called between ticks. Operators without partial aggregates keep nothing
    /// hot and do nothing.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Puts all that it holds into `saved`; called after [`Operator::flush`], between ticks.
    fn save(&self, saved: &mut Saved) -> Result<()>;

    /// Takes what [`Operator::save`] has put; called before anything came.
    fn load(&mut self, saved: &mut Saved) -> Result<()>;

    /// Whether something waits for time to pass, so that ticks are needed without new rows.
    fn waits(&self) -> bool {
        false
    }

    /// Its counters.
    fn counters(&self) -> Counters {
        Counters::default()
    }
}
