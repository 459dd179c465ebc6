//! The writer: gathers records, posts them, and tells answers that may pass from those that do not.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use dataflow::sink::{RecordEncoder, Records, SinkRequest, SinkWriter, may_pass};
use dataflow::{DeltaBatch, Error, Result, SqlState};
use ureq::Agent;
use ureq::http::HeaderMap;

use super::{Address, HttpSink};

/// A request is tried again for so many times its time before the sink says that it is in trouble.
const ATTEMPTS: u32 = 3;
/// Time to the first attempt after trouble; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Bytes of records at which a request gets no more of them.
const MOST_BYTES: usize = 1 << 20;
/// Bytes of an answer that are read.
const MOST_ANSWER: u64 = 1 << 16;
/// Characters of an answer that an error shows.
const SHOWN: usize = 200;

/// Posts the records of one sink.
pub(super) struct HttpWriter {
    agent: Agent,
    address: Address,
    headers: HeaderMap,
    /// How long a request may be tried again.
    patience: Duration,
    batch: usize,
    identity: String,
    encoder: Box<dyn RecordEncoder>,
    /// Those of one batch of rows.
    records: Records,
    waiting: Waiting,
}

/// The records of the next request, with commas between.
#[derive(Default)]
struct Waiting {
    body: Vec<u8>,
    count: usize,
    /// The newest version of them.
    version: u64,
}

impl HttpWriter {
    /// Sends nothing yet.
    pub(super) fn new(sink: &HttpSink, request: SinkRequest) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(sink.timeout))
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent("clickmill")
            .build();
        Self {
            agent: Agent::new_with_config(config),
            address: sink.address.clone(),
            headers: sink.headers.clone(),
            patience: sink.timeout * ATTEMPTS,
            batch: sink.batch,
            identity: request.identity,
            encoder: request.encoder,
            records: Records::default(),
            waiting: Waiting::default(),
        }
    }

    fn add(&mut self, version: u64, records: &Records) -> Result<()> {
        for value in records.iter().filter_map(|record| record.value) {
            let waiting = &mut self.waiting;
            if self.batch > 1 {
                let before = if waiting.count == 0 { b'[' } else { b',' };
                waiting.body.push(before);
            }
            waiting.body.extend_from_slice(value);
            waiting.count += 1;
            waiting.version = version;
            if waiting.count >= self.batch || waiting.body.len() >= MOST_BYTES {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Posts what waits, and forgets it.
    fn send(&mut self) -> Result<()> {
        if self.waiting.count == 0 {
            return Ok(());
        }
        if self.batch > 1 {
            self.waiting.body.push(b']');
        }
        let sent = self.post_again();
        self.waiting.body.clear();
        self.waiting.count = 0;
        sent
    }

    /// Posts until it is taken, or for so long.
    fn post_again(&self) -> Result<()> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.post() {
                Err(error) if may_pass(&error) && begun.elapsed() + pause < self.patience => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LAST_PAUSE);
                }
                done => return done,
            }
        }
    }

    fn post(&self) -> Result<()> {
        let mut request = self
            .agent
            .post(self.address.url.as_str())
            .header("content-type", "application/json")
            .header("clickmill-sink", self.identity.as_str())
            .header("clickmill-version", self.waiting.version.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.send(self.waiting.body.as_slice());
        let mut answer = answer.map_err(|error| self.unsent(&error))?;
        let status = answer.status().as_u16();
        let mut body = answer.body_mut().as_reader().take(MOST_ANSWER);
        if (200..300).contains(&status) {
            // Read to its end, so that the connection can be used again; nothing depends on it.
            io::copy(&mut body, &mut io::sink()).ok();
            return Ok(());
        }
        let mut text = Vec::new();
        body.read_to_end(&mut text).ok();
        Err(self.refused(status, &text))
    }

    fn unsent(&self, error: &ureq::Error) -> Error {
        let state = match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => SqlState::INVALID_PARAMETER,
            _ => SqlState::CONNECTION_FAILURE,
        };
        let message = match error {
            // Shows the whole address.
            ureq::Error::BadUri(_) => format!("{} is no address for requests", self.address.shown),
            error => format!("cannot post to {}: {error}", self.address.shown),
        };
        Error::new(state, message)
    }

    fn refused(&self, status: u16, answer: &[u8]) -> Error {
        let state = if passes(status) {
            SqlState::CONNECTION_FAILURE
        } else {
            SqlState::INVALID_PARAMETER
        };
        let address = &self.address.shown;
        let mut message = format!("{address} answered with status {status}");
        let text = String::from_utf8_lossy(answer);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            let text: String = text.chars().take(SHOWN).collect();
            message = format!("{message}: {text}");
        }
        let error = Error::new(state, message);
        if (300..400).contains(&status) {
            return error.hint("redirections are not followed: write the address itself in url");
        }
        error
    }
}

/// Whether a request may be answered otherwise later: it took too long, came too early or too often, or the server is
/// at fault.
fn passes(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500..=599)
}

impl SinkWriter for HttpWriter {
    fn begin(&mut self) -> Result<Option<u64>> {
        self.waiting = Waiting::default();
        Ok(None)
    }

    fn write(&mut self, version: u64, batches: &[DeltaBatch]) -> Result<()> {
        for batch in batches {
            let mut records = std::mem::take(&mut self.records);
            records.clear();
            self.encoder
                .encode(std::slice::from_ref(batch), &mut records)?;
            self.add(version, &records)?;
            self.records = records;
        }
        Ok(())
    }

    fn commit(&mut self, _version: u64) -> Result<()> {
        self.send()
    }
}
