//! A client that speaks in messages.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use dataflow::Location;

use super::fake::{Fake, State};
use crate::backend::Parsed;
use crate::{PgConfig, PgServer};

/// A statement as the fake's parser gives it.
pub(super) fn parsed(text: &str, location: Location) -> Parsed {
    Parsed {
        statement: sql::ast::Statement::Begin,
        text: text.to_owned(),
        location,
    }
}

pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A server on a free port.
pub(super) async fn server() -> (PgServer, Arc<State>) {
    server_with(PgConfig::default()).await
}

pub(super) async fn server_with(config: PgConfig) -> (PgServer, Arc<State>) {
    let state = State::new();
    let config = PgConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        ..config
    };
    (
        PgServer::start(config, Arc::new(Fake(state.clone())))
            .await
            .unwrap(),
        state,
    )
}

/// A message of the server.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub kind: char,
    pub body: Vec<u8>,
}

impl Answer {
    /// A field of an ErrorResponse or NoticeResponse.
    pub(super) fn field(&self, name: u8) -> Option<String> {
        assert!(matches!(self.kind, 'E' | 'N'), "{self:?}");
        let field = self
            .body
            .split(|b| *b == 0)
            .find(|field| field.first() == Some(&name))?;
        Some(String::from_utf8(field[1..].to_vec()).unwrap())
    }

    pub(super) fn sqlstate(&self) -> String {
        self.field(b'C').unwrap()
    }

    /// The zero-terminated texts of the body.
    pub(super) fn texts(&self) -> Vec<String> {
        let texts = self
            .body
            .split(|b| *b == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned());
        texts.filter(|text| !text.is_empty()).collect()
    }
}

pub(super) struct Raw {
    pub stream: TcpStream,
    buffer: BytesMut,
    pub pid: i32,
    pub key: Vec<u8>,
}

impl Raw {
    /// A connection before its startup packet.
    pub(super) async fn plain(server: &PgServer) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        Self {
            stream,
            buffer: BytesMut::new(),
            pid: 0,
            key: Vec::new(),
        }
    }

    /// A connection that is ready for queries.
    pub(super) async fn open(server: &PgServer) -> Self {
        let mut raw = Self::plain(server).await;
        raw.send(&startup(3 << 16, &["user", "ann", "database", "db"]))
            .await;
        raw.until('Z').await;
        raw
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .expect("the server does not read")
            .unwrap();
    }

    pub(super) async fn query(&mut self, text: &str) {
        self.send(&query(text)).await;
    }

    /// The next byte that is no message.
    pub(super) async fn byte(&mut self) -> u8 {
        timeout(PATIENCE, self.stream.read_u8())
            .await
            .unwrap()
            .unwrap()
    }

    /// The next message; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        loop {
            if self.buffer.len() >= 5 {
                let length = usize::try_from((&self.buffer[1..5]).get_i32()).unwrap();
                if self.buffer.len() > length {
                    let mut frame = self.buffer.split_to(1 + length);
                    let kind = char::from(frame[0]);
                    frame.advance(5);
                    if kind == 'K' {
                        self.pid = (&frame[..4]).get_i32();
                        self.key = frame[4..].to_vec();
                    }
                    return Some(Answer {
                        kind,
                        body: frame.to_vec(),
                    });
                }
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            match read.expect("the server is silent") {
                Ok(1..) => {}
                _ => return None,
            }
        }
    }

    /// The next message, which must be of `kind`.
    pub(super) async fn expect(&mut self, kind: char) -> Answer {
        let answer = self.next().await.expect("the connection is open");
        assert_eq!(answer.kind, kind, "{answer:?} {:?}", answer.texts());
        answer
    }

    /// All messages up to the next of `kind`.
    pub(super) async fn until(&mut self, kind: char) -> Vec<Answer> {
        let mut answers = Vec::new();
        loop {
            let Some(answer) = self.next().await else {
                panic!("closed after {answers:?}")
            };
            let last = answer.kind == kind;
            answers.push(answer);
            if last {
                return answers;
            }
        }
    }

    /// The kinds of all messages up to ReadyForQuery.
    pub(super) async fn kinds(&mut self) -> String {
        self.until('Z')
            .await
            .iter()
            .map(|answer| answer.kind)
            .collect()
    }

    /// A FATAL error and then the end.
    pub(super) async fn fatal(&mut self) -> Answer {
        let mut last = None;
        while let Some(answer) = self.next().await {
            last = Some(answer);
        }
        let last = last.expect("the server said why");
        assert_eq!(
            (last.kind, last.field(b'S').as_deref()),
            ('E', Some("FATAL"))
        );
        last
    }

    /// Sends a CancelRequest for this connection over another one, and waits for its end.
    pub(super) async fn cancel(&self, server: &PgServer, key: &[u8]) {
        let mut other = Raw::plain(server).await;
        let mut body = BytesMut::new();
        body.put_u32(80_877_102);
        body.put_i32(self.pid);
        body.put_slice(key);
        other.send(&packet(&body)).await;
        assert_eq!(other.next().await, None);
    }
}

/// A packet without type byte.
pub(super) fn packet(body: &[u8]) -> Vec<u8> {
    let mut packet = u32::try_from(body.len() + 4)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    packet.extend_from_slice(body);
    packet
}

pub(super) fn startup(version: u32, parameters: &[&str]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for text in parameters {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    packet(&body)
}

pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend_from_slice(&packet(body));
    message
}

pub(super) fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub(super) fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

pub(super) fn bind(portal: &str, statement: &str, params: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = BytesMut::from(format!("{portal}\0{statement}\0\0\0").as_bytes());
    body.put_u16(u16::try_from(params.len()).unwrap());
    for param in params {
        match param {
            None => body.put_i32(-1),
            Some(bytes) => {
                body.put_i32(i32::try_from(bytes.len()).unwrap());
                body.put_slice(bytes);
            }
        }
    }
    body.put_u16(0);
    message(b'B', &body)
}

pub(super) fn describe(kind: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{kind}{name}\0").as_bytes())
}

pub(super) fn close(kind: char, name: &str) -> Vec<u8> {
    message(b'C', format!("{kind}{name}\0").as_bytes())
}

pub(super) fn execute(portal: &str, max_rows: i32) -> Vec<u8> {
    let mut body = BytesMut::from(format!("{portal}\0").as_bytes());
    body.put_i32(max_rows);
    message(b'E', &body)
}

pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

pub(super) fn flush() -> Vec<u8> {
    message(b'H', b"")
}
