//! What an operator is: a synchronous piece of state that takes batches and ticks and gives batches.

use dataflow::{DeltaBatch, Micros, Result, Watermark};

/// What an operator gives.
#[derive(Debug, Default)]
pub struct Out {
    batches: Vec<DeltaBatch>,
}

impl Out {
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

    /// Whether something waits for time to pass, so that ticks are needed without new rows.
    fn waits(&self) -> bool {
        false
    }

    /// Its counters.
    fn counters(&self) -> Counters {
        Counters::default()
    }
}
