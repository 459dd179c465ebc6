//! `clickmill demo`: rows are there when it says so, and it stops when told.

use std::fs;
use std::net::TcpListener;

use tempfile::tempdir;

use crate::process::{Process, clickmill, command};

#[test]
fn the_views_of_the_demo_have_rows_and_it_stops_cleanly() {
    let folder = tempdir().unwrap();
    let words = [
        "demo",
        "--rate",
        "20",
        "--pg-port",
        "0",
        "--kafka-port",
        "0",
    ];
    let mut demo = Process::start(&mut command(folder.path(), &words));
    let psql = demo.stderr_line("psql -h 127.0.0.1 -p ");
    let port = psql.rsplit(' ').next().unwrap().to_owned();
    demo.stderr_line("Ctrl-C ends the demo.");

    let views = [
        "page_views",
        "user_activity",
        "sessions",
        "page_minutes",
        "trending",
        "public_views",
        "filter_stats",
    ];
    let counts: Vec<String> = views
        .map(|view| format!("(SELECT count(*) FROM {view}) > 0 AS {view}"))
        .to_vec();
    let text = format!(
        "SELECT {};\nSELECT max(rank) <= 10 AS ten FROM trending;",
        counts.join(", ")
    );
    fs::write(folder.path().join("q.sql"), text).unwrap();
    let server = format!("127.0.0.1:{port}");
    let asked = clickmill(folder.path(), &["run", "--connect", &server, "q.sql"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let answers = asked.stdout.matches(" t ").count() + asked.stdout.matches(" t\n").count();
    assert_eq!(answers, views.len() + 1, "{}", asked.stdout);

    demo.signal("TERM");
    let ended = demo.end();
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    assert!(ended.stderr.ends_with("stopped\n"), "{ended:?}");
    let banner = ended
        .stderr
        .lines()
        .take_while(|line| !line.starts_with("Ctrl-C"));
    assert!(banner.count() + 1 < 12, "{}", ended.stderr);
}

#[test]
fn the_demo_runs_the_files_of_another_folder_and_follows_an_interrupt() {
    let folder = tempdir().unwrap();
    let text = "CREATE SOURCE c (p TEXT FROM 'pageUrl', ts TIMESTAMPTZ FROM 'timestamp') WITH (connector = 'kafka',
                  topic = '${TOPIC}', brokers = '${BROKERS}', start = 'earliest') FORMAT PLAIN ENCODE JSON;
                CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n FROM c;";
    fs::write(folder.path().join("mine.sql"), text).unwrap();
    let words = [
        "demo",
        "--rate",
        "1",
        "--pg-port",
        "0",
        "--kafka-port",
        "0",
        "--queries",
        ".",
    ];
    let mut demo = Process::start(&mut command(folder.path(), &words));
    demo.stderr_line("SHOW JOBS;");
    demo.signal("INT");
    assert_eq!(demo.end().code, Some(0));

    fs::write(folder.path().join("wrong.sql"), "SELECT\n  x;").unwrap();
    let ended = clickmill(folder.path(), &words);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("wrong.sql:2:3\n"), "{ended:?}");
}

#[test]
fn the_usual_ports_may_be_taken() {
    let folder = tempdir().unwrap();
    // When somebody else has them already, all the better.
    let _taken = [5433, 9092].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let mut demo = Process::start(&mut command(folder.path(), &["demo", "--rate", "1"]));
    let broker = demo.stderr_line("in topic click-stream on 127.0.0.1:");
    let psql = demo.stderr_line("psql -h 127.0.0.1 -p ");
    assert!(!broker.ends_with(":9092"), "{broker}");
    assert!(!psql.ends_with(" 5433"), "{psql}");
    demo.signal("TERM");
    assert_eq!(demo.end().code, Some(0));
}
