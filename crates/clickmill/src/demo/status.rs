//! The status line of the demo: how fast clicks are read, how far event time is, how many rows came out.

use std::time::Duration;

use database::{Database, Status, ViewState};
use dataflow::time::{SECOND, format_utc};
use dataflow::{Clock, Micros, SystemClock, Watermark};
use indicatif::{HumanCount, ProgressBar};

use crate::output::Output;
use crate::report::Outcome;

/// Time between two looks while catching up, between two redrawn lines, and between two plain lines.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const REDRAW_EVERY: Duration = Duration::from_secs(1);
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for the views to catch up before the demo goes on without.
const PATIENCE: Micros = 60 * SECOND;

/// Waits until every view follows the topic and has rows, or has failed; one minute at most.
pub(super) async fn caught_up(database: &Database) -> Outcome {
    let started = SystemClock.now();
    while SystemClock.now().saturating_sub(started) < PATIENCE {
        let status = database.status().await?;
        let follows = |view: &ViewState, rows: u64| match view {
            ViewState::CatchingUp => false,
            ViewState::Running => rows > 0,
            ViewState::Failed(_) => true,
        };
        if status
            .views
            .iter()
            .all(|v| v.behind == 0 && follows(&v.state, v.rows_out))
        {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Shows the status for ever: in `line` where there is one, else in lines of its own.
pub(super) async fn show(
    database: &Database,
    line: Option<&ProgressBar>,
    output: &Output,
) -> Outcome {
    let every = if line.is_some() {
        REDRAW_EVERY
    } else {
        LINE_EVERY
    };
    let mut meter = Meter::new(&database.status().await?, SystemClock.now());
    loop {
        tokio::time::sleep(every).await;
        let status = database.status().await?;
        for failure in meter.new_failures(&status) {
            output.warning(failure);
        }
        let text = meter.text(&status, SystemClock.now());
        match line {
            Some(line) => line.set_message(text),
            None => output.line(text),
        }
    }
}

/// Remembers what was shown last.
struct Meter {
    records: u64,
    at: Micros,
    failed: Vec<String>,
}

impl Meter {
    fn new(status: &Status, now: Micros) -> Self {
        Self {
            records: records(status),
            at: now,
            failed: Vec::new(),
        }
    }

    /// What there is to say of views that have failed since the last call.
    fn new_failures(&mut self, status: &Status) -> Vec<String> {
        let mut told = Vec::new();
        for view in &status.views {
            if let ViewState::Failed(error) = &view.state
                && !self.failed.contains(&view.name)
            {
                self.failed.push(view.name.clone());
                told.push(format!("view {} failed: {}", view.name, error.message()));
            }
        }
        told
    }

    fn text(&mut self, status: &Status, now: Micros) -> String {
        let records = records(status);
        let elapsed = u64::try_from(now.saturating_sub(self.at))
            .unwrap_or(0)
            .max(1);
        let new = u128::from(records.saturating_sub(self.records));
        let rate = u64::try_from(new * SECOND as u128 / u128::from(elapsed)).unwrap_or(u64::MAX);
        (self.records, self.at) = (records, now);
        let rows: u64 = status.views.iter().map(|view| view.rows_out).sum();
        format!(
            "{} events/s · {} events · watermark {} · {} rows out",
            HumanCount(rate),
            HumanCount(records),
            watermark(status, now),
            HumanCount(rows)
        )
    }
}

fn records(status: &Status) -> u64 {
    status
        .sources
        .iter()
        .map(|source| source.counts.records)
        .sum()
}

/// The lowest watermark of the sources that are read, as time of day in UTC and its distance from now.
fn watermark(status: &Status, now: Micros) -> String {
    let read = status
        .sources
        .iter()
        .filter(|source| source.health.is_some());
    match read.map(|source| source.watermark).min() {
        None | Some(Watermark::MIN) => "unknown".to_owned(),
        Some(Watermark::MAX) => "at the end".to_owned(),
        Some(Watermark(at)) => {
            let text = format_utc(at);
            let time = text.get(11..19).unwrap_or(&text);
            let behind = now.saturating_sub(at) as f64 / SECOND as f64;
            format!("{time} UTC ({behind:.0} s behind)")
        }
    }
}
