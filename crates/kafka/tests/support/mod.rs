//! A mock cluster, a way to fill its topics, and a reader that is polled until something holds.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test helpers; not every test file uses each"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow::connector::{
    Connector, Gap, Health, OpenRequest, PollLimits, Position, SourceReader, Wants,
};
use dataflow::options::{OptionEntry, Options};
use dataflow::wake::Waker;
use dataflow::{Error, Result, Slab, SystemClock};
use kafka::{KafkaConnector, Producer, Record};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

pub(crate) const TOPIC: &str = "clicks";
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const LIMITS: PollLimits = PollLimits {
    max_records: 8_192,
    max_bytes: 1 << 20,
};

pub(crate) type Cluster = MockCluster<'static, DefaultProducerContext>;

/// One broker with the topic of the tests.
pub(crate) fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    cluster
}

pub(crate) fn producer(brokers: &str) -> Producer {
    Producer::new(brokers, TOPIC, &[("linger.ms", "0")]).unwrap()
}

/// Sends `values` to one partition and waits until they are there.
pub(crate) fn fill(brokers: &str, partition: i32, values: &[&str]) {
    let producer = producer(brokers);
    for value in values {
        let record = Record {
            payload: Some(value.as_bytes()),
            partition: Some(partition),
            ..Record::default()
        };
        producer.send(&record).unwrap();
    }
    let delivery = producer.flush(PATIENCE);
    assert_eq!(
        (delivery.delivered, delivery.failed),
        (values.len() as u64, 0),
        "{delivery:?}"
    );
}

fn position(topic: &str, (partition, offset): (i32, i64)) -> Position {
    Position {
        topic: topic.into(),
        partition,
        offset,
    }
}

/// The options of a source; `topic` is left out when the test gives a pattern.
fn options(brokers: &str, topic: &str, more: &[(&str, &str)]) -> Options {
    let base = [("topic", topic), ("brokers", brokers)];
    let pattern = more.iter().any(|(name, _)| *name == "topic-pattern");
    let base = &base[usize::from(pattern)..];
    let entries = base.iter().chain(more).map(|(name, value)| OptionEntry {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        location: None,
    });
    Options::new(entries.collect()).unwrap()
}

/// One record as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) value: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) headers: Option<String>,
}

/// A reader and all that it handed over.
pub(crate) struct Reading {
    pub(crate) reader: Box<dyn SourceReader>,
    pub(crate) waker: Waker,
    pub(crate) rows: Vec<Row>,
    /// Numbers of records of the slabs that were not empty.
    pub(crate) slabs: Vec<usize>,
    pub(crate) limits: PollLimits,
    /// Every health seen.
    pub(crate) healths: Vec<Health>,
    /// Where records were left out.
    pub(crate) gaps: Vec<Gap>,
}

#[derive(Default)]
pub(crate) struct Open<'a> {
    pub(crate) options: &'a [(&'a str, &'a str)],
    pub(crate) bounded: bool,
    pub(crate) wants: Wants,
    pub(crate) positions: Vec<(i32, i64)>,
    /// The id of the topic of the positions.
    pub(crate) id: Option<String>,
}

pub(crate) fn open(brokers: &str, how: Open<'_>) -> Reading {
    open_topic(brokers, TOPIC, how)
}

pub(crate) fn open_topic(brokers: &str, topic: &str, how: Open<'_>) -> Reading {
    let mut options = options(brokers, topic, how.options);
    let factory = KafkaConnector::new(Arc::new(SystemClock))
        .source(&mut options)
        .unwrap();
    options.finish().unwrap();
    let waker = Waker::default();
    let request = OpenRequest {
        schema: Arc::default(),
        wants: how.wants,
        bounded: how.bounded,
        positions: how
            .positions
            .iter()
            .map(|at| position(topic, *at))
            .collect(),
        topics: how.id.iter().map(|id| (topic.into(), id.clone())).collect(),
        waker: waker.clone(),
    };
    let reader = factory.open(request).unwrap();
    Reading {
        reader,
        waker,
        rows: Vec::new(),
        slabs: Vec::new(),
        limits: LIMITS,
        healths: Vec::new(),
        gaps: Vec::new(),
    }
}

