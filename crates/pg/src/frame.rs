//! The frame guard: bytes of a client become whole, well-formed messages or a refusal, and nothing else.
//!
//! A frame's type and length are checked before its body is waited for, the body is decoded from its own slice, and
//! bytes left over in it are refused. Decoding never reads beyond a slice and never reserves what a length promises.

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Parse};

use dataflow::{Error, SqlState};

use crate::error::violation;

/// Length of a frame's type and length words.
const HEADER_BYTES: usize = 5;
/// Limit of messages that carry a name and little else, as in PostgreSQL.
const SMALL_MESSAGE_BYTES: usize = 10_000;

/// A message of a client that is logged in.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    Query(String),
    Parse(Parse),
    Bind(Bind),
    Describe(Describe),
    Execute(Execute),
    Close(Close),
    Flush,
    Sync,
    Terminate,
    /// `FunctionCall`, which is well-formed and refused.
    FunctionCall,
    /// `CopyData`, `CopyDone` and `CopyFail` outside COPY FROM: ignored, as PostgreSQL does.
    Copy,
    /// A whole frame whose text is not UTF-8: the statement fails, the connection goes on.
    BadText {
        /// Answered with ReadyForQuery at once, rather than at Sync.
        simple: bool,
        /// What is wrong.
        error: Error,
    },
}

/// Cuts frames off the front of a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    /// Greatest length of Query, Parse, Bind and other messages that carry data.
    pub max_message: usize,
}

impl Guard {
    /// The next message and its length in bytes; `None` when more bytes are needed. An error is a breach of the
    /// protocol, after which the connection cannot go on.
    pub(crate) fn next(&self, buffer: &mut BytesMut) -> Result<Option<(Message, usize)>, Error> {
        let Some(&kind) = buffer.first() else {
            return Ok(None);
        };
        let limit = self
            .limit(kind)
            .ok_or_else(|| violation(format!("invalid frontend message type {kind}")))?;
        let Some(word) = buffer.get(1..HEADER_BYTES) else {
            return Ok(None);
        };
        let declared = i32::from_be_bytes([word[0], word[1], word[2], word[3]]);
        let length = usize::try_from(declared)
            .ok()
            .filter(|length| (4..=limit).contains(length));
        let Some(length) = length else {
            return Err(
                violation(format!("invalid message length {declared}")).detail(format!(
                    "A message of type \"{}\" has 4 to {limit} bytes.",
                    char::from(kind)
                )),
            );
        };
        if buffer.len() < 1 + length {
            return Ok(None);
        }
        let mut frame = buffer.split_to(1 + length).freeze();
        frame.advance(HEADER_BYTES);
        let mut body = Body(frame);
        let message = match decode(kind, &mut body) {
            Ok(message) => message,
            Err(Broken::Frame(error)) => return Err(error),
            Err(Broken::Text(error)) => {
                return Ok(Some((
                    Message::BadText {
                        simple: kind == b'Q',
                        error,
                    },
                    length,
                )));
            }
        };
        if body.0.has_remaining() {
            return Err(violation("invalid message format").detail(format!(
                "{} bytes are left over in the message.",
                body.0.remaining()
            )));
        }
        Ok(Some((message, length)))
    }

    /// The greatest length of a message type; `None` for types that no client may send.
    fn limit(&self, kind: u8) -> Option<usize> {
        match kind {
            b'Q' | b'P' | b'B' | b'F' | b'd' => Some(self.max_message),
            b'D' | b'E' | b'C' | b'f' => Some(SMALL_MESSAGE_BYTES),
            b'H' | b'S' | b'X' | b'c' => Some(4),
            _ => None,
        }
    }
}

enum Broken {
    Frame(Error),
    Text(Error),
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Frame(error)
    }
}

fn decode(kind: u8, body: &mut Body) -> Result<Message, Broken> {
    Ok(match kind {
        b'Q' => Message::Query(body.text()?),
        b'P' => {
            let (name, query) = (body.text()?, body.text()?);
            let count = body.count(4)?;
            let types = (0..count).map(|_| body.u32()).collect::<Result<_, _>>()?;
            Message::Parse(Parse::new(Some(name), query, types))
        }
        b'B' => Message::Bind(bind(body)?),
        b'D' => {
            let (target, name) = target(body)?;
            Message::Describe(Describe::new(target, Some(name)))
        }
        b'C' => {
            let (target, name) = target(body)?;
            Message::Close(Close::new(target, Some(name)))
        }
        b'E' => {
            let name = body.text()?;
            Message::Execute(Execute::new(Some(name), body.u32()?.cast_signed()))
        }
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'F' => {
            body.0.clear();
            Message::FunctionCall
        }
        _ => {
            body.0.clear();
            Message::Copy
        }
    })
}

fn bind(body: &mut Body) -> Result<Bind, Broken> {
    let (portal, statement) = (body.text()?, body.text()?);
    let count = body.count(2)?;
    let formats = (0..count).map(|_| body.i16()).collect::<Result<_, _>>()?;
    let count = body.count(4)?;
    let parameters = (0..count).map(|_| body.value()).collect::<Result<_, _>>()?;
    let count = body.count(2)?;
    let results = (0..count).map(|_| body.i16()).collect::<Result<_, _>>()?;
    Ok(Bind::new(
        Some(portal),
        Some(statement),
        formats,
        parameters,
        results,
    ))
}

