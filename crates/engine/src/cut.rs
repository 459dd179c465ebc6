//! The cut: what a tick holds, written down before anything of the tick is seen outside.

use std::collections::VecDeque;
use std::sync::Arc;

use dataflow::connector::Position;
use dataflow::{Micros, Result, Watermark};
use parking_lot::Mutex;

/// One source's part of a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCut {
    /// The source.
    pub source: String,
    /// Its watermark after the tick.
    pub watermark: Watermark,
    /// Per partition: offset of the next record, idle.
    pub partitions: Vec<(Position, bool)>,
}

/// A tick's border. Replaying the same cuts over the same topics gives the same versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The tick, which is also the version of all views.
    pub tick: u64,
    /// The wall clock when it began: the `PROCTIME()` of its rows.
    pub began: Micros,
    /// The wall clock when it ended.
    pub wall: Micros,
    /// Sources that moved.
    pub sources: Vec<SourceCut>,
}

/// Where cuts are written before they are published.
pub trait CutLog: Send {
    /// Writes a cut. After it returns, the tick may be seen.
    fn append(&mut self, cut: &Cut) -> Result<()>;
}

/// Keeps the newest cuts in memory, for tests and for processes without a data directory.
#[derive(Clone, Default)]
pub struct MemoryCuts(Arc<Mutex<VecDeque<Cut>>>);

/// Cuts that [`MemoryCuts`] keeps.
const KEPT_CUTS: usize = 1024;

impl MemoryCuts {
    /// The cuts kept, oldest first.
    pub fn cuts(&self) -> Vec<Cut> {
        self.0.lock().iter().cloned().collect()
    }
}

impl CutLog for MemoryCuts {
    fn append(&mut self, cut: &Cut) -> Result<()> {
        let mut cuts = self.0.lock();
        if cuts.len() == KEPT_CUTS {
            cuts.pop_front();
        }
        cuts.push_back(cut.clone());
        Ok(())
    }
}
