//! The first packets of a connection: encryption requests, cancel requests and the startup packet.

use bytes::{Bytes, BytesMut};
use pgwire::messages::startup::NegotiateProtocolVersion;

use dataflow::{Error, Result, SqlState};

use crate::backend::StartupInfo;
use crate::error::violation;

/// Greatest length of a packet before the session, as in PostgreSQL.
const MAX_PACKET_BYTES: usize = 10_000;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// The newest minor version of protocol 3 that is spoken.
const NEWEST_MINOR: u16 = 2;
/// Longest secret key of a cancel request.
const MAX_KEY_BYTES: usize = 256;

/// A packet that comes before the session.
#[derive(Debug)]
pub(crate) enum First {
    /// SSLRequest or GSSENCRequest; the name is for messages.
    Encryption(&'static str),
    /// CancelRequest.
    Cancel {
        /// The process to cancel.
        pid: i32,
        /// Its secret key.
        key: Bytes,
    },
    /// The startup packet.
    Startup(Box<Startup>),
}

/// What the startup packet asks for.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    /// The client.
    pub info: StartupInfo,
    /// Minor version of protocol 3 that is spoken from now on.
    pub minor: u16,
    /// Told to a client that asked for a newer protocol or for options that are unknown.
    pub negotiate: Option<NegotiateProtocolVersion>,
}

/// Cuts the next packet off the buffer; `None` when more bytes are needed.
pub(crate) fn next_packet(buffer: &mut BytesMut) -> Result<Option<First>> {
    let Some(&[a, b, c, d]) = buffer.first_chunk() else {
        return Ok(None);
    };
    let declared = i32::from_be_bytes([a, b, c, d]);
    let length = usize::try_from(declared)
        .ok()
        .filter(|length| (8..=MAX_PACKET_BYTES).contains(length));
    let length = length.ok_or_else(|| violation("invalid length of startup packet"))?;
    if buffer.len() < length {
        return Ok(None);
    }
    let packet = buffer.split_to(length).freeze();
    let code = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
    let body = packet.slice(8..);
    match code {
        SSL_REQUEST if body.is_empty() => Ok(Some(First::Encryption("SSL"))),
        GSS_REQUEST if body.is_empty() => Ok(Some(First::Encryption("GSSAPI encryption"))),
        SSL_REQUEST | GSS_REQUEST => Err(violation("invalid length of startup packet")),
        CANCEL_REQUEST => cancel(&body).map(Some),
        _ => startup(code, &body).map(|startup| Some(First::Startup(Box::new(startup)))),
    }
}

fn cancel(body: &Bytes) -> Result<First> {
    let (Some(&pid), key) = (body.first_chunk(), body.slice(body.len().min(4)..)) else {
        return Err(violation("invalid length of cancel request"));
    };
    if !(4..=MAX_KEY_BYTES).contains(&key.len()) {
        return Err(violation("invalid length of cancel request"));
    }
    Ok(First::Cancel {
        pid: i32::from_be_bytes(pid),
        key,
    })
}

