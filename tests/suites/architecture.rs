//! The rules of the source tree: which crate may depend on which, how long files may be, what every file begins with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use e2e::tools::{files, repository};
use libtest_mimic::{Failed, Trial};

/// Most lines of a source file, tests not counted.
const MAX_PRODUCTION_LINES: usize = 500;
/// Most lines of a source file in all, tests included.
const MAX_LINES: usize = 900;
/// Third-party crates of which there must be one version only.
const SINGLE: [&str; 6] = [
    "arrow",
    "arrow-schema",
    "datafusion",
    "datafusion-common",
    "sqlparser",
    "tokio",
];

type Checked = Result<(), Failed>;

pub(super) fn trials() -> Vec<Trial> {
    let rules: [(&str, fn() -> Checked); 9] = [
        (
            "dependencies_are_those_of_the_document",
            dependencies_are_those_of_the_document,
        ),
        ("dependencies_point_one_way", dependencies_point_one_way),
        (
            "every_file_says_what_it_is_for",
            every_file_says_what_it_is_for,
        ),
        ("files_are_short", files_are_short),
        ("members_inherit_lints", members_inherit_lints),
        ("one_version_of_shared_crates", one_version_of_shared_crates),
        ("paths_in_the_document_exist", paths_in_the_document_exist),
        ("nothing_is_left_undone", nothing_is_left_undone),
        (
            "only_tests_have_planted_faults",
            only_tests_have_planted_faults,
        ),
    ];
    rules
        .into_iter()
        .map(|(name, rule)| Trial::test(format!("architecture::{name}"), rule))
        .collect()
}

/// All complaints at once, or none.
fn none(wrong: Vec<String>) -> Checked {
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failed::from(wrong.join("\n")))
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(repository())
        .unwrap_or(path)
        .display()
        .to_string()
}

fn sources() -> Vec<PathBuf> {
    ["crates", "tests"]
        .iter()
        .flat_map(|folder| files(&repository().join(folder), "rs"))
        .collect()
}

/// Our crates, each with those of our crates that it depends on, tests and build scripts not counted.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let manifests: Vec<(String, String)> = files(&repository().join("crates"), "toml")
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml"))
        // Fuzz targets are outside of the workspace.
        .filter(|path| !path.parent().is_some_and(|folder| folder.ends_with("fuzz")))
        .map(|path| {
            let folder = path.parent().and_then(Path::file_name).unwrap();
            (
                folder.to_string_lossy().into_owned(),
                read_to_string(&path).unwrap(),
            )
        })
        .collect();
    let ours: BTreeSet<&String> = manifests.iter().map(|(name, _)| name).collect();
    let of = |text: &str| {
        let section = text
            .lines()
            .skip_while(|line| line.trim() != "[dependencies]")
            .skip(1);
        section
            .take_while(|line| !line.trim_start().starts_with('['))
            .filter_map(|line| line.split(['=', '.', ' ']).next())
            .filter(|name| ours.contains(&(*name).to_owned()))
            .map(str::to_owned)
            .collect()
    };
    manifests
        .iter()
        .map(|(name, text)| (name.clone(), of(text)))
        .collect()
}

/// The table of ARCHITECTURE.md whose second column says what a crate depends on.
fn documented() -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let text = read_to_string(repository().join("ARCHITECTURE.md"))
        .map_err(|e| format!("ARCHITECTURE.md: {e}"))?;
    let mut table = BTreeMap::new();
    let mut inside = false;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix('|') else {
            inside = false;
            continue;
        };
        let cells: Vec<&str> = rest.split('|').map(str::trim).collect();
        let second = cells.get(1).copied().unwrap_or_default();
        if second.to_ascii_lowercase().contains("depend") {
            inside = true;
        } else if inside && cells[0].starts_with('`') {
            let names = second
                .split([',', ' '])
                .map(|name| name.trim_matches(['`', '-', '–', '—']));
            let names = names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            table.insert(cells[0].trim_matches('`').to_owned(), names);
        }
    }
    if table.is_empty() {
        Err("ARCHITECTURE.md has no table of dependencies".to_owned())
    } else {
        Ok(table)
    }
}

fn dependencies_are_those_of_the_document() -> Checked {
    let documented = documented()?;
    let found = edges();
    let mut wrong = Vec::new();
    for (name, depends) in &found {
        match documented.get(name) {
            None => wrong.push(format!("{name} is not in the table of ARCHITECTURE.md")),
            Some(allowed) if allowed != depends => {
                wrong.push(format!(
                    "{name} depends on {depends:?}, ARCHITECTURE.md says {allowed:?}"
                ));
            }
            Some(_) => {}
        }
    }
    wrong.extend(
        documented
            .keys()
            .filter(|n| !found.contains_key(*n))
            .map(|n| format!("there is no crate {n}")),
    );
    none(wrong)
}

