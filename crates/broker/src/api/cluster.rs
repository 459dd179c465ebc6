//! Who is there: ApiVersions, Metadata, FindCoordinator and DescribeCluster.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    MetadataRequest, MetadataResponse,
};

use super::{APIS, Call, NODE, code, text, topic_name};
use crate::shape::{Field, Shape, always, since};
use crate::topics::TopicError;

pub(super) const API_VERSIONS: &[Field] = &[since(3, Shape::Rest)];
pub(super) const METADATA: &[Field] = &[
    always(Shape::Array(&[always(Shape::Text)])),
    since(4, Shape::Fixed(1)),
    since(8, Shape::Fixed(2)),
];
pub(super) const FIND_COORDINATOR: &[Field] = &[always(Shape::Text), since(1, Shape::Fixed(1))];
pub(super) const DESCRIBE_CLUSTER: &[Field] = &[always(Shape::Rest)];

const CLUSTER: &str = "clickmill";
/// What FindCoordinator looks for when it looks for a group's coordinator.
const GROUP: i8 = 0;
/// What it looks for when a transactional producer asks.
const TRANSACTION: i8 = 1;

/// What the broker answers, or the same with an error for a version that it does not.
pub(super) fn versions(error: Option<ResponseError>) -> ApiVersionsResponse {
    let version = |api: &super::Api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(api.min)
            .with_max_version(api.max)
    };
    ApiVersionsResponse::default()
        .with_error_code(code(error))
        .with_api_keys(APIS.iter().map(version).collect())
}

pub(super) fn metadata(call: &Call<'_>, request: &MetadataRequest) -> MetadataResponse {
    // Version 0 has no null: there, all topics are meant by none.
    let asked = request
        .topics
        .as_ref()
        .filter(|topics| call.version > 0 || !topics.is_empty());
    let names: Vec<String> = match asked {
        None => call.shared.topics.names(),
        Some(topics) => topics
            .iter()
            .filter_map(|topic| Some(topic.name.as_ref()?.to_string()))
            .collect(),
    };
    let may_create = asked.is_some() && request.allow_auto_topic_creation;
    let topics = names
        .into_iter()
        .map(|name| metadata_of(call, name, may_create))
        .collect();
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE)
        .with_host(host(call))
        .with_port(port(call));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(CLUSTER)))
        .with_controller_id(NODE)
        .with_topics(topics)
}

fn metadata_of(call: &Call<'_>, name: String, may_create: bool) -> MetadataResponseTopic {
    let topics = &call.shared.topics;
    let mut missing = Some(ResponseError::UnknownTopicOrPartition);
    if topics.get(&name).is_none() && may_create {
        let partitions = call.shared.config.auto_create_partitions;
        missing = match partitions.map(|partitions| topics.create(&name, partitions)) {
            None | Some(Ok(()) | Err(TopicError::Exists)) => missing,
            Some(Err(error)) => Some(error.response()),
        };
    }
    let topic = topics.get(&name);
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    MetadataResponseTopic::default()
        .with_error_code(code(missing.filter(|_| topic.is_none())))
        .with_name(Some(topic_name(name)))
        .with_partitions(
            topic
                .map(|topic| (0..topic.partitions()).map(partition).collect())
                .unwrap_or_default(),
        )
}

pub(super) fn find_coordinator(
    call: &Call<'_>,
    request: &FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let refuse = |error: ResponseError, message: &'static str| {
        FindCoordinatorResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(text(message)))
            .with_node_id((-1).into())
            .with_port(-1)
    };
    match request.key_type {
        GROUP => FindCoordinatorResponse::default()
            .with_node_id(NODE)
            .with_host(host(call))
            .with_port(port(call)),
        TRANSACTION => refuse(
            ResponseError::TransactionalIdAuthorizationFailed,
            "the embedded broker has no transactions; use Apache Kafka for them",
        ),
        _ => refuse(
            ResponseError::InvalidRequest,
            "only groups have a coordinator here",
        ),
    }
}

pub(super) fn describe_cluster(call: &Call<'_>) -> DescribeClusterResponse {
    let broker = DescribeClusterBroker::default()
        .with_broker_id(NODE)
        .with_host(host(call))
        .with_port(port(call));
    DescribeClusterResponse::default()
        .with_cluster_id(text(CLUSTER))
        .with_controller_id(NODE)
        .with_brokers(vec![broker])
}

fn host(call: &Call<'_>) -> kafka_protocol::protocol::StrBytes {
    text(call.shared.address.ip().to_string())
}

fn port(call: &Call<'_>) -> i32 {
    call.shared.address.port().into()
}
