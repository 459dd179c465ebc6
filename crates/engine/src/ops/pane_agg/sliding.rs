//! Windows of many panes that slide: each pane is merged a few times and not once for each of its windows.
//!
//! The two stacks of sliding-window aggregation (Tangwongsan, Hirzel, Schneider, "General Incremental Sliding-Window Aggregation",
//! VLDB 2015), over whole tables of groups: for the older panes, all suffixes up to a boundary are kept merged; the newer
//! panes are one running merge. A window is a suffix and that merge. When windows have passed the boundary, the suffixes are
//! made anew. Where groups come in few panes only, suffixes would be much larger than the panes, and a plain merge costs
//! little more than its results: then the panes are merged for each window.

use std::collections::{BTreeMap, BTreeSet};

use dataflow::{Error, Micros, Result};
use datafusion::arrow::array::RecordBatch;
use plan::window::Span;
use plan::{Window, WindowKind};

use super::{PaneAgg, Results};
use crate::aggregates::HotTable;
use crate::state::saved::Saved;

/// Windows of fewer slides than this are merged pane by pane.
const FEW: Micros = 8;
/// Suffixes may have so many times the rows of the panes.
const MOST_ROWS: usize = 4;

/// Merged panes.
#[derive(Default)]
pub(super) struct Sliding {
    /// By the beginning of a pane before the boundary: it and all that follow up to there.
    suffixes: BTreeMap<Micros, RecordBatch>,
    boundary: Micros,
    /// The panes from the boundary to `newest`.
    newer: Option<RecordBatch>,
    newest: Micros,
    /// Panes before `newest` that rows have come to since.
    touched: BTreeSet<Micros>,
    /// Windows that begin before this are merged pane by pane.
    plain_until: Micros,
}

impl Sliding {
    /// For windows of many slides.
    pub(super) fn of(window: &Window) -> Option<Self> {
        match window.kind {
            WindowKind::Hop { slide, size } if size / slide > FEW => Some(Self {
                boundary: Micros::MIN,
                newest: Micros::MIN,
                plain_until: Micros::MIN,
                ..Self::default()
            }),
            _ => None,
        }
    }

    /// Rows come to a pane.
    pub(super) fn touch(&mut self, pane: Micros) {
        if pane < self.newest {
            self.touched.insert(pane);
        }
    }

    /// Puts what cannot be made of the panes again; everything else has been forgotten.
    pub(super) fn save(&self, saved: &mut Saved) {
        saved.number(self.plain_until);
    }

    /// Takes what [`Sliding::save`] has put.
    pub(super) fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.plain_until = saved.take_number()?;
        Ok(())
    }

    /// Frees what is merged; it can be made of the panes again.
    pub(super) fn forget(&mut self) {
        self.suffixes.clear();
        self.newer = None;
        self.touched.clear();
        (self.boundary, self.newest) = (Micros::MIN, Micros::MIN);
    }
}

impl PaneAgg {
    /// The results of a window; windows are asked for in the order of their ends.
    pub(super) fn slide(&mut self, span: Span) -> Result<Results> {
        let Some(mut sliding) = self.sliding.take() else {
            return self.merged(span.0, span.1)?.take_results();
        };
        let results = self.slide_over(&mut sliding, span);
        self.sliding = Some(sliding);
        results?.take_results()
    }

    fn slide_over(&mut self, sliding: &mut Sliding, (start, end): Span) -> Result<HotTable> {
        if start < sliding.plain_until {
            return self.merged(start, end);
        }
        self.absorb_touched(sliding)?;
        if start < sliding.boundary {
            self.extend(sliding, end)?;
        } else if !self.turn(sliding, (start, end))? {
            sliding.forget();
            sliding.plain_until = end;
            return self.merged(start, end);
        }
        sliding.suffixes = sliding.suffixes.split_off(&start);
        let older = sliding.suffixes.first_key_value().map(|(_, rows)| rows);
        let mut merged = self.aggregates.table()?;
        for rows in older.into_iter().chain(&sliding.newer) {
            merged.merge(rows, self.aggregates.key_count())?;
        }
        Ok(merged)
    }

    /// Takes the panes up to `end` into the running merge.
    fn extend(&mut self, sliding: &mut Sliding, end: Micros) -> Result<()> {
        let mut newer = self.merged(sliding.newest, end)?;
        if let Some(rows) = sliding.newer.take() {
            newer.merge(&rows, self.aggregates.key_count())?;
        }
        sliding.newer = newer.take_run(&self.aggregates)?;
        sliding.newest = end;
        Ok(())
    }

    /// Makes the suffixes of a window's panes; says whether they are small enough to keep.
    fn turn(&mut self, sliding: &mut Sliding, (start, end): Span) -> Result<bool> {
        sliding.forget();
        let panes: Vec<Micros> = self.panes.range(start..end).map(|(at, _)| *at).collect();
        let rows: usize = self.panes.range(start..end).map(|(_, p)| p.rows()).sum();
        let mut kept = 0;
        let mut suffix: Option<RecordBatch> = None;
        for pane in panes.into_iter().rev() {
            let mut merged = self.merged(pane, pane + 1)?;
            if let Some(later) = &suffix {
                merged.merge(later, self.aggregates.key_count())?;
            }
            suffix = merged.take_run(&self.aggregates)?;
            if let Some(rows) = &suffix {
                kept += rows.num_rows();
                sliding.suffixes.insert(pane, rows.clone());
            }
            if kept > rows.saturating_mul(MOST_ROWS) {
                return Ok(false);
            }
        }
        (sliding.boundary, sliding.newest) = (end, end);
        Ok(true)
    }

    /// Takes rows that came to merged panes into what they are merged in.
    pub(super) fn absorb_touched(&mut self, sliding: &mut Sliding) -> Result<()> {
        for at in std::mem::take(&mut sliding.touched) {
            let Some(pane) = self.panes.get_mut(&at) else {
                continue;
            };
            let Some(rows) = pane.hot.take_run(&self.aggregates)? else {
                continue;
            };
            pane.runs.push(rows.clone());
            if at >= sliding.boundary {
                let newer = sliding.newer.take();
                sliding.newer = Some(self.both(newer.as_ref(), &rows)?);
                continue;
            }
            let before: Vec<Micros> = sliding.suffixes.range(..=at).map(|(at, _)| *at).collect();
            if before.last() != Some(&at) {
                // The pane was empty and had no suffix of its own.
                let later = sliding.suffixes.range(at..).next();
                let suffix = self.both(later.map(|(_, rows)| rows), &rows)?;
                sliding.suffixes.insert(at, suffix);
            }
            for at in before {
                let suffix = self.both(sliding.suffixes.get(&at), &rows)?;
                sliding.suffixes.insert(at, suffix);
            }
        }
        Ok(())
    }

    /// Two runs as one.
    fn both(&self, first: Option<&RecordBatch>, second: &RecordBatch) -> Result<RecordBatch> {
        let mut merged = self.aggregates.table()?;
        for rows in first.into_iter().chain([second]) {
            merged.merge(rows, self.aggregates.key_count())?;
        }
        let both = merged.take_run(&self.aggregates)?;
        both.ok_or_else(|| Error::internal("runs have rows"))
    }
}