fn dependencies_point_one_way() -> Checked {
    let mut left = edges();
    // Takes away crates that depend on nothing left; what remains is a cycle.
    loop {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, depends)| !depends.iter().any(|name| left.contains_key(name)))
            .map(|(name, _)| name.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        left.retain(|name, _| !free.contains(name));
    }
    let cycle: Vec<String> = left.into_keys().collect();
    none(if cycle.is_empty() {
        Vec::new()
    } else {
        vec![format!("a cycle among {}", cycle.join(", "))]
    })
}

fn every_file_says_what_it_is_for() -> Checked {
    let silent = sources().into_iter().filter(|file| {
        let text = read_to_string(file).unwrap();
        let first = text.lines().next().unwrap_or_default();
        !first.starts_with("//! ") || first.to_ascii_lowercase().contains("placeholder")
    });
    none(
        silent
            .map(|file| format!("{} does not begin with //! and a sentence", relative(&file)))
            .collect(),
    )
}

/// Lines up to the first inline module of tests; files of tests have none.
fn production_lines(path: &Path, text: &str) -> usize {
    let shown = relative(path);
    if shown.contains("/tests/") || shown.starts_with("tests/") || shown.ends_with("/tests.rs") {
        return 0;
    }
    let lines: Vec<&str> = text.lines().collect();
    let inline_tests = lines.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    inline_tests.unwrap_or(lines.len())
}

fn files_are_short() -> Checked {
    let mut wrong = Vec::new();
    for file in sources() {
        let text = read_to_string(&file).unwrap();
        let (production, all) = (production_lines(&file, &text), text.lines().count());
        if production > MAX_PRODUCTION_LINES || all > MAX_LINES {
            wrong.push(format!(
                "{} has {production} lines of production code, {all} in all",
                relative(&file)
            ));
        }
    }
    none(wrong)
}

fn members_inherit_lints() -> Checked {
    let manifests = files(repository(), "toml")
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml"));
    let without = manifests.filter(|path| {
        let text = read_to_string(path).unwrap();
        !text.contains("[workspace]") && !text.contains("[lints]\nworkspace = true")
    });
    none(
        without
            .map(|path| format!("{} lacks [lints] workspace = true", relative(&path)))
            .collect(),
    )
}

fn one_version_of_shared_crates() -> Checked {
    let lock = read_to_string(repository().join("Cargo.lock"))?;
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("name = ") else {
            continue;
        };
        let version = lines
            .next()
            .and_then(|next| next.strip_prefix("version = "))
            .unwrap_or_default();
        versions
            .entry(name.trim_matches('"'))
            .or_default()
            .push(version.trim_matches('"'));
    }
    let several = SINGLE.iter().filter_map(|name| {
        let found = versions.get(name)?;
        (found.len() != 1).then(|| format!("{name} has versions {}", found.join(", ")))
    });
    none(several.collect())
}

fn paths_in_the_document_exist() -> Checked {
    let text = read_to_string(repository().join("ARCHITECTURE.md"))?;
    let roots = ["crates/", "tests/", "docs/", "queries/", ".ci/", ".github/"];
    let named = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|path| roots.iter().any(|root| path.starts_with(root)));
    let missing = named
        .filter(|path| !path.contains(['*', '…', '{', ' ']) && !repository().join(path).exists());
    none(
        missing
            .map(|path| format!("ARCHITECTURE.md names {path}, which does not exist"))
            .collect(),
    )
}

fn nothing_is_left_undone() -> Checked {
    // Put together here so that this file does not find itself.
    let marks = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["#[ign", "ore]"],
    ]
    .map(|m| m.concat());
    let mut wrong = Vec::new();
    for file in sources() {
        let text = read_to_string(&file).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(mark) = marks.iter().find(|mark| line.contains(mark.as_str())) {
                wrong.push(format!("{}:{number}: {mark}", relative(&file)));
            }
        }
    }
    none(wrong)
}

/// No crate of the program turns the engine's planted faults on.
fn only_tests_have_planted_faults() -> Checked {
    let manifests = files(&repository().join("crates"), "toml").into_iter();
    let wrong = manifests
        .filter(|path| read_to_string(path).unwrap().contains("\"faults\""))
        .map(|path| format!("{} asks for the feature faults", relative(&path)))
        .collect();
    none(wrong)
}
