//! Tests of the socket: lines, a server that comes late, goes and returns, a reader that is slow.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use dataflow::ManualClock;

use super::link::{Lines, MAX_LINE, QUEUE_BYTES};
use super::*;
use crate::testing::{Reading, request, source};

fn connector() -> SocketConnector {
    SocketConnector::new(Arc::new(ManualClock::new(5_000)))
}

fn open(port: u16) -> Reading {
    let port = port.to_string();
    let pairs = [("hostname", "127.0.0.1"), ("port", port.as_str())];
    let source = source(&connector(), &pairs).unwrap();
    assert!(!source.replays());
    Reading::open(&*source, request(false))
}

fn server() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
}

#[test]
fn lines_come_in_order_and_go_on_after_the_server_was_away() {
    let (listener, port) = server();
    let mut reading = open(port);
    let (mut stream, _) = listener.accept().unwrap();
    send(&mut stream, "{\"a\":1}\r\n\n{\"a\"");
    send(&mut stream, ":2}\n");
    reading.until("two lines", |r| r.rows.len() == 2);
    assert_eq!(reading.reader.health(), Health::Running);
    send(&mut stream, "unfinished");
    drop((stream, listener));
    reading.until("the last line", |r| r.rows.len() == 3);
    reading.until("retrying", |r| {
        matches!(r.reader.health(), Health::Retrying { .. })
    });
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    send(&mut stream, "again\n");
    reading.until("a line of the new connection", |r| r.rows.len() == 4);
    assert_eq!(
        reading.values(),
        ["{\"a\":1}", "{\"a\":2}", "unfinished", "again"]
    );
    let offsets: Vec<i64> = reading.rows.iter().map(|(_, offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
}

#[test]
fn a_server_that_is_not_there_is_waited_for() {
    let (listener, port) = server();
    drop(listener);
    let mut reading = open(port);
    reading.until("a reason", |r| {
        matches!(r.reader.health(), Health::Connecting { reason: Some(reason) } if reason.contains("cannot connect"))
    });
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    send(&mut stream, "first\n");
    reading.until("the first line", |r| r.rows.len() == 1);
}

#[test]
fn a_slow_reader_holds_the_server_back_and_loses_nothing() {
    let (listener, port) = server();
    let mut reading = open(port);
    let (mut stream, _) = listener.accept().unwrap();
    let line = format!("{}\n", "x".repeat(1 << 16));
    let count = 4 * QUEUE_BYTES / line.len();
    stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let (held, is_held) = std::sync::mpsc::sync_channel(1);
    let sender = std::thread::spawn(move || {
        for _ in 0..count {
            let mut left = line.as_bytes();
            while !left.is_empty() {
                match stream.write(left) {
                    Ok(written) => left = &left[written..],
                    // Nobody has taken anything for a while.
                    Err(_) => drop(held.try_send(())),
                }
            }
        }
        stream.shutdown(Shutdown::Write).unwrap();
    });
    is_held
        .recv_timeout(Duration::from_secs(20))
        .expect("the server was never held back");
    reading.until("all lines", |r| r.rows.len() == count);
    sender.join().unwrap();
}

#[test]
fn long_lines_are_cut() {
    let (mut lines, mut given) = (Lines::default(), Vec::new());
    let mut give = |line: Vec<u8>| given.push(line.len());
    for _ in 0..9 {
        lines.feed(&vec![b'x'; 1 << 20], &mut give);
    }
    lines.feed(b"end\nnext\n", &mut give);
    assert_eq!(given, [MAX_LINE, 4]);
}

#[test]
fn a_query_that_ends_and_wrong_options_are_refused() {
    let pairs = [
        ("host", "localhost"),
        ("port", "1"),
        ("byte-delimiter", "10"),
    ];
    let source = source(&connector(), &pairs).unwrap();
    let error = source.open(request(true)).map(drop).unwrap_err();
    assert_eq!(error.state().0, "0A000");
    for pairs in [
        &[("hostname", "a")][..],
        &[("port", "1")],
        &[("hostname", " "), ("port", "1")],
        &[("hostname", "a"), ("port", "0")],
        &[("hostname", "a"), ("port", "65536")],
        &[("hostname", "a"), ("port", "1"), ("byte-delimiter", "0")],
    ] {
        let error = crate::testing::source(&connector(), pairs).unwrap_err();
        assert_eq!(error.state().0, "22023", "{pairs:?}");
    }
}
