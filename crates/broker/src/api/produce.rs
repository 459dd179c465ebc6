//! Records in: Produce, and InitProducerId for idempotent producers.

use std::sync::atomic::Ordering;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
};

use super::Call;
use crate::batch;
use crate::shape::{Field, Shape, always, since};

pub(super) const PRODUCE: &[Field] = &[
    since(3, Shape::Text),
    always(Shape::Fixed(6)),
    always(Shape::Array(&[
        always(Shape::Text),
        always(Shape::Array(&[
            always(Shape::Fixed(4)),
            always(Shape::Data),
        ])),
    ])),
];
pub(super) const INIT_PRODUCER_ID: &[Field] = &[always(Shape::Text), always(Shape::Fixed(4))];

/// Stores each partition's batch, or says why not; no answer where the client wants none.
pub(super) fn produce(call: &Call<'_>, request: &ProduceRequest) -> Option<ProduceResponse> {
    let refused = if !(-1..=1).contains(&request.acks) {
        Some(ResponseError::InvalidRequiredAcks)
    } else if request.transactional_id.is_some() {
        Some(ResponseError::TransactionalIdAuthorizationFailed)
    } else {
        None
    };
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in &topic.partition_data {
            let stored = match refused {
                Some(error) => Err(error),
                None => append(call, topic.name.as_str(), data),
            };
            partitions.push(partition_response(data.index, stored));
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_partition_responses(partitions),
        );
    }
    call.shared.changed.notify_waiters();
    (request.acks != 0).then(|| ProduceResponse::default().with_responses(responses))
}

/// The base offset of the batch and the start of the log.
fn append(
    call: &Call<'_>,
    topic: &str,
    data: &PartitionProduceData,
) -> Result<(i64, i64), ResponseError> {
    let records = data.records.as_deref().unwrap_or_default();
    let header = batch::check(records)?;
    let now = call.shared.config.clock.now();
    let (appended, start) = call.shared.topics.with_log(topic, data.index, |log| {
        let appended = log.append(records, &header, now);
        (appended, log.start())
    })?;
    let appended = appended?;
    if !appended.repeated {
        call.shared
            .records_in
            .fetch_add(u64::from(header.records.unsigned_abs()), Ordering::Relaxed);
    }
    Ok((appended.base_offset, start))
}

fn partition_response(
    index: i32,
    stored: Result<(i64, i64), ResponseError>,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default()
        .with_index(index)
        .with_log_append_time_ms(-1);
    match stored {
        Ok((base_offset, start)) => response
            .with_base_offset(base_offset)
            .with_log_start_offset(start),
        Err(error) => response
            .with_error_code(error.code())
            .with_base_offset(-1)
            .with_log_start_offset(-1),
    }
}

/// Gives out a producer id; a transactional producer is refused.
pub(super) fn init_producer_id(
    call: &Call<'_>,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return InitProducerIdResponse::default()
            .with_error_code(ResponseError::TransactionalIdAuthorizationFailed.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
    }
    InitProducerIdResponse::default()
        .with_producer_id(ProducerId(call.shared.new_producer()))
        .with_producer_epoch(0)
}
