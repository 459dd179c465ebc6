//! Frames written by hand: repeated batches, broken batches, malformed and hostile requests.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DeleteTopicsRequest, InitProducerIdRequest, ProduceRequest,
    RequestKind, ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::Offset;

use crate::support::{Running, Wire, eventually, frame};
use crate::versions::every_request;

pub(crate) fn ask_versions(wire: &mut Wire) -> Vec<(i16, i16, i16)> {
    let request = RequestKind::ApiVersions(ApiVersionsRequest::default());
    let ResponseKind::ApiVersions(response) = wire.call(ApiKey::ApiVersions, 2, &request) else {
        panic!("no versions")
    };
    response
        .api_keys
        .iter()
        .map(|api| (api.api_key, api.min_version, api.max_version))
        .collect()
}

impl Wire {
    /// Whether the broker answers on this connection.
    pub(crate) fn is_answered(mut self) -> bool {
        let request = RequestKind::ApiVersions(ApiVersionsRequest::default());
        let sent = self
            .stream
            .write_all(&frame(ApiKey::ApiVersions, 0, 1, &request));
        sent.is_ok() && self.stream.read_exact(&mut [0; 4]).is_ok()
    }
}

/// A batch of empty records at 1000 ms, with the right checksum.
pub(crate) fn batch(records: u8, producer: Option<(i64, i16, i32)>) -> Vec<u8> {
    let (id, epoch, sequence) = producer.unwrap_or((-1, -1, -1));
    let mut batch = vec![0; 61];
    batch[16] = 2;
    batch[26] = records - 1;
    batch[27..35].copy_from_slice(&1_000_i64.to_be_bytes());
    batch[35..43].copy_from_slice(&1_000_i64.to_be_bytes());
    batch[43..51].copy_from_slice(&id.to_be_bytes());
    batch[51..53].copy_from_slice(&epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&sequence.to_be_bytes());
    batch[60] = records;
    for record in 0..records {
        batch.extend([12, 0, 0, record * 2, 1, 1, 0]);
    }
    seal(&mut batch);
    batch
}

/// Puts in the length and the checksum.
fn seal(batch: &mut [u8]) {
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let sum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
}

pub(crate) fn produce_request(topic: &str, records: Vec<u8>) -> ProduceRequest {
    let data = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(Bytes::from(records)));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
        .with_partition_data(vec![data]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1_000)
        .with_topic_data(vec![topic])
}

/// Error and base offset of one batch.
fn produce(wire: &mut Wire, records: Vec<u8>) -> (Option<ResponseError>, i64) {
    let request = RequestKind::Produce(produce_request("raw", records));
    let ResponseKind::Produce(response) = wire.call(ApiKey::Produce, 7, &request) else {
        panic!("no produce")
    };
    let partition = &response.responses[0].partition_responses[0];
    (
        ResponseError::try_from_code(partition.error_code),
        partition.base_offset,
    )
}

#[test]
fn a_batch_sent_again_is_stored_once() {
    let running = Running::new();
    running.topic("raw", 1);
    let mut wire = running.wire();
    let init =
        RequestKind::InitProducerId(InitProducerIdRequest::default().with_transactional_id(None));
    let ResponseKind::InitProducerId(producer) = wire.call(ApiKey::InitProducerId, 1, &init) else {
        panic!("no id")
    };
    let sent = |sequence| {
        batch(
            3,
            Some((producer.producer_id.0, producer.producer_epoch, sequence)),
        )
    };
    assert_eq!(produce(&mut wire, sent(0)), (None, 0));
    assert_eq!(produce(&mut wire, sent(3)), (None, 3));
    assert_eq!(produce(&mut wire, sent(0)), (None, 0));
    assert_eq!(produce(&mut wire, sent(3)), (None, 3));
    assert_eq!(
        produce(&mut wire, sent(9)).0,
        Some(ResponseError::OutOfOrderSequenceNumber)
    );
    assert_eq!(produce(&mut wire, sent(6)), (None, 6));
    assert_eq!(running.broker().records_in(), 9);
    assert_eq!(running.watermarks("raw", 0), (0, 9));
    running.stop();
}

