//! What is counted: late rows, rows that went into windows, state that is left, records and bad ones of the source.

use super::carried::{Carried, Over};
use super::case::{Below, Case, View, What};
use super::compare::Value;
use super::model::{Placed, counted, late_times, waiting};
use super::outcome::{Outcome, Run};
use super::query::Windowed;
use super::stream::Record;
use super::window::{Kind, Window};

/// Rows of state that the last rows have left behind.
struct Left<'a> {
    run: &'a Run,
    last: Placed,
    updating: bool,
}

impl Left<'_> {
    /// Windows of the last rows that are open.
    fn windows(&self, query: &Windowed) -> u64 {
        if query.copies(&self.last) == 0 {
            return 0;
        }
        let open = |(_, end): &(i64, i64)| end - 1 + query.lateness > self.run.model.watermark;
        let spans = query.window.spans(self.last.row.ts);
        spans.iter().filter(|s| open(s)).count() as u64
    }

    /// State of the query's aggregation.
    fn of(&self, query: &Windowed, updating: bool) -> u64 {
        let sets = query.sets().unwrap_or(1) as u64;
        let one = match query.window {
            Window::Session { gap, .. } => {
                let rows = &self.run.model.placed;
                let waiting = waiting(query, rows, self.run.model.watermark) as u64;
                if waiting > 0 {
                    return waiting * sets;
                }
                let end = self.last.row.ts + gap + query.lateness;
                let open = end - 1 > self.run.model.watermark;
                u64::from(query.copies(&self.last) > 0 && open)
            }
            _ if updating => self.windows(query),
            // One pane.
            _ => self.windows(query).min(1),
        };
        one * sets
    }

    /// What a side of a join of windows and the join keep.
    fn side(&self, query: &Windowed) -> u64 {
        if !query.is_assigned() {
            return self.of(query, false);
        }
        let rows = self.run.model.partitions.len() * query.copies(&self.last);
        self.windows(query) * rows as u64
    }

    fn of_view(&self, what: &What) -> u64 {
        match what {
            What::Windowed(query) => self.of(query, self.updating),
            What::Top { of, inside, .. } => {
                let held = if self.updating { self.windows(of) } else { 0 };
                let below = if *inside {
                    self.of(of, self.updating)
                } else {
                    0
                };
                held + below
            }
            What::First { of, limit } => {
                // Equal rows are held as one: there is one row a partition.
                let rows = self.run.model.partitions.len();
                self.windows(of) * (*limit).min(rows) as u64
            }
            What::Cascade {
                over: Below::View | Below::CorrectedView,
                ..
            } => 0,
            What::Cascade { inner, .. } => self.of(inner, false),
            What::Both(one, other) => self.of(one, self.updating) + self.of(other, self.updating),
            What::Assigned(_) => 0,
            What::Joined(join) => self.side(&join.one) + self.side(&join.other),
            What::Carried(carried) => match &carried.over {
                Over::Window { inside: false, .. } => 0,
                Over::Window { of, .. } => self.of(of, false),
                Over::Union(one, other) => self.of(one, false) + self.of(other, false),
                // The same as GROUP BY of the key and the window.
                Over::Distinct(of) => self.of(of, false),
                Over::Joined { of, .. } => {
                    let rows = self.run.model.placed.iter();
                    let last = rows.filter(|p| p.row.ts == self.last.row.ts);
                    let last: Vec<&Placed> = last.collect();
                    self.windows(of) * carried.groups(&last, &self.run.table)
                }
            },
            What::Plain(plain) if plain.is_by_event_time() => {
                let open = self.last.row.ts > self.run.model.watermark;
                u64::from(open && plain.takes(&self.last))
            }
            What::Plain(plain) if plain.is_updating() => plain.groups(&self.run.model.placed),
            What::Plain(_) => 0,
        }
    }
}

