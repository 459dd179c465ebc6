//! The server over clickmill's own database: what a client of a small table sees.

use std::sync::Arc;

use database::{Config, Database};
use dataflow::SystemClock;
use dataflow::connector::Connectors;
use futures::{StreamExt, pin_mut};
use tokio::time::timeout;
use tokio_postgres::NoTls;

use super::raw::PATIENCE;
use crate::{PgConfig, PgServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_filled_read_and_followed() {
    let clock = Arc::new(SystemClock);
    let connectors = Connectors::default();
    let database = Database::start(Config {
        clock,
        connectors,
        version: "test",
        data_dir: None,
    })
    .unwrap();
    let config = PgConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        ..PgConfig::default()
    };
    let server = PgServer::start(config, Arc::new(database.clone()))
        .await
        .unwrap();
    let connection = format!(
        "host=127.0.0.1 port={} user=ann dbname=db",
        server.address().port()
    );
    let (client, task) = tokio_postgres::connect(&connection, NoTls).await.unwrap();
    tokio::spawn(task);
    client
        .batch_execute("CREATE TABLE t (a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y')")
        .await
        .unwrap();
    let rows = client
        .query("SELECT a, b FROM t WHERE a >= $1 ORDER BY a", &[&2_i32])
        .await
        .unwrap();
    assert_eq!(
        (
            rows.len(),
            rows[0].get::<_, i32>(0),
            rows[0].get::<_, &str>(1)
        ),
        (1, 2, "y")
    );
    let error = client
        .query("SELECT a,\n nix FROM t", &[])
        .await
        .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(
        (error.code().code(), error.position()),
        (
            "42703",
            Some(&tokio_postgres::error::ErrorPosition::Original(12))
        )
    );
    let lines = client
        .copy_out("COPY (SUBSCRIBE t) TO STDOUT")
        .await
        .unwrap();
    pin_mut!(lines);
    for _ in 0..2 {
        let line = timeout(PATIENCE, lines.next())
            .await
            .expect("a row comes at once")
            .unwrap()
            .unwrap();
        assert!(line.ends_with(b"\n"));
    }
    drop(client);
    server.shutdown().await;
    database.shutdown();
}
