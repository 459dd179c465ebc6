//! The requests that the broker answers: the list of them, and the way from a frame to its answer.

mod cluster;
mod commits;
mod fetch;
mod groups;
mod offsets;
mod produce;
mod topics;
mod transactions;

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiKey, BrokerId, RequestHeader, RequestKind, ResponseHeader, ResponseKind, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::shape::{self, Field};
use crate::shared::Shared;

/// The id of the one broker.
const NODE: BrokerId = BrokerId(1);
/// Characters of a client's text that an error message repeats.
const QUOTED_CHARS: usize = 100;

/// A request that is answered: the versions advertised, and what it looks like.
///
/// The versions end before the protocol's compact encoding begins (about Kafka 2.3): every client in use speaks them,
/// static group members and topic ids come later, and lengths can be checked by one small walk.
struct Api {
    key: ApiKey,
    min: i16,
    max: i16,
    fields: &'static [Field],
}

const fn api(key: ApiKey, min: i16, max: i16, fields: &'static [Field]) -> Api {
    Api {
        key,
        min,
        max,
        fields,
    }
}

/// All of them. Produce is advertised from 0 because older versions of librdkafka else believe that batches cannot be
/// compressed; it is answered from 3 on.
const APIS: &[Api] = &[
    api(ApiKey::Produce, 0, 8, produce::PRODUCE),
    api(ApiKey::Fetch, 4, 11, fetch::FETCH),
    api(ApiKey::ListOffsets, 1, 5, offsets::LIST_OFFSETS),
    api(ApiKey::Metadata, 0, 8, cluster::METADATA),
    api(ApiKey::OffsetCommit, 2, 6, commits::OFFSET_COMMIT),
    api(ApiKey::OffsetFetch, 1, 5, commits::OFFSET_FETCH),
    api(ApiKey::FindCoordinator, 0, 2, cluster::FIND_COORDINATOR),
    api(ApiKey::JoinGroup, 0, 4, groups::JOIN_GROUP),
    api(ApiKey::Heartbeat, 0, 2, groups::HEARTBEAT),
    api(ApiKey::LeaveGroup, 0, 2, groups::LEAVE_GROUP),
    api(ApiKey::SyncGroup, 0, 2, groups::SYNC_GROUP),
    api(ApiKey::DescribeGroups, 0, 3, groups::DESCRIBE_GROUPS),
    api(ApiKey::ListGroups, 0, 2, groups::LIST_GROUPS),
    api(ApiKey::DeleteGroups, 0, 1, groups::DELETE_GROUPS),
    api(ApiKey::ApiVersions, 0, 3, cluster::API_VERSIONS),
    api(ApiKey::CreateTopics, 2, 4, topics::CREATE_TOPICS),
    api(ApiKey::DeleteTopics, 1, 3, topics::DELETE_TOPICS),
    api(ApiKey::DescribeConfigs, 1, 3, topics::DESCRIBE_CONFIGS),
    api(ApiKey::DescribeCluster, 0, 0, cluster::DESCRIBE_CLUSTER),
    api(ApiKey::InitProducerId, 0, 1, produce::INIT_PRODUCER_ID),
    api(
        ApiKey::AddPartitionsToTxn,
        0,
        2,
        transactions::ADD_PARTITIONS_TO_TXN,
    ),
    api(
        ApiKey::AddOffsetsToTxn,
        0,
        2,
        transactions::ADD_OFFSETS_TO_TXN,
    ),
    api(ApiKey::EndTxn, 0, 2, transactions::END_TXN),
    api(
        ApiKey::TxnOffsetCommit,
        0,
        2,
        transactions::TXN_OFFSET_COMMIT,
    ),
];

/// What an answer may depend on beside the request itself.
struct Call<'a> {
    shared: &'a Shared,
    version: i16,
    client_id: &'a str,
    peer: SocketAddr,
}

/// A framed response.
pub(crate) struct Answer {
    pub(crate) bytes: BytesMut,
    pub(crate) is_fetch: bool,
}

