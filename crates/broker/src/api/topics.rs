//! Topics and their settings: CreateTopics, DeleteTopics and DescribeConfigs.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse,
};

use super::{Call, code, quoted, text};
use crate::batch::MAX_BATCH_BYTES;
use crate::shape::{Field, Shape, always};

pub(super) const CREATE_TOPICS: &[Field] = &[
    always(Shape::Array(&[
        always(Shape::Text),
        always(Shape::Fixed(6)),
        always(Shape::Array(&[
            always(Shape::Fixed(4)),
            always(Shape::List(4)),
        ])),
        always(Shape::Array(&[always(Shape::Text), always(Shape::Text)])),
    ])),
    always(Shape::Fixed(5)),
];
pub(super) const DELETE_TOPICS: &[Field] = &[
    always(Shape::Array(&[always(Shape::Text)])),
    always(Shape::Fixed(4)),
];
pub(super) const DESCRIBE_CONFIGS: &[Field] = &[
    always(Shape::Array(&[
        always(Shape::Fixed(1)),
        always(Shape::Text),
        always(Shape::Array(&[always(Shape::Text)])),
    ])),
    always(Shape::Fixed(1)),
    crate::shape::since(3, Shape::Fixed(1)),
];

/// The resource types of DescribeConfigs.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a setting comes from: it is a default.
const DEFAULT_CONFIG: i8 = 5;
/// The type of a setting's value.
const STRING: i8 = 2;

type Refusal = (ResponseError, String);

pub(super) fn create_topics(
    call: &Call<'_>,
    request: &CreateTopicsRequest,
) -> CreateTopicsResponse {
    let topics = request.topics.iter().map(|topic| {
        let (error, message) = create(call, topic, request.validate_only).err().unzip();
        CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_error_code(code(error))
            .with_error_message(message.map(text))
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn create(call: &Call<'_>, topic: &CreatableTopic, only_check: bool) -> Result<(), Refusal> {
    if !topic.assignments.is_empty() {
        let message = "the embedded broker assigns partitions itself".to_owned();
        return Err((ResponseError::InvalidReplicaAssignment, message));
    }
    if !matches!(topic.replication_factor, -1 | 1) {
        let message = format!(
            "the embedded broker has one replica, not {}",
            topic.replication_factor
        );
        return Err((ResponseError::InvalidReplicationFactor, message));
    }
    for config in &topic.configs {
        let value = config.value.as_ref().map_or("", |value| value.as_str());
        if !topic_configs(call)
            .iter()
            .any(|(name, fixed)| *name == config.name.as_str() && fixed == value)
        {
            let message = format!(
                "the embedded broker cannot set {} to {}",
                quoted(&config.name),
                quoted(value)
            );
            return Err((ResponseError::InvalidConfig, message));
        }
    }
    let partitions = match topic.num_partitions {
        -1 => call.shared.config.auto_create_partitions.unwrap_or(1),
        partitions => partitions,
    };
    let (topics, name) = (&call.shared.topics, topic.name.as_str());
    let done = if only_check {
        topics.check(name, partitions)
    } else {
        topics.create(name, partitions)
    };
    done.map_err(|error| (error.response(), error.message()))
}

pub(super) fn delete_topics(
    call: &Call<'_>,
    request: &DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let responses = request.topic_names.iter().map(|name| {
        let deleted = call.shared.topics.delete(name.as_str());
        if deleted {
            call.shared.groups.lock().forget_topic(name.as_str());
        }
        let missing = (!deleted).then_some(ResponseError::UnknownTopicOrPartition);
        DeletableTopicResult::default()
            .with_name(Some(name.clone()))
            .with_error_code(code(missing))
    });
    let responses = responses.collect();
    call.shared.keep_commits();
    call.shared.changed.notify_waiters();
    DeleteTopicsResponse::default().with_responses(responses)
}

pub(super) fn describe_configs(
    call: &Call<'_>,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    DescribeConfigsResponse::default().with_results(
        request
            .resources
            .iter()
            .map(|resource| describe(call, resource))
            .collect(),
    )
}

fn describe(call: &Call<'_>, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
    let found = match resource.resource_type {
        TOPIC if call.shared.topics.get(&resource.resource_name).is_some() => {
            Ok(topic_configs(call))
        }
        TOPIC => Err((
            ResponseError::UnknownTopicOrPartition,
            "there is no such topic",
        )),
        BROKER => Ok(broker_configs(call)),
        _ => Err((
            ResponseError::InvalidRequest,
            "only topics and the broker have settings",
        )),
    };
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    let configs = match found {
        Ok(configs) => configs,
        Err((error, message)) => {
            return result
                .with_error_code(error.code())
                .with_error_message(Some(text(message)));
        }
    };
    let wanted = |name: &str| {
        let keys = resource.configuration_keys.as_ref();
        keys.is_none_or(|keys| keys.iter().any(|key| key.as_str() == name))
    };
    let config = |(name, value): (&str, String)| {
        DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(Some(text(value)))
            .with_read_only(true)
            .with_config_source(DEFAULT_CONFIG)
            .with_config_type(STRING)
    };
    result.with_configs(
        configs
            .into_iter()
            .filter(|(name, _)| wanted(name))
            .map(config)
            .collect(),
    )
}

/// What holds for every topic; nothing of it can be changed.
fn topic_configs(call: &Call<'_>) -> Vec<(&'static str, String)> {
    let config = &call.shared.config;
    vec![
        ("cleanup.policy", "delete".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("max.message.bytes", MAX_BATCH_BYTES.to_string()),
        ("message.timestamp.type", "CreateTime".to_owned()),
        ("retention.bytes", config.max_partition_bytes.to_string()),
        ("retention.ms", config.max_age.as_millis().to_string()),
    ]
}

fn broker_configs(call: &Call<'_>) -> Vec<(&'static str, String)> {
    let config = &call.shared.config;
    vec![
        (
            "auto.create.topics.enable",
            config.auto_create_partitions.is_some().to_string(),
        ),
        (
            "log.retention.bytes",
            config.max_partition_bytes.to_string(),
        ),
        ("log.retention.ms", config.max_age.as_millis().to_string()),
        ("max.connections", config.max_connections.to_string()),
        ("message.max.bytes", MAX_BATCH_BYTES.to_string()),
        (
            "num.partitions",
            config.auto_create_partitions.unwrap_or(1).to_string(),
        ),
    ]
}
