//! Programs that a test needs and that may not be installed, and where things lie.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Completion, Failed, Trial};

/// The folder of this package.
pub fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository's folder.
pub fn repository() -> &'static Path {
    tests_folder()
        .parent()
        .expect("this package lies in the repository")
}

/// Whether the long versions of the tests were asked for (`tests/run --long`).
pub fn long() -> bool {
    std::env::var_os("CLICKMILL_LONG").is_some()
}

/// The first of `programs` that cannot be run.
fn missing(programs: &[&'static str]) -> Option<&'static str> {
    let runs = |program: &str| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    programs.iter().copied().find(|program| !runs(program))
}

/// A test that needs programs. Without them it is ignored, or failed under `tests/run`, which installs them.
pub fn trial(
    name: &str,
    programs: &'static [&'static str],
    test: impl FnOnce() + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, move || {
        let Some(program) = missing(programs) else {
            test();
            return Ok(Completion::Completed);
        };
        let reason = format!("{program} is not installed");
        if std::env::var_os("CLICKMILL_TEST_STRICT").is_some() {
            return Err(Failed::from(reason));
        }
        Ok(Completion::ignored_with(reason))
    })
}

/// All files below `folder` whose names end in `.extension`, sorted; hidden folders and build folders are left out.
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