/// Late rows are counted as they are and kept, and all that is left of state is what the last rows made.
pub(super) fn check_counters(
    case: &Case,
    view: &View,
    outcome: &Outcome,
    run: &Run,
) -> Result<(), String> {
    let placed = &run.model.placed;
    let last = placed.iter().rfind(|p| p.row.ts == case.stream.last.ts);
    let last = last.ok_or("the last rows did not come")?.clone();
    let left = Left {
        run,
        last,
        updating: view.every.is_some(),
    };
    let counters = outcome.status.counters;
    let joins = joins_table(view);
    let expected = left.of_view(&view.what);
    // A join keeps what it has read of the table, less what conditions on it leave out.
    let table = if joins { run.table.len() as u64 } else { 0 };
    // A window over a corrected view waits with the rows that it has been given of windows that are open there.
    let waiting = match &view.what {
        What::Cascade {
            inner,
            over: Below::CorrectedView,
            ..
        } => left.of(inner, true),
        _ => 0,
    };
    let most = expected + waiting + table * leaves(&view.what);
    if counters.state_rows < expected || counters.state_rows > most {
        return Err(format!(
            "keeps {} rows at the end, expected {expected} to {most}",
            counters.state_rows
        ));
    }
    let mut late: Vec<i64> = match &view.what {
        What::Cascade {
            over: Below::View | Below::CorrectedView,
            ..
        }
        | What::Top { inside: false, .. } => Vec::new(),
        What::Carried(Carried {
            over: Over::Window { inside: false, .. },
            ..
        }) => Vec::new(),
        What::Plain(plain) if plain.is_by_event_time() => placed
            .iter()
            .filter(|p| plain.takes(p) && p.row.ts <= p.watermark)
            .map(|p| p.row.ts)
            .collect(),
        what => what
            .windows()
            .iter()
            .flat_map(|q| late_times(q, placed))
            .collect(),
    };
    if counters.late_rows != late.len() as u64 {
        return Err(format!(
            "counts {} late rows, expected {}",
            counters.late_rows,
            late.len()
        ));
    }
    let mut kept = outcome.late.clone();
    late.sort_unstable();
    kept.sort_unstable();
    if kept == late {
        Ok(())
    } else {
        Err(format!("keeps late rows of {kept:?}, expected {late:?}"))
    }
}

fn joins_table(view: &View) -> bool {
    view.select.contains("JOIN t ")
}

/// How often a join is in the plan: once for each grouping set.
fn leaves(what: &What) -> u64 {
    let sets = what.windows().first().and_then(|q| q.sets());
    sets.unwrap_or(1) as u64
}

/// Rows in windows, once for each, and late rows together are the rows that came. Gives the checks that could be made.
pub(super) fn check_conservation(
    view: &View,
    outcome: &Outcome,
    run: &Run,
) -> Result<Vec<&'static str>, String> {
    let mut made = Vec::new();
    if outcome.status.counters.state_rows == 0 && !view.what.windows().is_empty() {
        made.push("no state after the last window");
    }
    let What::Windowed(query) = &view.what else {
        return Ok(made);
    };
    let Some(at) = query.counts_everything() else {
        return Ok(made);
    };
    let placed = &run.model.placed;
    let counts = outcome.rows.iter().map(|row| match row[at] {
        Value::Int(n) => n as usize,
        _ => 0,
    });
    let found: usize = counts.sum();
    let now = run.model.watermark;
    let expected = counted(query, placed, now, view.every.is_none());
    if found != expected {
        return Err(format!("its rows count {found} rows, expected {expected}"));
    }
    if view.every.is_some() && matches!(query.window.kind(), Kind::Tumble | Kind::Session) {
        // Each row is in one window or late.
        let came: usize = placed.iter().map(|p| query.copies(p)).sum();
        let late = outcome.status.counters.late_rows as usize;
        let waiting = waiting(query, placed, now);
        if found + late + waiting != came {
            return Err(format!(
                "{found} rows in windows, {late} late ones and {waiting} that wait, {came} came"
            ));
        }
    }
    made.push("rows counted in and out of windows");
    Ok(made)
}

/// The source's records are good rows, bad records and tombstones; and the bad ones are kept.
pub(super) fn check_source(case: &Case, run: &Run) -> Result<(), String> {
    let records = case.stream.partitions.iter().flatten();
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
    let good = run.model.placed.len() as u64;
    if counts.records != good + counts.bad + counts.tombstones {
        return Err(format!("{counts:?} with {good} good rows"));
    }
    let partitions = (0..).zip(&case.stream.partitions);
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
