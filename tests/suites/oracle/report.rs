//! What a run of the oracle covered, and what it must have covered.

use std::fmt;

use super::check::Facts;
use super::forms::Coverage;

/// Fewer cases than this prove nothing about proportions.
const ENOUGH: usize = 500;
/// A run of so many cases has every form of the grammar often enough.
const FULL: usize = 10_000;

/// What a run covered.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) cases: usize,
    with_late_rows: usize,
    with_idle_partitions: usize,
    in_time: usize,
    windows: usize,
    spread: usize,
    rows: usize,
    results: usize,
    ticks: usize,
    late: u64,
    forms: Coverage,
}

impl Report {
    pub(super) fn add(&mut self, facts: &Facts) {
        self.cases += 1;
        self.with_late_rows += usize::from(facts.late > 0);
        self.with_idle_partitions += usize::from(facts.idle);
        self.in_time += usize::from(facts.in_time);
        self.windows += facts.windows;
        self.spread += facts.spread;
        self.rows += facts.rows;
        self.results += facts.results;
        self.ticks += facts.ticks;
        self.late += facts.late;
        self.forms.add(&facts.forms);
    }

    pub(super) fn plus(&mut self, other: &Self) {
        self.cases += other.cases;
        self.with_late_rows += other.with_late_rows;
        self.with_idle_partitions += other.with_idle_partitions;
        self.in_time += other.in_time;
        self.windows += other.windows;
        self.spread += other.spread;
        self.rows += other.rows;
        self.results += other.results;
        self.ticks += other.ticks;
        self.late += other.late;
        self.forms.plus(&other.forms);
    }

    /// What is not covered as it must be.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = self.forms.unknown();
        if self.cases >= FULL {
            missing.extend(self.forms.rare());
        }
        let mut least = |what: &str, found: usize, of: usize, parts: usize| {
            if self.cases >= ENOUGH && found * parts < of {
                missing.push(format!("{found} of {of} {what}, fewer than one in {parts}"));
            }
        };
        least("cases have late rows", self.with_late_rows, self.cases, 4);
        least(
            "windows got rows in three ticks or more",
            self.spread,
            self.windows,
            2,
        );
        least(
            "cases have an idle partition",
            self.with_idle_partitions,
            self.cases,
            5,
        );
        least(
            "cases have no row that can be late",
            self.in_time,
            self.cases,
            4,
        );
        missing
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: usize, whole: usize| part * 100 / whole.max(1);
        writeln!(
            f,
            "oracle: {} cases, {} rows in {} ticks, {} result rows compared",
            self.cases, self.rows, self.ticks, self.results
        )?;
        writeln!(
            f,
            "  {} % of the cases with late rows ({} rows), {} % without any that could be, {} % with an idle partition",
            percent(self.with_late_rows, self.cases),
            self.late,
            percent(self.in_time, self.cases),
            percent(self.with_idle_partitions, self.cases)
        )?;
        writeln!(
            f,
            "  {} % of {} windows with rows in three ticks or more",
            percent(self.spread, self.windows),
            self.windows
        )?;
        write!(f, "{}", self.forms)
    }
}
