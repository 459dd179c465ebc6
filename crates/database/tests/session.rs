//! The façade from end to end in one process: tables as streams, windows, live results.

use std::sync::Arc;

use database::{Cancel, Config, Database, Outcome, Session, SessionInit};
use dataflow::connector::Connectors;
use dataflow::{ManualClock, Result};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::StreamExt;

fn database() -> Database {
    let clock = Arc::new(ManualClock::new(0));
    Database::start(Config {
        clock,
        connectors: Connectors::default(),
        version: "test",
        data_dir: None,
    })
    .unwrap()
}

fn session(database: &Database) -> Session {
    database
        .session(SessionInit {
            user: "me".into(),
            database: "clickmill".into(),
            ..Default::default()
        })
        .unwrap()
}

async fn run(session: &mut Session, text: &str) -> Result<Vec<RecordBatch>> {
    let mut last = Vec::new();
    for parsed in session.parse(text)? {
        match session.execute(&parsed, &[], &Cancel::new()).await? {
            Outcome::Rows(rows) => {
                last = rows
                    .stream
                    .collect::<Vec<_>>()
                    .await
                    .into_iter()
                    .collect::<Result<Vec<_>>>()?;
            }
            Outcome::Copy(..) | Outcome::Done(_) => last = Vec::new(),
        }
    }
    session.finish_batch().await?;
    Ok(last)
}

fn table(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

const CLICKS: &str = "CREATE TABLE clicks (user_id TEXT, page TEXT, ts TIMESTAMPTZ,
    WATERMARK FOR ts AS ts - INTERVAL '5 seconds');";

