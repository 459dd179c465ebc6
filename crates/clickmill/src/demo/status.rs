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
            ViewState::Failed(_) | ViewState::Suspended => true,
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
    let mut meter = Meter::new(Figures::of(&database.status().await?), SystemClock.now());
    loop {
        tokio::time::sleep(every).await;
        let status = database.status().await?;
        for failure in meter.new_failures(&status) {
            output.warning(failure);
        }
        let text = meter.text(Figures::of(&status), SystemClock.now());
        match line {
            Some(line) => line.set_message(text),
            None => output.line(text),
        }
    }
}

/// What the line is made of.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// Records read.
    records: u64,
    /// Rows that views have given.
    rows: u64,
    /// The lowest watermark of the sources that are read.
    watermark: Option<Watermark>,
}

impl Figures {
    fn of(status: &Status) -> Self {
        let read = status.sources.iter().filter(|s| s.health.is_some());
        Self {
            records: status.sources.iter().map(|s| s.counts.records).sum(),
            rows: status.views.iter().map(|v| v.rows_out).sum(),
            watermark: read.map(|s| s.watermark).min(),
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
    fn new(figures: Figures, now: Micros) -> Self {
        Self {
            records: figures.records,
            at: now,
            failed: Vec::new(),
        }
    }

    /// What there is to say of views that have failed since the last call.
    fn new_failures(&mut self, status: &Status) -> Vec<String> {
        let mut told = Vec::new();
        for view in &status.views {
            if let ViewState::Failed(failure) = &view.state
                && !self.failed.contains(&view.name)
            {
                self.failed.push(view.name.clone());
                told.push(format!(
                    "view {} failed: {}",
                    view.name,
                    failure.error.message()
                ));
            }
        }
        told
    }

    /// What matters least stands last, where a narrow terminal cuts.
    fn text(&mut self, figures: Figures, now: Micros) -> String {
        let elapsed = u64::try_from(now.saturating_sub(self.at)).unwrap_or(0);
        let new = u128::from(figures.records.saturating_sub(self.records));
        let rate = new * SECOND as u128 / u128::from(elapsed.max(1));
        (self.records, self.at) = (figures.records, now);
        format!(
            "{} events/s · watermark {} · {} rows out · {} events in all",
            HumanCount(u64::try_from(rate).unwrap_or(u64::MAX)),
            watermark(figures.watermark, now),
            HumanCount(figures.rows),
            HumanCount(figures.records)
        )
    }
}

/// A watermark as time of day in UTC and its distance from now.
fn watermark(watermark: Option<Watermark>, now: Micros) -> String {
    match watermark {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_the_rate_since_the_last_one() {
        let figures = |records, rows, watermark| Figures {
            records,
            rows,
            watermark,
        };
        let mut meter = Meter::new(figures(1_000, 0, None), 60 * SECOND);
        let first = meter.text(figures(6_000, 12, None), 62 * SECOND);
        let expected = "2,500 events/s · watermark unknown · 12 rows out · 6,000 events in all";
        assert_eq!(first, expected);
        let known = Some(Watermark(66 * SECOND - 1));
        let second = meter.text(figures(6_010, 1_234, known), 72 * SECOND);
        let expected = "1 events/s · watermark 00:01:05 UTC (6 s behind) · 1,234 rows out · 6,010 events in all";
        assert_eq!(second, expected);
    }
}
