//! Runs a case and compares: rows, sums of changes, counters, conservation, and the same again on replay.

use std::sync::Arc;

use dataflow::time::MILLI;
use datafusion::execution::SessionState;
use tokio::runtime::Runtime;

use super::batch::Batch;
use super::case::{Case, View, What, top_sql};
use super::compare::{Rows, Value, difference, line, rows_of, sum};
use super::drive::{self, Job, Outcome, Run};
use super::model::{Placed, Sessions, late_rows, late_times, spread};
use super::query::{Cut, Mistake, Windowed};
use super::stream::Record;
use super::window::Kind;

/// What a case tells about itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) kinds: Vec<&'static str>,
    pub(super) rows: usize,
    pub(super) results: usize,
    pub(super) ticks: usize,
    pub(super) late: u64,
    pub(super) in_time: bool,
    pub(super) idle: bool,
    pub(super) joined: bool,
    pub(super) looked: bool,
    pub(super) windows: usize,
    pub(super) spread: usize,
}

/// What all cases need.
pub(super) struct World {
    pub(super) state: SessionState,
    pub(super) runtime: Runtime,
}

impl View {
    /// Whether no two rows are alike, so that changes in one version cannot cancel each other.
    fn rows_are_distinct(&self) -> bool {
        match &self.what {
            What::Windowed(query) | What::Cascade { outer: query, .. } => query.rows_are_distinct(),
            // A row shows its window's beginning and its number.
            What::Top { of, .. } => of.window.kind() != Kind::Cumulate,
            What::Assigned(_) => false,
            What::Plain { groups, .. } => *groups,
        }
    }
}

