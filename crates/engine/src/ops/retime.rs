//! Passes rows under a watermark that is moved: behind, while late rows are allowed; or to that of another column.

use dataflow::{DeltaBatch, Micros, Result, Watermark};

use crate::operator::{Operator, Out, Tick};
use crate::state::saved::Saved;

/// Moves the watermark.
pub struct Retime {
    /// By so many microseconds.
    pub by: Micros,
}

impl Operator for Retime {
    fn on_batch(&mut self, _port: usize, batch: DeltaBatch, out: &mut Out) -> Result<()> {
        out.push(batch);
        Ok(())
    }

    fn on_tick(&mut self, tick: Tick, _out: &mut Out) -> Result<Watermark> {
        Ok(tick.watermark.shifted(self.by))
    }

    fn save(&self, _saved: &mut Saved) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _saved: &mut Saved) -> Result<()> {
        Ok(())
    }
}