#[tokio::test(flavor = "multi_thread")]
async fn a_tumbling_window_gives_its_rows_when_it_closes() {
    let database = database();
    let mut s = session(&database);
    run(&mut s, CLICKS).await.unwrap();
    run(&mut s, "CREATE MATERIALIZED VIEW v AS SELECT page, window_start, window_end, count(*) AS n,
        count(DISTINCT user_id) AS users FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY page, window_start, window_end")
        .await
        .unwrap();
    run(&mut s, "INSERT INTO clicks VALUES ('u1', '/a', '2026-01-01 00:00:10Z'), ('u1', '/a', '2026-01-01 00:00:20Z'),
        ('u2', '/b', '2026-01-01 00:00:59Z')")
        .await
        .unwrap();
    assert!(
        run(&mut s, "SELECT * FROM v")
            .await
            .unwrap()
            .iter()
            .all(|b| b.num_rows() == 0)
    );
    run(
        &mut s,
        "ADVANCE WATERMARK FOR clicks TO '2026-01-01 00:01:00Z'",
    )
    .await
    .unwrap();
    let rows = run(&mut s, "SELECT page, n, users FROM v ORDER BY page")
        .await
        .unwrap();
    assert_eq!(
        table(&rows),
        "+------+---+-------+\n| page | n | users |\n+------+---+-------+\n| /a   | 2 | 1     |\n| /b   | 1 | 1     |\n+------+---+-------+"
    );
    let bounded = run(
        &mut s,
        "SELECT page, count(*) AS n, count(DISTINCT user_id) AS users
        FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY page, window_start ORDER BY page",
    )
    .await
    .unwrap();
    assert_eq!(table(&bounded), table(&rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn hops_sessions_cascades_and_top_n() {
    let database = database();
    let mut s = session(&database);
    run(&mut s, CLICKS).await.unwrap();
    run(&mut s, "
        CREATE MATERIALIZED VIEW hops AS SELECT page, window_end, count(*) AS n
            FROM HOP(clicks, ts, INTERVAL '1 minute', INTERVAL '3 minutes') GROUP BY page, window_start, window_end;
        CREATE MATERIALIZED VIEW visits AS SELECT user_id, window_start, window_end, count(*) AS n, min(ts) AS first
            FROM SESSION(clicks PARTITION BY user_id, ts, INTERVAL '1 minute') GROUP BY user_id, window_start, window_end;
        CREATE MATERIALIZED VIEW minutes AS SELECT page, window_start, window_end, window_time, count(*) AS n
            FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY page, window_start, window_end, window_time;
        CREATE MATERIALIZED VIEW trending AS SELECT * FROM (
            SELECT page, window_start, window_end, sum(n) AS total,
                ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY sum(n) DESC, page) AS place
            FROM HOP(minutes, window_time, INTERVAL '1 minute', INTERVAL '2 minutes') GROUP BY page, window_start, window_end)
            WHERE place <= 1;
        CREATE MATERIALIZED VIEW live AS SELECT page, window_start, window_end, count(*) AS n
            FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY page, window_start, window_end EMIT ON UPDATE;
        CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, count(*) FILTER (WHERE page <> '/b') AS not_b FROM clicks;
    ").await.unwrap();
    assert_eq!(
        table(&run(&mut s, "SELECT * FROM total").await.unwrap()),
        "+---+-------+\n| n | not_b |\n+---+-------+\n| 0 | 0     |\n+---+-------+"
    );
    run(&mut s, "INSERT INTO clicks VALUES ('u1', '/a', '2026-01-01 00:00:10Z'), ('u1', '/a', '2026-01-01 00:00:20Z'),
        ('u2', '/b', '2026-01-01 00:00:59Z'), ('u1', '/b', '2026-01-01 00:01:40Z')").await.unwrap();
    assert_eq!(
        table(&run(&mut s, "SELECT * FROM total").await.unwrap()),
        "+---+-------+\n| n | not_b |\n+---+-------+\n| 4 | 2     |\n+---+-------+"
    );
    assert_eq!(
        table(
            &run(
                &mut s,
                "SELECT page, n FROM live ORDER BY page, window_start"
            )
            .await
            .unwrap()
        ),
        "+------+---+\n| page | n |\n+------+---+\n| /a   | 2 |\n| /b   | 1 |\n| /b   | 1 |\n+------+---+"
    );
    run(
        &mut s,
        "ADVANCE WATERMARK FOR clicks TO '2026-01-01 00:10:00Z'",
    )
    .await
    .unwrap();
    assert_eq!(
        table(
            &run(
                &mut s,
                "SELECT user_id, n, first, window_end FROM visits ORDER BY user_id, first"
            )
            .await
            .unwrap()
        ),
        "+---------+---+----------------------+----------------------+\n\
         | user_id | n | first                | window_end           |\n\
         +---------+---+----------------------+----------------------+\n\
         | u1      | 2 | 2026-01-01T00:00:10Z | 2026-01-01T00:01:20Z |\n\
         | u1      | 1 | 2026-01-01T00:01:40Z | 2026-01-01T00:02:40Z |\n\
         | u2      | 1 | 2026-01-01T00:00:59Z | 2026-01-01T00:01:59Z |\n\
         +---------+---+----------------------+----------------------+"
    );
    assert_eq!(
        table(
            &run(
                &mut s,
                "SELECT page, sum(n) AS n, count(*) AS w FROM hops GROUP BY page ORDER BY page"
            )
            .await
            .unwrap()
        ),
        "+------+---+---+\n| page | n | w |\n+------+---+---+\n| /a   | 6 | 3 |\n| /b   | 6 | 4 |\n+------+---+---+"
    );
    assert_eq!(
        table(
            &run(
                &mut s,
                "SELECT page, total, place FROM trending ORDER BY window_end"
            )
            .await
            .unwrap()
        ),
        "+------+-------+-------+\n| page | total | place |\n+------+-------+-------+\n| /a   | 2     | 1     |\n| /a   | 2     | 1     |\n| /b   | 1     | 1     |\n+------+-------+-------+"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_begins_with_the_rows_and_follows() {
    let database = database();
    let mut s = session(&database);
    run(&mut s, CLICKS).await.unwrap();
    run(
        &mut s,
        "INSERT INTO clicks VALUES ('u1', '/a', '2026-01-01 00:00:10Z')",
    )
    .await
    .unwrap();
    let mut reader = session(&database);
    let parsed = reader
        .parse("SUBSCRIBE (SELECT user_id, page FROM clicks WHERE page = '/a')")
        .unwrap();
    let cancel = Cancel::new();
    let Ok(Outcome::Rows(mut rows)) = reader.execute(&parsed[0], &[], &cancel).await else {
        panic!("no rows")
    };
    let first = rows.stream.next().await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 1);
    run(&mut s, "INSERT INTO clicks VALUES ('u2', '/b', '2026-01-01 00:00:11Z'), ('u3', '/a', '2026-01-01 00:00:12Z')").await.unwrap();
    let second = rows.stream.next().await.unwrap().unwrap();
    assert_eq!(second.num_rows(), 1);
    cancel.cancel();
    let end = rows.stream.next().await.unwrap().unwrap_err();
    assert_eq!(end.state().0, "57014");
}