fn startup(code: u32, body: &[u8]) -> Result<Startup> {
    let (major, minor) = (code >> 16, (code & 0xffff) as u16);
    if major != 3 {
        let message = format!(
            "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{NEWEST_MINOR}"
        );
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    // There is no protocol 3.1.
    let spoken = if minor >= NEWEST_MINOR {
        NEWEST_MINOR
    } else {
        0
    };
    let mut unknown = Vec::new();
    let mut found = Found::default();
    for (name, value) in pairs(body)? {
        if name.starts_with("_pq_.") {
            unknown.push(name);
        } else {
            found.take(name, value)?;
        }
    }
    let negotiate = (spoken != minor || !unknown.is_empty())
        .then(|| NegotiateProtocolVersion::new((3 << 16) | i32::from(spoken), unknown));
    Ok(Startup {
        info: found.finish()?,
        minor: spoken,
        negotiate,
    })
}

/// Names and values up to the empty name that ends the packet.
fn pairs(body: &[u8]) -> Result<Vec<(String, String)>> {
    let layout = || violation("invalid startup packet layout: expected terminator as last byte");
    let mut texts = Vec::new();
    let mut rest = body;
    loop {
        let end = rest.iter().position(|&byte| byte == 0).ok_or_else(layout)?;
        let (text, tail) = (&rest[..end], &rest[end + 1..]);
        rest = tail;
        if text.is_empty() && texts.len() % 2 == 0 {
            break;
        }
        let text = std::str::from_utf8(text).map_err(|_| {
            Error::new(
                SqlState("22021"),
                "invalid byte sequence for encoding \"UTF8\" in startup packet",
            )
        })?;
        texts.push(text.to_owned());
    }
    if !rest.is_empty() {
        return Err(layout());
    }
    let mut pairs = Vec::with_capacity(texts.len() / 2);
    let mut texts = texts.into_iter();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Startup parameters as they are gathered.
#[derive(Default)]
struct Found {
    user: Option<String>,
    database: Option<String>,
    application_name: String,
    settings: Vec<(String, String)>,
    options: Vec<(String, String)>,
}

impl Found {
    fn take(&mut self, name: String, value: String) -> Result<()> {
        match name.as_str() {
            "user" => self.user = Some(value),
            "database" => self.database = Some(value),
            "application_name" => self.application_name = value,
            "client_encoding" => check_encoding(&value)?,
            "options" => self.options = options(&value)?,
            "replication" if ["false", "off", "no", "0"].contains(&value.as_str()) => {}
            "replication" => return Err(Error::unsupported("a replication connection")),
            _ => self.settings.push((name, value)),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<StartupInfo> {
        let user = self.user.filter(|user| !user.is_empty()).ok_or_else(|| {
            Error::new(
                SqlState("28000"),
                "no PostgreSQL user name specified in startup packet",
            )
        })?;
        for (name, value) in self.options {
            match name.as_str() {
                "client_encoding" => check_encoding(&value)?,
                "application_name" => self.application_name = value,
                _ => self.settings.push((name, value)),
            }
        }
        let database = self
            .database
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| user.clone());
        Ok(StartupInfo {
            user,
            database,
            application_name: self.application_name,
            settings: self.settings,
        })
    }
}

/// UTF8 under any of its names. SQL_ASCII, which clients ask for in the C locale, means no conversion: UTF8 as well.
fn check_encoding(name: &str) -> Result<()> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    if ["utf8", "unicode", "sqlascii"].contains(&plain.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    let message = format!("invalid value for parameter \"client_encoding\": \"{name}\"");
    Err(Error::new(SqlState::INVALID_PARAMETER, message).hint("clickmill speaks UTF8 only."))
}

/// `-c name=value` and `--name=value`, separated by spaces; a backslash keeps the character after it.
fn options(text: &str) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next()
        } else {
            word.strip_prefix("--")
                .or_else(|| word.strip_prefix("-c"))
                .map(str::to_owned)
        };
        let pair = setting
            .as_deref()
            .and_then(|setting| setting.split_once('='));
        let Some((name, value)) = pair else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            )
            .hint("options has the form \"-c name=value\"."));
        };
        settings.push((
            name.replace('-', "_").to_ascii_lowercase(),
            value.to_owned(),
        ));
    }
    Ok(settings)
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        match next {
            '\\' => word.extend(chars.next()),
            space if space.is_ascii_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&u32::try_from(8 + body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&code.to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    fn opened(code: u32, body: &[u8]) -> Result<Startup> {
        match next_packet(&mut packet(code, body))? {
            Some(First::Startup(startup)) => Ok(*startup),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_and_options() {
        let body = b"user\0ann\0application_name\0psql\0client_encoding\0utf-8\0DateStyle\0ISO\0\
            options\0-c search_path=a\\ b --statement-timeout=5s -cgeqo=off\0\0";
        let startup = opened(3 << 16, body).unwrap();
        assert!(startup.negotiate.is_none());
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted = StartupInfo {
            user: "ann".into(),
            database: "ann".into(),
            application_name: "psql".into(),
            settings: vec![
                setting("DateStyle", "ISO"),
                setting("search_path", "a b"),
                setting("statement_timeout", "5s"),
                setting("geqo", "off"),
            ],
        };
        assert_eq!(startup.info, wanted);
    }

    #[test]
    fn newer_protocols_and_unknown_options_are_negotiated() {
        assert_eq!(opened(3 << 16 | 2, b"user\0a\0\0").unwrap().minor, 2);
        let newer = opened(3 << 16 | 9999, b"user\0a\0_pq_.x\0y\0\0").unwrap();
        assert_eq!(
            newer.negotiate,
            Some(NegotiateProtocolVersion::new(
                3 << 16 | 2,
                vec!["_pq_.x".into()]
            ))
        );
        let between = opened(3 << 16 | 1, b"user\0a\0\0").unwrap();
        assert_eq!((between.minor, between.negotiate.is_some()), (0, true));
        assert_eq!(opened(2 << 16, b"\0").unwrap_err().state().0, "0A000");
    }

    #[test]
    fn broken_packets_are_refused() {
        for (body, state) in [
            (&b"user\0a"[..], "08P01"),
            (b"user\0a\0", "08P01"),
            (b"user\0a\0\0x", "08P01"),
            (b"\0", "28000"),
            (b"user\0\0\0", "28000"),
            (b"user\0\xff\0\0", "22021"),
            (b"user\0a\0client_encoding\0LATIN1\0\0", "22023"),
            (b"user\0a\0replication\0true\0\0", "0A000"),
            (b"user\0a\0options\0-x\0\0", "42601"),
        ] {
            assert_eq!(
                opened(3 << 16, body).unwrap_err().state().0,
                state,
                "{body:?}"
            );
        }
        for bytes in [
            &b"\0\0\0\x07"[..],
            b"\x16\x03\x01\x02",
            b"\xff\xff\xff\xff",
            b"\0\0\x27\x11",
        ] {
            assert!(next_packet(&mut BytesMut::from(bytes)).is_err());
        }
        assert!(next_packet(&mut packet(SSL_REQUEST, b"x")).is_err());
        assert!(next_packet(&mut packet(CANCEL_REQUEST, b"\0\0\0\x01abc")).is_err());
        assert!(next_packet(&mut packet(CANCEL_REQUEST, b"")).is_err());
    }

    #[test]
    fn what_is_not_whole_is_waited_for() {
        let mut whole = packet(CANCEL_REQUEST, b"\0\0\0\x07abcd");
        let mut part = BytesMut::from(&whole[..11]);
        assert!(next_packet(&mut part).unwrap().is_none());
        let Some(First::Cancel { pid, key }) = next_packet(&mut whole).unwrap() else {
            panic!("no cancel")
        };
        assert_eq!((pid, &key[..]), (7, &b"abcd"[..]));
    }
}
