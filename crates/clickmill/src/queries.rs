//! The example queries, as they are in the folder `queries/`, built into the program.

use std::path::{Path, PathBuf};

use crate::report::{Failure, Outcome};
use crate::script::{Script, Variables};

/// Every file of `queries/`, by name.
const EXAMPLES: [(&str, &str); 6] = [
    (
        "queries/analytics_results.sql",
        include_str!("../../../queries/analytics_results.sql"),
    ),
    (
        "queries/filters.sql",
        include_str!("../../../queries/filters.sql"),
    ),
    (
        "queries/page_views.sql",
        include_str!("../../../queries/page_views.sql"),
    ),
    (
        "queries/sessions.sql",
        include_str!("../../../queries/sessions.sql"),
    ),
    (
        "queries/trending.sql",
        include_str!("../../../queries/trending.sql"),
    ),
    (
        "queries/user_activity.sql",
        include_str!("../../../queries/user_activity.sql"),
    ),
];

/// The examples.
pub(crate) fn examples(variables: &Variables) -> Outcome<Vec<Script>> {
    let script = |(name, text): (&str, &str)| Script::new(name, text, variables);
    Ok(EXAMPLES.into_iter().map(script).collect::<Result<_, _>>()?)
}

/// The files named `*.sql` in a folder, by name.
pub(crate) fn of_folder(folder: &Path, variables: &Variables) -> Outcome<Vec<Script>> {
    let failed = |error| Failure::new(format!("cannot read folder {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Failure::new(format!(
            "folder {} has no .sql files",
            folder.display()
        )));
    }
    files.sort();
    load_all(&files, variables)
}

/// The given files.
pub(crate) fn load_all(files: &[PathBuf], variables: &Variables) -> Outcome<Vec<Script>> {
    Ok(files
        .iter()
        .map(|file| Script::load(file, variables))
        .collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../queries");
        let variables = Variables::default();
        let built_in = examples(&variables).unwrap();
        let files = of_folder(&folder, &variables).unwrap();
        let texts = |scripts: &[Script]| {
            scripts
                .iter()
                .map(|s| s.text().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(&built_in), texts(&files));
    }

    #[test]
    fn each_begins_by_saying_what_it_answers() {
        for (name, text) in EXAMPLES {
            assert!(text.starts_with("-- "), "{name}");
            assert!(
                text.lines()
                    .take(30)
                    .any(|line| line.starts_with("--   SELECT ")),
                "{name}"
            );
        }
    }
}
