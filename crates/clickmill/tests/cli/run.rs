//! `clickmill run` in an engine of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use tempfile::tempdir;

use crate::process::{Process, clickmill, command};

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn rows_go_to_standard_output_and_notices_to_standard_error() {
    let folder = tempdir().unwrap();
    let text = "\
CREATE TABLE pages (page TEXT, views INT);
CREATE TABLE IF NOT EXISTS pages (page TEXT);
INSERT INTO pages VALUES ('/home', 12), ('/cart', NULL);
SELECT page, views FROM pages ORDER BY page;
COPY (SELECT * FROM pages ORDER BY page) TO STDOUT;
";
    write(folder.path(), "q.sql", text);
    let ended = clickmill(folder.path(), &["run", "q.sql"]);
    let expected = " page  | views
-------+-------
 /cart |
 /home |    12
(2 rows)

/cart\t\\N
/home\t12
";
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), expected),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains("note: relation \"pages\" already exists, skipping\n")
    );
    assert!(ended.stderr.contains("note: q.sql: 5 statements done\n"));
}

#[test]
fn an_error_shows_its_place_and_ends_the_run() {
    let folder = tempdir().unwrap();
    write(
        folder.path(),
        "first.sql",
        "SELECT 1 AS one;\nSELECT 'é',\n  nothing\nFROM (SELECT 1 AS a) AS x;",
    );
    write(folder.path(), "second.sql", "SELECT 2;");
    let ended = clickmill(folder.path(), &["run", "first.sql", "second.sql"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stdout, " one\n-----\n   1\n(1 row)\n\n");
    let start = "\
error[42703]: column \"nothing\" does not exist
 --> first.sql:3:3
  |
3 |   nothing
  |   ^
";
    assert!(ended.stderr.starts_with(start), "{}", ended.stderr);
}

#[test]
fn nothing_is_run_when_a_file_cannot_be_read() {
    let folder = tempdir().unwrap();
    write(folder.path(), "first.sql", "SELECT 1;");
    let ended = clickmill(folder.path(), &["run", "first.sql", "second.sql"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(
        ended.stderr.starts_with("error: cannot read second.sql: "),
        "{}",
        ended.stderr
    );
}

#[test]
fn variables_come_from_the_environment() {
    let folder = tempdir().unwrap();
    write(
        folder.path(),
        "q.sql",
        "SELECT '${WHO:nobody}' AS who, '\\${WHO}' AS plain;",
    );
    let given = Process::start(command(folder.path(), &["run", "q.sql"]).env("WHO", "ann")).end();
    assert!(given.stdout.contains("\n ann | ${WHO}\n"), "{given:?}");
    let default = clickmill(folder.path(), &["run", "q.sql"]);
    assert!(
        default.stdout.contains("\n nobody | ${WHO}\n"),
        "{default:?}"
    );
    write(
        folder.path(),
        "q.sql",
        "-- a comment\nSELECT '${CLICKMILL_TEST_MISSING}';",
    );
    let missing = clickmill(folder.path(), &["run", "q.sql"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing
            .stderr
            .contains("variable CLICKMILL_TEST_MISSING has no value"),
        "{missing:?}"
    );
    assert!(missing.stderr.contains(" --> q.sql:2:9\n"), "{missing:?}");
}

#[test]
fn a_subscribe_goes_on_until_it_is_interrupted() {
    let folder = tempdir().unwrap();
    let text = "CREATE TABLE t (a INT); INSERT INTO t VALUES (7); SUBSCRIBE t; SELECT 8;";
    write(folder.path(), "q.sql", text);
    let mut process = Process::start(&mut command(folder.path(), &["run", "q.sql"]));
    let row = process.stdout_line("\t");
    assert!(row.ends_with("\t1\t7"), "{row}");
    process.signal("INT");
    let ended = process.end();
    assert_eq!(
        (ended.code, ended.stdout.lines().count()),
        (Some(0), 1),
        "{ended:?}"
    );
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let folder = tempdir().unwrap();
    let digits = "(VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9))";
    let from: Vec<String> = (1..=6).map(|i| format!("{digits} AS d{i}(x)")).collect();
    write(
        folder.path(),
        "q.sql",
        &format!(
            "COPY (SELECT 'a row of some bytes' FROM {}) TO STDOUT;",
            from.join(", ")
        ),
    );
    let mut command = command(folder.path(), &["run", "q.sql"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "a row of some bytes\n");
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn views_are_kept_running_only_when_asked() {
    let folder = tempdir().unwrap();
    let text = "CREATE TABLE t (a INT); CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM t;";
    write(folder.path(), "q.sql", text);
    let ended = clickmill(folder.path(), &["run", "q.sql"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stderr.contains("hint: --serve keeps them running"),
        "{ended:?}"
    );
    let mut process = Process::start(&mut command(
        folder.path(),
        &["run", "--pg-port", "0", "q.sql"],
    ));
    process.stderr_line("psql -h 127.0.0.1 -p ");
    process.stderr_line("serving until Ctrl-C");
    process.signal("TERM");
    assert_eq!(process.end().code, Some(0));
}
