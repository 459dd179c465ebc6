//! What the tests of all connectors need: options, and a reader that is polled until something holds.
#![allow(clippy::unwrap_used, reason = "test helpers")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow::connector::{Connector, OpenRequest, PollLimits, SourceFactory, SourceReader, Wants};
use dataflow::options::{OptionEntry, Options};
use dataflow::wake::Waker;
use dataflow::{Result, Slab};

const PATIENCE: Duration = Duration::from_secs(20);

/// The source of some options, all of which must be read.
pub(crate) fn source(
    connector: &dyn Connector,
    pairs: &[(&str, &str)],
) -> Result<Arc<dyn SourceFactory>> {
    let entry = |(name, value): &(&str, &str)| OptionEntry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        location: None,
    };
    let mut options = Options::new(pairs.iter().map(entry).collect()).unwrap();
    let source = connector.source(&mut options)?;
    options.finish()?;
    Ok(source)
}

pub(crate) fn request(bounded: bool) -> OpenRequest {
    OpenRequest {
        schema: Arc::default(),
        wants: Wants {
            keys: true,
            headers: false,
        },
        bounded,
        positions: Vec::new(),
        topics: Vec::new(),
        waker: Waker::default(),
    }
}

/// A reader and what it handed over: partition, offset, value.
pub(crate) struct Reading {
    pub(crate) reader: Box<dyn SourceReader>,
    pub(crate) waker: Waker,
    pub(crate) rows: Vec<(usize, i64, String)>,
    pub(crate) limits: PollLimits,
}

impl Reading {
    pub(crate) fn open(source: &dyn SourceFactory, request: OpenRequest) -> Self {
        let waker = request.waker.clone();
        Self {
            reader: source.open(request).unwrap(),
            waker,
            rows: Vec::new(),
            limits: PollLimits {
                max_records: 7,
                max_bytes: 1 << 20,
            },
        }
    }

    pub(crate) fn step(&mut self) -> Result<bool> {
        let mut slab = Slab::default();
        self.reader.poll(&mut slab, self.limits)?;
        for row in 0..slab.len() {
            let value = String::from_utf8_lossy(slab.value(row).unwrap()).into_owned();
            self.rows.push((slab.partition, slab.offsets[row], value));
        }
        Ok(!slab.is_empty())
    }

    /// Polls until nothing comes any more.
    pub(crate) fn drain(&mut self) {
        while self.step().unwrap() {}
    }

    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            if !self.step().unwrap() && !done(self) {
                self.waker.sleep(Duration::from_millis(50));
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.rows);
        }
    }

    pub(crate) fn values(&self) -> Vec<&str> {
        self.rows
            .iter()
            .map(|(_, _, value)| value.as_str())
            .collect()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.reader.partitions().iter().all(|p| p.finished())
    }
}
