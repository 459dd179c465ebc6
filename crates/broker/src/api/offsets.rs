//! Where a partition begins and ends, and where a time is reached: ListOffsets.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{Call, code};
use crate::records;
use crate::shape::{Field, Shape, always, since};

pub(super) const LIST_OFFSETS: &[Field] = &[
    always(Shape::Fixed(4)),
    since(2, Shape::Fixed(1)),
    always(Shape::Array(&[
        always(Shape::Text),
        always(Shape::Array(&[
            always(Shape::Fixed(4)),
            since(4, Shape::Fixed(4)),
            always(Shape::Fixed(8)),
        ])),
    ])),
];

/// The timestamp that stands for the end of the log.
const LATEST: i64 = -1;
/// The timestamp that stands for its start.
const EARLIEST: i64 = -2;
/// No offset, or no timestamp.
const NONE: i64 = -1;

pub(super) fn list_offsets(call: &Call<'_>, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let found = find(
                call,
                topic.name.as_str(),
                wanted.partition_index,
                wanted.timestamp,
            );
            let (offset, timestamp) = *found.as_ref().unwrap_or(&(NONE, NONE));
            ListOffsetsPartitionResponse::default()
                .with_partition_index(wanted.partition_index)
                .with_error_code(code(found.err()))
                .with_offset(offset)
                .with_timestamp(timestamp)
        });
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Offset and timestamp for the wanted timestamp, in milliseconds.
fn find(
    call: &Call<'_>,
    topic: &str,
    partition: i32,
    timestamp: i64,
) -> Result<(i64, i64), ResponseError> {
    let topics = &call.shared.topics;
    match timestamp {
        LATEST => topics.with_log(topic, partition, |log| (log.end(), NONE)),
        EARLIEST => topics.with_log(topic, partition, |log| (log.start(), NONE)),
        ..NONE => Err(ResponseError::InvalidRequest),
        0.. => {
            let Some(batch) = topics.with_log(topic, partition, |log| log.reached(timestamp))?
            else {
                return Ok((NONE, NONE));
            };
            // A batch that cannot be looked into is read from its beginning: too early rather than too late.
            let first = records::first_at(&batch.bytes, timestamp);
            let (delta, at) = first.unwrap_or((0, batch.max_timestamp));
            Ok((batch.base_offset + delta, at))
        }
    }
}
