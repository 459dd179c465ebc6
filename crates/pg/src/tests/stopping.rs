//! What ends a statement before its time: cancel requests, clients that leave, timeouts and shutdown.

use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::raw::{
    PATIENCE, Raw, bind, execute, flush, message, parse, query, server, server_with, startup, sync,
};
use crate::PgConfig;

#[tokio::test]
async fn the_first_row_of_an_endless_result_comes_at_once() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("quiet").await;
    raw.expect('T').await;
    raw.expect('D').await;
    raw.cancel(&server, &raw.key.clone()).await;
    let canceled = raw.expect('E').await;
    assert_eq!(canceled.sqlstate(), "57014");
    assert_eq!(
        canceled.field(b'M').unwrap(),
        "canceling statement due to user request"
    );
    raw.expect('Z').await;
    state.open_results(0).await;
    // The same in the extended protocol, where no row limit means that rows come as they are.
    raw.send(
        &[
            parse("", "quiet"),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ]
        .concat(),
    )
    .await;
    for kind in ['1', '2', 'D'] {
        raw.expect(kind).await;
    }
    raw.cancel(&server, &raw.key.clone()).await;
    assert_eq!(raw.expect('E').await.sqlstate(), "57014");
    raw.expect('Z').await;
    raw.query("rows 1").await;
    assert_eq!(raw.kinds().await, "TDCZ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_leave_in_time_though_the_source_never_pauses() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("busy").await;
    raw.expect('T').await;
    let begun = Instant::now();
    for _ in 0..10 {
        raw.expect('D').await;
    }
    // Ten rows are far from filling the buffer: only their age can have sent them.
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    raw.cancel(&server, &raw.key.clone()).await;
    let answers = raw.until('Z').await;
    assert_eq!(answers[answers.len() - 2].sqlstate(), "57014");
    state.open_results(0).await;
}

#[tokio::test]
async fn a_wrong_key_cancels_nothing() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("live 1").await;
    raw.cancel(&server, &[1, 2, 3, 4]).await;
    raw.cancel(&server, &[0; 32]).await;
    raw.expect('T').await;
    for _ in 0..20 {
        raw.expect('D').await;
    }
    raw.cancel(&server, &raw.key.clone()).await;
    let answers = raw.until('Z').await;
    assert_eq!(answers[answers.len() - 2].sqlstate(), "57014");
}

#[tokio::test]
async fn statements_without_rows_are_cancelled_even_when_they_do_not_listen() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    for statement in ["sleep", "stuck", "rows 1; stuck; rows 2"] {
        raw.query(statement).await;
        if statement.len() > 5 {
            assert_eq!(raw.until('C').await.len(), 3);
        }
        raw.cancel(&server, &raw.key.clone()).await;
        // The request may come before the statement; then it is for nothing and has to be made again.
        let error = loop {
            match timeout(Duration::from_millis(800), raw.next()).await {
                Ok(answer) => break answer.unwrap(),
                Err(_) => raw.cancel(&server, &raw.key.clone()).await,
            }
        };
        assert_eq!(error.sqlstate(), "57014");
        raw.expect('Z').await;
    }
    raw.query("rows 1").await;
    assert_eq!(raw.kinds().await, "TDCZ");
}

#[tokio::test]
async fn a_cancel_reaches_a_blocked_write() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("flood").await;
    state.open_results(1).await;
    raw.expect('T').await;
    // Nothing is read from here on: the server's writes fill the socket and block.
    tokio::time::sleep(Duration::from_millis(200)).await;
    raw.cancel(&server, &raw.key.clone()).await;
    state.open_results(0).await;
    let answers = raw.until('Z').await;
    assert!(
        answers[..answers.len() - 2]
            .iter()
            .all(|answer| answer.kind == 'D')
    );
    assert_eq!(answers[answers.len() - 2].sqlstate(), "57014");
    raw.query("rows 1").await;
    assert_eq!(raw.kinds().await, "TDCZ");
}

#[tokio::test]
async fn copy_out_is_cancelled_with_an_error_and_nothing_else() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("copy live 1").await;
    raw.expect('H').await;
    assert_eq!(raw.expect('d').await.body, b"0\tname 0\n");
    raw.cancel(&server, &raw.key.clone()).await;
    let answers = raw.until('Z').await;
    let kinds: String = answers
        .iter()
        .map(|answer| answer.kind)
        .filter(|kind| *kind != 'd')
        .collect();
    assert_eq!(kinds, "EZ");
    state.open_results(0).await;
}

