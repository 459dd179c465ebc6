//! A view gets another query and keeps its state, over a source that cannot be read again.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

use e2e::serve::Server;
use futures::{StreamExt as _, pin_mut};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_postgres::{NoTls, SimpleQueryMessage};

fn send(connection: &mut TcpStream, numbers: std::ops::Range<i64>) {
    for n in numbers {
        writeln!(connection, "{{\"n\":{n}}}").unwrap();
    }
}

/// Follows until it ends; gives why. Tells of the first row.
async fn follow(port: u16, query: &str, begun: oneshot::Sender<()>) -> String {
    let config = format!("host=127.0.0.1 port={port} user=test dbname=test");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    tokio::spawn(connection);
    let stream = client.simple_query_raw(query).await.unwrap();
    pin_mut!(stream);
    let mut begun = Some(begun);
    loop {
        match stream.next().await {
            Some(Ok(SimpleQueryMessage::Row(_))) => {
                begun.take().map_or((), |begun| begun.send(()).unwrap())
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return format!("{error:?}"),
            None => return "it ended well".to_owned(),
        }
    }
}

pub(super) async fn keeps_state() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path());
    let view = "MATERIALIZED VIEW digits WITH (unbounded_state = true) AS";
    let made = format!(
        "CREATE SOURCE lines (n BIGINT) WITH (connector = 'socket', hostname = '127.0.0.1', port = {port}) FORMAT PLAIN ENCODE JSON;
         CREATE {view} SELECT n % 10 AS digit, count(*) AS lines, sum(n) AS sum FROM lines GROUP BY n % 10;"
    );
    server.query(&made).await;
    let (mut first, _) = listener.accept().unwrap();
    send(&mut first, 0..1000);
    server
        .await_value("SELECT sum(lines) FROM digits", "1000")
        .await;
    let replaced = format!(
        "CREATE OR REPLACE {view} SELECT sum(n) AS sum, n % 10 AS digit, count(*) AS lines, sum(n) / count(*) AS mean
         FROM lines GROUP BY n % 10 HAVING sum(n) > 49800"
    );
    let queries = [
        "SUBSCRIBE digits",
        "SUBSCRIBE (SELECT digit, lines + 1 AS more FROM digits)",
    ];
    let mut following = Vec::new();
    for query in queries {
        let (begun, begins) = oneshot::channel();
        following.push(tokio::spawn(follow(server.port, query, begun)));
        begins.await.unwrap();
    }
    server.query(&replaced).await;
    for ended in following {
        let why = ended.await.unwrap();
        assert!(why.contains("was replaced"), "{why}");
    }
    let rows = "SELECT string_agg(digit || ':' || lines || ':' || sum || ':' || mean, ' ' ORDER BY digit) FROM digits";
    let after = "4:100:49900:499 5:100:50000:500 6:100:50100:501 7:100:50200:502 8:100:50300:503 9:100:50400:504";
    assert_eq!(server.value(rows).await, after);
    // From the journal, and then from a checkpoint.
    for _ in 0..2 {
        server.kill();
        server = Server::start(folder.path());
        assert_eq!(server.value(rows).await, after);
        server.stop();
        server = Server::start(folder.path());
        assert_eq!(server.value(rows).await, after);
    }
    // Groups that the new query leaves out were not forgotten. The last start has connected last.
    drop(first);
    listener.set_nonblocking(true).unwrap();
    let mut connections: Vec<TcpStream> = Vec::new();
    for n in 0.. {
        connections.extend(listener.incoming().map_while(Result::ok));
        if let Some(newest) = connections.last_mut()
            && writeln!(newest, "{{\"n\":100000}}").is_ok()
        {
            break;
        }
        assert!(n < 6000, "it does not connect");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    server
        .await_value(
            "SELECT coalesce(max(lines || ':' || sum), '') FROM digits WHERE digit = 0",
            "101:149500",
        )
        .await;
}
