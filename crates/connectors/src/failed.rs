//! Errors of what sinks write to; they may pass.

use std::fmt::Display;
use std::io::ErrorKind;

use dataflow::{Error, SqlState};

/// What went wrong while `doing` something with `what`: `53100` when the disk is full, `58030` otherwise.
pub(crate) fn failed(doing: &str, what: impl Display, error: &std::io::Error) -> Error {
    let state = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    Error::new(state, format!("cannot {doing} {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use dataflow::sink::may_pass;

    use super::*;

    #[test]
    fn a_full_disk_has_a_state_of_its_own_and_all_may_pass() {
        for (kind, state) in [
            (ErrorKind::StorageFull, "53100"),
            (ErrorKind::QuotaExceeded, "53100"),
            (ErrorKind::PermissionDenied, "58030"),
        ] {
            let error = failed("write", "/data/x", &io::Error::from(kind));
            assert_eq!(error.state().0, state);
            assert!(error.message().starts_with("cannot write /data/x: "));
            assert!(may_pass(&error));
        }
    }
}
