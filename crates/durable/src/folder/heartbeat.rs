//! A thread that touches a file every second, and tells when the file is gone.

use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use dataflow::{Error, Result};

/// Time between two touches.
const EVERY: Duration = Duration::from_secs(1);

/// Beats until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Touches `file`, which is at `path`; `on_lost` is called once when it is not there any more.
    pub(super) fn start(
        file: File,
        path: PathBuf,
        on_lost: impl FnOnce() + Send + 'static,
    ) -> Result<Self> {
        let (end, ended) = channel();
        let beat = move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY) {
                if matches!(path.try_exists(), Ok(false)) {
                    on_lost();
                    return;
                }
                // A disk in trouble shows elsewhere; here others would only take this process for gone.
                let _ = file.set_modified(SystemTime::now());
            }
        };
        let thread = std::thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(beat)
            .map_err(|e| Error::internal(format!("the heartbeat did not start: {e}")))?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Heartbeat {
    /// Stops.
    pub(super) fn end(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It tells of nothing.
            let _ = thread.join();
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.end();
    }
}
