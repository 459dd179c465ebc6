//! How connections begin: encryption requests, versions, parameters, limits, and what is refused.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::raw::{PATIENCE, Raw, message, packet, query, server, server_with, startup};
use crate::PgConfig;

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

#[tokio::test]
async fn encryption_is_declined_and_then_a_session_opens() {
    let (server, _) = server().await;
    let mut raw = Raw::plain(&server).await;
    raw.send(&packet(&GSS.to_be_bytes())).await;
    assert_eq!(raw.byte().await, b'N');
    raw.send(&packet(&SSL.to_be_bytes())).await;
    assert_eq!(raw.byte().await, b'N');
    raw.send(&startup(
        3 << 16,
        &[
            "user",
            "ann",
            "client_encoding",
            "UTF8",
            "application_name",
            "test",
        ],
    ))
    .await;
    let answers = raw.until('Z').await;
    assert_eq!(answers[0].kind, 'R');
    let told = |name: &str| {
        answers
            .iter()
            .find(|a| a.kind == 'S' && a.texts()[0] == name)
            .unwrap()
            .texts()[1]
            .clone()
    };
    assert_eq!(told("server_version"), "15.0 (clickmill 0.1.0)");
    assert_eq!(told("client_encoding"), "UTF8");
    assert_eq!(told("application_name"), "test");
    assert_eq!(told("session_authorization"), "ann");
    assert_eq!(told("integer_datetimes"), "on");
    assert_eq!(raw.key.len(), 4);
    assert_eq!(answers.last().unwrap().body, b"I");
    server.shutdown().await;
}

#[tokio::test]
async fn bytes_after_an_encryption_request_are_refused() {
    let (server, _) = server().await;
    for code in [SSL, GSS] {
        let mut raw = Raw::plain(&server).await;
        let mut bytes = packet(&code.to_be_bytes());
        bytes.extend(startup(3 << 16, &["user", "ann"]));
        raw.send(&bytes).await;
        assert_eq!(raw.fatal().await.sqlstate(), "08P01");
    }
}

#[tokio::test]
async fn newer_protocols_are_negotiated_and_have_long_keys() {
    let (server, _) = server().await;
    let mut raw = Raw::plain(&server).await;
    raw.send(&startup(3 << 16 | 2, &["user", "ann"])).await;
    assert_eq!(raw.until('Z').await[0].kind, 'R');
    assert_eq!(raw.key.len(), 32);
    let mut raw = Raw::plain(&server).await;
    raw.send(&startup(
        3 << 16 | 9999,
        &["user", "ann", "_pq_.thing", "1"],
    ))
    .await;
    let negotiated = raw.expect('v').await;
    assert_eq!(negotiated.body, b"\0\x03\0\x02\0\0\0\x01_pq_.thing\0");
    raw.until('Z').await;
    let mut raw = Raw::plain(&server).await;
    raw.send(&startup(2 << 16, &["user", "ann"])).await;
    assert_eq!(raw.fatal().await.sqlstate(), "0A000");
}

#[tokio::test]
async fn a_session_that_the_database_refuses_is_told_why() {
    let (server, _) = server().await;
    let mut raw = Raw::plain(&server).await;
    raw.send(&startup(3 << 16, &["user", "ann", "database", "nowhere"]))
        .await;
    assert_eq!(
        raw.fatal().await.field(b'M').unwrap(),
        "database \"nowhere\" does not exist"
    );
}

#[tokio::test]
async fn connections_are_limited_and_their_places_are_freed() {
    let (server, _) = server_with(PgConfig {
        max_connections: 2,
        ..PgConfig::default()
    })
    .await;
    let first = Raw::open(&server).await;
    let _second = Raw::open(&server).await;
    let mut third = Raw::plain(&server).await;
    third.send(&startup(3 << 16, &["user", "ann"])).await;
    let refused = third.fatal().await;
    assert_eq!(
        (
            refused.sqlstate().as_str(),
            refused.field(b'M').unwrap().as_str()
        ),
        ("53300", "sorry, too many clients already")
    );
    assert_eq!(server.sessions(), 2);
    drop(first);
    let freed = async {
        while server.sessions() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
    Raw::open(&server).await;
}

#[tokio::test]
async fn silent_clients_are_let_go() {
    let (server, _) = server_with(PgConfig {
        startup_timeout: Duration::from_millis(50),
        ..PgConfig::default()
    })
    .await;
    let mut raw = Raw::plain(&server).await;
    raw.send(b"\0\0\0").await;
    assert_eq!(raw.next().await, None);
}

#[tokio::test]
async fn the_next_free_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let state = super::fake::State::new();
    let config = PgConfig {
        listen,
        next_free_port: false,
        ..PgConfig::default()
    };
    let backend = std::sync::Arc::new(super::fake::Fake(state));
    let refused = crate::PgServer::start(config.clone(), backend.clone()).await;
    assert_eq!(refused.err().unwrap().state().0, "08006");
    let server = crate::PgServer::start(
        PgConfig {
            next_free_port: true,
            ..config
        },
        backend,
    )
    .await
    .unwrap();
    assert!(server.address().port() > listen.port());
}

#[tokio::test]
async fn malformed_packets_are_answered_and_the_server_goes_on() {
    let (server, _) = server().await;
    let before: [&[u8]; 6] = [
        b"p\0\0\0\0",
        b"\0\0\0\0",
        b"\0\0\0\x07",
        b"\x7f\xff\xff\xff",
        b"\0\0\0\x09\0\x03\0\0u",
        b"\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\x01",
    ];
    for bytes in before {
        let mut raw = Raw::plain(&server).await;
        raw.send(bytes).await;
        assert_eq!(raw.fatal().await.sqlstate(), "08P01", "{bytes:?}");
    }
    let mut trailing = query("rows 1");
    trailing[4] += 3;
    trailing.extend(b"abc");
    let after: [&[u8]; 9] = [
        b"p\0\0\0\0",
        b"p\0\0\0\x08abc\0",
        b"Q\0\0\0\0",
        b"Q\x7f\xff\xff\xff",
        b"Q\xff\xff\xff\xff",
        b"\0\0\0\0\x04",
        b"B\0\0\0\x08\0\0\0\x09",
        b"!\0\0\0\x04",
        &trailing,
    ];
    for bytes in after {
        let mut raw = Raw::open(&server).await;
        raw.send(bytes).await;
        assert_eq!(raw.fatal().await.sqlstate(), "08P01", "{bytes:?}");
    }
    Raw::open(&server).await;
}

#[tokio::test]
async fn a_breach_is_answered_after_what_came_before_it() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.send(&[query("rows 2"), message(b'?', b"")].concat())
        .await;
    assert_eq!(raw.kinds().await, "TDDCZ");
    assert_eq!(raw.fatal().await.sqlstate(), "08P01");
    state.open_results(0).await;
}

#[tokio::test]
async fn a_panic_ends_its_connection_alone() {
    let (server, _) = server().await;
    let mut other = Raw::open(&server).await;
    let mut raw = Raw::open(&server).await;
    raw.query("panic").await;
    assert_eq!(raw.fatal().await.sqlstate(), "XX000");
    other.query("rows 1").await;
    assert_eq!(other.kinds().await, "TDCZ");
    let mut rest = Vec::new();
    raw.stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}
