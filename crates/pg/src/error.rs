//! Errors and notices as the messages that clients show.

use pgwire::messages::response::{ErrorResponse, NoticeResponse};

use dataflow::{Error, SqlState};

use crate::backend::Notice;

/// Bytes of one text in an error; longer texts are cut.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// How bad an error is for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
}

/// Why handling a message stopped.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The statement failed; the connection goes on.
    Statement(Error),
    /// The connection ends after this error was sent.
    Fatal(Error),
    /// The client is gone.
    Gone,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Statement(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// Result of a step of the connection.
pub(crate) type Step<T> = Result<T, Failure>;

/// A breach of the protocol: `08P01`.
pub(crate) fn violation(message: impl Into<String>) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, message)
}

/// `57014` for a CancelRequest.
pub(crate) fn canceled() -> Error {
    Error::new(
        SqlState::QUERY_CANCELED,
        "canceling statement due to user request",
    )
}

/// `57014` for `statement_timeout`.
pub(crate) fn timed_out() -> Error {
    Error::new(
        SqlState::QUERY_CANCELED,
        "canceling statement due to statement timeout",
    )
}

/// `57P01`.
pub(crate) fn shut_down() -> Error {
    Error::new(
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}

/// The error as a message. `text` is the query text that its location counts in.
pub(crate) fn response(error: &Error, severity: Severity, text: Option<&str>) -> ErrorResponse {
    let name = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    let mut fields = vec![
        (b'S', name.to_owned()),
        (b'V', name.to_owned()),
        (b'C', error.state().0.to_owned()),
        (b'M', shown(error.message())),
    ];
    if let Some(detail) = error.detail_text() {
        fields.push((b'D', shown(detail)));
    }
    if let Some(hint) = error.hint_text() {
        fields.push((b'H', shown(hint)));
    }
    if let (Some(location), Some(text)) = (error.location(), text) {
        fields.push((b'P', location.char_index(text).to_string()));
    }
    ErrorResponse::new(fields)
}

/// The notice as a message.
pub(crate) fn notice(notice: &Notice) -> NoticeResponse {
    let mut fields = vec![
        (b'S', notice.severity.to_owned()),
        (b'V', notice.severity.to_owned()),
        (b'C', notice.state.to_owned()),
        (b'M', shown(&notice.message)),
    ];
    if let Some(hint) = &notice.hint {
        fields.push((b'H', shown(hint)));
    }
    NoticeResponse::new(fields)
}

/// Text without the zero byte that would end it early, and of bounded length.
fn shown(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use dataflow::Location;

    use super::*;

    #[test]
    fn the_position_counts_characters_of_the_whole_text() {
        let error = Error::new(SqlState::UNDEFINED_COLUMN, "column \"x\" does not exist")
            .at(Some(Location { line: 2, column: 8 }))
            .hint("there is y");
        let fields = response(&error, Severity::Error, Some("select 'é';\nselect x")).fields;
        assert!(fields.contains(&(b'P', "20".to_owned())));
        assert!(fields.contains(&(b'C', "42703".to_owned())));
        assert!(fields.contains(&(b'H', "there is y".to_owned())));
    }

    #[test]
    fn texts_are_bounded_and_free_of_zero_bytes() {
        let error = Error::internal(format!("a\0b{}", "é".repeat(MAX_TEXT_BYTES)));
        let fields = response(&error, Severity::Fatal, None).fields;
        let message = &fields.iter().find(|field| field.0 == b'M').unwrap().1;
        assert!(message.starts_with("a\u{fffd}b") && message.len() <= MAX_TEXT_BYTES + 3);
    }
}
