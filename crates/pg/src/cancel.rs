//! The registry of sessions that a CancelRequest can name, and what stops a running statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backend::Cancel;
use crate::error::{Failure, canceled, shut_down, timed_out};

/// Bytes of a secret key in protocol 3.0 and in 3.2.
const SHORT_KEY_BYTES: usize = 4;
const LONG_KEY_BYTES: usize = 32;

/// The token of the statement that a session runs now.
type Current = Arc<Mutex<Option<Cancel>>>;

/// All sessions by process id.
#[derive(Default)]
pub(crate) struct Registry {
    sessions: Mutex<HashMap<i32, (Bytes, Current)>>,
    last_pid: AtomicI32,
}

impl Registry {
    /// Enters a session. It leaves when the entry is dropped.
    pub(crate) fn enter(self: &Arc<Self>, long_key: bool) -> Result<Entry, getrandom::Error> {
        let mut key = vec![
            0;
            if long_key {
                LONG_KEY_BYTES
            } else {
                SHORT_KEY_BYTES
            }
        ];
        getrandom::fill(&mut key)?;
        let key = Bytes::from(key);
        let current = Current::default();
        let mut sessions = self.sessions.lock();
        let pid = loop {
            // Process ids are positive; they start over when used up.
            let pid = self
                .last_pid
                .fetch_add(1, Ordering::Relaxed)
                .wrapping_add(1)
                & i32::MAX;
            if pid != 0 && !sessions.contains_key(&pid) {
                break pid;
            }
        };
        sessions.insert(pid, (key.clone(), current.clone()));
        drop(sessions);
        Ok(Entry {
            registry: self.clone(),
            pid,
            key,
            current,
        })
    }

    /// Cancels what the session runs now, if the key is the right one.
    pub(crate) fn cancel(&self, pid: i32, key: &[u8]) {
        let sessions = self.sessions.lock();
        if let Some((right, current)) = sessions.get(&pid)
            && same(right, key)
            && let Some(token) = current.lock().as_ref()
        {
            token.cancel();
        }
    }
}

/// Compares without telling by its time where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y)) == 0
}

/// A session's place in the registry.
pub(crate) struct Entry {
    registry: Arc<Registry>,
    /// The process id that BackendKeyData tells.
    pub pid: i32,
    /// The secret key that BackendKeyData tells.
    pub key: Bytes,
    current: Current,
}

impl Entry {
    /// Names the statement that runs now, until the guard is dropped.
    pub(crate) fn running(&self, token: Cancel) -> Running {
        *self.current.lock() = Some(token);
        Running(self.current.clone())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.sessions.lock().remove(&self.pid);
    }
}

/// While it lives, a CancelRequest reaches the statement.
pub(crate) struct Running(Current);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

/// Everything that ends a statement before its time.
#[derive(Clone)]
pub(crate) struct Stop {
    /// A CancelRequest.
    pub cancel: Cancel,
    /// The client is gone.
    pub gone: CancellationToken,
    /// The server goes down.
    pub shutdown: CancellationToken,
    /// `statement_timeout`.
    pub deadline: Option<Instant>,
}

impl Stop {
    /// Waits for the first of them.
    pub(crate) async fn stopped(&self) -> Failure {
        let timeout = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.gone.cancelled() => Failure::Gone,
            () = self.shutdown.cancelled() => Failure::Fatal(shut_down()),
            () = self.cancel.cancelled() => Failure::Statement(canceled()),
            () = timeout => Failure::Statement(timed_out()),
        }
    }
}

/// `statement_timeout` as a setting shows it: `0`, `5000`, `500ms`, `5s`, `1min`, `2h`, `1d`; zero is none.
pub(crate) fn parse_timeout(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    let millis = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.saturating_mul(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_cancels_and_only_what_runs() {
        let registry = Arc::new(Registry::default());
        let entry = registry.enter(true).unwrap();
        registry.cancel(entry.pid, &entry.key);
        let token = Cancel::new();
        let running = entry.running(token.clone());
        registry.cancel(entry.pid, b"no");
        registry.cancel(entry.pid, &[0; LONG_KEY_BYTES]);
        registry.cancel(entry.pid + 1, &entry.key);
        assert!(!token.is_cancelled());
        registry.cancel(entry.pid, &entry.key);
        assert!(token.is_cancelled());
        drop(running);
        let later = Cancel::new();
        registry.cancel(entry.pid, &entry.key);
        let _running = entry.running(later.clone());
        assert!(!later.is_cancelled());
        let (pid, key) = (entry.pid, entry.key.clone());
        drop(entry);
        registry.cancel(pid, &key);
        assert!(!later.is_cancelled());
    }

    #[test]
    fn timeouts_have_units() {
        assert_eq!(parse_timeout("0"), None);
        assert_eq!(parse_timeout("250"), Some(Duration::from_millis(250)));
        assert_eq!(parse_timeout("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse_timeout("2 min"), Some(Duration::from_secs(120)));
        assert_eq!(parse_timeout("x"), None);
    }
}
