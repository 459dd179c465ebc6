//! Records out: Fetch, which waits until there is something to send.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use tokio::time::{Instant, timeout_at};

use super::Call;
use crate::shape::{Field, Shape, always, since};

pub(super) const FETCH: &[Field] = &[
    always(Shape::Fixed(17)),
    since(7, Shape::Fixed(8)),
    always(Shape::Array(&[
        always(Shape::Text),
        always(Shape::Array(&[
            always(Shape::Fixed(4)),
            since(9, Shape::Fixed(4)),
            always(Shape::Fixed(8)),
            since(5, Shape::Fixed(8)),
            always(Shape::Fixed(4)),
        ])),
    ])),
    since(
        7,
        Shape::Array(&[always(Shape::Text), always(Shape::List(4))]),
    ),
    since(11, Shape::Text),
];

/// Bytes of records in one response, beside a first batch that is larger.
const MAX_FETCH_BYTES: usize = 16 << 20;
/// The longest wait for records.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The isolation level of consumers that leave out aborted transactions, of which there are none.
const READ_COMMITTED: i8 = 1;

/// What one pass over the partitions found; batches are joined only when they are sent.
struct Found {
    topics: Vec<Vec<FoundPartition>>,
    bytes: usize,
    failed: bool,
}

#[derive(Default)]
struct FoundPartition {
    error: Option<ResponseError>,
    start: i64,
    end: i64,
    batches: Vec<Bytes>,
}

/// Answers when `min_bytes` are there, a partition cannot be read, or the client's wait is over.
pub(super) async fn fetch(call: &Call<'_>, request: &FetchRequest) -> FetchResponse {
    // Sessions are never begun, so there is none to go on with.
    if request.session_id != 0 {
        return FetchResponse::default()
            .with_error_code(ResponseError::FetchSessionIdNotFound.code());
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let until = Instant::now() + wait;
    let enough = usize::try_from(request.min_bytes).unwrap_or(0);
    loop {
        // Listening begins before looking: what arrives in between wakes the wait below.
        let mut changed = pin!(call.shared.changed.notified());
        changed.as_mut().enable();
        let found = find(call, request);
        if found.failed || found.bytes >= enough.min(MAX_FETCH_BYTES) || Instant::now() >= until {
            return response(request, found);
        }
        // Over or changed: either way the next round decides.
        let _ = timeout_at(until, changed).await;
    }
}

fn find(call: &Call<'_>, request: &FetchRequest) -> Found {
    let limit = usize::try_from(request.max_bytes)
        .unwrap_or(0)
        .min(MAX_FETCH_BYTES);
    let mut found = Found {
        topics: Vec::with_capacity(request.topics.len()),
        bytes: 0,
        failed: false,
    };
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let left = limit.saturating_sub(found.bytes);
            let partition = read(call, topic.topic.as_str(), wanted, left, found.bytes == 0);
            found.failed |= partition.error.is_some();
            found.bytes += partition.batches.iter().map(Bytes::len).sum::<usize>();
            partitions.push(partition);
        }
        found.topics.push(partitions);
    }
    found
}

fn read(
    call: &Call<'_>,
    topic: &str,
    wanted: &FetchPartition,
    left: usize,
    at_least_one: bool,
) -> FoundPartition {
    let max_bytes = usize::try_from(wanted.partition_max_bytes)
        .unwrap_or(0)
        .min(left);
    let read = call.shared.topics.with_log(topic, wanted.partition, |log| {
        let batches = log.read(wanted.fetch_offset, max_bytes, at_least_one);
        let (error, batches) =
            batches.map_or_else(|error| (Some(error), Vec::new()), |batches| (None, batches));
        FoundPartition {
            error,
            start: log.start(),
            end: log.end(),
            batches,
        }
    });
    read.unwrap_or_else(|error| FoundPartition {
        error: Some(error),
        start: -1,
        end: -1,
        batches: Vec::new(),
    })
}

fn response(request: &FetchRequest, found: Found) -> FetchResponse {
    let aborted = (request.isolation_level == READ_COMMITTED).then(Vec::new);
    let topics = request
        .topics
        .iter()
        .zip(found.topics)
        .map(|(topic, partitions)| {
            let partitions = topic
                .partitions
                .iter()
                .zip(partitions)
                .map(|(wanted, found)| {
                    PartitionData::default()
                        .with_partition_index(wanted.partition)
                        .with_error_code(super::code(found.error))
                        .with_high_watermark(found.end)
                        .with_last_stable_offset(found.end)
                        .with_log_start_offset(found.start)
                        .with_aborted_transactions(aborted.clone())
                        .with_records(Some(joined(found.batches)))
                });
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_partitions(partitions.collect())
        });
    FetchResponse::default().with_responses(topics.collect())
}

fn joined(mut batches: Vec<Bytes>) -> Bytes {
    if batches.len() <= 1 {
        return batches.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(batches.iter().map(Bytes::len).sum());
    for batch in &batches {
        joined.extend_from_slice(batch);
    }
    joined.freeze()
}