impl Reading {
    /// One poll; says whether it gave records.
    pub(crate) fn step(&mut self) -> Result<bool> {
        let mut slab = Slab::default();
        self.reader.poll(&mut slab, self.limits)?;
        self.gaps.extend(self.reader.take_gaps());
        let health = self.reader.health();
        if self.healths.last() != Some(&health) {
            self.healths.push(health);
        }
        if slab.is_empty() {
            return Ok(false);
        }
        self.slabs.push(slab.len());
        let partition = self.reader.partitions()[slab.partition].id;
        let text =
            |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        for row in 0..slab.len() {
            self.rows.push(Row {
                topic: slab.topic.to_string(),
                partition,
                offset: slab.offsets[row],
                timestamp: slab.timestamps[row],
                value: text(slab.value(row)),
                key: text(slab.key(row)),
                headers: text(slab.header(row)),
            });
        }
        Ok(true)
    }

    pub(crate) fn commit(&mut self, partition: i32, offset: i64) {
        let topic = self.reader.partitions()[0].topic.clone();
        self.reader.commit(&[position(&topic, (partition, offset))]);
    }

    /// Polls until `done`, sleeping on the waker when there is nothing; panics after half a minute.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            if !self.step().unwrap() && !done(self) {
                self.waker.sleep(Duration::from_millis(100));
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for: {what}; rows {}, partitions {:?}, healths {:?}",
                self.rows.len(),
                self.reader.partitions(),
                self.healths
            );
        }
    }

    /// Polls until every partition of a bounded reader has been read to its stop.
    pub(crate) fn until_finished(&mut self) {
        self.until("all partitions finished", |reading| {
            let partitions = reading.reader.partitions();
            !partitions.is_empty() && partitions.iter().all(|partition| partition.finished())
        });
    }

    /// Polls until the broker said of every partition that it is read to its end.
    pub(crate) fn until_at_end(&mut self) {
        self.until("all partitions at their end", |reading| {
            let partitions = reading.reader.partitions();
            !partitions.is_empty() && partitions.iter().all(|partition| partition.at_end)
        });
    }

    pub(crate) fn until_rows(&mut self, count: usize) {
        self.until(&format!("{count} rows"), |reading| {
            reading.rows.len() >= count
        });
    }

    pub(crate) fn values(&self) -> Vec<&str> {
        self.rows
            .iter()
            .map(|row| row.value.as_deref().unwrap())
            .collect()
    }

    /// All values, in the order of the alphabet.
    pub(crate) fn sorted(&self) -> Vec<&str> {
        let mut values = self.values();
        values.sort_unstable();
        values
    }

    /// Polls until the health has said that records are gone, and then that reading goes on.
    pub(crate) fn until_loss_is_told(&mut self) {
        self.until("a note in the health", |reading| {
            let mut told = reading.healths.iter().filter_map(reason);
            told.any(|reason| reason.contains("records are gone"))
        });
        self.until("running", |reading| reading.is_running());
    }

    /// Polls until the reader fails.
    pub(crate) fn until_failed(&mut self) -> Error {
        let begun = Instant::now();
        loop {
            match self.step() {
                Ok(_) => drop(self.waker.sleep(Duration::from_millis(100))),
                Err(error) => return error,
            }
            assert!(begun.elapsed() < PATIENCE, "it does not fail");
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.reader.health() == Health::Running
    }
}

/// The reason of a reader that is not running.
pub(crate) fn reason(health: &Health) -> Option<&str> {
    match health {
        Health::Running | Health::Connecting { reason: None } => None,
        Health::Connecting {
            reason: Some(reason),
        }
        | Health::Retrying { reason, .. } => Some(reason),
    }
}
