//! The oracle: windowed views over random streams, run tick by tick under a simulated clock, hold what batch DataFusion
//! computes from the same finite log by plain SQL that knows no window functions.
//!
//! One seed is one case. `ORACLE_SEED=… ORACLE_CASES=1 cargo test -p e2e oracle::` runs a failed case again.

mod batch;
mod case;
mod check;
mod compare;
mod drive;
mod model;
mod planning;
mod query;
mod random;
mod sim;
mod stream;
mod window;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use engine::faults::{Fault, plant};
use libtest_mimic::{Failed, Trial};

use case::Case;
use check::{Facts, World};
use query::Mistake;

/// Cases of a run, and of a long one.
const CASES: usize = 2_000;
const LONG_CASES: usize = 40_000;
/// The first case's seed; the others follow.
const SEED: u64 = 1;
/// Fewer cases than this prove nothing about coverage.
const ENOUGH: usize = 500;
/// Within so many seeds each of the planted faults must be found.
const SEEDS_OF_A_FAULT: u64 = 20;
/// Failures after which a run ends.
const MAX_FAILURES: usize = 5;

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = vec![Trial::test("oracle::views_equal_batch_queries", || {
        let cases = number("ORACLE_CASES").unwrap_or(if e2e::tools::long() {
            LONG_CASES
        } else {
            CASES
        });
        let report = run(cases, number("ORACLE_SEED").unwrap_or(SEED as usize) as u64)?;
        println!("{report}");
        Ok(())
    })];
    const ALIGNED: [&str; 6] = [
        "tumble",
        "hop",
        "cumulate",
        "tumble, updating",
        "hop, updating",
        "cumulate, updating",
    ];
    const SESSIONS: [&str; 2] = ["session", "session, updating"];
    let all = [ALIGNED.as_slice(), &SESSIONS, &["top-n", "cascade"]].concat();
    let windows = [ALIGNED.as_slice(), &SESSIONS].concat();
    let mistakes = [
        ("a_wrong_window_size_is_noticed", Mistake::Size, all),
        (
            "late_rows_that_count_are_noticed",
            Mistake::NoLateness,
            windows.clone(),
        ),
        (
            "lateness_is_exact_to_the_microsecond",
            Mistake::Lateness,
            windows,
        ),
        (
            "a_gap_is_exact_to_the_microsecond",
            Mistake::Gap,
            SESSIONS.to_vec(),
        ),
    ];
    for (name, mistake, kinds) in mistakes {
        trials.push(Trial::test(format!("oracle::{name}"), move || {
            notices(mistake, &kinds)
        }));
    }
    trials.extend(Fault::ALL.map(|fault| {
        let name = format!("oracle::a_planted_fault_is_caught::{fault:?}");
        Trial::test(name, move || catches(fault))
    }));
    trials
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
    )
}

/// What a run covered.
#[derive(Debug, Default)]
pub(super) struct Report {
    cases: usize,
    with_late_rows: usize,
    with_idle_partitions: usize,
    in_time: usize,
    joined: usize,
    looked: usize,
    windows: usize,
    spread: usize,
    rows: usize,
    results: usize,
    ticks: usize,
    late: u64,
    kinds: BTreeMap<&'static str, usize>,
}

impl Report {
    fn add(&mut self, facts: Facts) {
        self.cases += 1;
        self.with_late_rows += usize::from(facts.late > 0);
        self.with_idle_partitions += usize::from(facts.idle);
        self.in_time += usize::from(facts.in_time);
        self.joined += usize::from(facts.joined);
        self.looked += usize::from(facts.looked);
        self.windows += facts.windows;
        self.spread += facts.spread;
        self.rows += facts.rows;
        self.results += facts.results;
        self.ticks += facts.ticks;
        self.late += facts.late;
        for kind in facts.kinds {
            *self.kinds.entry(kind).or_default() += 1;
        }
    }

    /// What is not covered as it must be.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut least = |what: &str, found: usize, of: usize, parts: usize| {
            if found * parts < of {
                missing.push(format!("{found} of {of} {what}, fewer than one in {parts}"));
            }
        };
        least("cases have late rows", self.with_late_rows, self.cases, 3);
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
            "  {} % of the cases with late rows ({} rows), {} % without any that could be",
            percent(self.with_late_rows, self.cases),
            self.late,
            percent(self.in_time, self.cases)
        )?;
        writeln!(
            f,
            "  {} % of {} windows with rows in three ticks or more",
            percent(self.spread, self.windows),
            self.windows
        )?;
        writeln!(
            f,
            "  {} % of the cases with an idle partition, {} % looked at in the middle, {} % with a view that came later",
            percent(self.with_idle_partitions, self.cases),
            percent(self.looked, self.cases),
            percent(self.joined, self.cases)
        )?;
        let kinds: Vec<String> = self
            .kinds
            .iter()
            .map(|(kind, count)| format!("{kind}: {count}"))
            .collect();
        write!(f, "  views: {}", kinds.join("; "))
    }
}

fn world() -> Result<World, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| e.to_string())?;
    Ok(World {
        state: sql::planner::session_state(1, Arc::default()),
        runtime,
    })
}

/// Runs so many cases, the first of this seed, each next of the next seed.
///
/// # Errors
/// Says which cases went wrong and how, with their seeds; or what was not covered.
pub(super) fn run(cases: usize, seed: u64) -> Result<Report, String> {
    let world = world()?;
    let mut report = Report::default();
    let mut failures = Vec::new();
    for seed in (seed..).take(cases) {
        match Case::new(seed).check(&world, Mistake::None) {
            Ok(facts) => report.add(facts),
            Err(failure) => failures.push(format!(
                "{failure}\n  again: ORACLE_SEED={seed} ORACLE_CASES=1"
            )),
        }
        if failures.len() == MAX_FAILURES {
            break;
        }
    }
    if failures.is_empty() && cases >= ENOUGH {
        failures = report.missing();
    }
    if failures.is_empty() {
        Ok(report)
    } else {
        Err(format!("{report}\n{}", failures.join("\n\n")))
    }
}

/// The comparison must find a deliberate mistake, in views of each of these kinds.
fn notices(mistake: Mistake, kinds: &[&str]) -> Result<(), Failed> {
    const CASES: u64 = 1_000;
    let world = world()?;
    let mut missing = kinds.to_vec();
    for seed in SEED..SEED + CASES {
        let case = Case::new(seed);
        let [kind] = case.kinds.as_slice() else {
            continue;
        };
        let Some(at) = missing.iter().position(|k| k == kind) else {
            continue;
        };
        match case.check(&world, mistake) {
            Err(failure) if failure.contains("only expected:") => drop(missing.swap_remove(at)),
            Err(failure) => return Err(format!("{mistake:?} fails otherwise: {failure}").into()),
            Ok(_) => {}
        }
        if missing.is_empty() {
            return Ok(());
        }
    }
    Err(format!("{CASES} cases of {missing:?} do not show the mistake {mistake:?}").into())
}

/// The ordinary comparison must find an engine that makes this mistake.
fn catches(fault: Fault) -> Result<(), Failed> {
    let world = world()?;
    let _planted = plant(fault);
    for (case, seed) in (1..=SEEDS_OF_A_FAULT).zip(SEED..) {
        if let Err(failure) = Case::new(seed).check(&world, Mistake::None) {
            println!("{fault:?} is caught by case {case}: {failure}");
            return Ok(());
        }
    }
    Err(format!("{SEEDS_OF_A_FAULT} cases do not show {fault:?}").into())
}
