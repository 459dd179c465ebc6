//! The forms that the SQL reference lists, and the records of the `.slt` files that claim to show them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sqllogictest::{QueryExpect, Record, StatementExpect};

use crate::slt::kind::Kind;

/// Forms by their ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// `F-…`: what clickmill does.
    pub accepted: BTreeSet<String>,
    /// `R-…`: what it refuses by name.
    pub refused: BTreeSet<String>,
}

impl Forms {
    /// Reads the tables of the SQL reference: rows whose first cell is an id in backquotes.
    pub fn read(reference: &str) -> Result<Self, String> {
        let mut forms = Self::default();
        for line in reference.lines() {
            let Some(cell) = line
                .strip_prefix('|')
                .and_then(|rest| rest.split('|').next())
            else {
                continue;
            };
            let id = cell.trim().trim_matches('`');
            let set = match id.get(..2) {
                Some("F-") => &mut forms.accepted,
                Some("R-") => &mut forms.refused,
                _ => continue,
            };
            if !set.insert(id.to_owned()) {
                return Err(format!("{id} is listed twice"));
            }
        }
        Ok(forms)
    }
}

/// What the records show.
#[derive(Debug, Default)]
pub struct Shown {
    /// Ids behind `# form:`, with the places.
    pub accepted: BTreeMap<String, Vec<String>>,
    /// Ids behind `# refuse:`, with the places.
    pub refused: BTreeMap<String, Vec<String>>,
    /// Statements and queries in all.
    pub records: usize,
    /// Those that expect an error.
    pub refusals: usize,
}

impl Shown {
    /// Adds the records of a file. `# form: ID` and `# refuse: ID` speak of the next record, which must succeed or fail
    /// accordingly.
    pub fn add(&mut self, file: &Path) -> Result<(), String> {
        let records: Vec<Record<Kind>> =
            sqllogictest::parse_file(file).map_err(|error| error.to_string())?;
        let mut claims: Vec<(bool, String)> = Vec::new();
        for record in records {
            let (fails, place) = match record {
                Record::Comment(lines) => {
                    claims.extend(lines.iter().filter_map(|line| claim(line)));
                    continue;
                }
                Record::Statement { expected, loc, .. } => {
                    (matches!(expected, StatementExpect::Error(_)), loc)
                }
                Record::Query { expected, loc, .. } => {
                    (matches!(expected, QueryExpect::Error(_)), loc)
                }
                _ => continue,
            };
            self.records += 1;
            self.refusals += usize::from(fails);
            for (refuses, id) in claims.drain(..) {
                if refuses != fails {
                    let what = if fails {
                        "expects an error"
                    } else {
                        "expects none"
                    };
                    return Err(format!("{place}: the record for {id} {what}"));
                }
                let ids = if refuses {
                    &mut self.refused
                } else {
                    &mut self.accepted
                };
                ids.entry(id).or_default().push(place.to_string());
            }
        }
        match claims.first() {
            Some((_, id)) => Err(format!(
                "{}: no record follows the claim for {id}",
                file.display()
            )),
            None => Ok(()),
        }
    }
}

/// Whether a comment claims a refusal, and of what.
fn claim(comment: &str) -> Option<(bool, String)> {
    let (word, id) = comment.trim().split_once(':')?;
    let id = id.trim().to_owned();
    match word {
        "form" => Some((false, id)),
        "refuse" => Some((true, id)),
        _ => None,
    }
}

/// What is wrong between the reference and the records, a sentence each.
pub fn differences(forms: &Forms, shown: &Shown) -> Vec<String> {
    let mut wrong = Vec::new();
    for id in &forms.accepted {
        if !shown.accepted.contains_key(id) {
            wrong.push(format!(
                "{id} has no record that shows it accepted (# form: {id})"
            ));
        }
        if !shown.refused.contains_key(id) {
            wrong.push(format!(
                "{id} has no record that shows a wrong use refused (# refuse: {id})"
            ));
        }
    }
    for id in &forms.refused {
        if !shown.refused.contains_key(id) {
            wrong.push(format!(
                "{id} has no record that shows it refused (# refuse: {id})"
            ));
        }
    }
    for (id, places) in shown.accepted.iter().chain(&shown.refused) {
        if !forms.accepted.contains(id) && !forms.refused.contains(id) {
            wrong.push(format!(
                "{id} at {} is not in the SQL reference",
                places.join(", ")
            ));
        }
    }
    wrong
}
