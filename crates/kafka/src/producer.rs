//! A bulk producer with a bounded queue, for `clickmill produce` and the demo.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dataflow::{Error, Result, SqlState};
use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext,
};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};

/// The queue's bounds and the rest of a bulk producer's settings; the partitioner is the one of Java clients.
/// Only failures are reported by librdkafka, so that a delivered record costs nothing here.
const DEFAULTS: [(&str, &str); 10] = [
    ("client.id", "clickmill"),
    ("compression.type", "lz4"),
    ("partitioner", "murmur2_random"),
    ("linger.ms", "5"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
    ("message.timeout.ms", "30000"),
    ("delivery.report.only.error", "true"),
    ("reconnect.backoff.max.ms", "1000"),
    ("log.connection.close", "false"),
];

/// How long a full queue may stay full before [`Producer::send`] gives up: longer than `message.timeout.ms`,
/// after which records fail and make room.
const PATIENCE: Duration = Duration::from_secs(60);
const TURN: Duration = Duration::from_millis(20);
/// Reports are collected once every this many records.
const SERVE_EVERY: u32 = 1_024;

/// One record to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// Its key; records of one key go to one partition.
    pub key: Option<&'a [u8]>,
    /// Its payload; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Its broker timestamp in milliseconds since 1970-01-01 UTC; the time of sending when `None`.
    pub timestamp_ms: Option<i64>,
    /// Its partition; chosen by the key when `None`.
    pub partition: Option<i32>,
    /// Its headers.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// What has become of the records so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Records that brokers have acknowledged.
    pub delivered: u64,
    /// Records that could not be delivered.
    pub failed: u64,
    /// Records still in the queue or on their way.
    pub pending: u64,
    /// Why the last one failed.
    pub last_error: Option<String>,
}

/// Sends records to one topic. Used from one thread.
pub struct Producer {
    client: BaseProducer<Reports>,
    topic: String,
    accepted: Cell<u64>,
    until_serve: Cell<u32>,
}

#[derive(Default)]
pub(crate) struct Reports {
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
    last_failure: Mutex<Option<RDKafkaErrorCode>>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::context::log(level, facility, message);
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        *self.last_error.lock() = Some(reason.to_owned());
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed.fetch_add(1, Ordering::Relaxed);
            *self.last_error.lock() = Some(crate::describe(error));
            *self.last_failure.lock() = error.rdkafka_error_code();
        }
    }
}

impl Producer {
    /// A producer for `topic` on `brokers` (`host:port,…`). `properties` are librdkafka's and replace the
    /// defaults. Returns at once: whether the brokers answer shows in [`Producer::flush`] and in full queues.
    ///
    /// # Errors
    /// `22023` for a property that librdkafka refuses.
    pub fn new(brokers: &str, topic: &str, properties: &[(&str, &str)]) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Info);
        for (name, value) in DEFAULTS.iter().chain(properties) {
            config.set(*name, *value);
        }
        config.set("bootstrap.servers", brokers);
        let client = config
            .create_with_context(Reports::default())
            .map_err(|error| {
                Error::new(
                    SqlState::INVALID_PARAMETER,
                    format!("cannot make a Kafka producer: {error}"),
                )
            })?;
        Ok(Self {
            client,
            topic: topic.to_owned(),
            accepted: Cell::new(0),
            until_serve: Cell::new(SERVE_EVERY),
        })
    }

    /// Queues a record, which is copied; `false` when the queue is full. Never waits.
    ///
    /// # Errors
    /// `54000` for a record that is too large; `22023` for anything else wrong with it, as a partition that is not there.
    pub fn try_send(&self, record: &Record<'_>) -> Result<bool> {
        let mut base: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic);
        (base.key, base.payload) = (record.key, record.payload);
        (base.timestamp, base.partition) = (record.timestamp_ms, record.partition);
        if !record.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
            for (key, value) in record.headers {
                headers = headers.insert(Header { key, value: *value });
            }
            base = base.headers(headers);
        }
        match self.client.send(base) {
            Ok(()) => {
                self.accepted.set(self.accepted.get() + 1);
                self.until_serve.set(self.until_serve.get() - 1);
                if self.until_serve.get() == 0 {
                    self.serve(Duration::ZERO);
                }
                Ok(true)
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => {
                let state = match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::MessageSizeTooLarge) => SqlState::PROGRAM_LIMIT,
                    _ => SqlState::INVALID_PARAMETER,
                };
                let message = format!(
                    "cannot send to topic \"{}\": {}",
                    self.topic,
                    crate::describe(&error)
                );
                Err(Error::new(state, message))
            }
        }
    }

    /// Queues a record, waiting while the queue is full.
    ///
    /// # Errors
    /// Those of [`Producer::try_send`]; `08006` when the queue stays full for a minute.
    pub fn send(&self, record: &Record<'_>) -> Result<()> {
        let mut waited = Duration::ZERO;
        while !self.try_send(record)? {
            if waited >= PATIENCE {
                let reason = self.delivery().last_error.unwrap_or_default();
                let message = format!(
                    "the brokers of topic \"{}\" take no records: {reason}",
                    self.topic
                );
                return Err(Error::new(SqlState::CONNECTION_FAILURE, message));
            }
            self.serve(TURN);
            waited += TURN;
        }
        Ok(())
    }

    /// The client, for transactions.
    pub(crate) fn client(&self) -> &BaseProducer<Reports> {
        &self.client
    }

    /// Why the last record failed that did.
    pub(crate) fn last_failure(&self) -> Option<RDKafkaErrorCode> {
        *self.client.context().last_failure.lock()
    }

    /// Number of the topic's partitions; none when there is no such topic.
    pub(crate) fn partitions(&self, limit: Duration) -> std::result::Result<usize, String> {
        let metadata = self
            .client
            .client()
            .fetch_metadata(Some(&self.topic), limit);
        let metadata = metadata.map_err(|error| crate::describe(&error))?;
        let mut topics = metadata.topics().iter();
        let topic = topics.find(|topic| topic.name() == self.topic);
        Ok(topic.map_or(0, |topic| topic.partitions().len()))
    }

    /// Collects reports of failures for at most `limit`.
    pub fn serve(&self, limit: Duration) {
        self.until_serve.set(SERVE_EVERY);
        self.client.poll(limit);
    }

    /// The account so far; failures are those collected by now.
    pub fn delivery(&self) -> Delivery {
        let reports = self.client.context();
        let failed = reports.failed.load(Ordering::Relaxed);
        // Reports that wait to be collected count as pending.
        let pending = u64::try_from(self.client.in_flight_count())
            .unwrap_or(0)
            .min(self.accepted.get() - failed);
        Delivery {
            delivered: self.accepted.get() - failed - pending,
            failed,
            pending,
            last_error: reports.last_error.lock().clone(),
        }
    }

    /// Waits until every record is delivered or has failed, at most `limit`, and gives the account.
    pub fn flush(&self, limit: Duration) -> Delivery {
        if let Err(error) = self.client.flush(limit) {
            tracing::debug!(target: "kafka", "flush: {}", crate::describe(&error));
        }
        self.serve(Duration::ZERO);
        self.delivery()
    }
}
