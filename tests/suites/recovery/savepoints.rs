//! A new folder of state begins with a savepoint, and goes on exactly where that was, also for its sinks.

use std::path::Path;

use e2e::kafka::{Broker, consumed};
use e2e::serve::{Server, StateAt as _};
use tempfile::TempDir;

use super::gaps::send;

/// What `clickmill state` says of a folder.
fn state(what: &str, folder: &Path) -> String {
    let (said, is_well) = folder.inspect(what);
    assert!(is_well, "{said}");
    said
}

fn numbers(brokers: &str) -> Vec<i64> {
    let text = consumed(brokers, "out", "%s\n");
    let number = |line: &str| -> i64 {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        value["n"].as_i64().unwrap()
    };
    let mut numbers: Vec<i64> = text.lines().map(number).collect();
    numbers.sort_unstable();
    numbers
}

pub(super) async fn begin_with_one() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let brokers = broker.address();
    send(brokers, "clicks", 0..100).await;
    let (before, after) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let mut first = Server::start(before.path());
    let statements = format!(
        "CREATE SOURCE clicks (n BIGINT) WITH (connector = 'kafka', topic = 'clicks', brokers = '{brokers}') FORMAT PLAIN ENCODE JSON;
         CREATE MATERIALIZED VIEW total AS SELECT count(*) AS records, sum(n) AS sum FROM clicks;
         CREATE SINK out AS SELECT n FROM clicks
           WITH (connector = 'kafka', topic = 'out', brokers = '{brokers}', partitions = 1, delivery = 'exactly_once') FORMAT PLAIN ENCODE JSON;"
    );
    first.query(&statements).await;
    first.await_value("SELECT records FROM total", "100").await;
    let written = "SELECT count(*) FROM clickmill.sinks WHERE pending_rows = 0 AND rows = 100";
    first.await_value(written, "1").await;
    first.query("CREATE SAVEPOINT moved").await;
    let place = first.value("SELECT path FROM clickmill.savepoints").await;
    first.stop();
    assert!(state("ls", before.path()).contains("\nsavepoint moved: version "));
    assert!(state("verify", before.path()).ends_with("sound\n"));

    send(brokers, "clicks", 100..200).await;
    let from = ["--from-savepoint", place.as_str()];
    let said = Server::try_start_with(before.path(), &from)
        .map(drop)
        .unwrap_err();
    assert!(said.contains("holds state already"), "{said}");
    // A start that ends in the middle is made again, and no other is.
    let said = Server::start_to_end_at(after.path(), "savepoint.taken", &from);
    let said = said.map(drop).unwrap_err();
    assert!(said.contains("failpoint SavepointTaken"), "{said}");
    let said = Server::try_start(after.path()).map(drop).unwrap_err();
    assert!(said.contains("say --from-savepoint once more"), "{said}");
    let mut second = Server::try_start_with(after.path(), &from).unwrap();
    assert!(second.said.contains("0 ticks run again"), "{}", second.said);
    let total = "SELECT records || ' ' || sum FROM total";
    second.await_value(total, "200 19900").await;
    let written = "SELECT count(*) FROM clickmill.sinks WHERE pending_rows = 0 AND state = 'running' AND rows = 100";
    second.await_value(written, "1").await;
    // Its savepoints are its own, and it goes on like any other.
    assert_eq!(second.query("SHOW SAVEPOINTS").await.len(), 0);
    second.kill();
    second = Server::start(after.path());
    assert_eq!(second.value(total).await, "200 19900");
    second.stop();
    assert_eq!(numbers(brokers), (0..200).collect::<Vec<_>>());

    // What was moved away from is behind what its sink has written since.
    let first = Server::start(before.path());
    let state = "SELECT state || ': ' || detail FROM clickmill.sinks";
    first
        .await_value("SELECT state FROM clickmill.sinks", "failed")
        .await;
    let why = first.value(state).await;
    assert!(
        why.contains("the target has everything up to version"),
        "{why}"
    );
    let missing = ["--from-savepoint", "/nowhere/at.savepoint"];
    let said = Server::try_start_with(TempDir::new().unwrap().path(), &missing);
    let said = said.map(drop).unwrap_err();
    assert!(said.contains("there is no savepoint /nowhere"), "{said}");
}
