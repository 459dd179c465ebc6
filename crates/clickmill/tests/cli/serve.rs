//! `clickmill serve`, and `clickmill run --connect` to it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use tempfile::tempdir;

use crate::process::{Process, clickmill, command};

/// The address behind `before` in a line, up to a blank or a colon that ends it.
fn address(line: &str, before: &str) -> String {
    let (_, rest) = line.split_once(before).unwrap();
    let word = rest.split(' ').next().unwrap();
    word.trim_end_matches(':').to_owned()
}

#[test]
fn files_are_run_in_an_engine_that_runs() {
    let folder = tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "init.sql",
        "CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, NULL);",
    );
    let words = ["serve", "--pg-port", "0", "--init", "init.sql"];
    let mut server = Process::start(&mut command(folder.path(), &words));
    let address = address(&server.stderr_line("listens on"), "listens on ");
    let connect = |name: &str| clickmill(folder.path(), &["run", "--connect", &address, name]);

    write(
        "q.sql",
        "SELECT a, b FROM t;\nCREATE TABLE IF NOT EXISTS t (x INT);\nCOPY t TO STDOUT;\nSHOW TABLES;",
    );
    let ended = connect("q.sql");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended
            .stdout
            .starts_with(" a | b\n---+---\n 1 |\n(1 row)\n\n1\t\\N\n"),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains("note: relation \"t\" already exists, skipping\n"),
        "{ended:?}"
    );

    write(
        "bad.sql",
        "SELECT a FROM t;\nCOPY t TO STDOUT;\nSELECT '${X:é}',\n  c FROM t;",
    );
    let ended = connect("bad.sql");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let place = " --> bad.sql:4:3\n  |\n4 |   c FROM t;\n  |   ^\n";
    assert!(ended.stderr.starts_with("error[42703]: "), "{ended:?}");
    assert!(ended.stderr.contains(place), "{ended:?}");

    write("live.sql", "SUBSCRIBE t;");
    let words = ["run", "--connect", &address, "live.sql"];
    let mut live = Process::start(&mut command(folder.path(), &words));
    assert!(live.stdout_line("\t").ends_with("\t1\t1\t\\N"));
    write("insert.sql", "INSERT INTO t VALUES (2, 'new');");
    assert_eq!(connect("insert.sql").code, Some(0));
    assert!(live.stdout_line("new").ends_with("\t1\t2\tnew"));
    live.signal("INT");
    assert_eq!(live.end().code, Some(0));

    server.signal("TERM");
    let ended = server.end();
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    assert!(ended.stderr.ends_with("stopped\n"), "{ended:?}");
}

/// Sends 300 clicks.
fn produce(folder: &Path, brokers: &str) {
    let words = [
        "produce",
        "--brokers",
        brokers,
        "--topic",
        "clicks",
        "--events",
        "300",
        "--rate",
        "0",
        "--bad",
        "0",
    ];
    let produced = clickmill(folder, &words);
    assert_eq!(produced.code, Some(0), "{produced:?}");
}

#[test]
fn clicks_of_the_embedded_broker_are_counted() {
    let folder = tempdir().unwrap();
    let text = "CREATE SOURCE clicks (user_id TEXT FROM 'userId') WITH (connector = 'kafka', topic = 'clicks',
                  brokers = '${BROKERS}', start = 'earliest') FORMAT PLAIN ENCODE JSON;
                CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM clicks;";
    fs::write(folder.path().join("init.sql"), text).unwrap();
    let words = [
        "serve",
        "--pg-port",
        "0",
        "--embedded-broker",
        "--kafka-port",
        "0",
        "--init",
        "init.sql",
    ];
    let mut server = Process::start(&mut command(folder.path(), &words));
    let brokers = address(&server.stderr_line("broker on"), "broker on ");
    let address = address(&server.stderr_line("listens on"), "listens on ");
    produce(folder.path(), &brokers);
    fs::write(folder.path().join("live.sql"), "SUBSCRIBE counts;").unwrap();
    let words = ["run", "--connect", &address, "live.sql"];
    let mut live = Process::start(&mut command(folder.path(), &words));
    live.stdout_line("\t1\t300");
    server.signal("TERM");
    assert_eq!(server.end().code, Some(0));
    let ended = live.end();
    assert_eq!(
        ended.code,
        Some(1),
        "a server that stops ends its clients: {ended:?}"
    );
    assert!(ended.stderr.contains("error[57P01]: "), "{ended:?}");
}

#[test]
fn what_the_embedded_broker_has_outlives_kill_9_with_the_state() {
    let folder = tempdir().unwrap();
    let text = "CREATE SOURCE clicks (user_id TEXT FROM 'userId') WITH (connector = 'kafka', topic = 'clicks',
                  brokers = '${BROKERS}', start = 'earliest', lost_data = 'fail') FORMAT PLAIN ENCODE JSON;
                CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM clicks;";
    fs::write(folder.path().join("init.sql"), text).unwrap();
    fs::write(folder.path().join("live.sql"), "SUBSCRIBE counts;").unwrap();
    // The statements of the folder name the broker's port.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let words = [
        "serve",
        "--pg-port",
        "0",
        "--embedded-broker",
        "--kafka-port",
        &port,
        "--data-dir",
        "state",
        "--init",
        "init.sql",
    ];
    for round in 1..=3 {
        let mut server = Process::start(&mut command(folder.path(), &words));
        let brokers = address(&server.stderr_line("broker on"), "broker on ");
        let address = address(&server.stderr_line("listens on"), "listens on ");
        produce(folder.path(), &brokers);
        let words = ["run", "--connect", &address, "live.sql"];
        let mut live = Process::start(&mut command(folder.path(), &words));
        live.stdout_line(&format!("\t1\t{}", 300 * round));
        server.signal("KILL");
        server.end();
        live.end();
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_with_a_hint() {
    let folder = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for words in [
        &["serve", "--pg-port", &port][..],
        &[
            "serve",
            "--pg-port",
            "0",
            "--embedded-broker",
            "--kafka-port",
            &port,
        ][..],
        &["demo", "--kafka-port", "0", "--pg-port", &port][..],
    ] {
        let ended = clickmill(folder.path(), words);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{ended:?}"
        );
        assert!(
            ended.stderr.contains("hint: choose another port with --"),
            "{ended:?}"
        );
    }
}

#[test]
fn an_error_in_an_init_file_ends_the_server() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("init.sql"), "SELECT 1;\nSELEC 2;").unwrap();
    let ended = clickmill(
        folder.path(),
        &["serve", "--pg-port", "0", "--init", "init.sql"],
    );
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    assert!(ended.stderr.contains(" --> init.sql:2:1\n"), "{ended:?}");
}
