//! The `.slt` files, in process, over the wire, and on a database that is started again and again; and whether they show every form of the SQL reference.

use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::forms::{Forms, Shown, differences};
use e2e::slt::direct::Direct;
use e2e::slt::restarted::{Lasting, Restarted};
use e2e::slt::run_file;
use e2e::slt::wire::Wire;
use e2e::tools::{files, repository, tests_folder};
use e2e::world::{World, block_on};
use libtest_mimic::{Failed, Trial};
use sqllogictest::{Runner, strict_column_validator};

/// How long one file may take.
const FILE_LIMIT: Duration = Duration::from_secs(120);
/// Records that there must be at least, and the share of refusals.
const MIN_RECORDS: usize = 600;
const MIN_REFUSALS_PERCENT: usize = 33;

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for file in slt_files() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let (again, restarted) = (file.clone(), file.clone());
        trials.push(Trial::test(format!("slt::direct::{name}"), move || {
            in_process(&file)
        }));
        trials.push(Trial::test(format!("slt::restarted::{name}"), move || {
            started_again(&restarted)
        }));
        trials.push(Trial::test(format!("slt::wire::{name}"), move || {
            over_the_wire(&again)
        }));
    }
    trials.push(Trial::test(
        "slt::forms_of_the_reference_are_shown",
        every_form_is_shown,
    ));
    trials.push(Trial::test("slt::every_file_is_run", every_file_is_run));
    trials
}

fn slt_files() -> Vec<PathBuf> {
    files(&tests_folder().join("slt"), "slt")
}

fn in_process(file: &Path) -> Result<(), Failed> {
    let world = World::with_manual_clock();
    let run = async {
        let mut runner = Runner::new(|| async { Ok(Direct::connect(&world)) });
        runner.with_column_validator(strict_column_validator);
        limited(run_file(runner, file)).await
    };
    Ok(block_on(run)?)
}

/// The same with a database that is started again and again.
fn started_again(file: &Path) -> Result<(), Failed> {
    let database = Lasting::start();
    let run = async {
        let mut runner = Runner::new(|| async { Ok(Restarted::connect(&database)) });
        runner.with_column_validator(strict_column_validator);
        limited(run_file(runner, file)).await
    };
    block_on(run)?;
    if database.lock().starts() == 0 {
        return Err(Failed::from("the database was never started again"));
    }
    Ok(())
}

fn over_the_wire(file: &Path) -> Result<(), Failed> {
    let world = World::with_system_clock();
    let run = async {
        let server = world.serve().await;
        let port = server.address().port();
        let result = limited(run_file(Runner::new(|| Wire::connect(port)), file)).await;
        server.shutdown().await;
        result
    };
    Ok(block_on(run)?)
}

async fn limited(run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    match tokio::time::timeout(FILE_LIMIT, run).await {
        Ok(result) => result,
        Err(_) => Err(format!("not done in {FILE_LIMIT:?}")),
    }
}

fn every_form_is_shown() -> Result<(), Failed> {
    let reference = std::fs::read_to_string(repository().join("docs/sql.md"))?;
    let forms = Forms::read(&reference)?;
    let mut shown = Shown::default();
    for file in slt_files() {
        shown.add(&file)?;
    }
    let mut wrong = differences(&forms, &shown);
    if shown.records < MIN_RECORDS || shown.refusals * 100 < shown.records * MIN_REFUSALS_PERCENT {
        wrong.push(format!(
            "{} records, {} of them refusals, are too few",
            shown.records, shown.refusals
        ));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(wrong.join("\n")))
    }
}

fn every_file_is_run() -> Result<(), Failed> {
    let known = slt_files();
    let stray: Vec<String> = files(repository(), "slt")
        .into_iter()
        .filter(|file| !known.contains(file))
        .map(|file| file.display().to_string())
        .collect();
    if stray.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(format!(
            "not run by any suite: {}",
            stray.join(", ")
        )))
    }
}
