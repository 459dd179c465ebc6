//! Views over sources that need no broker and go on: a socket, and the generator by the clock.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use e2e::tools::trial;
use e2e::world::{PATIENCE, World, block_on};
use libtest_mimic::Trial;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "connectors::views_of_a_socket_share_its_one_connection",
            &[],
            || block_on(views_of_a_socket()),
        ),
        trial(
            "connectors::the_generator_follows_the_clock_and_later_views_catch_up",
            &[],
            || block_on(the_generator()),
        ),
    ]
}

async fn views_of_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = World::with_system_clock();
    let mut client = world.connect();
    let statements = format!(
        "CREATE SOURCE lines (n BIGINT) INCLUDE OFFSET AS o, KEY AS k, HEADERS AS h \
         WITH (connector = 'socket', hostname = '127.0.0.1', port = {port}) FORMAT PLAIN ENCODE JSON;
         CREATE MATERIALIZED VIEW first AS SELECT n, o FROM lines;"
    );
    client.execute(&statements).await;
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"{\"n\":1}\n{\"n\":2}\n").unwrap();
    let all = |view: &str| {
        format!("SELECT coalesce(string_agg(n || ':' || o, ' ' ORDER BY o), '') FROM {view}")
    };
    client
        .until(&all("first"), PATIENCE, |all| all == "1:0 2:1")
        .await;
    // A socket keeps nothing: a later view begins with what comes then, from the same connection, also when it asks for
    // more than the first.
    client
        .execute("CREATE MATERIALIZED VIEW second AS SELECT n, o, k, h FROM lines;")
        .await;
    server.write_all(b"{\"n\":3}\n").unwrap();
    client
        .until(&all("first"), PATIENCE, |all| all == "1:0 2:1 3:2")
        .await;
    client
        .until(&all("second"), PATIENCE, |all| all == "3:2")
        .await;
    let states = "SELECT string_agg(state, ' ') FROM clickmill.jobs";
    assert_eq!(client.value(states).await, "running running");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "there is a second connection");
}

async fn the_generator() {
    let world = World::with_manual_clock();
    let clock = world.clock.clone().unwrap();
    let mut client = world.connect();
    let statements = "CREATE SOURCE clicks (user_id TEXT FROM 'userId') INCLUDE OFFSET AS o
         WITH (connector = 'generator', rows_per_second = 100, bad_share = 0);
         CREATE MATERIALIZED VIEW first AS SELECT user_id, o FROM clicks;";
    client.execute(statements).await;
    let count = |view: &str| format!("SELECT count(*) FROM {view}");
    client.until(&count("first"), PATIENCE, |n| n == "1").await;
    clock.advance(i64::try_from(Duration::from_secs(30).as_micros()).unwrap());
    client
        .until(&count("first"), PATIENCE, |n| n == "3001")
        .await;
    client
        .execute("CREATE MATERIALIZED VIEW later AS SELECT user_id, o FROM clicks;")
        .await;
    client
        .until(&count("later"), PATIENCE, |n| n == "3001")
        .await;
    let state = "SELECT state FROM clickmill.jobs WHERE name = 'later'";
    client
        .until(state, PATIENCE, |state| state == "running")
        .await;
    clock.advance(i64::try_from(Duration::from_secs(1).as_micros()).unwrap());
    client
        .until(&count("later"), PATIENCE, |n| n == "3101")
        .await;
    let differing =
        "SELECT count(*) FROM first AS a JOIN later AS b ON a.o = b.o WHERE a.user_id <> b.user_id";
    assert_eq!(client.value(differing).await, "0");
    assert_eq!(client.value("SELECT count(*) FROM clicks").await, "3101");
}
