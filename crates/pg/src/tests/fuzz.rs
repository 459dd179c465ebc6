//! Noise: mutated and random byte streams before and after login. Nothing panics, everything ends, memory is bounded.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::fake::{Fake, State};
use super::raw::{
    PATIENCE, bind, close, describe, execute, flush, message, packet, parse, query, startup, sync,
};
use crate::PgConfig;
use crate::connection::{Shared, serve};

const STREAMS: u64 = 10_000;
/// Streams at a time.
const TOGETHER: usize = 64;
/// Silence of the server after which a stream counts as handled.
const SILENCE: Duration = Duration::from_millis(15);

/// xorshift64*: the same numbers for a seed, always.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

const LOGIN: &[&str] = &["user", "ann", "database", "db", "options", "-c a=b"];

fn packets() -> Vec<Vec<u8>> {
    vec![
        startup(3 << 16, LOGIN),
        startup(3 << 16 | 2, LOGIN),
        startup(3 << 16 | 9999, &["user", "ann", "_pq_.x", "1"]),
        packet(&80_877_103_u32.to_be_bytes()),
        packet(&80_877_104_u32.to_be_bytes()),
        packet(b"\x04\xd2\x16\x2e\0\0\0\x01abcd"),
    ]
}

fn messages() -> Vec<Vec<u8>> {
    vec![
        query("rows 3; begin; rows 1"),
        query("fail"),
        query("copy rows 5"),
        query("csv quiet"),
        query("types; commit; set a b"),
        query("sleep"),
        parse("", "rows 9"),
        parse("s", "echo 2"),
        message(b'P', b"t\0echo\0\0\x06\0\0\0\x17\0\0\x04\xa0\0\0\x06\xa4\0\0\x03\xef\0\0\x04\xa2\0\0\x00\x10"),
        bind("", "", &[]),
        bind("p", "s", &[Some(b"1"), None]),
        bind("", "t", &[Some(b"1"), Some(b"2026-01-01"), Some(b"1.5"), Some(b"{1,2}"), Some(b"1 day"), Some(b"t")]),
        message(b'B', b"\0t\0\0\x01\0\x01\0\x06\0\0\0\x04abcd\xff\xff\xff\xff\0\0\0\x0a\0\x01\0\0\0\0\0\0\0\x01\
            \0\0\0\x0c\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x08abcdefgh\0\0\0\x01\x01\0\x01\0\x01"),
        describe('S', "t"),
        describe('P', ""),
        execute("", 2),
        execute("p", -1),
        execute("", i32::MAX),
        close('P', "p"),
        close('S', "s"),
        flush(),
        sync(),
        sync(),
        message(b'd', b"data"),
        message(b'f', b"why\0"),
        message(b'F', b"\0\0\0\x01\0\0\0\0\0\0"),
    ]
}

/// A stream of bytes: pieces of valid traffic, most of them damaged, or plain noise.
fn noise(random: &mut Random, logged_in: bool) -> Vec<u8> {
    let mut bytes = if logged_in {
        startup(3 << 16, LOGIN)
    } else {
        Vec::new()
    };
    let keep = bytes.len();
    if random.below(8) == 0 {
        let count = random.below(300);
        bytes.extend(random.bytes(count));
        return bytes;
    }
    let corpus = if logged_in { messages() } else { packets() };
    for _ in 0..=random.below(8) {
        let piece = random.pick(&corpus).clone();
        bytes.extend(piece);
    }
    if random.below(6) == 0 {
        return bytes;
    }
    for _ in 0..=random.below(4) {
        let at = keep + random.below(bytes.len() - keep);
        match random.below(6) {
            0 => bytes[at] = random.next().to_be_bytes()[0],
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at.max(keep)),
            3 => {
                let count = random.below(9);
                let inserted = random.bytes(count);
                bytes.splice(at..at, inserted);
            }
            4 => {
                let end = (at + random.below(9)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                // A length word that lies.
                let lie = *random.pick(&[
                    0_u32,
                    1,
                    3,
                    4,
                    5,
                    0xffff,
                    0x7fff_ffff,
                    0x8000_0000,
                    u32::MAX,
                ]);
                let end = (at + 4).min(bytes.len());
                bytes.splice(at..end, lie.to_be_bytes());
            }
        }
        if bytes.len() <= keep {
            break;
        }
    }
    bytes
}

/// Sends the bytes in pieces, reads what comes until silence or the end, leaves, and waits for the server's end.
async fn play(seed: u64, shared: Arc<Shared>) {
    let mut random = Random::new(seed);
    let bytes = noise(&mut random, seed.is_multiple_of(2));
    let (client, server) = duplex(1 << 14);
    let (read, write) = tokio::io::split(server);
    let serving = tokio::spawn(serve(Box::new(read), Box::new(write), true, shared));
    let (mut answers, mut requests) = tokio::io::split(client);
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        let mut some = [0; 4096];
        while let Ok(Ok(count @ 1..)) = timeout(SILENCE, answers.read(&mut some)).await {
            all.extend_from_slice(&some[..count]);
        }
        (all, answers)
    });
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(rest.len().min(1 + random.below(400)));
        if requests.write_all(piece).await.is_err() {
            break;
        }
        rest = tail;
        if random.below(4) == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (answers, half) = reading.await.unwrap();
    check_answers(seed, &answers);
    drop((requests, half));
    timeout(PATIENCE, serving)
        .await
        .unwrap_or_else(|_| panic!("seed {seed}: does not end"))
        .unwrap();
}

/// What the server says is well-formed itself, and never an internal error.
fn check_answers(seed: u64, mut answers: &[u8]) {
    while let Some(rest) = answers.strip_prefix(b"N") {
        // Either the answer to an encryption request or a notice, which has a length.
        if rest.first().is_some_and(|byte| *byte == 0) {
            break;
        }
        answers = rest;
    }
    while answers.len() >= 5 {
        let length = u32::from_be_bytes([answers[1], answers[2], answers[3], answers[4]]);
        let end = usize::try_from(length).unwrap() + 1;
        assert!(
            answers[0].is_ascii_alphanumeric() && length >= 4,
            "seed {seed}: {answers:?}"
        );
        let Some(whole) = answers.get(..end) else {
            return;
        };
        let internal = whole[0] == b'E' && whole.windows(6).any(|window| window == b"CXX000");
        assert!(!internal, "seed {seed}: {}", String::from_utf8_lossy(whole));
        answers = &answers[end..];
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_of_noise() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // Other tests' own panics are not meant.
        if !info
            .location()
            .is_some_and(|at| at.file().contains("src/tests/"))
        {
            PANICS.fetch_add(1, Ordering::SeqCst);
        }
        told(info);
    }));
    let state = State::new();
    let shared = Arc::new(Shared {
        config: PgConfig {
            max_message_bytes: 1 << 16,
            ..PgConfig::default()
        },
        backend: Arc::new(Fake(state.clone())),
        registry: Arc::default(),
        shutdown: CancellationToken::new(),
        sessions: Arc::new(Semaphore::new(TOGETHER)),
    });
    let before = resident_bytes();
    let streams = futures::stream::iter(0..STREAMS).map(|seed| play(seed, shared.clone()));
    streams
        .buffer_unordered(TOGETHER)
        .for_each(|()| async {})
        .await;
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    state.open_results(0).await;
    assert_eq!(shared.sessions.available_permits(), TOGETHER);
    let executed = state.executed.lock().len();
    assert!(executed > 1000, "only {executed} statements were reached");
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 200 << 20, "{grown} bytes more than before");
}

/// Memory of this process, 0 where it cannot be told.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .unwrap_or(0)
        * 4096
}
