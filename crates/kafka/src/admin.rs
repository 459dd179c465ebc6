//! Creating and deleting topics, and deleting records.

use std::time::Duration;

use dataflow::{Error, Result, SqlState};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

/// How long the brokers may take for one call.
const ANSWER: Duration = Duration::from_secs(10);

struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::context::log(level, facility, message);
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        tracing::debug!(target: "kafka", "{reason}");
    }
}

/// Creates `topic` with `partitions` partitions and the brokers' default replication. `false` when it exists already
/// (with whatever partitions it has). Waits for the brokers, at most ten seconds.
///
/// # Errors
/// `08006` when the brokers do not answer, `22023` when they refuse.
pub fn create_topic(brokers: &str, topic: &str, partitions: i32) -> Result<bool> {
    create_topic_with(brokers, topic, partitions, &[], false)
}

/// As [`create_topic`], with properties of the client; a topic of which the newest record of each key counts is compacted.
pub(crate) fn create_topic_with(
    brokers: &str,
    topic: &str,
    partitions: i32,
    properties: &[(&str, &str)],
    is_compacted: bool,
) -> Result<bool> {
    let client = client(brokers, properties)?;
    let mut wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
    if is_compacted {
        wanted = wanted.set("cleanup.policy", "compact");
    }
    let done = futures::executor::block_on(client.create_topics([&wanted], &options()));
    outcome(done, topic, "create", RDKafkaErrorCode::TopicAlreadyExists)
}

/// Deletes `topic`. `false` when there is no such topic. Waits for the brokers, at most ten seconds.
///
/// # Errors
/// `08006` when the brokers do not answer, `22023` when they refuse.
pub fn delete_topic(brokers: &str, topic: &str) -> Result<bool> {
    let client = client(brokers, &[])?;
    let done = futures::executor::block_on(client.delete_topics(&[topic], &options()));
    outcome(
        done,
        topic,
        "delete",
        RDKafkaErrorCode::UnknownTopicOrPartition,
    )
}

/// Deletes the records of a partition before an offset. Waits for the brokers, at most ten seconds.
///
/// # Errors
/// `08006` when the brokers do not answer, `22023` when they refuse.
pub fn delete_records(brokers: &str, topic: &str, partition: i32, before: i64) -> Result<()> {
    let client = client(brokers, &[])?;
    let mut list = TopicPartitionList::new();
    let failed = |state: SqlState, error: &KafkaError| {
        let reason = crate::describe(error);
        let message = format!("cannot delete records of topic \"{topic}\": {reason}");
        Error::new(state, message)
    };
    list.add_partition_offset(topic, partition, Offset::Offset(before))
        .map_err(|error| failed(SqlState::INVALID_PARAMETER, &error))?;
    let done = futures::executor::block_on(client.delete_records(&list, &options()));
    let done = done.map_err(|error| failed(SqlState::CONNECTION_FAILURE, &error))?;
    done.elements()
        .iter()
        .try_for_each(|element| element.error())
        .map_err(|error| failed(SqlState::INVALID_PARAMETER, &error))
}

fn client(brokers: &str, properties: &[(&str, &str)]) -> Result<AdminClient<Quiet>> {
    let mut config = ClientConfig::new();
    for (name, value) in properties {
        config.set(*name, *value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "clickmill")
        .set("log.connection.close", "false");
    config.create_with_context(Quiet).map_err(|error| {
        Error::new(
            SqlState::INVALID_PARAMETER,
            format!("cannot make a Kafka client: {error}"),
        )
    })
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ANSWER))
        .operation_timeout(Some(ANSWER))
}

/// Whether the one topic was changed; `needless` is the broker's way to say that nothing was to be done.
fn outcome(
    done: KafkaResult<Vec<TopicResult>>,
    topic: &str,
    verb: &str,
    needless: RDKafkaErrorCode,
) -> Result<bool> {
    let results = done.map_err(|error| {
        let reason = match &error {
            KafkaError::AdminOp(code) => crate::describe_code(*code),
            other => crate::describe(other),
        };
        Error::new(
            SqlState::CONNECTION_FAILURE,
            format!("cannot {verb} topic \"{topic}\": {reason}"),
        )
    })?;
    match results.into_iter().next() {
        Some(Ok(_)) => Ok(true),
        Some(Err((_, code))) if code == needless => Ok(false),
        Some(Err((_, code))) => {
            let message = format!(
                "cannot {verb} topic \"{topic}\": {}",
                crate::describe_code(code)
            );
            Err(Error::new(SqlState::INVALID_PARAMETER, message))
        }
        None => Err(Error::internal("the brokers answered about no topic")),
    }
}
