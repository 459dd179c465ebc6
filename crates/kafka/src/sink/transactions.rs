//! Exactly once: a transaction holds the rows of some versions and the number of the last, and it is the only commit there is.
//!
//! librdkafka cannot take up a transaction of a process that is gone, so nothing may be made lasting before the commit. What
//! the rows are made of is: the journal has every version before a sink sees it. The number stands in the transaction as an
//! offset of the sink's consumer group, with the sink's name beside it, so that a start reads it back from the brokers.
//!
//! Kafka can lose the end of a transaction: brokers that come back from a crash together may take their partitions for
//! deleted and leave out the markers (seen with Kafka 4.4 as a single broker). Then the number stays undecided, and nobody
//! is told it, and rows stay hidden. How the transaction ended is asked before a new writer makes its coordinator forget, and
//! partitions that were not told are told.

use std::io;
use std::time::{Duration, Instant};

use dataflow::failpoint::{self, Failpoint};
use dataflow::sink::{SinkRequest, SinkWriter};
use dataflow::{DeltaBatch, Error, Result, SqlState};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::KafkaSink;
use super::coordinator::{self, Coordinator, Last};
use super::writer::{ANSWER, PATIENCE, Sending, state_of};

/// The brokers abort a transaction of a process that is gone after so long; until then readers of committed records wait.
const TIMEOUT: (&str, &str) = ("transaction.timeout.ms", "60000");
/// How long an abort may take when a writer ends in the middle.
const ABORTING: Duration = Duration::from_secs(2);
/// Each row exactly once.
pub(super) struct Transactional {
    sending: Sending,
    progress: BaseConsumer,
    identity: String,
    /// Since when a transaction is open.
    open: Option<Instant>,
    timeout: Duration,
}

impl Transactional {
    pub(super) fn new(sink: &KafkaSink, request: SinkRequest) -> Result<Self> {
        let identity = request.identity;
        let mut own = vec![("transactional.id", identity.as_str())];
        if sink.config.get(TIMEOUT.0).is_none() {
            own.push(TIMEOUT);
        }
        let timeout = sink.config.get(TIMEOUT.0).unwrap_or(TIMEOUT.1);
        let timeout: u64 = timeout.parse().unwrap_or(60_000);
        // A record cannot be on its way longer than its transaction.
        let on_the_way = timeout.min(30_000).to_string();
        own.push(("message.timeout.ms", &on_the_way));
        let sending = Sending::new(sink, request.encoder, &own)?;
        let mut config: ClientConfig = sink.config.clone();
        config.set("group.id", &identity);
        let progress = config.create().map_err(|error| {
            let message = format!("cannot make a Kafka consumer: {error}");
            Error::new(SqlState::INVALID_PARAMETER, message)
        })?;
        Ok(Self {
            sending,
            progress,
            identity,
            open: None,
            timeout: Duration::from_millis(timeout),
        })
    }

    fn open(&mut self) -> Result<()> {
        if self.open.is_none() {
            let begun = self.sending.producer.client().begin_transaction();
            begun.map_err(|error| self.failed("begin a transaction", &error))?;
            self.open = Some(Instant::now());
        }
        Ok(())
    }

    /// The place where the number of the version stands.
    fn place(&self) -> (&str, i32) {
        (&self.sending.sink.topic, 0)
    }

    /// Asks how the last transaction of an earlier writer ended: who comes next makes its coordinator forget. `None` when nobody
    /// tells.
    fn ask_how_it_ended(&self) -> Result<Option<(Coordinator, Last)>> {
        let sink = &self.sending.sink;
        let protocol = sink.config.get("security.protocol").unwrap_or("plaintext");
        if !protocol.eq_ignore_ascii_case("plaintext") {
            return Ok(None);
        }
        let asked = || {
            let coordinator = Coordinator::find(&sink.brokers, &self.identity)?;
            let last = coordinator.last()?;
            Ok((coordinator, last))
        };
        let (coordinator, mut last) = match asked() {
            Ok(asked) => asked,
            Err(error) if coordinator::is_final(&error) => {
                tracing::debug!(target: "kafka", "nobody tells how a transaction ended: {error}");
                return Ok(None);
            }
            Err(error) => return Err(self.not_told(&error)),
        };
        let mut known = sink.last.lock();
        if let (None, Some(known)) = (last.outcome, &*known)
            && known.producer == last.producer
        {
            // A writer of before has begun, and got no farther.
            last.outcome = known.outcome;
        }
        *known = Some(last);
        Ok(Some((coordinator, last)))
    }

    fn not_told(&self, error: &io::Error) -> Error {
        let topic = &self.sending.sink.topic;
        let message =
            format!("cannot ask how the last transaction of topic \"{topic}\" ended: {error}");
        Error::new(SqlState::CONNECTION_FAILURE, message)
    }

