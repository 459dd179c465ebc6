//! A topic of its own on a real Apache Kafka.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test helpers; not every test file uses each"
)]

use kafka::{Producer, Record, admin};
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::support::{Open, PATIENCE, Reading, open_topic};

/// The broker to use, and a topic of `partitions` partitions that nobody else has; deleted when dropped.
pub(crate) struct Scratch {
    pub(crate) brokers: String,
    pub(crate) topic: String,
}

impl Scratch {
    pub(crate) fn new(name: &str, partitions: i32) -> Self {
        let brokers = std::env::var("CLICKMILL_TEST_KAFKA")
            .expect("CLICKMILL_TEST_KAFKA names a broker, host:port");
        let topic = format!("kafka-test-{name}-{}", std::process::id());
        assert!(admin::create_topic(&brokers, &topic, partitions).unwrap());
        Self { brokers, topic }
    }

    pub(crate) fn open(&self, how: Open<'_>) -> Reading {
        open_topic(&self.brokers, &self.topic, how)
    }

    pub(crate) fn fill(&self, partition: i32, values: &[&str]) {
        let producer = Producer::new(&self.brokers, &self.topic, &[("linger.ms", "0")]).unwrap();
        for (at, value) in (1_000..).zip(values) {
            let record = Record {
                payload: Some(value.as_bytes()),
                partition: Some(partition),
                timestamp_ms: Some(at),
                ..Record::default()
            };
            producer.send(&record).unwrap();
        }
        assert_eq!(producer.flush(PATIENCE).delivered, values.len() as u64);
    }

    /// Another topic whose name begins as this one's, deleted with it.
    pub(crate) fn another(&self, end: &str) -> Self {
        let topic = format!("{}-{end}", self.topic);
        assert!(admin::create_topic(&self.brokers, &topic, 1).unwrap());
        Self {
            brokers: self.brokers.clone(),
            topic,
        }
    }

    pub(crate) fn make_anew(&self, partitions: i32) {
        assert!(admin::delete_topic(&self.brokers, &self.topic).unwrap());
        let begun = std::time::Instant::now();
        // The name is free a moment later.
        while !admin::create_topic(&self.brokers, &self.topic, partitions).unwrap_or(false) {
            assert!(begun.elapsed() < PATIENCE, "the topic cannot be made again");
        }
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .unwrap()
    }

    pub(crate) fn transactional(&self) -> BaseProducer {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("transactional.id", &self.topic)
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer
    }

    pub(crate) fn send(&self, producer: &BaseProducer, value: &str) {
        producer
            .send(
                BaseRecord::<str, str>::to(&self.topic)
                    .payload(value)
                    .partition(0),
            )
            .unwrap();
        producer.flush(PATIENCE).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        assert!(
            admin::delete_topic(&self.brokers, &self.topic).unwrap() || std::thread::panicking()
        );
    }
}