/// Answers one request; `None` where the client wants no answer. An error is the reason to close the connection.
pub(crate) async fn answer(
    shared: &Shared,
    peer: SocketAddr,
    mut frame: Bytes,
) -> Result<Option<Answer>, String> {
    let (key, version) = ((&frame[..]).get_i16(), (&frame[2..]).get_i16());
    let known = ApiKey::try_from(key)
        .ok()
        .and_then(|key| APIS.iter().find(|api| api.key == key));
    let Some(api) = known else {
        return Err(format!("request {key} is not one of this broker's"));
    };
    let header = RequestHeader::decode(&mut frame, api.key.request_header_version(version))
        .map_err(|error| {
            format!(
                "the header of a request {:?} is malformed: {error}",
                api.key
            )
        })?;
    if !(api.min..=api.max).contains(&version) {
        if api.key != ApiKey::ApiVersions {
            return Err(format!(
                "version {version} of {:?} is not advertised",
                api.key
            ));
        }
        // The one request that may be newer than the broker: the answer says what to use instead.
        let refusal =
            ResponseKind::ApiVersions(cluster::versions(Some(ResponseError::UnsupportedVersion)));
        return encode(api.key, 0, header.correlation_id, &refusal).map(Some);
    }
    if !shape::fits(api.fields, &frame, version) {
        return Err(format!(
            "a request {:?} of version {version} is malformed",
            api.key
        ));
    }
    let request = RequestKind::decode(api.key, &mut frame, version).map_err(|error| {
        format!(
            "a request {:?} of version {version} is malformed: {error}",
            api.key
        )
    })?;
    let client_id = header.client_id.as_ref().map_or("", |id| id.as_str());
    let call = Call {
        shared,
        version,
        client_id,
        peer,
    };
    match handle(&call, request).await {
        Some(response) => encode(api.key, version, header.correlation_id, &response).map(Some),
        None => Ok(None),
    }
}

fn encode(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &ResponseKind,
) -> Result<Answer, String> {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    ResponseHeader::default()
        .with_correlation_id(correlation_id)
        .encode(&mut bytes, key.response_header_version(version))
        .and_then(|()| response.encode(&mut bytes, version))
        .map_err(|error| {
            format!("the answer to {key:?} of version {version} cannot be encoded: {error}")
        })?;
    let length =
        i32::try_from(bytes.len() - 4).map_err(|_| format!("the answer to {key:?} is too long"))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(Answer {
        bytes,
        is_fetch: key == ApiKey::Fetch,
    })
}

async fn handle(call: &Call<'_>, request: RequestKind) -> Option<ResponseKind> {
    use RequestKind as Q;
    use ResponseKind as A;
    Some(match request {
        Q::Produce(request) => return produce::produce(call, &request).map(A::Produce),
        Q::Fetch(request) => A::Fetch(fetch::fetch(call, &request).await),
        Q::ListOffsets(request) => A::ListOffsets(offsets::list_offsets(call, &request)),
        Q::Metadata(request) => A::Metadata(cluster::metadata(call, &request)),
        Q::OffsetCommit(request) => A::OffsetCommit(commits::offset_commit(call, &request)),
        Q::OffsetFetch(request) => A::OffsetFetch(commits::offset_fetch(call, &request)),
        Q::FindCoordinator(request) => {
            A::FindCoordinator(cluster::find_coordinator(call, &request))
        }
        Q::JoinGroup(request) => A::JoinGroup(groups::join_group(call, &request).await),
        Q::Heartbeat(request) => A::Heartbeat(groups::heartbeat(call, &request)),
        Q::LeaveGroup(request) => A::LeaveGroup(groups::leave_group(call, &request)),
        Q::SyncGroup(request) => A::SyncGroup(groups::sync_group(call, &request).await),
        Q::DescribeGroups(request) => A::DescribeGroups(groups::describe_groups(call, &request)),
        Q::ListGroups(_) => A::ListGroups(groups::list_groups(call)),
        Q::DeleteGroups(request) => A::DeleteGroups(groups::delete_groups(call, &request)),
        Q::ApiVersions(_) => A::ApiVersions(cluster::versions(None)),
        Q::CreateTopics(request) => A::CreateTopics(topics::create_topics(call, &request)),
        Q::DeleteTopics(request) => A::DeleteTopics(topics::delete_topics(call, &request)),
        Q::DescribeConfigs(request) => A::DescribeConfigs(topics::describe_configs(call, &request)),
        Q::DescribeCluster(_) => A::DescribeCluster(cluster::describe_cluster(call)),
        Q::InitProducerId(request) => A::InitProducerId(produce::init_producer_id(call, &request)),
        Q::AddPartitionsToTxn(request) => {
            A::AddPartitionsToTxn(transactions::add_partitions(&request))
        }
        Q::AddOffsetsToTxn(_) => A::AddOffsetsToTxn(transactions::add_offsets()),
        Q::EndTxn(_) => A::EndTxn(transactions::end()),
        Q::TxnOffsetCommit(request) => A::TxnOffsetCommit(transactions::offset_commit(&request)),
        // Not in the list, so not decoded either.
        _ => return None,
    })
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn topic_name(name: impl Into<String>) -> TopicName {
    TopicName(text(name))
}

/// The beginning of a client's text, for a message.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(QUOTED_CHARS).collect::<String>())
}

/// The code of an error, 0 for none.
fn code(error: Option<ResponseError>) -> i16 {
    error.map_or(0, |error| error.code())
}