    /// Ends the last transaction where brokers have lost its end. It is over for its coordinator.
    fn settle(&self, coordinator: &Coordinator, last: Last) -> Result<()> {
        let topic = &self.sending.sink.topic;
        let hanging = match coordinator.hanging(topic, last.producer) {
            Err(error) if coordinator::is_final(&error) => return Ok(()),
            found => found.map_err(|error| self.not_told(&error))?,
        };
        if hanging.is_empty() {
            return Ok(());
        }
        let Some(outcome) = last.outcome else {
            let message = format!(
                "nobody knows any more whether the last transaction of topic \"{topic}\" was committed"
            );
            return Err(Error::new(SqlState::CONNECTION_FAILURE, message).hint(
                "kafka-transactions.sh ends a hanging transaction; or DROP SINK and create it under another name",
            ));
        };
        tracing::warn!(target: "kafka", topic, ?outcome, partitions = hanging.len(), "brokers have lost the end of a transaction; they are told again");
        // One that stood still, and goes on at this moment, has a transaction of its own.
        let now = coordinator.last().map_err(|error| self.not_told(&error))?;
        if last.is_over && (now.producer, now.epoch) != (last.producer, last.epoch) || !now.is_over
        {
            let error = io::Error::other("another writer has begun");
            return Err(self.not_told(&error));
        }
        for partition in &hanging {
            partition
                .end(outcome)
                .map_err(|error| self.not_told(&error))?;
        }
        Ok(())
    }

    /// Has the open transaction hold the number of a version.
    fn send_progress(&self, version: u64) -> Result<()> {
        let (topic, partition) = self.place();
        let mut reached = TopicPartitionList::new();
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        reached
            .add_partition_offset(topic, partition, Offset::Offset(version))
            .map_err(|error| self.failed("name the progress", &error))?;
        if let Some(mut element) = reached.find_partition(topic, partition) {
            element.set_metadata(&self.identity);
        }
        let client = self.sending.producer.client();
        client
            .send_offsets_to_transaction(&reached, &self.group()?, PATIENCE)
            .map_err(|error| self.failed("write the progress", &error))
    }

    fn group(&self) -> Result<ConsumerGroupMetadata> {
        let group = self.progress.group_metadata();
        group.ok_or_else(|| Error::internal("a consumer without a group"))
    }

    fn failed(&self, what: &str, error: &KafkaError) -> Error {
        let code = match error {
            KafkaError::Transaction(error) => Some(error.code()),
            other => other.rdkafka_error_code(),
        };
        let reason = match error {
            KafkaError::Transaction(error) => error.string(),
            other => crate::describe(other),
        };
        let state = code.map_or(SqlState::CONNECTION_FAILURE, state_of);
        let topic = &self.sending.sink.topic;
        // The brokers fence a writer, too, whose transaction they have given up.
        if state == SqlState::OBJECT_IN_USE
            && self.open.is_some_and(|open| open.elapsed() >= self.timeout)
        {
            let message = format!(
                "the brokers of topic \"{topic}\" gave up a transaction that was open for {} s",
                self.timeout.as_secs()
            );
            return Error::new(SqlState::CONNECTION_FAILURE, message).detail(reason);
        }
        match state {
            SqlState::OBJECT_IN_USE => Error::new(
                state,
                format!("another clickmill has taken over the sink to topic \"{topic}\""),
            )
            .detail(reason)
            .hint("one of the two must end; ALTER SINK … RESUME takes the sink back"),
            SqlState::FEATURE_NOT_SUPPORTED => {
                Error::unsupported(format!("a transaction on the brokers of topic \"{topic}\""))
                    .detail(reason)
                    .hint("delivery = 'at_least_once' needs none; the embedded broker has none")
            }
            _ => Error::new(
                state,
                format!("cannot {what} of topic \"{topic}\": {reason}"),
            ),
        }
    }
}

impl SinkWriter for Transactional {
    fn begin(&mut self) -> Result<Option<u64>> {
        self.sending.find_topic()?;
        let last = self.ask_how_it_ended()?;
        if let Some((coordinator, last)) = &last
            && last.is_over
        {
            self.settle(coordinator, *last)?;
        }
        // Ends what an earlier writer has left open, and keeps it from going on.
        let client = self.sending.producer.client();
        client
            .init_transactions(PATIENCE)
            .map_err(|error| self.failed("begin the transactions", &error))?;
        if let Some((coordinator, last)) = &last
            && !last.is_over
        {
            // It was not over when it was asked for, and is now.
            self.settle(coordinator, *last)?;
        }
        *self.sending.sink.last.lock() = None;
        let (topic, partition) = self.place();
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition(topic, partition);
        let found = self
            .progress
            .committed_offsets(wanted, ANSWER)
            .map_err(|error| self.failed("read the progress", &error))?;
        let element = found.find_partition(topic, partition);
        Ok(element.and_then(|e| match e.offset() {
            Offset::Offset(version) => u64::try_from(version).ok(),
            _ => None,
        }))
    }

    fn write(&mut self, _version: u64, batches: &[DeltaBatch]) -> Result<()> {
        self.open()?;
        self.sending.send(batches)
    }

    fn commit(&mut self, version: u64) -> Result<()> {
        self.open()?;
        self.sending.finish()?;
        failpoint::reached(Failpoint::KafkaFlushed);
        self.send_progress(version)?;
        failpoint::reached(Failpoint::KafkaProgress);
        let client = self.sending.producer.client();
        client
            .commit_transaction(PATIENCE)
            .map_err(|error| self.failed("commit a transaction", &error))?;
        self.open = None;
        Ok(())
    }
}

impl Drop for Transactional {
    fn drop(&mut self) {
        if self.open.is_some() {
            // Else readers of committed records would wait until the brokers give it up. After a failure that may not work.
            let _ = self.sending.producer.client().abort_transaction(ABORTING);
        }
    }
}