impl Case {
    /// Runs the case; an error tells how it went wrong. With a mistake it should.
    pub(super) fn check(&self, world: &World, mistake: Mistake) -> Result<Facts, String> {
        self.checked(world, mistake)
            .map_err(|error| format!("{}\n{error}", self.describe()))
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "seed {}: {} records in {} partitions, delay {} us, idle after {} us{}\n  {}",
            self.seed,
            self.stream.order.len(),
            self.stream.partitions.len(),
            self.stream.delay,
            self.stream.idle_after,
            if self.stream.in_time {
                ", no row can be late"
            } else {
                ""
            },
            self.source
        );
        for view in &self.views {
            text += &format!("\n  {}", view.create);
        }
        text
    }

    fn run(&self, world: &World) -> Result<Run, String> {
        let views: Vec<String> = self.views.iter().map(|v| v.create.clone()).collect();
        let job = Job {
            stream: Arc::clone(&self.stream),
            source: self.source.clone(),
            views: &views,
            join_after: self.join_after,
            look_after: self.look_after,
        };
        drive::run(&world.state, &job, self.seed)
    }

    fn checked(&self, world: &World, mistake: Mistake) -> Result<Facts, String> {
        let run = self.run(world)?;
        let placed = &run.model.placed;
        let last = self.reference(world, placed, mistake)?;
        let mut facts = self.facts(&run);
        for (view, outcome) in self.views.iter().zip(&run.views) {
            let about = |e: String| format!("view {}: {e}", outcome.status.name);
            let expected = last.query(&self.sql(view, run.model.watermark, mistake))?;
            facts.results += expected.len();
            let groups = expected.len() as u64;
            if let Some(wrong) = difference(outcome.rows.clone(), expected) {
                return Err(about(wrong));
            }
            if let Some(wrong) = difference(
                sum(&outcome.log, view.rows_are_distinct()).map_err(about)?,
                outcome.rows.clone(),
            ) {
                return Err(about(format!("the sum of its changes: {wrong}")));
            }
            self.check_counters(view, outcome, placed, groups)
                .map_err(about)?;
            self.check_conservation(view, outcome, &run)
                .map_err(about)?;
        }
        self.check_source(&run)?;
        self.check_middle(world, &run, mistake)?;
        if self.seed % 16 == 0 {
            self.check_replay(world, &run)?;
        }
        if let Some(window) = &self.window {
            facts.late = late_rows(window, placed);
            (facts.windows, facts.spread) = spread(window, placed);
        }
        Ok(facts)
    }

    fn facts(&self, run: &Run) -> Facts {
        Facts {
            kinds: self.kinds.clone(),
            rows: run.model.placed.len(),
            ticks: run.model.tick,
            in_time: self.stream.in_time,
            idle: run.model.was_idle,
            joined: self.join_after.is_some(),
            looked: run.middle.is_some(),
            ..Facts::default()
        }
    }

    /// Plain SQL over placed rows; their sessions are assigned here only where lateness decides on them.
    fn reference<'a>(
        &self,
        world: &'a World,
        placed: &[Placed],
        mistake: Mistake,
    ) -> Result<Batch<'a>, String> {
        let sessions = match (&self.window, self.stream.in_time) {
            (Some(window), false) => Sessions::assign(window, placed, mistake).of,
            _ => Vec::new(),
        };
        Batch::new(&world.state, &world.runtime, placed, &sessions)
    }

    /// A view's rows as plain SQL, when the watermark is `watermark`.
    fn sql(&self, view: &View, watermark: i64, mistake: Mistake) -> String {
        let cut = |closed: bool| Cut {
            relation: "log",
            closed_by: closed.then_some(watermark),
            sessions: !self.stream.in_time,
            mistake,
        };
        match &view.what {
            What::Windowed(query) => query.plain(cut(view.every.is_none())),
            What::Top { of, limit, .. } => top_sql(
                &format!("({})", of.plain(cut(view.every.is_none()))),
                *limit,
            ),
            What::Cascade { inner, outer, .. } => {
                let relation = format!(
                    "(SELECT k, c, s, window_time AS ts, -9000000000000000000 AS wm, 0 AS o, 0 AS p FROM ({}))",
                    inner.plain(cut(true))
                );
                outer.plain(Cut {
                    relation: &relation,
                    closed_by: None,
                    sessions: false,
                    mistake: Mistake::None,
                })
            }
            What::Assigned(query) => query.plain(cut(false)),
            What::Plain { sql, .. } => sql.clone(),
        }
    }

    /// Late rows are counted as they are, and all that is left is what the last rows made.
    fn check_counters(
        &self,
        view: &View,
        outcome: &Outcome,
        placed: &[Placed],
        groups: u64,
    ) -> Result<(), String> {
        let last = &self.stream.last;
        let windows = |q: &Windowed| {
            if q.reaches_window(last) {
                q.window.spans(last.ts).len() as u64
            } else {
                0
            }
        };
        let state = |q: &Windowed, updating: bool| match q.window.kind() {
            Kind::Tumble | Kind::Hop | Kind::Cumulate if updating => windows(q),
            _ => u64::from(q.reaches_window(last)),
        };
        let updating = view.every.is_some();
        let (query, kept) = match &view.what {
            What::Windowed(query) => (Some(query), state(query, updating)),
            What::Top { of, inside, .. } => {
                let held = if updating { windows(of) } else { 0 };
                let below = if *inside { state(of, updating) } else { 0 };
                (inside.then_some(of), held + below)
            }
            What::Cascade {
                inner, corrected, ..
            } => (
                corrected.then_some(inner),
                if *corrected { state(inner, false) } else { 0 },
            ),
            What::Assigned(query) => (Some(query), 0),
            What::Plain { groups: true, .. } => (None, groups),
            What::Plain { groups: false, .. } => (None, 0),
        };
        let counters = outcome.status.counters;
        if counters.state_rows != kept {
            return Err(format!(
                "keeps {} rows at the end, expected {kept}",
                counters.state_rows
            ));
        }
        // A condition of HAVING on keys alone would be pushed below the window; there is none.
        let mut late = query.map_or_else(Vec::new, |q| late_times(q, placed));
        if counters.late_rows != late.len() as u64 {
            return Err(format!(
                "counts {} late rows, expected {}",
                counters.late_rows,
                late.len()
            ));
        }
        let mut kept = outcome.late.clone();
        (late.sort_unstable(), kept.sort_unstable());
        if kept == late {
            Ok(())
        } else {
            Err(format!("keeps late rows of {kept:?}, expected {late:?}"))
        }
    }

    /// Of TUMBLE: rows in windows and late rows together are the good rows.
    fn check_conservation(&self, view: &View, outcome: &Outcome, run: &Run) -> Result<(), String> {
        let What::Windowed(query) = &view.what else {
            return Ok(());
        };
        let Some(at) = query.counts_everything() else {
            return Ok(());
        };
        let in_windows: i64 = outcome
            .rows
            .iter()
            .map(|row| if let Value::Int(n) = row[at] { n } else { 0 })
            .sum();
        let counts = &run.source.counts;
        let open = if view.every.is_some() {
            0
        } else {
            self.stream.partitions.len() as u64
        };
        let good = counts.records - counts.bad - counts.tombstones - open;
        let windowed = in_windows as u64 + outcome.status.counters.late_rows;
        if windowed == good {
            Ok(())
        } else {
            Err(format!(
                "{windowed} rows in windows or late, {good} good rows"
            ))
        }
    }

    fn check_source(&self, run: &Run) -> Result<(), String> {
        let records = self.stream.partitions.iter().flatten();
        let tombstones = records.clone().filter(|r| r.payload.is_none()).count() as u64;
        let bad = records.clone().filter(|r| r.row.is_none()).count() as u64 - tombstones;
        let expected = (records.count() as u64, bad, tombstones);
        let counts = &run.source.counts;
        let found = (counts.records, counts.bad, counts.tombstones);
        if found != expected {
            return Err(format!(
                "{found:?} records, bad ones and tombstones, expected {expected:?}"
            ));
        }
        let partitions = (0..).zip(&self.stream.partitions);
        let is_bad = |r: &Record| r.row.is_none() && r.payload.is_some();
        let bad: Vec<(i32, i64)> = partitions
            .flat_map(|(id, records)| {
                let places = (0..).zip(records).filter(|(_, r)| is_bad(r));
                places.map(move |(offset, _)| (id, offset))
            })
            .collect();
        if run.bad == bad {
            Ok(())
        } else {
            Err(format!(
                "keeps the bad records {:?}, expected {bad:?}",
                run.bad
            ))
        }
    }

    /// What views held in the middle, where that does not depend on when changes come out.
    fn check_middle(&self, world: &World, run: &Run, mistake: Mistake) -> Result<(), String> {
        let Some(middle) = &run.middle else {
            return Ok(());
        };
        let before: Vec<Placed> = run
            .model
            .placed
            .iter()
            .filter(|p| p.tick <= middle.tick)
            .cloned()
            .collect();
        let reference = self.reference(world, &before, mistake)?;
        for (view, found) in self.views.iter().zip(&middle.views) {
            let exact = view.every.is_none_or(|every| every <= MILLI);
            if !exact || matches!(view.what, What::Cascade { .. }) {
                continue;
            }
            let expected = reference.query(&self.sql(view, middle.watermark, mistake))?;
            if let Some(wrong) = difference(found.clone(), expected) {
                return Err(format!(
                    "after tick {}: {wrong}\n  {}",
                    middle.tick, view.create
                ));
            }
        }
        Ok(())
    }

    /// The same cuts give the same changes, bit by bit.
    fn check_replay(&self, world: &World, run: &Run) -> Result<(), String> {
        let again = self.run(world)?;
        let lines =
            |outcome: &Outcome| -> Result<Vec<String>, String> {
                let mut lines = Vec::new();
                for (version, batch) in &outcome.log {
                    let rows: Rows = rows_of(std::slice::from_ref(&batch.rows))?;
                    let shown = rows.iter().enumerate();
                    lines.extend(shown.map(|(at, row)| {
                        format!("{version} {} {}", batch.weights.get(at), line(row))
                    }));
                }
                Ok(lines)
            };
        for (first, second) in run.views.iter().zip(&again.views) {
            let (first, second) = (lines(first)?, lines(second)?);
            if first != second {
                let at = first
                    .iter()
                    .zip(&second)
                    .position(|(a, b)| a != b)
                    .unwrap_or(0);
                return Err(format!(
                    "the same run gave other changes: {:?} and then {:?}",
                    first.get(at),
                    second.get(at)
                ));
            }
        }
        Ok(())
    }
}
