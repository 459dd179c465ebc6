//! Transactions are refused, each request by the protocol's error for a transactional id that may not be used.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, EndTxnResponse,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use crate::shape::{Field, Shape, always, since};

pub(super) const ADD_PARTITIONS_TO_TXN: &[Field] = &[
    always(Shape::Text),
    always(Shape::Fixed(10)),
    always(Shape::Array(&[always(Shape::Text), always(Shape::List(4))])),
];
pub(super) const ADD_OFFSETS_TO_TXN: &[Field] = &[
    always(Shape::Text),
    always(Shape::Fixed(10)),
    always(Shape::Text),
];
pub(super) const END_TXN: &[Field] = &[always(Shape::Text), always(Shape::Fixed(11))];
pub(super) const TXN_OFFSET_COMMIT: &[Field] = &[
    always(Shape::Text),
    always(Shape::Text),
    always(Shape::Fixed(10)),
    always(Shape::Array(&[
        always(Shape::Text),
        always(Shape::Array(&[
            always(Shape::Fixed(12)),
            since(2, Shape::Fixed(4)),
            always(Shape::Text),
        ])),
    ])),
];

const REFUSED: i16 = ResponseError::TransactionalIdAuthorizationFailed.code();

pub(super) fn add_partitions(request: &AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let topics = request.v3_and_below_topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(REFUSED)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.collect())
}

pub(super) fn add_offsets() -> AddOffsetsToTxnResponse {
    AddOffsetsToTxnResponse::default().with_error_code(REFUSED)
}

pub(super) fn end() -> EndTxnResponse {
    EndTxnResponse::default().with_error_code(REFUSED)
}

pub(super) fn offset_commit(request: &TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(REFUSED)
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}
