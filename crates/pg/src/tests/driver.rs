//! A real driver, which prepares everything and takes results in binary.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{StreamExt, TryStreamExt, pin_mut};
use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls};

use super::raw::{PATIENCE, server};
use crate::PgServer;

async fn connect(server: &PgServer) -> Client {
    let (host, port) = (server.address().ip(), server.address().port());
    let config = format!("host={host} port={port} user=ann dbname=db application_name=driver");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn values_of_every_type_in_binary() {
    let (server, _) = server().await;
    let client = connect(&server).await;
    let row = client.query_one("types", &[]).await.unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, i16>(1), -7);
    assert_eq!(row.get::<_, i32>(2), 42);
    assert_eq!(row.get::<_, i64>(3), 1 << 40);
    assert_eq!(row.get::<_, f32>(4), 0.25);
    assert_eq!(row.get::<_, f64>(5), 1e20);
    assert_eq!(row.get::<_, &str>(6), "text");
    assert_eq!(row.get::<_, Vec<u8>>(7), [1, 2]);
    assert_eq!(
        row.get::<_, SystemTime>(8),
        UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    );
    assert_eq!(row.get::<_, Vec<i32>>(9), [1, 2]);
    let texts = client.simple_query("types").await.unwrap();
    let shown = texts.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|i| row.get(i).unwrap())
                .collect::<Vec<_>>(),
        ),
        _ => None,
    });
    let wanted = [
        "t",
        "-7",
        "42",
        "1099511627776",
        "0.25",
        "1e+20",
        "text",
        "\\x0102",
        "2026-01-01 00:00:00+00",
        "{1,2}",
    ];
    assert_eq!(shown.unwrap(), wanted);
}

#[tokio::test]
async fn parameters_of_every_type_in_binary() {
    let (server, _) = server().await;
    let client = connect(&server).await;
    let types = [
        Type::BOOL,
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::TEXT,
        Type::BYTEA,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMP,
        Type::INT4_ARRAY,
        Type::VARCHAR,
    ];
    let statement = client.prepare_typed("echo", &types).await.unwrap();
    assert_eq!(statement.params(), types);
    let at = UNIX_EPOCH + Duration::from_micros(1_767_225_600_000_001);
    let null: Option<&str> = None;
    let row = client
        .query_one(
            &statement,
            &[
                &true,
                &-1_i16,
                &2_i32,
                &3_i64,
                &0.5_f32,
                &1e300_f64,
                &"é",
                &&b"\0\xff"[..],
                &at,
                &at,
                &vec![1, 2],
                &null,
            ],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(
        (
            row.get::<_, i16>(1),
            row.get::<_, i32>(2),
            row.get::<_, i64>(3)
        ),
        (-1, 2, 3)
    );
    assert_eq!((row.get::<_, f32>(4), row.get::<_, f64>(5)), (0.5, 1e300));
    assert_eq!(
        (row.get::<_, &str>(6), row.get::<_, &[u8]>(7)),
        ("é", &b"\0\xff"[..])
    );
    assert_eq!(
        (row.get::<_, SystemTime>(8), row.get::<_, SystemTime>(9)),
        (at, at)
    );
    assert_eq!(
        (row.get::<_, Vec<i32>>(10), row.get::<_, Option<&str>>(11)),
        (vec![1, 2], None)
    );
}

#[tokio::test]
async fn a_live_stream_row_by_row_and_its_cancel() {
    let (server, state) = server().await;
    let client = connect(&server).await;
    let rows = client.query_raw("live 5", Vec::<i32>::new()).await.unwrap();
    pin_mut!(rows);
    for wanted in 0..3_i32 {
        let row = timeout(PATIENCE, rows.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(row.get::<_, i32>(0), wanted);
    }
    client.cancel_token().cancel_query(NoTls).await.unwrap();
    let error = loop {
        match timeout(PATIENCE, rows.next()).await.unwrap().unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.code().unwrap().code(), "57014");
    state.open_results(0).await;
    assert_eq!(client.query("rows 2", &[]).await.unwrap().len(), 2);
}

#[tokio::test]
async fn copy_out_streams() {
    let (server, state) = server().await;
    let client = connect(&server).await;
    let lines: Vec<_> = client
        .copy_out("copy rows 3")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines.concat(), b"0\tname 0\n1\tname 1\n2\tname 2\n");
    let live = client.copy_out("csv live 1").await.unwrap();
    pin_mut!(live);
    assert_eq!(
        timeout(PATIENCE, live.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap(),
        "id,name\n"
    );
    assert_eq!(
        timeout(PATIENCE, live.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap(),
        "0,name 0\n"
    );
    drop(client);
    drop(server);
    state.open_results(0).await;
}

#[tokio::test]
async fn portals_of_a_transaction() {
    let (server, _) = server().await;
    let mut client = connect(&server).await;
    let transaction = client.transaction().await.unwrap();
    let first = transaction.bind("rows 7", &[]).await.unwrap();
    let second = transaction.bind("rows 3", &[]).await.unwrap();
    let mut counts = Vec::new();
    for (portal, limit) in [
        (&first, 5),
        (&second, 2),
        (&first, 5),
        (&second, 0),
        (&first, 1),
    ] {
        counts.push(transaction.query_portal(portal, limit).await.unwrap().len());
    }
    assert_eq!(counts, [5, 2, 2, 1, 0]);
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn pipelined_statements_are_answered_in_order() {
    let (server, _) = server().await;
    let client = connect(&server).await;
    let counts = (0..200).map(|count| {
        let client = &client;
        async move {
            client
                .query(&format!("rows {count}"), &[])
                .await
                .unwrap()
                .len()
        }
    });
    let counts = futures::future::join_all(counts).await;
    assert_eq!(counts, (0..200).collect::<Vec<_>>());
}
