//! Rows that no session has yet.

use dataflow::{Micros, Result};
use datafusion::arrow::array::{BooleanArray, RecordBatch};
use datafusion::arrow::row::Rows;

use super::cut::by_time;
use super::{LATE, NOT_NOW, SessionAgg};
use crate::aggregates::Arguments;
use crate::expr::{Compiled, evaluate_filter, without_nulls};
use crate::window::times;

/// A batch that waits for its tick.
pub(super) struct Pending {
    pub(super) keys: Option<Rows>,
    pub(super) arguments: Arguments,
    pub(super) at: Vec<Micros>,
    pub(super) keep: Option<BooleanArray>,
    /// Rows that end their session.
    pub(super) ends: Option<BooleanArray>,
    /// Where rows are taken in order: all of them by time, and how many have been taken.
    pub(super) order: Option<(Vec<u32>, usize)>,
    /// Where the rows came in, when late ones are kept.
    pub(super) late_of: Option<usize>,
    /// The rows as they came.
    pub(super) rows: RecordBatch,
}

impl Pending {
    /// What a row is that no session takes in this tick.
    pub(super) fn outside(&self) -> usize {
        if self.order.is_some() { NOT_NOW } else { LATE }
    }

    /// Rows that no session has yet.
    pub(super) fn waiting(&self) -> usize {
        self.order
            .as_ref()
            .map_or(0, |(order, taken)| order.len() - taken)
    }

    pub(super) fn waits(&self) -> bool {
        self.waiting() > 0
    }
}

impl SessionAgg {
    /// Rows that wait for their tick, or for their time.
    pub(super) fn pend(&mut self, rows: RecordBatch, kept_leaf: Option<usize>) -> Result<Pending> {
        let mask = |condition: &Option<Compiled>| -> Result<Option<BooleanArray>> {
            let mask = condition.as_ref().map(|c| evaluate_filter(c, &rows));
            Ok(mask.transpose()?.map(without_nulls))
        };
        let (keep, ends) = (mask(&self.keep)?, mask(&self.ends.when)?);
        let keys = self.aggregates.eval_keys(&rows)?;
        let arguments = self.aggregates.eval_arguments(&rows, keep.as_ref())?;
        let at = times(rows.column(self.time))?.values().to_vec();
        let ordered = self.ends.is_ordered();
        Ok(Pending {
            keys: self.encoder.encode(&keys)?,
            arguments,
            order: ordered.then(|| (by_time(&at), 0)),
            at,
            keep,
            ends,
            late_of: kept_leaf.filter(|_| !ordered),
            rows,
        })
    }
}