#[test]
fn broken_batches_are_refused_and_the_connection_goes_on() {
    let running = Running::new();
    running.topic("raw", 1);
    let mut wire = running.wire();
    let changed = |at: usize, to: u8, sealed: bool| {
        let mut batch = batch(2, None);
        batch[at] = to;
        if sealed {
            seal(&mut batch);
        }
        batch
    };
    let whole = batch(2, None);
    let cases = [
        (Vec::new(), ResponseError::CorruptMessage),
        (whole[..60].to_vec(), ResponseError::CorruptMessage),
        (whole[..70].to_vec(), ResponseError::CorruptMessage),
        (
            [whole.clone(), whole.clone()].concat(),
            ResponseError::InvalidRecord,
        ),
        (changed(70, 9, false), ResponseError::CorruptMessage),
        (changed(8, 0xff, false), ResponseError::CorruptMessage),
        (
            changed(16, 1, true),
            ResponseError::UnsupportedForMessageFormat,
        ),
        (
            changed(22, 0x10, true),
            ResponseError::TransactionalIdAuthorizationFailed,
        ),
        (changed(22, 0x20, true), ResponseError::InvalidRecord),
        (changed(22, 0x08, true), ResponseError::InvalidTimestamp),
        (
            changed(22, 0x07, true),
            ResponseError::UnsupportedCompressionType,
        ),
        (changed(60, 3, true), ResponseError::InvalidRecord),
        (changed(57, 0xff, true), ResponseError::InvalidRecord),
        (changed(43, 0, true), ResponseError::InvalidRecord),
    ];
    for (n, (records, error)) in cases.into_iter().enumerate() {
        assert_eq!(produce(&mut wire, records), (Some(error), -1), "case {n}");
    }
    assert_eq!(running.broker().records_in(), 0);
    assert_eq!(produce(&mut wire, whole), (None, 0));
    running.stop();
}

#[test]
fn without_acknowledgement_there_is_no_answer_but_the_batch_is_there() {
    let running = Running::new();
    running.topic("raw", 1);
    let mut wire = running.wire();
    let request = RequestKind::Produce(produce_request("raw", batch(4, None)).with_acks(0));
    wire.send(ApiKey::Produce, 7, &request);
    ask_versions(&mut wire);
    assert_eq!(running.watermarks("raw", 0), (0, 4));
    running.stop();
}

#[test]
fn a_newer_version_request_is_told_what_to_use() {
    let running = Running::new();
    let mut wire = running.wire();
    let request = RequestKind::ApiVersions(ApiVersionsRequest::default());
    wire.send(ApiKey::ApiVersions, 4, &request);
    let ResponseKind::ApiVersions(response) = wire.receive(ApiKey::ApiVersions, 0) else {
        panic!("no versions")
    };
    assert_eq!(
        response.error_code,
        ResponseError::UnsupportedVersion.code()
    );
    assert!(
        response
            .api_keys
            .iter()
            .any(|api| api.api_key == 18 && api.max_version == 3)
    );
    ask_versions(&mut wire);
    running.stop();
}