/// What Describe and Close name: `S` for a statement, `P` for a portal.
fn target(body: &mut Body) -> Result<(u8, String), Broken> {
    let target = body.take(1)?[0];
    if !matches!(target, b'S' | b'P') {
        return Err(violation(format!("invalid message subtype {target}")).into());
    }
    Ok((target, body.text()?))
}

/// The body of one frame, read from the front.
struct Body(Bytes);

impl Body {
    fn take(&mut self, length: usize) -> Result<Bytes, Error> {
        if self.0.len() < length {
            return Err(violation("insufficient data left in message"));
        }
        Ok(self.0.split_to(length))
    }

    fn i16(&mut self) -> Result<i16, Error> {
        Ok(self.take(2)?.get_i16())
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(self.take(4)?.get_u32())
    }

    /// A number of elements, of which each has `size` bytes at least.
    fn count(&mut self, size: usize) -> Result<usize, Error> {
        let count = usize::from(self.i16()?.cast_unsigned());
        if count * size > self.0.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(count)
    }

    /// A length and as many bytes; length -1 is NULL.
    fn value(&mut self) -> Result<Option<Bytes>, Error> {
        match self.u32()?.cast_signed() {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length)
                    .map_err(|_| violation("invalid length of a parameter"))?;
                self.take(length).map(Some)
            }
        }
    }

    /// Text up to a zero byte.
    fn text(&mut self) -> Result<String, Broken> {
        let end = self
            .0
            .iter()
            .position(|&byte| byte == 0)
            .ok_or_else(|| violation("invalid string in message"))?;
        let text = self.take(end + 1)?;
        String::from_utf8(text[..end].to_vec()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            let message = format!(
                "invalid byte sequence for encoding \"UTF8\": 0x{:02x}",
                text[at]
            );
            Broken::Text(Error::new(SqlState("22021"), message))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: Guard = Guard {
        max_message: 1 << 16,
    };

    fn next(bytes: &[u8]) -> Result<Option<Message>, Error> {
        let mut buffer = BytesMut::from(bytes);
        Ok(GUARD.next(&mut buffer)?.map(|(message, _)| message))
    }

    #[test]
    fn whole_messages_are_cut_off_one_by_one() {
        let mut buffer =
            BytesMut::from(&b"Q\0\0\0\x06a\0S\0\0\0\x04E\0\0\0\x09\0\xff\xff\xff\xffQ\0"[..]);
        assert_eq!(
            GUARD.next(&mut buffer).unwrap().unwrap().0,
            Message::Query("a".into())
        );
        assert_eq!(GUARD.next(&mut buffer).unwrap().unwrap().0, Message::Sync);
        let execute = Message::Execute(Execute::new(Some(String::new()), -1));
        assert_eq!(GUARD.next(&mut buffer).unwrap().unwrap().0, execute);
        assert_eq!(GUARD.next(&mut buffer).unwrap(), None);
        assert_eq!(&buffer[..], b"Q\0");
    }

    #[test]
    fn breaches_are_refused_before_the_body_is_there() {
        for (bytes, message) in [
            (&b"p\0\0\0\0"[..], "invalid frontend message type 112"),
            (b"\xff", "invalid frontend message type 255"),
            (b"Q\0\0\0\0", "invalid message length 0"),
            (b"Q\0\0\0\x03", "invalid message length 3"),
            (b"Q\xff\xff\xff\xff", "invalid message length -1"),
            (b"Q\x7f\xff\xff\xff", "invalid message length 2147483647"),
            (b"S\0\0\0\x05", "invalid message length 5"),
            (b"D\0\0\x27\x11", "invalid message length 10001"),
            (b"Q\0\0\0\x04", "invalid string in message"),
            (b"Q\0\0\0\x07a\0b", "invalid message format"),
            (b"B\0\0\0\x06\0\0", "insufficient data left in message"),
            (
                b"B\0\0\0\x08\0\0\xff\xff",
                "insufficient data left in message",
            ),
            (
                b"B\0\0\0\x10\0\0\0\0\0\x01\0\0\0\x09\0\0",
                "insufficient data left in message",
            ),
            (
                b"B\0\0\0\x10\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0",
                "invalid length of a parameter",
            ),
            (
                b"P\0\0\0\x08\0\0\xff\xff",
                "insufficient data left in message",
            ),
            (b"D\0\0\0\x06x\0", "invalid message subtype 120"),
        ] {
            let error = next(bytes).unwrap_err();
            assert_eq!(
                (error.state().0, error.message()),
                ("08P01", message),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn text_that_is_not_utf8_fails_only_its_statement() {
        let found = next(b"Q\0\0\0\x06\xff\0").unwrap().unwrap();
        let Message::BadText {
            simple: true,
            error,
        } = found
        else {
            panic!("{found:?}")
        };
        assert_eq!(
            error.message(),
            "invalid byte sequence for encoding \"UTF8\": 0xff"
        );
    }

    #[test]
    fn bind_is_read_whole() {
        let bytes = b"B\0\0\0\x1bp\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x01\0\x01";
        let Message::Bind(bind) = next(bytes).unwrap().unwrap() else {
            panic!("not a Bind")
        };
        assert_eq!(bind.portal_name.as_deref(), Some("p"));
        assert_eq!(bind.parameters, [Some(Bytes::from_static(b"x")), None]);
        assert_eq!(bind.result_column_format_codes, [1]);
    }
}
