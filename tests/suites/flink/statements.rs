//! The files of statements: each its name behind two dashes, then the text up to a semicolon.

use e2e::tools::tests_folder;

/// A named statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) name: String,
    pub(super) text: String,
}

/// The statements of a file of `tests/flink`. The name is the last line of comment before the text.
pub(super) fn read(file: &str) -> Vec<Statement> {
    let path = tests_folder().join("flink").join(file);
    let file = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut statements = Vec::new();
    let (mut name, mut text) = (String::new(), String::new());
    for line in file.lines() {
        if let Some(comment) = line.strip_prefix("-- ") {
            assert!(text.is_empty(), "{name} has no semicolon");
            name = comment.to_owned();
        } else if let Some(last) = line.strip_suffix(';') {
            text.push_str(last);
            statements.push(Statement {
                name: std::mem::take(&mut name),
                text: std::mem::take(&mut text),
            });
        } else if !line.is_empty() {
            text.push_str(line);
            text.push('\n');
        }
    }
    assert!(text.is_empty(), "{name} has no semicolon");
    statements
}