#[tokio::test]
async fn a_resumed_portal_can_be_cancelled() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.send(
        &[
            query("begin"),
            parse("", "quiet"),
            bind("", "", &[]),
            execute("", 1),
            flush(),
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.kinds().await, "CZ");
    for kind in ['1', '2', 'D', 's'] {
        raw.expect(kind).await;
    }
    raw.send(&[execute("", 1), sync()].concat()).await;
    // The request is for nothing while no statement runs, so it is made until it is heard.
    let canceled = loop {
        raw.cancel(&server, &raw.key.clone()).await;
        if let Ok(answer) = timeout(Duration::from_millis(100), raw.next()).await {
            break answer.unwrap();
        }
    };
    assert_eq!(canceled.sqlstate(), "57014");
    assert_eq!(raw.expect('Z').await.body, b"E");
    state.open_results(0).await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_query() {
    let (server, state) = server().await;
    for statement in ["quiet", "copy quiet", "flood"] {
        for way in ["terminate", "close", "reset"] {
            let mut raw = Raw::open(&server).await;
            raw.query(statement).await;
            state.open_results(1).await;
            raw.next().await;
            match way {
                "terminate" => raw.send(&message(b'X', b"")).await,
                "close" => raw.stream.shutdown().await.unwrap(),
                _ => SockRef::from(&raw.stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap(),
            }
            let kept = (way == "terminate").then_some(raw);
            state.open_results(0).await;
            drop(kept);
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_even_a_stuck_statement() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("stuck").await;
    let begun = async {
        while state.executed.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.unwrap();
    drop(raw);
    let ended = async {
        while server.sessions() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test]
async fn messages_that_come_meanwhile_are_queued_within_bounds() {
    let (server, _) = server_with(PgConfig {
        max_message_bytes: 1 << 20,
        ..PgConfig::default()
    })
    .await;
    let mut raw = Raw::open(&server).await;
    raw.query("quiet").await;
    raw.expect('T').await;
    raw.expect('D').await;
    // Small ones wait and are answered afterwards.
    raw.send(&[query("rows 1"), query("rows 2")].concat()).await;
    raw.cancel(&server, &raw.key.clone()).await;
    assert_eq!(raw.kinds().await, "EZ");
    assert_eq!(raw.kinds().await, "TDCZ");
    assert_eq!(raw.kinds().await, "TDDCZ");
    // A lot of them is not taken in: the client's writes block.
    raw.query("quiet").await;
    raw.expect('T').await;
    raw.expect('D').await;
    let large = query(&" ".repeat(1_000_000));
    let mut taken = 0;
    while let Ok(written) = timeout(Duration::from_millis(300), raw.stream.write_all(&large)).await
    {
        written.unwrap();
        taken += 1;
        assert!(taken < 100, "{taken} MB were taken in");
    }
    raw.cancel(&server, &raw.key.clone()).await;
    assert_eq!(raw.kinds().await, "EZ");
    for _ in 0..taken {
        assert_eq!(raw.kinds().await, "IZ");
    }
}

#[tokio::test]
async fn statement_timeout_counts_to_the_last_row() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("set statement_timeout 50ms").await;
    assert_eq!(raw.kinds().await, "CZ");
    for statement in ["sleep", "stuck", "quiet"] {
        raw.query(statement).await;
        let answers = raw.until('Z').await;
        let error = &answers[answers.len() - 2];
        assert_eq!(
            error.field(b'M').unwrap(),
            "canceling statement due to statement timeout",
            "{statement}"
        );
    }
    state.open_results(0).await;
}

#[tokio::test]
async fn shutdown_tells_everybody_and_is_quick() {
    let (server, state) = server().await;
    let mut clients = Vec::new();
    for statement in ["", "quiet", "copy quiet", "stuck", "sleep", "flood"] {
        let mut raw = Raw::open(&server).await;
        if !statement.is_empty() {
            raw.query(statement).await;
        }
        clients.push((statement, raw));
    }
    let mut opening = Raw::plain(&server).await;
    opening.send(&startup(3 << 16, &["user", "ann"])[..6]).await;
    state.open_results(3).await;
    let address = server.address();
    let begun = Instant::now();
    server.shutdown().await;
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    state.open_results(0).await;
    for (statement, mut raw) in clients {
        // Who does not read in time may miss it.
        if statement != "flood" {
            let answer = raw.fatal().await;
            assert_eq!(answer.sqlstate(), "57P01", "{statement}");
        }
    }
    assert_eq!(opening.fatal().await.sqlstate(), "57P01");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
