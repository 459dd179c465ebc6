//! The oracle: views over random streams, run tick by tick under a simulated clock, hold what batch DataFusion computes from
//! the same finite log by plain SQL that knows no window functions.
//!
//! One seed is one case. `ORACLE_SEED=… ORACLE_CASES=1 cargo test -p e2e oracle::` runs a failed case again. A new form of
//! the grammar is a name in `forms`, a choice in `case`, `query`, `join`, `carried` or `plain`, and what it means as plain SQL
//! there.

mod aggregates;
mod batch;
mod bounded;
mod carried;
mod case;
mod check;
mod compare;
mod counts;
mod drive;
mod emission;
mod forms;
mod input;
mod join;
mod model;
mod outcome;
mod plain;
mod planning;
mod query;
pub(super) mod random;
mod report;
mod sim;
mod stream;
mod table;
mod window;
mod words;
mod zone;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use engine::faults::{Fault, plant};
use libtest_mimic::{Failed, Trial};
use parking_lot::Mutex;

use case::Case;
use check::World;
use query::Mistake;
use report::Report;

/// Cases of a run, and of a long one.
const CASES: usize = 10_000;
const LONG_CASES: usize = 100_000;
/// The first case's seed; the others follow.
const SEED: u64 = 1;
/// Within so many seeds each of the planted faults must be found.
const SEEDS_OF_A_FAULT: u64 = 50;
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
    const OTHERS: [&str; 6] = [
        "top-n of windows",
        "first row of a window",
        "window over a view",
        "join of windows",
        "EXISTS in the same window",
        "GROUP BY the window of a view",
    ];
    let all = [ALIGNED.as_slice(), &SESSIONS, &OTHERS].concat();
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
        (
            "ends_of_sessions_before_the_gap_are_noticed",
            Mistake::NoEnds,
            SESSIONS.to_vec(),
        ),
        (
            "late_rows_that_correct_are_noticed",
            Mistake::NoCorrections,
            vec!["tumble", "hop", "cumulate", "session"],
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

fn world() -> Result<World, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| e.to_string())?;
    Ok(World {
        state: sql::planner::session_state(1, Arc::default()),
        runtime,
    })
}

/// Runs so many cases, the first of this seed, each next of the next seed, on all cores.
///
/// # Errors
/// Says which cases went wrong and how, with their seeds; or what was not covered.
fn run(cases: usize, seed: u64) -> Result<Report, String> {
    let next = AtomicU64::new(seed);
    let end = seed + cases as u64;
    let failed = AtomicUsize::new(0);
    let all = Mutex::new((Report::default(), Vec::<(u64, String)>::new()));
    let work = || -> Result<(), String> {
        let world = world()?;
        let mut report = Report::default();
        while failed.load(Ordering::Relaxed) < MAX_FAILURES {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let case = || Case::new(seed).check(&world, Mistake::None);
            let checked = catch_unwind(AssertUnwindSafe(case));
            match checked.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                Ok(facts) => report.add(&facts),
                Err(failure) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    all.lock().1.push((seed, failure));
                }
            }
        }
        all.lock().0.plus(&report);
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = workers.into_iter().map(|w| w.join());
        results
            .map(|r| r.unwrap_or_else(|_| Err("a case panicked".to_owned())))
            .collect::<Result<Vec<()>, String>>()
    })?;
    println!(
        "oracle: seeds {seed} to {} on {threads} threads in {:.0?}",
        end - 1,
        begun.elapsed()
    );
    let (report, mut failures) = all.into_inner();
    failures.sort_unstable();
    let again = |(seed, failure)| format!("{failure}\n  again: ORACLE_SEED={seed} ORACLE_CASES=1");
    let mut failures: Vec<String> = failures.into_iter().map(again).collect();
    if failures.is_empty() {
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
    const CASES: u64 = 3_000;
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
