//! Statements that SQL has and clickmill does not: refused by their names.

use dataflow::Error;

use super::cursor::Cursor;

/// Statements that their first word names.
const ONE_WORD: &str = "ANALYZE ANALYSE ASSERT ATTACH BACKUP CALL CHECKPOINT CLOSE CLUSTER COMMENT DEALLOCATE DECLARE \
    DELETE DETACH DO EXECUTE EXPORT FETCH FLUSH GRANT HANDLER IMPORT INSTALL KILL LISTEN LOAD LOCK MERGE \
    MOVE NOTIFY OPTIMIZE PRAGMA PREPARE REASSIGN REFRESH REINDEX RELEASE RENAME REPLACE REVOKE SAVEPOINT SECURITY TAIL \
    TRUNCATE UNLISTEN UPDATE UPSERT USE VACUUM";

/// Statements that a second word, or more, completes.
const WITH_OBJECT: [&str; 8] = [
    "ALTER", "CREATE", "DROP", "DISCARD", "ROLLBACK", "COMMIT", "ABORT", "END",
];

/// Kinds of objects that are named by two words or three.
const LONG_KINDS: [&[&str]; 15] = [
    &["MATERIALIZED", "VIEW"],
    &["FOREIGN", "TABLE"],
    &["FOREIGN", "DATA", "WRAPPER"],
    &["EVENT", "TRIGGER"],
    &["ACCESS", "METHOD"],
    &["DEFAULT", "PRIVILEGES"],
    &["DEFAULT", "CONVERSION"],
    &["LARGE", "OBJECT"],
    &["OPERATOR", "CLASS"],
    &["OPERATOR", "FAMILY"],
    &["TEXT", "SEARCH"],
    &["USER", "MAPPING"],
    &["UNIQUE", "INDEX"],
    &["CONSTRAINT", "TRIGGER"],
    &["EXTERNAL", "TABLE"],
];

/// The error for a statement that is not carried out: `0A000` by its name, or a syntax error where the first word begins
/// no statement.
pub(super) fn refuse_statement(cursor: &Cursor<'_>) -> Error {
    let first = word(cursor, 0);
    let name = if ONE_WORD.split_whitespace().any(|word| word == first) {
        match (first.as_str(), word(cursor, 1).as_str()) {
            ("REFRESH", "MATERIALIZED") => "REFRESH MATERIALIZED VIEW".to_owned(),
            _ => first.clone(),
        }
    } else if WITH_OBJECT.contains(&first.as_str()) {
        let long = LONG_KINDS.iter().find(|kind| {
            (1..)
                .zip(kind.iter())
                .all(|(at, text)| word(cursor, at) == **text)
        });
        let kind = long.map_or_else(|| word(cursor, 1), |kind| kind.join(" "));
        if kind.is_empty() {
            let mut ahead = cursor.clone();
            ahead.skip();
            return ahead.unexpected();
        }
        format!("{first} {kind}")
    } else {
        return cursor.unexpected();
    };
    let error = cursor.unsupported(&name);
    match hint(&name) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" => {
            "rows of a table can only be added, by INSERT"
        }
        "REFRESH MATERIALIZED VIEW" => "materialized views are kept up to date by themselves",
        "CREATE SCHEMA" | "CREATE DATABASE" => "everything lives in schema public",
        "DECLARE" | "FETCH" | "MOVE" | "CLOSE" => "use SUBSCRIBE, or COPY (SUBSCRIBE …) TO STDOUT",
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => "prepare statements by the driver's protocol",
        "TAIL" => "use SUBSCRIBE",
        _ => return None,
    })
}

/// The word `ahead` places from here in upper case, or nothing.
fn word(cursor: &Cursor<'_>, ahead: usize) -> String {
    let unquoted = cursor
        .word_at(ahead)
        .filter(|word| word.quote_style.is_none());
    unquoted
        .map(|word| word.value.to_ascii_uppercase())
        .unwrap_or_default()
}