#[test]
fn malformed_frames_close_their_connection_only() {
    let running = Running::new();
    let mut bystander = running.wire();
    ask_versions(&mut bystander);
    let with_length =
        |body: &[u8]| [&i32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat();
    // A metadata request whose array claims two thousand million topics.
    let lying = with_length(&[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    // The same for produce: topics, and the partitions of one topic.
    let many_topics = with_length(&[
        0, 0, 0, 7, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff,
    ]);
    let produced = RequestKind::Produce(produce_request("raw", batch(1, None)));
    let cases: Vec<Vec<u8>> = vec![
        vec![0xff; 4],
        i32::MAX.to_be_bytes().to_vec(),
        ((16 << 20) + 1_i32).to_be_bytes().to_vec(),
        vec![0; 4],
        with_length(&[0; 7]),
        with_length(&[0xff; 8]),
        with_length(&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff]),
        with_length(&[0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff]),
        with_length(&[0, 17, 0, 1, 0, 0, 0, 1, 0xff, 0xff]),
        lying,
        many_topics,
        frame(ApiKey::Produce, 9, 1, &produced),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ];
    for (n, case) in cases.iter().enumerate() {
        assert!(running.wire().is_closed_after(case), "case {n}");
    }
    ask_versions(&mut bystander);
    running.stop();
}

#[test]
fn a_fetch_whose_client_hung_up_is_forgotten() {
    let running = Running::with(broker::BrokerConfig {
        max_connections: 1,
        ..broker::BrokerConfig::default()
    });
    running.topic("raw", 1);
    let mut wire = running.wire();
    let fetch = crate::versions::fetch_request("raw", 0, 4)
        .with_max_wait_ms(60_000)
        .with_min_bytes(1);
    wire.send(ApiKey::Fetch, 4, &RequestKind::Fetch(fetch));
    let begin = Instant::now();
    drop(wire);
    eventually("the connection is free again", || {
        running.wire().is_answered()
    });
    assert!(begin.elapsed() < Duration::from_secs(20));
    running.stop();
}

#[test]
fn a_waiting_fetch_is_told_that_its_topic_is_deleted() {
    let running = Running::new();
    running.topic("raw", 1);
    let mut waiting = running.wire();
    let fetch = crate::versions::fetch_request("raw", 0, 11)
        .with_max_wait_ms(60_000)
        .with_min_bytes(1);
    waiting.send(ApiKey::Fetch, 11, &RequestKind::Fetch(fetch));
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(vec![TopicName(StrBytes::from_static_str("raw"))]);
    let deleted = running
        .wire()
        .call(ApiKey::DeleteTopics, 3, &RequestKind::DeleteTopics(delete));
    let ResponseKind::DeleteTopics(deleted) = deleted else {
        panic!("no deletion")
    };
    assert_eq!(deleted.responses[0].error_code, 0);
    let ResponseKind::Fetch(fetched) = waiting.receive(ApiKey::Fetch, 11) else {
        panic!("no fetch")
    };
    let error = ResponseError::try_from_code(fetched.responses[0].partitions[0].error_code);
    assert_eq!(error, Some(ResponseError::UnknownTopicOrPartition));
    running.stop();
}

/// xorshift64*: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn mutated(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut bytes = frame[4..].to_vec();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] = self.byte(),
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes[at] = [0, 0x7f, 0x80, 0xff][self.below(4)],
                3 => bytes.truncate(at),
                4 => bytes.insert(at, self.byte()),
                _ => drop(bytes.splice(at.., frame[4..].iter().copied())),
            }
        }
        let mut frame = i32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
        frame.append(&mut bytes);
        frame
    }
}

#[test]
fn random_and_mutated_frames_do_not_end_it() {
    let panics = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&panics);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Panics of the tests themselves are theirs.
        if info
            .location()
            .is_none_or(|location| !location.file().contains("tests/suite"))
        {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
    let running = Running::with(broker::BrokerConfig {
        auto_create_partitions: Some(1),
        ..broker::BrokerConfig::default()
    });
    running.topic("raw", 1);
    let frames: Vec<Vec<u8>> = every_request(&ask_versions(&mut running.wire()))
        .into_iter()
        .map(|(key, version, request)| frame(key, version, 1, &request))
        .collect();
    let mut random = Random(20_261_123);
    for n in 0..6_000 {
        let bytes = if n % 10 == 0 {
            (0..random.below(300)).map(|_| random.byte()).collect()
        } else {
            let chosen = &frames[random.below(frames.len())];
            random.mutated(chosen)
        };
        let mut wire = running.wire();
        let _ = wire.stream.write_all(&bytes);
        let _ = wire.stream.shutdown(Shutdown::Write);
        let _ = wire.stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    running.topic("after", 1);
    crate::support::produce(
        &running,
        "after",
        0,
        [(0, "still here".to_owned())].into_iter(),
    );
    assert_eq!(running.read("after", 0, Offset::Beginning).len(), 1);
    running.stop();
}
