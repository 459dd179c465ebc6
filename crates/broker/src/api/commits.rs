//! The offsets of consumer groups: OffsetCommit and OffsetFetch.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use tokio::time::Instant;

use super::{Call, code, text, topic_name};
use crate::groups::{Committed, Group};
use crate::shape::{Field, Shape, always, since};

pub(super) const OFFSET_COMMIT: &[Field] = &[
    always(Shape::Text),
    always(Shape::Fixed(4)),
    always(Shape::Text),
    crate::shape::until(4, Shape::Fixed(8)),
    always(Shape::Array(&[
        always(Shape::Text),
        always(Shape::Array(&[
            always(Shape::Fixed(12)),
            since(6, Shape::Fixed(4)),
            always(Shape::Text),
        ])),
    ])),
];
pub(super) const OFFSET_FETCH: &[Field] = &[
    always(Shape::Text),
    always(Shape::Array(&[always(Shape::Text), always(Shape::List(4))])),
];

/// Bytes of the text that a client may leave beside an offset.
const MAX_METADATA_BYTES: usize = 4_096;

pub(super) fn offset_commit(
    call: &Call<'_>,
    request: &OffsetCommitRequest,
) -> OffsetCommitResponse {
    let response = committed(call, request);
    call.shared.keep_commits();
    response
}

fn committed(call: &Call<'_>, request: &OffsetCommitRequest) -> OffsetCommitResponse {
    let mut groups = call.shared.groups.lock();
    let (member, generation) = (
        request.member_id.as_str(),
        request.generation_id_or_member_epoch,
    );
    let mut group = groups.committing(
        request.group_id.as_str(),
        member,
        generation,
        Instant::now(),
    );
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let committed = match &mut group {
                Ok(group) => commit(call, group, topic.name.as_str(), partition),
                Err(error) => Err(*error),
            };
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code(committed.err()))
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn commit(
    call: &Call<'_>,
    group: &mut Group,
    topic: &str,
    partition: &OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    call.shared
        .topics
        .with_log(topic, partition.partition_index, |_| ())?;
    let metadata = partition
        .committed_metadata
        .as_ref()
        .map_or("", |metadata| metadata.as_str());
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }
    let committed = Committed {
        offset: partition.committed_offset,
        metadata: metadata.to_owned(),
    };
    group.commit(topic, partition.partition_index, committed);
    Ok(())
}

/// The offsets asked for, -1 where there is none, or all that the group has.
pub(super) fn offset_fetch(call: &Call<'_>, request: &OffsetFetchRequest) -> OffsetFetchResponse {
    let groups = call.shared.groups.lock();
    let group = groups.get(request.group_id.as_str());
    let mut topics = Vec::new();
    match &request.topics {
        Some(wanted) => {
            for topic in wanted {
                let name = topic.name.as_str();
                let found = |index: &i32| {
                    partition(*index, group.and_then(|group| group.offset(name, *index)))
                };
                let partitions = topic.partition_indexes.iter().map(found).collect();
                topics.push(
                    OffsetFetchResponseTopic::default()
                        .with_name(topic.name.clone())
                        .with_partitions(partitions),
                );
            }
        }
        None => {
            for ((name, index), committed) in group.into_iter().flat_map(Group::offsets) {
                if topics
                    .last()
                    .is_none_or(|topic: &OffsetFetchResponseTopic| topic.name.as_str() != name)
                {
                    topics.push(
                        OffsetFetchResponseTopic::default().with_name(topic_name(name.clone())),
                    );
                }
                if let Some(topic) = topics.last_mut() {
                    topic.partitions.push(partition(*index, Some(committed)));
                }
            }
        }
    }
    OffsetFetchResponse::default().with_topics(topics)
}

fn partition(index: i32, committed: Option<&Committed>) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition::default()
        .with_partition_index(index)
        .with_committed_offset(committed.map_or(-1, |committed| committed.offset))
        .with_metadata(Some(text(
            committed.map_or("", |committed| committed.metadata.as_str()),
        )))
}
