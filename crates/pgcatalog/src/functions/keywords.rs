//! The key words of SQL, as `pg_get_keywords()` lists them.

use super::{Function, function};
use crate::types::TEXT_ARRAY;

/// Gives one column of the list, named by its argument.
pub(crate) const FUNCTION: &str = "__keywords";

pub(crate) const COLUMNS: &[&str] = &["word", "catcode", "barelabel", "catdesc", "baredesc"];

pub(super) const FUNCTIONS: &[Function] = &[function(FUNCTION, 1..=1, TEXT_ARRAY, |_, args| {
    let asked = args[0].print();
    let column = COLUMNS.iter().position(|column| *column == asked);
    Ok(column.map(list).into())
})];

/// Whether a name must be quoted because it is a word of any class but the first.
pub(super) fn needs_quotes(name: &str) -> bool {
    let mut lines = include_str!("../data/keywords.tsv").lines().skip(1);
    lines.any(|line| line.split('\t').next() == Some(name) && line.split('\t').nth(1) != Some("U"))
}

fn list(column: usize) -> Vec<String> {
    let lines = include_str!("../data/keywords.tsv").lines().skip(1);
    let cells = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    cells.map(|cells| cell(&cells, column)).collect()
}

fn cell(cells: &[&str], column: usize) -> String {
    let given = |place: usize| cells.get(place).copied().unwrap_or_default();
    match column {
        0..=2 => given(column),
        3 => match given(1) {
            "U" => "unreserved",
            "C" => "unreserved (cannot be function or type name)",
            "T" => "reserved (can be function or type name)",
            _ => "reserved",
        },
        _ => match given(2) {
            "t" => "can be bare label",
            _ => "requires AS",
        },
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn every_word_has_a_class() {
        let (words, classes) = (list(0), list(3));
        let place = words
            .iter()
            .position(|word| word == "select")
            .expect("select is a key word");
        assert_eq!(classes[place], "reserved");
        assert_eq!(words.len(), classes.len());
    }
}
