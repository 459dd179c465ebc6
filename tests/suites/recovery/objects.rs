//! State in an object store: the same promises as on a disk, with nothing on the machine.

use std::time::{Duration, Instant};

use e2e::s3::S3;
use e2e::serve::{Server, StateAt as _};
use e2e::world::PATIENCE;

use super::{failpoints, with_checkpoints};

/// How long something is watched that must not happen.
const SHORT: Duration = Duration::from_millis(500);

async fn start() -> S3 {
    tokio::task::spawn_blocking(S3::start).await.unwrap()
}

pub(super) async fn killed_again_and_again() {
    let s3 = start().await;
    let place = s3.state("killed");
    super::killed_again_and_again(&place).await;
    let (said, is_sound) = place.inspect("verify");
    assert!(is_sound && said.ends_with("sound\n"), "{said}");
}

pub(super) async fn ended_at_each_failpoint() {
    let s3 = start().await;
    failpoints::ended_at_each(&s3.state("ended"), &failpoints::OF_FILES).await;
}

pub(super) async fn taken_over() {
    let s3 = start().await;
    super::taken_over(&s3.state("taken/over")).await;
}

/// Nothing is shown that the store has not acknowledged; statements wait, and everything goes on when it answers.
pub(super) async fn store_away() {
    let s3 = start().await;
    let place = s3.state("away");
    let mut server = with_checkpoints(&place).await;
    let rows = server.value("SELECT count(*) FROM v").await;
    s3.stand_still(true);
    let port = server.port;
    let insert = tokio::spawn(async move {
        let mut wire = e2e::slt::wire::Wire::connect(port).await.unwrap();
        let insert = "INSERT INTO t VALUES (1000)";
        sqllogictest::AsyncDB::run(&mut wire, insert).await.unwrap();
    });
    let why = "SELECT detail FROM clickmill.jobs WHERE state = 'waiting' AND name = 'v'";
    let begun = Instant::now();
    let reason = loop {
        if let [row] = server.query(why).await.as_slice() {
            break row[0].clone();
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is said to wait");
    };
    assert!(
        reason.contains("s3://clickmill/away/journal/") && reason.contains("no answer"),
        "{reason}"
    );
    // Nor is a view replaced before that is acknowledged: others read what it was.
    let replace = tokio::spawn(async move {
        let mut wire = e2e::slt::wire::Wire::connect(port).await.unwrap();
        let replace = "CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT n * 2 AS m, n FROM t";
        sqllogictest::AsyncDB::run(&mut wire, replace)
            .await
            .unwrap();
    });
    tokio::time::sleep(SHORT).await;
    assert!(!replace.is_finished());
    assert!(!insert.is_finished());
    assert_eq!(server.value("SELECT count(*) FROM v").await, rows);
    assert_eq!(server.query("SELECT * FROM v LIMIT 1").await[0].len(), 1);
    s3.stand_still(false);
    insert.await.unwrap();
    replace.await.unwrap();
    assert_eq!(server.query("SELECT * FROM v LIMIT 1").await[0].len(), 2);
    let more = rows.parse::<i64>().unwrap() + 1;
    server
        .await_value("SELECT count(*) FROM v", &more.to_string())
        .await;
    server.kill();
    server = Server::start(&place);
    assert_eq!(
        server.value("SELECT count(*) FROM v").await,
        more.to_string()
    );
    server.stop();
    // A start does not wait for ever.
    s3.stand_still(true);
    let said = Server::try_start(&place).map(drop).unwrap_err();
    assert!(
        said.contains("error[08006]: cannot read s3://clickmill/away/"),
        "{said}"
    );
    assert!(!said.contains("canary-of-s3"), "{said}");
    s3.stand_still(false);
}

/// A savepoint in the store begins another state there, and its damage is named.
pub(super) async fn savepoints() {
    let s3 = start().await;
    let (before, after) = (s3.state("before"), s3.state("after"));
    let mut first = with_checkpoints(&before).await;
    let everything = "SELECT count(*), sum(n), (SELECT sum(m) FROM v) FROM t";
    let rows = first.query(everything).await;
    first.query("CREATE SAVEPOINT moved").await;
    let place = first.value("SELECT path FROM clickmill.savepoints").await;
    assert_eq!(place, "s3://clickmill/before/savepoints/moved.savepoint");
    first.query("INSERT INTO t VALUES (1000)").await;
    first.stop();
    let from = ["--from-savepoint", place.as_str()];
    let mut second = Server::try_start_with(&after, &from).unwrap();
    assert_eq!(second.query(everything).await, rows);
    second.query("INSERT INTO t VALUES (0)").await;
    second.kill();
    second = Server::start(&after);
    let count = second.value("SELECT count(*) FROM t").await;
    assert_eq!(
        count.parse::<i64>().unwrap(),
        rows[0][0].parse::<i64>().unwrap() + 1
    );
    second.stop();
    first = Server::start(&before);
    first.query("DROP SAVEPOINT moved").await;
    assert_eq!(first.query("SHOW SAVEPOINTS").await.len(), 0);
    for (place, argument, refused) in [
        (&before, "--no-sync", "--no-sync does not go with"),
        (
            &before,
            "--embedded-broker",
            "--embedded-broker does not go with",
        ),
    ] {
        let said = Server::try_start_with(place, &[argument])
            .map(drop)
            .unwrap_err();
        assert!(said.contains(refused), "{said}");
    }
}
