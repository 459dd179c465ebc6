//! Writes records to a source's topic: INSERT INTO a source.

use std::time::Duration;

use dataflow::connector::SourceWriter;
use dataflow::{Error, Result, SqlState};

use crate::producer::{Delivery, Producer, Record};
use crate::properties;
use crate::settings::Settings;

/// How long a record may be on its way: the statement waits for it.
const ON_THE_WAY: (&str, &str) = ("message.timeout.ms", "10000");
/// How long all records may take after the last one was handed over.
const PATIENCE: Duration = Duration::from_secs(15);

/// A producer with the brokers and properties of a source.
pub(crate) struct KafkaWriter {
    producer: Producer,
    topic: String,
}

impl KafkaWriter {
    /// A writer to the topic of `settings`.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        // A retry must not write a record twice, nor change the order of those of a key.
        let mut given = vec![ON_THE_WAY, ("enable.idempotence", "true"), ("acks", "all")];
        given.extend(properties::for_producer(&settings.config));
        let topic = settings.topics.only().ok_or_else(|| {
            Error::unsupported("INSERT INTO a source of several topics")
                .hint("declare a source of the one topic")
        })?;
        Ok(Self {
            producer: Producer::new(&settings.brokers, topic, &given)?,
            topic: topic.to_owned(),
        })
    }

    fn not_all(&self, delivery: Delivery) -> Error {
        let Delivery {
            delivered,
            failed,
            pending,
            last_error,
        } = delivery;
        let all = delivered + failed + pending;
        let message = format!(
            "the brokers of topic \"{}\" acknowledged {delivered} of {all} records",
            self.topic
        );
        let error = Error::new(SqlState::CONNECTION_FAILURE, message);
        match last_error {
            Some(reason) => error.detail(reason),
            None => error.detail(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

impl SourceWriter for KafkaWriter {
    fn write(&mut self, key: Option<&[u8]>, value: &[u8]) -> Result<()> {
        self.producer.send(&Record {
            key,
            payload: Some(value),
            ..Record::default()
        })
    }

    fn finish(&mut self) -> Result<()> {
        let delivery = self.producer.flush(PATIENCE);
        if delivery.failed == 0 && delivery.pending == 0 {
            return Ok(());
        }
        Err(self.not_all(delivery))
    }
}
