//! Records to a topic by an idempotent producer; what was not acknowledged before a crash comes again.

use std::time::Duration;

use dataflow::sink::{Record, RecordEncoder, Records, SinkRequest, SinkWriter};
use dataflow::{DeltaBatch, Error, Result, SqlState};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::KafkaSink;
use crate::admin::create_topic_with;
use crate::producer::Producer;
use crate::properties;

/// How long brokers may take to acknowledge all records of a commit.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// What is too large is a matter of the brokers.
const LARGEST: (&str, &str) = ("message.max.bytes", "104857600");
/// A transaction finds the one before it not quite finished more often than not, and asks again after so long.
const BACKOFF: (&str, &str) = ("retry.backoff.ms", "20");
/// How long brokers may take to tell of a topic, or of the progress.
pub(super) const ANSWER: Duration = Duration::from_secs(10);
/// Rows that were written together have left after so long.
const ON_THE_WAY: (&str, &str) = ("message.timeout.ms", "30000");

/// Sends records; common to both kinds of delivery.
pub(super) struct Sending {
    pub(super) producer: Producer,
    encoder: Box<dyn RecordEncoder>,
    records: Records,
    pub(super) sink: KafkaSink,
    /// Failures that were told of.
    failed: u64,
}

impl Sending {
    pub(super) fn new(
        sink: &KafkaSink,
        encoder: Box<dyn RecordEncoder>,
        own: &[(&str, &str)],
    ) -> Result<Self> {
        Ok(Self {
            producer: producer(sink, &sink.brokers, own)?,
            encoder,
            records: Records::default(),
            sink: sink.clone(),
            failed: 0,
        })
    }

    /// Looks for the topic, and makes it when that was asked for.
    pub(super) fn find_topic(&self) -> Result<()> {
        let sink = &self.sink;
        let found = self.producer.partitions(ANSWER);
        let found = found.map_err(|why| Error::new(SqlState::CONNECTION_FAILURE, why))?;
        if found > 0 {
            return Ok(());
        }
        let Some(partitions) = sink.partitions else {
            let message = format!("topic \"{}\" does not exist", sink.topic);
            return Err(Error::new(SqlState::CONNECTION_FAILURE, message)
                .hint("create it, or say partitions = … in WITH (…)"));
        };
        let properties = properties::for_producer(&sink.config);
        let (brokers, topic) = (&sink.brokers, &sink.topic);
        create_topic_with(brokers, topic, partitions, &properties, sink.is_upsert)?;
        // Not all brokers need to know of it yet.
        Ok(())
    }

    /// Queues the records of a version.
    pub(super) fn send(&mut self, batches: &[DeltaBatch]) -> Result<()> {
        self.records.clear();
        self.encoder.encode(batches, &mut self.records)?;
        for Record {
            key,
            value,
            time,
            headers,
        } in self.records.iter()
        {
            self.producer.send(&crate::Record {
                key,
                payload: value,
                timestamp_ms: time.map(|at| at.div_euclid(dataflow::time::MILLI)),
                partition: None,
                headers: &headers,
            })?;
        }
        self.check()
    }

    /// Waits until all records are acknowledged.
    pub(super) fn finish(&mut self) -> Result<()> {
        let delivery = self.producer.flush(PATIENCE);
        self.check()?;
        if delivery.pending > 0 {
            let message = format!(
                "the brokers of topic \"{}\" have not acknowledged {} records",
                self.sink.topic, delivery.pending
            );
            let reason = delivery.last_error.unwrap_or_default();
            return Err(Error::new(SqlState::CONNECTION_FAILURE, message).detail(reason));
        }
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        let delivery = self.producer.delivery();
        if delivery.failed == self.failed {
            return Ok(());
        }
        self.failed = delivery.failed;
        let reason = delivery.last_error.unwrap_or_default();
        let state = self
            .producer
            .last_failure()
            .map_or(SqlState::CONNECTION_FAILURE, state_of);
        let message = format!("cannot write to topic \"{}\": {reason}", self.sink.topic);
        Err(Error::new(state, message))
    }
}

/// The condition of an error: what another attempt does not mend is no trouble of the connection.
pub(super) fn state_of(code: Code) -> SqlState {
    match code {
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => SqlState::PROGRAM_LIMIT,
        Code::InvalidRecord | Code::InvalidTopic | Code::PolicyViolation => {
            SqlState::INVALID_PARAMETER
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => SqlState("42501"),
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => SqlState::OBJECT_IN_USE,
        Code::UnsupportedFeature | Code::UnsupportedVersion => SqlState::FEATURE_NOT_SUPPORTED,
        _ => SqlState::CONNECTION_FAILURE,
    }
}

/// A producer with the properties of a sink, and `own`.
fn producer(sink: &KafkaSink, brokers: &str, own: &[(&str, &str)]) -> Result<Producer> {
    let mut given = vec![ON_THE_WAY, BACKOFF, LARGEST];
    given.extend(properties::for_producer(&sink.config));
    given.extend([("enable.idempotence", "true"), ("acks", "all")]);
    given.extend_from_slice(own);
    Producer::new(brokers, &sink.topic, &given)
}

/// Checks the properties of a sink's producer, without brokers.
pub(super) fn check(sink: &KafkaSink) -> Result<()> {
    producer(sink, "", &[]).map(drop)
}

/// Each row at least once.
pub(super) struct AtLeastOnce(Sending);

impl AtLeastOnce {
    pub(super) fn new(sink: &KafkaSink, request: SinkRequest) -> Result<Self> {
        Ok(Self(Sending::new(sink, request.encoder, &[])?))
    }
}

impl SinkWriter for AtLeastOnce {
    fn begin(&mut self) -> Result<Option<u64>> {
        self.0.find_topic()?;
        Ok(None)
    }

    fn write(&mut self, _version: u64, batches: &[DeltaBatch]) -> Result<()> {
        self.0.send(batches)
    }

    fn commit(&mut self, _version: u64) -> Result<()> {
        self.0.finish()
    }
}
